//! What home offices were sent and have not confirmed: of which offices it is, and how it goes back to what waits.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use xacminh_domain::Timestamp;
use xacminh_domain::id::OfficeId;

use crate::error::Error;
use crate::ledger::office;
use crate::outbox;
use crate::time::At;

/// An office whose system has not confirmed what it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unheard {
    /// Which office.
    pub office: OfficeId,
    /// Something of it may be sent again by now.
    pub again_is_due: bool,
}

/// Offices with something in flight that is due to be sent again at `now`, or was sent before
/// `gone_since`, which is long enough ago to ask whether its reader is still there.
pub async fn offices(conn: &mut PgConnection, now: Timestamp, gone_since: Timestamp) -> Result<Vec<Unheard>, Error> {
    let rows = query(
        "select office, bool_or(again_at <= $1) as due from deliveries
         where sent_at is not null and (again_at <= $1 or sent_at < $2) group by office",
    )
    .bind(At(now))
    .bind(At(gone_since))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| Ok(Unheard { office: office(row.try_get("office")?)?, again_is_due: row.try_get("due")? }))
        .collect()
}

/// What of an office goes back to waiting, to leave again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// What is due to be sent again.
    Due,
    /// All of it.
    All,
}

/// Puts what an office never confirmed back to what waits, of what was sent `before`; it leaves with the same
/// id and the same bytes. Gives how many.
pub async fn send_again(
    conn: &mut PgConnection,
    office: OfficeId,
    now: Timestamp,
    before: Timestamp,
    what: Again,
) -> Result<u64, Error> {
    let due = match what {
        Again::Due => Some(At(now)),
        Again::All => None,
    };
    let done = query(
        "update deliveries set sent_at = null, again_at = null, arrival = default
         where office = $1 and sent_at < $2 and ($3::timestamptz is null or again_at <= $3)",
    )
    .bind(office.to_string())
    .bind(At(before))
    .bind(due)
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() > 0 {
        outbox::ring(conn).await?;
    }
    Ok(done.rows_affected())
}
