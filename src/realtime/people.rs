//! Who is here through a socket: once, however many channels of theirs it carries. While nobody is, it counts among those of strangers, unless it
//! was opened as somebody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use uuid::Uuid;

use super::presence::{Here, Registry, Stranger};
use crate::auth::Identity;

/// The people of one socket. Cheap to clone.
#[derive(Clone)]
pub struct People {
    pub registry: Registry,
    known: Arc<Mutex<Known>>,
}

struct Known {
    here: HashMap<Uuid, Weak<Present>>,
    /// How many are here.
    count: usize,
    /// It was opened as somebody.
    is_somebodys: bool,
    /// Else, while nobody is.
    stranger: Option<Stranger>,
}

/// Somebody is here through this socket. Dropped, they are not.
pub struct Present {
    people: People,
    _here: Here,
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut known = self.people.known();
        known.count -= 1;
        if known.count == 0 && !known.is_somebodys {
            known.stranger = Some(self.people.registry.estrange());
        }
    }
}

/// They have as many sockets as one may.
#[derive(Debug)]
pub struct TooMany;

impl People {
    /// Nobody yet.
    pub fn new(registry: Registry, stranger: Option<Stranger>) -> Self {
        let known = Known { here: HashMap::new(), count: 0, is_somebodys: stranger.is_none(), stranger };
        Self { registry, known: Arc::new(Mutex::new(known)) }
    }

    /// Somebody is here, until this is dropped. None: who is not anywhere.
    ///
    /// # Errors
    /// When they have too many sockets.
    pub fn enter(&self, identity: &Identity) -> Result<Option<Arc<Present>>, TooMany> {
        let Some(user) = identity.subject else { return Ok(None) };
        let mut known = self.known();
        if let Some(there) = known.here.get(&user).and_then(Weak::upgrade) {
            return Ok(Some(there));
        }
        if !self.registry.has_room_for(identity) {
            return Err(TooMany);
        }
        known.here.retain(|_, here| here.strong_count() > 0);
        let Some(here) = self.registry.enter(identity) else { return Ok(None) };
        let present = Arc::new(Present { people: self.clone(), _here: here });
        known.here.insert(user, Arc::downgrade(&present));
        known.count += 1;
        known.stranger = None;
        Ok(Some(present))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::presence::STRANGERS_MAX;
    use super::*;
    use crate::auth::Role;

    fn somebody(n: u128) -> Identity {
        Identity {
            role: Role::Authenticated,
            subject: Some(Uuid::from_u128(n)),
            expires_at: time::OffsetDateTime::now_utc(),
            claims: Arc::from("{}"),
            request: None,
        }
    }

    #[test]
    fn sockets_of_nobody_are_bounded_and_one_is_nobodys_while_nobody_is_here() {
        let registry = Registry::default();
        let admitted = || std::iter::from_fn(|| registry.admit()).collect::<Vec<Stranger>>();
        let people = People::new(registry.clone(), Some(registry.admit().expect("the first")));
        let strangers = admitted();
        assert_eq!(strangers.len(), STRANGERS_MAX - 1);
        let [one, again, other] = [1, 1, 2].map(|n| people.enter(&somebody(n)).expect("there is room"));
        assert_eq!(admitted().len(), 1, "it is somebody's");
        drop(one);
        drop(other);
        assert_eq!(admitted().len(), 1, "still");
        drop(again);
        assert!(registry.admit().is_none(), "it is nobody's again");
        drop(people);
        let opened_as_somebody = People::new(registry.clone(), None);
        assert!(registry.admit().is_some(), "one was closed");
        drop(opened_as_somebody.enter(&somebody(3)));
        drop(strangers);
        assert_eq!(admitted().len(), STRANGERS_MAX, "those that are closed count no more");
    }
}
