//! Fills an empty store with the requests of a nation, by COPY.
//!
//! ```text
//! plan: days ─▶ chunks ─▶ threads: live, write rows ─▶ a stream a table ─▶ indexes ─▶ analyze
//! ```
//!
//! Closed requests lie on the working days of thirteen months, those of the last week with every
//! event, older ones with two: asked and taken back. Open ones lie on the last 25 working days. What a trial
//! needs besides is a [`Crowd`] of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar, raw_sql};
use tokio::task::JoinSet;
use xacminh_domain::calendar::{end_of_day, local_date};
use xacminh_store::reference;
use xacminh_trust::key::KeyRing;

use super::copy::{Ends, Rows, Streams, month};
use super::life::{Fate, Ground, Stop};
use super::nation::{Nation, instant};
use super::rows;

/// How far back requests lie: a little less than the partitions.
const DAYS: i64 = 390;
/// Closed requests of the last days have every event. With more of them ten millions would take over 35 GB.
const WHOLE_DAYS: i64 = 7;
/// Working days that open requests lie on: the backlog of handbook §10.
const OPEN_DAYS: usize = 25;
/// Requests that are made together.
const CHUNK: u64 = 2_000;

/// How much is filled in.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Size {
    /// Requests in life.
    pub(crate) open: u64,
    /// Requests that are over.
    pub(crate) closed: u64,
    /// Of a herd: so many more in life, of which a deadline is due at the one instant.
    pub(crate) herd: u64,
    /// So many more in life, stored by H's system on the last working day: no due date of theirs has passed.
    pub(crate) fresh: u64,
    /// So many more that wait for one office that is silent.
    pub(crate) silent: u64,
}

/// Of what requests a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crowd {
    /// As they come in a nation, open and closed.
    Nation,
    /// A herd, all in life.
    Herd,
    /// Fresh ones, all in life.
    Fresh,
    /// Those that wait for the silent office.
    Silent,
}

/// What a fill took.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Filled {
    pub(crate) size: Size,
    pub(crate) rows: u64,
    /// Making and copying rows.
    pub(crate) copy_seconds: f64,
    /// Indexes that were taken off for it, and statistics.
    pub(crate) index_seconds: f64,
    pub(crate) rows_per_second: f64,
    pub(crate) database_bytes: i64,
}

/// A day's requests, or a part of them.
#[derive(Debug, Clone, Copy)]
struct Part {
    on: Date,
    /// All of the day.
    of: u64,
    /// Of them in life.
    open: u64,
    from: u64,
    upto: u64,
    /// The closed ones have every event.
    whole: bool,
    crowd: Crowd,
    /// Number of the first of the day.
    first: u64,
}

/// The instant of which a herd's deadlines were not yet due: just before the last midnight of a
/// working day.
pub(crate) fn before_the_herd(ground_now: Timestamp, working: impl Fn(Date) -> bool) -> Timestamp {
    let mut on = local_date(ground_now).yesterday().unwrap_or(Date::MIN);
    while !working(on) {
        on = on.yesterday().unwrap_or(Date::MIN);
    }
    end_of_day(on) - SignedDuration::from_secs(1)
}

/// Fills the database behind `url`, which has a schema and reference data, and nothing else.
pub(crate) async fn fill(
    url: &str,
    keys: KeyRing,
    size: Size,
    connected: usize,
    now: Timestamp,
    seed: u64,
) -> Result<Filled> {
    let mut conn = PgConnection::connect(url).await?;
    let reference = reference::load(&mut conn).await?;
    let empty: bool = query_scalar("select not exists (select from requests)").fetch_one(&mut conn).await?;
    ensure!(empty, "there are requests already");
    let working = |on: Date| reference.calendars.nation().is_working_day(on);
    let now = if size.herd > 0 { before_the_herd(now, working) } else { now };
    let parts = plan(size, now, working)?;
    let nation = Nation::new(&reference, now, connected, seed)?;
    let ground = Arc::new(Ground::new(reference, keys, nation, now)?);
    raw_sql("set maintenance_work_mem = '1GB'").execute(&mut conn).await?;
    let restore = take_off_indexes(&mut conn).await?;

    let began = Instant::now();
    let mut months: Vec<i32> = (0..=DAYS + 2)
        .filter_map(|day| now.checked_sub(SignedDuration::from_hours(24 * day)).ok())
        .map(month)
        .collect();
    months.dedup();
    let streams = Streams::open(url, &months);
    let (parts, next) = (Arc::new(parts), Arc::new(AtomicUsize::new(0)));
    let mut makers = JoinSet::new();
    for _ in 0..std::thread::available_parallelism()?.get() {
        let (ground, parts, next, ends) = (ground.clone(), parts.clone(), next.clone(), streams.ends());
        makers.spawn_blocking(move || make(&ground, &parts, &next, &ends, seed));
    }
    let (mut made, mut trouble) = (0, None);
    while let Some(done) = makers.join_next().await {
        match done? {
            Ok(count) => made += count,
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    // A stream that failed says more than whoever could not put rows into it.
    let rows = streams.close().await?;
    if let Some(error) = trouble {
        return Err(error);
    }
    ensure!(rows == made, "{made} rows were made, {rows} are in the store");
    let copy_seconds = began.elapsed().as_secs_f64();

    let began = Instant::now();
    for statement in restore {
        raw_sql(AssertSqlSafe(statement)).execute(&mut conn).await?;
    }
    // Its rows are frozen; what counts them shall not begin beside what is measured.
    raw_sql("vacuum (analyze)").execute(&mut conn).await?;
    // The fill's own dirty pages are not the product's to write.
    raw_sql("checkpoint").execute(&mut conn).await?;
    let index_seconds = began.elapsed().as_secs_f64();
    let database_bytes = query_scalar("select pg_database_size(current_database())").fetch_one(&mut conn).await?;
    conn.close().await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rows_per_second = rows as f64 / copy_seconds;
    Ok(Filled { size, rows, copy_seconds, index_seconds, rows_per_second, database_bytes })
}

/// Takes off what is not in the order of the ids, and gives the statements that bring it back, as
/// PostgreSQL itself spells them.
async fn take_off_indexes(conn: &mut PgConnection) -> Result<Vec<String>> {
    let mut restore = Vec::new();
    let keys: Vec<(String, String, String)> = sqlx::query_as(
        "select conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) from pg_constraint
         where contype = 'p' and conrelid in ('inbox'::regclass, 'sent_letters'::regclass)",
    )
    .fetch_all(&mut *conn)
    .await?;
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index
         where indrelid in ('requests'::regclass, 'timers'::regclass) and not indisprimary",
    )
    .fetch_all(&mut *conn)
    .await?;
    ensure!(keys.len() == 2 && !indexes.is_empty(), "the schema is another");
    for (table, name, definition) in keys {
        raw_sql(AssertSqlSafe(format!("alter table {table} drop constraint {name}"))).execute(&mut *conn).await?;
        restore.push(format!("alter table {table} add constraint {name} {definition}"));
    }
    for (name, definition) in indexes {
        raw_sql(AssertSqlSafe(format!("drop index {name}"))).execute(&mut *conn).await?;
        // So PostgreSQL spells an index of a partitioned table; without its parts it would be none.
        restore.push(definition.replace(" ON ONLY ", " ON "));
    }
    Ok(restore)
}

/// Which day has how many, oldest first, cut into chunks.
fn plan(size: Size, now: Timestamp, working: impl Fn(Date) -> bool) -> Result<Vec<Part>> {
    let today = local_date(now);
    let days: Vec<Date> = (1..=DAYS)
        .rev()
        .filter_map(|back| today.checked_sub(SignedDuration::from_hours(24 * back)).ok())
        .filter(|on| working(*on))
        .collect();
    // A herd was delivered a working day before the one whose end is its due.
    let herd_on = if working(today) { days.len().checked_sub(1) } else { days.len().checked_sub(2) };
    let herd_on = herd_on.filter(|_| size.herd > 0);
    let count = u64::try_from(days.len())?;
    let open_days = u64::try_from(OPEN_DAYS.min(days.len()))?;
    ensure!(open_days > 0, "no working day lies behind");
    let mut parts = Vec::new();
    let mut first = 0;
    for (number, on) in days.iter().enumerate() {
        let number64 = u64::try_from(number)?;
        let closed = share(size.closed, count, number64);
        let open = number64.checked_sub(count - open_days).map_or(0, |n| share(size.open, open_days, n));
        let whole = on.until(today).map_err(anyhow::Error::from)?.get_days() <= i32::try_from(WHOLE_DAYS)?;
        let herd = if herd_on == Some(number) { size.herd } else { 0 };
        let fresh = if number64 + 1 == count { size.fresh } else { 0 };
        let silent = number64.checked_sub(count - open_days).map_or(0, |n| share(size.silent, open_days, n));
        for (of, open, crowd) in [
            (closed + open, open, Crowd::Nation),
            (herd, herd, Crowd::Herd),
            (fresh, fresh, Crowd::Fresh),
            (silent, silent, Crowd::Silent),
        ] {
            let mut from = 0;
            while from < of {
                let upto = (from + CHUNK).min(of);
                parts.push(Part { on: *on, of, open, from, upto, whole, crowd, first });
                from = upto;
            }
            first += of;
        }
    }
    Ok(parts)
}

/// The `n`-th of `parts` even shares.
fn share(total: u64, parts: u64, n: u64) -> u64 {
    total * (n + 1) / parts - total * n / parts
}

fn make(ground: &Ground, parts: &[Part], next: &AtomicUsize, ends: &Ends, seed: u64) -> Result<u64> {
    let mut count = 0;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(part) = parts.get(number) else { return Ok(count) };
        // Of a chunk's own, so that it is the same whoever makes it.
        let mut rng = StdRng::seed_from_u64(seed.wrapping_add(u64::try_from(number)?).wrapping_mul(0x9e37_79b9));
        let mut rows = Rows::default();
        for n in part.from..part.upto {
            let open = share(part.open, part.of, n) > 0;
            let fate = match (open, part.whole) {
                (true, _) if part.crowd != Crowd::Nation => Fate::Open(Stop::Delivered),
                (true, _) => Fate::Open(match rng.random_range(0..20) {
                    0..9 => Stop::Delivered,
                    9..16 => Stop::Opened,
                    _ => Stop::Answered,
                }),
                (false, true) => Fate::Read,
                (false, false) => Fate::Withdrawn,
            };
            #[expect(clippy::cast_precision_loss, reason = "a share of a day")]
            let at = instant(part.on, (n as f64 + 0.5) / part.of as f64);
            let home = (part.crowd == Crowd::Silent).then_some(ground.nation.silent_one);
            let life = ground.live(part.first + n, at, fate, home, &mut rng).with_context(|| format!("{part:?}"))?;
            rows::write(ground, &life, &mut rows, &mut rng)?;
        }
        count += rows.count;
        ends.put(rows)?;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use xacminh_domain::id::{MessageId, RequestId};
    use xacminh_registry::Registry;
    use xacminh_store::request::{self, Provinces};
    use xacminh_store::{Store, ledger};
    use xacminh_testkit::World;
    use xacminh_trust::key::MasterKey;

    use super::*;

    /// Chains whole, and rows as the store's own statements make them of these chains.
    #[tokio::test]
    async fn what_is_filled_in_is_what_the_store_writes() {
        let world = World::new("bench_fill").await.unwrap();
        let store = Store::connect(&world.pg_url(), 4).unwrap();
        store.migrate().await.unwrap();
        let registry = Registry::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data"))).unwrap();
        let now = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap();
        let mut tx = store.begin().await.unwrap();
        reference::import(&mut tx, &registry, now).await.unwrap();
        tx.commit().await.unwrap();
        let days = |n: i64| SignedDuration::from_hours(24 * n);
        let today = local_date(now);
        store.ensure_partitions(today.saturating_sub(days(400)), today.saturating_add(days(60))).await.unwrap();
        let keys = KeyRing::new(MasterKey::generate().unwrap());
        let size = Size { open: 300, closed: 700, herd: 50, fresh: 0, silent: 250 };
        let filled = fill(&world.pg_url(), keys, size, 600, now, 7).await.unwrap();
        assert!(filled.rows > 4 * 1_300, "{filled:?}");
        assert_eq!(world.number("select count(*) from timers").await.unwrap(), 600);
        // The silent office has its cap in its inbox, and the rest waits.
        let most = "select max(n) from (select count(sent_at) as n from deliveries group by office) d";
        assert_eq!(world.number(most).await.unwrap(), 200);
        let waiting = "select max(n) from (select count(*) as n from deliveries group by office) d";
        assert!(world.number(waiting).await.unwrap() >= 250);
        assert!(world.number("select count(*) from timers where due_at <= now()").await.unwrap() >= 50);

        let ids = world.rows("select request_id from requests").await.unwrap();
        let ids: Vec<RequestId> = ids.iter().map(|id| RequestId::of(id.parse::<MessageId>().unwrap())).collect();
        assert_eq!(ids.len(), 1_300);
        let mut conn = store.conn().await.unwrap();
        for id in &ids {
            ledger::verify(&mut conn, *id).await.unwrap();
        }
        let known = ledger::read(&mut conn, &ids).await.unwrap();
        let reference = reference::load(&mut conn).await.unwrap();
        let province = |office| reference.directory.province_of(&office).unwrap().to_string();
        let provinces: Vec<Provinces> = ids
            .iter()
            .map(|id| &known[id].request.opening)
            .map(|o| Provinces { requester: province(o.requester), responder: province(o.responder) })
            .collect();
        let question = "select r from requests r order by request_id";
        let before = world.rows(question).await.unwrap();
        world.sql("delete from requests").await.unwrap();
        let new: Vec<_> = ids.iter().map(|id| &known[id]).zip(&provinces).collect();
        request::insert(&mut conn, &new).await.unwrap();
        let changed: Vec<_> = ids.iter().map(|id| &known[id]).collect();
        request::update(&mut conn, &changed).await.unwrap();
        assert_eq!(before, world.rows(question).await.unwrap());
        drop(conn);
        store.close().await;
        world.close().await.unwrap();
    }

    #[test]
    fn the_plan_has_what_was_asked_for() {
        let now: Timestamp = "2026-11-26T22:00:00Z".parse().unwrap();
        let size = Size { open: 10_007, closed: 100_003, herd: 5_001, fresh: 3_001, silent: 2_003 };
        let working = |on: Date| !matches!(on.weekday(), jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday);
        let parts = plan(size, now, working).unwrap();
        let (mut of, mut all) = ([0; 4], 0);
        for part in &parts {
            let lives = (part.from..part.upto).filter(|n| share(part.open, part.of, *n) > 0).count() as u64;
            of[part.crowd as usize] += lives;
            all += part.upto - part.from;
            // It is Friday by now in Vietnam.
            assert!(part.crowd != Crowd::Fresh || part.on == jiff::civil::date(2026, 11, 26), "{part:?}");
        }
        assert_eq!((of, all), ([10_007, 5_001, 3_001, 2_003], 120_015));
        assert!(parts.is_sorted_by_key(|part| part.on));
    }

    #[test]
    fn a_herd_is_due_at_the_last_midnight_of_a_working_day() {
        let weekday = |on: Date| !matches!(on.weekday(), jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday);
        // Monday morning in Vietnam: Friday's end.
        let at = before_the_herd("2026-11-30T02:00:00Z".parse().unwrap(), weekday);
        assert_eq!(at.to_string(), "2026-11-27T16:59:59Z");
    }
}
