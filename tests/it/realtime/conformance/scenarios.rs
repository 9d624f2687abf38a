//! What happens, and what must be heard of it. Each answers how the protocol says so.

use std::time::Duration;

use serde_json::json;
use tabletalk::app::App;
use tokio::time::sleep;

use super::ear::{Door, Options};
use super::world::World;
use crate::support::server::settings;

/// How long a stream of messages lasts, the rest between two, and the last of them.
const STREAM: Duration = Duration::from_secs(6);
const PACE: Duration = Duration::from_millis(100);
const END: &str = "the end";
/// How long a token is good that ends soon, in seconds.
const SOON: i64 = 5;
/// What a reader does not read: messages, how many one transaction writes, and characters of four bytes in each.
const UNREAD: i64 = 1_600;
const AT_ONCE: i64 = 100;
const LENGTH: i32 = 2_000;
/// How long who was slow may take to have all.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    Join,
    Deliver,
    Deny,
    Edit,
    Delete,
    Leave,
    Kick,
    Promotion,
    Expiry,
    Resume,
    SlowReader,
    Restart,
}

pub const SCENARIOS: [Scenario; 12] = [
    Scenario::Join,
    Scenario::Deliver,
    Scenario::Deny,
    Scenario::Edit,
    Scenario::Delete,
    Scenario::Leave,
    Scenario::Kick,
    Scenario::Promotion,
    Scenario::Expiry,
    Scenario::Resume,
    Scenario::SlowReader,
    Scenario::Restart,
];

impl Scenario {
    pub async fn happens(self, world: &World) -> String {
        match self {
            Self::Join => join(world).await,
            Self::Deliver => deliver(world).await,
            Self::Deny => deny(world).await,
            Self::Edit => edit(world).await,
            Self::Delete => delete(world).await,
            Self::Leave => leave(world).await,
            Self::Kick => kick(world).await,
            Self::Promotion => promotion(world).await,
            Self::Expiry => expiry(world).await,
            Self::Resume => resume(world).await,
            Self::SlowReader => slow_reader(world).await,
            Self::Restart => restart(world).await,
        }
    }
}

/// Who is told that they listen does: what is written at that moment is heard, and nothing that was written before.
async fn join(world: &World) -> String {
    world.alice.says(world.chat, "before").await;
    let mut his = world.listens(&world.bob).await;
    world.alice.says(world.chat, "at once").await;
    assert_eq!(his.texts_until("at once").await, ["at once"]);
    "hears what comes at once".to_owned()
}

/// Whoever writes, through whatever door and process: it is heard, in order.
async fn deliver(world: &World) -> String {
    let other = App::start(&settings(&world.server.database.api_url(), &[])).await.expect("another server");
    let mut his = world.listens(&world.bob).await;
    let there = world.alice.at(other.url());
    let psql = world.server.database.db_as(world.alice.id).await;
    let mut said = Vec::new();
    for number in 0..8 {
        world.alice.says(world.chat, &format!("here {number}")).await;
        there.says(world.chat, &format!("there {number}")).await;
        let insert = "insert into chat.messages (chat_id, text) values ($1, $2)";
        psql.execute(insert, &[&world.chat, &format!("in psql {number}")]).await.expect(insert);
        said.extend(["here", "there", "in psql"].map(|place| format!("{place} {number}")));
    }
    assert_eq!(his.texts_until("in psql 7").await, said);
    other.stop().await.expect("it stops");
    format!("{} in order", said.len())
}

/// A stranger is refused, told why, and hears nothing.
async fn deny(world: &World) -> String {
    let mallory = world.server.person("mallory").await;
    let why = world.tries(&mallory, Options::default()).await.err().expect("mallory is no participant");
    match world.door {
        Door::WebSocket | Door::Stream => assert_eq!(why, "chats_are_read_by_participants"),
        Door::SupabaseOne | Door::SupabaseTwo => {
            let text = "Unauthorized: You do not have permissions to read from this Channel topic";
            assert!(why.contains(text), "{why}");
        }
        Door::Pusher => assert_eq!(why, "403"),
    }
    why.trim_start_matches("Error: ").split(':').next().unwrap_or_default().to_owned()
}

/// New words replace the old ones.
async fn edit(world: &World) -> String {
    let mut his = world.listens(&world.bob).await;
    let said = world.alice.says(world.chat, "at seven").await;
    his.texts_until("at seven").await;
    world.alice.patch(&world.path(&said), json!({ "text": "at eight" })).await.expect_status(200);
    let edited = his.hears("message.updated").await;
    assert_eq!((&edited["payload"]["id"], &edited["payload"]["text"]), (&said["id"], &json!("at eight")));
    "new words".to_owned()
}

/// What is deleted is told to be gone, without a word of it, to who could read it.
async fn delete(world: &World) -> String {
    let dave = world.server.person("dave").await;
    let mut his = world.listens(&world.bob).await;
    let said = world.alice.says(world.chat, "in confidence").await;
    his.texts_until("in confidence").await;
    world.alice.adds(world.chat, &dave, "member").await.expect_status(200);
    let mut daves = world.listens(&dave).await;
    world.alice.delete(&world.path(&said)).await.expect_status(204);
    for ear in [&mut his, &mut daves] {
        let gone = ear.hears("message.deleted").await;
        assert_eq!(gone["payload"]["id"], said["id"]);
        assert!(!gone.to_string().contains("in confidence"), "{gone}");
    }
    "the id alone".to_owned()
}

/// Who leaves hears that, and nothing that is written after.
async fn leave(world: &World) -> String {
    lost(world, async || drop(world.bob.leaves(world.chat).await.expect_status(204))).await
}

/// Who is removed hears that, and nothing that is written after.
async fn kick(world: &World) -> String {
    lost(world, async || drop(world.alice.removes(world.chat, &world.bob).await.expect_status(204))).await
}

async fn lost(world: &World, happens: impl AsyncFnOnce()) -> String {
    let mut witness = world.witness().await;
    let mut his = world.listens(&world.bob).await;
    world.alice.says(world.chat, "before").await;
    assert_eq!(his.texts_until("before").await, ["before"]);
    his.log.clear();
    happens().await;
    for number in 0..5 {
        world.is_said(&mut witness, &format!("after {number}")).await;
    }
    let gone = his.hears("chat.deleted").await;
    assert_eq!(gone["payload"]["id"], json!(world.chat), "{gone}");
    let still = his.still_hears().await;
    assert!(still.is_empty(), "{still:?}");
    assert!(world.tries(&world.bob, Options::default()).await.is_err(), "who comes back is refused");
    his.log.insert(0, "chat.deleted".to_owned());
    his.log.dedup();
    his.log.join(", ")
}

/// Who has another role hears it, and goes on hearing.
async fn promotion(world: &World) -> String {
    let mut his = world.listens(&world.bob).await;
    world.alice.says(world.chat, "before").await;
    let role = format!("/chats/{}/participants/{}", world.chat, world.bob.id);
    world.alice.put(&role, json!({ "role": "moderator" })).await.expect_status(200);
    his.hears("resync").await;
    world.alice.says(world.chat, "after").await;
    his.texts_until("after").await;
    "to be listed anew".to_owned()
}

/// Whose token ends comes back with another, and misses nothing.
async fn expiry(world: &World) -> String {
    let (soon, later) = world.bob_for(SOON);
    let mut his = world.listens_with(&soon, Options { heartbeat: 2_000, ..Options::default() }).await;
    // supabase-js asks again and again for a token: it has none in time; the others do not ask again when they are refused
    let is_late = matches!(world.door, Door::SupabaseOne | Door::SupabaseTwo);
    his.renews(&later, if is_late { Duration::from_secs(SOON.unsigned_abs() + 2) } else { Duration::ZERO });
    his.log.clear();
    let (said, heard) = tokio::join!(stream(world, Duration::from_secs(SOON.unsigned_abs()) * 2), his.texts_until(END));
    assert_eq!(heard, said, "{:?}", his.log);
    assert!(!his.log.is_empty(), "the end of a token is noticed");
    his.log.dedup();
    his.log.join(", ")
}

/// Whose connection breaks comes back, and is told what they missed, in order.
async fn resume(world: &World) -> String {
    let mut witness = world.witness().await;
    let mut his = world.listens(&world.bob).await;
    world.alice.says(world.chat, "heard").await;
    his.texts_until("heard").await;
    let said: Vec<String> = (0..5).map(|number| format!("missed {number}")).collect();
    his.is_cut().await;
    for text in &said {
        world.is_said(&mut witness, text).await;
    }
    assert_eq!(his.texts_until("missed 4").await, said);
    world.alice.says(world.chat, "live").await;
    assert_eq!(his.texts_until("live").await, ["live"]);
    "what was missed, then live".to_owned()
}

/// Who does not read holds up nobody, and has all when they read at last.
async fn slow_reader(world: &World) -> String {
    let mut witness = world.witness().await;
    let mut his = world.listens_with(&world.bob, Options { is_apart: true, ..Options::default() }).await;
    his.is_stopped(true);
    let psql = world.server.database.db_as(world.alice.id).await;
    let send =
        "insert into chat.messages (chat_id, text) select $1, n || repeat('😀', $4) from generate_series($2::bigint, $3) n";
    for first in (0..UNREAD).step_by(usize::try_from(AT_ONCE).expect("small")) {
        psql.execute(send, &[&world.chat, &first, &(first + AT_ONCE - 1), &LENGTH]).await.expect(send);
        let last = format!("{}😀", first + AT_ONCE - 1);
        while !witness.next().await["payload"]["text"].as_str().is_some_and(|text| text.starts_with(&last)) {}
    }
    world.alice.says(world.chat, "the last").await;
    his.is_stopped(false);
    his.log.clear();
    let texts = his.texts_until_within("the last", PATIENCE).await;
    let numbers: Vec<i64> = texts.iter().filter_map(|text| text.trim_end_matches('😀').parse().ok()).collect();
    assert_eq!(numbers, (0..UNREAD).collect::<Vec<_>>(), "{:?}", his.log);
    his.log.dedup();
    [vec![format!("all {UNREAD} late")], his.log].concat().join(", ")
}

/// A server that is killed and started again, under a stream of messages: nobody misses any.
async fn restart(world: &World) -> String {
    let place = world.place().await;
    let mut his = world.listens(&world.bob.at(&place.url())).await;
    his.log.clear();
    let restarted = async {
        sleep(PACE * 10).await;
        place.is_killed().await;
        sleep(PACE * 10).await;
        place.begins().await;
    };
    let (said, heard, ()) = tokio::join!(stream(world, STREAM), his.texts_until_within(END, PATIENCE), restarted);
    assert_eq!(heard, said, "{:?}", his.log);
    his.log.dedup();
    his.log.join(", ")
}

/// A stream of alice's messages, for so long: what she said.
async fn stream(world: &World, lasts: Duration) -> Vec<String> {
    let begin = tokio::time::Instant::now();
    let mut said = Vec::new();
    while said.last().is_none_or(|text| text != END) {
        said.push(if begin.elapsed() < lasts { format!("number {}", said.len()) } else { END.to_owned() });
        world.alice.says(world.chat, &said[said.len() - 1]).await;
        sleep(PACE).await;
    }
    said
}
