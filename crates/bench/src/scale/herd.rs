//! A herd: many deadlines due at one instant, fired by the product while offices live on it, beside the
//! bare claim of as many.
//!
//! ```text
//! held back ─▶ some, alone ─▶ bare, alone ─▶ lives ─▶ lives + bare ─▶ lives + the herd ─▶ what is on record?
//! ```

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query, query_scalar, raw_sql};

use super::bare::Bare;
use super::lives::{self, Load};
use super::stage::{SETTLE, Stage};
use super::target::{Target, at_least, at_most, real};
use crate::offices::Pace;

/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(900);
/// Those that come first, with nothing beside them, are one in so many of the others.
pub(crate) const FIRST_SHARE: u64 = 4;
/// Which of its letters a process counts as notices.
const NOTICES: &str = "type=\"xacminh.notice.v1\"";
/// Deadlines that are held back stand here meanwhile.
const FAR: &str = "2200-01-01";
/// How many timers a second are set, at the least: the herd's instant lies behind it.
const SET_PER_SECOND: i64 = 10_000;

/// Which of the herd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Those that come alone.
    First,
    /// All others, which come beside lives.
    Rest,
}

impl Share {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Rest => "rest",
        }
    }

    /// Of a row `h` of the herd.
    pub(crate) fn condition(self) -> &'static str {
        match self {
            Self::First => "h.first",
            Self::Rest => "not h.first",
        }
    }
}

/// Product and bare claim, in the same circumstances.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Fired {
    /// Deadlines that were due.
    pub(crate) due: i64,
    /// A second, from their instant until none was due.
    pub(crate) fired_per_second: f64,
    /// A second, by the bare claim.
    pub(crate) bare_per_second: f64,
    pub(crate) ratio: f64,
}

impl Fired {
    fn of(due: i64, seconds: f64, bare_per_second: f64) -> Self {
        let fired_per_second = real(due) / seconds;
        Self { due, fired_per_second, bare_per_second, ratio: fired_per_second / bare_per_second }
    }
}

/// How a herd was met.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Herd {
    /// Some of it first, with nothing beside.
    pub(crate) alone: Fired,
    /// All others, while offices live.
    pub(crate) beside_lives: Fired,
    /// Lives a second: without it, beside the bare claim, and beside the herd.
    pub(crate) lives_without: f64,
    pub(crate) lives_beside_bare: f64,
    pub(crate) lives_beside: f64,
    /// Rungs of the herd on record: one a deadline, and another where the day of the answer's due has come.
    pub(crate) rungs: i64,
    /// Requests of the herd without a rung; events of rungs beyond the rungs on record.
    pub(crate) missed: i64,
    pub(crate) twice: i64,
    /// Lines for digests that were written, those that wait for a half-day, and notices that left.
    pub(crate) lines: i64,
    pub(crate) lines_waiting: i64,
    pub(crate) digests: f64,
    pub(crate) memory_most_mib: f64,
    /// Processor seconds of the product's process, a thousand deadlines of those that came alone.
    pub(crate) cpu_seconds_per_thousand: f64,
    pub(crate) logged: Vec<String>,
}

impl Herd {
    pub(crate) fn targets(&self) -> Vec<Target> {
        vec![
            at_least("herd alone, product ÷ bare claim", self.alone.ratio, 0.5),
            at_least("herd beside lives, product ÷ bare claim", self.beside_lives.ratio, 0.5),
            at_least("lives beside the herd ÷ without", self.lives_beside / self.lives_without, 0.7),
            at_most("deadlines missed, rungs twice", real(self.missed + self.twice), 0.0),
        ]
    }

    pub(crate) fn words(&self) -> String {
        let line = |name: &str, fired: Fired| {
            format!(
                "herd, {name}: {} due at one instant; product {:.0} a second, bare claim {:.0}, ratio {:.2}\n",
                fired.due, fired.fired_per_second, fired.bare_per_second, fired.ratio
            )
        };
        format!(
            "{}{}  lives a second: {:.0} without, {:.0} beside the bare claim, {:.0} beside the herd\n  \
             {} rungs, {} missed, {} twice; {} lines, {:.0} digests, {} lines wait for a half-day\n  \
             {:.0} MiB at most, {:.3} CPU s a thousand\n",
            line("alone", self.alone),
            line("beside lives", self.beside_lives),
            self.lives_without,
            self.lives_beside_bare,
            self.lives_beside,
            self.rungs,
            self.missed,
            self.twice,
            self.lines,
            self.digests,
            self.lines_waiting,
            self.memory_most_mib,
            self.cpu_seconds_per_thousand,
        )
    }
}

/// Lets the product meet it.
pub(crate) async fn meet(stage: &Stage, load: Load) -> Result<Herd> {
    let mut conn = PgConnection::connect(&stage.world.pg_url()).await?;
    hold_back(&mut conn).await?;
    let running = stage.start().await?;
    stage.settled(SETTLE).await?;
    let mut herd = Herd::default();

    let cpu = running.cpu()?;
    let first = let_go(&mut conn, Share::First).await?;
    let seconds = first.fired(&mut conn).await?;
    herd.cpu_seconds_per_thousand = (running.cpu()? - cpu) * 1_000.0 / real(first.count);
    let each = rungs(&mut conn, Share::First).await? / first.count;
    // Its digests are gone before the next is measured.
    stage.settled(SETTLE).await?;
    let bare = Bare::new(stage, Share::First).await?;
    let beside = Bare::new(stage, Share::Rest).await?;
    herd.alone = Fired::of(first.count, seconds, bare.run(each).await?);

    let mut offices = lives::begin(stage, load, Pace::Window(load.window)).await?;
    herd.lives_without = offices.measure(load.measured).await?.per_second();
    let (stretch, bare_per_second) = offices.measure_while(beside.run(each)).await?;
    herd.lives_beside_bare = stretch.per_second();
    let rest = offices.alongside(let_go(&mut conn, Share::Rest)).await?;
    let (stretch, seconds) = offices.measure_while(rest.fired(&mut conn)).await?;
    herd.lives_beside = stretch.per_second();
    herd.beside_lives = Fired::of(rest.count, seconds, bare_per_second);
    lives::end(offices).await?;

    stage.settled(SETTLE).await?;
    herd.digests = running.metric("xacminh_letters_total", &[NOTICES, "outcome=\"confirmed\""]).await?;
    herd.memory_most_mib = running.memory()?.1;
    herd.logged = running.end().await?;
    on_record(&mut conn, &mut herd).await?;
    conn.close().await?;
    for id in stage.world.rows("select request_id from bench.herd order by random() limit 20").await? {
        stage.xacminh(&["request", "verify", &id])?;
    }
    ensure!(herd.missed == 0 && herd.twice == 0, "{} missed, {} twice", herd.missed, herd.twice);
    Ok(herd)
}

/// What is due is the herd; it is due no more until it is let go.
async fn hold_back(conn: &mut PgConnection) -> Result<()> {
    let hold = format!(
        "create schema bench;
         create table bench.herd as
             select request_id, (hashtext(request_id::text) & 2147483647) % {} = 0 as first from timers where due_at <= now();
         update timers set due_at = '{FAR}' where due_at <= now();
         analyze bench.herd",
        FIRST_SHARE + 1
    );
    raw_sql(AssertSqlSafe(hold)).execute(&mut *conn).await?;
    for tidy in ["vacuum analyze timers", "checkpoint"] {
        raw_sql(tidy).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Deadlines that are due at an instant.
struct Due {
    count: i64,
    at: Timestamp,
    since: Instant,
}

/// Sets a share of the herd due at one instant, and waits for it.
async fn let_go(conn: &mut PgConnection, share: Share) -> Result<Due> {
    let held = share.condition();
    let count: i64 = query_scalar(AssertSqlSafe(format!("select count(*) from bench.herd h where {held}")))
        .fetch_one(&mut *conn)
        .await?;
    ensure!(count > 0, "nothing is due");
    let at = Timestamp::now() + SignedDuration::from_secs(2 + count / SET_PER_SECOND);
    let set = format!(
        "update timers t set due_at = $1::text::timestamptz from bench.herd h
         where h.request_id = t.request_id and {held}"
    );
    query(AssertSqlSafe(set)).bind(at.to_string()).execute(&mut *conn).await?;
    // If it took longer, they are due as soon as they are set.
    let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
    tokio::time::sleep(wait).await;
    Ok(Due { count, at, since: Instant::now() })
}

impl Due {
    /// Waits until none of them is due; gives how long it took, in seconds.
    async fn fired(&self, conn: &mut PgConnection) -> Result<f64> {
        loop {
            // In the order of the index, as the product asks: a plan of its own might read the whole table.
            let left: Option<bool> =
                query_scalar("select due_at <= $1::text::timestamptz from timers order by due_at limit 1")
                    .bind(self.at.to_string())
                    .fetch_optional(&mut *conn)
                    .await?;
            if left != Some(true) {
                return Ok(self.since.elapsed().as_secs_f64());
            }
            ensure!(self.since.elapsed() < PATIENCE, "some of {} are still due", self.count);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn rungs(conn: &mut PgConnection, share: Share) -> Result<i64> {
    let held = share.condition();
    let question = format!("select count(*) from rungs r join bench.herd h using (request_id) where {held}");
    Ok(query_scalar(AssertSqlSafe(question)).fetch_one(conn).await?)
}

/// What the store has of the herd.
async fn on_record(conn: &mut PgConnection, herd: &mut Herd) -> Result<()> {
    herd.rungs = rungs(conn, Share::First).await? + rungs(conn, Share::Rest).await?;
    let mut number =
        async |question: &'static str| -> Result<i64> { Ok(query_scalar(question).fetch_one(&mut *conn).await?) };
    herd.missed = number(
        "select count(*) from bench.herd h where not exists (select from rungs r where r.request_id = h.request_id)",
    )
    .await?;
    // The key of `rungs` keeps a second one out; the ledger has no such key.
    let events = number(
        "select count(*) from events e join bench.herd h using (request_id)
         where position('\"rung_fired\"'::bytea in e.body) > 0",
    )
    .await?;
    herd.twice = events - herd.rungs;
    herd.lines =
        number("select coalesce(max(last_value), 0)::bigint from notice_lines_line_id_seq where is_called").await?;
    herd.lines_waiting = number("select count(*) from notice_lines").await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_the_same_circumstances() {
        let fired = Fired::of(1_000, 2.0, 2_000.0);
        assert!((fired.fired_per_second - 500.0).abs() < 1e-9 && (fired.ratio - 0.25).abs() < 1e-9);
        let herd = Herd {
            alone: Fired::of(1_000, 1.0, 1_500.0),
            beside_lives: fired,
            lives_without: 100.0,
            lives_beside: 80.0,
            ..Herd::default()
        };
        let reached: Vec<bool> = herd.targets().iter().map(|target| target.reached).collect();
        assert_eq!(reached, [true, false, true, true]);
    }
}
