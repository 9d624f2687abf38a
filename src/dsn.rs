//! Connection strings as libpq means them: where a database is, and how far its server is believed.
//!
//! Owns the reading of URLs and `key=value` strings with the certificates they name, and the TLS to Postgres. Knows no
//! environment (no `PGHOST`, no `~/.postgresql`), no pool, no SQL. From here the pool takes [`Dsn::config`] and
//! [`Dsn::tls`]; who needs a connection of their own calls [`Dsn::connect`].
//!
//! | `sslmode`         | TLS                  | the server's certificate                                       |
//! |-------------------|----------------------|----------------------------------------------------------------|
//! | `disable`         | never                | -                                                              |
//! | `allow`, `prefer` | if the server has it | any; with `sslrootcert`: as for `verify-ca`                    |
//! | `require`         | always               | any; with `sslrootcert`: as for `verify-ca`                    |
//! | `verify-ca`       | always               | signed by an authority of `sslrootcert`, for any name          |
//! | `verify-full`     | always               | that, and for this host; `sslrootcert=system` takes no other   |
//!
//! `prefer` is the default; sockets never use TLS. Where libpq is laxer than this, on purpose:
//! * `allow` is `prefer`, and what began as TLS never falls back to plain;
//! * a certificate file that is named must be readable, in every mode that may use TLS, and `sslmode=` is no mode;
//! * `verify-*` without `sslrootcert` believes the system's authorities. Those sign for everybody, so the name counts;
//! * names count in subjectAltName only; certificates of X.509 version 1 (`openssl x509 -req` alone) in no mode;
//! * in a URL, an `@` after the host is refused: there it is the rest of a password that wanted percent-encoding.

mod tls;

use std::collections::BTreeMap;
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use tls::{Authorities, certificates_in, client_config, no_tls, private_key};

const DSN: &str = "the connection string";
/// What the driver reads as libpq does.
const DRIVERS: &str = "application_name channel_binding connect_timeout dbname host hostaddr keepalives \
    keepalives_idle keepalives_interval load_balance_hosts options port target_session_attrs user";
/// What is read here. The rest of libpq's is refused rather than ignored: some of it asks for more safety.
const OURS: &str = "gssencmode keepalives_count password pgbouncer sslcert sslkey sslmode sslrootcert";

/// Notices that wait for whoever listens.
const NOTICES_MAX: usize = 1_000;
/// How long a connection that listens is silent before TCP asks whether the other side is still there.
const LISTENING_IDLE: Duration = Duration::from_secs(5);
/// And how long what was sent may go without an answer.
const LISTENING_SILENCE: Duration = Duration::from_secs(10);

/// Which parameter is wrong, and how. Made of this file's own words and of numbers: no piece of the connection string
/// is in it, for a piece of a badly quoted string may be a piece of the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsnError {
    #[error("parameter {0} of the connection string (in a URL: of its query) is unknown, or not supported")]
    Unknown(usize),
    #[error("{0} {1}")]
    Parameter(&'static str, &'static str),
    #[error("{0} names a file that cannot be read: {1}")]
    File(&'static str, io::ErrorKind),
}

/// Where a database is and how it is reached.
#[derive(Clone)]
pub struct Dsn {
    config: Config,
    tls: MakeRustlsConnect,
    pooled: bool,
}

impl Dsn {
    /// Reads `postgres://…`, `postgresql://…` or `key=value …`, and the certificate files that it names.
    ///
    /// # Errors
    /// [`DsnError`], which holds no piece of the string.
    pub fn parse(text: &str) -> Result<Self, DsnError> {
        let mut parameters = Parameters::default();
        match text.split_once("://").filter(|(scheme, _)| scheme.bytes().all(|letter| letter.is_ascii_alphanumeric())) {
            Some(("postgres" | "postgresql", rest)) => parameters.read_url(rest)?,
            Some(_) => return wrong(DSN, "is a URL, but starts with neither postgres:// nor postgresql://"),
            None => parameters.read_pairs(text)?,
        }
        let mut config = parameters.config()?;
        // no parameter of libpq's, but what poolers' own documents put into their URLs
        let pooled = match parameters.text("pgbouncer")? {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return wrong("pgbouncer", "must be true or false"),
        };
        Ok(Self { tls: parameters.tls(&mut config)?, config, pooled })
    }

    /// The private server's socket: no TLS.
    pub fn from_config(mut config: Config) -> Self {
        config.ssl_mode(SslMode::Disable);
        Self { config, tls: no_tls(), pooled: false }
    }

    /// Whether a pooler is said to be there that changes the connection between transactions.
    pub fn is_pooled(&self) -> bool {
        self.pooled
    }

    /// Says that there is one: the setting does, or `pgbouncer=true` in the string.
    pub fn set_pooled(&mut self) {
        self.pooled = true;
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// For the application's name, the user, the options; hosts and TLS are settled by [`Dsn::parse`].
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// How connections by [`Dsn::config`] make TLS: for the pool, and for cancelling queries.
    pub fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// One connection; the task ends with it, or it with the task.
    ///
    /// # Errors
    /// When the server cannot be reached, is not believed, or refuses the login.
    pub async fn connect(&self) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let (client, connection) = self.config.connect(self.tls()).await?;
        let database = self.redacted();
        let task = tokio::spawn(async move {
            let error = connection.await.err().map(tracing::field::display);
            tracing::debug!(database, error, "connection ended");
        });
        Ok((client, task))
    }

    /// One connection, and the payloads of what is notified to it: nothing more once it has ended.
    ///
    /// # Errors
    /// As [`Dsn::connect`].
    pub async fn connect_listening(&self) -> Result<(Client, mpsc::Receiver<String>), tokio_postgres::Error> {
        let mut config = self.config.clone();
        config.keepalives_idle(LISTENING_IDLE).tcp_user_timeout(LISTENING_SILENCE);
        let (client, mut connection) = config.connect(self.tls()).await?;
        let (sender, payloads) = mpsc::channel(NOTICES_MAX);
        tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                // who does not keep up with what is notified holds back the connection, and so the database's queue, not the memory
                if let AsyncMessage::Notification(notice) = message
                    && sender.send(notice.payload().to_owned()).await.is_err()
                {
                    return;
                }
            }
        });
        Ok((client, payloads))
    }

    /// `user@host:port,host:port/database`, for logs: never the password, nor the options.
    pub fn redacted(&self) -> String {
        let (hosts, ports) = (self.config.get_hosts(), self.config.get_ports());
        let port = |index| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        let places = hosts.iter().enumerate().map(|(index, host)| match host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", port(index)),
            Host::Tcp(name) => format!("{name}:{}", port(index)),
            Host::Unix(folder) => format!("{}:{}", folder.display(), port(index)),
        });
        let user = self.config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
        let database = self.config.get_dbname().map(|name| format!("/{name}")).unwrap_or_default();
        format!("{user}{}{database}", places.collect::<Vec<_>>().join(",")).escape_debug().to_string()
    }
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dsn({})", self.redacted())
    }
}

/// What the string says, decoded, by libpq's names; the last word on a parameter is the one that counts.
#[derive(Default)]
struct Parameters {
    values: BTreeMap<&'static str, Vec<u8>>,
    seen: usize,
}

impl Parameters {
    /// `[user[:password]@][host[:port],…][/database][?parameter=value&…]`, cut where libpq cuts.
    fn read_url(&mut self, text: &str) -> Result<(), DsnError> {
        let mut rest = text;
        if let Some(at) = text.find(['@', '/']).filter(|&at| text[at..].starts_with('@')) {
            let (user, password) = text[..at].split_once(':').unwrap_or((&text[..at], ""));
            self.set("user", decode(user)?)?;
            self.set("password", decode(password)?)?;
            rest = &text[at + 1..];
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        if place.contains('@') {
            return wrong(DSN, "has an @ after its host: within a user or a password, write @ as %40 and / as %2F");
        }
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        for host in hosts.split(',') {
            let address = host.rfind(']').map_or(0, |bracket| bracket + 1); // the colons in brackets are its own
            let end = host[address..].find(':').map_or(host.len(), |colon| address + colon);
            names.push(host[..end].trim_matches(['[', ']']));
            ports.push(host[end..].trim_start_matches(':'));
        }
        self.set("host", decode(&names.join(","))?)?;
        self.set("port", decode(&ports.join(","))?)?;
        self.set("dbname", decode(database)?)?;
        self.seen = 0;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("ssl", "true")) => self.set("sslmode", b"require".to_vec())?, // as the JDBC driver says it
                Some((name, value)) => self.set(&String::from_utf8_lossy(&decode(name)?), decode(value)?)?,
                None => return wrong(DSN, "has a query parameter without ="),
            }
        }
        Ok(())
    }

    /// `name = value name='quoted \' value'`: a backslash takes the next character as it is.
    fn read_pairs(&mut self, text: &str) -> Result<(), DsnError> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (name, value) = rest.split_once('=').ok_or(DsnError::Parameter(DSN, "has a parameter without ="))?;
            if name.trim_end().contains(char::is_whitespace) {
                return wrong(DSN, "has a parameter without =, or a value whose spaces want quotes");
            }
            let value = value.trim_start();
            let quoted = value.starts_with('\'');
            let mut characters = value.char_indices().skip(usize::from(quoted));
            let mut content = String::new();
            rest = loop {
                match characters.next() {
                    Some((end, '\'')) if quoted => break &value[end + 1..],
                    Some((end, space)) if !quoted && space.is_whitespace() => break &value[end..],
                    Some((_, '\\')) => content.extend(characters.next().map(|(_, escaped)| escaped)),
                    Some((_, character)) => content.push(character),
                    None if quoted => return wrong(DSN, "has a quote that is never closed"),
                    None => break "",
                }
            }
            .trim_start();
            self.set(name.trim_end(), content.into_bytes())?;
        }
        Ok(())
    }

    /// An empty value is none, except where that would weaken: `sslmode=$UNSET` asked for something.
    fn set(&mut self, name: &str, value: Vec<u8>) -> Result<(), DsnError> {
        self.seen += 1;
        let mut known = DRIVERS.split(' ').chain(OURS.split(' '));
        let known = known.find(|known| *known == name).ok_or(DsnError::Unknown(self.seen))?;
        if !value.is_empty() || known.starts_with("ssl") || known == "channel_binding" {
            self.values.insert(known, value);
        }
        Ok(())
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, DsnError> {
        let text = |value| str::from_utf8(value).map_err(|_| DsnError::Parameter(name, "is not UTF-8"));
        self.values.get(name).map(|value| text(value)).transpose()
    }

    /// Everything but TLS.
    fn config(&self) -> Result<Config, DsnError> {
        let mut pairs = String::new();
        for name in DRIVERS.split(' ').chain(["keepalives_count"]) {
            let Some(value) = self.text(name)? else { continue };
            let value = value.replace('\\', r"\\").replace('\'', r"\'");
            let pair = format!("{}='{value}' ", if name == "keepalives_count" { "keepalives_retries" } else { name });
            pair.parse::<Config>().map_err(|_| DsnError::Parameter(name, "has a value that it cannot have here"))?;
            pairs += &pair;
        }
        let mut config: Config = pairs.parse().expect("invariant: each of its pairs was read");
        self.values.get("password").map(|password| config.password(password));
        if !matches!(self.text("gssencmode")?, None | Some("disable" | "prefer")) {
            return wrong("gssencmode", "must be disable or prefer: there is no GSS here");
        }
        // An address without a name is its own name: the driver makes no TLS for a nameless host.
        if config.get_hosts().is_empty() {
            config.get_hostaddrs().to_vec().iter().for_each(|address| _ = config.host(address.to_string()));
        }
        let nowhere = |host: &Host| matches!(host, Host::Tcp(name) if name.is_empty() || name.contains('@'));
        match config.get_hosts() {
            hosts if hosts.is_empty() || hosts.iter().any(nowhere) => wrong("host", "is missing, or no name of a host"),
            _ => Ok(config),
        }
    }

    /// What `sslmode` and its companions come to, for the hosts in `config`.
    fn tls(&self, config: &mut Config) -> Result<MakeRustlsConnect, DsnError> {
        let root = self.text("sslrootcert")?;
        let (ssl_mode, verify, full) = match (self.text("sslmode")?, root) {
            (None, Some("system")) | (Some("verify-full"), _) => (SslMode::Require, true, true),
            (_, Some("system")) => return wrong("sslmode", "must be verify-full where sslrootcert is system"),
            (Some("verify-ca"), _) => (SslMode::Require, true, false),
            (Some("require"), _) => (SslMode::Require, false, false),
            (None | Some("allow" | "prefer"), _) => (SslMode::Prefer, false, false),
            (Some("disable"), _) => (SslMode::Disable, false, false),
            _ => return wrong("sslmode", "must be disable, allow, prefer, require, verify-ca or verify-full"),
        };
        let (hosts, addressed) = (config.get_hosts(), !config.get_hostaddrs().is_empty());
        let sockets = hosts.iter().filter(|host| matches!(host, Host::Unix(_))).count();
        // Threat: an address goes before its socket, and would be reached without the TLS that sockets do not need.
        if sockets > 0 && (addressed || sockets < hosts.len() && ssl_mode == SslMode::Require) {
            return wrong("host", "has sockets, which never use TLS, beside names or addresses that may need it");
        }
        let ssl_mode = if sockets == hosts.len() { SslMode::Disable } else { ssl_mode };
        if config.ssl_mode(ssl_mode).get_ssl_mode() == SslMode::Disable {
            return Ok(no_tls());
        }
        let client = client_config((verify || root.is_some()).then(|| Authorities::of(root, full)).transpose()?);
        let client = match (self.text("sslcert")?, self.text("sslkey")?) {
            (Some(certificates), Some(key)) => client
                .with_client_auth_cert(certificates_in("sslcert", certificates)?, private_key(key)?)
                .map_err(|_| DsnError::Parameter("sslkey", "is not the key of sslcert, or of no kind that is known"))?,
            (None, None) => client.with_no_client_auth(),
            _ => return wrong("sslcert", "and sslkey go together, and one is missing"),
        };
        Ok(MakeRustlsConnect::new(client))
    }
}

fn wrong<T>(parameter: &'static str, how: &'static str) -> Result<T, DsnError> {
    Err(DsnError::Parameter(parameter, how))
}

fn decode(text: &str) -> Result<Vec<u8>, DsnError> {
    let mut pieces = text.split('%');
    let mut decoded = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces.map(str::as_bytes) {
        let digits = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (piece.first().copied().and_then(digits), piece.get(1).copied().and_then(digits)) {
            (Some(high), Some(low)) if high + low > 0 => decoded.push(high << 4 | low),
            _ => return wrong(DSN, "has a % without two hexadecimal digits after it: write % itself as %25"),
        }
        decoded.extend(&piece[2..]);
    }
    Ok(decoded)
}
