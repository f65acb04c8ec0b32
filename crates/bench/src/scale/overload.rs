//! Overload: for minutes lives begin at twice the rate that goes through. What grows, who is held back, and
//! is it as before when it is over?

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, InboxSight, WORK_QUEUES};

use super::lives::{self, Load};
use super::stage::{Running, SETTLE, Stage};
use super::target::{Target, at_most, real};
use crate::load::Load as Offices;
use crate::offices::Pace;
use crate::report::HalfLoad;

/// Commands of a life: submit, received, opened, answer, read.
const COMMANDS: f64 = 5.0;
/// How often it is looked at what has grown.
const LOOK: Duration = Duration::from_secs(2);

/// How overload was borne.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Overload {
    /// Lives a second that go through, and how many began: as the clock said, and as RabbitMQ let them.
    pub(crate) sustainable: f64,
    pub(crate) wanted_per_second: f64,
    pub(crate) begun_per_second: f64,
    pub(crate) lives_per_second: f64,
    /// How long, in seconds.
    pub(crate) seconds: f64,
    /// Lives under way at its end, and how long it took until the last of them was over.
    pub(crate) under_way_most: u64,
    pub(crate) drained_seconds: f64,
    /// Of the product's process, over overload and draining.
    pub(crate) memory_most_mib: f64,
    /// The most commands that waited in RabbitMQ's work queues, all together.
    pub(crate) work_queues_most: i64,
    /// Messages at half of what goes through, before and after.
    pub(crate) before: HalfLoad,
    pub(crate) after: HalfLoad,
    pub(crate) logged: Vec<String>,
}

impl Overload {
    /// How long what waited most would take at the rate that goes through: a broker that holds publishers back
    /// lets no more come in than it can work off soon.
    fn work_queues_seconds(&self) -> f64 {
        real(self.work_queues_most) / (self.sustainable * COMMANDS)
    }

    pub(crate) fn targets(&self) -> Vec<Target> {
        let again = self.after.submit_to_deliver.p99_ms / self.before.submit_to_deliver.p99_ms;
        vec![
            at_most("overload: memory of the process, MiB", self.memory_most_mib, 512.0),
            at_most("overload: work that waits in work queues, s", self.work_queues_seconds(), 60.0),
            at_most("overload: p99 after ÷ before", again, 1.5),
        ]
    }

    pub(crate) fn words(&self) -> String {
        format!(
            "overload: {:.0} lives a second wanted for {:.0} s where {:.0} go through; {:.0} begun, {:.0} over\n  \
             {} under way at most, drained after {:.0} s; {:.0} MiB at most, {} commands in work queues at most\n  \
             submit→deliver at half load p50 {:.0} p99 {:.0} ms before, {:.0} and {:.0} after\n",
            self.wanted_per_second,
            self.seconds,
            self.sustainable,
            self.begun_per_second,
            self.lives_per_second,
            self.under_way_most,
            self.drained_seconds,
            self.memory_most_mib,
            self.work_queues_most,
            self.before.submit_to_deliver.p50_ms,
            self.before.submit_to_deliver.p99_ms,
            self.after.submit_to_deliver.p50_ms,
            self.after.submit_to_deliver.p99_ms,
        )
    }
}

/// Begins twice as many lives as go through, for so long.
pub(crate) async fn bear(stage: &Stage, load: Load, time: Duration) -> Result<Overload> {
    let running = stage.start().await?;
    stage.settled(SETTLE).await?;
    let sustainable = lives::at_once(stage, load).await?.lives_per_second;
    let half = sustainable / 2.0;
    let mut overload = Overload {
        sustainable,
        wanted_per_second: sustainable * 2.0,
        before: lives::paced(stage, load, half).await?,
        ..Overload::default()
    };

    let eyes = Eyes::open(stage, &running).await?;
    let pace = Pace::Clock { lives_per_second: overload.wanted_per_second };
    let began = Instant::now();
    let mut offices = Offices::start(stage.addresses()?, crate::offices::Life::Whole, pace).await?;
    let (stretch, most) = offices.measure_while(eyes.watch(time)).await?;
    let figures = offices.shared();
    overload.under_way_most = figures.under_way();
    overload.seconds = began.elapsed().as_secs_f64();
    let begun = i64::try_from(figures.lives() + figures.under_way())?;
    overload.begun_per_second = real(begun) / overload.seconds;
    overload.lives_per_second = stretch.per_second();

    let ended = Instant::now();
    // With as much patience as the overload took, four times.
    offices.last_lives_within(time * 4 + SETTLE).await?;
    stage.settled(SETTLE).await?;
    overload.drained_seconds = ended.elapsed().as_secs_f64();
    offices.end().await?;
    overload.work_queues_most = most;
    overload.memory_most_mib = running.memory()?.1;
    eyes.close();

    overload.after = lives::paced(stage, load, half).await?;
    overload.logged = running.end().await?;
    Ok(overload)
}

/// Whoever looks at what grows.
struct Eyes<'r> {
    running: &'r Running,
    bus: Bus,
    stop: CancellationToken,
}

impl<'r> Eyes<'r> {
    async fn open(stage: &Stage, running: &'r Running) -> Result<Self> {
        let stop = CancellationToken::new();
        let bus = Bus::connect(&stage.world.bus_settings(), &stop)?;
        bus.ready().await?;
        Ok(Self { running, bus, stop })
    }

    /// For so long; gives the most commands that waited in work queues.
    async fn watch(&self, time: Duration) -> Result<i64> {
        let (began, probe) = (Instant::now(), self.bus.inbox_probe());
        let queues = WORK_QUEUES.map(str::to_owned);
        let mut most = 0;
        while began.elapsed() < time {
            let sights = probe.look(&queues).await?;
            let waiting = sights.iter().map(|sight| match sight {
                InboxSight::There { waiting, .. } => i64::from(*waiting),
                InboxSight::Missing => 0,
            });
            most = most.max(waiting.sum());
            self.running.child.id().context("the product has ended")?;
            tokio::time::sleep(LOOK.min(time.saturating_sub(began.elapsed()))).await;
        }
        Ok(most)
    }

    fn close(self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_told_as_time() {
        let overload = |work_queues_most| Overload { sustainable: 100.0, work_queues_most, ..Overload::default() };
        assert!(overload(30_000).targets()[1].reached && !overload(30_001).targets()[1].reached);
    }
}
