//! One busy chat while another session holds a snapshot: what is dead can't be removed then, and nothing may have to walk over it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::cell::{self, Questions};
use crate::cluster::Cluster;
use crate::data::SMALL;
use crate::parts::COMPARED_AT;
use crate::report::{self, Aim};
use crate::scenarios::{Place, Scenario, World};
use crate::server::Running;
use crate::statistics::median;

/// How long the snapshot is held.
const HELD: Duration = Duration::from_secs(60);
/// How often, at most: a minute each.
const ROUNDS_MAX: u16 = 3;
/// How many times slower it may become.
const SLOWER_AT_MOST: f64 = 1.05;
/// The busy chat: one of those that everybody else writes to as well.
const CHAT: u64 = 1;

/// Measures sends and pages of the chat, before the snapshot is taken and at the end of a minute of sends under it.
pub async fn print(arguments: &Arguments, cluster: &Cluster) -> anyhow::Result<()> {
    println!("\n== hot: one chat, {COMPARED_AT} connections, while another session holds a snapshot for {} s", HELD.as_secs());
    SMALL.make(cluster).await?;
    let server = Running::tabletalk(cluster, SMALL.database, arguments.pool)?;
    let world = World::of(SMALL, &server).await?;
    let place = |number: usize| Place { chat: CHAT, user: SMALL.participant(CHAT, number as u64 % 10) };
    let mut questions = Vec::new();
    for scenario in [Scenario::Send, Scenario::Page] {
        let requests =
            (0..200).map(|number| scenario.request_at(&world, place(number), number)).collect::<anyhow::Result<_>>()?;
        questions.push(Arc::new(Questions { requests, ..scenario.of_messages(&world)? }));
    }
    let [sends, pages] = &questions[..] else { unreachable!("there are two") };
    let measure = async |questions: &Arc<Questions>, time| {
        let figures = cell::measure(server.address, questions, usize::from(COMPARED_AT), time, 1).await?;
        anyhow::ensure!(figures.failures == 0, "{} wrong answers, such as {:?}", figures.failures, figures.failure);
        Ok(figures.per_second)
    };
    let superuser = cluster.superuser(SMALL.database).await?;
    let (mut slower_sends, mut slower_pages) = (Vec::new(), Vec::new());
    let measured = arguments.time() * 2;
    for _ in 0..arguments.rounds(ROUNDS_MAX).min(ROUNDS_MAX) {
        superuser.batch_execute("vacuum (analyze)").await?;
        superuser.batch_execute("checkpoint").await?;
        measure(sends, measured).await?; // the full page images that follow a checkpoint
        let before = (measure(sends, measured).await?, measure(pages, measured).await?);
        superuser.batch_execute("begin isolation level repeatable read; select count(*) from chat.chats").await?;
        let held = Instant::now();
        measure(sends, HELD.saturating_sub(measured * 2 + cell::WARM_UP * 3)).await?;
        let under = (measure(sends, measured).await?, measure(pages, measured).await?);
        println!(
            "  send: {:.0}/s, {:.0}/s after {} s; page: {:.0}/s, {:.0}/s",
            before.0,
            under.0,
            held.elapsed().as_secs(),
            before.1,
            under.1
        );
        superuser.batch_execute("commit").await?;
        slower_sends.push(before.0 / under.0);
        slower_pages.push(before.1 / under.1);
    }
    let aim = |what: &str, is: &[f64]| Aim { what: what.to_owned(), is: median(is), wanted: SLOWER_AT_MOST, at_most: true };
    report::print_aims(&[
        aim("send: times slower under a held snapshot", &slower_sends),
        aim("page: times slower under a held snapshot", &slower_pages),
    ]);
    Ok(())
}
