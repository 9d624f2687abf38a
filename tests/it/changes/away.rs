//! A device that was away for ten thousand changes in two hundred chats.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use super::device::Device;
use crate::support::{Person, TestServer};

const CHATS: usize = 200;
const LIMIT: usize = 150;

/// What happens in a chat, as its people do it in SQL: bob and dave talk, edit, react and delete. 50 changes.
const LIFE: &str = "
do $$
declare
  n integer;
  said uuid[] := '{}';
begin
  for n in 1..30 loop
    insert into chat.messages (chat_id, id, text) values ($chat, gen_random_uuid(), 'message ' || n);
  end loop;
  said := array(select m.id from chat.messages m where m.chat_id = $chat and m.sender_id = chat.uid() and m.deleted_at is null order by m.seq);
  for n in 1..8 loop
    update chat.messages m set text = 'edited ' || gen_random_uuid() where m.chat_id = $chat and m.id = said[1 + (n * 7) % cardinality(said)];
  end loop;
  for n in 1..7 loop
    insert into chat.reactions (chat_id, message_id, emoji) values ($chat, said[1 + (n * 5) % cardinality(said)], 'e' || n)
    on conflict do nothing;
  end loop;
  for n in 1..5 loop
    perform chat.delete_message($chat, said[n * 3]);
  end loop;
end
$$";

async fn lives(server: &TestServer, bob: &Person, chats: &[Uuid]) {
    let session = server.database.db_as(bob.id).await;
    for chat in chats {
        session.batch_execute(&LIFE.replace("$chat", &format!("'{chat}'::uuid"))).await.expect("they talk");
    }
}

#[tokio::test]
async fn a_device_that_was_away_for_long_is_brought_up_to_date() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let session = server.database.db_as(bob.id).await;
    let mut chats = Vec::new();
    for n in 0..CHATS + 20 {
        let who = if n < CHATS { vec![alice.id, carol.id] } else { vec![carol.id] };
        let row = session.query_one("select chat.create_group('a chat', $1)", &[&who]).await.expect("a chat");
        chats.push(row.get::<_, Uuid>(0));
    }
    let (hers, others) = chats.split_at(CHATS);
    lives(&server, &bob, &hers[..20]).await;
    let mut device = Device::from_scratch(&alice).await;
    assert_eq!(device.chats.len(), CHATS);
    (device.answers, device.largest) = (0, 0);

    // she is away
    lives(&server, &bob, hers).await;
    let owner = server.database.db_owner().await;
    for (n, chat) in hers.iter().enumerate() {
        match n % 20 {
            0 => alice.delete(&format!("/chats/{chat}")).await.expect_status(204),
            1 => bob.delete(&format!("/chats/{chat}/participants/{}", alice.id)).await.expect_status(204),
            2 => bob.adds(*chat, &alice, "moderator").await.expect_status(200),
            3 => {
                alice.delete(&format!("/chats/{chat}")).await.expect_status(204);
                bob.says(*chat, "while she is out").await;
                bob.adds(*chat, &alice, "member").await.expect_status(200)
            }
            4 => bob.delete(&format!("/chats/{chat}?scope=everyone")).await.expect_status(204),
            _ => continue,
        };
    }
    for chat in others {
        bob.adds(*chat, &alice, "member").await.expect_status(200);
    }
    for statement in [
        format!("delete from chat.messages m where m.chat_id = '{}' and m.text like 'message 1%'", hers[5]),
        format!("delete from chat.chats where id = '{}'", hers[6]),
        format!("delete from chat.participants where user_id = '{}' and chat_id = '{}'", alice.id, hers[7]),
        format!("delete from chat.messages where chat_id = '{}'", hers[8]),
        format!("delete from chat.tombstones where chat_id = '{}'", hers[8]),
    ] {
        owner.batch_execute(&statement).await.expect(&statement);
    }

    // she is back, and while she catches up life goes on
    let (quiet, busy) = (Arc::new(AtomicBool::new(false)), hers[101]);
    let talking = tokio::spawn({
        let (quiet, bob, others) = (Arc::clone(&quiet), bob.clone(), others.to_vec());
        async move {
            let mut n = 0;
            while !quiet.load(Ordering::Relaxed) {
                bob.says(busy, "still talking").await;
                bob.says(others[n % others.len()], "over here").await;
                n += 1;
            }
        }
    });
    device.catch_up(LIMIT).await;
    let kept = device.chats.get(&hers[9].to_string()).cloned();
    quiet.store(true, Ordering::Relaxed);
    talking.await.expect("they talked");
    assert_eq!(
        kept,
        Device::from_scratch(&alice).await.chats.get(&hers[9].to_string()).cloned(),
        "a chat that was quiet meanwhile"
    );
    device.catch_up(LIMIT).await;
    println!("{} answers, the largest with {} chats and changes", device.answers, device.largest);
    let scratch = Device::from_scratch(&alice).await;
    assert_eq!(device.chats.len(), scratch.chats.len());
    for (chat, kept) in &scratch.chats {
        assert_eq!(device.chats.get(chat), Some(kept), "chat {chat}");
    }
    // two removals for good come on top, whatever the limit
    assert!(device.answers > 30 && device.largest <= LIMIT + 2);
}
