//! A data folder per test, and other processes that use it.

use std::fs::{DirBuilder, Permissions};
use std::future::Future;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tabletalk::postgres::{Options, Server};

const DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);
/// Set for the process that `owner_process` runs in: its data folder.
const OWNER_DATA: &str = "TABLETALK_TEST_OWNER_DATA";

/// A data folder of its own for a test, and the end of whatever the test leaves running in it.
pub struct Data {
    pub root: PathBuf,
    pub data: PathBuf,
}

impl Data {
    pub fn new() -> Data {
        Data::below("data")
    }

    pub fn below(path: &str) -> Data {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("tabletalk-it-{}-{number}", std::process::id()));
        DirBuilder::new().mode(0o711).create(&root).expect("a folder for the test");
        std::fs::set_permissions(&root, Permissions::from_mode(0o711)).expect("open to the server's account");
        let root = root.canonicalize().expect("the test's folder");
        Data { data: root.join(path), root }
    }

    pub fn options(&self) -> Options {
        options(&self.data)
    }

    pub async fn start(&self) -> Server {
        Server::start(&self.options()).await.expect("the server starts")
    }

    pub fn home(&self) -> PathBuf {
        self.data.join("postgres")
    }

    pub fn cluster(&self) -> PathBuf {
        self.home().join("cluster")
    }

    pub fn postmaster(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.cluster().join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok().map(Pid::from_raw)
    }

    pub fn leftovers(&self) -> usize {
        let entries = std::fs::read_dir(self.home()).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("cluster.new")).count()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if let Some(pid) = self.postmaster() {
            let _ = kill(pid, Signal::SIGQUIT);
        }
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

pub fn options(data: &Path) -> Options {
    Options {
        data: data.to_owned(),
        bin: std::env::var_os("TABLETALK_TEST_POSTGRES_BIN").map(PathBuf::from),
        path: std::env::var_os("PATH"),
        install: false,
        settings: vec![("fsync".to_owned(), "off".to_owned())],
    }
}

pub async fn db_ask(server: &Server, sql: &str) -> String {
    let (client, connection) = server.admin().connect(tokio_postgres::NoTls).await.expect("the server accepts connections");
    let connection = tokio::spawn(connection);
    let messages = client.simple_query(sql).await.expect(sql);
    drop(client);
    connection.await.expect("the connection's task").expect("the connection ends in order");
    let value = messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    value.unwrap_or_default()
}

pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < DEADLINE, "it never came true that {what}");
        tokio::time::sleep(POLL).await;
    }
}

pub async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("done in time")
}

pub fn is_running(pid: Pid) -> bool {
    kill(pid, None).is_ok()
}

/// Another process that uses the server of a data folder: this test program, told to run `owner_process` alone.
pub struct Owner {
    pub child: Child,
}

impl Owner {
    pub fn spawn(data: &Data) -> Owner {
        let program = std::env::current_exe().expect("this program");
        let module = module_path!().split_once("::").expect("a module of a crate").1;
        let mut command = Command::new(program);
        command.args(["--exact", &format!("{module}::owner_process"), "--nocapture"]).env(OWNER_DATA, &data.data);
        // Its own process group stands for the terminal's.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        Owner { child: command.spawn().expect("another process") }
    }

    /// Until it says that its server accepts connections.
    pub fn ready(mut self) -> Owner {
        let output = self.child.stdout.take().expect("its output");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("owner is ready")), "the other process could not start the server");
        self
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process number"))
    }

    pub fn kill_9(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

/// Not a test of its own: what `Owner` runs. It ends with the test that spawned it, by the end of its input.
#[tokio::test]
async fn owner_process() {
    let Some(data) = std::env::var_os(OWNER_DATA) else {
        return;
    };
    let _server = Server::start(&options(Path::new(&data))).await.expect("the server starts");
    println!("\nowner is ready");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::abort();
}
