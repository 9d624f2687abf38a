//! The frames of the native protocol: JSON texts `{ "type", "payload", "chatId"?, "rev"?, "ref"? }`. Pure: no socket, no database.
//!
//! [`server`] and [`client`] say what there is, each in one table; `openapi/asyncapi.yaml` is made of both.

pub mod client;
pub mod server;
pub mod spec;
pub mod told;

use uuid::Uuid;

pub use self::client::{Asked, ClientFrame};
pub use self::server::{Kind, ServerFrame};

use self::server::{Answer, ChatAnswer, Failure, Gone, Resync, Subscribed};
use self::told::For;
use crate::realtime::asides::Aside;
use crate::realtime::batch::{Encoding, Event, Form, Seen};
use crate::realtime::session::Told;

/// What a session tells, as a frame; nothing for what is not one.
pub fn told(told: &Told<'_>) -> Option<String> {
    Some(match told {
        Told::Subscribed { chat, head, epoch, reference } => {
            ServerFrame::Ack(Answer::Subscribed(subscribed(*head, epoch))).text(Some(*chat), None, *reference)
        }
        Told::Refused { chat, problem, reference } => {
            ServerFrame::Error(Failure::of(problem)).text(Some(*chat), None, *reference)
        }
        Told::Live(seen) => live(seen),
        Told::Missed { chat, change } => {
            ServerFrame::of_change(change.kind, change, For::One).text(Some(*chat), Some(change.rev), None)
        }
        Told::Anew { chat, head, epoch } => {
            let payload = Resync { chat_id: chat.to_string(), head_rev: Some(*head), epoch: Some((*epoch).to_owned()) };
            ServerFrame::Resync(payload).text(Some(*chat), Some(*head), None)
        }
        Told::AllAnew => {
            ServerFrame::Resync(Resync { chat_id: client::ALL.to_owned(), head_rev: None, epoch: None }).text(None, None, None)
        }
        Told::Gone { chat } => ServerFrame::ChatDeleted(Gone { id: *chat }).text(Some(*chat), None, None),
        Told::Entered { chat, profile, .. } => {
            ServerFrame::ChatCreated(ChatAnswer((*profile).clone())).text(Some(*chat), None, None)
        }
        Told::Aside(aside) => {
            let encode = |aside: &Aside| {
                let frame = ServerFrame::of_aside(&aside.what);
                frame.map(|frame| frame.text(aside.chat, None, None)).unwrap_or_default()
            };
            return Some(aside.encoding(Encoding::Native, encode)).filter(|text| !text.is_empty()).map(str::to_owned);
        }
        // nobody lists rooms here
        Told::Listed { .. } | Told::Flush => return None,
    })
}

/// From where on a chat is told of.
pub fn subscribed(head_rev: i64, epoch: &str) -> Subscribed {
    Subscribed { head_rev, epoch: epoch.to_owned() }
}

/// What is wrong with a frame, by a code of the protocol's own.
pub fn wrong(chat: Option<Uuid>, code: &str, message: &str, reference: Option<&str>) -> String {
    ServerFrame::Error(Failure::new(code, message)).text(chat, None, reference)
}

/// A live event: all of the frame but its rev, which is not the same for everybody.
fn encode(event: &Event, form: Form) -> String {
    let change = &event.change;
    let frame = match form {
        Form::Gone => ServerFrame::of_what_is_gone(change),
        Form::Created | Form::Updated => ServerFrame::of_change(event.kind(form), change, For::All),
    };
    let mut text = frame.text(Some(change.chat_id), None, None);
    text.pop();
    text
}

/// The frame of a live event.
fn live(seen: &Seen<'_>) -> String {
    let encoded = seen.event.encoding(Encoding::Native, seen.form, |event| encode(event, seen.form));
    let mut text = String::with_capacity(encoded.len() + 28);
    text.push_str(encoded);
    text.push_str(",\"rev\":");
    text.push_str(&seen.rev.to_string());
    text.push('}');
    text
}
