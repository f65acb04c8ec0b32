//! The bare claim: what PostgreSQL gives at most for what must be durable of a rung. Batch by batch and
//! committed each: the timers that are due are read and claimed, a row of each rung is written, the timer is set to
//! its next instant; reading and setting by the product's own statements. No ledger, no digest's line, no row of the
//! request.

use std::time::Instant;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query, query_scalar, raw_sql};
use uuid::Uuid;
use xacminh_store::timer::{self, Whose};

use super::herd::Share;
use super::stage::Stage;
use super::target::real;

/// How many are claimed together, as by services/src/escalating.rs.
const CLAIM: i64 = 500;

/// Copies of the tables, with a share of the herd due.
pub(crate) struct Bare {
    conn: PgConnection,
    due: i64,
}

impl Bare {
    /// Makes them, in a schema of their own.
    pub(crate) async fn new(stage: &Stage, share: Share) -> Result<Self> {
        let mut conn = PgConnection::connect(&stage.world.pg_url()).await?;
        let (schema, held) = (share.word(), share.condition());
        let make = format!(
            "create schema bare_{schema}; set search_path = bare_{schema};
             create table timers (like public.timers including all) with (fillfactor = 70);
             insert into timers select * from public.timers;
             update timers t set due_at = now() from bench.herd h where h.request_id = t.request_id and {held};
             create table rungs (like public.rungs including all)"
        );
        raw_sql(AssertSqlSafe(make)).execute(&mut conn).await?;
        raw_sql("vacuum analyze timers").execute(&mut conn).await?;
        let due = query_scalar("select count(*) from timers where due_at <= now()").fetch_one(&mut conn).await?;
        Ok(Self { conn, due })
    }

    /// Claims all, with so many rungs of each; gives how many a second, and takes the copies away.
    pub(crate) async fn run(mut self, rungs_each: i64) -> Result<f64> {
        let now = Timestamp::now();
        let began = Instant::now();
        let mut count = 0;
        loop {
            let mut tx = self.conn.begin().await?;
            let due = timer::due(&mut tx, now, Whose::All, CLAIM).await?;
            if due.is_empty() {
                break;
            }
            let ids: Vec<Uuid> = query_scalar(
                "select request_id from timers where request_id = any($1) order by due_at for update skip locked",
            )
            .bind(due.iter().map(|id| id.uuid()).collect::<Vec<_>>())
            .fetch_all(&mut *tx)
            .await?;
            query(
                "insert into rungs (request_id, trigger, rung, clock_start, due_at, fired_at, target)
                 select id, 'accept_due', n, now(), now(), now(), 'vp000000'
                 from unnest($1::uuid[]) as t (id), generate_series(1, $2) as n",
            )
            .bind(&ids)
            .bind(rungs_each)
            .execute(&mut *tx)
            .await?;
            let timers: Vec<_> = due.iter().map(|id| timer::Change::to(*id).until(timer::NEVER)).collect();
            timer::set(&mut tx, &timers).await?;
            tx.commit().await?;
            count += i64::try_from(ids.len())?;
        }
        let seconds = began.elapsed().as_secs_f64();
        let rungs: i64 = query_scalar("select count(*) from rungs").fetch_one(&mut self.conn).await?;
        ensure!(count == self.due && rungs == count * rungs_each, "the bare claim lost some: {count} of {}", self.due);
        raw_sql("do $$ begin execute format('drop schema %I cascade', current_schema); end $$")
            .execute(&mut self.conn)
            .await?;
        self.conn.close().await?;
        Ok(real(count) / seconds)
    }
}
