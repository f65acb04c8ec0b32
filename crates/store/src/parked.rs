//! What could not be taken: refused with a code, or parked without a provable sender. Both kept,
//! sealed.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use xacminh_domain::Timestamp;
use xacminh_domain::id::{MessageId, OfficeId};
use xacminh_trust::key::KeyRing;

use crate::error::Error;
use crate::ledger;
use crate::time::At;

const CONTEXT: &[u8] = b"parked";

/// A refused command.
#[derive(Debug)]
pub struct Refused {
    /// Who sent it.
    pub sender: OfficeId,
    /// Its id, where it had one.
    pub message_id: Option<MessageId>,
    /// Its type, where it is a known one.
    pub command: Option<&'static str>,
    /// Why.
    pub code: String,
    /// Where.
    pub pointer: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Keeps refused commands, and says so in the ledger's stream of refusals.
pub async fn refuse(tx: &mut PgConnection, keys: &KeyRing, at: Timestamp, refused: &[Refused]) -> Result<(), Error> {
    let mut said = Vec::with_capacity(refused.len());
    for r in refused {
        query(
            "insert into refused (sender, message_id, command, code, pointer, at, sealed)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(r.sender.as_str())
        .bind(r.message_id.map(MessageId::uuid))
        .bind(r.command)
        .bind(&r.code)
        .bind(&r.pointer)
        .bind(At(at))
        .bind(keys.seal(CONTEXT, &r.body)?)
        .execute(&mut *tx)
        .await?;
        said.push(serde_json::json!({
            "v": 1, "event": "refused", "by": r.sender.as_str(), "code": r.code, "pointer": r.pointer,
            "command": r.command, "message_id": r.message_id.map(|id| id.to_string()),
        }));
    }
    ledger::append_system(tx, "refusals", at, &said).await
}

/// Something to park.
#[derive(Debug)]
pub struct NewParked {
    /// The queue it came from.
    pub queue: &'static str,
    /// Why it is parked.
    pub reason: &'static str,
    /// Its routing key.
    pub routing_key: String,
    /// Its `type`, as sent.
    pub message_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Parks messages.
pub async fn park(tx: &mut PgConnection, keys: &KeyRing, at: Timestamp, parked: &[NewParked]) -> Result<(), Error> {
    for p in parked {
        query(
            "insert into parked (at, queue, reason, routing_key, message_type, bytes, sealed)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(At(at))
        .bind(p.queue)
        .bind(p.reason)
        .bind(clipped(&p.routing_key))
        .bind(p.message_type.as_deref().map(clipped))
        .bind(i32::try_from(p.body.len()).unwrap_or(i32::MAX))
        .bind(keys.seal(CONTEXT, &p.body)?)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// What a sender may have put into a property is kept only where it looks like one of ours.
fn clipped(text: &str) -> String {
    let plain = text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_'));
    if plain { text.to_owned() } else { "(not shown)".to_owned() }
}

/// A parked message, without its content.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Parked {
    /// Its number.
    pub parked_id: i64,
    /// When it was parked.
    #[serde(serialize_with = "crate::as_local")]
    pub at: Timestamp,
    /// The queue it came from.
    pub queue: String,
    /// Why.
    pub reason: String,
    /// Its routing key.
    pub routing_key: String,
    /// Its `type`.
    pub message_type: Option<String>,
    /// How long the body is.
    pub bytes: i32,
}

/// Parked messages, latest first.
pub async fn list(conn: &mut PgConnection, limit: i64) -> Result<Vec<Parked>, Error> {
    let rows = query("select parked_id, at, queue, reason, routing_key, message_type, bytes from parked order by parked_id desc limit $1")
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(|row| parked(&row)).collect()
}

fn parked(row: &sqlx::postgres::PgRow) -> Result<Parked, Error> {
    Ok(Parked {
        parked_id: row.try_get("parked_id")?,
        at: row.try_get::<At, _>("at")?.0,
        queue: row.try_get("queue")?,
        reason: row.try_get("reason")?,
        routing_key: row.try_get("routing_key")?,
        message_type: row.try_get("message_type")?,
        bytes: row.try_get("bytes")?,
    })
}

/// One parked message with its body.
pub async fn show(conn: &mut PgConnection, keys: &KeyRing, id: i64) -> Result<Option<(Parked, Vec<u8>)>, Error> {
    let row = query("select parked_id, at, queue, reason, routing_key, message_type, bytes, sealed from parked where parked_id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let body = keys.open(CONTEXT, row.try_get("sealed")?)?.to_vec();
    Ok(Some((parked(&row)?, body)))
}
