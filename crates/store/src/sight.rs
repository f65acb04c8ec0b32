//! What was over when PostgreSQL looked, for whoever reads only what is new.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::error::Error;

/// Numbers are given out in order, but a row is seen only once its transaction is over. These tell which were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// Every transaction before this one was over.
    pub oldest: i64,
    /// This one and those after it had not begun to write.
    pub next: i64,
}

/// A row of a question with the sight that the same question had.
macro_rules! sight {
    () => {
        "(select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest,
              pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next)"
    };
}
pub(crate) use sight;

impl Sight {
    pub(crate) fn of(rows: &[PgRow]) -> Result<Self, Error> {
        let row = rows.first().ok_or_else(|| Error::unreadable("a sight", "no row"))?;
        Ok(Self { oldest: row.try_get("oldest")?, next: row.try_get("next")? })
    }
}
