//! People who send messages, each until it is known to be stored: at another process when one does not answer.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::follower::Stored;
use crate::support::Person;

/// How long a sender waits for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long it rests before it asks the next process.
const REST: Duration = Duration::from_millis(100);

/// What senders were answered: how often each status, 0 where there was no answer.
pub type Answers = BTreeMap<u16, usize>;

/// Sends to a chat until it is told to stop; which messages were answered to be stored, and what else was answered.
pub async fn talks(
    person: Person,
    chat: Uuid,
    mut urls: Vec<String>,
    pace: Duration,
    stop: watch::Receiver<bool>,
) -> (Vec<Uuid>, Answers) {
    let (mut stored, mut answers) = (Vec::new(), Answers::new());
    while !*stop.borrow() {
        let id = Uuid::now_v7();
        let body = json!({ "id": id, "text": format!("{} says {}", person.name, stored.len()) });
        loop {
            let request = person.at(&urls[0]).request(Method::POST, &format!("/chats/{chat}/messages")).json(&body);
            let status = request.timeout(ANSWER_WAIT).send().await.map_or(0, |answer| answer.status().as_u16());
            *answers.entry(status).or_default() += 1;
            match status {
                200 | 201 => break,
                // the id makes it one, however often it is sent and wherever
                0 | 503 => {
                    urls.rotate_left(1);
                    tokio::time::sleep(REST).await;
                }
                other => panic!("{}: {other}", person.name),
            }
        }
        stored.push(id);
        tokio::time::sleep(pace).await;
    }
    (stored, answers)
}

/// What the database holds, in order.
pub async fn db_stored(client: &tokio_postgres::Client) -> Stored {
    let mut stored = Stored::new();
    for row in client.query("select m.chat_id, m.id from chat.messages m order by m.chat_id, m.seq", &[]).await.expect("rows") {
        stored.entry(row.get(0)).or_default().push(row.get(1));
    }
    stored
}
