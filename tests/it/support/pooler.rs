//! A PgBouncer in front of a cluster's socket.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Set to run the tests' servers through a PgBouncer in transaction mode.
pub const THROUGH: &str = "TABLETALK_TEST_POOLER";
/// Another PgBouncer than Debian's.
const PROGRAM: &str = "TABLETALK_TEST_PGBOUNCER";
/// Where Debian puts it.
const DEBIANS: &str = "/usr/sbin/pgbouncer";
/// The logins that may come through.
const LOGINS: [&str; 4] = ["chat_api", "installer", "postgres", "web"];
/// Server connections of a database and a login: fewer than a test's pool has, so that they are shared.
const SHARED: usize = 3;

/// A running PgBouncer; it ends with this.
pub struct Pooler {
    folder: PathBuf,
    process: Child,
}

impl Pooler {
    /// One in front of the Postgres whose socket is in this folder; none where there is no PgBouncer on this machine.
    pub async fn start(socket: &Path, mode: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let program = std::env::var_os(PROGRAM).map_or_else(|| PathBuf::from(DEBIANS), PathBuf::from);
        if !program.exists() {
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tabletalk-it-pooler-{}-{number}", std::process::id()));
        fs::create_dir(&folder).expect("a folder for the pooler");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("open to everyone");
        let users = LOGINS.iter().fold(String::new(), |users, login| users + &format!("\"{login}\" \"\"\n"));
        fs::write(folder.join("users.txt"), users).expect("a file");
        let settings = format!(
            "[databases]\n* = host={socket}\n\
             [pgbouncer]\npool_mode = {mode}\ndefault_pool_size = {SHARED}\nmax_client_conn = 1000\nserver_idle_timeout = 2\n\
             listen_addr =\nunix_socket_dir = {folder}\nauth_type = trust\nauth_file = {folder}/users.txt\n\
             logfile = {folder}/pgbouncer.log\npidfile =\n",
            socket = socket.display(),
            folder = folder.display(),
        );
        fs::write(folder.join("pgbouncer.ini"), settings).expect("a file");
        // as the server's own account, which alone enters the folder of its socket; PgBouncer refuses to run as root anyway
        let account = fs::metadata(socket).expect("a socket's folder");
        let mut command = Command::new(program);
        command.arg("--quiet").arg(folder.join("pgbouncer.ini")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if nix::unistd::geteuid().is_root() {
            chown(&folder, Some(account.uid()), Some(account.gid())).expect("the folder is the account's");
            command.uid(account.uid()).gid(account.gid());
        }
        let pooler = Self { process: command.spawn().expect("PgBouncer starts"), folder };
        let listens = async || tokio::net::UnixStream::connect(pooler.folder.join(".s.PGSQL.6432")).await.is_ok();
        super::eventually("PgBouncer listens", listens).await;
        Some(pooler)
    }

    /// Where its socket is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// How `user` reaches `database` through the PgBouncer whose socket is in this folder.
pub fn url(folder: &Path, user: &str, database: &str) -> String {
    format!("host={} port=6432 user={user} dbname={database}", folder.display())
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
