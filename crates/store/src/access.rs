//! Which offices have a login and an inbox, since when, and until when.
//!
//! RabbitMQ comes first in every change, the row here second: what stands here is never more than
//! what holds there, and a command that was killed in between is repaired by giving it again.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query, query_scalar};
use xacminh_domain::Timestamp;
use xacminh_domain::id::OfficeId;

use crate::error::Error;
use crate::ledger;
use crate::time::At;

/// The key of the advisory lock of whoever changes access.
const CHANGING: i64 = 7_226_466;
/// The stream of the ledger that tells who was granted and revoked.
const STREAM: &str = "access";

/// A grant, standing or over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// How the office is reached.
    pub channel: String,
    /// Since when.
    pub granted_at: Timestamp,
    /// Since when its password holds, if it was changed after the grant.
    pub password_at: Option<Timestamp>,
    /// Until when.
    pub revoked_at: Option<Timestamp>,
}

/// Holds the right to change access for as long as the connection lives: two commands at once would
/// tell RabbitMQ one password and an operator another. False if somebody else holds it.
pub async fn hold(conn: &mut PgConnection) -> Result<bool, Error> {
    Ok(query_scalar("select pg_try_advisory_lock($1)").bind(CHANGING).fetch_one(conn).await?)
}

/// The offices that are granted now.
pub async fn granted(conn: &mut PgConnection) -> Result<Vec<OfficeId>, Error> {
    let ids: Vec<String> =
        query_scalar("select office_id from office_access where revoked_at is null order by office_id")
            .fetch_all(conn)
            .await?;
    parsed(&ids)
}

/// The offices whose last grant is over. Their inboxes stay.
pub async fn revoked(conn: &mut PgConnection) -> Result<Vec<OfficeId>, Error> {
    let ids: Vec<String> = query_scalar(
        "select office_id from office_access group by office_id having bool_and(revoked_at is not null) order by 1",
    )
    .fetch_all(conn)
    .await?;
    parsed(&ids)
}

/// The latest grant of an office; none if it never had one.
pub async fn latest(conn: &mut PgConnection, office: OfficeId) -> Result<Option<Granted>, Error> {
    let row = query(
        "select channel, granted_at, password_at, revoked_at from office_access where office_id = $1
         order by revoked_at is null desc, granted_at desc limit 1",
    )
    .bind(office.as_str())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Granted {
        channel: row.try_get("channel")?,
        granted_at: row.try_get::<At, _>("granted_at")?.0,
        password_at: row.try_get::<Option<At>, _>("password_at")?.map(|at| at.0),
        revoked_at: row.try_get::<Option<At>, _>("revoked_at")?.map(|at| at.0),
    }))
}

/// Writes down grants; an office that is granted already stays as it is.
pub async fn grant(tx: &mut PgConnection, offices: &[OfficeId], channel: &str, at: Timestamp) -> Result<(), Error> {
    let new: Vec<String> = query_scalar(
        "insert into office_access (office_id, channel, granted_at)
         select o, $2, $3 from unnest($1::text[]) as n (o)
         on conflict (office_id) where revoked_at is null do nothing returning office_id",
    )
    .bind(texts(offices))
    .bind(channel)
    .bind(At(at))
    .fetch_all(&mut *tx)
    .await?;
    say(tx, "granted", &new, at).await
}

/// Writes down that these offices' grants are over; gives those that had one.
pub async fn revoke(tx: &mut PgConnection, offices: &[OfficeId], at: Timestamp) -> Result<Vec<OfficeId>, Error> {
    let ended: Vec<String> = query_scalar(
        "update office_access set revoked_at = greatest($2, granted_at)
         where office_id = any($1) and revoked_at is null returning office_id",
    )
    .bind(texts(offices))
    .bind(At(at))
    .fetch_all(&mut *tx)
    .await?;
    say(tx, "revoked", &ended, at).await?;
    parsed(&ended)
}

/// Writes down that these offices have another password.
pub async fn rotated(tx: &mut PgConnection, offices: &[OfficeId], at: Timestamp) -> Result<(), Error> {
    let changed: Vec<String> = query_scalar(
        "update office_access set password_at = $2 where office_id = any($1) and revoked_at is null
         returning office_id",
    )
    .bind(texts(offices))
    .bind(At(at))
    .fetch_all(&mut *tx)
    .await?;
    say(tx, "rotated", &changed, at).await
}

async fn say(tx: &mut PgConnection, event: &str, offices: &[String], at: Timestamp) -> Result<(), Error> {
    let mut offices = offices.to_vec();
    offices.sort();
    let said: Vec<_> =
        offices.iter().map(|office| serde_json::json!({ "v": 1, "event": event, "office": office })).collect();
    ledger::append_system(tx, STREAM, at, &said).await
}

fn texts(offices: &[OfficeId]) -> Vec<String> {
    offices.iter().map(ToString::to_string).collect()
}

fn parsed(ids: &[String]) -> Result<Vec<OfficeId>, Error> {
    ids.iter().map(|id| id.parse().map_err(|e| Error::unreadable("an office", e))).collect()
}
