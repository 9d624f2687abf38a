//! The table of contents: what the server does, resource by resource.
//!
//! One file per resource: its `XxxApi`, its wire types and its SQL side by side. A handler takes who asks as an argument, hands
//! one statement to [`crate::db`] and turns rows into JSON. Whether they may is Postgres' answer: see `sql/policies.md`.
//!
//! | file | operations |
//! |---|---|
//! | [`users`] | the directory, one user, me: get, change, erase |
//! | [`export`] | everything about oneself |
//! | [`friends`] | friends and requests: list, ask or accept, end |
//! | [`blocks`] | blocks: list, block, unblock |
//! | [`chats`] | mine, one, make, change, join, leave or delete |
//! | [`rooms`] | the directory of public rooms, one by its uid |
//! | [`participants`] | who is in a chat: list, add or change role, remove; how far one has read |
//! | [`presence`] | who of a chat is here; that one types |
//! | [`states`] | what those who are here say of themselves |
//! | [`events`] | an event's chats, for the host application |
//! | [`messages`] | list, send, get, edit, delete |
//! | [`edits`] | a message's earlier texts |
//! | [`latest`] | the latest messages of many chats |
//! | [`reactions`] | react, take it back |
//! | [`pins`] | list, pin, unpin |
//! | [`broadcasts`] | tell what nobody keeps |
//! | [`changes`] | what changed in a chat, or in all of one's chats |
//! | [`search`] | messages by their words |
//! | [`import`] | messages of another system, for the host application |

pub mod answer;
pub mod blocks;
pub mod body;
pub mod broadcasts;
pub mod caller;
pub mod changes;
pub mod chats;
pub mod document;
pub mod edits;
pub mod events;
pub mod export;
pub mod friends;
pub mod import;
pub mod latest;
pub mod messages;
pub mod participants;
pub mod pins;
pub mod presence;
pub mod reactions;
pub mod rooms;
pub mod search;
pub mod shapes;
pub mod states;
pub mod users;
pub mod waiting;

use poem_openapi::Tags;

use crate::db::Db;

/// How the document groups the operations.
#[derive(Tags)]
#[oai(rename_all = "camelCase")]
pub enum Tag {
    /// People: the directory and oneself.
    Users,
    /// Friendships, requests for them, and blocks.
    Friends,
    /// Chats of all types: direct, groups, rooms, events.
    Chats,
    /// Who is in a chat, whether they are here, and how far they have read.
    Participants,
    /// What is said.
    Messages,
    /// What changed since one last asked.
    Changes,
}

/// Every resource.
pub type Apis = (
    (users::UsersApi, export::ExportApi),
    (friends::FriendsApi, blocks::BlocksApi),
    (chats::ChatsApi, rooms::RoomsApi, events::EventsApi),
    (participants::ParticipantsApi, presence::PresenceApi, states::StatesApi),
    (
        messages::MessagesApi,
        edits::EditsApi,
        latest::LatestApi,
        reactions::ReactionsApi,
        pins::PinsApi,
        broadcasts::BroadcastsApi,
    ),
    changes::ChangesApi,
    (search::SearchApi, import::ImportApi),
);

/// Every resource, over one database; in `waiting` requests wait.
pub fn all(db: &Db, waiting: &waiting::WaitingRoom) -> Apis {
    (
        (users::UsersApi { db: db.clone() }, export::ExportApi { db: db.clone() }),
        (friends::FriendsApi { db: db.clone() }, blocks::BlocksApi { db: db.clone() }),
        (chats::ChatsApi { db: db.clone() }, rooms::RoomsApi { db: db.clone() }, events::EventsApi { db: db.clone() }),
        (
            participants::ParticipantsApi { db: db.clone() },
            presence::PresenceApi { db: db.clone() },
            states::StatesApi { db: db.clone() },
        ),
        (
            messages::MessagesApi { db: db.clone() },
            edits::EditsApi { db: db.clone() },
            latest::LatestApi { db: db.clone() },
            reactions::ReactionsApi { db: db.clone() },
            pins::PinsApi { db: db.clone() },
            broadcasts::BroadcastsApi { db: db.clone() },
        ),
        changes::ChangesApi { db: db.clone(), waiting: waiting.clone() },
        (search::SearchApi { db: db.clone() }, import::ImportApi { db: db.clone() }),
    )
}
