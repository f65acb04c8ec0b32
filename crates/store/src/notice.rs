//! Rungs that fired, and the lines that wait for the next half-day's digest.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query, query_scalar};
use xacminh_contract::ledger::Trigger;
use xacminh_contract::notice::{For, Topic, Why};
use xacminh_domain::id::{HandlerId, OfficeId, RequestId};
use xacminh_domain::request::Event;
use xacminh_domain::{Date, Timestamp};

use crate::error::Error;
use crate::ledger::{office, request_id};
use crate::time::{At, On};
use crate::view::late::why;

/// The advisory lock of whoever takes lines.
const LOCK: i64 = 7_226_465;

/// Writes down rungs that fired. The key is the promise "once": a second row of one key fails the
/// transaction, which then did nothing.
pub async fn rungs(tx: &mut PgConnection, at: Timestamp, fired: &[(RequestId, &Event)]) -> Result<(), Error> {
    let mut rungs = Vec::with_capacity(fired.len());
    for (id, event) in fired {
        let Event::RungFired { trigger, rung, clock_start, due_at, target } = event else { continue };
        let target = target.map(|office| office.to_string());
        rungs.push((
            id.uuid(),
            Trigger::from(*trigger).as_str(),
            i16::from(*rung),
            At(*clock_start),
            At(*due_at),
            target,
        ));
    }
    if rungs.is_empty() {
        return Ok(());
    }
    query(
        "insert into rungs (request_id, trigger, rung, clock_start, due_at, fired_at, target)
         select n.request_id, n.trigger, n.rung, n.clock_start, n.due_at, $6, n.target
         from unnest($1::uuid[], $2::text[], $3::smallint[], $4::timestamptz[], $5::timestamptz[], $7::text[])
             as n (request_id, trigger, rung, clock_start, due_at, target)",
    )
    .bind(rungs.iter().map(|r| r.0).collect::<Vec<_>>())
    .bind(rungs.iter().map(|r| r.1).collect::<Vec<_>>())
    .bind(rungs.iter().map(|r| r.2).collect::<Vec<_>>())
    .bind(rungs.iter().map(|r| r.3).collect::<Vec<_>>())
    .bind(rungs.iter().map(|r| r.4).collect::<Vec<_>>())
    .bind(At(at))
    .bind(rungs.iter().map(|r| r.5.as_deref()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// A line for a digest.
#[derive(Debug, Clone)]
pub struct NewLine {
    /// Whose digest.
    pub office: OfficeId,
    /// When it may leave.
    pub leave_at: Timestamp,
    /// What it is about.
    pub topic: Topic,
    /// For whom there.
    pub for_whom: For,
    /// About which request.
    pub request: RequestId,
    /// The last day of what was or is due.
    pub due_on: Option<Date>,
}

/// Adds lines.
pub async fn add(tx: &mut PgConnection, lines: &[NewLine]) -> Result<(), Error> {
    if lines.is_empty() {
        return Ok(());
    }
    query(
        "insert into notice_lines (office, leave_at, topic, for_whom, request_id, due_on)
         select unnest($1::text[]), unnest($2::timestamptz[]), unnest($3::text[]), unnest($4::text[]),
             unnest($5::uuid[]), unnest($6::date[])",
    )
    .bind(lines.iter().map(|l| l.office.to_string()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| At(l.leave_at)).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.topic.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.for_whom.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.request.uuid()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.due_on.map(On)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// A line that is due to leave, with what its request is now.
#[derive(Debug, Clone)]
pub struct Leaving {
    /// Whose digest.
    pub office: OfficeId,
    /// What it is about.
    pub topic: Topic,
    /// For whom there.
    pub for_whom: For,
    /// About which request.
    pub request: RequestId,
    /// The last day of what was or is due.
    pub due_on: Option<Date>,
    /// W's file code.
    pub case_code: String,
    /// H.
    pub responder: OfficeId,
    /// Who has it on the desk at H.
    pub handler: Option<HandlerId>,
    /// Why it waits.
    pub why: Why,
    /// H still owes an answer.
    pub is_open: bool,
    /// The answer lies unread at W.
    pub is_unread: bool,
    /// W told the end of its file.
    pub file_closed: bool,
}

/// Takes the lines that may leave at `now`, for some offices at a time and whole offices each.
/// They are gone when the transaction commits, together with the digests put into the outbox.
/// Nothing while another copy takes: two that shared an office's lines would tell it twice.
pub async fn take(tx: &mut PgConnection, now: Timestamp, offices: i64) -> Result<Vec<Leaving>, Error> {
    let alone: bool = query_scalar("select pg_try_advisory_xact_lock($1)").bind(LOCK).fetch_one(&mut *tx).await?;
    if !alone {
        return Ok(Vec::new());
    }
    // Along the index, from instant to instant and from office to office of the earliest: however many lines
    // wait, a batch costs what it takes. Locked lines are where they are seen. Requests are looked for by their keys, one by one.
    let rows = query(
        "with recursive instants as (
             (select leave_at from notice_lines where leave_at <= $1 order by leave_at limit 1)
             union all
             select (select n.leave_at from notice_lines n where n.leave_at > i.leave_at and n.leave_at <= $1
                     order by n.leave_at limit 1)
             from instants i where i.leave_at is not null
         ), offices as (
             (select office from notice_lines where leave_at = (select min(leave_at) from instants)
              order by office limit 1)
             union all
             select (select n.office from notice_lines n
                     where n.leave_at = (select min(leave_at) from instants) and n.office > o.office
                     order by n.office limit 1)
             from offices o where o.office is not null
         ), chosen as (
             select office from offices where office is not null limit $2
         ), locked as (
             select l.place from instants i cross join chosen c cross join lateral (
                 select ctid as place from notice_lines n where n.leave_at = i.leave_at and n.office = c.office
                 for update skip locked) l
         ), gone as (
             delete from notice_lines where ctid = any(array(select place from locked))
             returning line_id, office, topic, for_whom, request_id, due_on
         )
         select gone.*, r.* from gone cross join lateral (
             select case_code, responder, handler, state, clock_cause, file_closed_on is not null as file_closed
             from requests where request_id = gone.request_id limit 1) r
         order by gone.office, gone.line_id",
    )
    .bind(At(now))
    .bind(offices)
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state: &str = row.try_get("state")?;
            let why = why(state, row.try_get("clock_cause")?);
            Ok(Leaving {
                office: office(row.try_get("office")?)?,
                topic: topic(row.try_get("topic")?)?,
                for_whom: match row.try_get("for_whom")? {
                    "handler" => For::Handler,
                    "deputy" => For::Deputy,
                    _ => For::Head,
                },
                request: request_id(row.try_get("request_id")?)?,
                due_on: row.try_get::<Option<On>, _>("due_on")?.map(|on| on.0),
                case_code: row.try_get("case_code")?,
                responder: office(row.try_get("responder")?)?,
                handler: row.try_get::<Option<&str>, _>("handler")?.and_then(|h| h.parse().ok()),
                is_open: why.is_some_and(|w| w != Why::NotRead),
                is_unread: why == Some(Why::NotRead),
                file_closed: row.try_get("file_closed")?,
                why: why.unwrap_or(Why::NotRead),
            })
        })
        .collect()
}

fn topic(word: &str) -> Result<Topic, Error> {
    Topic::ALL
        .into_iter()
        .find(|t| t.as_str() == word)
        .ok_or_else(|| Error::unreadable("a notice line", "unknown topic"))
}
