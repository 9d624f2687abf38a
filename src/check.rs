//! Is this database safe to serve from? The findings of `tabletalk check`, the worst of which keep the server from starting.
//!
//! What has to be true stands in SQL beside this file, a DBA's questions with their remedies: `safety.sql` is asked at each start,
//! `advice.sql` by the command alone, which also compares the schema with `sql/schema.sql` ([`drift`]) and tries the token settings.

mod drift;
mod report;

use anyhow::{Context as _, bail};
use tokio_postgres::Client;

use crate::app::Database;
use crate::auth::Authenticator;
use crate::config::Settings;
use crate::migrate::{self, State};

pub use report::{Finding, Level, Report};

const SAFETY: &str = include_str!("check/safety.sql");
const ADVICE: &str = include_str!("check/advice.sql");
/// Tries a statement outside of a request, and says in a setting what came of it: an error would end the transaction that is around it
/// behind a pooler.
const OUTSIDE: &str = "
do $$
begin
  perform from chat.messages limit 1;
  perform set_config('chat.outside', 'allowed', false);
exception when insufficient_privilege then
  perform set_config('chat.outside', 'refused', false);
end
$$";
/// The oldest major version of Postgres that will do.
const OLDEST: i32 = 15;

/// Refuses a database in which row-level security does not hold. `client` is the login that serves, become `chat_api`.
///
/// # Errors
/// What is wrong with it.
pub async fn refuse_if_unsafe(client: &Client) -> anyhow::Result<()> {
    let mut report = Report::default();
    safety(client, &mut report).await?;
    if report.is_bad() {
        bail!("this database is not safe to serve from; `tabletalk check` says more\n{}", report.only(Level::Bad));
    }
    Ok(())
}

/// Asks everything, of the database and of the token settings.
///
/// # Errors
/// When the database cannot be asked; that it is unsafe is a finding.
pub async fn report(settings: &Settings) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let database = Database::open(settings).await?;
    let asked = ask(&database, &mut report).await;
    let tokens = tokens(settings, &database, &mut report).await;
    database.close().await?;
    asked.and(tokens).map(|()| report)
}

/// Prints the findings; fails if one of them is bad.
///
/// # Errors
/// When the database cannot be asked.
pub async fn run(settings: &Settings) -> anyhow::Result<std::process::ExitCode> {
    let report = report(settings).await?;
    print!("{report}");
    Ok(if report.is_bad() { std::process::ExitCode::FAILURE } else { std::process::ExitCode::SUCCESS })
}

async fn ask(database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let client = match database.api_client().await {
        Ok(client) => client,
        Err(error) => {
            report.bad("the login reaches the database and may become chat_api", format!("{error:#}"), "see DATABASE_URL");
            return Ok(());
        }
    };
    report.ok("the login reaches the database and may become chat_api", database.api().redacted());

    let version: i32 = client.query_one("select current_setting('server_version_num')::integer", &[]).await?.get(0);
    let (major, what) = (version / 10_000, format!("Postgres is {OLDEST} or newer"));
    if major < OLDEST {
        report.bad(&what, format!("it is {major}"), "upgrade it");
    } else {
        report.ok(&what, major.to_string());
    }

    let what = "every migration has run";
    match migrate::state(&client).await? {
        State::UpToDate => report.ok(what, String::new()),
        State::Ahead => report.bad(what, "a newer Tabletalk migrated it".to_owned(), "run that one"),
        State::Draft => {
            report.bad(what, migrate::DRAFT.to_owned(), "run the program that made it");
            return Ok(());
        }
        State::Behind => {
            report.bad(what, "some are missing".to_owned(), "tabletalk migrate, with DATABASE_ADMIN_URL");
            return Ok(()); // what there is cannot be compared with what there should be
        }
    }
    safety(&client, report).await?;
    client.batch_execute("set search_path = pg_catalog").await?;
    let installer = database.admin().and_then(|admin| admin.config().get_user());
    for row in client.query(ADVICE, &[&installer]).await.context("advice.sql")? {
        report.push(Finding::of(&row));
    }
    drift::find(&client, report).await
}

/// safety.sql, and one try at what must not work.
async fn safety(client: &Client, report: &mut Report) -> anyhow::Result<()> {
    client.batch_execute("set search_path = pg_catalog").await?;
    for row in client.query(SAFETY, &[]).await.context("safety.sql")? {
        report.push(Finding::of(&row));
    }
    // not read from the catalogue but tried, on a connection like the pool's: a statement outside its envelope gets nothing
    let what = "a statement outside a request is refused";
    client.batch_execute(OUTSIDE).await.context("whether chat_api is refused cannot be tried")?;
    if client.query_one("select current_setting('chat.outside') = 'refused'", &[]).await?.get(0) {
        report.ok(what, String::new());
    } else {
        report.bad(what, "chat_api reads chat.messages".to_owned(), "revoke what lets it: see the findings about chat_api");
    }
    client.batch_execute("reset search_path").await?;
    Ok(())
}

/// Whether the settings say which tokens to believe, and the keys are there.
async fn tokens(settings: &Settings, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let what = "the settings say which tokens to believe";
    if !settings.tokens.names_an_issuer() {
        match database.data() {
            Some(_) => report.warning(
                what,
                "the private server's development secret".to_owned(),
                "good to try things with; for more, set JWT_SECRET or JWT_JWKS",
            ),
            None => report.bad(what, "nothing does".to_owned(), "set JWT_SECRET or JWT_JWKS"),
        }
        return Ok(());
    }
    let authenticator = match Authenticator::new(&settings.tokens.auth()).await {
        Ok(authenticator) => authenticator,
        Err(error) => {
            report.bad(what, error.to_string(), "see `tabletalk --help`, Tokens");
            return Ok(());
        }
    };
    match authenticator.probe().await {
        Err(error) => report.bad(what, error.to_string(), "see JWT_JWKS: until it answers, its tokens get a 503"),
        Ok(believed) => {
            let mut kinds = Vec::new();
            kinds.extend(believed.secret.then(|| "JWT_SECRET".to_owned()));
            kinds.extend(believed.service_key.then(|| "SERVICE_KEY".to_owned()));
            let mut unusable = false;
            if let Some(keys) = &believed.jwks {
                kinds.push(format!("{} of {} keys at {}", keys.usable, keys.usable + keys.ignored, keys.location));
                unusable = keys.usable == 0;
            }
            if unusable {
                report.bad(what, kinds.join(", "), "the key set holds no key that can verify a token");
            } else {
                report.ok(what, kinds.join(", "));
            }
        }
    }
    Ok(())
}
