//! What a scenario happens in: a server of its own, alice who owns a chat, bob who is in it, and a protocol to listen through.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::ear::{Door, Ear, Options};
use crate::cli::program::Serving;
use crate::realtime::fleet::{free_address, serving_at};
use crate::support::npm::Node;
use crate::support::{Person, Socket, TestServer};

pub struct World {
    pub door: Door,
    pub server: TestServer,
    pub alice: Person,
    pub bob: Person,
    pub chat: Uuid,
    /// Where stock clients live; absent where there are none.
    node: Option<Arc<Node>>,
}

impl World {
    pub async fn begin(door: Door, node: Option<Arc<Node>>) -> Self {
        let server = TestServer::start().await;
        let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
        // with carol it does not end when bob goes
        let chat = alice.group_with(&[&bob, &carol]).await;
        Self { door, server, alice, bob, chat, node }
    }

    /// Somebody who listens to the chat. Or why not.
    pub async fn tries(&self, person: &Person, options: Options) -> Result<Ear, String> {
        let own = if options.is_apart && self.door.is_stock() { Node::start().await.map(Arc::new) } else { None };
        Ear::begin(self.door, own.as_ref().or(self.node.as_ref()), person, self.chat, options).await
    }

    /// Somebody who listens to the chat, and may.
    pub async fn listens(&self, person: &Person) -> Ear {
        self.listens_with(person, Options::default()).await
    }

    pub async fn listens_with(&self, person: &Person, options: Options) -> Ear {
        self.tries(person, options).await.unwrap_or_else(|why| panic!("{} may not listen: {why}", person.name))
    }

    /// Alice's own socket, by which is known what everybody else could have heard.
    pub async fn witness(&self) -> Socket {
        let mut socket = Socket::of(&self.alice).await;
        socket.subscribe(self.chat).await;
        socket
    }

    /// Alice says something, and it is known to be told.
    pub async fn is_said(&self, witness: &mut Socket, text: &str) {
        self.alice.says(self.chat, text).await;
        while witness.next().await["payload"]["text"] != text {}
    }

    /// The path of a message that alice sent.
    pub fn path(&self, message: &Value) -> String {
        format!("/chats/{}/messages/{}", self.chat, message["id"].as_str().expect("an id"))
    }

    /// A server process that can be killed.
    pub async fn place(&self) -> Place<'_> {
        let place = Place { world: self, address: free_address(), serving: Mutex::default() };
        place.begins().await;
        place
    }

    /// Bob with a token that is good for so many more seconds, by the clock of who is granted some; and with one that is good for long.
    pub fn bob_for(&self, seconds: i64) -> (Person, Person) {
        /// What is granted beyond a token's end, since clocks differ.
        const SKEW: i64 = 30;
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let of = |exp: i64| {
            let claims = json!({ "sub": self.bob.id, "role": "authenticated", "exp": exp });
            self.server.bearer_of("bob", claims)
        };
        (of(now + seconds - SKEW), of(now + 3_600))
    }
}

/// A server process of its own over the world's database, always at the same address.
pub struct Place<'a> {
    world: &'a World,
    address: String,
    serving: Mutex<Option<Serving>>,
}

impl Place<'_> {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn begins(&self) {
        *self.serving.lock().await = Some(serving_at(&self.address, &self.world.server.database).await);
    }

    /// As by `kill -9`.
    pub async fn is_killed(&self) {
        drop(self.serving.lock().await.take());
    }
}
