//! What has to leave: final bytes and headers, sealed, until RabbitMQ confirmed them.

use std::collections::{HashMap, HashSet};

use sqlx::postgres::{PgConnection, PgListener};
use sqlx::{Row, query};
use uuid::Uuid;
use xacminh_contract::envelope::{ANSWER_DELIVER, REQUEST_DELIVER};
use xacminh_domain::Timestamp;
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_trust::key::KeyRing;

use crate::error::Error;
use crate::ledger::{office, request_id};
use crate::sight::{Sight, sight};
use crate::time::At;

/// Among how many shards offices are spread. A relay holds a shard by an advisory lock, so the
/// number is part of the store and not a setting.
pub const SHARDS: i16 = 16;
/// The first key of a shard's advisory lock.
pub(crate) const LOCK_SPACE: i32 = 7_226_464;
/// The channel that wakes relays, of this process too. It only wakes; rows are what counts.
const WAKE: &str = "xacminh_outbox";

/// What leaving means for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// It is in H's inbox then.
    Sent,
    /// The answer is in W's inbox then.
    AnswerSent,
}

impl Mark {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::AnswerSent => "answer_sent",
        }
    }
}

/// A message on its way.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Whose inbox.
    pub office: OfficeId,
    /// Its id: the same in every re-send.
    pub message_id: Uuid,
    /// Its `type`.
    pub message_type: String,
    /// The request it is about, for `correlation-id`.
    pub request_id: Option<RequestId>,
    /// What leaving means for that request.
    pub mark: Option<Mark>,
    /// When it was written.
    pub created_at: Timestamp,
    /// W3C trace context of what caused it.
    pub traceparent: Option<String>,
    /// The final body.
    pub body: Vec<u8>,
}

/// What a relay read in one go.
#[derive(Debug, Default)]
pub struct Batch {
    /// Letters, oldest first.
    pub waiting: Vec<Waiting>,
    /// Letters whose bytes cannot be opened with the keys at hand: where they wait, and for whom.
    pub sealed_shut: Vec<(Place, OfficeId)>,
}

/// Where a letter waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the outbox.
    Outbox(i64),
    /// Among the deliveries: the work of this request.
    Delivery(RequestId),
}

/// A letter with the place where it waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its place.
    pub place: Place,
    /// The letter.
    pub letter: Letter,
}

/// The shard of an office.
pub fn shard(office: OfficeId) -> i16 {
    i16::try_from(office.spread() % u32::from(SHARDS.unsigned_abs())).unwrap_or(0)
}

/// Puts letters into the outbox and wakes the relays once the transaction commits.
pub async fn put(tx: &mut PgConnection, keys: &KeyRing, letters: &[Letter]) -> Result<(), Error> {
    if letters.is_empty() {
        return Ok(());
    }
    put_unheard(tx, keys, letters).await?;
    ring(tx).await
}

/// Puts letters into the outbox and wakes nobody. Gives where each waits, by its id.
pub async fn put_unheard(
    tx: &mut PgConnection,
    keys: &KeyRing,
    letters: &[Letter],
) -> Result<HashMap<Uuid, i64>, Error> {
    if letters.is_empty() {
        return Ok(HashMap::new());
    }
    let mut sealed = Vec::with_capacity(letters.len());
    for letter in letters {
        sealed.push(keys.seal(letter.message_id.as_bytes(), &letter.body)?);
    }
    let rows = query(
        "insert into outbox (shard, office, message_id, message_type, request_id, marks, created_at, traceparent, sealed)
         select unnest($1::smallint[]), unnest($2::text[]), unnest($3::uuid[]), unnest($4::text[]),
             unnest($5::uuid[]), unnest($6::text[]), unnest($7::timestamptz[]), unnest($8::text[]),
             unnest($9::bytea[])
         returning outbox_id, message_id",
    )
    .bind(letters.iter().map(|l| shard(l.office)).collect::<Vec<_>>())
    .bind(letters.iter().map(|l| l.office.to_string()).collect::<Vec<_>>())
    .bind(letters.iter().map(|l| l.message_id).collect::<Vec<_>>())
    .bind(letters.iter().map(|l| l.message_type.as_str()).collect::<Vec<_>>())
    .bind(letters.iter().map(|l| l.request_id.map(|id| id.uuid())).collect::<Vec<_>>())
    .bind(letters.iter().map(|l| l.mark.map(Mark::as_str)).collect::<Vec<_>>())
    .bind(letters.iter().map(|l| At(l.created_at)).collect::<Vec<_>>())
    .bind(letters.iter().map(|l| l.traceparent.as_deref()).collect::<Vec<_>>())
    .bind(sealed)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("message_id")?, row.try_get("outbox_id")?))).collect()
}

/// Wakes the relays of all processes once the transaction commits.
pub async fn ring(tx: &mut PgConnection) -> Result<(), Error> {
    query("select pg_notify($1, '')").bind(WAKE).execute(tx).await?;
    Ok(())
}

/// Letters of these shards behind the place `after`, oldest first: the place, and for whom. At most `limit`.
pub async fn arrived(
    conn: &mut PgConnection,
    shards: &[i16],
    after: i64,
    limit: i64,
) -> Result<(Sight, Vec<(i64, OfficeId)>), Error> {
    // Shard by shard in the order of the index.
    let rows = query(concat!(
        "select s.*, w.* from ",
        sight!(),
        " s left join (
             select w.* from unnest($1::smallint[]) as n (shard) cross join lateral (
                 select outbox_id, office from outbox o where o.shard = n.shard and o.outbox_id > $2
                 order by o.outbox_id limit $3
             ) w
             order by w.outbox_id limit $3
         ) w on true
         order by w.outbox_id"
    ))
    .bind(shards)
    .bind(after)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    let sight = Sight::of(&rows)?;
    let mut arrived = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(place) = row.try_get("outbox_id")? else { continue };
        arrived.push((place, office(row.try_get("office")?)?));
    }
    Ok((sight, arrived))
}

/// These letters whole, oldest first; those that are gone are not among them.
pub async fn open(conn: &mut PgConnection, keys: &KeyRing, places: &[i64]) -> Result<Batch, Error> {
    if places.is_empty() {
        return Ok(Batch::default());
    }
    // Key by key, whatever the statistics say: made while it was nearly empty, they had the whole index walked
    // through, 60 ms for a hundred letters.
    let rows = query(
        "select o.* from unnest($1::bigint[]) as c (outbox_id) cross join lateral (
             select outbox_id, office, message_id, message_type, request_id, marks, created_at, traceparent, sealed
             from outbox where outbox_id = c.outbox_id offset 0) o
         order by o.outbox_id",
    )
    .bind(places)
    .fetch_all(conn)
    .await?;
    let mut batch = Batch::default();
    for row in rows {
        let office = office(row.try_get("office")?)?;
        let message_id: Uuid = row.try_get("message_id")?;
        let place = Place::Outbox(row.try_get("outbox_id")?);
        let Ok(body) = keys.open(message_id.as_bytes(), row.try_get("sealed")?) else {
            batch.sealed_shut.push((place, office));
            continue;
        };
        let mark = match row.try_get::<Option<&str>, _>("marks")? {
            Some("sent") => Some(Mark::Sent),
            Some(_) => Some(Mark::AnswerSent),
            None => None,
        };
        batch.waiting.push(Waiting {
            place,
            letter: Letter {
                office,
                message_id,
                message_type: row.try_get("message_type")?,
                request_id: row.try_get::<Option<Uuid>, _>("request_id")?.map(request_id).transpose()?,
                mark,
                created_at: row.try_get::<At, _>("created_at")?.0,
                traceparent: row.try_get("traceparent")?,
                body: body.to_vec(),
            },
        });
    }
    Ok(batch)
}

/// Which of these letters wait.
pub async fn still_wait(conn: &mut PgConnection, places: &[i64]) -> Result<HashSet<i64>, Error> {
    if places.is_empty() {
        return Ok(HashSet::new());
    }
    // As in `open`.
    let rows: Vec<i64> = sqlx::query_scalar(
        "select o.outbox_id from unnest($1::bigint[]) as c (outbox_id) cross join lateral (
             select outbox_id from outbox where outbox_id = c.outbox_id offset 0) o",
    )
    .bind(places)
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Lets letters go that RabbitMQ confirmed at the instant given with each; work and answers move to what was
/// sent. A place counts only with its letter: a store that was restored gives the same numbers to other letters.
pub async fn remove(tx: &mut PgConnection, letters: &[(i64, Uuid, Timestamp)]) -> Result<(), Error> {
    if letters.is_empty() {
        return Ok(());
    }
    // As in `delivery::sent`.
    let mut letters = letters.to_vec();
    letters.sort_unstable_by_key(|(place, ..)| *place);
    query(
        "with gone as (
             delete from outbox
             where outbox_id = any($1) and message_id = ($2::uuid[])[width_bucket(outbox_id, $1::bigint[])]
             returning office, message_id, message_type, request_id, created_at, traceparent, sealed,
                 ($3::timestamptz[])[width_bucket(outbox_id, $1::bigint[])] as sent_at)
         insert into sent_letters (office, message_id, message_type, request_id, created_at, traceparent, sealed, sent_at)
         select office, message_id, message_type, request_id, created_at, traceparent, sealed, sent_at from gone
         where message_type = any($4) and request_id is not null
         on conflict do nothing",
    )
    .bind(letters.iter().map(|(place, ..)| *place).collect::<Vec<_>>())
    .bind(letters.iter().map(|(_, id, _)| *id).collect::<Vec<_>>())
    .bind(letters.iter().map(|(.., at)| At(*at)).collect::<Vec<_>>())
    .bind(&[REQUEST_DELIVER, ANSWER_DELIVER][..])
    .execute(tx)
    .await?;
    Ok(())
}

/// Tries to hold those shards that it does not hold yet; the locks last as long as the connection. Gives those
/// now held.
pub async fn hold_shards(conn: &mut PgConnection, held: &[i16]) -> Result<Vec<i16>, Error> {
    let mut all = held.to_vec();
    for shard in (0..SHARDS).filter(|s| !held.contains(s)) {
        let got: bool = sqlx::query_scalar("select pg_try_advisory_lock($1, $2)")
            .bind(LOCK_SPACE)
            .bind(i32::from(shard))
            .fetch_one(&mut *conn)
            .await?;
        if got {
            all.push(shard);
        }
    }
    Ok(all)
}

/// Hears when letters were put in by any process.
pub async fn listen(pool: &sqlx::PgPool) -> Result<PgListener, Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(WAKE).await?;
    Ok(listener)
}
