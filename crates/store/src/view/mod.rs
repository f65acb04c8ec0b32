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

use xacminh_domain::Timestamp;

use crate::error::Error;
use crate::{Store, Transaction};

/// How long one question over all requests may take, in milliseconds: longer than what services ask.
const PATIENCE_MS: &str = "600000";

/// A look at the store as it is now, for the views `report_…` of the schema: all questions in it see
/// the same rows, and the instant `now` of the services' clock.
pub async fn look(store: &Store, now: Timestamp) -> Result<Transaction, Error> {
    let mut tx = store.begin().await?;
    sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
    sqlx::query("select set_config('xacminh.as_of', $1, true), set_config('statement_timeout', $2, true)")
        .bind(now.to_string())
        .bind(PATIENCE_MS)
        .execute(&mut *tx)
        .await?;
    Ok(tx)
}
