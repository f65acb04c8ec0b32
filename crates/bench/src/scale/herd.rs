//! A herd: many deadlines due at one instant, fired by the product, beside the bare claim of as many.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::{Connection, PgConnection, query, query_scalar, raw_sql};
use xacminh_store::timer::{self, Whose};

use super::stage::Stage;

/// How many are claimed together, as by services/src/escalating.rs.
const CLAIM: i64 = 500;
/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// How a herd was met.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Herd {
    /// Deadlines due at the start.
    pub(crate) due: i64,
    /// A second, by the product: from its first rung on record to its last.
    pub(crate) fired_per_second: f64,
    /// A second, by the same claim with one insert and the update of the timer.
    pub(crate) bare_per_second: f64,
    pub(crate) ratio: f64,
    /// Rungs of the herd on record, timers still due, and lines that wait for a digest.
    pub(crate) rungs: i64,
    pub(crate) missed: i64,
    pub(crate) lines: i64,
    /// Offices that these lines are for: so many digests will leave.
    pub(crate) digests: i64,
    pub(crate) memory_most_mib: f64,
    /// Processor seconds of the product's process, a thousand deadlines.
    pub(crate) cpu_seconds_per_thousand: f64,
    pub(crate) logged: Vec<String>,
}

/// Lets the product meet it.
pub(crate) async fn meet(stage: &Stage) -> Result<Herd> {
    let mut herd =
        Herd { due: stage.world.number("select count(*) from timers where due_at <= now()").await?, ..Herd::default() };
    let fired_before = stage.world.number("select count(*) from rungs").await?;
    ensure!(herd.due > 0, "nothing is due");
    herd.bare_per_second = bare(stage).await?;
    let running = stage.start().await?;
    let began = Instant::now();
    let mut last = herd.due;
    // Between two looks: when the last one was seen due, the rate up to there is exact to a look.
    let (mut first_seen, mut first_left) = (None, herd.due);
    loop {
        let left = stage.world.number("select count(*) from timers where due_at <= now()").await?;
        if left < herd.due && first_seen.is_none() {
            (first_seen, first_left) = (Some(Instant::now()), left);
        }
        if left == 0 {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "{left} of {} are still due", herd.due);
        last = left;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let first_seen = first_seen.context("none was seen to be claimed")?;
    let seconds = if last == herd.due { began.elapsed() } else { first_seen.elapsed() }.as_secs_f64();
    let counted = if last == herd.due { herd.due } else { first_left };
    herd.fired_per_second = per_second(counted, seconds);
    herd.ratio = herd.fired_per_second / herd.bare_per_second;
    herd.rungs = stage.world.number("select count(*) from rungs").await? - fired_before;
    herd.missed = stage.world.number("select count(*) from timers where due_at <= now()").await?;
    herd.lines = stage.world.number("select count(*) from notice_lines").await?;
    herd.digests = stage.world.number("select count(distinct office) from notice_lines").await?;
    herd.memory_most_mib = running.memory()?.1;
    herd.cpu_seconds_per_thousand = running.cpu()? * 1_000.0 / per_second(herd.due, 1.0);
    herd.logged = running.end().await?;
    // The key of `rungs` keeps a second one out; the ledger is asked as well.
    let twice = stage
        .world
        .number(
            "select count(*) from (
                 select request_id from rungs group by request_id, trigger, rung, clock_start having count(*) > 1) t",
        )
        .await?;
    ensure!(herd.missed == 0 && twice == 0, "{} missed, {twice} twice", herd.missed);
    ensure!(herd.rungs >= herd.due, "{} rungs of {} deadlines", herd.rungs, herd.due);
    let id = stage.world.rows("select request_id from rungs order by fired_at desc limit 20").await?;
    for id in id {
        stage.xacminh(&["request", "verify", &id])?;
    }
    Ok(herd)
}

/// The bare claim, on copies of the two tables: what PostgreSQL gives at most, batch by batch and
/// committed each.
async fn bare(stage: &Stage) -> Result<f64> {
    let mut conn = PgConnection::connect(&stage.world.pg_url()).await?;
    raw_sql(
        "create schema bare; set search_path = bare;
         create table timers (like public.timers including all) with (fillfactor = 70);
         insert into timers select * from public.timers;
         create table rungs (like public.rungs including all);
         analyze timers",
    )
    .execute(&mut conn)
    .await?;
    let now = Timestamp::now();
    let began = Instant::now();
    let mut count = 0;
    loop {
        let mut tx = conn.begin().await?;
        let due = timer::due(&mut tx, now, Whose::All, CLAIM).await?;
        if due.is_empty() {
            break;
        }
        let claimed = timer::claim(&mut tx, &due).await?;
        let ids: Vec<_> = claimed.iter().map(|id| id.uuid()).collect();
        query(
            "insert into rungs (request_id, trigger, rung, clock_start, due_at, fired_at)
             select id, 'accept_due', 0, now(), now(), now() from unnest($1::uuid[]) as t (id)",
        )
        .bind(&ids)
        .execute(&mut *tx)
        .await?;
        let timers: Vec<_> = claimed.iter().map(|id| timer::Change::to(*id).until(timer::NEVER)).collect();
        timer::set(&mut tx, &timers).await?;
        tx.commit().await?;
        count += i64::try_from(claimed.len())?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let rungs: i64 = query_scalar("select count(*) from rungs").fetch_one(&mut conn).await?;
    ensure!(rungs == count, "the bare claim lost some");
    raw_sql("drop schema bare cascade").execute(&mut conn).await?;
    conn.close().await?;
    Ok(per_second(count, seconds))
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn per_second(count: i64, seconds: f64) -> f64 {
    count as f64 / seconds
}
