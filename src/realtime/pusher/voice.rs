//! What a channel says: a session's tellings, as frames of it.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::looks::{Look, Looks};
use super::others::Presence;
use super::progress::{Ledger, Mark, Progress};
use super::shapes::{self, Room};
use super::{Pusher, Refusal, encode};
use crate::api::shapes::change::{Change, ChangeKind};
use crate::realtime::batch::{Encoding, Form, Seen};
use crate::realtime::channels::{Out, Pipe};
use crate::realtime::loopback::Unanswered;
use crate::realtime::own::Own;
use crate::realtime::session::{Ended, Session, Sink, Told};
use crate::realtime::somebody::Somebody;

/// Rooms that `rooms-updated` lists.
pub const ROOMS_LISTED: usize = 200;
/// Public rooms that are known to a channel at most: of others a change is told as if they were new.
const ROOMS_KNOWN: usize = 5_000;
/// How many of them are read at once.
const ROOMS_AT_ONCE: usize = 200;

/// What a channel is of.
#[derive(Debug)]
pub enum Scope {
    /// One chat.
    Room(Uuid),
    /// All chats of who listens.
    Mine,
    /// The public rooms: those that are known.
    Directory(HashSet<Uuid>),
}

/// A client that may come back.
pub struct Resume {
    pub id: String,
    pub found: Option<Mark>,
}

/// What puts a channel's frames into the pipe.
pub struct Voice {
    pub channel: Arc<str>,
    pub scope: Scope,
    pub looks: Looks,
    pub progress: Option<Arc<Progress>>,
    pub ledger: Arc<Ledger>,
    pub pipe: Pipe,
    pub pusher: Pusher,
    pub who: Somebody,
    /// It was subscribed with a pass: such channels hear what clients say to each other.
    pub has_pass: bool,
    pub presence: Option<Presence>,
    /// Broadcasts of its client's own, which it does not hear.
    pub own: Own,
    /// By what the client is known if it comes back, and from where on it goes on if it has.
    pub resume: Option<Resume>,
    /// Nothing more is to be told, for this reason.
    pub over: Option<Refusal>,
}

impl Voice {
    /// Says something that all channels say alike, but for their names.
    pub async fn say(&self, tail: &str) -> Result<(), Ended> {
        self.put(encode::framed(&self.channel, None, tail)).await
    }

    /// Puts a frame into the pipe.
    pub async fn put(&self, frame: String) -> Result<(), Ended> {
        self.pipe.put(Out::Text(frame)).await
    }

    /// Says that it is heard from here on: from this mark on, if the client comes back.
    pub async fn begin(&mut self, mark: Mark) -> Result<(), Ended> {
        self.meet().await?;
        if self.over.is_some() {
            return Ok(());
        }
        if let Some(Resume { id, found }) = self.resume.take() {
            let (whose, marks) = ((&self.who.identity).into(), &self.pusher.marks);
            let is_back = found.is_some();
            let mark = found.unwrap_or(mark);
            marks.begin(whose, &id, &self.channel, mark.text()).await.map_err(|_| Ended::Hangup)?;
            let progress = Arc::new(Progress::new(whose, id, self.channel.to_string(), mark));
            self.ledger.enter(&progress);
            self.progress = Some(progress);
            // of the rooms themselves it is not known what was missed
            match self.scope {
                _ if !is_back => {}
                Scope::Room(chat) => self.looks.note(chat, Instant::now()),
                Scope::Mine | Scope::Directory(_) => self.looks.note_all(Instant::now()),
            }
        }
        self.put(encode::subscribed(&self.channel, self.presence.as_ref().map(|presence| &presence.members))).await
    }

    /// Everything up to this rev was said.
    fn told_up_to(&self, rev: i64) {
        if let Some(progress) = &self.progress {
            progress.tell_rev(rev);
            self.ledger.note();
        }
    }

    /// The room's own frames follow from a look at it.
    async fn tell_change(&mut self, rev: i64, kind: ChangeKind, change: &Change, tail: Option<&str>) -> Result<(), Ended> {
        match (&self.scope, tail) {
            (Scope::Room(_), Some(tail)) => self.say(tail).await?,
            (Scope::Room(_) | Scope::Mine, None) if kind != ChangeKind::ChatDeleted => {
                self.looks.note(change.chat_id, Instant::now());
            }
            _ => {}
        }
        self.told_up_to(rev);
        Ok(())
    }

    async fn tell_live(&mut self, seen: Seen<'_>) -> Result<(), Ended> {
        let kind = seen.event.kind(seen.form);
        let change = &seen.event.change;
        if !shapes::is_of_message(change) {
            return self.tell_change(seen.rev, kind, change, None).await;
        }
        let tail = seen.event.encoding(Encoding::Pusher, seen.form, |event| match seen.form {
            Form::Gone => shapes::message_deleted(&event.change),
            Form::Created | Form::Updated => shapes::message(kind, &event.change),
        });
        self.tell_change(seen.rev, kind, change, Some(tail)).await
    }

    async fn tell_missed(&mut self, change: &Change) -> Result<(), Ended> {
        let tail = shapes::is_of_message(change).then(|| shapes::message(change.kind, change));
        self.tell_change(change.rev, change.kind, change, tail.as_deref()).await
    }

    /// Looks at what is due.
    pub async fn look(&mut self, session: &Session) -> Result<(), Ended> {
        while let Some(look) = self.looks.take(Instant::now()) {
            match look {
                Look::At(chat) => self.look_at(session, chat).await?,
                Look::AtAll => {
                    let rooms = match self.list(session).await {
                        Ok(rooms) => rooms,
                        // that it is not theirs any more the session says
                        Err(unanswered) if unanswered.is_refusal() && matches!(self.scope, Scope::Room(_)) => continue,
                        Err(unanswered) => return Err(unanswered.into()),
                    };
                    self.say(&shapes::rooms(&rooms)).await?;
                    if let Some(progress) = &self.progress {
                        progress.anew_is_told();
                        self.ledger.note();
                    }
                }
            }
        }
        Ok(())
    }

    async fn look_at(&mut self, session: &Session, chat: Uuid) -> Result<(), Ended> {
        let profile = match session.ask_again(&format!("/chats/{chat}")).await {
            Ok(profile) => Some(profile),
            Err(unanswered) if unanswered.is_refusal() => None,
            Err(unanswered) => return Err(unanswered.into()),
        };
        let room = profile.as_ref().and_then(Room::of);
        let tail = match (&mut self.scope, room) {
            // what is not theirs any more the session says
            (Scope::Mine, _) if profile.as_ref().is_none_or(|profile| !profile["myRole"].is_string()) => return Ok(()),
            (Scope::Room(_) | Scope::Mine, None) => return Ok(()),
            (Scope::Room(_) | Scope::Mine, Some(room)) => shapes::room("room-updated", &room),
            (Scope::Directory(known), Some(room)) if room.is_public() => {
                let is_new = !known.contains(&chat);
                if known.len() < ROOMS_KNOWN {
                    known.insert(chat);
                }
                shapes::room(if is_new { "room-created" } else { "room-updated" }, &room)
            }
            (Scope::Directory(known), _) => {
                if !known.remove(&chat) {
                    return Ok(());
                }
                shapes::room_deleted(chat)
            }
        };
        self.say(&tail).await
    }

    /// The rooms that there are, the first of them; of public ones, it is known from here on which there are.
    pub async fn list(&mut self, session: &Session) -> Result<Vec<Room>, Unanswered> {
        match &mut self.scope {
            Scope::Room(chat) => Ok(Room::of(&session.ask_again(&format!("/chats/{chat}")).await?).into_iter().collect()),
            Scope::Mine => Ok(rooms(&session.ask_again(&format!("/chats?limit={ROOMS_LISTED}")).await?)),
            Scope::Directory(known) => {
                known.clear();
                let (mut listed, mut cursor) = (Vec::new(), String::new());
                loop {
                    let page = session.ask_again(&format!("/rooms?limit={ROOMS_AT_ONCE}{cursor}")).await?;
                    let rooms = rooms(&page);
                    known.extend(rooms.iter().map(|room| room.id));
                    listed.extend(rooms);
                    listed.truncate(ROOMS_LISTED);
                    match page["nextCursor"].as_str() {
                        Some(next) if known.len() < ROOMS_KNOWN => cursor = format!("&cursor={next}"),
                        _ => return Ok(listed),
                    }
                }
            }
        }
    }
}

/// The rooms of a page.
fn rooms(page: &Value) -> Vec<Room> {
    page["data"].as_array().into_iter().flatten().filter_map(Room::of).collect()
}

impl Sink for Voice {
    async fn tell(&mut self, told: Told<'_>) -> Result<(), Ended> {
        // who was refused is told nothing more
        if self.over.is_some() {
            return Ok(());
        }
        match told {
            Told::Subscribed { chat, head, epoch, .. } => self.begin(Mark::at(chat, head, epoch)).await,
            Told::Refused { problem, .. } => {
                self.over = Some(Refusal::of(problem));
                Ok(())
            }
            Told::Live(seen) => self.tell_live(seen).await,
            Told::Missed { change, .. } => self.tell_missed(change).await,
            Told::Anew { head, epoch, .. } => {
                self.looks.note_all(Instant::now());
                if let (Scope::Room(_), Some(progress)) = (&self.scope, &self.progress) {
                    progress.begin_anew(head, epoch);
                }
                self.meet_again().await
            }
            Told::AllAnew | Told::Listed { chat: None } => {
                self.looks.note_all(Instant::now());
                Ok(())
            }
            Told::Listed { chat: Some(chat) } => {
                self.looks.note(chat, Instant::now());
                Ok(())
            }
            Told::Gone { chat } => {
                self.looks.forget(chat);
                self.say(&shapes::room_deleted(chat)).await?;
                if matches!(self.scope, Scope::Room(_)) {
                    self.over = Some(Refusal::new(403, "the room is not there any more, or not for who asked"));
                }
                Ok(())
            }
            Told::Entered { profile, .. } => match Room::of(profile) {
                Some(room) => self.say(&shapes::room("room-created", &room)).await,
                None => Ok(()),
            },
            Told::Aside(aside) => self.tell_aside(aside).await,
            Told::Flush => Ok(()),
        }
    }
}
