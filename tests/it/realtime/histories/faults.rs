//! The proof of the proof: each of these faults makes a history fail.

use std::time::Duration;

use tabletalk::realtime::trial::{Fault, Trial};

use super::{History, run};
use crate::support::random::{Random, seed};

/// How many histories may pass a fault by.
const HISTORIES: u64 = 40;

/// Whoever writes a chat waits for nobody: two changes get one rev, and the later commit may have the lower one.
const NO_LOCK: &str = "
create or replace function chat_private.hold_chat(_chat uuid) returns void language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$ begin perform pg_sleep(random() * 0.02); end $$;
drop index chat.messages_by_seq, chat.messages_changed;";

async fn is_noticed(fault: Option<Fault>, sabotage: Option<&'static str>) {
    let first = seed();
    for number in 0..HISTORIES {
        let mut random = Random::new(first.wrapping_add(number));
        let history = History::new(&mut random);
        // what is read together is told together
        let trial = Trial { changes_at_once: None, pace: Duration::from_millis(60), fault };
        let history = History { trial, sabotage, patience: Duration::from_secs(4), ..history };
        if let Err(failure) = run(&history).await {
            println!("noticed in history {number}: {}", failure.what.lines().next().unwrap_or_default());
            return;
        }
    }
    panic!("{HISTORIES} histories passed {fault:?} {sabotage:?} by");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_noticed_when_writers_do_not_wait_for_each_other() {
    is_noticed(None, Some(NO_LOCK)).await;
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_noticed_when_rows_are_told_before_who_may_read_them_is_known() {
    is_noticed(Some(Fault::RowsBeforeAccess), None).await;
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_noticed_when_hints_are_lost_and_nobody_looks() {
    is_noticed(Some(Fault::Deaf), None).await;
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_noticed_when_a_removal_is_applied_late() {
    is_noticed(Some(Fault::LateRemoval), None).await;
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_noticed_when_nobody_looks_for_what_came_while_nobody_listened() {
    is_noticed(Some(Fault::NoCatchUp), None).await;
}
