//! Whether PostgreSQL is as the broker needs it: asked by `xacminh doctor`, which judges the answers.
//!
//! Nothing here writes, and nothing here needs the schema but [`work`], [`reference()`] and [`opens`].

use std::collections::HashMap;

use sqlx::postgres::PgConnection;
use sqlx::{Row, query, query_scalar};
use xacminh_domain::{Date, Timestamp};
use xacminh_trust::key::KeyRing;

use crate::MIGRATIONS;
use crate::error::Error;
use crate::time::{At, On};

/// How the server is, as our login finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `server_version_num`: 150018 is 15.18.
    pub version: i32,
    /// A standby, which takes no writes.
    pub in_recovery: bool,
    /// Every transaction begins read-only (`default_transaction_read_only`).
    pub read_only: bool,
    /// Whether a commit outlives a loss of power: `fsync` and `full_page_writes`.
    pub syncs: bool,
    /// The `synchronous_commit` of our sessions.
    pub synchronous_commit: String,
    /// How many connections there may be for logins like ours.
    pub room: i32,
    /// How many there are now, of everybody.
    pub taken: i64,
    /// Whether this connection is encrypted.
    pub encrypted: bool,
    /// Whether it leaves the machine.
    pub remote: bool,
    /// The server's clock.
    pub now: Timestamp,
}

/// How the server is.
pub async fn server(conn: &mut PgConnection) -> Result<Server, Error> {
    let row = query(
        "select current_setting('server_version_num')::integer as version, pg_is_in_recovery() as in_recovery,
             current_setting('default_transaction_read_only')::boolean as read_only,
             current_setting('fsync')::boolean and current_setting('full_page_writes')::boolean as syncs,
             current_setting('synchronous_commit') as synchronous_commit,
             current_setting('max_connections')::integer
                 - current_setting('superuser_reserved_connections')::integer as room,
             (select count(*) from pg_stat_activity where backend_type = 'client backend') as taken,
             coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted,
             coalesce(not inet_client_addr() <<= any(array['127.0.0.0/8', '::1/128']::inet[]), false) as remote,
             clock_timestamp() as now",
    )
    .fetch_one(conn)
    .await?;
    Ok(Server {
        version: row.try_get("version")?,
        in_recovery: row.try_get("in_recovery")?,
        read_only: row.try_get("read_only")?,
        syncs: row.try_get("syncs")?,
        synchronous_commit: row.try_get("synchronous_commit")?,
        room: row.try_get("room")?,
        taken: row.try_get("taken")?,
        encrypted: row.try_get("encrypted")?,
        remote: row.try_get("remote")?,
        now: row.try_get::<At, _>("now")?.0,
    })
}

/// The schema beside the steps that this program knows, each by its version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// Which this program was built with, the last one.
    pub wanted: i64,
    /// Not there yet.
    pub missing: Vec<i64>,
    /// There, and of a newer program.
    pub unknown: Vec<i64>,
    /// There with another text than this program has.
    pub changed: Vec<i64>,
    /// Begun and not ended.
    pub half: Vec<i64>,
}

/// How far the schema is.
pub async fn schema(conn: &mut PgConnection) -> Result<Schema, Error> {
    let ours: HashMap<i64, &[u8]> = MIGRATIONS.iter().map(|step| (step.version, step.checksum.as_ref())).collect();
    let mut schema = Schema { wanted: ours.keys().copied().max().unwrap_or_default(), ..Schema::default() };
    let kept: bool = query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(&mut *conn).await?;
    let rows = if kept {
        query("select version, checksum, success from _sqlx_migrations order by version").fetch_all(conn).await?
    } else {
        Vec::new()
    };
    let mut there = HashMap::with_capacity(rows.len());
    for row in &rows {
        there.insert(row.try_get::<i64, _>("version")?, (row.try_get("checksum")?, row.try_get("success")?));
    }
    for (version, (checksum, success)) in &there {
        let (checksum, success): (&[u8], &bool) = (*checksum, success);
        match ours.get(version) {
            _ if !success => schema.half.push(*version),
            None => schema.unknown.push(*version),
            Some(ours) if *ours != checksum => schema.changed.push(*version),
            Some(_) => {}
        }
    }
    schema.missing = ours.keys().filter(|version| !there.contains_key(version)).copied().collect();
    for list in [&mut schema.missing, &mut schema.unknown, &mut schema.changed, &mut schema.half] {
        list.sort_unstable();
    }
    Ok(schema)
}

/// What our login may not do, though the broker has to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// Our login.
    pub login: String,
    /// Tables that it cannot read and write.
    pub shut: Vec<String>,
    /// Partitioned tables that are not its own: only an owner makes partitions.
    pub foreign: Vec<String>,
    /// Whether it may make tables, as partitions are.
    pub may_create: bool,
}

/// What our login may do with the tables of the schema.
pub async fn rights(conn: &mut PgConnection) -> Result<Rights, Error> {
    let row = query(
        "with tables as (
             select c.oid, c.relname::text as name, c.relkind, c.relowner from pg_class c
             where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
                 and not c.relispartition and c.relname <> '_sqlx_migrations')
         select current_user::text as login,
             array(select name from tables where not (
                 has_table_privilege(oid, 'select') and has_table_privilege(oid, 'insert')
                 and has_table_privilege(oid, 'update') and has_table_privilege(oid, 'delete')) order by 1) as shut,
             array(select name from tables where relkind = 'p' and not pg_has_role(relowner, 'usage') order by 1)
                 as foreign_owner,
             has_schema_privilege(current_schema(), 'create') as may_create",
    )
    .fetch_one(conn)
    .await?;
    Ok(Rights {
        login: row.try_get("login")?,
        shut: row.try_get("shut")?,
        foreign: row.try_get("foreign_owner")?,
        may_create: row.try_get("may_create")?,
    })
}

/// What waits for somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// The oldest instant at which a rung was due that has not fired.
    pub oldest_due: Option<Timestamp>,
    /// Parked messages that nobody has replayed.
    pub parked: i64,
    /// Since when the oldest of them lies there.
    pub oldest_parked: Option<Timestamp>,
}

/// What waits at `now`, by the services' clock.
pub async fn work(conn: &mut PgConnection, now: Timestamp) -> Result<Work, Error> {
    let row = query(
        "select (select min(due_at) from timers where due_at <= $1) as oldest_due,
             count(*) as parked, min(at) as oldest_parked from parked
             where replayed_at is null and closed_at is null",
    )
    .bind(At(now))
    .fetch_one(conn)
    .await?;
    let instant = |name| Ok::<_, Error>(row.try_get::<Option<At>, _>(name)?.map(|at| at.0));
    Ok(Work {
        oldest_due: instant("oldest_due")?,
        parked: row.try_get("parked")?,
        oldest_parked: instant("oldest_parked")?,
    })
}

/// The reference data in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// Which import.
    pub version: String,
    /// Of all files together.
    pub digest: Vec<u8>,
    /// The last day that the nation's calendar names; it tells of that whole year.
    pub calendar_until: Option<Date>,
    /// The nation's days from `today` on that are not decided yet.
    pub provisional: Vec<Date>,
}

/// What is in force, and how far the nation's calendar reaches; none before the first import.
pub async fn reference(conn: &mut PgConnection, today: Date) -> Result<Option<InForce>, Error> {
    let Some(row) = query("select version, digest from reference_versions order by imported_at desc limit 1")
        .fetch_optional(&mut *conn)
        .await?
    else {
        return Ok(None);
    };
    let until: Option<On> =
        query_scalar("select max(on_date) from calendar_days where scope = 'nation'").fetch_one(&mut *conn).await?;
    let provisional: Vec<On> = query_scalar(
        "select on_date from calendar_days
         where scope = 'nation' and on_date >= $1 and status = 'provisional' order by 1",
    )
    .bind(On(today))
    .fetch_all(conn)
    .await?;
    Ok(Some(InForce {
        version: row.try_get("version")?,
        digest: row.try_get("digest")?,
        calendar_until: until.map(|on| on.0),
        provisional: provisional.into_iter().map(|on| on.0).collect(),
    }))
}

/// Whether the keys at hand open what is stored: the oldest and the newest person, and one row of
/// what else is sealed. None if nothing is sealed yet. The opened bytes are dropped at once.
pub async fn opens(conn: &mut PgConnection, keys: &KeyRing) -> Result<Option<Result<(), xacminh_trust::Error>>, Error> {
    let wrapped: Vec<Vec<u8>> = query_scalar(
        "(select wrapped_key from persons order by request_id limit 1)
         union all (select wrapped_key from persons order by request_id desc limit 1)",
    )
    .fetch_all(&mut *conn)
    .await?;
    // All of these begin with the wrapped key of their row.
    let blobs: Vec<Vec<u8>> = query_scalar(
        "(select sealed from refused order by refused_id desc limit 1)
         union all (select sealed from parked order by parked_id desc limit 1)
         union all (select sealed from outbox order by outbox_id desc limit 1)
         union all (select sealed from deliveries limit 1)",
    )
    .fetch_all(conn)
    .await?;
    if wrapped.is_empty() && blobs.is_empty() {
        return Ok(None);
    }
    let mut tries = wrapped
        .iter()
        .map(|key| keys.unwrap_key(key).map(drop))
        .chain(blobs.iter().map(|blob| keys.unwrap_blob(blob).map(drop)));
    Ok(Some(tries.find(Result::is_err).unwrap_or(Ok(()))))
}
