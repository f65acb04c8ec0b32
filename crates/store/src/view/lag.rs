//! The age of what is open: without it an office that never answers would look perfect.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use xacminh_domain::Timestamp;

use crate::error::Error;
use crate::time::At;

/// Open requests of one province in one state.
#[derive(Debug, Clone)]
pub struct Open {
    /// Province code of H; of W for what is only unread.
    pub province: String,
    /// How far they are.
    pub state: String,
    /// How many.
    pub count: i64,
    /// How many are beyond the answer due.
    pub overdue: i64,
    /// When the oldest was submitted.
    pub oldest: Timestamp,
    /// How many were sent in without a look-up.
    pub lookup_pending: i64,
}

/// All that is in life at `now`, by province and state.
pub async fn open(conn: &mut PgConnection, now: Timestamp) -> Result<Vec<Open>, Error> {
    let rows = query(
        "select case state when 'answered' then requester_province else responder_province end as province,
             state, count(*) as n, min(submitted_at) as oldest,
             count(*) filter (where answer_due_at <= $1 and state <> 'answered') as overdue,
             count(*) filter (where lookup_pending) as pending
         from timers group by 1, 2",
    )
    .bind(At(now))
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Open {
                province: row.try_get("province")?,
                state: row.try_get("state")?,
                count: row.try_get("n")?,
                overdue: row.try_get("overdue")?,
                oldest: row.try_get::<At, _>("oldest")?.0,
                lookup_pending: row.try_get("pending")?,
            })
        })
        .collect()
}

/// How many requests wait to be brought to H, and how many are in flight.
pub async fn deliveries(conn: &mut PgConnection) -> Result<(i64, i64), Error> {
    let row =
        query("select count(*) filter (where sent_at is null) as waiting, count(sent_at) as in_flight from deliveries")
            .fetch_one(conn)
            .await?;
    Ok((row.try_get("waiting")?, row.try_get("in_flight")?))
}

/// Offices of one province whose systems let a request wait until its clock started by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unheard {
    /// Province code of H.
    pub province: String,
    /// Why the clock started: `not_connected` or `not_confirmed`.
    pub cause: String,
    /// How many offices.
    pub offices: i64,
}

/// Offices with requests in life that they have still not received though the clock runs.
pub async fn unheard(conn: &mut PgConnection) -> Result<Vec<Unheard>, Error> {
    let rows = query(
        "select responder_province as province, clock_cause as cause, count(distinct responder) as offices
         from timers
         where clock_cause in ('not_connected', 'not_confirmed') and state in ('submitted', 'sent')
         group by 1, 2",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Unheard {
                province: row.try_get("province")?,
                cause: row.try_get("cause")?,
                offices: row.try_get("offices")?,
            })
        })
        .collect()
}

/// How many messages are parked, and neither replayed nor closed.
pub async fn parked(conn: &mut PgConnection) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("select count(*) from parked where replayed_at is null and closed_at is null")
        .fetch_one(conn)
        .await?)
}
