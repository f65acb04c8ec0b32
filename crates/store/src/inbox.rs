//! What was taken, once: (sender, message-id) and the first receipt.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use uuid::Uuid;
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

/// A command that wants its key.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// The key.
    pub key: Key,
    /// Keyed digest of type and body.
    pub digest: [u8; 32],
    /// The short name of its type, if there is such a type.
    pub command: Option<&'static str>,
    /// The request it is about or would make.
    pub request: Option<RequestId>,
}

/// Claims keys for this transaction. Keys that were taken before are given back with what became
/// of them. Two transactions that claim the same key wait for each other; keys are claimed in
/// order, so that they cannot wait in a circle.
pub async fn claim(tx: &mut PgConnection, at: Timestamp, commands: &[Claim]) -> Result<HashMap<Key, Seen>, Error> {
    if commands.is_empty() {
        return Ok(HashMap::new());
    }
    let mut sorted: Vec<&Claim> = commands.iter().collect();
    sorted.sort_by_key(|c| (c.key.1, c.key.0));
    let ids: Vec<Uuid> = sorted.iter().map(|c| c.key.1.uuid()).collect();
    let senders: Vec<String> = sorted.iter().map(|c| c.key.0.to_string()).collect();
    let new = query(
        "insert into inbox (message_id, sender, body_digest, at, command, request_id)
         select m, s, d, $4, c, r from unnest($1::uuid[], $2::text[], $3::bytea[], $5::text[], $6::uuid[])
             as c (m, s, d, c, r)
         on conflict do nothing returning message_id, sender",
    )
    .bind(&ids)
    .bind(&senders)
    .bind(sorted.iter().map(|c| c.digest.as_slice()).collect::<Vec<_>>())
    .bind(At(at))
    .bind(sorted.iter().map(|c| c.command).collect::<Vec<_>>())
    .bind(sorted.iter().map(|c| c.request.map(|id| id.uuid())).collect::<Vec<_>>())
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
        .map(|claim| claim.key)
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

/// A receipt that a repeat will get again.
#[derive(Debug, Clone)]
pub struct FirstReceipt {
    /// Of which command.
    pub key: Key,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// It refuses.
    pub refused: bool,
}

/// Keeps the first receipts of commands claimed in this transaction.
pub async fn keep_receipts(tx: &mut PgConnection, receipts: &[FirstReceipt]) -> Result<(), Error> {
    if receipts.is_empty() {
        return Ok(());
    }
    query(
        "update inbox i set receipt = c.r, refused = c.f
         from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bool[]) as c (m, s, r, f)
         where i.message_id = c.m and i.sender = c.s",
    )
    .bind(receipts.iter().map(|r| r.key.1.uuid()).collect::<Vec<_>>())
    .bind(receipts.iter().map(|r| r.key.0.to_string()).collect::<Vec<_>>())
    .bind(receipts.iter().map(|r| r.bytes.as_slice()).collect::<Vec<_>>())
    .bind(receipts.iter().map(|r| r.refused).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Lets claims of this transaction go, as if the commands had not come: they may come again under
/// their ids.
pub async fn release(tx: &mut PgConnection, keys: &[Key]) -> Result<(), Error> {
    if keys.is_empty() {
        return Ok(());
    }
    query(
        "delete from inbox i using unnest($1::uuid[], $2::text[]) as c (m, s) where i.message_id = c.m and i.sender = c.s",
    )
    .bind(keys.iter().map(|(_, m)| m.uuid()).collect::<Vec<_>>())
    .bind(keys.iter().map(|(o, _)| o.to_string()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
