//! What is measured at a size: the product's own questions, its pages and commands, its process, and
//! how many lives it carries meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use xacminh_domain::calendar::local_date;
use xacminh_store::timer::{self, Whose};
use xacminh_store::view::late::{self, Filter};
use xacminh_store::view::report::{Cut, Days};
use xacminh_store::view::{by_office, lag, look, readiness, report};
use xacminh_store::{Store, reconcile};

use super::lives::{self, Lives, Load};
use super::stage::{Running, SETTLE, Stage};
use super::target::real;

/// How long the idle product is watched.
const IDLE: Duration = Duration::from_secs(20);
/// Due scans, each for as many as services/src/escalating.rs asks for.
const SCANS: usize = 300;
const CLAIM: i64 = 1_000;
/// Pages asked for.
const PAGES: usize = 50;
const OFFICE_PAGES: usize = 6;
/// The page by office is kept so long.
const FRESH_FOR: Duration = Duration::from_millis(5_100);
/// Chains that are proven whole.
const PROVEN: i64 = 40;

/// Milliseconds of many.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Spread {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// All that was measured at one size.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Measured {
    /// From the start of the process to `/readyz`, the first time.
    pub(crate) first_ready_seconds: f64,
    /// Until nothing was left to do after it.
    pub(crate) settle_seconds: f64,
    /// The same after the load, with everything in its place.
    pub(crate) restart_ready_seconds: f64,
    /// Resident memory, in MiB, of the idle process and at its most under load.
    pub(crate) memory_idle_mib: f64,
    pub(crate) memory_most_mib: f64,
    /// Of the idle product: share of one core that the process uses, and of all cores that are busy.
    pub(crate) idle_process_cores: f64,
    pub(crate) idle_machine_share: f64,
    pub(crate) due_scan_ms: Spread,
    pub(crate) metrics_ms: Spread,
    pub(crate) offices_ms: Spread,
    /// Seconds of commands, by their words.
    pub(crate) commands_seconds: BTreeMap<String, f64>,
    /// Seconds of the store's questions, by their names.
    pub(crate) questions_seconds: BTreeMap<String, f64>,
    pub(crate) lives: Lives,
    /// Share of updates of `requests` and of `timers` that stayed in their page.
    pub(crate) hot_requests: f64,
    pub(crate) hot_timers: f64,
    /// Warnings and errors that the product logged.
    pub(crate) logged: Vec<String>,
}

/// Measures all of it.
pub(crate) async fn measure(stage: &Stage, load: Load) -> Result<Measured> {
    let mut m = Measured::default();
    prove(stage).await?;
    let started = Timestamp::now();
    let running = stage.start().await?;
    m.first_ready_seconds = running.ready_seconds;
    m.settle_seconds = stage.filled_inboxes(started, SETTLE).await?;
    idle(&running, &mut m).await?;
    let store = Store::connect(&stage.world.pg_url(), 2)?;
    m.due_scan_ms = due_scans(&store).await?;
    m.metrics_ms = pages(&running, "/metrics", PAGES, Duration::ZERO).await?;
    m.offices_ms = pages(&running, "/metrics/offices", OFFICE_PAGES, FRESH_FOR).await?;
    commands(stage, &mut m).await?;
    questions(&store, &mut m).await?;
    store.close().await;
    let before = hot(stage).await?;
    m.lives = lives::at_once(stage, load).await?;
    // What a backend counted is told when it has nothing to do.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = hot(stage).await?;
    let share = |n: usize| ratio(after[n][1] - before[n][1], after[n][0] - before[n][0]);
    (m.hot_requests, m.hot_timers) = (share(0), share(1));
    m.memory_most_mib = running.memory()?.1;
    m.logged = running.end().await?;
    let again = stage.start().await?;
    m.restart_ready_seconds = again.ready_seconds;
    m.logged.extend(again.end().await?);
    Ok(m)
}

/// A share of what was filled in is proven whole by the product's own command.
async fn prove(stage: &Stage) -> Result<()> {
    // A closed one by its state, an open one by its timer.
    for question in [
        format!("select request_id from requests tablesample system (0.5) limit {PROVEN}"),
        format!("select request_id from timers order by request_id desc limit {PROVEN}"),
        "select request_id from requests where state = 'read' limit 5".to_owned(),
        "select request_id from deliveries limit 5".to_owned(),
    ] {
        for id in stage.world.rows(question).await? {
            stage.xacminh(&["request", "verify", &id])?;
        }
    }
    Ok(())
}

async fn idle(running: &Running, m: &mut Measured) -> Result<()> {
    let seconds = IDLE.as_secs_f64();
    let (process, machine) = (running.cpu()?, machine()?);
    tokio::time::sleep(IDLE).await;
    m.idle_process_cores = (running.cpu()? - process) / seconds;
    let now = self::machine()?;
    m.idle_machine_share = (now.0 - machine.0) / (now.1 - machine.1);
    m.memory_idle_mib = running.memory()?.0;
    Ok(())
}

/// Ticks of all cores: busy, and all.
fn machine() -> Result<(f64, f64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("no line")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).take(8).map(str::parse).collect::<Result<_, _>>()?;
    ensure!(ticks.len() == 8, "another /proc/stat");
    let all: f64 = ticks.iter().sum();
    Ok((all - ticks[3] - ticks[4], all))
}

async fn due_scans(store: &Store) -> Result<Spread> {
    let mut conn = store.conn().await?;
    let mut ms = Vec::with_capacity(SCANS);
    for _ in 0..SCANS {
        let began = Instant::now();
        timer::due(&mut conn, Timestamp::now(), Whose::All, CLAIM).await?;
        ms.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(spread(ms))
}

async fn pages(running: &Running, path: &str, count: usize, pause: Duration) -> Result<Spread> {
    let mut ms = Vec::with_capacity(count);
    for _ in 0..count {
        tokio::time::sleep(pause).await;
        ms.push(running.page(path).await?.0);
    }
    Ok(spread(ms))
}

async fn commands(stage: &Stage, m: &mut Measured) -> Result<()> {
    let today = local_date(Timestamp::now());
    let back = |days: i64| Ok::<_, jiff::Error>(today.checked_sub(SignedDuration::from_hours(24 * days))?.to_string());
    let (yesterday, month) = (back(1)?, back(31)?);
    let id = stage.world.rows("select request_id from timers order by request_id limit 1").await?.concat();
    for words in [
        "late --json".to_owned(),
        "late --province 01".to_owned(),
        format!("request trace {id}"),
        format!("request verify {id}"),
        format!("report --level province --from {yesterday} --to {yesterday}"),
        format!("report --level nation --from {yesterday} --to {yesterday}"),
        format!("report --level office --from {yesterday} --to {yesterday}"),
        format!("report --level province --from {month} --to {yesterday}"),
        format!("report --province 01 --from {month} --to {yesterday}"),
        format!("report --province 01 --level office --from {month} --to {yesterday}"),
    ] {
        let (seconds, _) = stage.timed(&words.split(' ').collect::<Vec<_>>())?;
        // Which days and which request they were matters to nobody.
        let name = words.replace(&yesterday, "YESTERDAY").replace(&month, "A-MONTH-AGO").replace(&id, "ID");
        m.commands_seconds.insert(name, seconds);
    }
    Ok(())
}

/// The store's questions that span requests, one by one.
async fn questions(store: &Store, m: &mut Measured) -> Result<()> {
    macro_rules! ask {
        ($name:literal, $question:expr) => {
            let began = Instant::now();
            $question.await?;
            m.questions_seconds.insert($name.to_owned(), began.elapsed().as_secs_f64());
        };
    }
    let now = Timestamp::now();
    let mut conn = store.conn().await?;
    ask!("measuring: lag::in_life", lag::in_life(&mut conn, now));
    ask!("measuring: lag::deliveries", lag::deliveries(&mut conn));
    ask!("measuring: lag::parked", lag::parked(&mut conn));
    ask!("measuring: reconcile::unhealed", reconcile::unhealed(&mut conn, local_date(now)));
    ask!("measuring: timer::next", timer::next(&mut conn));
    ask!("measuring: readiness::place", readiness::place(&mut conn));
    drop(conn);
    let yesterday = local_date(now).yesterday()?;
    let days = Days { from: yesterday, to: yesterday };
    let all = report::Of::from(days);
    let mut tx = look(store, now).await?;
    let filter = Filter { province: Some("01".to_owned()), ..Filter::default() };
    ask!("late: late::list of a province", late::list(&mut tx, &filter));
    ask!("report of a day: standing", report::standing(&mut tx, &all, &Cut::ALL));
    ask!("report of a day: segments", report::segments(&mut tx, &all, &Cut::ALL));
    ask!("report of a day: held", report::held(&mut tx, &all, &Cut::ALL));
    ask!("report: in_hand", report::in_hand(&mut tx, &all, &Cut::ALL));
    ask!("report: late_for", report::late_for(&mut tx, &all, &Cut::ALL));
    ask!("report of a day: refused", report::refused(&mut tx, &all));
    ask!("report of a day: by_office::offices", by_office::offices(&mut tx, &all));
    ask!("call list: by_office::to_call", by_office::to_call(&mut tx, "01"));
    tx.rollback().await?;
    Ok(())
}

/// Updates, and those that stayed in their page: of `requests`, of `timers`.
async fn hot(stage: &Stage) -> Result<[[i64; 2]; 2]> {
    let mut of = [[0; 2]; 2];
    for (table, counts) in ["requests", "timers"].into_iter().zip(&mut of) {
        for (column, count) in ["n_tup_upd", "n_tup_hot_upd"].into_iter().zip(counts) {
            // A partitioned table's are those of its months.
            let question = format!(
                "select coalesce(sum({column}), 0)::bigint from pg_stat_user_tables
                 where schemaname = 'public' and relname ~ '^{table}(_[0-9]{{6}})?$'"
            );
            *count = stage.world.number(question).await?;
        }
    }
    Ok(of)
}

fn ratio(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { real(part) / real(whole) }
}

fn spread(mut ms: Vec<f64>) -> Spread {
    ms.sort_by(f64::total_cmp);
    let at = |percent: usize| ms.get(ms.len() * percent / 100).or(ms.last()).copied().unwrap_or_default();
    Spread { p50: at(50), p99: at(99), max: ms.last().copied().unwrap_or_default() }
}
