//! `tabletalk psql`: psql, as someone.
//!
//! With `--as`, the session takes that person's role and claims, so that one sees what they see and may what they may, also after
//! COMMIT; and it begins a transaction, so that nothing is kept unless one says so. `-c`, `-f` and standard input run in it:
//! `-1`, or a COMMIT of one's own, keeps what they do.
//!
//! Threat: `ps`, the shell's history, other accounts of the machine. No password and no claim stands on psql's command line.

mod conninfo;

use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, bail};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::config::Host;

use crate::app::Database;
use crate::config::{DatabaseSettings, PsqlArgs, Settings};
use crate::dsn::Dsn;

/// What comes from a command or a file ends with its first error, and says so by its exit code.
const STRICT: &str = "ON_ERROR_STOP=1";

/// libpq's variables that would lead psql elsewhere than the settings say.
const LEADING_ASTRAY: [&str; 7] = ["PGSERVICE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD"];

/// Opens psql on the database that the settings name: as somebody, with the login that serves, which may become everybody; else
/// with the login that migrates, where there is one.
///
/// # Errors
/// When there is no psql, or no database.
pub async fn run(settings: &Settings, arguments: &PsqlArgs) -> anyhow::Result<ExitCode> {
    if arguments.who.is_some() && arguments.arguments.iter().any(|argument| skips_psqlrc(argument)) {
        bail!("--as works by what psql runs first, which -X (--no-psqlrc) skips: leave one of them out");
    }
    let database = Database::open(settings).await?;
    let result = open(&database, &settings.database, arguments).await;
    database.close().await?;
    result
}

async fn open(database: &Database, settings: &DatabaseSettings, arguments: &PsqlArgs) -> anyhow::Result<ExitCode> {
    let mut psql = Command::new("psql");
    for name in LEADING_ASTRAY {
        psql.env_remove(name);
    }
    let with_api = matches!(arguments.who.as_deref(), Some(who) if who != "owner") || database.admin().is_none();
    let dsn = if with_api { database.api() } else { database.admin().unwrap_or_else(|| database.api()) };
    match if with_api { &settings.database_url } else { &settings.database_admin_url } {
        Some(url) => psql.arg("--dbname").arg(conninfo::without_password(url)),
        None => psql.envs(private(dsn)),
    };
    if let Some(password) = dsn.config().get_password() {
        psql.env("PGPASSWORD", OsString::from_vec(password.to_vec()));
    }
    let opening = arguments.who.as_deref().map(Opening::write).transpose()?;
    if let Some(opening) = &opening {
        psql.env("PSQLRC", opening.file());
    }
    if opening.is_none() {
        psql.arg(format!("--set={STRICT}"));
    }
    psql.args(&arguments.arguments).stdin(Stdio::inherit()).kill_on_drop(true);
    // Ctrl-C is psql's to answer: it cancels a statement there. SIGTERM and SIGHUP end psql, and then us, in order.
    let (mut interrupt, mut terminate, mut hang_up) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut running = match psql.spawn() {
        Ok(running) => running,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("there is no psql here; on Debian and Ubuntu it is in the package postgresql-client")
        }
        Err(error) => return Err(error).context("psql cannot be started"),
    };
    loop {
        tokio::select! {
            ended = running.wait() => {
                let code = ended?.code().and_then(|code| u8::try_from(code).ok());
                return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
            }
            _ = interrupt.recv() => {}
            _ = terminate.recv() => end(&running)?,
            _ = hang_up.recv() => end(&running)?,
        }
    }
}

/// Asks psql to end.
fn end(running: &tokio::process::Child) -> anyhow::Result<()> {
    let pid = running.id().and_then(|id| i32::try_from(id).ok()).context("psql has ended")?;
    Ok(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)?)
}

/// Whether an argument of psql is -X, also in a bundle as `-qX`. Letters behind one that takes a value are that value.
fn skips_psqlrc(argument: &str) -> bool {
    let bundle = argument.strip_prefix('-').filter(|rest| !rest.starts_with('-')).unwrap_or_default();
    let flags = bundle.chars().take_while(|letter| !"cdfFhLopPRTUv".contains(*letter));
    // GNU's long options may be shortened as far as they are told apart
    let long = argument.strip_prefix("--").is_some_and(|name| name.starts_with("no-p") && "no-psqlrc".starts_with(name));
    long || flags.into_iter().any(|letter| letter == 'X')
}

/// libpq's variables for the private server.
fn private(dsn: &Dsn) -> Vec<(&'static str, String)> {
    let config = dsn.config();
    let host = config.get_hosts().first().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let variables = [
        ("PGHOST", host),
        ("PGPORT", config.get_ports().first().map(u16::to_string)),
        ("PGUSER", config.get_user().map(str::to_owned)),
        ("PGDATABASE", config.get_dbname().map(str::to_owned)),
    ];
    variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A file of what psql runs first, in a folder for ourselves alone: beside it psql looks for one of its own version, and prefers that. It
/// goes when this does.
struct Opening(PathBuf);

impl Opening {
    fn write(who: &str) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("tabletalk-psql-{}", uuid::Uuid::new_v4()));
        DirBuilder::new().mode(0o700).create(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let opening = Self(folder);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(opening.file())?;
        file.write_all(commands(who).as_bytes())?;
        Ok(opening)
    }

    fn file(&self) -> PathBuf {
        self.0.join("psqlrc")
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a temporary folder stays behind");
        }
    }
}

/// What psql runs first to be someone.
fn commands(who: &str) -> String {
    let (role, claims) = match who {
        "owner" => ("chat_owner", String::new()),
        "anon" | "service_role" => (who, serde_json::json!({ "role": who }).to_string()),
        _ => {
            let mut claims = serde_json::json!({ "sub": super::user_id(who), "role": "authenticated" });
            if who.parse::<uuid::Uuid>().is_err() {
                claims["name"] = who.into();
            }
            ("authenticated", claims.to_string())
        }
    };
    // within quotes psql looks for neither variables nor backslash commands; JSON has no line breaks of its own
    let claims = claims.replace('\'', "''");
    // a name is turned into an id, so a mistyped one is somebody else's
    let is_known = if role == "authenticated" { "exists (select from chat.users where id = chat.uid())" } else { "true" };
    let shown: String = who.chars().filter(|c| c.is_alphanumeric() || "_.-".contains(*c)).collect();
    // If it cannot be done, the transaction is left failed: nothing runs as the login by mistake, whatever comes next.
    format!(
        "\\set tabletalk_quiet :QUIET
\\set QUIET on
begin;
set role {role};
select set_config('request.jwt.claims', '{claims}', false) \\g /dev/null
\\if :ERROR
\\warn 'This login cannot be {shown}.'
\\else
commit;
begin;
\\set PROMPT1 '{shown}%R%x%# '
\\set PROMPT2 '{shown}%R%x%# '
\\warn 'In a transaction as {shown}: what you do is undone at the end unless you commit.'
\\set tabletalk_unknown false
savepoint tabletalk;
select not {is_known} as tabletalk_unknown \\gset
rollback to savepoint tabletalk;
release savepoint tabletalk;
\\if :tabletalk_unknown
\\warn 'No user {shown} is known here yet.'
\\endif
\\unset tabletalk_unknown
\\set ON_ERROR_ROLLBACK interactive
\\set ON_ERROR_STOP 1
\\endif
\\set QUIET :tabletalk_quiet
"
    )
}

#[cfg(test)]
mod tests {
    use super::skips_psqlrc;

    #[test]
    fn what_skips_psqlrc_is_recognised() {
        for argument in ["-X", "-qX", "-AtXq", "--no-psqlrc", "--no-p"] {
            assert!(skips_psqlrc(argument), "{argument}");
        }
        for argument in ["-c", "-cX", "-x", "-At", "-vX=1", "select 'X'", "-", "--", "--no-password", "--no-readline", "X"] {
            assert!(!skips_psqlrc(argument), "{argument}");
        }
    }
}
