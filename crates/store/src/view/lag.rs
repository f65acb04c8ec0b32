//! The age of what is open: without it an office that never answers would look perfect.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt as _;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row, query};
use xacminh_domain::Timestamp;

use crate::error::Error;
use crate::time::At;

/// Requests in life that are alike in all that is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InLife {
    /// H; none for what is only unread, which is counted by province alone.
    pub office: Option<String>,
    /// Province code of H; of W for what is only unread.
    pub province: String,
    /// How far they are.
    pub state: String,
    /// Why H's clock started though its system has still not received them: `not_connected` or `not_confirmed`.
    pub unheard: Option<String>,
    /// How many.
    pub count: i64,
    /// How many are beyond the answer due.
    pub overdue: i64,
    /// When the oldest was submitted.
    pub oldest: Timestamp,
    /// How many were sent in without a look-up.
    pub lookup_pending: i64,
}

/// All that is in life at `now`: one walk through it, however many figures are made of it, and by one process of
/// PostgreSQL, since people wait for others.
pub async fn in_life(conn: &mut PgConnection, now: Timestamp) -> Result<Vec<InLife>, Error> {
    let mut tx = conn.begin().await?;
    query("set local max_parallel_workers_per_gather = 0").execute(&mut *tx).await?;
    let mut rows = query(
        "select counted_as, count(*) as n, min(submitted_at) as oldest,
             count(*) filter (where answer_due_at <= $1) as overdue, count(*) filter (where lookup_pending) as pending
         from timers group by counted_as",
    )
    .bind(At(now))
    .fetch(&mut *tx);
    // Row by row: tens of thousands at once would be held twice.
    let mut in_life = Vec::new();
    while let Some(row) = rows.try_next().await? {
        // As `timers.counted_as` says (0030).
        let words: Vec<&str> = row.try_get::<&str, _>("counted_as")?.split(' ').collect();
        let (office, province, state, unheard) = match words[..] {
            [province, state] => (None, province, state, None),
            [office, province, state] => (Some(office), province, state, None),
            [office, province, state, unheard] => (Some(office), province, state, Some(unheard)),
            _ => return Err(Error::unreadable("what is in life", "other words than are counted by")),
        };
        in_life.push(InLife {
            office: office.map(str::to_owned),
            province: province.to_owned(),
            state: state.to_owned(),
            unheard: unheard.map(str::to_owned),
            count: row.try_get("n")?,
            // What is only unread was answered, in time or not.
            overdue: if office.is_some() { row.try_get("overdue")? } else { 0 },
            oldest: row.try_get::<At, _>("oldest")?.0,
            lookup_pending: row.try_get("pending")?,
        });
    }
    drop(rows);
    tx.commit().await?;
    Ok(in_life)
}

/// Open requests of one province in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// How many.
    pub count: i64,
    /// How many are beyond the answer due.
    pub overdue: i64,
    /// When the oldest was submitted.
    pub oldest: Timestamp,
    /// How many were sent in without a look-up.
    pub lookup_pending: i64,
}

/// What is in life by province (of H; of W for what is only unread) and state.
pub fn open(in_life: &[InLife]) -> BTreeMap<(&str, &str), Open> {
    let mut open: BTreeMap<_, Open> = BTreeMap::new();
    for row in in_life {
        let none = Open { count: 0, overdue: 0, oldest: row.oldest, lookup_pending: 0 };
        let sum = open.entry((row.province.as_str(), row.state.as_str())).or_insert(none);
        sum.count += row.count;
        sum.overdue += row.overdue;
        sum.oldest = sum.oldest.min(row.oldest);
        sum.lookup_pending += row.lookup_pending;
    }
    open
}

/// How many offices have requests in life that they have still not received though the clock runs, by province of
/// H and why the clock started.
pub fn unheard(in_life: &[InLife]) -> BTreeMap<(&str, &str), usize> {
    let mut offices: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for row in in_life {
        if let (Some(office), Some(cause)) = (&row.office, &row.unheard) {
            offices.entry((row.province.as_str(), cause.as_str())).or_default().insert(office);
        }
    }
    offices.into_iter().map(|(of, offices)| (of, offices.len())).collect()
}

/// How many requests wait to be brought to H, and how many are in flight.
pub async fn deliveries(conn: &mut PgConnection) -> Result<(i64, i64), Error> {
    // By the indexes of each: the rows are wide, with what they carry.
    let row = query(
        "select (select count(*) from deliveries where sent_at is null) as waiting,
             (select count(*) from deliveries where sent_at is not null) as in_flight",
    )
    .fetch_one(conn)
    .await?;
    Ok((row.try_get("waiting")?, row.try_get("in_flight")?))
}

/// How many messages are parked, and neither replayed nor closed.
pub async fn parked(conn: &mut PgConnection) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("select count(*) from parked where replayed_at is null and closed_at is null")
        .fetch_one(conn)
        .await?)
}
