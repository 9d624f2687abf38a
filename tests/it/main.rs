//! The integration tests: one program, whose tree mirrors `src/`. Each test has a database of its own.

mod auth;
mod dsn;
mod messages;
mod postgres;
mod request_path;
mod revisions;
mod sql;
mod support;
mod tidy;
