//! What several resources answer with: its wire type, how it is read from rows, and the SQL that selects it.
//!
//! Knows no operation; the resources of [`crate::api`] know it, and not each other.

pub mod chat;
pub mod message;
