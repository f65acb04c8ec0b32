//! A reader that holds a snapshot for long: nothing that was updated or deleted since can be cleared away,
//! and whoever looks for what waits steps over it.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use sqlx::{Connection, PgConnection, raw_sql};

use super::lives::{self, Load};
use super::stage::{SETTLE, Stage};
use super::target::{Target, at_least};
use crate::offices::Pace;

/// What it cost.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Reader {
    /// How long the snapshot was held, in seconds.
    pub(crate) held_seconds: f64,
    /// Lives a second: before, while it was held, in the last of these stretches, and after it.
    pub(crate) before: f64,
    pub(crate) meanwhile: f64,
    pub(crate) at_last: f64,
    pub(crate) after: f64,
    /// Each stretch of that time.
    pub(crate) stretches: Vec<f64>,
    pub(crate) logged: Vec<String>,
}

impl Reader {
    pub(crate) fn targets(&self) -> Vec<Target> {
        vec![at_least("lives while a snapshot is held ÷ before", self.meanwhile / self.before, 0.8)]
    }

    pub(crate) fn words(&self) -> String {
        format!(
            "long reader: a snapshot held for {:.0} s; lives a second {:.0} before, {:.0} meanwhile, {:.0} at last, {:.0} after\n",
            self.held_seconds, self.before, self.meanwhile, self.at_last, self.after
        )
    }
}

/// Holds a snapshot for so long while offices live.
pub(crate) async fn hold(stage: &Stage, load: Load, time: Duration) -> Result<Reader> {
    let running = stage.start().await?;
    stage.settled(SETTLE).await?;
    let mut reader = Reader::default();
    let mut offices = lives::begin(stage, load, Pace::Window(load.window)).await?;
    reader.before = offices.measure(load.measured).await?.per_second();

    let mut conn = PgConnection::connect(&stage.world.pg_url()).await?;
    // A snapshot is taken with the first question.
    raw_sql("begin isolation level repeatable read, read only; select count(*) from epoch").execute(&mut conn).await?;
    let (began, mut lives, mut seconds) = (Instant::now(), 0.0, 0.0);
    while began.elapsed() < time {
        let left = time.saturating_sub(began.elapsed()).max(Duration::from_secs(1));
        let stretch = offices.measure(load.measured.min(left)).await?;
        reader.stretches.push(stretch.per_second());
        lives += stretch.per_second() * stretch.seconds;
        seconds += stretch.seconds;
        reader.at_last = stretch.per_second();
    }
    reader.held_seconds = began.elapsed().as_secs_f64();
    reader.meanwhile = lives / seconds;
    raw_sql("rollback").execute(&mut conn).await?;
    conn.close().await?;

    offices.go_on(load.warm_up).await?;
    reader.after = offices.measure(load.measured).await?.per_second();
    lives::end(offices).await?;
    reader.logged = running.end().await?;
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_may_be_lost() {
        let reader = |meanwhile| Reader { before: 100.0, meanwhile, ..Reader::default() };
        assert!(reader(80.0).targets()[0].reached && !reader(79.0).targets()[0].reached);
    }
}
