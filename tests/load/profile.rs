//! Where the time goes: what a request costs the server, the database and the load, which functions of the database it is spent in, and
//! with perf, which functions of the programs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use tokio_postgres::Client;

use crate::arguments::Arguments;
use crate::cell;
use crate::cluster::{Cluster, search_path};
use crate::data::SMALL;
use crate::scenarios::{Scenario, World};
use crate::server::Running;

/// Connections at once.
const CONNECTIONS: usize = 16;
/// How long is looked.
const LOOK: Duration = Duration::from_secs(5);
/// Lines of each list.
const LINES: usize = 25;
/// How often perf looks, a second; odd, so that it keeps no step with anything.
const PERF_RATE: &str = "997";

/// Prints it for each scenario.
pub async fn print(arguments: &Arguments, cluster: &Cluster) -> anyhow::Result<()> {
    let size = SMALL;
    println!("\n== profile: {}", size.words());
    size.make(cluster).await?;
    let superuser = cluster.superuser(size.database).await?;
    let perf = std::env::split_paths(&search_path().unwrap_or_default()).any(|folder| folder.join("perf").is_file());
    if !perf {
        println!("no perf, so no functions of the programs: it comes with the package linux-perf");
    }
    let server = Running::tabletalk(cluster, size.database, arguments.pool)?;
    let world = World::of(size, &server).await?;
    for &scenario in &arguments.scenarios {
        println!("\n{}, {CONNECTIONS} connections", scenario.name());
        costs(scenario, &world, &server, &superuser).await?;
        if perf {
            functions(scenario, &world, &server, &superuser, cluster.folder()).await?;
        }
    }
    superuser.batch_execute(&format!("alter database {} set track_functions = 'all'", size.database)).await?;
    let server = Running::tabletalk(cluster, size.database, arguments.pool)?;
    world.introduce(&server).await?;
    for &scenario in &arguments.scenarios {
        statements(scenario, &world, &server, &superuser).await?;
    }
    superuser.batch_execute(&format!("alter database {} reset all", size.database)).await?;
    Ok(())
}

async fn load(scenario: Scenario, world: &World, server: &Running) -> anyhow::Result<f64> {
    let questions = scenario.questions(world, server).await?;
    let figures = cell::measure(server.address, &questions, CONNECTIONS, LOOK, 1).await?;
    if let Some(failure) = figures.failure {
        println!("  {} wrong answers, such as {failure}", figures.failures);
    }
    Ok(figures.per_second)
}

/// Processor time a request.
async fn costs(scenario: Scenario, world: &World, server: &Running, superuser: &Client) -> anyhow::Result<()> {
    load(scenario, world, server).await?; // its connections and their plans are there now
    let backends = backends(superuser).await?;
    let own = i32::try_from(std::process::id())?;
    let spent = || (ticks(&[server.pid]), ticks(&backends), ticks(&[own]));
    let before = spent();
    let per_second = load(scenario, world, server).await?;
    let after = spent();
    // the warm-up is as busy as the rest; clock ticks are hundredths of a second
    let requests = per_second * (LOOK + cell::WARM_UP).as_secs_f64();
    let [server, database, load] = [after.0 - before.0, after.1 - before.1, after.2 - before.2].map(|t| t * 10_000.0 / requests);
    println!(
        "  {per_second:.0}/s; processor time a request: server {server:.0} µs, database {database:.0} µs, load {load:.0} µs"
    );
    Ok(())
}

/// Time in the database's functions, those that are not inlined.
async fn statements(scenario: Scenario, world: &World, server: &Running, superuser: &Client) -> anyhow::Result<()> {
    load(scenario, world, server).await?;
    superuser.batch_execute("select pg_stat_reset()").await?;
    let requests = load(scenario, world, server).await? * (LOOK + cell::WARM_UP).as_secs_f64();
    tokio::time::sleep(Duration::from_secs(2)).await; // the backends tell once they are idle for a while
    let rows = superuser
        .query(
            "select format('%s.%s', schemaname, funcname), calls::float8, self_time, total_time
from pg_stat_user_functions order by self_time desc limit 12",
            &[],
        )
        .await?;
    println!("\n{}: functions of the database, a request\n  {:>9} {:>9} {:>7}", scenario.name(), "self µs", "total µs", "calls");
    for row in rows {
        let (name, calls, own, total): (String, f64, f64, f64) = (row.get(0), row.get(1), row.get(2), row.get(3));
        println!("  {:>9.1} {:>9.1} {:>7.2}  {name}", own * 1e3 / requests, total * 1e3 / requests, calls / requests);
    }
    Ok(())
}

/// The functions of the server and of the database's processes.
async fn functions(scenario: Scenario, world: &World, server: &Running, superuser: &Client, folder: &Path) -> anyhow::Result<()> {
    let backends: Vec<String> = backends(superuser).await?.iter().map(ToString::to_string).collect();
    let seconds = LOOK.as_secs().to_string();
    let mut records = Vec::new();
    for (name, pids) in [("server", server.pid.to_string()), ("database", backends.join(","))] {
        let file = folder.join(format!("perf.{name}"));
        let mut perf = Command::new("perf");
        perf.args(["record", "-q", "-g", "-F", PERF_RATE, "-p", &pids, "-o"]).arg(&file).args(["--", "sleep", &seconds]);
        records.push((name, file, perf.kill_on_drop(true).spawn()?));
    }
    load(scenario, world, server).await?;
    for (name, file, mut record) in records {
        record.wait().await?;
        let mut perf = Command::new("perf");
        perf.args(["report", "--stdio", "-q", "--no-children", "-g", "none", "--sort", "sym", "--percent-limit", "0.4", "-i"]);
        let output = perf.arg(&file).output().await?;
        println!("\n  {}: {name}, own time", scenario.name());
        let text = String::from_utf8_lossy(&output.stdout);
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).take(LINES) {
            println!("  {}", line.chars().take(120).collect::<String>());
        }
    }
    Ok(())
}

async fn backends(superuser: &Client) -> anyhow::Result<Vec<i32>> {
    let rows = superuser
        .query("select pid from pg_stat_activity where application_name = 'tabletalk' and datname = current_database()", &[])
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Processor time of these processes so far, in clock ticks.
fn ticks(pids: &[i32]) -> f64 {
    let each = pids.iter().map(|pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
        fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>()
    });
    each.sum()
}
