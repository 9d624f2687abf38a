//! The integration tests: one program, whose tree mirrors `src/`. Each test has a database of its own.

#![expect(clippy::disallowed_methods, reason = "the tests are told by the environment what to test with")]

mod audit;
mod auth;
mod backup;
mod blocks;
mod changes;
mod chats;
mod check;
mod cli;
mod clients;
mod contract;
mod dialogue;
mod document;
mod dsn;
mod events;
mod friends;
mod fuzz;
mod guards;
mod house;
mod import;
mod load;
mod messages;
mod migrate;
mod pages;
mod participants;
mod pooler;
mod postgres;
mod problems;
mod readme;
mod realtime;
mod request_path;
mod revisions;
mod schema;
mod search;
mod sql;
mod support;
mod tidy;
mod upkeep;
mod users;
mod why;
