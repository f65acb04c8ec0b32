//! What was taken, once: (sender, message-id) and the first receipt.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use uuid::Uuid;
use xacminh_domain::Timestamp;
use xacminh_domain::id::{MessageId, OfficeId};

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

/// Claims keys for this transaction. Keys that were taken before are given back with what became
/// of them. Two transactions that claim the same key wait for each other; keys are claimed in
/// order, so that they cannot wait in a circle.
pub async fn claim(
    tx: &mut PgConnection,
    at: Timestamp,
    commands: &[(Key, [u8; 32])],
) -> Result<HashMap<Key, Seen>, Error> {
    if commands.is_empty() {
        return Ok(HashMap::new());
    }
    let mut sorted: Vec<_> = commands.iter().map(|((o, m), d)| (m.uuid(), o.to_string(), *d)).collect();
    sorted.sort();
    let ids: Vec<Uuid> = sorted.iter().map(|c| c.0).collect();
    let senders: Vec<&str> = sorted.iter().map(|c| c.1.as_str()).collect();
    let new = query(
        "insert into inbox (message_id, sender, body_digest, at)
         select m, s, d, $4 from unnest($1::uuid[], $2::text[], $3::bytea[]) as c (m, s, d)
         on conflict do nothing returning message_id, sender",
    )
    .bind(&ids)
    .bind(&senders)
    .bind(sorted.iter().map(|c| c.2.as_slice()).collect::<Vec<_>>())
    .bind(At(at))
    .fetch_all(&mut *tx)
    .await?;
    if new.len() == sorted.len() {
        return Ok(HashMap::new());
    }
    let mut fresh = std::collections::HashSet::new();
    for row in new {
        fresh.insert((row.try_get::<Uuid, _>("message_id")?, row.try_get::<String, _>("sender")?));
    }
    let old: Vec<Key> = commands
        .iter()
        .map(|(key, _)| *key)
        .filter(|(office, id)| !fresh.contains(&(id.uuid(), office.to_string())))
        .collect();
    find(tx, &old).await
}

/// What became of commands that were taken before; keys never taken are not in it.
pub async fn find(conn: &mut PgConnection, keys: &[Key]) -> Result<HashMap<Key, Seen>, Error> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = query(
        "select i.message_id, i.sender, i.body_digest, i.receipt
         from inbox i join unnest($1::uuid[], $2::text[]) as c (m, s) on i.message_id = c.m and i.sender = c.s",
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

/// Keeps the first receipts of commands claimed in this transaction.
pub async fn keep_receipts(tx: &mut PgConnection, receipts: &[(Key, Vec<u8>)]) -> Result<(), Error> {
    if receipts.is_empty() {
        return Ok(());
    }
    query(
        "update inbox i set receipt = c.r from unnest($1::uuid[], $2::text[], $3::bytea[]) as c (m, s, r)
         where i.message_id = c.m and i.sender = c.s",
    )
    .bind(receipts.iter().map(|((_, m), _)| m.uuid()).collect::<Vec<_>>())
    .bind(receipts.iter().map(|((o, _), _)| o.to_string()).collect::<Vec<_>>())
    .bind(receipts.iter().map(|(_, r)| r.as_slice()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
