//! Which life of the store this is. A store that was restored from a backup has forgotten what came
//! after the backup, so it begins another life and says so on every message.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query, query_scalar};
use uuid::Uuid;
use xacminh_domain::Timestamp;

use crate::error::Error;
use crate::outbox;
use crate::time::At;
use crate::{ledger, outage};

/// The stream of the ledger that tells of the store's lives.
const STREAM: &str = "epochs";

/// A life of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// What goes out as `xm-epoch`.
    pub id: Uuid,
    /// Since when; none for the first.
    pub since: Option<Timestamp>,
}

/// The life that is now.
pub async fn current(conn: &mut PgConnection) -> Result<Epoch, Error> {
    let row = query("select epoch, since_at from epoch").fetch_one(conn).await?;
    Ok(Epoch { id: row.try_get("epoch")?, since: row.try_get::<Option<At>, _>("since_at")?.map(|at| at.0) })
}

/// Notes that the store is in use at `now`.
pub async fn alive(conn: &mut PgConnection, now: Timestamp) -> Result<(), Error> {
    query("update epoch set alive_at = $1 where alive_at is null or alive_at < $1").bind(At(now)).execute(conn).await?;
    Ok(())
}

/// A life that has just begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    /// Its id.
    pub id: Uuid,
    /// What came after this is lost, to some seconds; none if nobody ever looked in.
    pub lost_from: Option<Timestamp>,
    /// How many requests leave again for their home offices.
    pub again: u64,
}

/// Begins another life at `now`. What was in flight leaves again: whether it was confirmed
/// meanwhile, this store cannot know. The time that is lost is nobody's, so it is an outage.
pub async fn renew(tx: &mut PgConnection, now: Timestamp) -> Result<Renewed, Error> {
    let row = query("select epoch, alive_at from epoch for update").fetch_one(&mut *tx).await?;
    let before: Uuid = row.try_get("epoch")?;
    let lost_from = row.try_get::<Option<At>, _>("alive_at")?.map(|at| at.0);
    let id: Uuid =
        query_scalar("update epoch set epoch = gen_random_uuid(), since_at = $1, alive_at = $1 returning epoch")
            .bind(At(now))
            .fetch_one(&mut *tx)
            .await?;
    if let Some(from) = lost_from.filter(|from| *from < now) {
        outage::record(&mut *tx, outage::Server::Restore, from, now).await?;
    }
    let again =
        query("update deliveries set sent_at = null, again_at = null, arrival = default where sent_at is not null")
            .execute(&mut *tx)
            .await?
            .rows_affected();
    let said = serde_json::json!({
        "v": 1, "event": "epoch_begun", "epoch": id.to_string(), "before": before.to_string(),
        "lost_from": lost_from.map(|at| at.to_string()), "sent_again": again,
    });
    ledger::append_system(&mut *tx, STREAM, now, &[said]).await?;
    outbox::ring(&mut *tx).await?;
    Ok(Renewed { id, lost_from, again })
}
