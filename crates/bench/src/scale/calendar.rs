//! A calendar that changes by one day while offices live: the due dates of all that is in life are counted
//! anew. All of it was stored by H's systems on the last working day, and the next one becomes a day of
//! rest, so that no due date stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar, raw_sql};
use xacminh_domain::calendar::local_date;
use xacminh_store::{Store, reference};

use super::lives::{self, Load};
use super::stage::{SETTLE, Stage};
use super::target::{Target, at_most, real};
use crate::offices::Pace;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// How a changed calendar was met.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Recount {
    /// Requests in life when the calendar changed.
    pub(crate) open: i64,
    /// Requests that got other due dates.
    pub(crate) recounted: i64,
    /// Of those filled in: with a due date that has not moved, and with an old due date that the ledger does
    /// not have any more.
    pub(crate) unmoved: i64,
    pub(crate) forgotten: i64,
    /// The command.
    pub(crate) import_seconds: f64,
    /// From its end until all that is in life was gone through.
    pub(crate) counted_seconds: f64,
    /// From its end until the work was declared done: no sooner than every process has the new calendar.
    pub(crate) finished_seconds: f64,
    pub(crate) lives_without: f64,
    pub(crate) lives_beside: f64,
    pub(crate) memory_most_mib: f64,
    pub(crate) logged: Vec<String>,
}

impl Recount {
    /// From the start of the command until every due date is the new one.
    fn seconds(&self) -> f64 {
        self.import_seconds + self.counted_seconds
    }

    pub(crate) fn targets(&self) -> Vec<Target> {
        vec![
            at_most("all open counted anew, with the import, s", self.seconds(), 60.0),
            at_most("due dates unmoved, old ones forgotten", real(self.unmoved + self.forgotten), 0.0),
        ]
    }

    pub(crate) fn words(&self) -> String {
        format!(
            "calendar: {} of {} open counted anew in {:.1} s ({:.1} s the import, {:.1} s after it: {:.0} a second), done after {:.1} s\n  \
             {} unmoved, {} old ones forgotten; lives a second {:.0} without, {:.0} beside; {:.0} MiB at most\n",
            self.recounted,
            self.open,
            self.seconds(),
            self.import_seconds,
            self.counted_seconds,
            real(self.recounted) / self.counted_seconds,
            self.finished_seconds,
            self.unmoved,
            self.forgotten,
            self.lives_without,
            self.lives_beside,
            self.memory_most_mib,
        )
    }
}

/// Imports one changed day while offices live. `data` is the reference data as it is in force; so many fresh
/// requests were filled in.
pub(crate) async fn change(stage: &Stage, data: &Path, fresh: i64, load: Load) -> Result<Recount> {
    let mut conn = PgConnection::connect(&stage.world.pg_url()).await?;
    let (changed, day) = changed(stage, data).await?;
    // All have begun before that day; what is due on it or later has to move. A silent home has no clock yet.
    let dues = format!(
        "create schema bench;
         create table bench.dues as
             select request_id, file_due_on, answer_due_on from requests
             where state in ('submitted', 'sent', 'delivered') and file_due_on >= '{day}'
                 and coalesce(answer_due_on >= '{day}', true);
         analyze bench.dues"
    );
    raw_sql(AssertSqlSafe(dues)).execute(&mut conn).await?;
    let running = stage.start().await?;
    stage.settled(SETTLE).await?;
    let mut recount = Recount::default();
    let mut offices = lives::begin(stage, load, Pace::Window(load.window)).await?;
    recount.lives_without = offices.measure(load.measured).await?.per_second();
    recount.open = stage.world.number("select count(*) from timers").await?;
    let work = async {
        let began = Instant::now();
        stage.import(&changed).await?;
        let imported = Instant::now();
        let all = "select exists (select from recounts where passes > 0)";
        let counted = until(&mut conn, all, imported).await?;
        Ok((imported - began, imported, counted))
    };
    let (stretch, (import, imported, counted)) = offices.measure_while(work).await?;
    recount.lives_beside = stretch.per_second();
    (recount.import_seconds, recount.counted_seconds) = (import.as_secs_f64(), counted);
    let done = "select exists (select from recounts where finished_at is not null)";
    recount.finished_seconds = offices.alongside(until(&mut conn, done, imported)).await?;
    lives::end(offices).await?;
    recount.memory_most_mib = running.memory()?.1;
    recount.logged = running.end().await?;
    on_record(stage, fresh, &mut conn, &mut recount).await?;
    conn.close().await?;
    Ok(recount)
}

/// Waits until this is so; gives how long it took, in seconds.
async fn until(conn: &mut PgConnection, question: &'static str, since: Instant) -> Result<f64> {
    loop {
        if query_scalar::<_, bool>(question).fetch_one(&mut *conn).await? {
            return Ok(since.elapsed().as_secs_f64());
        }
        ensure!(since.elapsed() < PATIENCE, "due dates are not counted anew after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn on_record(stage: &Stage, fresh: i64, conn: &mut PgConnection, recount: &mut Recount) -> Result<()> {
    recount.recounted = query_scalar("select recounted from recounts").fetch_one(&mut *conn).await?;
    let filled: i64 = query_scalar("select count(*) from bench.dues").fetch_one(&mut *conn).await?;
    ensure!(filled >= fresh, "{filled} of {fresh} have due dates that can move");
    ensure!(recount.recounted >= filled, "{} of {filled} were counted anew", recount.recounted);
    recount.unmoved = query_scalar(
        "select count(*) from bench.dues d join requests r using (request_id)
         where r.file_due_on <= d.file_due_on or r.answer_due_on <= d.answer_due_on",
    )
    .fetch_one(&mut *conn)
    .await?;
    // The ledger has each due date that ever held: the one of the file with the submit, that of the answer
    // with the start of the clock.
    recount.forgotten = query_scalar(
        "select count(*) from (select * from bench.dues order by request_id limit 2000) d
         where exists (
             select from unnest(array[d.file_due_on, d.answer_due_on]) as due (due_on)
             where due.due_on is not null and not exists (
                 select from events e where e.request_id = d.request_id
                     and position(convert_to(due.due_on::text, 'UTF8') in e.body) > 0
                     and position('\"recounted\"'::bytea in e.body) = 0))",
    )
    .fetch_one(&mut *conn)
    .await?;
    for id in stage.world.rows("select request_id from bench.dues order by random() limit 20").await? {
        stage.xacminh(&["request", "verify", &id])?;
    }
    Ok(())
}

/// A copy of the reference data in which the next working day is one of rest, and that day.
async fn changed(stage: &Stage, data: &Path) -> Result<(PathBuf, Date)> {
    let store = Store::connect(&stage.world.pg_url(), 1)?;
    let reference = reference::load(&mut *store.conn().await?).await?;
    store.close().await;
    let mut day = local_date(Timestamp::now()).tomorrow()?;
    while !reference.calendars.nation().is_working_day(day) {
        day = day.tomorrow()?;
    }
    let copy = stage.dir().join("changed-data");
    copy_dir(data, &copy)?;
    let year = copy.join(format!("calendar/vn-{}.csv", day.year()));
    let days = fs::read_to_string(&year).with_context(|| year.display().to_string())?;
    fs::write(&year, with_rest(&days, day))?;
    let version = copy.join("VERSION");
    fs::write(&version, next_version(&fs::read_to_string(&version)?)?)?;
    Ok((copy, day))
}

fn with_rest(days: &str, day: Date) -> String {
    // A swap that names this day would not be a rest any more.
    let rest: String =
        days.lines().filter(|line| !line.starts_with(&day.to_string())).flat_map(|line| [line, "\n"]).collect();
    format!("{rest}{day},compensatory_rest,Nghỉ,official\n")
}

fn next_version(version: &str) -> Result<String> {
    let (day, number) = version.trim().split_once('.').context("a version without a number")?;
    Ok(format!("{day}.{}\n", number.parse::<u32>()? + 1))
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_changed_calendar_is_read_and_differs_by_the_day() {
        let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data"));
        let copy = std::env::temp_dir().join(format!("xacminh-bench-{}", std::process::id()));
        copy_dir(data, &copy).unwrap();
        let file = copy.join("calendar/vn-2026.csv");
        let day = jiff::civil::date(2026, 11, 30);
        fs::write(&file, with_rest(&fs::read_to_string(&file).unwrap(), day)).unwrap();
        let read = |dir: &Path| xacminh_registry::Registry::load(dir).unwrap().calendar_days;
        let (before, after) = (read(data), read(&copy));
        fs::remove_dir_all(&copy).unwrap();
        assert!(before.iter().all(|known| known.on != day));
        assert_eq!(after.len(), before.len() + 1);
        assert!(after.iter().any(|known| known.on == day));
    }

    #[test]
    fn another_calendar_has_another_version() {
        assert_eq!(next_version("2026-11-26.9\n").unwrap(), "2026-11-26.10\n");
        assert!(next_version("2026-11-26").is_err());
    }
}
