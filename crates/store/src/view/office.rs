//! What each office has in hand: for a page of figures that names offices, never a request.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use xacminh_domain::Timestamp;

use crate::error::Error;
use crate::time::At;

/// What one office is asked and has in hand. An office that has nothing has no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InHand {
    /// The office's id.
    pub office: String,
    /// Its province code, as it was when the requests were made.
    pub province: String,
    /// Requests that it is asked and has not answered, wherever they are on their way.
    pub open: i64,
    /// Those of them that are beyond their answer due.
    pub overdue: i64,
    /// When the oldest of them was submitted.
    pub oldest: Timestamp,
    /// Those of them that were sent, and not yet received by its system.
    pub in_flight: i64,
}

/// What every office has in hand at `now`.
pub async fn in_hand(conn: &mut PgConnection, now: Timestamp) -> Result<Vec<InHand>, Error> {
    let rows = query(
        "select responder as office, responder_province as province, count(*) as open,
             count(*) filter (where answer_due_at <= $1) as overdue, min(submitted_at) as oldest,
             count(*) filter (where state = 'sent') as in_flight
         from timers where state <> 'answered' group by 1, 2 order by 1, 2",
    )
    .bind(At(now))
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(InHand {
                office: row.try_get("office")?,
                province: row.try_get("province")?,
                open: row.try_get("open")?,
                overdue: row.try_get("overdue")?,
                oldest: row.try_get::<At, _>("oldest")?.0,
                in_flight: row.try_get("in_flight")?,
            })
        })
        .collect()
}
