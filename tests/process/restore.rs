//! The database is lost under traffic and comes back from a backup that is ten minutes old, while
//! RabbitMQ and all offices have gone on: they see the new epoch, send again, and both ends agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;
use xacminh_testkit::{OwnServers, eventually};

use crate::product::{Product, START};
use crate::traffic::{Habit, Home, Traffic};

const THURSDAY: &str = "2026-11-19T08:00:00+07:00";
const DAY: &str = "2026-11-19";
const WARDS: [&str; 3] = ["vpy3356l", "vpy5exzu", "vpy6cdfl"];
const HOMES: [Home; 4] = [
    ("vpy45bs3", "15199", Habit::Answers),
    ("vpy5j2zd", "18364", Habit::Answers),
    ("vpy6zzvm", "15499", Habit::Answers),
    ("vpy7audu", "05605", Habit::TakenBack),
];
/// How long a ward waits between two submits.
const PACE: Duration = Duration::from_millis(200);
/// How many lives come to their end before the next thing happens.
const SOME: usize = 40;
/// By when everything has found its place again.
const RECOVERY: Duration = Duration::from_secs(180);

/// Runs a tool of PostgreSQL to its end.
async fn tool(name: &str, args: &[&str]) -> Result<()> {
    let out = Command::new(name).args(args).output().await.with_context(|| format!("{name} could not be run"))?;
    ensure!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

/// The databases of a server, changed from beside them.
struct Databases(PgConnection);

impl Databases {
    async fn of(servers: &OwnServers) -> Result<Self> {
        Ok(Self(PgConnection::connect(&servers.servers().pg_url).await?))
    }

    async fn say(&mut self, statement: String) -> Result<()> {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut self.0).await?;
        Ok(())
    }
}

/// The states of all requests, as the store has them.
async fn states(product: &Product) -> Result<BTreeMap<String, String>> {
    let rows = product.world.rows("select request_id || ' ' || state from requests").await?;
    rows.iter()
        .map(|row| row.split_once(' ').map(|(id, state)| (id.to_owned(), state.to_owned())).context("two words"))
        .collect()
}

async fn until(product: &Product, question: &str, wanted: i64) {
    eventually(&format!("{wanted} from: {question}"), RECOVERY, async || {
        (product.world.number(question).await.ok()? == wanted).then_some(())
    })
    .await;
}

/// Nothing is on its way any more, at neither end.
async fn until_quiet(product: &Product, traffic: &Traffic) {
    traffic.until("all that was said confirmed", RECOVERY, || traffic.is_quiet()).await;
    eventually("empty queues", RECOVERY, async || {
        let totals = product.world.manage(|m| m.queue_totals()).await.ok()?;
        (totals.iter().map(|t| t.waiting + t.in_hand).sum::<u64>() == 0).then_some(())
    })
    .await;
    until(product, "select count(*) from outbox", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_ten_minutes_ago_is_restored_under_traffic_and_both_ends_agree() -> Result<()> {
    let servers = OwnServers::start("restore").await?;
    let offices: Vec<&str> = WARDS.into_iter().chain(HOMES.iter().map(|(office, ..)| *office)).collect();
    let product = Product::on(&servers, "restore", Some(THURSDAY), &offices).await?;
    let running = product.start(&[]).await?;
    let traffic = Traffic::begin(&product, &WARDS, &HOMES, 90_000, PACE)?;
    traffic.until_answered(SOME, RECOVERY).await;

    // The backup is of a moment in the thick of it; ten minutes of the clock follow.
    let (backup, pg_url) = (product.file("backup"), product.world.pg_url());
    let backup = path(&backup)?;
    tool("pg_dump", &["--format=custom", "--file", backup, &pg_url]).await?;
    product.jump("2026-11-19T08:12:00+07:00")?;
    traffic.until_answered(SOME, RECOVERY).await;
    let before = states(&product).await?;

    // It is lost, and restored beside its place; the epoch begins before any process sees it.
    let name = product.world.name();
    let restored = format!("{name}_restored");
    let mut databases = Databases::of(&servers).await?;
    databases.say(format!("drop database {name} with (force)")).await?;
    eventually("503, for PostgreSQL", START, async || {
        let (status, words) = running.page("/readyz?verbose").await.ok()?;
        (status == 503 && words.contains("[-] postgresql: ")).then_some(())
    })
    .await;
    traffic.until_asked(SOME / 4).await;
    databases.say(format!("create database {restored}")).await?;
    let beside = pg_url.replace(name, &restored);
    tool("pg_restore", &["--exit-on-error", "--dbname", &beside, backup]).await?;
    let said = product.run_on(&beside, &["epoch", "new"]).await?;
    eprint!("{said}");
    ensure!(said.contains(&format!("{} offices are told", offices.len())), "{said}");
    ensure!(said.contains("lost: what came after 19/11/2026 08:0"), "{said}");
    databases.say(format!("alter database {restored} rename to {name}")).await?;
    let found = states(&product).await?;
    let lost: BTreeSet<&String> = before.keys().filter(|id| !found.contains_key(*id)).collect();
    let back = before.iter().filter(|(id, state)| found.get(*id).is_some_and(|now| now != *state)).count();
    eprintln!("{} requests before; {} of them lost, {back} set back to an earlier state", before.len(), lost.len());
    ensure!(lost.len() >= SOME / 2, "ten minutes in which nothing happened");

    // The same process goes on, and so do the offices.
    eventually("200 again, of the same process", RECOVERY, async || {
        let (status, _) = running.page("/readyz").await.ok()?;
        (status == 200).then_some(())
    })
    .await;
    traffic.until_answered(SOME, RECOVERY).await;
    traffic.stop_asking();
    traffic.until("every office saw the other epoch", RECOVERY, || traffic.epochs().iter().all(|n| *n == 2)).await;
    let (to_answer, to_take_back) = traffic.asked_of_habits();
    traffic.until("every answer with its ward", RECOVERY, || traffic.answered() >= to_answer).await;
    traffic.until("the rest taken back", RECOVERY, || traffic.withdrawn().len() >= to_take_back).await;
    until_quiet(&product, &traffic).await;

    // Each office lays its day beside the broker's. What is still missing is sent again by that.
    product.jump("2026-11-19T08:40:00+07:00")?;
    let first = traffic.reconcile(DAY, RECOVERY).await?;
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for (_, line) in &first {
        *kinds.entry(format!("{} {}", line["difference"], line["healing"])).or_default() += 1;
    }
    eprintln!("differences of the first reports: {kinds:?}");
    ensure!(first.iter().all(|(_, line)| line["healing"] != "alerted"), "beyond mending: {first:#?}");
    until_quiet(&product, &traffic).await;
    product.jump("2026-11-19T09:00:00+07:00")?;
    assert_eq!(traffic.reconcile(DAY, RECOVERY).await?, [], "both ends have the same");
    until_quiet(&product, &traffic).await;

    // Every request that the wards know is in the store, in the state that they know.
    let (read, withdrawn) = (traffic.read(), traffic.withdrawn());
    let known: BTreeMap<String, String> = read
        .into_iter()
        .map(|id| (id, "read".to_owned()))
        .chain(withdrawn.into_iter().map(|id| (id, "withdrawn".to_owned())))
        .collect();
    assert_eq!(known.len(), traffic.asked());
    assert_eq!(states(&product).await?, known);
    assert!(traffic.too_early().is_empty(), "refused, and never taken: {:?}", traffic.too_early());
    traffic.each_request_came_under_one_id();
    for left in ["deliveries", "timers", "parked", "notice_lines", "reconcile_differences", "reconcile_pages"] {
        until(&product, &format!("select count(*) from {left}"), 0).await;
    }
    let refused = "select distinct code from refused where code not in ('request_unknown', 'not_yet_answered')";
    assert!(product.world.rows(refused).await?.is_empty());
    // What was lost is on record, so that nobody is charged for it.
    assert_eq!(product.world.number("select count(*) from outages where what = 'restore'").await?, 1);
    for id in lost.iter().take(3) {
        product.run(&["request", "verify", id]).await?;
    }
    let said = product.run(&["epoch", "show"]).await?;
    ensure!(said.contains("since 19/11/2026 08:1"), "{said}");
    // Under processes that work on it another life of the store would begin in the middle of one.
    ensure!(product.run(&["epoch", "new"]).await.is_err_and(|e| e.to_string().contains("stop every `xacminh run`")));
    ensure!(product.run(&["epoch", "show"]).await? == said);
    let said = product.run(&["reconcile", "--day", DAY, "--office", HOMES[0].1]).await?;
    ensure!(said.contains(" answer.give") && said.contains("  no differences"), "{said}");
    let said = product.run(&["reconcile", "--day", "2026-11-18", "--office", HOMES[0].0]).await?;
    ensure!(said.contains("it has not reported that day"), "{said}");
    let said = product.run(&["reconcile", "--day", DAY]).await?;
    ensure!(said.contains("19/11/2026: 7 offices reported") && !said.contains(" 1 differences"), "{said}");
    for office in offices {
        let said = product.run(&["reconcile", "--day", DAY, "--office", office, "--json"]).await?;
        let said: Value = serde_json::from_str(&said)?;
        assert_eq!(said["differences"], Value::Array(Vec::new()), "{said:#}");
        assert_eq!(said["report"]["sent"]["agreed"], said["report"]["sent"]["theirs"]);
        assert_eq!(said["report"]["received"]["agreed"], said["report"]["received"]["ours"]);
    }
    traffic.end().await;
    running.stop().await?;
    product.close().await?;
    servers.close().await
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}
