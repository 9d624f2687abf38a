//! Who is here through a socket: once, however many channels of theirs it carries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use uuid::Uuid;

use super::presence::{Here, Registry};
use crate::auth::Identity;

/// The people of one socket. Cheap to clone.
#[derive(Clone)]
pub struct People {
    pub registry: Registry,
    here: Arc<Mutex<HashMap<Uuid, Weak<Here>>>>,
}

/// They have as many sockets as one may.
#[derive(Debug)]
pub struct TooMany;

impl People {
    /// Nobody yet.
    pub fn new(registry: Registry) -> Self {
        Self { registry, here: Arc::default() }
    }

    /// Somebody is here, until this is dropped. None: who is not anywhere.
    ///
    /// # Errors
    /// When they have too many sockets.
    pub fn enter(&self, identity: &Identity) -> Result<Option<Arc<Here>>, TooMany> {
        let Some(user) = identity.subject else { return Ok(None) };
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = here.get(&user).and_then(Weak::upgrade) {
            return Ok(Some(there));
        }
        if !self.registry.has_room_for(identity) {
            return Err(TooMany);
        }
        here.retain(|_, here| here.strong_count() > 0);
        let entered = self.registry.enter(identity).map(Arc::new);
        if let Some(entered) = &entered {
            here.insert(user, Arc::downgrade(entered));
        }
        Ok(entered)
    }
}
