//! Delivered is selectable: whatever happens, in whatever order, over whichever process, each device that applies its frames ends with what its
//! owner can select.

use std::sync::Arc;

use serde_json::{Value, json};
use tabletalk::app::App;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::changes::device::{Device, text};
use crate::changes::histories::{differences, something_happens};
use crate::support::random::{Random, longer, seed};
use crate::support::server::settings;
use crate::support::{DEADLINE, Person, Socket, TestServer};

const HISTORIES: u64 = 50;
const MOMENTS: usize = 60;
/// Those who write at once.
const WRITERS: u64 = 2;

/// A device that listens to all chats of its owner.
struct Listening {
    device: Arc<Mutex<Device>>,
    reader: JoinHandle<()>,
}

impl Listening {
    /// Connects, and goes on from where the device stood.
    async fn begin(person: Person, device: Device) -> Self {
        let mut socket = Socket::of(&person).await;
        let device = Arc::new(Mutex::new(device));
        let mut subscribe = json!({ "type": "subscribe", "chatId": "*" });
        {
            let mut device = device.lock().await;
            match device.position.clone() {
                Some(position) => subscribe["since"] = json!(position),
                None => device.position = socket.hello["position"].as_str().map(str::to_owned),
            }
        }
        let is_new = subscribe["since"].is_null();
        let ack = socket.ask(subscribe).await;
        assert_eq!(ack["type"], "ack", "{ack}");
        if is_new {
            // a walk from the start is for the API: the socket tells what happens from now on
            let mut device = device.lock().await;
            let fresh = Device::from_scratch(&person).await;
            device.chats = fresh.chats;
        }
        let reader = tokio::spawn({
            let device = Arc::clone(&device);
            async move {
                loop {
                    let frame = socket.next_in_any_time().await;
                    apply(&mut *device.lock().await, &frame).await;
                }
            }
        });
        Self { device, reader }
    }

    /// Hangs up, whatever it was doing.
    async fn hang_up(self) -> Device {
        self.reader.abort();
        if let Err(error) = self.reader.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
        self.device.lock().await.clone()
    }
}

/// What a client does with a frame.
async fn apply(device: &mut Device, frame: &Value) {
    let payload = &frame["payload"];
    let mut change = json!({ "kind": frame["type"], "chatId": frame["chatId"] });
    match frame["type"].as_str().expect("a type") {
        "resync" if payload["chatId"] == "*" => return device.chats.clear(),
        "resync" | "chat.created" => {
            let id = text(frame, "chatId");
            match device.list(&id).await {
                Some(kept) => drop(device.chats.insert(id, kept)),
                None => drop(device.chats.remove(&id)),
            }
            return;
        }
        "chat.deleted" => {
            device.chats.remove(&text(frame, "chatId"));
            return;
        }
        "message.deleted" if payload.get("text").is_none() => change["messageId"] = payload["id"].clone(),
        "message.created" | "message.updated" | "message.deleted" => change["message"] = payload.clone(),
        "participant.joined" | "participant.updated" => change["participant"] = payload.clone(),
        "participant.left" => change["userId"] = payload["userId"].clone(),
        "chat.updated" => change["chat"] = payload.clone(),
        other => panic!("what is {other}?"),
    }
    device.apply(&change);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_device_ends_with_what_its_owner_can_select() {
    let first = seed();
    for history in 0..HISTORIES * longer() {
        let mut random = Random::new(first.wrapping_add(history));
        let server = Arc::new(TestServer::start().await);
        let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
        let mut people = Vec::new();
        for name in ["alice", "bob", "carol", "dave"] {
            people.push(server.person(name).await);
        }
        let others: Vec<&Person> = people[1..].iter().collect();
        server.database.db_set("public_rooms = 'everyone'").await;
        let chats = vec![
            people[0].group_with(&others).await,
            people[0].room("a room", "unlisted").await,
            people[0].room("a square", "public").await,
        ];
        for person in &others {
            person.joins(chats[2]).await.expect_status(200);
        }
        let mut devices = Vec::new();
        for (number, person) in people.iter().enumerate() {
            let at = if number % 2 == 0 { person.clone() } else { person.at(other.url()) };
            devices.push(Listening::begin(at.clone(), Device::of(&at)).await);
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (server, people, mut chats) = (Arc::clone(&server), people.clone(), chats.clone());
                let mut random = Random::new(random.next());
                tokio::spawn(async move {
                    for _ in 0..MOMENTS {
                        something_happens(&mut random, &server, &people, &mut chats).await;
                    }
                })
            })
            .collect();
        // meanwhile lines are cut
        while !writers.iter().all(JoinHandle::is_finished) {
            let number = usize::try_from(random.below(4)).expect("small");
            let device = devices.remove(number).hang_up().await;
            tokio::task::yield_now().await;
            devices.insert(number, Listening::begin(device.person.clone(), device).await);
            tokio::time::sleep(std::time::Duration::from_millis(random.below(100))).await;
        }
        for writer in writers {
            writer.await.expect("a writer");
        }
        for listening in devices {
            let begin = std::time::Instant::now();
            loop {
                let device = listening.device.lock().await.clone();
                let differences = differences(&device, &Device::from_scratch(&device.person).await);
                if differences.is_empty() {
                    break;
                }
                assert!(
                    begin.elapsed() < DEADLINE && !listening.reader.is_finished(),
                    "history {history}, {}:\n{}",
                    device.person.name,
                    differences.join("\n")
                );
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            listening.hang_up().await;
        }
        other.stop().await.expect("it stops");
        // else its connections would stay until the end of all
        Arc::into_inner(server).expect("nobody else has it").app.stop().await.expect("it stops");
    }
}
