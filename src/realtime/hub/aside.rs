//! Who is told what stands in no log.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use super::super::asides::Aside;
use super::super::batch::Standing;
use super::Hub;
use super::line::Line;

/// Of chats that more than so many listen to, here, nobody is told who types, reads, comes and goes: everybody would be told of everybody.
const LISTENERS_MAX: usize = 1_000;

impl Hub {
    /// Whether anybody here listens to a chat.
    pub fn is_listened_to(&self, chat: Uuid) -> bool {
        self.state().chats.contains_key(&chat)
    }

    /// Chats of which it is not known here who was in them at a rev: what was read then is not to be told before it is.
    pub fn lagging(&self, revs: impl IntoIterator<Item = (Uuid, i64)>) -> Vec<Uuid> {
        let state = self.state();
        let known = |chat: &Uuid| state.chats.get(chat).and_then(|watched| watched.rev);
        revs.into_iter().filter(|(chat, rev)| known(chat).is_some_and(|known| known < *rev)).map(|(chat, _)| chat).collect()
    }

    /// Whether more listen to a chat, here, than are told of everybody.
    pub fn is_crowded(&self, chat: Uuid) -> bool {
        self.state().chats.get(&chat).is_some_and(|watched| watched.ears.len() > LISTENERS_MAX)
    }

    /// Tells those who listen to one of these chats, are in it and are meant, each connection once.
    ///
    /// Where the house has policies of its own nobody here knows who may hear it, and nobody does.
    pub fn tell_in(&self, chats: impl IntoIterator<Item = Uuid>, aside: &Arc<Aside>, is_meant: impl Fn(Uuid) -> bool) {
        // what waits for somebody becomes one with it, which takes time: nobody else waits for the hub meanwhile
        for (line, chat) in self.who_hears(chats, aside, is_meant) {
            line.tell_aside(aside, chat);
        }
    }

    /// Whom an aside is told, and by which chat.
    fn who_hears(
        &self,
        chats: impl IntoIterator<Item = Uuid>,
        aside: &Aside,
        is_meant: impl Fn(Uuid) -> bool,
    ) -> Vec<(Arc<Line>, Uuid)> {
        let state = self.state();
        let (mut lines, mut told) = (Vec::new(), HashSet::new());
        if state.is_strict {
            return lines;
        }
        let watched = |chat| state.chats.get(&chat).map(|watched| (chat, watched));
        for (chat, watched) in chats.into_iter().filter_map(watched) {
            if aside.is_of_everybody() && watched.ears.len() > LISTENERS_MAX {
                continue;
            }
            for ear in &watched.ears {
                let is_in = ear.is_ready && ear.standing.is_some_and(Standing::is_in);
                if is_in && ear.who.user.is_some_and(&is_meant) && told.insert(ear.line.id) {
                    lines.push((Arc::clone(&ear.line), chat));
                }
            }
        }
        lines
    }
}
