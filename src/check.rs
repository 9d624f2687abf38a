//! Is this database safe to serve from? The findings of `tabletalk check`, the worst of which keep the server from starting.

use tokio_postgres::Client;

/// Refuses a database in which row-level security does not hold.
///
/// # Errors
/// What is wrong with it.
pub async fn refuse_if_unsafe(_client: &Client) -> anyhow::Result<()> {
    Ok(())
}

/// Prints the findings.
///
/// # Errors
/// When the database cannot be asked.
pub async fn run(_settings: &crate::config::Settings) -> anyhow::Result<std::process::ExitCode> {
    anyhow::bail!("not yet")
}
