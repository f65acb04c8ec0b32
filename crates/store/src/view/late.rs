//! What is late, who holds it, since when and why. The rule what is late is the schema's view
//! `report_in_hand`, so that `late`, the report and whoever asks with SQL tell the same.

use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use xacminh_contract::notice::Why;
use xacminh_domain::id::{OfficeId, RequestId};
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

/// Which of what is late.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Held in this province (code of 2 digits).
    pub province: Option<String>,
    /// To be acted on by this office.
    pub office: Option<OfficeId>,
    /// Waiting for this.
    pub why: Option<Why>,
    /// Submitted before this instant.
    pub submitted_before: Option<Timestamp>,
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
    /// Who holds it: an office, or `(broker)`.
    pub holder: String,
    /// Province code of the office that has to act.
    pub province: String,
    /// When it was submitted.
    #[serde(serialize_with = "crate::as_local")]
    pub submitted_at: Timestamp,
    /// Since when.
    #[serde(serialize_with = "crate::as_local")]
    pub since: Timestamp,
    /// Why.
    pub why: Why,
    /// The last day on which the answer was in time; none before H's clock runs.
    #[serde(serialize_with = "crate::as_optional_text")]
    pub answer_due_on: Option<Date>,
    /// Whether the answer due is past and there is none.
    pub overdue: bool,
    /// The highest rung that fired.
    pub rung: i16,
    /// When the next rung fires.
    #[serde(serialize_with = "crate::as_optional_local")]
    pub next_at: Option<Timestamp>,
}

/// What is late: not sent within a minute, not confirmed within the time of the rule, not opened by
/// the accept due, not answered by the answer due, or answered and unread since before the latest
/// working day. Oldest due first. Wants a connection of [`super::look`].
pub async fn list(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<Late>, Error> {
    let rows = query(
        "select * from report_in_hand
         where late and ($1::text is null or province = $1) and ($2::text is null or office = $2)
             and ($3::text is null or why = $3) and ($4::timestamptz is null or submitted_at < $4)
         order by coalesce(answer_due_at, submitted_at), request_id",
    )
    .bind(filter.province.as_deref())
    .bind(filter.office.map(|o| o.to_string()))
    .bind(filter.why.map(Why::as_str))
    .bind(filter.submitted_before.map(At))
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let with_broker: bool = row.try_get("with_broker")?;
            let next_at = row.try_get::<At, _>("next_rung_at")?.0;
            Ok(Late {
                request_id: request_id(row.try_get("request_id")?)?,
                case_code: row.try_get("case_code")?,
                requester: row.try_get("requester")?,
                responder: row.try_get("responder")?,
                holder: if with_broker { "(broker)".to_owned() } else { row.try_get("office")? },
                province: row.try_get("province")?,
                submitted_at: row.try_get::<At, _>("submitted_at")?.0,
                since: row.try_get::<At, _>("since_at")?.0,
                why: why_of(row.try_get("why")?)?,
                answer_due_on: row.try_get::<Option<On>, _>("answer_due_on")?.map(|on| on.0),
                overdue: row.try_get("overdue")?,
                rung: row.try_get("rung")?,
                next_at: (next_at != crate::timer::NEVER).then_some(next_at),
            })
        })
        .collect()
}

pub(crate) fn why_of(word: &str) -> Result<Why, Error> {
    Why::ALL.into_iter().find(|w| w.as_str() == word).ok_or_else(|| Error::unreadable("why it waits", word.to_owned()))
}
