//! Timers: one narrow row a request in life, with the instant of its next rung, and with what is asked of
//! all that is in life: where it is, how far, by when its answer is due.
//!
//! Timers are never walked with a cursor: the question is always "open and due now". They change under the lock of
//! their request; a claim skips requests that another copy holds, and the claim, the events and the new instant share
//! one transaction, so nothing fires twice and nothing is forgotten when a copy dies.

use sqlx::postgres::PgConnection;
use sqlx::{query, query_scalar};
use uuid::Uuid;
use xacminh_contract::ledger as wire;
use xacminh_domain::Timestamp;
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_domain::request::{ClockCause, Lookup, Request, State};

use crate::error::Error;
use crate::ledger::request_id;
use crate::request::Provinces;
use crate::time::At;

/// What is awaited when no rung is: a reading, for example.
pub const NEVER: Timestamp = Timestamp::MAX;

/// What a timer's row says of its request beside the instant, so that what is in life can be counted
/// without its wide rows; and when the next rung fires.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    id: RequestId,
    state: Option<State>,
    clock_cause: Option<ClockCause>,
    answer_due_at: Option<Timestamp>,
    due_at: Option<Timestamp>,
}

impl Change {
    /// Of which request; nothing is changed yet.
    pub fn to(id: RequestId) -> Self {
        Self { id, state: None, clock_cause: None, answer_due_at: None, due_at: None }
    }

    /// As the request is now; the instant of its next rung stays.
    pub fn of(request: &Request) -> Self {
        Self {
            state: Some(request.state),
            clock_cause: request.clock.as_ref().map(|(cause, _)| *cause),
            answer_due_at: request.clock.as_ref().map(|(_, clock)| clock.answer.due_at),
            ..Self::to(request.id)
        }
    }

    /// The same, and the next rung fires at `due_at`, or it stays if there is none.
    #[must_use]
    pub fn until(self, due_at: impl Into<Option<Timestamp>>) -> Self {
        Self { due_at: due_at.into(), ..self }
    }

    /// The same, and the answer is due at `answer_due_at`, or that stays if there is none.
    #[must_use]
    pub fn answer_by(self, answer_due_at: Option<Timestamp>) -> Self {
        Self { answer_due_at, ..self }
    }
}

/// Sets the timers of new requests.
pub async fn begin(tx: &mut PgConnection, new: &[(&Request, &Provinces, Timestamp)]) -> Result<(), Error> {
    if new.is_empty() {
        return Ok(());
    }
    let of = |f: fn(&Request) -> String| -> Vec<String> { new.iter().map(|(r, ..)| f(r)).collect() };
    query(
        "insert into timers (request_id, due_at, requester, responder, requester_province, responder_province,
             submitted_at, lookup_pending, state, clock_cause, answer_due_at)
         select unnest($1::uuid[]), unnest($2::timestamptz[]), unnest($3::text[]), unnest($4::text[]),
             unnest($5::text[]), unnest($6::text[]), unnest($7::timestamptz[]), unnest($8::bool[]),
             unnest($9::text[]), unnest($10::text[]), unnest($11::timestamptz[])",
    )
    .bind(new.iter().map(|(r, ..)| r.id.uuid()).collect::<Vec<_>>())
    .bind(new.iter().map(|(.., at)| At(*at)).collect::<Vec<_>>())
    .bind(of(|r| r.opening.requester.to_string()))
    .bind(of(|r| r.opening.responder.to_string()))
    .bind(new.iter().map(|(_, p, _)| p.requester.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, p, _)| p.responder.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(r, ..)| At(r.at.submitted)).collect::<Vec<_>>())
    .bind(new.iter().map(|(r, ..)| r.opening.lookup == Lookup::Pending).collect::<Vec<_>>())
    .bind(new.iter().map(|(r, ..)| r.state.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(r, ..)| r.clock.as_ref().map(|(cause, _)| word(*cause))).collect::<Vec<_>>())
    .bind(new.iter().map(|(r, ..)| r.clock.as_ref().map(|(_, c)| At(c.answer.due_at))).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Brings timers up to date.
pub async fn set(tx: &mut PgConnection, changes: &[Change]) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    // As in `request::update`, the limit takes nothing away. No value ever goes back to none.
    query(
        "update timers t set
             due_at = coalesce(n.due_at, t.due_at), state = coalesce(n.state, t.state),
             clock_cause = coalesce(n.clock_cause, t.clock_cause),
             answer_due_at = coalesce(n.answer_due_at, t.answer_due_at)
         from (select * from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::timestamptz[])
             as n (request_id, due_at, state, clock_cause, answer_due_at) limit $6) n
         where t.request_id = n.request_id
             and (n.due_at <> t.due_at or n.state <> t.state or n.clock_cause <> coalesce(t.clock_cause, '')
                 or n.answer_due_at <> coalesce(t.answer_due_at, '-infinity'))",
    )
    .bind(changes.iter().map(|c| c.id.uuid()).collect::<Vec<_>>())
    .bind(changes.iter().map(|c| c.due_at.map(At)).collect::<Vec<_>>())
    .bind(changes.iter().map(|c| c.state.map(State::as_str)).collect::<Vec<_>>())
    .bind(changes.iter().map(|c| c.clock_cause.map(word)).collect::<Vec<_>>())
    .bind(changes.iter().map(|c| c.answer_due_at.map(At)).collect::<Vec<_>>())
    .bind(i64::try_from(changes.len()).unwrap_or(i64::MAX))
    .execute(tx)
    .await?;
    Ok(())
}

fn word(cause: ClockCause) -> &'static str {
    wire::ClockCause::from(cause).as_str()
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
            "select request_id from timers where due_at <= $1 and clock_cause is not null order by due_at limit $2"
        }
    };
    let ids: Vec<Uuid> = query_scalar(question).bind(At(now)).bind(limit).fetch_all(conn).await?;
    ids.into_iter().map(request_id).collect()
}

/// The homes of those of these requests whose clock does not run: nobody there has confirmed them.
pub async fn unheard(conn: &mut PgConnection, ids: &[RequestId]) -> Result<Vec<OfficeId>, Error> {
    let homes: Vec<String> =
        query_scalar("select distinct responder from timers where request_id = any($1) and clock_cause is null")
            .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
            .fetch_all(conn)
            .await?;
    homes.iter().map(|home| home.parse().map_err(|e| Error::unreadable("an office", e))).collect()
}

/// The instant of the earliest timer and of the earliest notice to leave, if any.
pub async fn next(conn: &mut PgConnection) -> Result<Option<Timestamp>, Error> {
    let next: Option<At> =
        query_scalar("select least((select min(due_at) from timers), (select min(leave_at) from notice_lines))")
            .fetch_one(conn)
            .await?;
    Ok(next.map(|at| at.0))
}
