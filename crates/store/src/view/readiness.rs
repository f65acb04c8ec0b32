//! Whether all is in place for the work to go on: asked when an operator looks.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use xacminh_domain::{Date, Timestamp};

use crate::error::Error;
use crate::outbox::LOCK_SPACE;
use crate::time::{At, On};

/// What an operator wants to know of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// How many shards of the outbox some relay holds, of whichever process.
    pub shards_held: i64,
    /// How many letters wait to leave.
    pub letters: i64,
    /// Since when the oldest of them waits.
    pub oldest_letter: Option<Timestamp>,
    /// The first day for whose messages there is no partition; none if there is no partition.
    pub partitions_until: Option<Date>,
    /// A changed calendar whose due dates are being counted anew.
    pub recount: Option<Recounting>,
}

/// How far due dates are counted anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recounting {
    /// The import that changed the calendar.
    pub version: String,
    /// When it was imported.
    pub imported_at: Timestamp,
    /// How many requests got other dates.
    pub recounted: i64,
    /// All that was in life then was looked at; what follows is a last look.
    pub is_through: bool,
}

/// What is in place now.
pub async fn place(conn: &mut PgConnection) -> Result<Place, Error> {
    // The partitions' names are those of `ensure_partitions`: the month of their ids.
    let row = query(
        "select
             (select count(*) from pg_locks where locktype = 'advisory' and granted and objsubid = 2
                 and classid = $1::bigint::oid
                 and database = (select oid from pg_database where datname = current_database())) as shards_held,
             o.letters, o.oldest_letter,
             (select (to_date(max(substr(c.relname, 8)), 'YYYYMM') + interval '1 month')::date
                 from pg_inherits i join pg_class c on c.oid = i.inhrelid
                 where i.inhparent = 'events'::regclass and c.relname ~ '^events_[0-9]{6}$') as partitions_until
         from (select count(*) as letters, min(created_at) as oldest_letter from outbox) o",
    )
    .bind(i64::from(LOCK_SPACE))
    .fetch_one(&mut *conn)
    .await?;
    let recount = query(
        "select to_version, imported_at, recounted, passes > 0 as is_through from recounts
         where finished_at is null order by recount_id limit 1",
    )
    .fetch_optional(conn)
    .await?;
    let recount = recount.map(|row| {
        Ok::<_, Error>(Recounting {
            version: row.try_get("to_version")?,
            imported_at: row.try_get::<At, _>("imported_at")?.0,
            recounted: row.try_get("recounted")?,
            is_through: row.try_get("is_through")?,
        })
    });
    Ok(Place {
        recount: recount.transpose()?,
        shards_held: row.try_get("shards_held")?,
        letters: row.try_get("letters")?,
        oldest_letter: row.try_get::<Option<At>, _>("oldest_letter")?.map(|at| at.0),
        partitions_until: row.try_get::<Option<On>, _>("partitions_until")?.map(|on| on.0),
    })
}
