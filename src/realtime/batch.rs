//! What the relay read of a chat in one snapshot, and what of it each listener sees.
//!
//! Pure: rows and standings come from the database, which computed both; here a row's seq is compared with a standing's numbers.

use std::sync::OnceLock;

use uuid::Uuid;

use crate::api::shapes::change::{Change, ChangeKind};

/// Forms in which an event is told, and protocols in which it is.
const FORMS: usize = 3;
pub const ENCODINGS: usize = 3;
/// What an event holds in memory beside its text, in bytes: about.
const WEIGHT: usize = 1_000;

/// From where on somebody reads a chat, as `chat_private.standings` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Messages with a higher seq; also whether they read anything.
    pub reads_after: i64,
    /// Deleted messages with a higher seq; absent: none.
    pub reads_deleted_after: Option<i64>,
    /// At which rev they came or got their role; 0: they read it without being in it.
    pub since_rev: i64,
}

impl Standing {
    /// Whether they are in the chat, and not only reading it.
    pub fn is_in(self) -> bool {
        self.since_rev > 0
    }
}

/// For whom an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Whoever reads this message.
    Message { seq: i64, is_deleted: bool },
    /// Whoever could have read what was removed for good at this rev.
    Removed { rev: i64 },
    /// Whoever reads the chat.
    Readers,
}

/// In which form an event is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// What it is, and new.
    Created = 0,
    /// What it is, and known before.
    Updated = 1,
    /// That it is gone.
    Gone = 2,
}

/// In which protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Native = 0,
    Supabase = 1,
    Pusher = 2,
}

/// Something that changed.
#[derive(Debug)]
pub struct Event {
    /// Its place for who has everything up to the batch's `since`.
    pub rev: i64,
    /// At which rev the row came, and at which it changed last.
    pub born: i64,
    pub changed: i64,
    pub audience: Audience,
    pub change: Change,
    encoded: [[OnceLock<String>; FORMS]; ENCODINGS],
}

impl Event {
    /// An event, not encoded yet.
    pub fn new(change: Change, born: i64, changed: i64, audience: Audience) -> Self {
        Self { rev: change.rev, born, changed, audience, change, encoded: Default::default() }
    }

    /// What is the same of it for all who are told it in this form and protocol: made once, and shared.
    pub fn encoding(&self, protocol: Encoding, form: Form, encode: impl FnOnce(&Self) -> String) -> &str {
        self.encoded[protocol as usize][form as usize].get_or_init(|| encode(self))
    }

    /// What it holds in memory, in bytes: about.
    pub fn weight(&self) -> usize {
        WEIGHT + self.change.message.as_ref().map_or(0, |message| message.text.len())
    }
}

/// What changed in a chat between two revs, in order.
#[derive(Debug)]
pub struct Batch {
    pub chat: Uuid,
    /// It holds everything above this …
    pub since: i64,
    /// … and up to this.
    pub upto: i64,
    pub events: Vec<Event>,
    /// What it holds in memory, in bytes: about.
    pub weight: usize,
}

/// An event as one listener sees it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub event: &'a Event,
    /// Its place for this listener.
    pub rev: i64,
    pub form: Form,
}

impl Batch {
    /// What a listener sees of it who has everything up to `floor`, in the order in which they go on from there.
    ///
    /// Who came in the middle of a batch is told each row at the place where it would stand for them: a row that they have, and that
    /// changed since, at its last change. What would stand beyond the end of the batch comes with the next one.
    pub fn seen(&self, standing: Standing, floor: i64) -> Vec<Seen<'_>> {
        let mut seen: Vec<Seen<'_>> = self
            .events
            .iter()
            .filter_map(|event| {
                let rev = match event.audience {
                    Audience::Message { seq, .. } if seq <= floor => event.changed,
                    _ => event.rev,
                };
                let form = event.form(standing, floor).filter(|_| rev > floor && rev <= self.upto)?;
                Some(Seen { event, rev, form })
            })
            .collect();
        if floor > self.since {
            seen.sort_by_key(|seen| seen.rev);
        }
        seen
    }
}

impl Event {
    fn form(&self, standing: Standing, floor: i64) -> Option<Form> {
        let whole = if self.born > floor { Form::Created } else { Form::Updated };
        match self.audience {
            Audience::Message { seq, is_deleted: false } => (seq > standing.reads_after).then_some(whole),
            Audience::Message { seq, is_deleted: true } if standing.reads_deleted_after.is_some_and(|after| seq > after) => {
                Some(whole)
            }
            Audience::Message { seq, is_deleted: true } => (seq > standing.reads_after).then_some(Form::Gone),
            Audience::Removed { rev } => (rev > standing.reads_after).then_some(Form::Gone),
            Audience::Readers => Some(whole),
        }
    }

    /// What kind of change it is, told in a form.
    pub fn kind(&self, form: Form) -> ChangeKind {
        match (self.change.kind, form) {
            (ChangeKind::MessageCreated | ChangeKind::MessageUpdated, Form::Created) => ChangeKind::MessageCreated,
            (ChangeKind::MessageCreated | ChangeKind::MessageUpdated, Form::Updated) => ChangeKind::MessageUpdated,
            (ChangeKind::ParticipantJoined | ChangeKind::ParticipantUpdated, Form::Created) => ChangeKind::ParticipantJoined,
            (ChangeKind::ParticipantJoined | ChangeKind::ParticipantUpdated, Form::Updated) => ChangeKind::ParticipantUpdated,
            (kind, _) => kind,
        }
    }
}
