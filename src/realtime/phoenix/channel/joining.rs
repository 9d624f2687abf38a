//! How a channel begins: who asks, whether they may, and what they missed.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::encode::{self, Asker};
use super::super::mark::{CHATS_MAX, Mark, Progress};
use super::super::out::{ROWS, Speaker};
use super::super::rows::Row;
use super::{Another, End, FORWARD, Ground, Running};
use crate::auth::Role;
use crate::realtime::session::Session;

impl<'a> Running<'a> {
    /// Begins to listen as somebody. The first time that is answered; later they go on from where they were.
    pub async fn join(
        ground: &'a Ground,
        asker: &'a Asker,
        progress: &'a Progress,
        speaker: &'a mut Speaker,
        Another(who, state): Another,
    ) -> Result<Self, End> {
        let too_many = || End::Refused("ConnectionRateLimitReached: Too many connected users".to_owned());
        let here = ground.people.enter(&who.identity).map_err(|_| too_many())?;
        let mut session = Session::new(&ground.hub, ground.api.clone(), &who.identity, who.bearer.clone());
        session.keeps_place = true;
        let join = Arc::clone(&speaker.join);
        let key = if join.key.is_empty() { Uuid::new_v4().to_string() } else { join.key.clone() };
        let wanted = join.wanted();
        let now = Instant::now();
        let forward_at = (wanted.all && ground.resume.is_some()).then(|| now + FORWARD);
        let mut running = Self {
            ground,
            asker,
            join,
            progress,
            speaker,
            wanted,
            session,
            who,
            _here: here,
            warn_at: None,
            ends_at: now,
            forward_at,
            tracking: None,
            state,
            key,
        };
        running.renew();
        running.begins().await?;
        Ok(running)
    }

    async fn begins(&mut self) -> Result<(), End> {
        let is_first = !self.speaker.is_answered;
        self.speaker.is_joined = false;
        if self.wanted.all && self.who.identity.subject.is_none() {
            let name = self.speaker.name();
            return Err(End::Refused(format!(
                "Unauthorized: You do not have permissions to read from this Channel topic: {name}. Changes of all chats need the token of \
                 a user; filter by chat_id, or id of chats"
            )));
        }
        if self.wanted.named.len() > CHATS_MAX {
            return Err(End::Refused(format!("ChannelRateLimitReached: a channel names at most {CHATS_MAX} chats")));
        }
        let epoch = self.ground.hub.position().0;
        let known = if is_first { self.finds_mark().await? } else { Some(self.progress.now()) };
        let is_of_another_life = known.as_ref().is_some_and(|known| *known.epoch != *epoch);
        let known = known.filter(|_| !is_of_another_life);
        let position = self.listens_to_all_of_it(known.as_ref()).await?;
        self.progress.set(|mark| {
            epoch.as_ref().clone_into(&mut mark.epoch);
            mark.position = known.as_ref().and_then(|known| known.position.clone()).or_else(|| position.clone());
        });
        self.writes_mark().await?;
        self.speaker.is_joined = true;
        if is_first {
            self.answers().await?;
        }
        if is_of_another_life {
            self.speaker.say(encode::resync(self.ground.version, &self.speaker.topic, None)).await?;
        }
        // what is told of them was taken until now, and what comes is told
        self.speaker.due.is_present_anew = false;
        self.tells_who_is_present().await?;
        if let Some(state) = self.state.take() {
            let _ = self.tracks(state);
        }
        match known {
            Some(known) => self.goes_on(&known).await,
            None => Ok(()),
        }
    }

    /// Listens, and waits until it does; of what happens meanwhile nothing is told. Gives where all of their chats stand, if those are meant.
    async fn listens_to_all_of_it(&mut self, known: Option<&Mark>) -> Result<Option<String>, End> {
        let named = &self.wanted.named;
        let is_of_all = self.wanted.all;
        self.progress.set(|mark| {
            mark.chats = known.map(|known| known.chats.clone()).unwrap_or_default();
            mark.chats.retain(|chat, _| is_of_all || named.contains(chat));
        });
        self.speaker.awaited.clone_from(named);
        for chat in named {
            if !self.session.subscribe(*chat, None, None) {
                return Err(End::Refused("ChannelRateLimitReached: Too many chats".to_owned()));
            }
        }
        let position = if is_of_all { Some(self.session.subscribe_all(None, self.speaker).await?) } else { None };
        while !self.speaker.awaited.is_empty() {
            let signal = self.session.next().await;
            self.session.take(signal, self.speaker).await?;
        }
        let refused = std::mem::take(&mut self.speaker.refused);
        let gone = std::mem::take(&mut self.speaker.due.gone).into_iter().map(|chat| (chat, Value::Null));
        for (chat, problem) in refused.into_iter().chain(gone) {
            self.is_refused(chat, &problem)?;
        }
        Ok(position)
    }

    /// One of the chats is not theirs to read. Of several that is no reason to tell nothing of the others; but who has no token may come back
    /// with one.
    fn is_refused(&mut self, chat: Uuid, problem: &Value) -> Result<(), End> {
        if !self.wanted.named.remove(&chat) {
            return Ok(());
        }
        self.progress.set(|mark| mark.chats.remove(&chat));
        let is_passing = problem["status"].as_u64().is_some_and(|status| status >= 500);
        let is_nobody = self.who.identity.role == Role::Anon;
        let is_all = self.wanted.named.is_empty() && !self.wanted.all;
        if is_passing {
            return Err(End::Again("UnknownErrorOnChannel: the database is away".to_owned()));
        }
        if is_nobody || is_all || self.join.chat == Some(chat) {
            let name = self.speaker.name();
            let mut why = format!("Unauthorized: You do not have permissions to read from this Channel topic: {name}");
            if self.join.chat != Some(chat) {
                why.push_str(&format!(", because of chat {chat}"));
            }
            return Err(End::Refused(why));
        }
        self.speaker.refused.push((chat, Value::Null));
        Ok(())
    }

    async fn answers(&mut self) -> Result<(), End> {
        let version = self.ground.version;
        self.speaker.is_answered = true;
        self.speaker.say(encode::reply(version, self.asker, Ok(self.join.answer()))).await?;
        if !self.join.bindings.is_empty() {
            self.speaker.system(ROWS, true, "Subscribed to PostgreSQL").await?;
        }
        if self.join.broadcasts.asks_whether_ready {
            self.speaker.system("broadcast", true, "Replication connection established").await?;
        }
        for (chat, _) in std::mem::take(&mut self.speaker.refused) {
            let message = format!("You do not have permissions to read from chat {chat}: nothing is told of it");
            self.speaker.system(ROWS, false, &message).await?;
        }
        Ok(())
    }

    /// Tells what was missed.
    async fn goes_on(&mut self, known: &Mark) -> Result<(), End> {
        let named: BTreeSet<Uuid> = self.wanted.named.iter().copied().filter(|chat| known.chats.contains_key(chat)).collect();
        self.speaker.resuming.clone_from(&named);
        for chat in named {
            self.session.subscribe(chat, known.since(chat), None);
        }
        let Some(position) = known.position.clone().filter(|_| self.wanted.all) else { return Ok(()) };
        self.speaker.due.entered.clear();
        let position = self.session.subscribe_all(Some(position), self.speaker).await?;
        self.progress.set(|mark| mark.position = Some(position));
        // chats that they came to are rows that came, too
        for chat in std::mem::take(&mut self.speaker.due.entered) {
            if let Ok(profile) = self.session.chat(chat).await {
                self.speaker.tell_row(chat, &Row::chat_is_entered(&profile)).await?;
            }
        }
        Ok(())
    }

    /// From where on its client goes on, if it was here before.
    async fn finds_mark(&self) -> Result<Option<Mark>, End> {
        let Some(resume) = &self.ground.resume else { return Ok(None) };
        let away = |_| End::Again("UnknownErrorOnChannel: the database is away".to_owned());
        let mark = self.ground.marks.find(self.who.identity.subject, resume, &self.speaker.topic).await.map_err(away)?;
        Ok(mark.and_then(|mark| serde_json::from_str(&mark).ok()))
    }

    /// Writes down from where on its client goes on, before it is told that it listens.
    async fn writes_mark(&self) -> Result<(), End> {
        let Some(resume) = &self.ground.resume else { return Ok(()) };
        let away = |_| End::Again("UnknownErrorOnChannel: the database is away".to_owned());
        let mark = self.progress.now().text();
        let user = self.who.identity.subject;
        self.ground.marks.begin(user, resume, &self.speaker.topic, mark).await.map_err(away)?;
        self.progress.begin(user);
        Ok(())
    }
}
