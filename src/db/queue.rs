//! Queues in front of busy chats.
//!
//! Writers of one chat go one after the other anyway, since each holds the chat's lock. Without this they would wait for it on
//! connections of the pool, and one busy chat could take all of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Writers of one chat that are on a connection at once: more than one, so that the next is there when a lock is released.
const WRITERS_PER_CHAT: usize = 4;
/// Writers of one chat that may wait for their turn.
const WAITERS_PER_CHAT: usize = 1_000;

/// The queues of the chats that are written to right now.
#[derive(Default)]
pub struct Queues {
    chats: Mutex<HashMap<Uuid, Arc<Queue>>>,
}

struct Queue {
    turns: Arc<Semaphore>,
    /// Those who wait and those whose turn it is.
    there: AtomicUsize,
}

/// The right to write to a chat, until it is dropped.
pub struct Turn {
    // given back with the rest
    permit: Option<OwnedSemaphorePermit>,
    queues: Arc<Queues>,
    chat: Uuid,
    queue: Arc<Queue>,
}

impl Queues {
    /// Waits for a turn to write to `chat`; `None` when too many wait already.
    pub async fn turn(self: &Arc<Self>, chat: Uuid) -> Option<Turn> {
        let queue = {
            let mut chats = self.chats.lock().unwrap_or_else(PoisonError::into_inner);
            let queue = chats.entry(chat).or_insert_with(|| {
                Arc::new(Queue { turns: Arc::new(Semaphore::new(WRITERS_PER_CHAT)), there: AtomicUsize::new(0) })
            });
            if queue.there.load(Ordering::Relaxed) >= WRITERS_PER_CHAT + WAITERS_PER_CHAT {
                return None;
            }
            queue.there.fetch_add(1, Ordering::Relaxed);
            Arc::clone(queue)
        };
        // made before the wait, so that who gives up while waiting is counted out
        let mut turn = Turn { permit: None, queues: Arc::clone(self), chat, queue };
        turn.permit = Arc::clone(&turn.queue.turns).acquire_owned().await.ok();
        Some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut chats = self.queues.chats.lock().unwrap_or_else(PoisonError::into_inner);
        if self.queue.there.fetch_sub(1, Ordering::Relaxed) == 1 {
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
        let turn = queues.turn(chat).await;
        assert!(turn.is_some());
        assert_eq!(queues.chats.lock().unwrap().len(), 1);
        drop(turn);
        assert_eq!(queues.chats.lock().unwrap().len(), 0);
    }

    #[tokio::test]
    async fn a_fifth_writer_waits_until_one_of_four_is_done() {
        let queues = Arc::new(Queues::default());
        let chat = Uuid::new_v4();
        let mut turns = Vec::new();
        for _ in 0..WRITERS_PER_CHAT {
            turns.push(queues.turn(chat).await);
        }
        let mut fifth = std::pin::pin!(queues.turn(chat));
        tokio::select! {
            biased;
            _ = &mut fifth => panic!("the fifth did not wait"),
            () = std::future::ready(()) => {}
        }
        turns.pop();
        assert!(fifth.await.is_some());
    }
}
