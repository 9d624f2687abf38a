//! Settings of the process: flags and environment, which say the same. The only reader of the environment.
//!
//! Rules are no settings: they are rows of `chat.settings`, for the DBA to change while everything runs. From here the
//! settings go to [`crate::app`], which hands each part only what it needs.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::auth::{AuthConfig, Subject};
use crate::postgres;

/// A chat backend in one binary and one Postgres.
///
/// Without DATABASE_URL it makes and runs a Postgres of its own, with a development token to try it with.
#[derive(Debug, Parser)]
#[command(name = "tabletalk", version, max_term_width = 110, propagate_version = true, subcommand_help_heading = "Commands")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Migrate, then serve (the default)
    Serve,
    /// Bring the database's schema up to date, and stop
    Migrate,
    /// Print a development token for someone
    Token(TokenArgs),
    /// Print the OpenAPI document
    Openapi,
    /// Print the AsyncAPI document: the frames of the WebSocket and of the server-sent events
    Asyncapi,
    /// Print what is generated from a migrated database: the present tense of sql/migrations
    Schema {
        /// What to print
        #[arg(value_enum)]
        what: SchemaPage,
    },
    /// Is this database safe to serve from? A table of findings; fails if one of them is bad
    Check,
    /// Remove what the settings keep no longer, end erasures that broke off, and stop
    Upkeep,
    /// Open psql, as someone: in a transaction with their role and claims, so that one sees what they see
    Psql(PsqlArgs),
    /// May somebody do something, and why: the rule, who holds it, and the fact that decided
    ///
    /// It is really done and taken back. Exits with 0 if it is allowed, 1 if it is refused, 2 if there is no answer.
    Why(WhyArgs),
}

/// What `tabletalk schema` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaPage {
    /// sql/schema.sql: every table, column, constraint, index, view, function, trigger and policy
    Schema,
    /// sql/policies.md: table, command, role, policy, rule
    Policies,
}

#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// Who: a name (always the same user for the same name), or a UUID
    #[arg(default_value = "alice")]
    pub who: String,
    /// The role the token names
    #[arg(long, value_enum, default_value_t = TokenRole::Authenticated)]
    pub role: TokenRole,
    /// Make it an instance admin's: app_metadata.role = admin
    #[arg(long)]
    pub admin: bool,
    /// How long it is valid, in hours
    #[arg(long, default_value_t = 24 * 30, value_parser = clap::value_parser!(u32).range(1..=24 * 365))]
    pub hours: u32,
}

impl Default for TokenArgs {
    /// Alice, a user, for a month.
    fn default() -> Self {
        Self { who: "alice".to_owned(), role: TokenRole::Authenticated, admin: false, hours: 24 * 30 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenRole {
    Anon,
    Authenticated,
    #[value(name = "service_role")]
    ServiceRole,
}

#[derive(Debug, Clone, Args)]
pub struct PsqlArgs {
    /// As whom: a name as in `tabletalk token`, a UUID, `anon`, `service_role`, or `owner` for the schema's owner
    #[arg(long = "as", value_name = "WHO")]
    pub who: Option<String>,
    /// Arguments for psql itself, after `--`; with --as, what `-c` and `-f` do is undone unless `-1` keeps it
    #[arg(last = true)]
    pub arguments: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub struct WhyArgs {
    /// Who: a UUID, a username or display name, `anon`, or `service_role`
    pub who: String,
    /// What they would do: select, insert, update, or delete
    pub command: String,
    /// To which table of schema chat
    pub table: String,
    /// To which row: its key, its parts joined by slashes. What is left out is who asks
    pub id: Option<String>,
    /// What they would write to a column; may be repeated
    #[arg(long, value_name = "COLUMN=VALUE")]
    pub set: Vec<String>,
    /// The same as a JSON object
    #[arg(long, value_name = "JSON")]
    pub values: Option<String>,
    /// Further claims of their token, as a JSON object
    #[arg(long, value_name = "JSON")]
    pub claims: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Settings {
    #[command(flatten)]
    pub database: DatabaseSettings,
    #[command(flatten)]
    pub tokens: TokenSettings,
    #[command(flatten)]
    pub process: ProcessSettings,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// Serve from this Postgres, as chat_api or as a login that may become it. Unset: a private server
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Migrate and make roles with this login, which needs CREATEROLE and CREATE on the database, no superuser
    #[arg(long, env = "DATABASE_ADMIN_URL", hide_env_values = true, global = true, value_name = "URL")]
    pub database_admin_url: Option<String>,
    /// A route for LISTEN that leads to Postgres itself, where DATABASE_URL leads through a pooler in transaction mode
    #[arg(long, env = "DATABASE_LISTEN_URL", hide_env_values = true, global = true, value_name = "URL")]
    pub database_listen_url: Option<String>,
    /// Folder of the private server and of the development secret [default: the platform's data folder]
    #[arg(long, env = "TABLETALK_DATA", global = true, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Folder with the binaries of the Postgres to run privately, 15 or newer [default: the newest found]
    #[arg(long, env = "TABLETALK_POSTGRES_BIN", global = true, value_name = "FOLDER")]
    pub postgres_bin: Option<PathBuf>,
    /// Where no Postgres is found, install it with the system's package manager without asking
    #[arg(long, env = "TABLETALK_INSTALL", global = true)]
    pub install: bool,
    /// What is between: `transaction` for PgBouncer's or Supavisor's transaction mode, also by `pgbouncer=true` in the URL. The login is
    /// then chat_api itself
    #[arg(long, env = "DATABASE_POOLER", global = true, value_enum, default_value_t = Pooler::None, value_name = "MODE")]
    pub database_pooler: Pooler,
    /// Connections to the database
    #[arg(long, env = "TABLETALK_POOL", global = true, default_value_t = 16, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub pool: u16,
}

/// What is between the server and Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pooler {
    /// Nothing, or a pooler that keeps a connection for a session
    None,
    /// A pooler that gives each transaction whichever connection is free
    Transaction,
}

#[derive(Clone, Args)]
#[command(next_help_heading = "Tokens")]
pub struct TokenSettings {
    /// Secret of HS256, HS384 and HS512 tokens, at least 32 bytes
    #[arg(long, env = "JWT_SECRET", hide_env_values = true, global = true, value_name = "SECRET")]
    pub jwt_secret: Option<String>,
    /// Key set of RS*, PS*, ES* and EdDSA tokens: a URL or a file
    #[arg(long, env = "JWT_JWKS", global = true, value_name = "URL|FILE")]
    pub jwt_jwks: Option<String>,
    /// Refuse tokens for another audience
    #[arg(long, env = "JWT_AUDIENCE", global = true, value_name = "AUD")]
    pub jwt_audience: Option<String>,
    /// Refuse tokens of another issuer
    #[arg(long, env = "JWT_ISSUER", global = true, value_name = "ISS")]
    pub jwt_issuer: Option<String>,
    /// What `sub` is: the user's UUID, or any string, from which the UUID is derived
    #[arg(long, env = "JWT_SUBJECT", global = true, value_enum, default_value_t = SubjectKind::Uuid, value_name = "KIND")]
    pub jwt_subject: SubjectKind,
    /// An opaque key that is the service role's, beside its tokens
    #[arg(long, env = "SERVICE_KEY", hide_env_values = true, global = true, value_name = "KEY")]
    pub service_key: Option<String>,
    /// Key with which clients of Supabase Realtime connect who have no token yet, and are nobody [default: any]
    #[arg(long, env = "SUPABASE_ANON_KEY", hide_env_values = true, global = true, value_name = "KEY")]
    pub supabase_anon_key: Option<String>,
}

impl std::fmt::Debug for TokenSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenSettings { .. }") // half of it is secret
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SubjectKind {
    Uuid,
    Derived,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Process")]
pub struct ProcessSettings {
    /// Where to listen; port 0 picks a free one and prints it
    #[arg(long, env = "TABLETALK_LISTEN", global = true, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: String,
    /// How the world reaches this server [default: http:// and the address it listens on]
    #[arg(long, env = "TABLETALK_PUBLIC_URL", global = true, value_name = "URL")]
    pub public_url: Option<String>,
    /// Origins whose pages may call this server, separated by commas; `*` for all [default: same origin and localhost]
    #[arg(long, env = "TABLETALK_ORIGINS", global = true, value_delimiter = ',', value_name = "ORIGIN")]
    pub origins: Vec<String>,
    /// Key of the application, as clients of the Pusher protocol name it
    #[arg(long, env = "PUSHER_KEY", global = true, default_value = "tabletalk", value_name = "KEY")]
    pub pusher_key: String,
    /// How often the server removes what the settings keep no longer, in seconds; `off`: `tabletalk upkeep` or a DBA does
    #[arg(long, env = "TABLETALK_UPKEEP", global = true, default_value = "300", value_name = "SECONDS|off", value_parser = Upkeep::parse)]
    pub upkeep: Upkeep,
    /// Which log lines: a tracing filter
    #[arg(long, env = "TABLETALK_LOG", global = true, default_value = "info,poem=warn", value_name = "FILTER")]
    pub log: String,
    /// How they are written
    #[arg(long, env = "TABLETALK_LOG_FORMAT", global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// How often the server does upkeep, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upkeep(Option<NonZeroU32>);

impl Upkeep {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            seconds => {
                seconds.parse().map(|seconds| Self(Some(seconds))).map_err(|_| "neither `off` nor a number of seconds".to_owned())
            }
        }
    }

    /// The time from one pass to the next; none: it does not.
    pub fn pace(self) -> Option<Duration> {
        self.0.map(|seconds| Duration::from_secs(seconds.get().into()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

impl TokenSettings {
    /// Whether anything says which tokens to believe; if not, the private server makes a development secret.
    pub fn names_an_issuer(&self) -> bool {
        self.jwt_secret.is_some() || self.jwt_jwks.is_some() || self.service_key.is_some()
    }

    /// What [`crate::auth`] needs to know of them.
    pub fn auth(&self) -> AuthConfig {
        AuthConfig {
            secret: self.jwt_secret.clone(),
            jwks: self.jwt_jwks.clone(),
            audience: self.jwt_audience.clone(),
            issuer: self.jwt_issuer.clone(),
            subject: match self.jwt_subject {
                SubjectKind::Uuid => Subject::Uuid,
                SubjectKind::Derived => Subject::Derived,
            },
            service_key: self.service_key.clone(),
        }
    }
}

impl Settings {
    /// A setting that only a server for others needs, if one is given: with it, a private database is hardly what was meant.
    pub fn of_production(&self) -> Option<&'static str> {
        let tokens = &self.tokens;
        [
            ("DATABASE_ADMIN_URL", self.database.database_admin_url.is_some()),
            ("JWT_SECRET", tokens.jwt_secret.is_some()),
            ("JWT_JWKS", tokens.jwt_jwks.is_some()),
            ("SERVICE_KEY", tokens.service_key.is_some()),
            ("TABLETALK_PUBLIC_URL", self.process.public_url.is_some()),
        ]
        .into_iter()
        .find_map(|(setting, given)| given.then_some(setting))
    }
}

impl DatabaseSettings {
    /// The data folder: the one given, or the platform's.
    #[expect(clippy::disallowed_methods, reason = "this is config.rs")]
    pub fn data_folder(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| {
            postgres::default_data_folder(
                std::env::var_os("XDG_DATA_HOME").map(Into::into),
                std::env::var_os("HOME").map(Into::into),
            )
        })
    }
}

/// Where programs are looked up: the environment's PATH.
#[expect(clippy::disallowed_methods, reason = "this is config.rs")]
pub fn search_path() -> Option<OsString> {
    std::env::var_os("PATH")
}
