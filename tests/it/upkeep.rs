//! Upkeep: what the settings keep no longer goes, whole and for everybody, while people write.

mod alone;
mod load;
mod server;
mod told;

use tabletalk::app::upkeep::{self, Done};
use uuid::Uuid;

use crate::support::server::settings;
use crate::support::{Database, Person, TestServer};

/// All of it, as `tabletalk upkeep` does it.
async fn keeps_up(database: &Database) -> Done {
    upkeep::run(&settings(&database.api_url(), &[])).await.expect("upkeep")
}

/// A public room with these people in it.
async fn square(server: &TestServer, people: &[&Person]) -> Uuid {
    let room = server.admin("adam").await.room("square", "public").await;
    for person in people {
        person.joins(room).await.expect_status(200);
    }
    room
}

/// Says many things at once, in SQL.
async fn db_says_much(database: &Database, who: &Person, chat: Uuid, many: i32) {
    let statement = "insert into chat.messages (chat_id, text) select $1, 'message ' || n from generate_series(1, $2) n";
    database.db_as(who.id).await.execute(statement, &[&chat, &many]).await.expect(statement);
}

/// How many messages a chat has.
async fn db_count(database: &Database, chat: Uuid) -> i64 {
    let statement = "select count(*) from chat.messages m where m.chat_id = $1";
    database.db_owner().await.query_one(statement, &[&chat]).await.expect(statement).get(0)
}
