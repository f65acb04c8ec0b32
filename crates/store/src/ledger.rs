//! The ledger: events appended, chained, read back, and proven whole.
//!
//! A request is what its events make it: commands lock the request's row, replay its events (unless it
//! is [at hand](crate::at_hand)) and append to them. `requests` is only the projection of that, for
//! questions that span requests.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row, query};
use uuid::Uuid;
use xacminh_contract::ledger::Body;
use xacminh_contract::trace::TraceId;
use xacminh_domain::Timestamp;
use xacminh_domain::id::{MessageId, OfficeId, RequestId};
use xacminh_domain::request::{Event, Request};
use xacminh_trust::chain::{self, GENESIS, Hash, StoredLink};

use crate::at_hand::AtHand;
use crate::error::Error;
use crate::time::At;

/// A request with the end of its chain.
#[derive(Debug, Clone)]
pub struct Chained {
    /// The request as its events made it.
    pub request: Request,
    /// Number of the last event; the first is 1.
    pub seq: u32,
    /// Hash of the last event.
    pub head: Hash,
    /// The trace of its submit.
    pub trace: TraceId,
}

/// Who or what caused an event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cause {
    /// The office whose command it was; none for the broker's own acts.
    pub by: Option<OfficeId>,
    /// That command's id.
    pub message_id: Option<MessageId>,
    /// The office's clock.
    pub client_at: Option<Timestamp>,
    /// The refused submit that this one made whole.
    pub resubmits: Option<MessageId>,
    /// The trace that the command came with.
    pub trace: Option<TraceId>,
}

/// A row to be written. Only this crate makes one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LedgerRow {
    /// Whose chain.
    pub request_id: Uuid,
    /// Its number in the chain, from 1.
    pub seq: u32,
    /// Its instant.
    pub at: Timestamp,
    /// Its own.
    pub hash: Hash,
    /// Its canonical bytes.
    pub body: Vec<u8>,
}

impl Chained {
    /// Starts a chain with the event that opens a request. None if the event opens nothing.
    pub fn begin(id: RequestId, at: Timestamp, event: &Event, cause: Cause) -> Option<(Self, LedgerRow)> {
        let request = Request::from_first(id, at, event)?;
        let mut chained = Self { request, seq: 0, head: GENESIS, trace: TraceId::begun_by(id.uuid()) };
        let row = chained.link(at, event, cause);
        chained.trace = cause.trace.unwrap_or(chained.trace);
        Some((chained, row))
    }

    /// Takes in an event and gives the row to write.
    pub fn append(&mut self, at: Timestamp, event: &Event, cause: Cause) -> LedgerRow {
        self.request.apply(at, event);
        self.link(at, event, cause)
    }

    fn link(&mut self, at: Timestamp, event: &Event, cause: Cause) -> LedgerRow {
        let body = Body {
            by: cause.by.map(Into::into),
            message_id: cause.message_id.map(Into::into),
            client_at: cause.client_at.map(Into::into),
            trace: cause.trace.filter(|trace| *trace != self.trace),
            resubmits: cause.resubmits.map(Into::into),
            ..Body::of(event)
        }
        .to_bytes();
        self.seq += 1;
        let row = LedgerRow::after(self.head, self.request.id, self.seq, at, body);
        self.head = row.hash;
        row
    }
}

impl LedgerRow {
    fn after(prev: Hash, id: RequestId, seq: u32, at: Timestamp, body: Vec<u8>) -> Self {
        let request_id = id.uuid();
        let hash = chain::link(&prev, request_id.as_bytes(), seq, at.as_microsecond(), &body);
        Self { request_id, seq, at, hash, body }
    }

    /// An act of the broker's own that is number `seq` of a chain which ends in `head`, for whoever knows
    /// the end of the chain and needs no more of it.
    pub(crate) fn of_the_broker(id: RequestId, seq: u32, head: Hash, at: Timestamp, event: &Event) -> Self {
        Self::after(head, id, seq, at, Body::of(event).to_bytes())
    }
}

/// Writes rows of the ledger.
pub async fn append(tx: &mut PgConnection, rows: &[LedgerRow]) -> Result<(), Error> {
    append_all(tx, &rows.iter().collect::<Vec<_>>()).await
}

pub(crate) async fn append_all(tx: &mut PgConnection, rows: &[&LedgerRow]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i32> = rows.iter().map(|r| i32::try_from(r.seq).unwrap_or(i32::MAX)).collect();
    query(
        "insert into events (request_id, seq, at, hash, body)
         select unnest($1::uuid[]), unnest($2::int[]), unnest($3::timestamptz[]), unnest($4::bytea[]),
             unnest($5::bytea[])",
    )
    .bind(rows.iter().map(|r| r.request_id).collect::<Vec<_>>())
    .bind(seqs)
    .bind(rows.iter().map(|r| At(r.at)).collect::<Vec<_>>())
    .bind(rows.iter().map(|r| r.hash.as_bytes().as_slice()).collect::<Vec<_>>())
    .bind(rows.iter().map(|r| r.body.as_slice()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Locks requests and replays them. Rows are locked in the order of their ids, so that two batches
/// cannot wait for each other. With `skip_locked`, requests that somebody else is changing are
/// left out instead of waited for.
pub async fn lock(
    tx: &mut PgConnection,
    at_hand: &AtHand,
    ids: &[RequestId],
    skip_locked: bool,
) -> Result<HashMap<RequestId, Chained>, Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    // Id by id, in their order: so each is looked for in its own month alone.
    let statement = if skip_locked {
        "select r.* from unnest($1::uuid[]) as i (id) cross join lateral (
             select request_id, seq, head_hash from requests where request_id = i.id for update skip locked) r"
    } else {
        "select r.* from unnest($1::uuid[]) as i (id) cross join lateral (
             select request_id, seq, head_hash from requests where request_id = i.id for update) r"
    };
    let mut ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    ids.sort_unstable();
    ids.dedup();
    let locked = query(statement).bind(ids).fetch_all(&mut *tx).await?;
    let (mut known, mut others) = (HashMap::with_capacity(locked.len()), Vec::new());
    for row in locked {
        let (id, head) = (request_id(row.try_get("request_id")?)?, hash_of(row.try_get("head_hash")?)?);
        match at_hand.get(id, seq_of(row.try_get("seq")?), head) {
            Some(chained) => _ = known.insert(id, chained),
            None => others.push(id.uuid()),
        }
    }
    if !others.is_empty() {
        known.extend(replay(tx, &others).await?);
    }
    Ok(known)
}

/// Reads requests without locking them.
pub async fn read(conn: &mut PgConnection, ids: &[RequestId]) -> Result<HashMap<RequestId, Chained>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    replay(conn, &ids).await
}

async fn replay(conn: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<RequestId, Chained>, Error> {
    let rows = query(
        "select e.* from unnest($1::uuid[]) as i (id) cross join lateral (
                 select request_id, seq, at, hash, body from events where request_id = i.id order by seq) e",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<RequestId, Chained> = HashMap::with_capacity(ids.len());
    for row in rows {
        let id = request_id(row.try_get("request_id")?)?;
        let at = row.try_get::<At, _>("at")?.0;
        let Body { entry, trace, .. } = body_of(row.try_get("body")?)?;
        let event = entry.into();
        let head = hash_of(row.try_get("hash")?)?;
        let seq = seq_of(row.try_get("seq")?);
        match found.get_mut(&id) {
            Some(chained) => {
                chained.request.apply(at, &event);
                (chained.seq, chained.head) = (seq, head);
            }
            None => {
                let request = Request::from_first(id, at, &event)
                    .ok_or_else(|| Error::Damaged { request: id, why: "it does not begin with a submit".to_owned() })?;
                let trace = trace.unwrap_or(TraceId::begun_by(id.uuid()));
                found.insert(id, Chained { request, seq, head, trace });
            }
        }
    }
    Ok(found)
}

/// One event as read back, for a person.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Number in the chain.
    pub seq: u32,
    /// When the ledger row was written.
    pub at: Timestamp,
    /// What happened, and who caused it.
    pub body: Body,
}

/// The traces of requests' submits; requests that are not there are not in it.
pub async fn traces(conn: &mut PgConnection, ids: &[RequestId]) -> Result<HashMap<RequestId, TraceId>, Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = query("select e.request_id, e.body from unnest($1::uuid[]) as i (id) join events e on e.request_id = i.id and e.seq = 1")
        .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
        .fetch_all(conn)
        .await?;
    rows.into_iter()
        .map(|row| {
            let id = request_id(row.try_get("request_id")?)?;
            Ok((id, body_of(row.try_get("body")?)?.trace.unwrap_or(TraceId::begun_by(id.uuid()))))
        })
        .collect()
}

/// All events of a request.
pub async fn events_of(conn: &mut PgConnection, id: RequestId) -> Result<Vec<Kept>, Error> {
    let rows = query("select seq, at, body from events where request_id = $1 order by seq")
        .bind(id.uuid())
        .fetch_all(conn)
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Kept {
                seq: seq_of(row.try_get("seq")?),
                at: row.try_get::<At, _>("at")?.0,
                body: body_of(row.try_get("body")?)?,
            })
        })
        .collect()
}

/// Proves a request's chain whole: every hash recomputed, the head compared with the projection,
/// the events replayed and their state compared too. Gives the number of events.
pub async fn verify(conn: &mut PgConnection, id: RequestId) -> Result<u32, Error> {
    // One look at all of it: what somebody appends meanwhile is no damage.
    let mut tx = conn.begin().await?;
    query("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
    let conn = &mut *tx;
    let damaged = |why: String| Error::Damaged { request: id, why };
    let rows = query("select seq, at, hash, body from events where request_id = $1 order by seq")
        .bind(id.uuid())
        .fetch_all(&mut *conn)
        .await?;
    let mut links = Vec::with_capacity(rows.len());
    for row in &rows {
        links.push(StoredLink {
            seq: seq_of(row.try_get("seq")?),
            at_us: row.try_get::<At, _>("at")?.0.as_microsecond(),
            hash: hash_of(row.try_get("hash")?)?,
            body: row.try_get("body")?,
        });
    }
    let count = u32::try_from(links.len()).unwrap_or(u32::MAX);
    let head = chain::verify(id.uuid().as_bytes(), links).map_err(|broken| damaged(broken.to_string()))?;
    let row = query("select seq, head_hash, state from requests where request_id = $1")
        .bind(id.uuid())
        .fetch_optional(&mut *conn)
        .await?
        .ok_or_else(|| damaged("there is no such request".to_owned()))?;
    if seq_of(row.try_get("seq")?) != count || hash_of(row.try_get("head_hash")?)? != head {
        return Err(damaged(format!("its end is missing or was changed after event {count}")));
    }
    let replayed = replay(conn, &[id.uuid()]).await?;
    let state: String = row.try_get("state")?;
    match replayed.get(&id) {
        Some(chained) if chained.request.state.as_str() == state => Ok(count),
        Some(_) => Err(damaged("its events and its row disagree about the state".to_owned())),
        None => Err(damaged("it has no events".to_owned())),
    }
}

fn body_of(body: &[u8]) -> Result<Body, Error> {
    Body::from_bytes(body).map_err(|e| Error::unreadable("a ledger row", e))
}

pub(crate) fn hash_of(bytes: &[u8]) -> Result<Hash, Error> {
    <[u8; 32]>::try_from(bytes).map(Hash::from).map_err(|e| Error::unreadable("a hash", e))
}

pub(crate) fn seq_of(seq: i32) -> u32 {
    u32::try_from(seq).unwrap_or(0)
}

pub(crate) fn request_id(id: Uuid) -> Result<RequestId, Error> {
    MessageId::new(id).map(RequestId::of).map_err(|e| Error::unreadable("a request id", e))
}

pub(crate) fn office(text: &str) -> Result<OfficeId, Error> {
    text.parse().map_err(|e| Error::unreadable("an office", e))
}

/// Appends to the broker's own stream (refusals, imports); its chain is locked for the transaction.
pub async fn append_system(
    tx: &mut PgConnection,
    stream: &'static str,
    at: Timestamp,
    bodies: &[serde_json::Value],
) -> Result<(), Error> {
    if bodies.is_empty() {
        return Ok(());
    }
    query("insert into system_heads (stream, seq, hash) values ($1, 0, $2) on conflict do nothing")
        .bind(stream)
        .bind(GENESIS.as_bytes().as_slice())
        .execute(&mut *tx)
        .await?;
    let row = query("select seq, hash from system_heads where stream = $1 for update")
        .bind(stream)
        .fetch_one(&mut *tx)
        .await?;
    let mut seq = seq_of(row.try_get("seq")?);
    let mut head = hash_of(row.try_get("hash")?)?;
    let mut id = [0; 16];
    let name = &stream.as_bytes()[..stream.len().min(16)];
    id[..name.len()].copy_from_slice(name);
    for body in bodies {
        let bytes = body.to_string().into_bytes();
        seq += 1;
        head = chain::link(&head, &id, seq, at.as_microsecond(), &bytes);
        query("insert into system_events (stream, seq, at, hash, body) values ($1, $2, $3, $4, $5)")
            .bind(stream)
            .bind(i32::try_from(seq).unwrap_or(i32::MAX))
            .bind(At(at))
            .bind(head.as_bytes().as_slice())
            .bind(bytes)
            .execute(&mut *tx)
            .await?;
    }
    query("update system_heads set seq = $2, hash = $3 where stream = $1")
        .bind(stream)
        .bind(i32::try_from(seq).unwrap_or(i32::MAX))
        .bind(head.as_bytes().as_slice())
        .execute(tx)
        .await?;
    Ok(())
}
