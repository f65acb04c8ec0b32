//! Questions that span requests. Read-only, on the projection and the small hot tables.

pub mod by_office;
pub mod installation;
pub mod lag;
pub mod late;
pub mod office;
pub mod readiness;
pub mod reconcile;
pub mod report;
pub mod standing;

use sqlx::{AssertSqlSafe, query, query_scalar};
use xacminh_domain::Timestamp;

use crate::error::Error;
use crate::{Store, Transaction};

/// How long one question over all requests may take, in milliseconds: longer than what services ask.
const PATIENCE_MS: &str = "600000";

/// A look at the store as it is now, for the views `report_…` of the schema: all questions in it see
/// the same rows, and the instant `now` of the services' clock.
pub async fn look(store: &Store, now: Timestamp) -> Result<Transaction, Error> {
    let mut tx = store.begin().await?;
    query("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
    speaks_as_of(&mut tx, now).await?;
    Ok(tx)
}

/// Two looks at the same rows, for questions that are asked at once.
pub async fn looks(store: &Store, now: Timestamp) -> Result<[Transaction; 2], Error> {
    let mut first = look(store, now).await?;
    let snapshot: String = query_scalar("select pg_export_snapshot()").fetch_one(&mut *first).await?;
    let mut second = store.begin().await?;
    query("set transaction isolation level repeatable read, read only").execute(&mut *second).await?;
    // PostgreSQL's own name for it, digits and dashes; it takes none as a parameter.
    query(AssertSqlSafe(format!("set transaction snapshot '{snapshot}'"))).execute(&mut *second).await?;
    speaks_as_of(&mut second, now).await?;
    Ok([first, second])
}

async fn speaks_as_of(tx: &mut Transaction, now: Timestamp) -> Result<(), Error> {
    query("select set_config('xacminh.as_of', $1, true), set_config('statement_timeout', $2, true)")
        .bind(now.to_string())
        .bind(PATIENCE_MS)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
