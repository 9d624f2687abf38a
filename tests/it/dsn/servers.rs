//! Five servers that differ in their certificate.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, process};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tabletalk::dsn::Dsn;
use tokio::sync::OnceCell;

pub const PASSWORD: &str = "s3cr3t-0f-al1ce";
pub const LOGIN: &str = "user=alice password=s3cr3t-0f-al1ce dbname=postgres connect_timeout=5";
pub const START_DEADLINE: Duration = Duration::from_secs(15);
pub const POLL: Duration = Duration::from_millis(20);

/// What a server shows to those who ask it for TLS.
#[derive(Debug, Clone, Copy)]
pub enum Shows {
    /// Nothing: it has no TLS.
    Nothing,
    /// A certificate for localhost by our authority.
    Ours,
    /// One by our authority for another name.
    AnothersName,
    /// One for localhost by an authority that nobody trusts.
    Strangers,
    /// One for localhost that it signed itself and that calls itself an authority, as `openssl req -x509` makes it.
    ItsOwn,
}

pub const SERVERS: [Shows; 5] = [Shows::Nothing, Shows::Ours, Shows::AnothersName, Shows::Strangers, Shows::ItsOwn];

/// The five servers, their certificates and their sockets, in one folder.
pub struct Servers {
    pub base: PathBuf,
    pub ports: [u16; SERVERS.len()],
    _shell: Child,
}

pub async fn servers() -> &'static Servers {
    static SERVERS: OnceCell<Servers> = OnceCell::const_new();
    SERVERS.get_or_init(Servers::start).await
}

impl Servers {
    pub async fn start() -> Self {
        let account = Account::that_may_run_postgres();
        let binaries = newest_binaries();
        let base = env::temp_dir().join(format!("tabletalk-dsn-{}", process::id()));
        fs::create_dir(&base).expect("a new folder");
        account.owns(&base, 0o700);
        write_certificates(&base, &account);
        fs::write(base.join("password"), PASSWORD).expect("a password file");
        account.owns(&base.join("password"), 0o600);

        let template = base.join("template");
        let mut initdb = Command::new(binaries.join("initdb"));
        initdb.args(["--username=alice", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"]);
        initdb.arg("--pwfile").arg(base.join("password")).arg("--pgdata").arg(&template);
        account.run(&mut initdb, &base);
        let hba = "local all all trust\nhostssl all carol 127.0.0.1/32 cert\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(template.join("pg_hba.conf"), hba).expect("pg_hba.conf is written");

        let listeners = SERVERS.map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let ports = listeners.each_ref().map(|listener| listener.local_addr().expect("an address").port());
        for (shows, port) in SERVERS.into_iter().zip(ports) {
            let data = base.join(format!("{shows:?}"));
            account.run(Command::new("cp").arg("-R").arg(&template).arg(&data), &base);
            let folder = base.display();
            let tls = match shows {
                Shows::Nothing => "ssl = off".to_owned(),
                _ => format!(
                    "ssl = on\nssl_ca_file = '{folder}/ca.crt'\n\
                     ssl_cert_file = '{folder}/{shows:?}.crt'\nssl_key_file = '{folder}/{shows:?}.key'"
                ),
            };
            let settings = format!(
                "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{folder}'\n{tls}\n\
                 fsync = off\nshared_buffers = 4MB\nmax_connections = 30\nautovacuum = off\n"
            );
            fs::write(data.join("postgresql.conf"), settings).expect("postgresql.conf is written");
        }
        drop(listeners);

        // SIGQUIT is the immediate shutdown; a group of its own, lest a Ctrl-C for the tests stops the shell first.
        let script = r#"postgres="$1"; base="$2"; shift 2; running=
            for server; do "$postgres" -D "$base/$server" >"$base/$server.log" 2>&1 & running="$running $!"; done
            read -r _; kill -QUIT $running; wait; rm -rf "$base""#;
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(script).arg("sh").arg(binaries.join("postgres")).arg(&base);
        shell.args(SERVERS.map(|shows| format!("{shows:?}"))).process_group(0);
        account.become_it(&mut shell, &base);
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell");

        let servers = Self { base, ports, _shell: shell };
        let deadline = Instant::now() + START_DEADLINE;
        for shows in SERVERS {
            while let Err(error) = servers.dsn(shows, "sslmode=disable").connect().await {
                let log = || fs::read_to_string(servers.base.join(format!("{shows:?}.log"))).unwrap_or_default();
                assert!(Instant::now() < deadline, "{shows:?} does not start: {error}\n{}", log());
                tokio::time::sleep(POLL).await;
            }
        }
        servers
    }

    pub fn port(&self, shows: Shows) -> u16 {
        self.ports[shows as usize]
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    /// Alice's way to a server that is called localhost; ROOT stands for our authority's file.
    pub fn dsn(&self, shows: Shows, parameters: &str) -> Dsn {
        let parameters = parameters.replace("ROOT", &self.file("ca.crt").display().to_string());
        let port = self.port(shows);
        let text = format!("host=localhost hostaddr=127.0.0.1 port={port} {LOGIN} {parameters}");
        Dsn::parse(&text).expect("a good string")
    }

    pub async fn meet(&self, shows: Shows, parameters: &str) -> String {
        super::encryption(&self.dsn(shows, parameters)).await
    }
}

/// The account that runs Postgres: whoever we are, or `postgres` where that is root, whom Postgres refuses.
pub struct Account(Option<(u32, u32)>);

impl Account {
    pub fn that_may_run_postgres() -> Self {
        if !nix::unistd::geteuid().is_root() {
            return Self(None);
        }
        let user = nix::unistd::User::from_name("postgres").expect("accounts can be read").expect("an account `postgres`");
        Self(Some((user.uid.as_raw(), user.gid.as_raw())))
    }

    pub fn owns(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode is set");
        if let Some((user, group)) = self.0 {
            chown(path, Some(user), Some(group)).expect("its owner is set");
        }
    }

    pub fn become_it(&self, command: &mut Command, folder: &Path) {
        command.current_dir(folder);
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
    }

    pub fn run(&self, command: &mut Command, folder: &Path) {
        self.become_it(command, folder);
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

pub fn newest_binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("an installed Postgres").flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = versions.map(|entry| entry.path()).filter(|path| path.join("bin/postgres").exists());
    folders.max_by_key(number).expect("an installed Postgres").join("bin")
}

/// `<name>.crt` and `<name>.key` for our authority (`ca`), for each server, and for carol.
pub fn write_certificates(base: &Path, account: &Account) {
    let write = |name: &str, certificate: &Certificate, key: &KeyPair| {
        for (path, text) in [(format!("{name}.crt"), certificate.pem()), (format!("{name}.key"), key.serialize_pem())] {
            fs::write(base.join(&path), text).expect("it is written");
            account.owns(&base.join(&path), 0o600);
        }
    };
    let authority = |name: &str, hosts: &[&str]| {
        let mut parameters = parameters(name, hosts);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        write(name, &certificate, &key);
        Issuer::new(parameters, key)
    };
    let signed = |name: &str, hosts: &[&str], issuer: &Issuer<'_, KeyPair>| {
        let key = KeyPair::generate().expect("a key");
        write(name, &parameters(name, hosts).signed_by(&key, issuer).expect("a certificate"), &key);
    };
    let ours = authority("ca", &[]);
    signed("Ours", &["localhost"], &ours);
    signed("AnothersName", &["elsewhere.example"], &ours);
    signed("Strangers", &["localhost"], &authority("stranger", &[]));
    authority("ItsOwn", &["localhost"]);
    signed("carol", &[], &ours);
}

pub fn parameters(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).expect("names of hosts");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}
