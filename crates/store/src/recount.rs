//! Due dates counted anew after the calendar changed: what an import noted, how far the work is, and the
//! rows it goes over, many at a time. What becomes of a request is `domain`'s to say.
//!
//! The projection is all that is read. A ledger is only appended to, at the end that the row names, so that
//! a million requests are not replayed.

use std::collections::{HashMap, HashSet};

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, query, query_scalar};
use uuid::Uuid;
use xacminh_contract::notice::{For, Topic};
use xacminh_domain::calendar::{ChangedDays, Scope};
use xacminh_domain::deadline::Deadline;
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_domain::recount::{ClockDays, Facts};
use xacminh_domain::request::{Event, Fired, Instants, ReplyDues, RequestKind, State};
use xacminh_domain::rules::Trigger;
use xacminh_domain::{Date, Timestamp};
use xacminh_trust::chain::Hash;

use crate::error::Error;
use crate::ledger::{self, LedgerRow, hash_of, request_id, seq_of};
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

/// Takes the work for this transaction; not while another copy has it.
pub async fn alone(tx: &mut PgConnection) -> Result<bool, Error> {
    Ok(query_scalar("select pg_try_advisory_xact_lock($1)").bind(LOCK).fetch_one(tx).await?)
}

/// How far the work is, with the rows it changed, so that whoever goes on after a death does not begin anew.
pub async fn reached(
    tx: &mut PgConnection,
    job: i64,
    reached: Option<RequestId>,
    ends_a_pass: bool,
    recounted: usize,
) -> Result<(), Error> {
    query("update recounts set reached = $2, passes = passes + $3, recounted = recounted + $4 where recount_id = $1")
        .bind(job)
        .bind(reached.map(|id| id.uuid()))
        .bind(i32::from(ends_a_pass))
        .bind(i64::try_from(recounted).unwrap_or(i64::MAX))
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

/// A request in life, as its row says.
#[derive(Debug, Clone)]
pub struct InLife {
    /// Which.
    pub id: RequestId,
    /// W.
    pub requester: OfficeId,
    /// H.
    pub responder: OfficeId,
    /// What its due dates go by.
    pub facts: Facts,
    seq: u32,
    head: Hash,
}

/// Some of what is in life.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// In the order of their ids.
    pub requests: Vec<InLife>,
    /// The last one that was there, readable or not; none behind the end.
    pub last: Option<RequestId>,
    /// Rows that say nothing readable.
    pub unreadable: Vec<RequestId>,
}

/// The next requests in life after one, without locking them.
pub async fn page(conn: &mut PgConnection, after: Option<RequestId>, limit: i64) -> Result<Page, Error> {
    // Two questions: as a join, the planner might take a road along all that ever was.
    let timers: Vec<(Uuid, At)> =
        sqlx::query_as("select request_id, due_at from timers where request_id > $1 order by request_id limit $2")
            .bind(after.map_or(Uuid::nil(), |id| id.uuid()))
            .bind(limit)
            .fetch_all(&mut *conn)
            .await?;
    let last = timers.last().map(|(id, _)| request_id(*id)).transpose()?;
    let page = in_life(conn, &timers).await?;
    Ok(Page { last, ..page })
}

/// Locks requests for the transaction, in the order of their ids as everywhere. Gives those that are as they
/// were read; and those that somebody changed since, as they are now, if they are in life still.
pub async fn lock(tx: &mut PgConnection, read: &[&InLife]) -> Result<(HashSet<RequestId>, Page), Error> {
    if read.is_empty() {
        return Ok((HashSet::new(), Page::default()));
    }
    let locked: Vec<(Uuid, i32)> = sqlx::query_as(
        "select request_id, seq from requests where request_id = any($1) order by request_id for update",
    )
    .bind(read.iter().map(|r| r.id.uuid()).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    let now: HashMap<Uuid, u32> = locked.into_iter().map(|(id, seq)| (id, seq_of(seq))).collect();
    let is_same = |r: &&&InLife| now.get(&r.id.uuid()) == Some(&r.seq);
    let same = read.iter().filter(is_same).map(|r| r.id).collect();
    let other: Vec<Uuid> = read.iter().filter(|r| !is_same(r)).map(|r| r.id.uuid()).collect();
    if other.is_empty() {
        return Ok((same, Page::default()));
    }
    let timers: Vec<(Uuid, At)> = sqlx::query_as("select request_id, due_at from timers where request_id = any($1)")
        .bind(other)
        .fetch_all(&mut *tx)
        .await?;
    Ok((same, in_life(tx, &timers).await?))
}

async fn in_life(conn: &mut PgConnection, timers: &[(Uuid, At)]) -> Result<Page, Error> {
    let next: HashMap<Uuid, Timestamp> = timers.iter().map(|(id, at)| (*id, at.0)).collect();
    let rows = query(
        "select request_id, requester, responder, kind, received_on, state, seq, head_hash, submitted_at, opened_at,
             answered_at, answer_sent_at, file_due_on, file_closed_on is not null as file_closed, clock_start,
             accept_due_on, answer_due_on
         from requests where request_id = any($1) order by request_id",
    )
    .bind(timers.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let mut page = Page { requests: Vec::with_capacity(rows.len()), ..Page::default() };
    for row in rows {
        let id: Uuid = row.try_get("request_id")?;
        match read(&row, request_id(id)?, next.get(&id).copied()) {
            Ok(request) => page.requests.push(request),
            // One row keeps no other from being counted.
            Err(Error::Unreadable { .. }) => page.unreadable.push(request_id(id)?),
            Err(error) => return Err(error),
        }
    }
    Ok(page)
}

fn read(row: &PgRow, id: RequestId, next: Option<Timestamp>) -> Result<InLife, Error> {
    let at = |column| Ok::<_, Error>(row.try_get::<Option<At>, _>(column)?.map(|at| at.0));
    let day = |column| Ok::<_, Error>(row.try_get::<Option<On>, _>(column)?.map(|on| on.0));
    let office = |column| -> Result<OfficeId, Error> {
        row.try_get::<&str, _>(column)?.parse().map_err(|e| Error::unreadable("an office", e))
    };
    let clock = match (at("clock_start")?, day("accept_due_on")?, day("answer_due_on")?) {
        (Some(started_at), Some(accept_on), Some(answer_on)) => Some(ClockDays { started_at, accept_on, answer_on }),
        (None, ..) => None,
        _ => return Err(Error::unreadable("a clock", "without its due dates")),
    };
    let kind: &str = row.try_get("kind")?;
    let state: &str = row.try_get("state")?;
    let facts = Facts {
        state: State::ALL
            .into_iter()
            .find(|s| s.as_str() == state)
            .ok_or_else(|| Error::unreadable("a state", "an unknown word"))?,
        kind: RequestKind::ALL
            .into_iter()
            .find(|k| k.as_str() == kind)
            .ok_or_else(|| Error::unreadable("a kind", "an unknown word"))?,
        received_on: row.try_get::<On, _>("received_on")?.0,
        at: Instants {
            submitted: row.try_get::<At, _>("submitted_at")?.0,
            opened: at("opened_at")?,
            answered: at("answered_at")?,
            answer_sent: at("answer_sent_at")?,
            ..Instants::default()
        },
        file_due_on: day("file_due_on")?,
        file_closed: row.try_get("file_closed")?,
        clock,
        next_at: next.filter(|at| *at != crate::timer::NEVER),
    };
    Ok(InLife {
        id,
        requester: office("requester")?,
        responder: office("responder")?,
        facts,
        seq: seq_of(row.try_get("seq")?),
        head: hash_of(row.try_get("head_hash")?)?,
    })
}

/// A rung that fired, and whom it told.
#[derive(Debug, Clone, Copy)]
pub struct FiredFor {
    /// The rung.
    pub fired: Fired,
    /// Whom it pressed or told; none for the operator.
    pub target: Option<OfficeId>,
}

/// The rungs of requests that fired. They change under the lock of their request alone.
pub async fn fired(conn: &mut PgConnection, ids: &[RequestId]) -> Result<HashMap<RequestId, Vec<FiredFor>>, Error> {
    let rows =
        query("select request_id, trigger, rung, clock_start, fired_at, target from rungs where request_id = any($1)")
            .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
            .fetch_all(conn)
            .await?;
    let mut found: HashMap<RequestId, Vec<FiredFor>> = HashMap::new();
    for row in rows {
        let fired = Fired {
            trigger: Trigger::from_word(row.try_get("trigger")?)
                .ok_or_else(|| Error::unreadable("a trigger", "an unknown word"))?,
            rung: u8::try_from(row.try_get::<i16, _>("rung")?).unwrap_or(u8::MAX),
            clock_start: row.try_get::<At, _>("clock_start")?.0,
            at: row.try_get::<At, _>("fired_at")?.0,
        };
        let target: Option<&str> = row.try_get("target")?;
        let target = target.map(|id| id.parse().map_err(|e| Error::unreadable("an office", e))).transpose()?;
        found.entry(request_id(row.try_get("request_id")?)?).or_default().push(FiredFor { fired, target });
    }
    Ok(found)
}

/// A line of a notice: which request, whose digest, about what, for whom there.
pub type Line = (RequestId, OfficeId, Topic, For);

/// Takes lines back that have not left; gives those that were there.
pub async fn cancel(tx: &mut PgConnection, lines: &[Line]) -> Result<HashSet<Line>, Error> {
    if lines.is_empty() {
        return Ok(HashSet::new());
    }
    let gone: Vec<i64> = query_scalar(
        "with gone as (
             delete from notice_lines l
             using unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) with ordinality
                 as n (request_id, office, topic, for_whom, place)
             where l.request_id = n.request_id and l.office = n.office and l.topic = n.topic
                 and l.for_whom = n.for_whom
             returning n.place)
         select distinct place from gone",
    )
    .bind(lines.iter().map(|l| l.0.uuid()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.1.to_string()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.2.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.3.as_str()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    Ok(gone.into_iter().filter_map(|place| lines.get(usize::try_from(place - 1).ok()?).copied()).collect())
}

/// A request with other dates.
#[derive(Debug, Clone)]
pub struct Counted {
    row: LedgerRow,
    seq: u32,
    head: Hash,
    file_due: Option<Deadline>,
    reply: Option<ReplyDues>,
    waits: bool,
}

impl InLife {
    /// Takes the event in at the end of its chain.
    pub fn counted(&self, at: Timestamp, event: &Event) -> Counted {
        let (file_due, reply) = match event {
            Event::Recounted { file_due, reply, .. } => (file_due.clone(), reply.clone()),
            _ => (None, None),
        };
        let (row, head) = LedgerRow::of_the_broker(self.id, self.seq + 1, self.head, at, event);
        let waits = self.facts.state == State::Submitted;
        Counted { row, seq: self.seq + 1, head, file_due, reply, waits }
    }
}

/// Writes events and projection of requests that were counted anew.
pub async fn write(tx: &mut PgConnection, counted: &[Counted]) -> Result<(), Error> {
    if counted.is_empty() {
        return Ok(());
    }
    let rows: Vec<&LedgerRow> = counted.iter().map(|c| &c.row).collect();
    ledger::append_all(tx, &rows).await?;
    let reply = |f: fn(&ReplyDues) -> Date| -> Vec<Option<On>> {
        counted.iter().map(|c| c.reply.as_ref().map(|dues| On(f(dues)))).collect()
    };
    query(
        "update requests r set seq = n.seq, head_hash = n.head_hash,
             file_due_on = coalesce(n.file_due_on, r.file_due_on),
             accept_due_on = coalesce(n.accept_due_on, r.accept_due_on),
             answer_due_on = coalesce(n.answer_due_on, r.answer_due_on),
             answer_due_at = coalesce(n.answer_due_at, r.answer_due_at),
             calendar_version = coalesce(n.calendar_version, r.calendar_version)
         from unnest($1::uuid[], $2::int[], $3::bytea[], $4::date[], $5::date[], $6::date[], $7::timestamptz[],
             $8::text[])
           as n (request_id, seq, head_hash, file_due_on, accept_due_on, answer_due_on, answer_due_at, calendar_version)
         where r.request_id = n.request_id",
    )
    .bind(counted.iter().map(|c| c.row.request_id()).collect::<Vec<_>>())
    .bind(counted.iter().map(|c| i32::try_from(c.seq).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(counted.iter().map(|c| c.head.as_bytes().as_slice()).collect::<Vec<_>>())
    .bind(counted.iter().map(|c| c.file_due.as_ref().map(|due| On(due.on))).collect::<Vec<_>>())
    .bind(reply(|dues| dues.accept.on))
    .bind(reply(|dues| dues.answer.on))
    .bind(counted.iter().map(|c| c.reply.as_ref().map(|dues| At(dues.answer.due_at))).collect::<Vec<_>>())
    .bind(counted.iter().map(|c| c.reply.as_ref().map(|dues| dues.answer.calendar.as_str())).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    // What waits for room leaves by W's file due.
    let waiting: Vec<(Uuid, On)> = counted
        .iter()
        .filter(|c| c.waits)
        .filter_map(|c| Some((c.row.request_id(), On(c.file_due.as_ref()?.on))))
        .collect();
    if !waiting.is_empty() {
        query(
            "update deliveries d set due_on = n.due_on from unnest($1::uuid[], $2::date[]) as n (request_id, due_on)
             where d.request_id = n.request_id",
        )
        .bind(waiting.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind(waiting.iter().map(|(_, on)| *on).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    }
    Ok(())
}
