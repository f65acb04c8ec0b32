//! Which offices have a login and an inbox.

use sqlx::postgres::PgConnection;
use sqlx::{query, query_scalar};
use xacminh_domain::Timestamp;
use xacminh_domain::id::OfficeId;

use crate::error::Error;
use crate::time::At;

/// The offices that are granted now.
pub async fn granted(conn: &mut PgConnection) -> Result<Vec<OfficeId>, Error> {
    let ids: Vec<String> =
        query_scalar("select office_id from office_access where revoked_at is null order by office_id")
            .fetch_all(conn)
            .await?;
    ids.iter().map(|id| id.parse().map_err(|e| Error::unreadable("an office", e))).collect()
}

/// Writes down grants; an office that is granted already stays as it is.
pub async fn grant(conn: &mut PgConnection, offices: &[OfficeId], channel: &str, at: Timestamp) -> Result<(), Error> {
    query(
        "insert into office_access (office_id, channel, granted_at)
         select o, $2, $3 from unnest($1::text[]) as n (o) on conflict do nothing",
    )
    .bind(offices.iter().map(|o| o.to_string()).collect::<Vec<_>>())
    .bind(channel)
    .bind(At(at))
    .execute(conn)
    .await?;
    Ok(())
}
