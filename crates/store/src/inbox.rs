//! What was taken, once: (sender, message-id) and the first receipt.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use xacminh_domain::Timestamp;
use xacminh_domain::id::{MessageId, OfficeId, RequestId};

use crate::error::Error;
use crate::time::At;

/// The key of a command.
pub type Key = (OfficeId, MessageId);

/// What an earlier transaction made of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Keyed digest of type and body.
    pub digest: [u8; 32],
    /// The first receipt, where the command got one.
    pub receipt: Option<Vec<u8>>,
}

/// A command that was taken, with the receipt that a repeat will get again.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The key.
    pub key: Key,
    /// Keyed digest of type and body.
    pub digest: [u8; 32],
    /// The short name of its type, if there is such a type.
    pub command: Option<&'static str>,
    /// The request it is about or would make.
    pub request: Option<RequestId>,
    /// Its first receipt; none for what needs none.
    pub receipt: Option<Vec<u8>>,
    /// That receipt refuses.
    pub refused: bool,
}

/// Writes down what this transaction takes. Two transactions that take the same key wait for each
/// other, in the order of the keys, so that they cannot wait in a circle; the second gets
/// [`Error::TakenMeanwhile`], and finds the key when it begins anew.
pub async fn put(tx: &mut PgConnection, at: Timestamp, taken: &[Taken]) -> Result<(), Error> {
    if taken.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&Taken> = taken.iter().collect();
    sorted.sort_by_key(|t| (t.key.1, t.key.0));
    let done = query(
        "insert into inbox (message_id, sender, body_digest, at, command, request_id, receipt, refused)
         select unnest($1::uuid[]), unnest($2::text[]), unnest($3::bytea[]), $4, unnest($5::text[]), unnest($6::uuid[]),
             unnest($7::bytea[]), unnest($8::bool[])",
    )
    .bind(sorted.iter().map(|t| t.key.1.uuid()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|t| t.key.0.to_string()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|t| t.digest.as_slice()).collect::<Vec<_>>())
    .bind(At(at))
    .bind(sorted.iter().map(|t| t.command).collect::<Vec<_>>())
    .bind(sorted.iter().map(|t| t.request.map(|id| id.uuid())).collect::<Vec<_>>())
    .bind(sorted.iter().map(|t| t.receipt.as_deref()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|t| t.refused).collect::<Vec<_>>())
    .execute(tx)
    .await;
    // Not "on conflict do nothing": for that PostgreSQL writes each row down on trial, which costs half as much again,
    // and nothing of this transaction may happen anyhow.
    match done {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(Error::TakenMeanwhile),
        other => Ok(other.map(drop)?),
    }
}

/// What became of commands that were taken before; keys never taken are not in it.
pub async fn find(conn: &mut PgConnection, keys: &[Key]) -> Result<HashMap<Key, Seen>, Error> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    // Key by key: as a join, a partition that was never analyzed is read from end to end.
    let rows = query(
        "select i.* from unnest($1::uuid[], $2::text[]) as c (m, s) cross join lateral (
             select message_id, sender, body_digest, receipt from inbox
             where message_id = c.m and sender = c.s limit 1) i",
    )
    .bind(keys.iter().map(|(_, m)| m.uuid()).collect::<Vec<_>>())
    .bind(keys.iter().map(|(o, _)| o.to_string()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let mut seen = HashMap::new();
    for row in rows {
        let key = (
            row.try_get::<&str, _>("sender")?.parse().map_err(|e| Error::unreadable("a sender", e))?,
            MessageId::new(row.try_get("message_id")?).map_err(|e| Error::unreadable("a message id", e))?,
        );
        let digest =
            row.try_get::<&[u8], _>("body_digest")?.try_into().map_err(|e| Error::unreadable("a digest", e))?;
        seen.insert(key, Seen { digest, receipt: row.try_get("receipt")? });
    }
    Ok(seen)
}
