//! Outages, as intervals. They pause no clock. RabbitMQ's, and the time that a restore lost, say whose the
//! time was; the others (the
//! store away, an inbox without a reader) are only noted, in a table of their own, for whoever asks
//! later why something took so long.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query, query_scalar};
use xacminh_domain::Timestamp;
use xacminh_domain::id::OfficeId;

use crate::delivery;
use crate::error::Error;
use crate::ledger::office;
use crate::time::At;

/// An outage: from, and to when it is over.
pub type Outage = (Timestamp, Option<Timestamp>);

/// Whose outage is written down once it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// RabbitMQ: nothing came or went.
    RabbitMq,
    /// PostgreSQL: nothing was taken or changed.
    Store,
    /// A restore from a backup: what came after the backup is lost, and that time is nobody's.
    Restore,
}

/// Writes down an outage that is over.
pub async fn record(conn: &mut PgConnection, of: Server, from: Timestamp, to: Timestamp) -> Result<(), Error> {
    let statement = match of {
        Server::RabbitMq => "insert into outages (what, from_at, to_at) values ('rabbitmq', $1, $2)",
        Server::Restore => "insert into outages (what, from_at, to_at) values ('restore', $1, $2)",
        Server::Store => "insert into noted_outages (what, from_at, to_at) values ('store', $1, $2)",
    };
    query(statement).bind(At(from)).bind(At(to)).execute(conn).await?;
    Ok(())
}

/// RabbitMQ's outages, and what restores lost, that touch the time since an instant, oldest first: those that count for the
/// wait for a confirm and for the blame.
pub async fn since(conn: &mut PgConnection, at: Timestamp) -> Result<Vec<Outage>, Error> {
    let rows = query(
        "select from_at, to_at from outages
         where what in ('rabbitmq', 'restore') and coalesce(to_at, 'infinity') > $1 order by from_at",
    )
    .bind(At(at))
    .fetch_all(conn)
    .await?;
    rows.iter().map(interval).collect()
}

/// The inboxes of these offices have work on their way to a reader and none: an outage begins for
/// those that have none yet.
pub async fn inbox_left(conn: &mut PgConnection, offices: &[OfficeId], at: Timestamp) -> Result<u64, Error> {
    if offices.is_empty() {
        return Ok(0);
    }
    let done = query(
        "insert into noted_outages (what, office, from_at) select 'inbox', o, $2 from unnest($1::text[]) as o
         on conflict (office) where what = 'inbox' and to_at is null do nothing",
    )
    .bind(offices.iter().map(OfficeId::as_str).collect::<Vec<_>>())
    .bind(At(at))
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// The inboxes of these offices have a reader, and those of all others that have nothing on its way
/// any more need none: their outages end.
pub async fn inbox_read(conn: &mut PgConnection, offices: &[OfficeId], at: Timestamp) -> Result<u64, Error> {
    let lasting: Vec<String> = query_scalar("select office from noted_outages where what = 'inbox' and to_at is null")
        .fetch_all(&mut *conn)
        .await?;
    let lasting: Vec<OfficeId> = lasting.iter().map(|id| office(id)).collect::<Result<_, _>>()?;
    let (read, others): (Vec<_>, Vec<_>) = lasting.into_iter().partition(|office| offices.contains(office));
    let mut ended: Vec<String> = read.iter().map(OfficeId::to_string).collect();
    ended.extend(delivery::without(conn, &others).await?);
    if ended.is_empty() {
        return Ok(0);
    }
    let done = query(
        "update noted_outages set to_at = greatest($2, from_at)
         where what = 'inbox' and to_at is null and office = any($1)",
    )
    .bind(ended)
    .bind(At(at))
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// An outage on record, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnRecord {
    /// `rabbitmq`, `restore`, `store` or `inbox`.
    pub what: String,
    /// Whose inbox.
    pub office: Option<String>,
    /// From, and to when it is over.
    pub span: Outage,
}

/// All outages that touch an interval, oldest first; of inboxes those of `office`, or of all.
pub async fn between(
    conn: &mut PgConnection,
    from: Timestamp,
    to: Timestamp,
    office: Option<OfficeId>,
) -> Result<Vec<OnRecord>, Error> {
    let rows = query(
        "select what, office, from_at, to_at from report_outages
         where from_at < $2 and coalesce(to_at, 'infinity') > $1 and ($3::text is null or office is null or office = $3)
         order by from_at, what, office",
    )
    .bind(At(from))
    .bind(At(to))
    .bind(office.map(|o| o.to_string()))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| Ok(OnRecord { what: row.try_get("what")?, office: row.try_get("office")?, span: interval(row)? }))
        .collect()
}

fn interval(row: &sqlx::postgres::PgRow) -> Result<Outage, Error> {
    Ok((row.try_get::<At, _>("from_at")?.0, row.try_get::<Option<At>, _>("to_at")?.map(|at| at.0)))
}
