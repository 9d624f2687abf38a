//! The others in a room: who is in its presence channel, and what clients say to each other.
//!
//! Members are those who track a state in the chat, by whatever protocol: a subscription to a presence channel tracks one.

use poem::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::channel::Command;
use super::members::{Members, info_of};
use super::voice::{Scope, Voice};
use super::{Refusal, codes, encode};
use crate::realtime::asides::{Aside, Track, What};
use crate::realtime::batch::Encoding;
use crate::realtime::loopback::Unanswered;
use crate::realtime::presence::Tracking;
use crate::realtime::session::{Ended, Session};

/// What one who listens to a presence channel knows of who is in it.
pub struct Presence {
    me: Uuid,
    /// What is shown of them.
    info: Value,
    pub members: Members,
    /// That they are in it, as others are told.
    tracking: Option<Tracking>,
}

impl Presence {
    /// One who is alone, until others are known.
    pub fn new(me: Uuid, info: Value) -> Self {
        let members = alone(me, &info);
        Self { me, info, members, tracking: None }
    }
}

/// Somebody who is there for as long as they listen, whatever is known of them elsewhere.
fn alone(me: Uuid, info: &Value) -> Members {
    let mut members = Members::default();
    members.join(me, "", info.clone());
    members
}

impl Voice {
    /// They are in the presence channel from here on; who else is, is known.
    ///
    /// # Errors
    /// When it could not be read.
    pub(super) async fn meet(&mut self) -> Result<(), Ended> {
        if let (Some(members), Some(presence)) = (self.enter().await?, &mut self.presence) {
            presence.members = members;
        }
        Ok(())
    }

    /// The same of who may have left the chat meanwhile and come back, for what they said of themselves has ended then; others may have come and
    /// gone unheard. Who does not come back is in it no more.
    ///
    /// # Errors
    /// When it could not be read, or the connection is no more.
    pub(super) async fn meet_again(&mut self) -> Result<(), Ended> {
        match self.enter().await? {
            Some(members) => self.tell_members(members).await,
            None => Ok(()),
        }
    }

    /// Enters the presence channel, if it is one. Gives who is in it; who is refused is told nothing more.
    async fn enter(&mut self) -> Result<Option<Members>, Ended> {
        let (Scope::Room(chat), Some(presence)) = (&self.scope, &mut self.presence) else { return Ok(None) };
        let track = || {
            let state = json!({ "user_info": presence.info });
            self.pusher.registry.track(&self.who.identity, *chat, presence.me.to_string(), state)
        };
        // the old one is dropped when the new one is there, so that others are told of both together; unless there is no room for it
        let (mut tracking, old) = (track(), presence.tracking.take());
        if tracking.is_none() && old.is_some() {
            drop(old);
            tracking = track();
        }
        presence.tracking = tracking;
        if presence.tracking.is_none() {
            self.over = Some(Refusal::new(429, "nobody is present in more channels at once"));
            return Ok(None);
        }
        match self.others(*chat).await {
            // who only reads it is not told who is in it
            Err(unanswered) if unanswered.is_refusal() => {
                self.over = Some(unanswered.into());
                Ok(None)
            }
            members => Ok(members?),
        }
    }

    /// Who is in it.
    async fn others(&self, chat: Uuid) -> Result<Option<Members>, Unanswered> {
        let Some(Presence { me, info, .. }) = &self.presence else { return Ok(None) };
        let (me, info) = (*me, info.clone());
        let states = self.pusher.states(&self.who, chat).await?;
        let mut members = alone(me, &info);
        for state in states["data"].as_array().into_iter().flatten() {
            let user = state["userId"].as_str().and_then(|user| user.parse().ok());
            if let (Some(user), Some(id)) = (user, state["id"].as_str()) {
                members.join(user, id, info_of(&state["state"]));
            }
        }
        Ok(Some(members))
    }

    /// Tells what stands in no log.
    pub(super) async fn tell_aside(&mut self, aside: &Aside) -> Result<(), Ended> {
        let Scope::Room(chat) = self.scope else { return Ok(()) };
        match &aside.what {
            What::Broadcast { id, user, event, content } if self.has_pass && !self.own.take(*id) => {
                // on a presence channel with who it is
                let user = user.filter(|_| self.presence.is_some()).map(|user| user.to_string());
                let tail = aside.encoding(Encoding::Pusher, |_| encode::from_client(event, content));
                self.put(encode::framed(&self.channel, user.as_deref(), tail)).await
            }
            What::Tracked { user, joins, leaves } => self.tell_tracked(*user, joins, leaves).await,
            What::TrackedAnew if self.presence.is_some() => {
                let members = match self.others(chat).await {
                    Ok(members) => members,
                    // they left meanwhile: that is told besides
                    Err(unanswered) if unanswered.is_refusal() => None,
                    Err(unanswered) => return Err(unanswered.into()),
                };
                match members {
                    Some(members) => self.tell_members(members).await,
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Tells how those who are in it now differ from those who were.
    async fn tell_members(&mut self, members: Members) -> Result<(), Ended> {
        let Some(presence) = &mut self.presence else { return Ok(()) };
        let (added, removed) = presence.members.replace(members);
        for user in removed {
            self.put(encode::member_removed(&self.channel, &user.to_string())).await?;
        }
        for user in added {
            self.tell_member(user).await?;
        }
        Ok(())
    }

    async fn tell_tracked(&mut self, user: Uuid, joins: &[Track], leaves: &[Track]) -> Result<(), Ended> {
        let Some(presence) = &mut self.presence else { return Ok(()) };
        // who comes first, so that who says something else is not gone in between
        let mut is_added = false;
        for track in joins {
            is_added |= presence.members.join(user, &track.id, info_of(&track.state));
        }
        let mut is_removed = false;
        for track in leaves {
            is_removed |= presence.members.leave(user, &track.id);
        }
        match (is_added, is_removed) {
            (true, false) => self.tell_member(user).await,
            (false, true) => self.put(encode::member_removed(&self.channel, &user.to_string())).await,
            _ => Ok(()),
        }
    }

    async fn tell_member(&self, user: Uuid) -> Result<(), Ended> {
        let info = self.presence.as_ref().and_then(|presence| presence.members.info(user));
        self.put(encode::member_added(&self.channel, &user.to_string(), info.unwrap_or(&Value::Null))).await
    }

    /// Does what a client asks for.
    pub(super) async fn heed(&mut self, command: Command, session: &Session) -> Result<(), Ended> {
        let Command::Say { event, data } = command;
        let Scope::Room(chat) = self.scope else {
            return self.put(encode::error(codes::NOT_AUTHORISED, "clients talk to each other in rooms alone")).await;
        };
        let body = json!({ "event": event, "payload": data });
        match session.ask(Method::POST, &format!("/chats/{chat}/broadcasts"), Some(&body)).await {
            Ok(answer) => {
                self.own.note(answer["id"].as_i64().unwrap_or_default());
                Ok(())
            }
            Err(refused) => self.put(encode::error(codes::NOT_AUTHORISED, &Refusal::from(refused).error)).await,
        }
    }
}
