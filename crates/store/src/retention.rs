//! Months that are over leave: their partitions are detached and attached to the tables of the same names
//! in the schema `archive`, with every chain whole.
//!
//! ```text
//! requests_202509 ──(not in life, and ended long enough ago)──▶ archive.requests_202509
//!        └─ what goes on: into a new and small requests_202509
//! ```
//!
//! A month is that of the request's id, so a request takes its ledger, its person, its answer and its rungs
//! with it. One that is still in life, or ended a short while ago, goes on where it was; it leaves when
//! its month is let go again after its time.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row, query, query_scalar};
use uuid::Uuid;
use xacminh_domain::id::RequestId;
use xacminh_domain::{Date, Timestamp};

use crate::error::Error;
use crate::ledger::append_system;
use crate::time::{At, On};

/// What was taken, by the id of the message.
const INBOX: &str = "inbox";
/// Tables whose rows are a request's.
const OF_REQUESTS: [&str; 5] = ["requests", "events", "persons", "answers", "rungs"];

/// All that leaves, in the order in which commands touch it, so that the locks of a month that leaves wait
/// in no circle.
fn tables() -> Vec<&'static str> {
    [&[INBOX], &OF_REQUESTS[..]].concat()
}

/// The partition of what was there before there were months.
const BEFORE: &str = "000000";
/// Requests that may leave.
const ENDED: &str = "state in ('read', 'withdrawn') and greatest(read_at, withdrawn_at, file_closed_at) < $1";
/// How long a month that leaves waits for those at work before it gives way.
const GIVE_WAY: &str = "3s";
/// How many requests that leave after their month move together.
const TOGETHER: i64 = 5_000;

/// Requests of one month, by the time in their ids (UTC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Month {
    /// As the partitions are named: `202509`; `000000` for all before there were months of their own.
    pub name: String,
    /// The first day after it.
    pub ends_on: Date,
    /// How many of its requests are in life: an answer or a reading is awaited.
    pub in_life: i64,
    /// What it takes on disk, in bytes.
    pub bytes: i64,
    /// Its bulk has left before.
    pub left: bool,
}

/// What became of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// Requests that left now.
    pub left: i64,
    /// Requests that go on here.
    pub carried: i64,
}

/// The months there are, oldest first.
pub async fn months(conn: &mut PgConnection) -> Result<Vec<Month>, Error> {
    let rows = query(
        "with months as (
             select right(c.relname, 6) as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
             where i.inhparent = 'requests'::regclass),
         spans as (
             select name,
                 case when name <> $2 then uuid_floor(to_date(name, 'YYYYMM')::timestamp at time zone 'UTC') end as low,
                 case when name = $2 then partitions_begin('requests')
                      else uuid_floor((to_date(name, 'YYYYMM') + interval '1 month') at time zone 'UTC') end as high
             from months)
         select name, (uuid_instant(high) at time zone 'UTC')::date as ends_on,
             (select count(*) from timers t where t.request_id < high and (low is null or t.request_id >= low)) as in_life,
             (select coalesce(sum(pg_total_relation_size(to_regclass(t || '_' || name))), 0)::bigint
                 from unnest($1::text[]) as t) as bytes,
             to_regclass('archive.requests_' || name) is not null as has_left
         from spans order by high",
    )
    .bind(tables())
    .bind(BEFORE)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Month {
                name: row.try_get("name")?,
                ends_on: row.try_get::<On, _>("ends_on")?.0,
                in_life: row.try_get("in_life")?,
                bytes: row.try_get("bytes")?,
                left: row.try_get("has_left")?,
            })
        })
        .collect()
}

/// Whether a request is in the archive.
pub async fn has_left(conn: &mut PgConnection, id: RequestId) -> Result<bool, Error> {
    Ok(query_scalar("select exists (select from archive.requests where request_id = $1)")
        .bind(id.uuid())
        .fetch_one(conn)
        .await?)
}

/// How many requests that were submitted on these days are in the archive.
pub async fn have_left(conn: &mut PgConnection, from: Date, to: Date) -> Result<i64, Error> {
    // An id may be 90 days older than its submit, and a day ahead of it: so few months are looked through.
    Ok(query_scalar(
        "select count(*) from archive.requests where report_day(submitted_at) between $1 and $2
             and request_id >= uuid_floor(($1::date - 91)::timestamp at time zone 'UTC')
             and request_id < uuid_floor(($2::date + 3)::timestamp at time zone 'UTC')",
    )
    .bind(On(from))
    .bind(On(to))
    .fetch_one(conn)
    .await?)
}

/// Lets a month leave, but for its requests that are in life or did not end before `ended_before`.
/// Commands wait only while the tables change hands; if those at work do not let that begin, the error is
/// transient and nothing has changed. The connection is one for this work alone
/// ([`Store::at_leisure`](crate::Store::at_leisure)).
pub async fn leave(
    conn: &mut PgConnection,
    month: &Month,
    ended_before: Timestamp,
    now: Timestamp,
) -> Result<Left, Error> {
    // It becomes part of statements.
    if month.name.len() != BEFORE.len() || !month.name.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::unreadable("the name of a month", "not six digits"));
    }
    run(conn, format!("set lock_timeout = '{GIVE_WAY}'")).await?;
    if month.left {
        return leave_late(conn, month, ended_before, now).await;
    }
    let requests = format!("requests_{}", month.name);
    let carried: Vec<Uuid> =
        query_scalar(AssertSqlSafe(format!("select request_id from {requests} where not coalesce({ENDED}, false)")))
            .bind(At(ended_before))
            .fetch_all(&mut *conn)
            .await?;
    let all: i64 =
        query_scalar(AssertSqlSafe(format!("select count(*) from {requests}"))).fetch_one(&mut *conn).await?;
    let going_on = i64::try_from(carried.len()).unwrap_or(i64::MAX);
    let left = Left { left: all - going_on, carried: going_on };
    let parts = parts(conn, month).await?;
    for part in &parts {
        part.prove(conn).await?;
    }

    let mut tx = conn.begin().await?;
    run(&mut tx, format!("lock table {} in access exclusive mode", tables().join(", "))).await?;
    for part in &parts {
        part.hand_over(&mut tx).await?;
    }
    query(
        "select ensure_partitions(least($1 - 1,
             (select min(uuid_instant(id) at time zone 'UTC')::date from unnest($2::uuid[]) as id)), $1 - 1)",
    )
    .bind(On(month.ends_on))
    .bind(&carried)
    .execute(&mut *tx)
    .await?;
    for table in OF_REQUESTS {
        move_rows(&mut tx, &format!("archive.{table}"), table, &carried).await?;
    }
    note(&mut tx, month, left, now).await?;
    tx.commit().await?;
    Ok(left)
}

/// The same for what stayed behind when its month left.
async fn leave_late(
    conn: &mut PgConnection,
    month: &Month,
    ended_before: Timestamp,
    now: Timestamp,
) -> Result<Left, Error> {
    let mut left = Left::default();
    loop {
        let mut tx = conn.begin().await?;
        let ended: Vec<Uuid> = query_scalar(AssertSqlSafe(format!(
            "select request_id from requests_{} where {ENDED} order by request_id limit $2 for update",
            month.name
        )))
        .bind(At(ended_before))
        .bind(TOGETHER)
        .fetch_all(&mut *tx)
        .await?;
        for table in OF_REQUESTS {
            move_rows(&mut tx, table, &format!("archive.{table}"), &ended).await?;
        }
        left.left += i64::try_from(ended.len()).unwrap_or(i64::MAX);
        if ended.is_empty() {
            left.carried = query_scalar(AssertSqlSafe(format!("select count(*) from requests_{}", month.name)))
                .fetch_one(&mut *tx)
                .await?;
            if left.left > 0 {
                note(&mut tx, month, left, now).await?;
            }
            tx.commit().await?;
            return Ok(left);
        }
        tx.commit().await?;
    }
}

/// A partition that leaves. All of it comes from PostgreSQL's own catalog.
struct Part {
    table: String,
    name: String,
    /// `FOR VALUES …`.
    bounds: String,
    /// What its rows satisfy.
    demand: String,
}

async fn parts(conn: &mut PgConnection, month: &Month) -> Result<Vec<Part>, Error> {
    // With what was before there were months, the months of the ledger and the inbox leave that it covers.
    let rows = query(
        "select p.relname::text as table_name, quote_ident(c.relname) as name,
             pg_get_expr(c.relpartbound, c.oid) as bounds, pg_get_partition_constraintdef(c.oid) as demand
         from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
         where i.inhparent in (select t::regclass from unnest($1::text[]) as t) and case
             when $2 = $3 then c.relname ~ '_[0-9]{6}$' and right(c.relname, 6) < to_char($4::date, 'YYYYMM')
             else right(c.relname, 7) = '_' || $2 end
         order by array_position($1::text[], p.relname::text), c.relname",
    )
    .bind(tables())
    .bind(&month.name)
    .bind(BEFORE)
    .bind(On(month.ends_on))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Part {
                table: row.try_get("table_name")?,
                name: row.try_get("name")?,
                bounds: row.try_get("bounds")?,
                demand: row.try_get("demand")?,
            })
        })
        .collect()
}

impl Part {
    /// Has PostgreSQL look through the rows while work goes on; else attaching would, with all waiting.
    async fn prove(&self, conn: &mut PgConnection) -> Result<(), Error> {
        let Self { name, demand, .. } = self;
        for statement in [
            // Left by a try that gave way.
            format!("alter table {name} drop constraint if exists in_month"),
            format!("alter table {name} add constraint in_month check ({demand}) not valid"),
            format!("alter table {name} validate constraint in_month"),
        ] {
            run(conn, statement).await?;
        }
        Ok(())
    }

    async fn hand_over(&self, tx: &mut PgConnection) -> Result<(), Error> {
        let Self { table, name, bounds, .. } = self;
        for statement in [
            format!("alter table {table} detach partition {name}"),
            format!("alter table {name} set schema archive"),
            format!("alter table archive.{table} attach partition archive.{name} {bounds}"),
            format!("alter table archive.{name} drop constraint in_month"),
        ] {
            run(tx, statement).await?;
        }
        Ok(())
    }
}

async fn move_rows(tx: &mut PgConnection, from: &str, to: &str, ids: &[Uuid]) -> Result<(), Error> {
    // One statement, which sees the rows as they were before it.
    let statement = format!(
        "with moved as (delete from {from} where request_id = any($1) returning *) insert into {to} select * from moved"
    );
    query(AssertSqlSafe(statement)).bind(ids).execute(tx).await?;
    Ok(())
}

async fn note(tx: &mut PgConnection, month: &Month, left: Left, now: Timestamp) -> Result<(), Error> {
    let body = serde_json::json!({
        "event": "month_left", "month": month.name, "requests": left.left, "carried": left.carried,
    });
    append_system(tx, "retention", now, &[body]).await
}

async fn run(conn: &mut PgConnection, statement: String) -> Result<(), Error> {
    query(AssertSqlSafe(statement)).execute(conn).await?;
    Ok(())
}
