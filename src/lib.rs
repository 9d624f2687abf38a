//! Tabletalk: a chat backend in one binary and one Postgres.
//!
//! Three promises decide every argument. A rule is written once, in SQL: nothing in this crate decides who may. A commit
//! publishes; a handler never does. A subscriber gets exactly what they could SELECT.
//!
//! ```text
//! main ── cli ──► app ──► api/ ──► db ──► Postgres (sql/: the rules)
//!          │       │        ▲
//!        config    │        └── auth (who asks)   error, wire (what is said)
//!                  └──► migrate, postgres (the private server), dsn, pooler (how a database is reached)
//! ```
//!
//! Start with [`api`], the table of contents of what the server does, and with `sql/policies.md`, who may do it.

pub mod api;
pub mod app;
pub mod auth;
pub mod check;
pub mod cli;
pub mod config;
pub mod db;
pub mod dsn;
pub mod error;
pub mod migrate;
pub mod operations;
pub mod pooler;
pub mod postgres;
pub mod realtime;
pub mod schema;
pub mod web;
pub mod wire;
