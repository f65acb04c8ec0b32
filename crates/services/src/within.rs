//! Nothing waits for PostgreSQL for ever.
//!
//! A server that is gone says so, and PostgreSQL itself ends a statement that takes too long. But
//! one that is held, or behind a line that swallows what is sent, says nothing at all, and the
//! driver would listen until the kernel gives the connection up, which takes a quarter of an hour.

use std::time::Duration;

use crate::error::Error;

/// How long a piece of work with PostgreSQL may take: some statements, of which each may take 30 s
/// at most, and the wait for a connection.
const LIMIT: Duration = Duration::from_secs(45);

/// The work, or a passing error if it takes too long. Whether a commit in it happened is then not
/// known, as after a lost connection: the same work again finds out.
pub(crate) async fn within<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    limited(LIMIT, work).await
}

async fn limited<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(xacminh_store::Error::Slow(limit.as_secs()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_never_ends_is_given_up_and_may_be_tried_again() {
        let error = limited(Duration::from_millis(1), std::future::pending::<Result<(), Error>>()).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
}
