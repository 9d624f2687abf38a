//! The commands. Each is a few lines over what the library does; what they print is for people, logs go to standard error.

mod psql;
mod why;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use crate::api::waiting::WaitingRoom;
use crate::app::{App, Database, development_secret};
use crate::auth::{self, NewToken, Role};
use crate::config::{Cli, Command, LogFormat, ProcessSettings, Settings, TokenArgs, TokenRole};
use crate::db::Db;
use crate::dsn::Dsn;
use crate::{api, app, check, postgres};

/// How long a start that is no longer wanted may take to come to an end in order.
const START_GRACE: Duration = Duration::from_secs(5);

/// The namespace of the development users' ids: UUIDv5 of a name in it.
const DEVELOPMENT_USERS: Uuid = Uuid::from_u128(0x7461_626c_6574_4c6b_8000_6465_7675_7372);

/// Runs a command.
///
/// # Errors
/// Whatever keeps it from doing what it says; the message is for a person.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    start_log(&cli.settings.process)?;
    let settings = cli.settings;
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => Box::pin(serve(&settings)).await,
        Command::Migrate => migrate(&settings).await,
        Command::Token(arguments) => {
            println!("{}", token(&settings, &arguments)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Openapi => {
            print!("{}", openapi()?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Asyncapi => {
            print!("{}", asyncapi()?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Schema { what } => schema(&settings, what).await,
        Command::Check => check::run(&settings).await,
        Command::Upkeep => upkeep(&settings).await,
        Command::Psql(arguments) => psql::run(&settings, &arguments).await,
        Command::Why(arguments) => Ok(why::run(&settings, &arguments).await),
    }
}

async fn serve(settings: &Settings) -> anyhow::Result<ExitCode> {
    // before anything starts, so that a signal during the start is not lost
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut starting = std::pin::pin!(App::start(settings));
    let app = tokio::select! {
        app = &mut starting => app?,
        _ = terminate.recv() => return abandon(starting).await,
        _ = interrupt.recv() => return abandon(starting).await,
    };
    // whoever started it may not be reading any more, and that is no reason to stop
    let _ = std::io::stdout().write_all(welcome(&app, settings)?.as_bytes());
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    tokio::select! {
        stopped = app.stop() => stopped.map(|()| ExitCode::SUCCESS),
        // who asks twice does not want to wait: what still runs is left to the next start
        _ = terminate.recv() => Ok(ExitCode::FAILURE),
        _ = interrupt.recv() => Ok(ExitCode::FAILURE),
    }
}

/// Stops what is only just starting, once it has started; what takes longer is left as a crash would leave it, to the next start.
async fn abandon(starting: impl Future<Output = anyhow::Result<App>>) -> anyhow::Result<ExitCode> {
    if let Ok(app) = tokio::time::timeout(START_GRACE, starting).await {
        app?.stop().await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a person needs to know to make the first call.
fn welcome(app: &App, settings: &Settings) -> anyhow::Result<String> {
    let url = app.url();
    let mut text = format!("\nTabletalk serves on {url}   (documents: {url}/docs)\n");
    if let Some(data) = app.database().data() {
        text += &format!("Its data is in {}\n", data.display());
    }
    if let Some(secret) = app.development_secret() {
        let token = mint(&secret.0, settings, &TokenArgs::default())?;
        // as it was started: after `cargo run` it is not on the PATH
        let program = std::env::args().next().unwrap_or_else(|| "tabletalk".to_owned());
        // the secret that signs them is in its data
        let data = app.database().data().map(|data| format!("--data '{}' ", data.display())).unwrap_or_default();
        text += &format!(
            "\nA first user, alice, with a development token:\n\n  curl {url}/users/me -H 'authorization: Bearer {token}'\n\n\
             More of them: {program} {data}token bob\n"
        );
    }
    text += "\nCtrl-C stops it.\n";
    Ok(text)
}

async fn migrate(settings: &Settings) -> anyhow::Result<ExitCode> {
    let database = Database::open(settings).await?;
    let migrated = database.migrate().await;
    database.close().await?;
    migrated?;
    println!("the database is up to date");
    Ok(ExitCode::SUCCESS)
}

async fn upkeep(settings: &Settings) -> anyhow::Result<ExitCode> {
    let done = app::upkeep::run(settings).await?;
    println!("messages removed: {}\nerasures ended: {}", done.removed, done.ended);
    if done.skipped > 0 {
        println!("left for another time, because they were busy or refused: {}", done.skipped);
    }
    Ok(ExitCode::SUCCESS)
}

async fn schema(settings: &Settings, what: crate::config::SchemaPage) -> anyhow::Result<ExitCode> {
    let database = Database::open(settings).await?;
    let page = async {
        database.migrate().await?;
        crate::schema::page(&database.api_client().await?, what).await
    };
    let page = page.await;
    database.close().await?;
    print!("{}", page?);
    Ok(ExitCode::SUCCESS)
}

fn token(settings: &Settings, arguments: &TokenArgs) -> anyhow::Result<String> {
    let secret =
        match (&settings.tokens.jwt_secret, settings.tokens.names_an_issuer() || settings.database.database_url.is_some()) {
            (Some(secret), _) => secret.clone(),
            (None, false) => {
                let data = settings.database.data_folder();
                postgres::make_data_folder(&data)?;
                development_secret(&data)?.0
            }
            (None, true) => bail!("a development token is signed with JWT_SECRET, which is not set"),
        };
    mint(&secret, settings, arguments)
}

/// A token that the server with these settings believes.
fn mint(secret: &str, settings: &Settings, arguments: &TokenArgs) -> anyhow::Result<String> {
    let mut new = new_token(arguments);
    new.audience.clone_from(&settings.tokens.jwt_audience);
    new.issuer.clone_from(&settings.tokens.jwt_issuer);
    Ok(auth::mint(secret, &new)?)
}

fn new_token(arguments: &TokenArgs) -> NewToken {
    let role = match arguments.role {
        TokenRole::Anon => Role::Anon,
        TokenRole::Authenticated => Role::Authenticated,
        TokenRole::ServiceRole => Role::ServiceRole,
    };
    let is_user = role == Role::Authenticated;
    NewToken {
        subject: is_user.then(|| user_id(&arguments.who).to_string()),
        name: (is_user && arguments.who.parse::<Uuid>().is_err()).then(|| arguments.who.clone()),
        lifetime: time::Duration::hours(arguments.hours.into()),
        admin: arguments.admin,
        ..NewToken::of(role)
    }
}

/// The id of a development user: a UUID is itself, any other name has one of its own, always the same.
pub fn user_id(who: &str) -> Uuid {
    who.parse().unwrap_or_else(|_| Uuid::new_v5(&DEVELOPMENT_USERS, who.as_bytes()))
}

/// The OpenAPI document. Needs no database: the pool behind it is never asked.
///
/// # Errors
/// When the pool cannot be built.
pub fn openapi() -> anyhow::Result<String> {
    let nowhere = Db::new(&Dsn::from_config(tokio_postgres::Config::new()), 1)?;
    Ok(api::document::document(&api::document::service(api::all(&nowhere, &WaitingRoom::new(CancellationToken::new())))))
}

/// The AsyncAPI document, as YAML.
///
/// # Errors
/// When there is no OpenAPI document to take the API's shapes from.
pub fn asyncapi() -> anyhow::Result<String> {
    let openapi = serde_json::from_str(&openapi()?)?;
    Ok(app::asyncapi::Document::beside(&openapi).yaml())
}

fn start_log(settings: &ProcessSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.log).context("TABLETALK_LOG is not a filter")?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    match settings.log_format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    Ok(())
}
