//! What can go wrong with the store.

use xacminh_domain::id::RequestId;

/// An error of the store. Its text holds no personal data: statements bind only sealed bytes,
/// ids, codes and instants.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL could not be asked, or refused.
    #[error("PostgreSQL: {0}")]
    Sql(sqlx::Error),
    /// The tables are not there, or not all.
    #[error("the schema is missing or behind: run `xacminh migrate` first ({0})")]
    NoSchema(sqlx::Error),
    /// No connection to PostgreSQL can be had.
    #[error("PostgreSQL at {address} cannot be reached: {source}")]
    Unreachable {
        /// Host, port and database; never a login.
        address: String,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A row holds what this version cannot read.
    #[error("{what} cannot be read: {why}")]
    Unreadable {
        /// Which row or column.
        what: &'static str,
        /// Why, without its content.
        why: String,
    },
    /// Sealed bytes cannot be opened with the keys at hand.
    #[error("sealed bytes: {0}")]
    Sealed(#[from] xacminh_trust::Error),
    /// The ledger of a request is damaged.
    #[error("the ledger of request {request} is damaged: {why}")]
    Damaged {
        /// Which request.
        request: RequestId,
        /// Where and how.
        why: String,
    },
    /// Nothing was imported yet.
    #[error("the reference data are missing: run `xacminh import` first")]
    NoReference,
    /// Another transaction took one of these commands since this one looked.
    #[error("a command was taken by another process at the same moment")]
    TakenMeanwhile,
    /// A statement took longer than the store allows.
    #[error("PostgreSQL did not answer within {0} s")]
    Slow(u64),
}

impl Error {
    /// Trying again later may help: the server is away, busy, or two transactions met.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Sql(source) | Self::Unreachable { source, .. } => is_transient(source),
            Self::Slow(_) | Self::TakenMeanwhile => true,
            Self::NoSchema(_)
            | Self::Migrate(_)
            | Self::Unreadable { .. }
            | Self::Sealed(_)
            | Self::Damaged { .. }
            | Self::NoReference => false,
        }
    }

    pub(crate) fn unreadable(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Unreadable { what, why: why.to_string() }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        // An undefined table or column.
        let missing = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match missing.as_deref() {
            Some("42P01" | "42703") => Self::NoSchema(error),
            _ => Self::Sql(error),
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "every other error of the driver is ours, and stays")]
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(e) => e.code().is_some_and(|code| {
            // Connection, resources, operator intervention, serialization and deadlock; a database that
            // is not there while it is restored, and a lock that was not had in time.
            matches!(&code[..2.min(code.len())], "08" | "53" | "57" | "40") || matches!(&*code, "3D000" | "55P03")
        }),
        _ => false,
    }
}
