#![doc = include_str!("../README.md")]

pub mod access;
pub mod at_hand;
pub mod call;
pub mod delivery;
pub mod epoch;
mod error;
pub mod in_life;
pub mod inbox;
pub mod ledger;
pub mod notice;
pub mod outage;
pub mod outbox;
pub mod parked;
pub mod person;
pub mod reconcile;
pub mod recount;
pub mod reference;
pub mod request;
pub mod retention;
pub mod sight;
mod time;
pub mod timer;
pub mod unheard;
pub mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serializer;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool};
use xacminh_contract::values::Instant;
use xacminh_domain::{Date, Timestamp};

pub use error::Error;
pub use sqlx::Connection;
pub use sqlx::postgres::{PgConnection, PgListener};

/// How long one statement may take, in seconds. PostgreSQL ends it then.
const STATEMENT_SECONDS: u64 = 30;
/// How long a single try to connect may take.
const REACH_LIMIT: Duration = Duration::from_secs(5);
/// How long a connection of the pool may take to prove that it still stands.
const PROVE_LIMIT: Duration = Duration::from_secs(2);
/// How long an orderly end of all connections may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// The schema, a step a file; steps are only ever added.
pub(crate) static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// The store: a pool of connections to PostgreSQL.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    address: Arc<str>,
    /// Whether a connection was ever had: before that, a try of its own tells why there is none.
    reached: Arc<AtomicBool>,
}

/// A transaction: everything in it happens, or nothing.
pub type Transaction = sqlx::Transaction<'static, sqlx::Postgres>;

impl Store {
    /// Makes a pool of at most `connections`. Nothing is connected before it is used.
    pub fn connect(url: &str, connections: u32) -> Result<Self, Error> {
        let options: PgConnectOptions = url.parse()?;
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        let address = match options.get_socket() {
            Some(socket) => format!("{}/{database}", socket.display()),
            None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
        };
        // The driver would print slow statements, their text with them, on whoever's terminal: what
        // takes long is PostgreSQL's to log (`log_min_duration_statement`).
        let options = options
            .application_name("xacminh")
            // Nothing asked here runs long enough to be worth compiling: of a report over 10,000
            // requests it took more than half the time.
            .options([
                ("statement_timeout", format!("{STATEMENT_SECONDS}s")),
                ("jit", "off".to_owned()),
                // It writes the narrow rows itself (migration 0018).
                ("xacminh.keeps_timers", "on".to_owned()),
            ])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(10))
            // The driver asks as well, but waits for the answer for ever: of a server that keeps
            // silent, each connection would hold its place in the pool.
            .test_before_acquire(false)
            .before_acquire(|conn, _| Box::pin(prove(conn)))
            .after_release(|conn, _| Box::pin(prove(conn)))
            .connect_lazy_with(options);
        Ok(Self { pool, address: address.into(), reached: Arc::default() })
    }

    /// Host, port and database, for people; never a login.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Tries one connection, outside the pool: the error names the address and the cause, where the
    /// pool would only say after its own time that it had none to give.
    pub async fn reach(&self) -> Result<(), Error> {
        let options = self.pool.connect_options();
        let source = match tokio::time::timeout(REACH_LIMIT, PgConnection::connect_with(&options)).await {
            Ok(Ok(conn)) => {
                self.reached.store(true, Ordering::Relaxed);
                // It was only a question.
                let _ = conn.close().await;
                return Ok(());
            }
            Ok(Err(source)) => source,
            Err(_) => std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer").into(),
        };
        Err(Error::Unreachable { address: self.address.to_string(), source })
    }

    /// What the pool gave, or why it has nothing to give.
    async fn acquired<T>(&self, asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
        if !self.reached.load(Ordering::Relaxed) {
            self.reach().await?;
        }
        match asked.await {
            Err(sqlx::Error::PoolTimedOut) => {
                self.reach().await?;
                Err(sqlx::Error::PoolTimedOut.into())
            }
            other => Ok(other?),
        }
    }

    /// Makes an empty database on the server of `url` and gives its address. For throw-away
    /// worlds: an installation's database is its operator's to make.
    pub async fn create_database(url: &str, name: &str) -> Result<String, Error> {
        on_server(url, "create database", name).await?;
        let (head, _) = url.rsplit_once('/').unwrap_or((url, ""));
        Ok(format!("{head}/{name}"))
    }

    /// Takes such a database away again, with all connections to it.
    pub async fn drop_database(url: &str, name: &str) -> Result<(), Error> {
        on_server(url, "drop database if exists", &format!("{name} with (force)")).await
    }

    /// Brings the schema up to date; migrations are only ever added.
    pub async fn migrate(&self) -> Result<(), Error> {
        // A step over all that is there takes longer than a statement of a service may.
        MIGRATIONS.run(&mut self.at_leisure().await?).await?;
        Ok(())
    }

    /// Makes the partitions that messages of these days need. UUIDv7 ids of 90 days back and one
    /// day ahead are taken, so callers pass more than that.
    pub async fn ensure_partitions(&self, first: Date, last: Date) -> Result<(), Error> {
        sqlx::query("select ensure_partitions($1, $2)")
            .bind(time::On(first))
            .bind(time::On(last))
            .execute(&mut *self.conn().await?)
            .await?;
        Ok(())
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> Result<Transaction, Error> {
        self.acquired(self.pool.begin()).await
    }

    /// Begins a transaction whose statements look for rows by their keys, and go along indexes whatever the statistics
    /// say: what is planned while a table is empty would walk through all of it for as long as the plan is kept.
    pub async fn begin_along_indexes(&self) -> Result<Transaction, Error> {
        let begin = "begin; set local enable_bitmapscan = off; set local enable_seqscan = off";
        self.acquired(self.pool.begin_with(begin)).await
    }

    /// A connection for reading.
    pub async fn conn(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>, Error> {
        self.acquired(self.pool.acquire()).await
    }

    /// A connection of its own, for work that takes longer than a statement may.
    pub async fn at_leisure(&self) -> Result<PgConnection, Error> {
        let mut conn = self.conn().await?.detach();
        sqlx::query("set statement_timeout = 0").execute(&mut conn).await?;
        Ok(conn)
    }

    /// A connection of its own for reading or removing what waits and is gone soon after. Along an index: that forgets the
    /// rows that were removed, which a bitmap, or a walk through a table that was small when the plan was made, would
    /// look up again and again until the next vacuum.
    pub async fn along_indexes(&self) -> Result<PgConnection, Error> {
        let mut conn = self.conn().await?.detach();
        for otherwise in ["set enable_bitmapscan = off", "set enable_seqscan = off"] {
            sqlx::query(otherwise).execute(&mut conn).await?;
        }
        Ok(conn)
    }

    /// A connection of its own that finds requests among those that have left.
    pub async fn archive(&self) -> Result<PgConnection, Error> {
        let mut conn = self.conn().await?.detach();
        sqlx::query("set search_path = archive, public").execute(&mut conn).await?;
        Ok(conn)
    }

    /// Hears when letters were put into the outbox by any process.
    pub async fn listen(&self) -> Result<PgListener, Error> {
        outbox::listen(&self.pool).await
    }

    /// Whether PostgreSQL answers.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Closes all connections; those to a server that keeps silent are left to the end of the
    /// process.
    pub async fn close(&self) {
        if tokio::time::timeout(CLOSE_LIMIT, self.pool.close()).await.is_err() {
            tracing::warn!(address = %self.address, "PostgreSQL keeps silent; its connections are left open");
        }
    }
}

/// Whether a connection still stands: an error has the pool drop it, without a word to the server.
async fn prove(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(PROVE_LIMIT, conn.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer").into()),
    }
}

/// A statement whose only parameter is the name of a database, which cannot be bound.
async fn on_server(url: &str, statement: &'static str, name: &str) -> Result<(), Error> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b' ' | b'(' | b')');
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(Error::unreadable("the name of a database", "only a-z, 0-9 and _"));
    }
    let server: PgConnectOptions = url.parse()?;
    let mut conn = <PgConnection as Connection>::connect_with(&server).await?;
    sqlx::query(sqlx::AssertSqlSafe(format!("{statement} {name}"))).execute(&mut conn).await?;
    conn.close().await?;
    Ok(())
}

pub(crate) fn as_text<T: std::fmt::Display, S: Serializer>(value: &T, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(value)
}

/// An instant in Vietnam's time, as the wire and the command line have it.
pub(crate) fn as_local<S: Serializer>(at: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&Instant(*at))
}

pub(crate) fn as_optional_local<S: Serializer>(at: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
    as_optional_text(&at.map(Instant), s)
}

pub(crate) fn as_optional_text<T: std::fmt::Display, S: Serializer>(
    value: &Option<T>,
    s: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => s.collect_str(value),
        None => s.serialize_none(),
    }
}
