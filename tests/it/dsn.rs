//! Connection strings against real servers: every `sslmode` × every kind of server, and the strings that are refused.
//!
//! The servers are this file's own, on 127.0.0.1, and differ in their certificate. They run under one shell that waits
//! for the end of a pipe of which only this process has the other end: they stop with it, however it ends.

mod servers;

use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool};
use tabletalk::dsn::Dsn;
use tokio_postgres::config::{Host, SslMode};

use servers::*;

#[tokio::test]
async fn every_sslmode_meets_every_server_as_libpq_says() {
    const PLAIN: &str = "plain";
    const TLS: &str = "encrypted";
    const NO_TLS: &str = "refused: server does not support TLS";
    const ISSUER: &str = "refused: UnknownIssuer";
    const NAME: &str = "refused: not valid for name";
    const ITSELF: &str = "refused: CaUsedAsEndEntity";
    let expectations = [
        ("", [PLAIN, TLS, TLS, TLS, TLS]),
        ("sslmode=disable", [PLAIN, PLAIN, PLAIN, PLAIN, PLAIN]),
        ("sslmode=disable sslrootcert=ROOT", [PLAIN, PLAIN, PLAIN, PLAIN, PLAIN]),
        ("sslmode=allow", [PLAIN, TLS, TLS, TLS, TLS]),
        ("sslmode=prefer", [PLAIN, TLS, TLS, TLS, TLS]),
        ("sslmode=prefer sslrootcert=ROOT", [PLAIN, TLS, TLS, ISSUER, ITSELF]),
        ("sslmode=require", [NO_TLS, TLS, TLS, TLS, TLS]),
        ("sslmode=require sslrootcert=ROOT", [NO_TLS, TLS, TLS, ISSUER, ITSELF]),
        ("sslmode=verify-ca", [NO_TLS, ISSUER, ISSUER, ISSUER, ITSELF]),
        ("sslmode=verify-ca sslrootcert=ROOT", [NO_TLS, TLS, TLS, ISSUER, ITSELF]),
        ("sslmode=verify-full", [NO_TLS, ISSUER, ISSUER, ISSUER, ITSELF]),
        ("sslmode=verify-full sslrootcert=ROOT", [NO_TLS, TLS, NAME, ISSUER, ITSELF]),
        ("sslmode=verify-full sslrootcert=system", [NO_TLS, ISSUER, ISSUER, ISSUER, ITSELF]),
        ("sslrootcert=system", [NO_TLS, ISSUER, ISSUER, ISSUER, ITSELF]),
    ];
    let servers = servers().await;
    let mut surprises = Vec::new();
    for (parameters, expected) in expectations {
        for (server, expected) in SERVERS.into_iter().zip(expected) {
            let met = servers.meet(server, parameters).await;
            if met != expected {
                surprises.push(format!("{parameters:?} × {server:?}: {met}, not {expected}"));
            }
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
}

#[tokio::test]
async fn require_encrypts_and_asks_for_no_certificate_authority() {
    assert_eq!(servers().await.meet(Shows::Strangers, "sslmode=require").await, "encrypted");
}

#[tokio::test]
async fn verify_full_refuses_a_certificate_for_another_name() {
    let met = servers().await.meet(Shows::AnothersName, "sslmode=verify-full sslrootcert=ROOT").await;
    assert_eq!(met, "refused: not valid for name");
}

#[tokio::test]
async fn a_server_that_signed_its_own_certificate_is_believed_where_that_is_the_root() {
    let servers = servers().await;
    for mode in ["prefer", "require", "verify-ca", "verify-full"] {
        let parameters = format!("sslmode={mode} sslrootcert={}", servers.file("ItsOwn.crt").display());
        assert_eq!(servers.meet(Shows::ItsOwn, &parameters).await, "encrypted", "{mode}");
        assert!(servers.meet(Shows::Strangers, &parameters).await.starts_with("refused: UnknownIssuer"), "{mode}");
    }
}

#[tokio::test]
async fn an_address_without_a_name_is_encrypted_and_is_no_name_of_the_certificate() {
    let servers = servers().await;
    let address = format!("hostaddr=127.0.0.1 port={} {LOGIN}", servers.port(Shows::Ours));
    let root = servers.file("ca.crt");
    assert_eq!(meet(&address).await, "encrypted");
    let verified = format!("{address} sslmode=verify-full sslrootcert={}", root.display());
    assert_eq!(meet(&verified).await, "refused: not valid for name");
}

#[tokio::test]
async fn a_url_says_the_same_as_pairs() {
    let servers = servers().await;
    let root = servers.file("ca.crt").display().to_string().replace('/', "%2F");
    for (server, expected) in [(Shows::Ours, "encrypted"), (Shows::Strangers, "refused: UnknownIssuer")] {
        let port = servers.port(server);
        let place = format!("postgresql://alice:{PASSWORD}@localhost:{port}/postgres");
        assert_eq!(meet(&format!("{place}?sslmode=verify-full&sslrootcert={root}")).await, expected);
    }
}

#[tokio::test]
async fn sockets_never_use_tls_and_need_none() {
    let servers = servers().await;
    let folder = servers.base.display().to_string();
    let port = servers.port(Shows::Ours);
    for mode in ["prefer", "require", "verify-full"] {
        assert_eq!(meet(&format!("host={folder} port={port} {LOGIN} sslmode={mode}")).await, "plain", "{mode}");
    }
    let url = format!("postgres://alice@{}:{port}/postgres?sslmode=require", folder.replace('/', "%2F"));
    assert_eq!(meet(&url).await, "plain");
    let mut config = tokio_postgres::Config::new();
    config.host_path(&folder).port(port).user("alice").dbname("postgres").ssl_mode(SslMode::Require);
    assert_eq!(encryption(&Dsn::from_config(config)).await, "plain");
}

#[tokio::test]
async fn a_password_is_bound_to_the_channel_where_that_is_required() {
    let servers = servers().await;
    let required = "channel_binding=require";
    assert_eq!(servers.meet(Shows::Ours, required).await, "encrypted");
    assert_eq!(servers.meet(Shows::Nothing, required).await, "refused: server did not use channel binding");
}

#[tokio::test]
async fn a_client_certificate_is_a_login() {
    let servers = servers().await;
    let (alice, _task) = servers.dsn(Shows::Ours, "").connect().await.expect("alice connects");
    alice.batch_execute("create role carol login").await.expect("carol is made");
    let key = servers.file("carol.key");
    let carol = |more: &str| {
        let port = servers.port(Shows::Ours);
        format!("host=localhost hostaddr=127.0.0.1 port={port} user=carol dbname=postgres sslmode=require {more}")
    };
    let identity = format!("sslcert={} sslkey={}", servers.file("carol.crt").display(), key.display());
    assert_eq!(meet(&carol(&identity)).await, "encrypted");
    assert!(meet(&carol("")).await.starts_with("refused: "), "carol without her certificate");

    let refusal = |more: &str| Dsn::parse(&carol(more)).expect_err("refused").to_string();
    let other_key = format!("sslcert={} sslkey={}", servers.file("carol.crt").display(), servers.file("ca.key").display());
    assert_eq!(refusal(&other_key), "sslkey is not the key of sslcert, or of no kind that is known");
    let no_key = format!("sslcert={}", servers.file("carol.crt").display());
    assert_eq!(refusal(&no_key), "sslcert and sslkey go together, and one is missing");
    let open_key = servers.file("open.key");
    fs::copy(&key, &open_key).expect("the key is copied");
    fs::set_permissions(&open_key, fs::Permissions::from_mode(0o644)).expect("and is opened");
    let open = format!("sslcert={} sslkey={}", servers.file("carol.crt").display(), open_key.display());
    assert_eq!(refusal(&open), "sslkey names a file that others may use: chmod 600");
}

#[tokio::test]
async fn the_pool_connects_as_the_string_says() {
    let dsn = servers().await.dsn(Shows::Ours, "sslmode=verify-full sslrootcert=ROOT");
    let manager = Manager::from_config(dsn.config().clone(), dsn.tls(), ManagerConfig::default());
    let pool = Pool::builder(manager).max_size(1).build().expect("a pool");
    let client = pool.get().await.expect("a connection");
    let row = client.query_one("select ssl from pg_stat_ssl where pid = pg_backend_pid()", &[]).await.expect("a row");
    assert!(row.get::<_, bool>(0));
}

#[tokio::test]
async fn the_task_of_a_connection_ends_with_its_client() {
    let dsn = servers().await.dsn(Shows::Ours, "");
    let connecting = tokio::spawn(async move { dsn.connect().await }); // from within a task, as listeners do
    let (client, task) = connecting.await.expect("without a panic").expect("a connection");
    drop(client);
    tokio::time::timeout(START_DEADLINE, task).await.expect("in time").expect("without a panic");
}

#[tokio::test]
async fn the_next_host_is_tried_where_one_does_not_answer() {
    let servers = servers().await;
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let port = servers.port(Shows::Ours);
    let root = servers.file("ca.crt");
    let text = format!(
        "postgres://alice:{PASSWORD}@127.0.0.1:{closed},localhost:{port}/postgres?target_session_attrs=read-write\
         &sslmode=verify-full&sslrootcert={}",
        root.display()
    );
    assert_eq!(meet(&text).await, "encrypted");
}

#[test]
fn parameters_reach_the_driver_as_libpq_means_them() {
    let text = "postgresql://al%69ce:p%40ss%2Fw:rd?@db1:6000,[::1],db3:/ch%20at?application_name=t%27t&connect_timeout=7\
                &options=-c%20search_path%3Da,b&sslmode=prefer&target_session_attrs=read-only&keepalives_count=3";
    let dsn = Dsn::parse(text).expect("a good string");
    let config = dsn.config();
    assert_eq!(config.get_user(), Some("alice"));
    assert_eq!(config.get_password(), Some("p@ss/w:rd?".as_bytes()));
    assert_eq!(config.get_dbname(), Some("ch at"));
    assert_eq!(config.get_hosts(), ["db1", "::1", "db3"].map(|name| Host::Tcp(name.to_owned())));
    assert_eq!(config.get_ports(), [6000, 5432, 5432]);
    assert_eq!(config.get_application_name(), Some("t't"));
    assert_eq!(config.get_options(), Some("-c search_path=a,b"));
    assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(7)));
    assert_eq!(config.get_keepalives_retries(), Some(3));
    assert_eq!(dsn.redacted(), "alice@db1:6000,[::1]:5432,db3:5432/ch at");

    // The last word counts, a host in the query before the one of the URL: so Cloud SQL's sockets are written.
    let dsn = Dsn::parse("postgres://alice@localhost/chat?host=/cloudsql/a:b:c&ssl=true").expect("a good string");
    assert_eq!(dsn.redacted(), "alice@/cloudsql/a:b:c:5432/chat");
    assert_eq!(dsn.config().get_ssl_mode(), SslMode::Disable);

    let dsn = Dsn::parse(r" host = db user='al\'ice \\' password=a\ b dbname='' port=6000").expect("a good string");
    assert_eq!(dsn.config().get_user(), Some(r"al'ice \"));
    assert_eq!(dsn.config().get_password(), Some("a b".as_bytes()));
    assert_eq!(dsn.config().get_dbname(), None);
    assert_eq!(dsn.config().get_ssl_mode(), SslMode::Prefer);
}

#[test]
fn a_wrong_string_is_refused_by_the_name_of_what_is_wrong() {
    let refusals = [
        ("", "host is missing, or no name of a host"),
        ("host=alice:secret@db", "host is missing, or no name of a host"),
        ("host=db,,db", "host is missing, or no name of a host"),
        ("postgres:///chat", "host is missing, or no name of a host"),
        ("mysql://alice@db/chat", "the connection string is a URL, but starts with neither postgres:// nor postgresql://"),
        ("host=db chat", "the connection string has a parameter without ="),
        ("host=db chat now=x", "the connection string has a parameter without =, or a value whose spaces want quotes"),
        ("host='db", "the connection string has a quote that is never closed"),
        ("postgres://db/chat?sslmode", "the connection string has a query parameter without ="),
        ("postgres://d%b/chat", "the connection string has a % without two hexadecimal digits after it: write % itself as %25"),
        ("postgres://db/%00", "the connection string has a % without two hexadecimal digits after it: write % itself as %25"),
        (
            "postgres://al:p/w@db/chat",
            "the connection string has an @ after its host: within a user or a password, write @ as %40 and / as %2F",
        ),
        (
            "postgres://al:p@w@db/chat",
            "the connection string has an @ after its host: within a user or a password, write @ as %40 and / as %2F",
        ),
        (
            "postgres://db/chat?sslmode=prefer&sslmodee=require",
            "parameter 2 of the connection string (in a URL: of its query) is unknown, or not supported",
        ),
        (
            "host=db require_auth=scram-sha-256",
            "parameter 2 of the connection string (in a URL: of its query) is unknown, or not supported",
        ),
        ("host=db sslmode=verify", "sslmode must be disable, allow, prefer, require, verify-ca or verify-full"),
        ("host=db sslmode=", "sslmode must be disable, allow, prefer, require, verify-ca or verify-full"),
        ("host=db sslmode=require sslrootcert=system", "sslmode must be verify-full where sslrootcert is system"),
        ("host=db sslmode=verify-ca sslrootcert=system", "sslmode must be verify-full where sslrootcert is system"),
        ("host=db sslmode=disable sslrootcert=system", "sslmode must be verify-full where sslrootcert is system"),
        ("host=db sslmode=require sslrootcert=", "sslrootcert names a file that cannot be read: entity not found"),
        ("host=db sslrootcert=/nowhere/root.crt", "sslrootcert names a file that cannot be read: entity not found"),
        ("host=db sslrootcert=/dev/null", "sslrootcert names a file without certificates in PEM"),
        ("host=db sslkey=/dev/null", "sslcert and sslkey go together, and one is missing"),
        ("host=/run,db sslmode=require", "host has sockets, which never use TLS, beside names or addresses that may need it"),
        (
            "host=/run hostaddr=::1 sslmode=require",
            "host has sockets, which never use TLS, beside names or addresses that may need it",
        ),
        ("host=/run hostaddr=::1", "host has sockets, which never use TLS, beside names or addresses that may need it"),
        ("host=db port=x", "port has a value that it cannot have here"),
        ("host=db hostaddr=db", "hostaddr has a value that it cannot have here"),
        ("host=db connect_timeout=soon", "connect_timeout has a value that it cannot have here"),
        ("host=db channel_binding=", "channel_binding has a value that it cannot have here"),
        ("host=db target_session_attrs=standby", "target_session_attrs has a value that it cannot have here"),
        ("host=db keepalives_count=-", "keepalives_count has a value that it cannot have here"),
        ("host=db gssencmode=require", "gssencmode must be disable or prefer: there is no GSS here"),
    ];
    for (text, expected) in refusals {
        assert_eq!(Dsn::parse(text).expect_err(text).to_string(), expected, "{text}");
    }
}

#[test]
fn nothing_that_can_be_printed_contains_the_password() {
    let accepted = [
        format!("postgres://alice:{PASSWORD}@db/chat"),
        format!("postgres://db/chat?user=alice&password={PASSWORD}"),
        format!("host=db user=alice password={PASSWORD} dbname=chat"),
        format!("host=/run user=alice password='{PASSWORD}' dbname=chat"),
    ];
    for text in &accepted {
        let dsn = Dsn::parse(text).expect(text);
        assert_eq!(dsn.config().get_password(), Some(PASSWORD.as_bytes()));
        let printed = format!("{dsn:?} {dsn:#?} {} {:?}", dsn.redacted(), dsn.config());
        assert!(!printed.contains(PASSWORD), "{printed}");
    }
    let refused = [
        format!("mysql://alice:{PASSWORD}@db/chat"),
        format!("postgres://alice:p@{PASSWORD}@db/chat"),
        format!("postgres://alice:12/{PASSWORD}@db/chat"),
        format!("postgres://alice:{PASSWORD}/x@db/chat"),
        format!("postgres://alice:12/x?{PASSWORD}=x@db/chat"),
        format!("postgres://alice:%zz{PASSWORD}@db/chat"),
        format!("postgres://alice:{PASSWORD}@db:port/chat"),
        format!("postgres://alice:{PASSWORD}@db/chat?sslmode={PASSWORD}"),
        format!("postgres://alice:x@db/chat?{PASSWORD}={PASSWORD}"),
        format!("host=db password=two {PASSWORD}"),
        format!("host=db password=two {PASSWORD}=x"),
        format!("host=db password='{PASSWORD}"),
        format!("host=db password={PASSWORD} port={PASSWORD}"),
        format!("host=db sslrootcert='/x password={PASSWORD}'"),
        format!("host=db sslcert='/x password={PASSWORD}' sslkey={PASSWORD}"),
    ];
    for text in &refused {
        let error = Dsn::parse(text).expect_err(text);
        assert!(!format!("{error} {error:?} {error:#?}").contains(PASSWORD), "{error}");
    }
}

/// How a connection comes out: `plain`, `encrypted`, or why it was refused.
async fn meet(text: &str) -> String {
    encryption(&Dsn::parse(text).expect("a good string")).await
}

pub async fn encryption(dsn: &Dsn) -> String {
    let (client, _task) = match dsn.connect().await {
        Ok(connection) => connection,
        Err(error) => {
            let causes = std::iter::successors(Some(&error as &dyn Error), |error| (*error).source());
            let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
            let known = [
                "server does not support TLS",
                "server did not use channel binding",
                "UnknownIssuer",
                "not valid for name",
                "CaUsedAsEndEntity",
            ];
            return format!("refused: {}", known.into_iter().find(|known| text.contains(known)).unwrap_or(&text));
        }
    };
    let row = client.query_one("select ssl from pg_stat_ssl where pid = pg_backend_pid()", &[]).await.expect("a row");
    if row.get(0) { "encrypted".to_owned() } else { "plain".to_owned() }
}
