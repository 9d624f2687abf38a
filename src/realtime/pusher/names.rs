//! The names of channels: what each is about, and how it is guarded.
//!
//! `chats-public` is the directory, `chats-{username or id}` somebody's own chats, `room-{id or uid}` a chat; each also with `private-` or
//! `presence-` before it. All three are authorised alike: what comes before the name decides who carries the token, not who may.

use uuid::Uuid;

/// The longest name, in bytes.
const NAME_MAX: usize = 164;
/// What the channel of one person begins with, which the client subscribes to by itself when it has signed in.
const OF_USER: &str = "#server-to-user-";

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub guard: Guard,
    pub topic: Topic,
}

/// How a channel is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// As whoever has signed in on the socket, or as nobody.
    Public,
    /// By a pass.
    Private,
    /// By a pass, and who is in it is told.
    Presence,
}

/// What a channel is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// The public rooms.
    Directory,
    /// The chats of this person: a username or an id.
    Chats(String),
    /// A chat: its id or uid.
    Room(String),
    /// What a server would tell one person.
    User(Uuid),
}

impl Name {
    /// Reads a name. None: no channel is called so.
    pub fn parse(name: &str) -> Option<Self> {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || "-_=@,.;".contains(c);
        if name.len() > NAME_MAX || !name.strip_prefix('#').unwrap_or(name).chars().all(is_letter) {
            return None;
        }
        if let Some(user) = name.strip_prefix(OF_USER) {
            return Some(Self { guard: Guard::Public, topic: Topic::User(user.parse().ok()?) });
        }
        let (guard, rest) = match name.split_once('-')? {
            ("private", rest) => (Guard::Private, rest),
            ("presence", rest) => (Guard::Presence, rest),
            _ => (Guard::Public, name),
        };
        let topic = match rest.split_once('-')? {
            (_, "") => return None,
            ("chats", "public") => Topic::Directory,
            ("chats", person) => Topic::Chats(person.to_owned()),
            ("room", room) => Topic::Room(room.to_owned()),
            _ => return None,
        };
        Some(Self { guard, topic })
    }

    /// Whether a pass is needed.
    pub fn needs_pass(&self) -> bool {
        self.guard != Guard::Public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(guard: Guard, topic: Topic) -> Name {
        Name { guard, topic }
    }

    #[test]
    fn a_name_says_what_a_channel_is_about_and_how_it_is_guarded() {
        let id = "0190d2a3-7f6e-4c1b-9a34-5d6e7f809102";
        assert_eq!(Name::parse("chats-public").expect("a name"), name(Guard::Public, Topic::Directory));
        assert_eq!(Name::parse("private-chats-public").expect("a name"), name(Guard::Private, Topic::Directory));
        assert_eq!(Name::parse("chats-alice.b_c-d").expect("a name"), name(Guard::Public, Topic::Chats("alice.b_c-d".into())));
        assert_eq!(Name::parse(&format!("room-{id}")).expect("a name"), name(Guard::Public, Topic::Room(id.into())));
        assert_eq!(Name::parse("private-room-abc").expect("a name"), name(Guard::Private, Topic::Room("abc".into())));
        assert_eq!(Name::parse("presence-room-abc").expect("a name"), name(Guard::Presence, Topic::Room("abc".into())));
        assert_eq!(
            Name::parse(&format!("#server-to-user-{id}")).expect("a name"),
            name(Guard::Public, Topic::User(id.parse().expect("an id")))
        );
    }

    #[test]
    fn nothing_else_is_a_channel() {
        let long = format!("room-{}", "x".repeat(NAME_MAX));
        for name in [
            "",
            "room",
            "room-",
            "chats-",
            "lobby",
            "private-",
            "private-room",
            "presence-private-room-abc",
            "room-a b",
            "room-a/b",
            "chat:abc",
            "room-ü",
            "#server-to-user-alice",
            "private-#room-abc",
            "cache-room-abc",
            &long,
        ] {
            assert_eq!(Name::parse(name), None, "{name}");
        }
    }
}
