//! Queues in front of busy chats.
//!
//! Writers of one chat go one after the other anyway, since each holds the chat's lock. Without this they would wait for it on
//! connections of the pool, and one busy chat could take all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;

/// Writers of one chat that are on a connection at once: two, so that the next is there when a lock is released. More send no faster and
/// make sends elsewhere slower.
const WRITERS_PER_CHAT: usize = 2;
/// Writers of one chat that may wait for their turn.
const WAITERS_PER_CHAT: usize = 1_000;
/// Those of them that may be one person's (or nobody's): who is not in the chat is refused only when their turn comes.
const WAITERS_PER_PERSON: usize = 250;
/// How long anybody waits for their turn: behind a lock that somebody forgot, waiting longer helps nobody.
const TURN_WAIT: Duration = Duration::from_secs(5);

/// The queues of the chats that are written to right now.
#[derive(Default)]
pub struct Queues {
    chats: Mutex<HashMap<Uuid, Arc<Queue>>>,
}

struct Queue {
    turns: Arc<Semaphore>,
    /// How often each person waits or has a turn.
    there: Mutex<HashMap<Option<Uuid>, usize>>,
}

/// The right to write to a chat, until it is dropped.
pub struct Turn {
    // given back with the rest
    permit: Option<OwnedSemaphorePermit>,
    queues: Arc<Queues>,
    chat: Uuid,
    who: Option<Uuid>,
    queue: Arc<Queue>,
}

impl Queues {
    /// Waits for a turn of `who` to write to `chat`; `None` when too many wait already, or it takes too long.
    pub async fn turn(self: &Arc<Self>, chat: Uuid, who: Option<Uuid>) -> Option<Turn> {
        let queue = {
            let mut chats = self.chats.lock().unwrap_or_else(PoisonError::into_inner);
            let queue = chats.entry(chat).or_insert_with(|| {
                Arc::new(Queue { turns: Arc::new(Semaphore::new(WRITERS_PER_CHAT)), there: Mutex::default() })
            });
            let mut there = queue.there.lock().unwrap_or_else(PoisonError::into_inner);
            let all: usize = there.values().sum();
            if all >= WRITERS_PER_CHAT + WAITERS_PER_CHAT || there.get(&who).is_some_and(|mine| *mine >= WAITERS_PER_PERSON) {
                return None;
            }
            *there.entry(who).or_default() += 1;
            Arc::clone(queue)
        };
        // made before the wait, so that who gives up while waiting is counted out
        let mut turn = Turn { permit: None, queues: Arc::clone(self), chat, who, queue };
        let turns = Arc::clone(&turn.queue.turns);
        let permit = timeout(TURN_WAIT, turns.acquire_owned()).await.ok()?;
        turn.permit = Some(permit.expect("invariant: nobody closes the semaphore"));
        Some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut chats = self.queues.chats.lock().unwrap_or_else(PoisonError::into_inner);
        let mut there = self.queue.there.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = there.get_mut(&self.who) {
            *mine -= 1;
            if *mine == 0 {
                there.remove(&self.who);
            }
        }
        if there.is_empty() {
            chats.remove(&self.chat);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_chat_that_nobody_writes_to_any_more_is_forgotten() {
        let queues = Arc::new(Queues::default());
        let chat = Uuid::new_v4();
        let turn = queues.turn(chat, None).await;
        assert!(turn.is_some());
        assert_eq!(queues.chats.lock().unwrap().len(), 1);
        drop(turn);
        assert_eq!(queues.chats.lock().unwrap().len(), 0);
    }

    #[tokio::test]
    async fn one_more_writer_waits_until_another_is_done() {
        let queues = Arc::new(Queues::default());
        let chat = Uuid::new_v4();
        let mut turns = Vec::new();
        for _ in 0..WRITERS_PER_CHAT {
            turns.push(queues.turn(chat, None).await);
        }
        let mut one_more = std::pin::pin!(queues.turn(chat, None));
        tokio::select! {
            biased;
            _ = &mut one_more => panic!("one more did not wait"),
            () = std::future::ready(()) => {}
        }
        turns.pop();
        assert!(one_more.await.is_some());
    }

    #[tokio::test]
    async fn one_person_does_not_fill_the_queue() {
        let queues = Arc::new(Queues::default());
        let (chat, mallory, alice) = (Uuid::new_v4(), Some(Uuid::new_v4()), Some(Uuid::new_v4()));
        let mut held = Vec::new();
        for _ in 0..WRITERS_PER_CHAT {
            held.push(queues.turn(chat, None).await);
        }
        let waits = |who| {
            let queues = Arc::clone(&queues);
            tokio::spawn(async move { queues.turn(chat, who).await.is_some() })
        };
        let waiting: Vec<_> = (0..WAITERS_PER_PERSON).map(|_| waits(mallory)).collect();
        while queues.chats.lock().unwrap()[&chat].there.lock().unwrap().get(&mallory) != Some(&WAITERS_PER_PERSON) {
            tokio::task::yield_now().await;
        }
        assert!(queues.turn(chat, mallory).await.is_none(), "one more of mallory's is refused");
        let of_alice = waits(alice);
        drop(held);
        assert!(of_alice.await.unwrap(), "alice has her turn");
        for turn in waiting {
            assert!(turn.await.unwrap());
        }
    }
}
