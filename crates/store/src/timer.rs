//! Timers: one row a request in life, with the instant of its next rung.
//!
//! Timers are never walked with a cursor: the question is always "open and due now". A claim
//! skips rows that another copy holds, and the claim, the events and the new instant share one
//! transaction, so nothing fires twice and nothing is forgotten when a copy dies.

use sqlx::postgres::PgConnection;
use sqlx::{query, query_scalar};
use uuid::Uuid;
use xacminh_domain::Timestamp;
use xacminh_domain::id::RequestId;

use crate::error::Error;
use crate::ledger::request_id;
use crate::time::At;

/// What is awaited when no rung is: a reading, for example.
pub const NEVER: Timestamp = Timestamp::MAX;

/// Sets the instants of requests; a request without a timer gets one.
pub async fn set(tx: &mut PgConnection, timers: &[(RequestId, Timestamp)]) -> Result<(), Error> {
    if timers.is_empty() {
        return Ok(());
    }
    query(
        "insert into timers (request_id, due_at) select * from unnest($1::uuid[], $2::timestamptz[])
         on conflict (request_id) do update set due_at = excluded.due_at
         where timers.due_at <> excluded.due_at",
    )
    .bind(timers.iter().map(|(id, _)| id.uuid()).collect::<Vec<_>>())
    .bind(timers.iter().map(|(_, at)| At(*at)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends the timers of requests whose life is over.
pub async fn end(tx: &mut PgConnection, ids: &[RequestId]) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    query("delete from timers where request_id = any($1)")
        .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// Of which requests timers are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Of all.
    All,
    /// Of those whose clock at H runs: about them nobody need be asked.
    ClockRuns,
}

/// Up to `limit` requests with a rung due at `now`, earliest first.
pub async fn due(conn: &mut PgConnection, now: Timestamp, whose: Whose, limit: i64) -> Result<Vec<RequestId>, Error> {
    let question = match whose {
        Whose::All => "select request_id from timers where due_at <= $1 order by due_at limit $2",
        Whose::ClockRuns => {
            "select t.request_id from timers t join requests r using (request_id)
             where t.due_at <= $1 and r.clock_cause is not null order by t.due_at limit $2"
        }
    };
    let ids: Vec<Uuid> = query_scalar(question).bind(At(now)).bind(limit).fetch_all(conn).await?;
    ids.into_iter().map(request_id).collect()
}

/// Claims those of these timers that nobody else holds.
pub async fn claim(tx: &mut PgConnection, ids: &[RequestId]) -> Result<Vec<RequestId>, Error> {
    let ids: Vec<Uuid> =
        query_scalar("select request_id from timers where request_id = any($1) order by due_at for update skip locked")
            .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
            .fetch_all(tx)
            .await?;
    ids.into_iter().map(request_id).collect()
}

/// The instant of the earliest timer and of the earliest notice to leave, if any.
pub async fn next(conn: &mut PgConnection) -> Result<Option<Timestamp>, Error> {
    let next: Option<At> =
        query_scalar("select least((select min(due_at) from timers), (select min(leave_at) from notice_lines))")
            .fetch_one(conn)
            .await?;
    Ok(next.map(|at| at.0))
}
