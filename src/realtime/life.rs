//! The life of a database: what is told and kept of revs and positions holds in one life, and not in another.

use uuid::Uuid;

use crate::db::{Db, DbError};
use crate::params;

/// Which life of the database it is, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Another one after a restore or a failover: no rev holds then.
    pub epoch: String,
    /// Everything up to this was looked at for arrivals.
    pub snapshot: String,
    /// The house has policies of its own on what is told.
    pub is_strict: bool,
    /// The room that clients talk in who name none.
    pub lobby: Option<Uuid>,
    /// Who has no account reads public rooms.
    pub is_open: Option<bool>,
}

impl Life {
    /// Asks the database.
    ///
    /// # Errors
    /// When it gives no answer.
    pub async fn now(db: &Db) -> Result<Self, DbError> {
        let rows = db.read_as_relay(EPOCH, params![]).await?;
        let row = rows.first().ok_or_else(|| DbError::Fault("the database did not say which it is".into()))?;
        Ok(Self {
            epoch: row.get("epoch"),
            snapshot: row.get("snapshot"),
            is_strict: row.get("is_strict"),
            lobby: row.get("lobby"),
            is_open: row.get("is_open"),
        })
    }
}

const EPOCH: &str = "select e.epoch, e.snapshot, e.is_strict, e.lobby, e.is_open from chat.live_epoch() e";
