//! What could not be taken: refused with a code, or parked without a provable sender. Both kept,
//! sealed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use xacminh_domain::Timestamp;
use xacminh_domain::id::{MessageId, OfficeId};
use xacminh_trust::key::KeyRing;

use crate::error::Error;
use crate::ledger;
use crate::time::At;

const CONTEXT: &[u8] = b"parked";
const ENVELOPE: &[u8] = b"parked envelope";
/// The stream of the ledger that tells what was replayed or closed.
const STREAM: &str = "replays";

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

/// The bodies of refused submits, by sender and message-id, the first under an id. What was refused
/// because its id was used before is none: another message has that id.
pub async fn refused_submits(
    conn: &mut PgConnection,
    keys: &KeyRing,
    wanted: &[(OfficeId, MessageId)],
) -> Result<HashMap<(OfficeId, MessageId), Vec<u8>>, Error> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = query(
        "select distinct on (r.message_id, r.sender) r.message_id, r.sender, r.sealed
         from refused r join unnest($1::uuid[], $2::text[]) as w (m, s) on r.message_id = w.m and r.sender = w.s
         where r.command = 'request.submit' and r.code <> 'id_reused'
         order by r.message_id, r.sender, r.refused_id",
    )
    .bind(wanted.iter().map(|(_, id)| id.uuid()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|(office, _)| office.to_string()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let sender = row.try_get::<&str, _>("sender")?.parse().map_err(|e| Error::unreadable("a sender", e))?;
        let id = MessageId::new(row.try_get("message_id")?).map_err(|e| Error::unreadable("a message id", e))?;
        found.insert((sender, id), keys.open(CONTEXT, row.try_get("sealed")?)?.to_vec());
    }
    Ok(found)
}

/// Something to park.
#[derive(Debug)]
pub struct NewParked {
    /// The queue it came from.
    pub queue: &'static str,
    /// Why it is parked.
    pub reason: &'static str,
    /// What else a replay needs.
    pub envelope: Envelope,
    /// The body.
    pub body: Vec<u8>,
}

/// A message's properties, as RabbitMQ handed them over. Kept sealed: apart from the login, a sender
/// may have written anything into them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The login that sent it, which RabbitMQ had checked.
    #[serde(default)]
    pub user_id: Option<String>,
    /// The sender's id of the message.
    #[serde(default)]
    pub message_id: Option<String>,
    /// Its `type`.
    #[serde(default)]
    pub message_type: Option<String>,
    /// The request it is about.
    #[serde(default)]
    pub correlation_id: Option<String>,
    /// Its routing key.
    #[serde(default)]
    pub routing_key: String,
    /// The headers that mean something to the broker.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

/// Parks messages.
pub async fn park(tx: &mut PgConnection, keys: &KeyRing, at: Timestamp, parked: &[NewParked]) -> Result<(), Error> {
    for p in parked {
        let envelope = serde_json::to_vec(&p.envelope).map_err(|e| Error::unreadable("an envelope", e))?;
        query(
            "insert into parked (at, queue, reason, routing_key, message_type, bytes, sealed, envelope)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(At(at))
        .bind(p.queue)
        .bind(p.reason)
        .bind(clipped(&p.envelope.routing_key))
        .bind(p.envelope.message_type.as_deref().map(clipped))
        .bind(i32::try_from(p.body.len()).unwrap_or(i32::MAX))
        .bind(keys.seal(CONTEXT, &p.body)?)
        .bind(keys.seal(ENVELOPE, &envelope)?)
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
#[derive(Debug, Clone, Serialize)]
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
    /// When it was replayed.
    #[serde(serialize_with = "crate::as_optional_local")]
    pub replayed_at: Option<Timestamp>,
    /// Why, in the operator's words.
    pub replay_reason: Option<String>,
    /// When it was closed: nothing more is to be done about it.
    #[serde(serialize_with = "crate::as_optional_local")]
    pub closed_at: Option<Timestamp>,
    /// Why, in the operator's words.
    pub close_reason: Option<String>,
}

/// Parked messages, latest first.
pub async fn list(conn: &mut PgConnection, limit: i64) -> Result<Vec<Parked>, Error> {
    let rows = query(
        "select parked_id, at, queue, reason, routing_key, message_type, bytes, replayed_at, replay_reason,
             closed_at, close_reason
         from parked order by parked_id desc limit $1",
    )
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
        replayed_at: row.try_get::<Option<At>, _>("replayed_at")?.map(|at| at.0),
        replay_reason: row.try_get("replay_reason")?,
        closed_at: row.try_get::<Option<At>, _>("closed_at")?.map(|at| at.0),
        close_reason: row.try_get("close_reason")?,
    })
}

/// A parked message, opened.
#[derive(Debug, Clone)]
pub struct Opened {
    /// What is known of it without a key.
    pub parked: Parked,
    /// Its properties; none if it was parked before they were kept.
    pub envelope: Option<Envelope>,
    /// The body.
    pub body: Vec<u8>,
}

/// One parked message, without its content.
pub async fn one(conn: &mut PgConnection, id: i64) -> Result<Option<Parked>, Error> {
    row(conn, id).await?.as_ref().map(parked).transpose()
}

async fn row(conn: &mut PgConnection, id: i64) -> Result<Option<sqlx::postgres::PgRow>, Error> {
    Ok(query("select * from parked where parked_id = $1").bind(id).fetch_optional(conn).await?)
}

/// One parked message with its content.
pub async fn show(conn: &mut PgConnection, keys: &KeyRing, id: i64) -> Result<Option<Opened>, Error> {
    let Some(row) = row(conn, id).await? else { return Ok(None) };
    let envelope = match row.try_get::<Option<&[u8]>, _>("envelope")? {
        None => None,
        Some(sealed) => {
            let bytes = keys.open(ENVELOPE, sealed)?;
            Some(serde_json::from_slice(&bytes).map_err(|e| Error::unreadable("an envelope", e))?)
        }
    };
    let body = keys.open(CONTEXT, row.try_get("sealed")?)?.to_vec();
    Ok(Some(Opened { parked: parked(&row)?, envelope, body }))
}

/// Writes down that a parked message was replayed, once; false if that stands there already.
/// The reason stays in the row: an operator's words have no place in a chain that cannot forget.
pub async fn replayed(tx: &mut PgConnection, id: i64, reason: &str, at: Timestamp) -> Result<bool, Error> {
    const MARK: &str =
        "update parked set replayed_at = $2, replay_reason = $3 where parked_id = $1 and replayed_at is null";
    once(tx, MARK, "replayed", id, reason, at).await
}

/// Writes down that nothing more is to be done about a parked message, once; false if that stands
/// there already, or it was replayed, or there is none. Its row and content stay.
pub async fn close(tx: &mut PgConnection, id: i64, reason: &str, at: Timestamp) -> Result<bool, Error> {
    const MARK: &str = "update parked set closed_at = $2, close_reason = $3
         where parked_id = $1 and closed_at is null and replayed_at is null";
    once(tx, MARK, "closed", id, reason, at).await
}

/// Marks a row, and says so in the ledger if it was not marked yet.
async fn once(
    tx: &mut PgConnection,
    mark: &'static str,
    event: &str,
    id: i64,
    reason: &str,
    at: Timestamp,
) -> Result<bool, Error> {
    let marked = query(mark).bind(id).bind(At(at)).bind(reason).execute(&mut *tx).await?.rows_affected() == 1;
    if marked {
        let said = serde_json::json!({ "v": 1, "event": event, "parked_id": id });
        ledger::append_system(tx, STREAM, at, &[said]).await?;
    }
    Ok(marked)
}
