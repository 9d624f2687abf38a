//! What a session tells a channel, as its client hears it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use poem::http::StatusCode;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::encode;
use super::frames::{PREFIX, Version};
use super::join::{Join, Terms};
use super::keeper::Keeper;
use super::mark::{Known, Mark, Progress};
use super::rows::{Action, Column, Row, Table, place, place_of};
use crate::api::shapes::change::Change;
use crate::realtime::asides::{Aside, What};
use crate::realtime::batch::{Encoding, Form, Seen};
use crate::realtime::channels::{Out, Pipe};
use crate::realtime::loopback::Unanswered;
use crate::realtime::own::Own;
use crate::realtime::session::{Ended, Sink, Told};
use crate::wire::Timestamp;

/// By which name `system` speaks of rows.
pub const ROWS: &str = "postgres_changes";

/// The client's end of a channel.
pub struct Speaker {
    pub pipe: Pipe,
    pub version: Version,
    pub topic: String,
    pub join: Arc<Join>,
    pub progress: Progress,
    /// If its client comes back.
    pub keeper: Option<Keeper>,
    /// It listens. Until then nothing is told: it happened before, or comes with what was missed.
    pub is_joined: bool,
    /// Its client knows.
    pub is_answered: bool,
    pub hears_presence: bool,
    /// Chats by name that it waits for.
    pub awaited: BTreeSet<Uuid>,
    /// Those that it does not read, and why.
    pub refused: Vec<(Uuid, Value)>,
    /// Where the others stood when it began to listen to them.
    pub heads: BTreeMap<Uuid, i64>,
    pub due: Due,
    /// Broadcasts of its client's own, which it does not hear.
    pub own: Own,
}

/// What the channel is to do when all is told.
#[derive(Default)]
pub struct Due {
    /// Chats that it reads no more.
    pub gone: Vec<Uuid>,
    /// What people say of themselves is to be listed anew.
    pub is_present_anew: bool,
    /// Its client's person may have left the chat of the channel and come back, which ends what was said of them.
    pub is_back: bool,
}

impl Speaker {
    /// For a channel that is being joined.
    pub fn new(pipe: Pipe, version: Version, topic: String, join: Arc<Join>, progress: Progress, keeper: Option<Keeper>) -> Self {
        Self {
            hears_presence: join.hears_presence,
            pipe,
            version,
            topic,
            join,
            progress,
            keeper,
            is_joined: false,
            is_answered: false,
            awaited: BTreeSet::new(),
            refused: Vec::new(),
            heads: BTreeMap::new(),
            due: Due::default(),
            own: Own::default(),
        }
    }

    /// The channel's name, as its client has it.
    pub fn name(&self) -> &str {
        self.topic.strip_prefix(PREFIX).unwrap_or(&self.topic)
    }

    /// The mark of who is told everything from here on.
    pub fn mark_at_heads(&self, epoch: &str) -> Mark {
        let mut mark = Mark { epoch: epoch.to_owned(), ..Mark::default() };
        self.heads.iter().for_each(|(chat, head)| mark.move_to(*chat, *head));
        mark
    }

    /// Says something.
    ///
    /// # Errors
    /// When the socket is no more, or its client does not read.
    pub async fn say(&self, text: String) -> Result<(), Ended> {
        self.pipe.put(Out::Text(text)).await
    }

    /// Says something as `system`.
    ///
    /// # Errors
    /// As [`Speaker::say`].
    pub async fn system(&self, extension: &str, is_ok: bool, message: &str) -> Result<(), Ended> {
        self.say(encode::system(self.version, &self.topic, extension, is_ok, message)).await
    }

    /// Tells of a row that is read of nothing shared.
    ///
    /// # Errors
    /// As [`Speaker::say`].
    pub async fn tell_row(&self, chat: Uuid, row: &Row) -> Result<(), Ended> {
        let of = |select: Option<&[&'static Column]>| row.data(now(), select);
        for frame in self.frames((row.table, row.action), chat, &|| row.clone(), of) {
            self.say(frame).await?;
        }
        Ok(())
    }

    /// Before its client is told that it came to chats.
    ///
    /// # Errors
    /// When that could not be written down.
    pub async fn announce(&self, chats: impl IntoIterator<Item = Uuid> + Send) -> Result<(), Ended> {
        let Some(keeper) = &self.keeper else { return Ok(()) };
        let away = |_| Unanswered::of(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the database is away");
        Ok(keeper.announce(chats).await.map_err(away)?)
    }

    /// Tells that it came to a chat.
    ///
    /// # Errors
    /// As [`Speaker::say`].
    pub async fn tell_entered(&self, chat: Uuid, head: i64, profile: &Value) -> Result<(), Ended> {
        self.tell_row(chat, &Row::chat_is_entered(profile)).await?;
        // it may have shown a sign of life before it was told
        self.progress.arrives([chat]);
        self.moves_to(chat, head);
        Ok(())
    }

    async fn tell_live(&self, seen: &Seen<'_>) -> Result<(), Ended> {
        let change = &seen.event.change;
        let at = place(seen);
        let whole = |select: Option<&[&'static Column]>| match select {
            None => seen
                .event
                .encoding(Encoding::Supabase, seen.form, |event| Row::new(at, &event.change).data(now(), None))
                .to_owned(),
            some => Row::new(at, change).data(now(), some),
        };
        for frame in self.frames(at, change.chat_id, &|| Row::new(at, change), whole) {
            self.say(frame).await?;
        }
        Ok(())
    }

    /// The frames of what happened in a place, for the bindings that want it: one for those that know it by the same names.
    fn frames(
        &self,
        at: (Table, Action),
        chat: Uuid,
        row: &dyn Fn() -> Row,
        data: impl Fn(Option<&[&'static Column]>) -> String,
    ) -> Vec<String> {
        let read = std::cell::OnceCell::new();
        let mut terms: Vec<(_, Vec<u64>)> = Vec::new();
        for binding in &self.join.bindings {
            if !binding.wants(at, chat, || read.get_or_init(row)) {
                continue;
            }
            let known = binding.terms(at.0);
            match terms.iter_mut().find(|(other, _)| *other == known) {
                Some((_, ids)) => ids.push(binding.id),
                None => terms.push((known, vec![binding.id])),
            }
        }
        let frame = |(known, ids): (Terms<'_>, Vec<u64>)| {
            encode::change(self.version, &self.topic, &ids, known.schema, known.table, &data(known.select))
        };
        terms.into_iter().map(frame).collect()
    }

    fn moves_to(&self, chat: Uuid, rev: i64) {
        self.progress.set(|mark| mark.move_to(chat, rev));
    }

    /// It happened before its client knows: who comes back, and had all up to where it began to listen, has not all any more.
    fn passes_over(&mut self, chat: Uuid, rev: i64) {
        if let Some(head) = self.heads.get_mut(&chat) {
            *head = rev.max(*head);
        }
    }

    async fn live(&mut self, mut seen: Seen<'_>) -> Result<(), Ended> {
        let change = &seen.event.change;
        let chat = change.chat_id;
        if !self.is_joined {
            self.passes_over(chat, seen.rev);
            return Ok(());
        }
        match self.progress.known(change) {
            _ if seen.form == Form::Gone => {}
            Known::Whole => return Ok(()),
            Known::Before if seen.form == Form::Created => seen.form = Form::Updated,
            Known::Before | Known::Not => {}
        }
        self.tell_live(&seen).await?;
        self.moves_to(chat, seen.rev);
        Ok(())
    }

    /// Tells what was missed, but for what was not.
    ///
    /// # Errors
    /// As [`Speaker::say`].
    pub async fn missed(&mut self, chat: Uuid, change: &Change) -> Result<(), Ended> {
        if !self.is_joined {
            self.passes_over(chat, change.rev);
            return Ok(());
        }
        let mut at = place_of(change.kind, change);
        match self.progress.known(change) {
            _ if at.1 == Action::Delete => {}
            Known::Whole => return Ok(()),
            Known::Before => at.1 = Action::Update,
            Known::Not => {}
        }
        self.tell_row(chat, &Row::new(at, change)).await?;
        self.moves_to(chat, change.rev);
        Ok(())
    }

    async fn aside(&mut self, aside: &Aside) -> Result<(), Ended> {
        if !self.is_joined || aside.chat.is_none() || aside.chat != self.join.chat {
            return Ok(());
        }
        match &aside.what {
            What::Broadcast { id, .. } if self.own.take(*id) => return Ok(()),
            What::TrackedAnew => self.due.is_present_anew = true,
            _ => {}
        }
        match encode::aside(self.version, &self.topic, aside, self.hears_presence) {
            Some(out) => self.pipe.put(out).await,
            None => Ok(()),
        }
    }
}

impl Sink for Speaker {
    async fn tell(&mut self, told: Told<'_>) -> Result<(), Ended> {
        match told {
            Told::Subscribed { chat, head, .. } => {
                self.awaited.remove(&chat);
                self.heads.insert(chat, head);
                Ok(())
            }
            Told::Refused { chat, problem, .. } => {
                self.awaited.remove(&chat);
                if self.is_joined {
                    self.due.gone.push(chat);
                } else {
                    self.refused.push((chat, problem.clone()));
                }
                Ok(())
            }
            Told::Live(seen) => self.live(seen).await,
            Told::Missed { chat, change } => self.missed(chat, change).await,
            Told::Anew { chat, head, epoch } => {
                if !self.is_joined {
                    return Ok(());
                }
                self.say(encode::resync(self.version, &self.topic, Some(chat))).await?;
                // they may have come to the chat that they visited, or visit it from now on
                self.due.is_back |= self.join.chat == Some(chat);
                self.progress.set(|mark| {
                    epoch.clone_into(&mut mark.epoch);
                    // what changed is told as well
                    mark.chats.entry(chat).and_modify(|told| *told = head.min(*told)).or_insert(head);
                });
                Ok(())
            }
            Told::AllAnew => self.say(encode::resync(self.version, &self.topic, None)).await,
            Told::Gone { chat } => {
                self.awaited.remove(&chat);
                self.due.gone.push(chat);
                if self.is_joined {
                    self.tell_row(chat, &Row::chat_is_gone(chat)).await?;
                    self.progress.set(|mark| mark.chats.remove(&chat));
                }
                Ok(())
            }
            Told::Entered { chat, head, profile } => {
                // who was told so when all chats were listed is not told again
                if self.is_joined && !self.progress.set(|mark| mark.chats.contains_key(&chat)) {
                    self.announce([chat]).await?;
                    return self.tell_entered(chat, head, profile).await;
                }
                self.moves_to(chat, head);
                Ok(())
            }
            Told::Aside(aside) => self.aside(aside).await,
            Told::Listed { .. } | Told::Flush => Ok(()),
        }
    }
}

fn now() -> Timestamp {
    Timestamp(OffsetDateTime::now_utc())
}
