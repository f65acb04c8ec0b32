//! What the broker still has in hand: asked before a stepped clock jumps.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use xacminh_domain::Timestamp;

use crate::error::Error;
use crate::time::At;

/// Counts of unfinished business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Letters and work not yet confirmed by RabbitMQ; work that waits behind an office's cap is left out.
    pub outbox: i64,
    /// Rungs and digests that are due and not done.
    pub due: i64,
    /// Distinct commands ever taken.
    pub taken: i64,
}

/// Counts at `now`.
pub async fn standing(conn: &mut PgConnection, now: Timestamp) -> Result<Standing, Error> {
    let row = query(
        "select (select count(*) from outbox)
             + (select coalesce(sum(least(waiting, greatest($2 - in_flight, 0))), 0)::bigint from (
                    select count(*) filter (where sent_at is null) as waiting, count(sent_at) as in_flight
                    from deliveries group by office) d) as outbox,
             (select count(*) from inbox) as taken,
             (select count(*) from timers where due_at <= $1) + (select count(*) from notice_lines where leave_at <= $1) as due",
    )
    .bind(At(now))
    .bind(i64::from(crate::delivery::CAP))
    .fetch_one(conn)
    .await?;
    Ok(Standing { outbox: row.try_get("outbox")?, due: row.try_get("due")?, taken: row.try_get("taken")? })
}

/// How many letters wait to leave.
pub async fn letters(conn: &mut PgConnection) -> Result<i64, Error> {
    Ok(query("select count(*) as n from outbox").fetch_one(conn).await?.try_get("n")?)
}

/// A rung that fired, as the table keeps it.
#[derive(Debug, Clone)]
pub struct RungRow {
    /// Of which request.
    pub request: xacminh_domain::id::RequestId,
    /// What made it fire.
    pub trigger: String,
    /// Which rung.
    pub rung: i16,
    /// Of which clock.
    pub clock_start: Timestamp,
    /// When it was due.
    pub due_at: Timestamp,
    /// When it was written.
    pub fired_at: Timestamp,
    /// Whom it presses.
    pub target: Option<String>,
}

/// Every rung on record.
pub async fn rungs(conn: &mut PgConnection) -> Result<Vec<RungRow>, Error> {
    let rows = query("select * from rungs order by fired_at, request_id").fetch_all(conn).await?;
    rows.into_iter()
        .map(|row| {
            Ok(RungRow {
                request: crate::ledger::request_id(row.try_get("request_id")?)?,
                trigger: row.try_get("trigger")?,
                rung: row.try_get("rung")?,
                clock_start: row.try_get::<At, _>("clock_start")?.0,
                due_at: row.try_get::<At, _>("due_at")?.0,
                fired_at: row.try_get::<At, _>("fired_at")?.0,
                target: row.try_get("target")?,
            })
        })
        .collect()
}
