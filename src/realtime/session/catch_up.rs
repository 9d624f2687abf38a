//! What a session missed, read through the API as the one who listens.

use std::time::Duration;

use poem::http::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::sleep;
use uuid::Uuid;

use super::super::hub::CHATS_OF_ONE_MAX;
use super::{Ended, Session, Sink, Told, db_epoch};
use crate::api::shapes::change::Change;
use crate::realtime::loopback::Unanswered;

/// Chats that are listed at once.
const CHATS_AT_ONCE: u32 = 200;
/// Changes that are read at once: they are held while the other side reads them.
const CHANGES_AT_ONCE: u32 = 100;
/// How often what was missed is tried to be read while the database is away, and how long between.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// What `GET /chats/{id}/changes` answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    data: Vec<Change>,
    next_since: i64,
    head_rev: i64,
    epoch: String,
    more: bool,
    reset: bool,
}

impl Session {
    /// Tells what happened in a chat since the rev that it was told up to, as the API tells it to the one who asks.
    pub(super) async fn catch_up(&mut self, chat: Uuid, sink: &mut impl Sink) -> Result<(), Ended> {
        let mut keeps_place = self.keeps_place;
        loop {
            let Some(place) = self.places.get(&chat).filter(|place| place.waiting.is_none()) else { return Ok(()) };
            let mut path = format!("/chats/{chat}/changes?since={}&limit={CHANGES_AT_ONCE}", place.floor);
            let is_epoch = place.epoch.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
            if place.floor > 0 && place.epoch.contains('.') && is_epoch {
                path += &format!("&epoch={}", place.epoch);
            }
            let answer = match self.ask_again(&path).await {
                Err(refusal) if refusal.is_refusal() => return self.gone(chat, sink).await,
                answer => answer.map_err(Ended::Unanswered)?,
            };
            let Ok(changes) = Changes::deserialize(&answer) else { return Err(Ended::Hangup) };
            let Some(place) = self.places.get(&chat) else { return Ok(()) };
            let is_another_life = db_epoch(&place.epoch) != db_epoch(&changes.epoch);
            let is_reset = changes.reset || is_another_life && place.floor > 0;
            // who left a public room may still read it, but it is not one of theirs
            if is_reset && !place.is_asked && !self.chat(chat).await.is_ok_and(|chat| chat["myRole"].is_string()) {
                return self.gone(chat, sink).await;
            }
            let Some(place) = self.places.get_mut(&chat) else { return Ok(()) };
            if is_reset && !is_another_life && std::mem::take(&mut keeps_place) {
                // with this epoch it answers what changed, if that is known
                let epoch = db_epoch(&changes.epoch).to_owned();
                place.epoch = changes.epoch.into();
                sink.tell(Told::Anew { chat, head: changes.head_rev, epoch: &epoch }).await?;
                continue;
            }
            place.floor = if is_reset { changes.head_rev } else { changes.next_since };
            let epoch = db_epoch(&changes.epoch).to_owned();
            place.epoch = changes.epoch.into();
            if is_reset {
                return sink.tell(Told::Anew { chat, head: changes.head_rev, epoch: &epoch }).await;
            }
            for change in &changes.data {
                sink.tell(Told::Missed { chat, change }).await?;
            }
            if !changes.more {
                return Ok(());
            }
        }
    }

    /// The chats they are in, and their heads.
    ///
    /// # Errors
    /// When the API did not answer.
    pub async fn chats(&self) -> Result<Vec<(Uuid, i64)>, Ended> {
        let mut known = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.ask_again(&format!("/chats?limit={CHATS_AT_ONCE}{cursor}")).await.map_err(Ended::Unanswered)?;
            let id_and_head = |chat: &Value| Some((id(&chat["id"])?, chat["headRev"].as_i64()?));
            known.extend(page["data"].as_array().into_iter().flatten().filter_map(id_and_head));
            match page["nextCursor"].as_str() {
                Some(next) if known.len() < CHATS_OF_ONE_MAX => cursor = format!("&cursor={next}"),
                _ => return Ok(known),
            }
        }
    }

    /// Tells what happened in all of their chats since a position, and gives the one to go on from.
    pub(super) async fn walk(&self, since: String, sink: &mut impl Sink) -> Result<String, Ended> {
        let mut position = since;
        loop {
            let path = format!("/sync?limit={CHANGES_AT_ONCE}&since={position}");
            let answer = self.ask_again(&path).await.map_err(Ended::Unanswered)?;
            let list = |name: &str| answer[name].as_array().into_iter().flatten();
            if answer["reset"] == true {
                sink.tell(Told::AllAnew).await?;
            }
            for chat in list("left").filter_map(id) {
                sink.tell(Told::Gone { chat }).await?;
            }
            for entered in list("entered") {
                if let Some(chat) = id(&entered["id"]) {
                    let head = entered["headRev"].as_i64().unwrap_or(0);
                    sink.tell(Told::Anew { chat, head, epoch: &self.hub.position().0 }).await?;
                }
            }
            for change in list("data") {
                let Ok(change) = Change::deserialize(change) else { return Err(Ended::Hangup) };
                sink.tell(Told::Missed { chat: change.chat_id, change: &change }).await?;
            }
            sink.tell(Told::Flush).await?;
            answer["position"].as_str().unwrap_or_default().clone_into(&mut position);
            if answer["more"] != true {
                return Ok(position);
            }
        }
    }

    /// Reads, again and again while the database is away.
    ///
    /// # Errors
    /// With what the API answered at last, if that is not a success.
    pub async fn ask_again(&self, path: &str) -> Result<Value, Unanswered> {
        let mut tries = 0;
        loop {
            match self.ask(Method::GET, path, None).await {
                Err(unanswered) if unanswered.is_passing() && tries < TRIES => tries += 1,
                answer => return answer,
            }
            sleep(PAUSE).await;
        }
    }
}

fn id(value: &Value) -> Option<Uuid> {
    value.as_str().and_then(|id| id.parse().ok())
}
