//! Outages of the broker, as intervals. They pause no clock; they say whose the time was.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use xacminh_domain::Timestamp;

use crate::error::Error;
use crate::time::At;

/// An outage: from, and to when it is over.
pub type Outage = (Timestamp, Option<Timestamp>);

/// Writes down an outage that is over.
pub async fn record(conn: &mut PgConnection, what: &'static str, from: Timestamp, to: Timestamp) -> Result<(), Error> {
    query("insert into outages (what, from_at, to_at) values ($1, $2, $3)")
        .bind(what)
        .bind(At(from))
        .bind(At(to))
        .execute(conn)
        .await?;
    Ok(())
}

/// Outages that touch the time since an instant, oldest first.
pub async fn since(conn: &mut PgConnection, at: Timestamp) -> Result<Vec<Outage>, Error> {
    let rows = query("select from_at, to_at from outages where coalesce(to_at, 'infinity') > $1 order by from_at")
        .bind(At(at))
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get::<At, _>("from_at")?.0, row.try_get::<Option<At>, _>("to_at")?.map(|at| at.0))))
        .collect()
}
