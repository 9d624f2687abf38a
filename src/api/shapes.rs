//! What several resources answer with: its wire type, how it is read from rows, and the SQL that selects it.
//!
//! Knows no operation; the resources of [`crate::api`] know it, and not each other.

pub mod change;
pub mod chat;
pub mod message;
pub mod participant;

/// Says why a chat, or anything in it, was not found: 404 or 403. Gives a row to who reads the chat.
pub const EXPECT_READER: &str = "select chat.expect_reader($1)";
