//! What is late, who holds it, since when and why.

use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use xacminh_contract::notice::Why;
use xacminh_domain::id::RequestId;
use xacminh_domain::request::{ClockCause, State};
use xacminh_domain::{Date, Timestamp};

use crate::error::Error;
use crate::ledger::request_id;
use crate::time::{At, On};

/// Why a request waits, from its state and what started H's clock. None when nothing is awaited.
pub fn why(state: &str, clock_cause: Option<&str>) -> Option<Why> {
    let state = State::ALL.into_iter().find(|s| s.as_str() == state)?;
    let not_connected = xacminh_contract::ledger::ClockCause::from(ClockCause::NotConnected).as_str();
    match state {
        State::Submitted if clock_cause.is_none() => Some(Why::NotSent),
        // Not sent although H's clock runs: it waits behind what H's system never confirmed.
        State::Submitted | State::Sent => {
            Some(if clock_cause == Some(not_connected) { Why::NotConnected } else { Why::NotConfirmed })
        }
        State::Delivered => Some(Why::NotOpened),
        State::Opened => Some(Why::NotAnswered),
        State::Answered => Some(Why::NotRead),
        State::Read | State::Withdrawn => None,
    }
}

/// One late request.
#[derive(Debug, Clone, Serialize)]
pub struct Late {
    /// The request.
    #[serde(serialize_with = "crate::as_text")]
    pub request_id: RequestId,
    /// W's file code.
    pub case_code: String,
    /// W.
    pub requester: String,
    /// H.
    pub responder: String,
    /// Who holds it.
    pub holder: String,
    /// Province code of the holder.
    pub province: String,
    /// Since when.
    #[serde(serialize_with = "crate::as_local")]
    pub since: Timestamp,
    /// Why.
    pub why: Why,
    /// The last day on which the answer was in time; none before H's clock runs.
    #[serde(serialize_with = "crate::as_optional_text")]
    pub answer_due_on: Option<Date>,
    /// The highest rung that fired.
    pub rung: i16,
    /// When the next rung fires.
    #[serde(serialize_with = "crate::as_optional_local")]
    pub next_at: Option<Timestamp>,
}

/// What is late at `now`: not sent within a minute, not confirmed within the time of the rule, not
/// opened by the accept due, not answered by the answer due, or answered and unread since before
/// `unread_since`. Oldest due first.
pub async fn list(
    conn: &mut PgConnection,
    now: Timestamp,
    today: Date,
    unread_since: Timestamp,
    province: Option<&str>,
    limit: i64,
) -> Result<Vec<Late>, Error> {
    let a_minute_ago = now - jiff::SignedDuration::from_mins(1);
    let rows = query(
        "select r.*, t.due_at as next_at, coalesce(r.sent_at, r.submitted_at) as unheard_since,
             r.state = 'submitted' and $7 <= (
                 select count(*) from deliveries d where d.office = r.responder and d.sent_at is not null
             ) as waits_for_room
         from timers t join requests r using (request_id)
         where ((r.state = 'submitted' and r.submitted_at < $1)
             or (r.state in ('submitted', 'sent') and r.clock_start is not null)
             or (r.state = 'delivered' and r.accept_due_on < $2)
             or (r.state in ('delivered', 'opened') and r.answer_due_at <= $3)
             or (r.state = 'answered' and r.answered_at < $4))
           and ($5::text is null or case r.state when 'answered' then r.requester_province else r.responder_province end = $5)
         order by coalesce(r.answer_due_at, r.submitted_at), r.request_id limit $6",
    )
    .bind(At(a_minute_ago))
    .bind(On(today))
    .bind(At(now))
    .bind(At(unread_since))
    .bind(province)
    .bind(limit)
    .bind(i64::from(crate::delivery::CAP))
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state: &str = row.try_get("state")?;
            let why =
                why(state, row.try_get("clock_cause")?).ok_or_else(|| Error::unreadable("a request", "not in life"))?;
            let (holder, province, since) = match why {
                // Behind the cap it is H's system that has to confirm what it got before.
                Why::NotSent if row.try_get("waits_for_room")? => {
                    (row.try_get("responder")?, "responder_province", "submitted_at")
                }
                Why::NotSent => ("(broker)".to_owned(), "responder_province", "submitted_at"),
                Why::NotRead => (row.try_get("requester")?, "requester_province", "answered_at"),
                Why::NotConnected | Why::NotConfirmed => {
                    (row.try_get("responder")?, "responder_province", "unheard_since")
                }
                Why::NotOpened => (row.try_get("responder")?, "responder_province", "delivered_at"),
                Why::NotAnswered => (row.try_get("responder")?, "responder_province", "opened_at"),
            };
            let next_at = row.try_get::<At, _>("next_at")?.0;
            Ok(Late {
                request_id: request_id(row.try_get("request_id")?)?,
                case_code: row.try_get("case_code")?,
                requester: row.try_get("requester")?,
                responder: row.try_get("responder")?,
                holder,
                province: row.try_get(province)?,
                since: row.try_get::<At, _>(since)?.0,
                why,
                answer_due_on: row.try_get::<Option<On>, _>("answer_due_on")?.map(|on| on.0),
                rung: row.try_get("rung")?,
                next_at: (next_at != crate::timer::NEVER).then_some(next_at),
            })
        })
        .collect()
}
