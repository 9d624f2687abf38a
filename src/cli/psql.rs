//! `tabletalk psql`: psql, as someone.
//!
//! With `--as`, it opens inside a transaction with that person's role and claims, so that one sees what they see and may what they
//! may. The transaction starts anew after COMMIT or ROLLBACK only if one begins it: whoever leaves it is the login again.

use std::io::Write as _;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, bail};
use tokio::process::Command;
use tokio_postgres::config::Host;

use crate::app::Database;
use crate::config::{PsqlArgs, Settings};
use crate::dsn::Dsn;

/// Opens psql on the database that the settings name, with the login that migrates where there is one.
///
/// # Errors
/// When there is no psql, or no database.
pub async fn run(settings: &Settings, arguments: &PsqlArgs) -> anyhow::Result<ExitCode> {
    let database = Database::open(&settings.database).await?;
    let result = open(&database, settings, arguments).await;
    database.close().await?;
    result
}

async fn open(database: &Database, settings: &Settings, arguments: &PsqlArgs) -> anyhow::Result<ExitCode> {
    // what psql runs first: a file, so that the claims are on nobody's command line
    let start = std::env::temp_dir().join(format!("tabletalk-psql-{}", uuid::Uuid::new_v4()));
    let mut psql = Command::new("psql");
    match (&settings.database.database_admin_url, &settings.database.database_url) {
        (Some(url), _) | (None, Some(url)) => psql.arg(url),
        (None, None) => psql.envs(environment(database.admin().unwrap_or_else(|| database.api()))),
    };
    if let Some(who) = &arguments.who {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&start)?;
        writeln!(file, "{}", opening(who))?;
        psql.env("PSQLRC", &start);
    }
    psql.args(&arguments.arguments).stdin(Stdio::inherit());
    // Ctrl-C is psql's to answer: it cancels a statement there
    let _ignored = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let ended = psql.status().await;
    if arguments.who.is_some() {
        std::fs::remove_file(&start)?;
    }
    match ended {
        Ok(status) => Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("there is no psql here; on Debian and Ubuntu it is in the package postgresql-client")
        }
        Err(error) => Err(error).context("psql cannot be started"),
    }
}

/// libpq's variables for a database, so that no password is on a command line.
fn environment(dsn: &Dsn) -> Vec<(&'static str, String)> {
    let config = dsn.config();
    let host = config.get_hosts().first().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let port = config.get_ports().first().map(u16::to_string);
    [
        ("PGHOST", host),
        ("PGPORT", port),
        ("PGUSER", config.get_user().map(str::to_owned)),
        ("PGDATABASE", config.get_dbname().map(str::to_owned)),
        ("PGPASSWORD", config.get_password().and_then(|p| String::from_utf8(p.to_vec()).ok())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

/// What psql runs first to be someone.
fn opening(who: &str) -> String {
    let (role, claims) = match who {
        "owner" => ("chat_owner", String::new()),
        "anon" | "service_role" | "chat_auditor" => (who, serde_json::json!({ "role": who }).to_string()),
        _ => {
            ("authenticated", serde_json::json!({ "sub": super::user_id(who), "role": "authenticated", "name": who }).to_string())
        }
    };
    let claims = claims.replace('\'', "''");
    format!(
        "\\set QUIET on\nbegin;\nset local role {role};\nselect set_config('request.jwt.claims', '{claims}', true) \\g /dev/null\n\
         \\set PROMPT1 '{who_prompt}%R%x%# '\n\\unset QUIET\n\\echo 'In a transaction as {who_prompt}: commit to keep what you do, and to end it.'",
        who_prompt = who.chars().filter(|c| c.is_ascii_alphanumeric() || "_.-".contains(*c)).collect::<String>(),
    )
}
