//! Where a channel leads who asks for it, if it does: the API says, as to their bearer. Asked at the door, so that who may not is refused where a
//! client can try again; and on the socket, where a pass proves nothing.

use poem::http::{Method, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use super::Pusher;
use super::names::{Guard, Name, Topic};
use crate::realtime::loopback::Unanswered;
use crate::realtime::somebody::Somebody;

/// Where a channel is to be heard, as found by who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Room(Uuid),
    Mine,
    Directory {
        is_empty: bool,
    },
    /// What a server would tell one person: nothing is.
    User,
}

impl Place {
    /// The chat that it leads to, if it leads to one.
    pub fn chat(self) -> Option<Uuid> {
        if let Self::Room(chat) = self { Some(chat) } else { None }
    }
}

impl Pusher {
    async fn ask(&self, who: &Somebody, path: &str) -> Result<Value, Unanswered> {
        self.api.ask(&who.bearer, Method::GET, path, None).await
    }

    /// Where a channel leads who asks.
    pub(super) async fn place(&self, who: &Somebody, topic: &Topic) -> Result<Place, Unanswered> {
        let somebody_elses = |why| Err(Unanswered::of(StatusCode::FORBIDDEN, "channel_is_somebody_elses", why));
        Ok(match topic {
            Topic::Directory => {
                let page = self.ask(who, "/rooms?limit=1").await?;
                Place::Directory { is_empty: page["data"].as_array().is_none_or(Vec::is_empty) }
            }
            Topic::Chats(person) => {
                let me = self.ask(who, "/users/me").await?;
                if me["username"] != **person && me["id"] != **person {
                    return somebody_elses("these are the chats of somebody else, or of nobody");
                }
                Place::Mine
            }
            Topic::Room(room) => {
                let chat = self.ask(who, &format!("/rooms/{}", escaped(room))).await?;
                let id = chat["id"].as_str().and_then(|id| id.parse().ok());
                let unread = || Unanswered::of(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the room could not be read");
                Place::Room(id.ok_or_else(unread)?)
            }
            Topic::User(user) if who.identity.subject == Some(*user) => Place::User,
            Topic::User(_) => return somebody_elses("what is told to somebody is for them alone"),
        })
    }

    /// What those who are in a chat say of themselves.
    pub(super) async fn states(&self, who: &Somebody, chat: Uuid) -> Result<Value, Unanswered> {
        self.ask(who, &format!("/chats/{chat}/presence/states")).await
    }

    /// Whether who asks for a channel would hear it: all that a subscription asks.
    ///
    /// # Errors
    /// With what the API answers else.
    pub async fn would_admit(&self, who: &Somebody, channel: &str) -> Result<(), Unanswered> {
        let unknown = || Unanswered::of(StatusCode::NOT_FOUND, "channel_is_unknown", "no channel is called so");
        let name = Name::parse(channel).ok_or_else(unknown)?;
        let place = self.place(who, &name.topic).await?;
        if let (Guard::Presence, Place::Room(chat)) = (name.guard, place) {
            self.states(who, chat).await?;
        }
        Ok(())
    }
}

/// A part of a path: of what a channel's name may hold, these alone mean something there.
fn escaped(part: &str) -> String {
    part.replace(';', "%3B").replace('=', "%3D").replace('@', "%40").replace(',', "%2C")
}
