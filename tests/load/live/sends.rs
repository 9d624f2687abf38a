//! How fast the server takes messages while nobody listens, while people listen elsewhere, and while they are told of them.

use std::sync::Arc;

use serde_json::Value;

use super::DATA;
use super::cells::SENDERS;
use super::crowd::{Crowd, Dialect, Member};
use super::rooms::{ROOMS, Rooms};
use crate::arguments::Arguments;
use crate::cell::{self, Questions, Request};
use crate::cluster::Cluster;
use crate::scenarios::{Scenario, World};
use crate::server::Running;

/// How many listen.
pub const LISTENERS: u16 = 1_000;

/// Messages a second.
pub struct Sends {
    /// To 800 chats: nobody listens; people listen to others.
    pub elsewhere: [f64; 2],
    /// To the rooms: nobody listens; people listen to all of them.
    pub here: [f64; 2],
}

/// Measures, with a server of its own.
pub async fn measure(arguments: &Arguments, cluster: &Cluster, rooms: &Rooms) -> anyhow::Result<Sends> {
    let server = Running::tabletalk(cluster, DATA.database, arguments.pool)?;
    let world = World::of(DATA, &server).await?;
    let many = Scenario::Send.questions(&world, &server).await?;
    let here = Questions { requests: rooms.requests(ROOMS), status: 201, least: 200, is_right };
    let here = Arc::new(here);
    let each = |questions: &Arc<Questions>, members: Vec<Member>| {
        let (questions, server) = (Arc::clone(questions), &server);
        async move {
            let crowd = Crowd::new(server.address, Dialect::Frames)?;
            crowd.grow(members).await?;
            let figures = cell::measure(server.address, &questions, SENDERS, arguments.live_time(), 1).await?;
            anyhow::ensure!(figures.failures == 0, "{} wrong answers, such as {:?}", figures.failures, figures.failure);
            anyhow::Ok(figures.per_second)
        }
    };
    Ok(Sends {
        elsewhere: [each(&many, Vec::new()).await?, each(&many, rooms.strangers(LISTENERS)).await?],
        here: [each(&here, Vec::new()).await?, each(&here, rooms.members(0..LISTENERS)).await?],
    })
}

fn is_right(answer: &Value, request: &Request) -> bool {
    answer["chatId"] == request.chat && answer["text"] == request.text
}
