//! Removed means silent: each way of losing a chat, over each protocol, in the middle of a burst of messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::line::{Heard, Line, PROTOCOLS, Protocol, Since};
use crate::support::{DEADLINE, Person, Socket, TestServer};

/// Messages that are sent once the loss was answered: none may arrive.
const AFTER: usize = 10;
/// What has not come after this long, once everybody else has it, does not come.
const QUIET: Duration = Duration::from_millis(700);
/// 30 s of other people's clocks are granted beyond a token's end.
const SKEW: i64 = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Leaves,
    IsRemoved,
    ParticipationIsDeleted,
    ChatIsClosed,
    ChatIsDeleted,
    RoomIsMadePrivate,
    IsErased,
    VisitorIsErased,
    AnonymousReadingEnds,
    TokenExpires,
}

/// Each way, and with which code who comes back is refused.
const WAYS: [(Way, &str); 10] = [
    (Way::Leaves, "chats_are_read_by_participants"),
    (Way::IsRemoved, "chats_are_read_by_participants"),
    (Way::ParticipationIsDeleted, "chats_are_read_by_participants"),
    (Way::ChatIsClosed, "chats_exist"),
    (Way::ChatIsDeleted, "chats_exist"),
    (Way::RoomIsMadePrivate, "chats_are_read_by_participants"),
    (Way::IsErased, "users_erased_are_gone"),
    (Way::VisitorIsErased, "users_erased_are_gone"),
    (Way::AnonymousReadingEnds, "chats_are_read_by_participants"),
    (Way::TokenExpires, "token_expired"),
];

impl Way {
    /// Whether who loses the chat is no participant of it: then it is none of all their chats.
    fn is_of_visitors(self) -> bool {
        matches!(self, Self::RoomIsMadePrivate | Self::VisitorIsErased | Self::AnonymousReadingEnds)
    }

    /// Whether somebody else can still write there.
    fn goes_on(self) -> bool {
        !matches!(self, Self::ChatIsClosed | Self::ChatIsDeleted)
    }

    async fn happens(self, server: &TestServer, owner: &Person, loser: &Person, chat: Uuid) {
        let dba = async |statement: String| server.database.db_does(&statement).await;
        match self {
            Self::Leaves => drop(loser.leaves(chat).await.expect_status(204)),
            Self::IsRemoved => drop(owner.removes(chat, loser).await.expect_status(204)),
            Self::ParticipationIsDeleted => {
                dba(format!("delete from chat.participants where chat_id = '{chat}' and user_id = '{}'", loser.id)).await;
            }
            Self::ChatIsClosed => drop(owner.delete(&format!("/chats/{chat}?scope=everyone")).await.expect_status(204)),
            Self::ChatIsDeleted => dba(format!("delete from chat.chats where id = '{chat}'")).await,
            Self::RoomIsMadePrivate => {
                owner.patch(&format!("/chats/{chat}"), json!({ "visibility": "private" })).await.expect_status(200);
            }
            Self::IsErased | Self::VisitorIsErased => drop(loser.delete("/users/me").await.expect_status(204)),
            Self::AnonymousReadingEnds => server.database.db_set("anon_reads_public_rooms = false").await,
            Self::TokenExpires => {
                // answered is what was refused: the token's end is an event that nobody causes
                let ended =
                    async || owner.at(owner.url()).get("/healthz").await.status == 200 && loser.get("/chats").await.status == 401;
                crate::support::eventually("the token has ended", ended).await;
            }
        }
    }
}

/// What one reader heard: of the chat before it was lost, and of it afterwards.
#[derive(Default)]
struct Told {
    frames: Vec<Value>,
    /// How the loss was said, and how many frames of the chat came before.
    lost: Option<(String, usize)>,
}

/// Reads until it is quiet after `done`, counting what is heard into `heard`.
async fn reads(mut line: Line, chat: Uuid, heard: watch::Sender<usize>, mut done: watch::Receiver<bool>) -> Told {
    let mut told = Told::default();
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < DEADLINE * 3, "it goes on and on");
        match timeout(QUIET, line.next()).await {
            Ok(Heard::Frame(frame, _)) => {
                if frame["type"] == "error" {
                    let how = frame["payload"]["code"].as_str().unwrap_or_default().split(':').next().unwrap_or_default();
                    let before = told.lost.take().map(|(lost, count)| (format!("{lost}, {how}"), count));
                    told.lost = before.or(Some((how.to_owned(), told.frames.len())));
                } else if frame["chatId"] == json!(chat) && frame["type"] != "ack" && frame["type"] != "subscribed" {
                    if frame["type"] == "chat.deleted" && told.lost.is_none() {
                        told.lost = Some(("chat.deleted".to_owned(), told.frames.len() + 1));
                    }
                    told.frames.push(frame);
                    heard.send_modify(|count| *count += 1);
                }
            }
            Ok(Heard::Sign) => {}
            Ok(Heard::End(code)) => {
                let how = code.map_or_else(|| "ends".to_owned(), |code| format!("closed {code}"));
                let before = told.lost.take().map(|(lost, count)| (format!("{lost}, {how}"), count));
                told.lost = before.or(Some((how, told.frames.len())));
                return told;
            }
            Err(_) => {
                if *done.borrow() {
                    return told;
                }
                // nothing is there to be heard: what comes next decides
                tokio::select! {
                    _ = done.changed() => {}
                    () = tokio::time::sleep(QUIET) => {}
                }
            }
        }
    }
}

/// With which code who comes back by name is refused.
async fn comes_back(loser: &Person, chat: Uuid, protocol: Protocol) -> String {
    let protocol = protocol.by_name();
    let since = Since::now(&[chat]);
    let mut line = match Line::open(loser, protocol, &since).await {
        Ok(line) => line,
        Err(refusal) => return refusal.map_or_else(|| "no answer".to_owned(), |(_, code)| code),
    };
    loop {
        match timeout(DEADLINE, line.next()).await.expect("an answer") {
            Heard::Frame(frame, _) if frame["type"] == "hello" => {}
            Heard::Frame(frame, _) => return frame["payload"]["code"].as_str().unwrap_or("let in").to_owned(),
            Heard::Sign => {}
            Heard::End(code) => return format!("closed {code:?}"),
        }
    }
}

/// Sends without a rest until it is told to stop or is refused.
fn bursts(person: Person, chat: Uuid, stop: watch::Receiver<bool>) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let mut count = 0;
        while !*stop.borrow() && person.tries(chat, &format!("before {count}")).await.status == 201 {
            count += 1;
        }
        count
    })
}

/// The rev at which the chat was lost, if the chat says so.
async fn db_lost_at(server: &TestServer, way: Way, loser: &Person, chat: Uuid) -> Option<i64> {
    let lost = match way {
        Way::RoomIsMadePrivate => "select c.rev from chat.chats c where c.id = $1 and $2::uuid is not null",
        _ => {
            "select min(l.rev) from (
               select p.rev from chat.participants p where p.chat_id = $1 and p.user_id = $2 and p.left_at is not null
               union all select t.rev from chat.tombstones t where t.chat_id = $1 and (t.row_id = $2 or t.kind = 'chat')) l"
        }
    };
    server.database.db_owner().await.query_one(lost, &[&chat, &loser.id]).await.expect(lost).get(0)
}

/// One way, in all protocols at once; how each was told.
async fn is_lost(server: Arc<TestServer>, way: Way, code: &'static str) -> BTreeMap<Protocol, String> {
    let (owner, friend) = (server.admin("alice").await, server.person("carol").await);
    let loser = match way {
        Way::AnonymousReadingEnds => server.anon(),
        Way::TokenExpires => {
            let now = time::OffsetDateTime::now_utc().unix_timestamp();
            let claims = json!({ "sub": Uuid::new_v4(), "role": "authenticated", "exp": now - SKEW + 6 });
            let bob = server.bearer_of("bob", claims);
            bob.get("/users/me").await.expect_status(200);
            bob
        }
        _ => server.person("bob").await,
    };
    let chat = if way.is_of_visitors() {
        let room = owner.room("a square", "public").await;
        friend.joins(room).await.expect_status(200);
        room
    } else {
        owner.group_with(&[&loser, &friend]).await
    };
    let mut witness = Socket::of(&owner).await;
    witness.subscribe(chat).await;
    let (heard, (say_done, done), (halt, stop)) = (watch::Sender::new(0), watch::channel(false), watch::channel(false));
    let mut readers = Vec::new();
    let mut counts = Vec::new();
    for protocol in PROTOCOLS {
        let since = Since::now(&[chat]);
        let line =
            Line::open(&loser, protocol, &since).await.unwrap_or_else(|refusal| panic!("{way:?}, {protocol:?}: {refusal:?}"));
        let heard = watch::Sender::new(0);
        counts.push((protocol, heard.subscribe()));
        readers.push((protocol, tokio::spawn(reads(line, chat, heard, done.clone()))));
    }
    drop(heard);
    let senders = [bursts(owner.clone(), chat, stop.clone()), bursts(friend, chat, stop)];
    for (protocol, mut count) in counts {
        if !(way.is_of_visitors() && protocol.is_of_all()) {
            let some = timeout(DEADLINE, count.wait_for(|count| *count >= 3)).await;
            some.unwrap_or_else(|_| panic!("{way:?}, {protocol:?}: nothing is heard")).expect("it listens");
        }
    }
    way.happens(&server, &owner, &loser, chat).await;
    halt.send(true).expect("they talk");
    for sender in senders {
        sender.await.expect("a sender");
    }
    for number in 0..AFTER {
        let status = owner.tries(chat, &format!("after {number}")).await.status;
        assert_eq!(status == 201, way.goes_on(), "{way:?}: {status}");
    }
    if way.goes_on() {
        while witness.next().await["payload"]["text"] != format!("after {}", AFTER - 1) {}
    }
    say_done.send(true).expect("they listen");
    let lost_at = db_lost_at(&server, way, &loser, chat).await;
    let mut table = BTreeMap::new();
    for (protocol, reader) in readers {
        let told = reader.await.expect("a reader");
        let place = format!("{way:?}, {protocol:?}");
        for frame in &told.frames {
            let text = frame["payload"]["text"].as_str().unwrap_or_default();
            assert!(!text.starts_with("after"), "{place}: {frame}");
            let (rev, is_message) = (frame["rev"].as_i64(), !text.is_empty());
            assert!(!is_message || lost_at.is_none_or(|lost_at| rev < Some(lost_at)), "{place}: lost at {lost_at:?}, {frame}");
        }
        let of_none = way.is_of_visitors() && protocol.is_of_all();
        let how = match told.lost {
            None => {
                assert!(of_none && told.frames.is_empty(), "{place}: the loss is not told: {:?}", told.frames.last());
                "never told".to_owned()
            }
            Some((how, before)) => {
                assert_eq!(before, told.frames.len(), "{place}: {:?}", &told.frames[before..]);
                how
            }
        };
        let again = comes_back(&loser, chat, protocol).await;
        assert!(again.starts_with(protocol.refusal(code)), "{place}: {again}");
        table.insert(protocol, how);
    }
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_a_chat_hears_that_and_nothing_that_is_written_after() {
    let server = Arc::new(TestServer::start().await);
    server.database.db_set("anon_reads_public_rooms = true").await;
    let mut rows = JoinSet::new();
    for (way, code) in WAYS {
        let server = Arc::clone(&server);
        rows.spawn(async move { (way, code, is_lost(server, way, code).await) });
    }
    let mut table = BTreeMap::new();
    let mut broken = Vec::new();
    while let Some(row) = rows.join_next().await {
        match row {
            Ok((way, code, told)) => drop(table.insert(way, (told, code))),
            Err(panic) => broken.push(panic.to_string()),
        }
    }
    println!("{:<24}{}  who comes back", "", PROTOCOLS.map(|protocol| format!("{:<25}", format!("{protocol:?}"))).concat());
    for (way, (told, code)) in &table {
        let cells: Vec<String> = told.values().map(|how| format!("{how:<25}")).collect();
        println!("{:<24}{}  {code}", format!("{way:?}"), cells.concat());
    }
    assert!(broken.is_empty(), "{} ways are not silent:\n{}", broken.len(), broken.join("\n"));
}

/// Says things and takes them back until told to stop.
fn takes_back(person: Person, chat: Uuid, stop: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut count = 0;
        while !*stop.borrow() {
            let said = person.says(chat, &format!("before {count}")).await["id"].as_str().expect("an id").to_owned();
            person.delete(&format!("/chats/{chat}/messages/{said}")).await.expect_status(204);
            count += 1;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_a_moderator_no_longer_is_told_to_begin_anew_and_hears_no_deleted_words() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    alice.put(&format!("/chats/{chat}/participants/{}", bob.id), json!({ "role": "moderator" })).await.expect_status(200);
    let ((say_done, done), (halt, stop)) = (watch::channel(false), watch::channel(false));
    let (mut readers, mut counts) = (Vec::new(), Vec::new());
    for protocol in PROTOCOLS {
        let since = Since::now(&[chat]);
        let line = Line::open(&bob, protocol, &since).await.expect("he may");
        let heard = watch::Sender::new(0);
        counts.push(heard.subscribe());
        readers.push((protocol, tokio::spawn(reads(line, chat, heard, done.clone()))));
    }
    let sender = takes_back(alice.clone(), chat, stop);
    for mut count in counts {
        timeout(DEADLINE, count.wait_for(|count| *count >= 6)).await.expect("in time").expect("it listens");
    }
    alice.put(&format!("/chats/{chat}/participants/{}", bob.id), json!({ "role": "member" })).await.expect_status(200);
    halt.send(true).expect("she talks");
    sender.await.expect("a sender");
    for number in 0..AFTER {
        let said = alice.says(chat, &format!("after {number}")).await["id"].as_str().expect("an id").to_owned();
        alice.delete(&format!("/chats/{chat}/messages/{said}")).await.expect_status(204);
    }
    say_done.send(true).expect("they listen");
    for (protocol, reader) in readers {
        let told = reader.await.expect("a reader").frames;
        let words = |frames: &[Value]| {
            frames.iter().filter(|frame| frame["type"] == "message.deleted" && frame["payload"]["text"].is_string()).count()
        };
        let anew = told.iter().rposition(|frame| frame["type"] == "resync");
        let anew = anew.unwrap_or_else(|| panic!("{protocol:?}: not told to begin anew"));
        assert_eq!(words(&told[..anew]) > 0, protocol.shows_deleted(), "{protocol:?}: a moderator reads deleted messages");
        assert_eq!(words(&told[anew..]), 0, "{protocol:?}: {:?}", &told[anew..]);
        let gone = told[anew..].iter().filter(|frame| frame["type"] == "message.deleted").count();
        assert!(gone >= AFTER, "{protocol:?}: {gone} of {AFTER} are told to be gone");
    }
}
