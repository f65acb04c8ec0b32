//! A changed calendar, as its import noted it, and how far the due dates are counted anew. The rows it goes
//! over are in [`in_life`](crate::in_life).

use sqlx::postgres::PgConnection;
use sqlx::{Row, query, query_scalar};
use uuid::Uuid;
use xacminh_domain::Timestamp;
use xacminh_domain::calendar::{ChangedDays, Scope};
use xacminh_domain::id::RequestId;

use crate::error::Error;
use crate::ledger::{self, request_id};
use crate::time::{At, On};

/// The advisory lock of whoever counts anew.
const LOCK: i64 = 7_226_467;

/// A changed calendar whose requests are being counted anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number; the oldest is done first.
    pub id: i64,
    /// The import before.
    pub from: String,
    /// The import that changed the calendar.
    pub to: String,
    /// How far this pass is.
    pub reached: Option<RequestId>,
    /// How many passes went through all that is in life.
    pub passes: i32,
    /// How many requests got other dates.
    pub recounted: i64,
}

/// Notes a changed calendar, in the transaction of its import.
pub(crate) async fn note(
    tx: &mut PgConnection,
    at: Timestamp,
    from: &str,
    to: &str,
    changed: &ChangedDays,
) -> Result<(), Error> {
    let id: i64 = query_scalar(
        "insert into recounts (from_version, to_version, imported_at) values ($1, $2, $3) returning recount_id",
    )
    .bind(from)
    .bind(to)
    .bind(At(at))
    .fetch_one(&mut *tx)
    .await?;
    let (mut days, mut scopes) = (0, Vec::new());
    for (scope, changed) in changed.scopes() {
        query("insert into recount_days (recount_id, scope, days) values ($1, $2, $3)")
            .bind(id)
            .bind(scope.to_string())
            .bind(changed.iter().copied().map(On).collect::<Vec<_>>())
            .execute(&mut *tx)
            .await?;
        if !changed.is_empty() {
            days += changed.len();
            scopes.push(scope.to_string());
        }
    }
    let said = serde_json::json!({
        "v": 1, "event": "calendar_changed", "from": from, "to": to, "recount": id, "scopes": scopes, "days": days,
    });
    ledger::append_system(tx, "imports", at, &[said]).await
}

/// The oldest changed calendar that is not worked off, if there is one.
pub async fn job(conn: &mut PgConnection) -> Result<Option<Job>, Error> {
    let row = query(
        "select recount_id, from_version, to_version, reached, passes, recounted from recounts
         where finished_at is null order by recount_id limit 1",
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Job {
            id: row.try_get("recount_id")?,
            from: row.try_get("from_version")?,
            to: row.try_get("to_version")?,
            reached: row.try_get::<Option<Uuid>, _>("reached")?.map(request_id).transpose()?,
            passes: row.try_get("passes")?,
            recounted: row.try_get("recounted")?,
        })
    })
    .transpose()
}

/// The days that changed.
pub async fn days(conn: &mut PgConnection, job: i64) -> Result<ChangedDays, Error> {
    let rows = query("select scope, days from recount_days where recount_id = $1").bind(job).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            let scope: Scope = row.try_get::<&str, _>("scope")?.parse().map_err(|e| Error::unreadable("a scope", e))?;
            let days = row.try_get::<Vec<On>, _>("days")?;
            Ok((scope, days.into_iter().map(|on| on.0).collect()))
        })
        .collect()
}

/// The newest changed calendar that is not worked off, if there is one.
pub async fn newest(conn: &mut PgConnection) -> Result<Option<i64>, Error> {
    Ok(query_scalar("select max(recount_id) from recounts where finished_at is null").fetch_one(conn).await?)
}

/// How many requests in life have an office whose days changed, be it W or H.
pub async fn in_reach(conn: &mut PgConnection, days: &ChangedDays) -> Result<u64, Error> {
    let (mut provinces, mut offices) = (Vec::new(), Vec::new());
    for (scope, _) in days.scopes().filter(|(_, days)| !days.is_empty()) {
        match scope {
            Scope::Nation => {}
            Scope::Province(code) => provinces.push(code.to_string()),
            Scope::Office(id) => offices.push(id.to_string()),
        }
    }
    let count: i64 = query_scalar(
        "select count(*) from timers where $1
             or requester_province = any($2) or responder_province = any($2)
             or requester = any($3) or responder = any($3)",
    )
    .bind(days.is_everywhere())
    .bind(provinces)
    .bind(offices)
    .fetch_one(conn)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Takes the work for this transaction; not while another copy has it.
pub async fn alone(tx: &mut PgConnection) -> Result<bool, Error> {
    Ok(query_scalar("select pg_try_advisory_xact_lock($1)").bind(LOCK).fetch_one(tx).await?)
}

/// So many more have other dates, in the transaction that gave them those; one of a share at a time.
pub async fn counted(tx: &mut PgConnection, job: i64, share: i16, requests: usize) -> Result<(), Error> {
    query(
        "insert into recount_shares (recount_id, share, recounted) values ($1, $2, $3)
         on conflict (recount_id, share) do update set recounted = recount_shares.recounted + excluded.recounted",
    )
    .bind(job)
    .bind(share)
    .bind(i64::try_from(requests).unwrap_or(i64::MAX))
    .execute(tx)
    .await?;
    Ok(())
}

/// How far the work is, so that whoever goes on after a death does not begin anew.
pub async fn reached(
    tx: &mut PgConnection,
    job: i64,
    reached: Option<RequestId>,
    ends_a_pass: bool,
) -> Result<(), Error> {
    query(
        "update recounts set reached = $2, passes = passes + $3, recounted = greatest(recounted,
             (select coalesce(sum(s.recounted), 0)::bigint from recount_shares s where s.recount_id = $1))
         where recount_id = $1",
    )
    .bind(job)
    .bind(reached.map(|id| id.uuid()))
    .bind(i32::from(ends_a_pass))
    .execute(tx)
    .await?;
    Ok(())
}

/// Nothing is left of it. Said in the chained stream of imports, too.
pub async fn finish(tx: &mut PgConnection, job: &Job, at: Timestamp) -> Result<(), Error> {
    query("update recounts set finished_at = $2 where recount_id = $1")
        .bind(job.id)
        .bind(At(at))
        .execute(&mut *tx)
        .await?;
    let said = serde_json::json!({
        "v": 1, "event": "recounted", "from": job.from, "to": job.to, "recount": job.id, "requests": job.recounted,
    });
    ledger::append_system(tx, "imports", at, &[said]).await
}
