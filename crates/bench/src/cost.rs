//! What a life costs: CPU time by process, transactions and WAL of PostgreSQL.

use anyhow::{Context, Result};
use serde::Serialize;
use xacminh_testkit::World;

use crate::proc;

/// Who is looked at.
pub(crate) struct Costs<'w> {
    world: &'w World,
    measured: u32,
    /// None if the server is not ours: then its processes are not known.
    rabbitmq: Option<u32>,
    postgresql: Option<u32>,
}

/// What had been used until a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    lives: u64,
    cpu: CpuSeconds,
    transactions: i64,
    wal_bytes: i64,
}

/// CPU seconds, of user and kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct CpuSeconds {
    /// The process that is measured.
    pub(crate) itself: f64,
    /// RabbitMQ with its helpers; none of a server that is not ours.
    pub(crate) rabbitmq: Option<f64>,
    /// PostgreSQL with all its processes, those that ended among them; likewise.
    pub(crate) postgresql: Option<f64>,
    /// All offices: this process.
    pub(crate) clients: f64,
}

impl CpuSeconds {
    fn each(self, other: Self, of: impl Fn(f64, f64) -> f64) -> Self {
        let both = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| of(a, b));
        Self {
            itself: of(self.itself, other.itself),
            rabbitmq: both(self.rabbitmq, other.rabbitmq),
            postgresql: both(self.postgresql, other.postgresql),
            clients: of(self.clients, other.clients),
        }
    }
}

/// What lives cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Cost {
    /// CPU seconds a thousand lives.
    pub(crate) cpu_seconds_per_1000_lives: CpuSeconds,
    /// Committed transactions a life, in its database.
    pub(crate) transactions_per_life: f64,
    /// Bytes of WAL a life.
    pub(crate) wal_bytes_per_life: f64,
}

impl<'w> Costs<'w> {
    /// Of a process that works in this world.
    pub(crate) fn new(world: &'w World, measured: u32) -> Result<Self> {
        let (rabbitmq, postgresql) = (server("XACMINH_TEST_RABBITMQ_PID")?, server("XACMINH_TEST_PG_PID")?);
        Ok(Self { world, measured, rabbitmq, postgresql })
    }

    /// What was used until now, and for how many lives.
    pub(crate) async fn read(&self, lives: u64) -> Result<Reading> {
        let cpu = CpuSeconds {
            itself: proc::cpu_seconds(self.measured)?,
            rabbitmq: self.rabbitmq.map(proc::cpu_seconds).transpose()?,
            postgresql: self.postgresql.map(proc::cpu_seconds).transpose()?,
            clients: proc::own_cpu_seconds()?,
        };
        // Sessions hand in what they committed at most a second later, so both ends of a stretch lag alike.
        let rows = self
            .world
            .rows(
                "select xact_commit || ' ' || pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')
                 from pg_stat_database where datname = current_database()",
            )
            .await?;
        let (transactions, wal_bytes) =
            rows.first().and_then(|row| row.split_once(' ')).context("PostgreSQL tells nothing of the database")?;
        Ok(Reading { lives, cpu, transactions: transactions.parse()?, wal_bytes: wal_bytes.parse()? })
    }

    /// The most memory that the process had at once, in bytes.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        proc::peak_memory(self.measured)
    }
}

impl Reading {
    /// What a life cost since an earlier one.
    pub(crate) fn since(&self, earlier: &Self) -> Cost {
        let lives = real((self.lives - earlier.lives).max(1).cast_signed());
        Cost {
            cpu_seconds_per_1000_lives: self.cpu.each(earlier.cpu, |now, then| (now - then) * 1_000.0 / lives),
            transactions_per_life: real(self.transactions - earlier.transactions) / lives,
            wal_bytes_per_life: real(self.wal_bytes - earlier.wal_bytes) / lives,
        }
    }
}

/// The process of a server of ours.
fn server(variable: &str) -> Result<Option<u32>> {
    let pid = std::env::var(variable).unwrap_or_default();
    if pid.is_empty() {
        Ok(None)
    } else {
        pid.parse().map(Some).with_context(|| format!("{variable} is no process id"))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn real(n: i64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_what_was_added_shared_by_the_lives() {
        let cpu = |itself, rabbitmq, clients| CpuSeconds { itself, rabbitmq, postgresql: None, clients };
        let before = Reading { lives: 100, cpu: cpu(1.0, Some(10.0), 2.0), transactions: 50, wal_bytes: 1_000 };
        let after = Reading { lives: 2_100, cpu: cpu(2.0, Some(14.0), 2.5), transactions: 450, wal_bytes: 9_001_000 };
        let cost = after.since(&before);
        assert_eq!(cost.cpu_seconds_per_1000_lives, cpu(0.5, Some(2.0), 0.25));
        assert!((cost.transactions_per_life - 0.2).abs() < 1e-9);
        assert!((cost.wal_bytes_per_life - 4_500.0).abs() < 1e-9);
    }
}
