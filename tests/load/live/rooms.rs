//! The rooms that messages are told in, the people in them, and what they send.

use std::ops::Range;

use anyhow::Context as _;

use super::crowd::Member;
use super::{DATA, PEERS_DATABASE};
use crate::cell::Request;
use crate::cluster::Cluster;
use crate::data::{chat_id, token};
use crate::http::render;
use crate::scenarios::words;

/// Chats that everybody who listens listens to: messages to one alone wait for each other's disk.
pub const ROOMS: usize = 8;
/// Different messages.
const MESSAGES: usize = 1_024;

/// Past the triggers, like the rest of the data: all people in each room.
const MAKE: &str = "
set session_replication_role = replica;
insert into chat.chats (id, type, name, created_by, created_at, rev)
select r.id, 'group', 'Room', p.owner, now() - interval '1 year', 1
from unnest($rooms::uuid[]) r (id), (select min(u.id::text)::uuid as owner from chat.users u) p
on conflict do nothing;
insert into chat.participants (chat_id, user_id, role, joined_at, joined_rev, rev)
select r.id, u.id, case when u.place = 1 then 'owner' else 'member' end, now() - interval '1 year', 1 + u.place, 1 + u.place
from unnest($rooms::uuid[]) r (id), (select u.id, row_number() over (order by u.id) as place from chat.users u) u
where u.place <= $people
on conflict do nothing;
reset session_replication_role;
analyze chat.chats, chat.participants";

/// What those need who tell of messages by hand: a trigger; and socket.io's adapter: a table for what is too long for NOTIFY.
const PEERS: &str = "
create schema peer;
create function peer.notify() returns trigger
language plpgsql
as $$
begin
  perform pg_notify('peer', new.chat_id || '/' || new.id);
  return null;
end
$$;
create trigger peer_notify after insert on chat.messages for each row execute function peer.notify();
create table public.socket_io_attachments (id bigserial primary key, created_at timestamptz default now(), payload bytea);
grant usage on schema public to chat_api;
grant select, insert, delete on public.socket_io_attachments to chat_api;
grant usage on sequence public.socket_io_attachments_id_seq to chat_api";

/// The rooms.
pub struct Rooms {
    ids: Vec<String>,
    tokens: Vec<String>,
}

impl Rooms {
    /// Makes the data, and the rooms in them.
    pub async fn make(cluster: &Cluster) -> anyhow::Result<Self> {
        DATA.make(cluster).await?;
        let ids: Vec<String> = (1..=ROOMS as u64).map(|number| chat_id(DATA.long_chat() + number).to_string()).collect();
        let tokens = (1..=DATA.people).map(token).collect::<anyhow::Result<_>>()?;
        let superuser = cluster.superuser(DATA.database).await?;
        let make = MAKE.replace("$rooms", &format!("'{{{}}}'", ids.join(","))).replace("$people", &DATA.people.to_string());
        superuser.batch_execute(&make).await.context("the rooms")?;
        drop(superuser);
        let superuser = cluster.superuser("postgres").await?;
        superuser.batch_execute(&format!("drop database if exists {PEERS_DATABASE} with (force)")).await?;
        superuser.batch_execute(&format!("create database {PEERS_DATABASE} template {}", DATA.database)).await?;
        cluster.superuser(PEERS_DATABASE).await?.batch_execute(PEERS).await.context("what peers need")?;
        Ok(Self { ids, tokens })
    }

    /// These people, listening to all rooms.
    pub fn members(&self, who: Range<u16>) -> Vec<Member> {
        self.tokens[usize::from(who.start)..usize::from(who.end)]
            .iter()
            .map(|token| Member { token: token.clone(), chats: self.ids.clone() })
            .collect()
    }

    /// People who listen elsewhere, each to a chat of their own to which nobody sends.
    pub fn strangers(&self, how_many: u16) -> Vec<Member> {
        (0..u64::from(how_many))
            .map(|number| {
                let chat = DATA.lively + 1 + number;
                let user = DATA.participant(chat, number % 10);
                let token = &self.tokens[usize::try_from(user - 1).unwrap_or_default()];
                Member { token: token.clone(), chats: vec![chat_id(chat).to_string()] }
            })
            .collect()
    }

    /// Messages to the first so many rooms, one after the other.
    pub fn requests(&self, rooms: usize) -> Vec<Request> {
        (0..MESSAGES)
            .map(|number| {
                let chat = self.ids[number % rooms].clone();
                let text = words(number);
                let body = serde_json::json!({ "text": text }).to_string();
                let token = &self.tokens[number % 64];
                Request { bytes: render("POST", &format!("/chats/{chat}/messages"), token, "", &body), chat, text }
            })
            .collect()
    }
}
