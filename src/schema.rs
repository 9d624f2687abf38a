//! The present tense of the migrations.

use crate::app::Database;
use crate::config::SchemaPage;

/// A page.
pub async fn page(_database: &Database, _what: SchemaPage) -> anyhow::Result<String> {
    anyhow::bail!("not yet")
}
