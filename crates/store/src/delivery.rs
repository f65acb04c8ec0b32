//! Deliveries: the work on its way to home offices, until H's system confirms that it has it.
//!
//! ```text
//!  submit ─▶ waiting ──(room: the cap)──▶ in flight ──(received, answered, withdrawn)──▶ gone
//!               ▲                             │
//!               └── not confirmed in time ────┘      the same message-id, the same bytes
//! ```
//!
//! What waits leaves an office at a time by lane and by the earliest due date of W's file, never
//! more than there is room for; receipts and notices go through the outbox and do not count.

use std::collections::HashSet;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, query};
use uuid::Uuid;
use xacminh_contract::envelope::REQUEST_DELIVER;
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_domain::request::Lane;
use xacminh_domain::{Date, Timestamp};
use xacminh_trust::key::KeyRing;

use crate::error::Error;
use crate::ledger::{office, request_id};
use crate::outbox::{Batch, Letter, Mark, Place, Waiting, shard};
use crate::sight::{Sight, sight};
use crate::time::{At, On};

/// How many requests an office may have in flight: sent, and not confirmed by its system.
pub const CAP: i32 = 200;

/// Work for H, as it will leave.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// Which request.
    pub request: RequestId,
    /// The message.
    pub letter: Letter,
    /// How it travels: bulk leaves last.
    pub lane: Lane,
    /// W's file due; the earliest leaves first.
    pub due_on: Option<Date>,
}

/// Where W's file has no due date, in the order of leaving.
const LATEST: Date = Date::constant(9999, 12, 31);

fn rank(lane: Lane) -> i16 {
    match lane {
        Lane::Urgent => 0,
        Lane::Normal => 1,
        Lane::Bulk => 2,
    }
}

/// Puts work on its way and wakes nobody.
pub async fn put(tx: &mut PgConnection, keys: &KeyRing, new: &[NewDelivery]) -> Result<(), Error> {
    if new.is_empty() {
        return Ok(());
    }
    let mut sealed = Vec::with_capacity(new.len());
    for d in new {
        sealed.push(keys.seal(d.letter.message_id.as_bytes(), &d.letter.body)?);
    }
    query(
        "insert into deliveries (request_id, shard, office, message_id, rank, due_on, created_at, traceparent, sealed)
         select request_id, shard, office, message_id, rank, coalesce(due_on, 'infinity'), created_at, traceparent, sealed
         from (select unnest($1::uuid[]) as request_id, unnest($2::smallint[]) as shard, unnest($3::text[]) as office,
             unnest($4::uuid[]) as message_id, unnest($5::smallint[]) as rank, unnest($6::date[]) as due_on,
             unnest($7::timestamptz[]) as created_at, unnest($8::text[]) as traceparent, unnest($9::bytea[]) as sealed) n",
    )
    .bind(new.iter().map(|d| d.request.uuid()).collect::<Vec<_>>())
    .bind(new.iter().map(|d| shard(d.letter.office)).collect::<Vec<_>>())
    .bind(new.iter().map(|d| d.letter.office.to_string()).collect::<Vec<_>>())
    .bind(new.iter().map(|d| d.letter.message_id).collect::<Vec<_>>())
    .bind(new.iter().map(|d| rank(d.lane)).collect::<Vec<_>>())
    .bind(new.iter().map(|d| d.due_on.map(On)).collect::<Vec<_>>())
    .bind(new.iter().map(|d| At(d.letter.created_at)).collect::<Vec<_>>())
    .bind(new.iter().map(|d| d.letter.traceparent.as_deref()).collect::<Vec<_>>())
    .bind(sealed)
    .execute(tx)
    .await?;
    Ok(())
}

/// The place of a delivery among those that wait: the lesser leaves first. Its lane, W's file due, when it was
/// written; ids tell the rest apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    rank: i16,
    due_on: Date,
    created_at: Timestamp,
    /// Of which request.
    pub request: RequestId,
}

impl Order {
    /// Of work that was put on its way.
    pub fn of_new(new: &NewDelivery) -> Self {
        Self::of(new.request, new.lane, new.due_on.unwrap_or(LATEST), new.letter.created_at)
    }

    /// Of a request in a lane.
    pub fn of(request: RequestId, lane: Lane, due_on: Date, created_at: Timestamp) -> Self {
        Self { rank: rank(lane), due_on, created_at, request }
    }

    fn read(row: &PgRow) -> Result<Self, Error> {
        Ok(Self {
            rank: row.try_get("rank")?,
            due_on: row.try_get::<On, _>("due_on")?.0,
            created_at: row.try_get::<At, _>("created_at")?.0,
            request: request_id(row.try_get("request_id")?)?,
        })
    }
}

/// What came to wait in these shards behind `after`, in the order in which it came: its number, its place among
/// all that wait, and whose it is. At most `limit`, and nothing of `except`.
pub async fn arrived(
    conn: &mut PgConnection,
    shards: &[i16],
    after: i64,
    limit: i64,
    except: impl Iterator<Item = OfficeId>,
) -> Result<(Sight, Vec<(i64, Order, OfficeId)>), Error> {
    // In the order of the index, so that it is read from there on and no further.
    let rows = query(concat!(
        "select s.*, w.* from ",
        sight!(),
        " s left join (
             select w.* from unnest($1::smallint[]) as n (shard) cross join lateral (
                 select d.arrival, d.request_id, d.office, d.rank, least(d.due_on, '9999-12-31') as due_on, d.created_at
                 from deliveries d
                 where d.shard = n.shard and d.sent_at is null and d.arrival > $2 and d.office <> all($4)
                 order by d.arrival limit $3
             ) w
             order by w.arrival limit $3
         ) w on true
         order by w.arrival"
    ))
    .bind(shards)
    .bind(after)
    .bind(limit)
    .bind(except.map(|office| office.to_string()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let sight = Sight::of(&rows)?;
    let mut arrived = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(arrival) = row.try_get("arrival")? else { continue };
        arrived.push((arrival, Order::read(&row)?, office(row.try_get("office")?)?));
    }
    Ok((sight, arrived))
}

/// These deliveries whole, in this order; those that wait no more are not among them.
pub async fn open(conn: &mut PgConnection, keys: &KeyRing, chosen: &[RequestId]) -> Result<Batch, Error> {
    let mut batch = Batch::default();
    if chosen.is_empty() {
        return Ok(batch);
    }
    // As in `outbox::open`. Whether it waits is asked outside, else an index of all that waits would do for each key.
    let rows = query(
        "select d.* from unnest($1::uuid[]) with ordinality as c (request_id, place) cross join lateral (
             select request_id, office, message_id, created_at, traceparent, sealed, sent_at
             from deliveries where request_id = c.request_id offset 0) d
         where d.sent_at is null order by c.place",
    )
    .bind(chosen.iter().map(|id| id.uuid()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    for row in rows {
        let request = request_id(row.try_get("request_id")?)?;
        let office = office(row.try_get("office")?)?;
        let message_id: Uuid = row.try_get("message_id")?;
        let Ok(body) = keys.open(message_id.as_bytes(), row.try_get("sealed")?) else {
            batch.sealed_shut.push((Place::Delivery(request), office));
            continue;
        };
        batch.waiting.push(Waiting {
            place: Place::Delivery(request),
            letter: Letter {
                office,
                message_id,
                message_type: REQUEST_DELIVER.to_owned(),
                request_id: Some(request),
                mark: Some(Mark::Sent),
                created_at: row.try_get::<At, _>("created_at")?.0,
                traceparent: row.try_get("traceparent")?,
                body: body.to_vec(),
            },
        });
    }
    Ok(batch)
}

/// Which of these deliveries wait.
pub async fn still_wait(conn: &mut PgConnection, chosen: &[RequestId]) -> Result<HashSet<RequestId>, Error> {
    if chosen.is_empty() {
        return Ok(HashSet::new());
    }
    // As in `open`.
    let rows: Vec<Uuid> = sqlx::query_scalar(
        "select c.request_id from unnest($1::uuid[]) as c (request_id) cross join lateral (
             select sent_at from deliveries where request_id = c.request_id offset 0) d
         where d.sent_at is null",
    )
    .bind(chosen.iter().map(|id| id.uuid()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(request_id).collect()
}

/// What waits for some offices and would leave first: of each office no more than is said beside it, of all no more
/// than `limit`. Each costs a step along the index, however much waits for it.
pub async fn first(
    conn: &mut PgConnection,
    offices: &[(OfficeId, i32)],
    limit: usize,
) -> Result<Vec<(Order, OfficeId)>, Error> {
    if offices.is_empty() {
        return Ok(Vec::new());
    }
    let rows = query(
        "select o.office, w.* from unnest($1::smallint[], $2::text[], $3::int[]) as o (shard, office, most)
         cross join lateral (
             select d.request_id, d.rank, least(d.due_on, '9999-12-31') as due_on, d.created_at from deliveries d
             where d.shard = o.shard and d.office = o.office and d.sent_at is null
             order by d.rank, d.due_on, d.created_at, d.request_id
             limit o.most
         ) w
         order by w.rank, w.due_on, w.created_at, w.request_id limit $4",
    )
    .bind(offices.iter().map(|(office, _)| shard(*office)).collect::<Vec<_>>())
    .bind(offices.iter().map(|(office, _)| office.to_string()).collect::<Vec<_>>())
    .bind(offices.iter().map(|(_, most)| *most).collect::<Vec<_>>())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((Order::read(row)?, office(row.try_get("office")?)?))).collect()
}

/// Writes down what RabbitMQ confirmed: since when it is in flight, and when it may be sent again.
pub async fn sent(tx: &mut PgConnection, sent: &[(RequestId, Timestamp, Timestamp)]) -> Result<(), Error> {
    if sent.is_empty() {
        return Ok(());
    }
    // No join, whose plan might be that of an emptied table: keys in order, and what belongs to each by its place.
    let mut sent = sent.to_vec();
    sent.sort_unstable_by_key(|(id, ..)| *id);
    query(
        "update deliveries set
             sent_at = ($2::timestamptz[])[width_bucket(request_id, $1::uuid[])],
             again_at = ($3::timestamptz[])[width_bucket(request_id, $1::uuid[])]
         where request_id = any($1)",
    )
    .bind(sent.iter().map(|(id, ..)| id.uuid()).collect::<Vec<_>>())
    .bind(sent.iter().map(|(_, at, _)| At(*at)).collect::<Vec<_>>())
    .bind(sent.iter().map(|(.., again)| At(*again)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// H's system has these, or nobody needs them any more: they move to what was sent, each with when it left where
/// that is known and no row tells it. Says whether more waits for one of these offices, for which there is room now;
/// wakes nobody.
pub async fn end(tx: &mut PgConnection, ended: &[(RequestId, Option<Timestamp>)]) -> Result<bool, Error> {
    if ended.is_empty() {
        return Ok(false);
    }
    // As in `sent`.
    let mut ended = ended.to_vec();
    ended.sort_unstable_by_key(|(id, _)| *id);
    Ok(sqlx::query_scalar(
        "with gone as (
             delete from deliveries where request_id = any($1)
             returning shard, office, message_id, request_id, created_at, traceparent, sealed,
                 coalesce(sent_at, ($3::timestamptz[])[width_bucket(request_id, $1::uuid[])]) as sent_at),
         kept as (
             insert into sent_letters
                 (office, message_id, message_type, request_id, created_at, traceparent, sealed, sent_at)
             select office, message_id, $2, request_id, created_at, traceparent, sealed, sent_at from gone
             on conflict do nothing)
         select exists (
             select from (select distinct shard, office from gone) g
             where exists (
                 select from deliveries d where d.shard = g.shard and d.office = g.office and d.sent_at is null))",
    )
    .bind(ended.iter().map(|(id, _)| id.uuid()).collect::<Vec<_>>())
    .bind(REQUEST_DELIVER)
    .bind(ended.iter().map(|(_, at)| at.map(At)).collect::<Vec<_>>())
    .fetch_one(tx)
    .await?)
}

/// How many each of these offices has in flight; offices with none are left out.
pub async fn in_flight(conn: &mut PgConnection, offices: &[OfficeId]) -> Result<Vec<(OfficeId, i32)>, Error> {
    if offices.is_empty() {
        return Ok(Vec::new());
    }
    let rows = query(
        "select office, count(*)::int as n from deliveries
         where sent_at is not null and office = any($1) group by office",
    )
    .bind(offices.iter().map(|o| o.to_string()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((office(row.try_get("office")?)?, row.try_get("n")?))).collect()
}

/// The same for all offices of some shards.
pub async fn in_flight_of(conn: &mut PgConnection, shards: &[i16]) -> Result<Vec<(OfficeId, i32)>, Error> {
    let rows = query(
        "select office, count(*)::int as n from deliveries
         where sent_at is not null and shard = any($1) group by office",
    )
    .bind(shards)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((office(row.try_get("office")?)?, row.try_get("n")?))).collect()
}

/// Those of these offices for which nothing waits and nothing is in flight. Each is looked for by its keys, however
/// much waits for another.
pub(crate) async fn without(conn: &mut PgConnection, offices: &[OfficeId]) -> Result<Vec<String>, Error> {
    if offices.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar(
        "select o.office from unnest($1::smallint[], $2::text[]) as o (shard, office)
         where (select true from deliveries d where d.office = o.office and d.sent_at is not null limit 1) is null
             and (select true from deliveries d
                  where d.shard = o.shard and d.office = o.office and d.sent_at is null limit 1) is null",
    )
    .bind(offices.iter().map(|office| shard(*office)).collect::<Vec<_>>())
    .bind(offices.iter().map(|office| office.to_string()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?)
}
