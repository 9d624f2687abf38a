//! Supabase Realtime.

pub mod encode;
pub mod filter;
pub mod frames;
pub mod join;
pub mod rows;
