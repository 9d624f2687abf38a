//! Changes: of one chat, and of all of one's chats.

mod away;
pub mod device;
pub mod histories;
mod one_chat;
mod sync;
mod waiting;
