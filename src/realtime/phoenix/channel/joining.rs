//! How a channel begins: who asks, whether they may, and what they missed.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::encode::{self, Asker};
use super::super::mark::{CHATS_MAX, Mark, Progress};
use super::super::out::{ROWS, Speaker};
use super::super::rows::Row;
use super::{Another, End, Ground, Running, STATE_EVERY, STATES_AT_ONCE};
use crate::api::shapes::change::Change;
use crate::auth::Role;
use crate::realtime::session::Session;
use crate::realtime::socket::Credit;

/// Changes that are read at once: they are held while the client reads them.
const CHANGES_AT_ONCE: u32 = 100;

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
            ends_at: Instant::now(),
            tracking: None,
            credit: Credit::of(STATES_AT_ONCE, STATE_EVERY),
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
        let away = |_| End::Again("UnknownErrorOnChannel: the database is away".to_owned());
        let whose = (&self.who.identity).into();
        let mut known = match &self.speaker.keeper {
            _ if !is_first => Some(self.progress.now()),
            Some(keeper) => keeper.find(whose).await.map_err(away)?,
            None => None,
        };
        let arriving = known.as_mut().map(|known| std::mem::take(&mut known.arriving)).unwrap_or_default();
        self.progress.arrives(arriving.iter().copied());
        let is_of_another_life = known.as_ref().is_some_and(|known| *known.epoch != *epoch);
        self.listens_to_all_of_it().await?;
        // what they have until they are told more: also in another life, until they are told that it is one
        self.progress.set(|mark| *mark = known.clone().unwrap_or_else(|| self.speaker.mark_at_heads(&epoch)));
        if let Some(keeper) = &self.speaker.keeper {
            keeper.begin(whose).await.map_err(away)?;
        }
        self.speaker.is_joined = true;
        if is_first {
            self.answers().await?;
        }
        if is_of_another_life {
            self.speaker.say(encode::resync(self.ground.version, &self.speaker.topic, None)).await?;
            self.progress.set(|mark| *mark = self.speaker.mark_at_heads(&epoch));
        }
        // what is told of them was taken until now, and what comes is told
        self.speaker.due.is_present_anew = false;
        self.tells_who_is_present(false).await?;
        match known.filter(|_| !is_of_another_life) {
            Some(known) => self.goes_on(&known, &arriving).await,
            None => Ok(()),
        }
    }

    /// Listens, and waits until it does; of what happens meanwhile nothing is told.
    async fn listens_to_all_of_it(&mut self) -> Result<(), End> {
        self.speaker.heads.clear();
        self.speaker.awaited.clone_from(&self.wanted.named);
        for chat in &self.wanted.named {
            if !self.session.subscribe(*chat, None, None) {
                return Err(End::Refused("ChannelRateLimitReached: Too many chats".to_owned()));
            }
        }
        if self.wanted.all {
            self.session.subscribe_all(None, self.speaker).await?;
            let chats = self.session.chats().await?;
            self.speaker.heads.extend(chats);
        }
        while !self.speaker.awaited.is_empty() {
            let signal = self.session.next().await;
            self.session.take(signal, self.speaker).await?;
        }
        let refused = std::mem::take(&mut self.speaker.refused);
        let gone = std::mem::take(&mut self.speaker.due.gone).into_iter().map(|chat| (chat, Value::Null));
        for (chat, problem) in refused.into_iter().chain(gone) {
            self.is_refused(chat, &problem)?;
        }
        Ok(())
    }

    /// One of the chats is not theirs to read. Of several that is no reason to tell nothing of the others; but who has no token may come back
    /// with one.
    fn is_refused(&mut self, chat: Uuid, problem: &Value) -> Result<(), End> {
        if !self.wanted.named.remove(&chat) {
            return Ok(());
        }
        self.speaker.heads.remove(&chat);
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

    /// Tells what was missed. Its mark moves with what is told, and not before: who is cut meanwhile is told it when they come back.
    async fn goes_on(&mut self, known: &Mark, arriving: &BTreeSet<Uuid>) -> Result<(), End> {
        let heads = std::mem::take(&mut self.speaker.heads);
        let mut begun = Vec::new();
        let has_come = |chat: &&Uuid| !known.chats.contains_key(chat) && !self.wanted.named.contains(chat) && !known.is_partial;
        let come: Vec<Uuid> = heads.keys().filter(has_come).copied().collect();
        if !come.is_empty() {
            self.speaker.announce(come).await?;
        }
        for (&chat, &head) in &heads {
            match known.chats.get(&chat) {
                Some(rev) if *rev != head => self.tells_since(chat, *rev).await?,
                Some(_) => {}
                None if self.wanted.named.contains(&chat) || known.is_partial => begun.push((chat, head)),
                // chats that they came to are rows that came
                None => match self.session.chat(chat).await {
                    Ok(profile) => self.speaker.tell_entered(chat, head, &profile).await?,
                    // lost again
                    Err(refusal) if refusal.is_refusal() => {}
                    Err(unanswered) => return Err(unanswered.into()),
                },
            }
        }
        for &chat in known.chats.keys().chain(arriving).filter(|chat| !heads.contains_key(chat)) {
            self.speaker.tell_row(chat, &Row::chat_is_gone(chat)).await?;
            // it may have shown a sign of life before it was told
            self.progress.arrives([chat]);
            self.progress.set(|mark| mark.chats.remove(&chat));
        }
        if known.is_partial {
            // of some chats nobody knows what they have
            self.speaker.say(encode::resync(self.ground.version, &self.speaker.topic, None)).await?;
        }
        self.progress.set(|mark| begun.into_iter().for_each(|(chat, head)| mark.move_to(chat, head)));
        Ok(())
    }

    /// Tells what happened in a chat since a rev, as the API tells it to who asks.
    async fn tells_since(&mut self, chat: Uuid, mut since: i64) -> Result<(), End> {
        let mut epoch = None;
        loop {
            let named = epoch.as_ref().map(|epoch| format!("&epoch={epoch}")).unwrap_or_default();
            let path = format!("/chats/{chat}/changes?since={since}&limit={CHANGES_AT_ONCE}{named}");
            let answer = match self.session.ask_again(&path).await {
                // the session says so, too
                Err(refusal) if refusal.is_refusal() => return Ok(()),
                answer => answer?,
            };
            let is_again = epoch.is_some();
            epoch = answer["epoch"].as_str().map(str::to_owned);
            if answer["reset"] == true {
                self.speaker.say(encode::resync(self.ground.version, &self.speaker.topic, Some(chat))).await?;
                let head = answer["headRev"].as_i64().unwrap_or(since);
                let told = if is_again { head } else { head.min(since) };
                self.progress.set(|mark| mark.chats.insert(chat, told));
                if is_again {
                    return Ok(());
                }
                // with this epoch it answers what changed, if that is known
                continue;
            }
            for change in answer["data"].as_array().into_iter().flatten() {
                let change = Change::deserialize(change).map_err(|_| End::Hangup)?;
                self.speaker.missed(chat, &change).await?;
            }
            since = answer["nextSince"].as_i64().unwrap_or(since);
            if answer["more"] != true {
                return Ok(());
            }
        }
    }
}
