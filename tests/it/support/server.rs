//! A real server on a port of its own, over a database of its own.

use clap::Parser as _;
use tabletalk::app::App;
use tabletalk::auth::{NewToken, Role, mint};
use tabletalk::config::{Cli, Settings};
use uuid::Uuid;

use super::cluster::Cluster;
use super::{Database, Person};

/// Signs the tests' tokens.
pub const SECRET: &str = "a secret of the tests, long enough for HS256";
/// The service key of the tests' servers.
pub const SERVICE_KEY: &str = "an opaque service key of the tests, long enough";

/// A running server.
pub struct TestServer {
    pub app: App,
    pub database: Database,
}

impl TestServer {
    /// A server with the defaults.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A server with further command line arguments.
    pub async fn with(arguments: &[&str]) -> Self {
        Self::over(Database::new().await, arguments).await
    }

    /// A server over a database that is there.
    pub async fn over(database: Database, arguments: &[&str]) -> Self {
        let app = App::start(&settings(&database.api_url(), arguments)).await.expect("the server starts");
        Self { app, database }
    }

    /// Someone with a token, known to the server.
    pub async fn person(&self, name: &str) -> Person {
        let person = self.stranger(name);
        person.get("/users/me").await.expect_status(200);
        person
    }

    /// Someone with a token whom the server has never seen.
    pub fn stranger(&self, name: &str) -> Person {
        stranger_at(self.app.url(), name)
    }

    /// Who comes with exactly these claims.
    pub fn bearer_of(&self, name: &str, claims: serde_json::Value) -> Person {
        let id = claims["sub"].as_str().and_then(|sub| sub.parse().ok()).unwrap_or_default();
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
        let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token");
        Person::new(name, id, self.app.url(), &token)
    }

    /// An admin of the instance.
    pub async fn admin(&self, name: &str) -> Person {
        let id = Uuid::new_v4();
        let token = NewToken { name: Some(name.to_owned()), admin: true, ..NewToken::of_user(id) };
        let person = Person::new(name, id, self.app.url(), &mint(SECRET, &token).expect("a token"));
        person.get("/users/me").await.expect_status(200);
        person
    }

    /// The host application.
    pub fn service(&self) -> Person {
        self.of_role("service", Role::ServiceRole)
    }

    /// Someone without an account.
    pub fn anon(&self) -> Person {
        self.of_role("anon", Role::Anon)
    }

    /// Someone without a token.
    pub fn nobody(&self) -> Person {
        Person::without_token(self.app.url())
    }

    fn of_role(&self, name: &str, role: Role) -> Person {
        Person::new(name, Uuid::nil(), self.app.url(), &mint(SECRET, &NewToken::of(role)).expect("a token"))
    }
}

/// Someone with a token for a server of the tests, which has never seen them.
pub fn stranger_at(url: &str, name: &str) -> Person {
    let id = Uuid::new_v4();
    let token = NewToken { name: Some(name.to_owned()), ..NewToken::of_user(id) };
    Person::new(name, id, url, &mint(SECRET, &token).expect("a token"))
}

/// The settings of a server over the database at `url`.
pub fn settings(url: &str, arguments: &[&str]) -> Settings {
    let base =
        ["tabletalk", "--listen", "127.0.0.1:0", "--database-url", url, "--jwt-secret", SECRET, "--service-key", SERVICE_KEY];
    // nothing is done behind a test's back, unless it says so
    let quiet: &[&str] = if arguments.contains(&"--upkeep") { &[] } else { &["--upkeep", "off"] };
    let listen = if arguments.contains(&"--database-listen-url") { None } else { Cluster::listen_url(url) };
    let listen = listen.as_deref().map_or_else(Vec::new, |listen| vec!["--database-listen-url", listen]);
    Cli::try_parse_from(base.iter().chain(quiet).chain(&listen).chain(arguments)).expect("the arguments fit").settings
}
