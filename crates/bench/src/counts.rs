//! How many messages a life took, by RabbitMQ's own count.

use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;
use tokio::time::{Instant, sleep};
use xacminh_bus::MessageCounts;
use xacminh_testkit::World;

/// RabbitMQ's channels hand in what they counted every 5 s; whoever saw nothing new for longer has seen all.
const NOTHING_NEW: Duration = Duration::from_secs(6);
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long until the next look.
const PAUSE: Duration = Duration::from_millis(500);

/// Messages a life. Over a whole run, from the start of the process until nothing was on its way any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Messages {
    /// Published, by offices and by what is measured.
    pub(crate) published: f64,
    /// Handed out by RabbitMQ.
    pub(crate) delivered: f64,
    /// Of these, for a second time.
    pub(crate) redelivered: f64,
    /// Acknowledged.
    pub(crate) acknowledged: f64,
}

impl Messages {
    /// These counts, shared by so many lives.
    pub(crate) fn of(counts: &MessageCounts, lives: u64) -> Self {
        let each = |count| real(count) / real(lives.max(1));
        Self {
            published: each(counts.published),
            delivered: each(counts.delivered),
            redelivered: each(counts.redelivered),
            acknowledged: each(counts.acknowledged),
        }
    }

    /// What decides whether there are too many.
    pub(crate) fn most(&self) -> f64 {
        self.published.max(self.delivered)
    }
}

/// What RabbitMQ counted until now.
pub(crate) async fn now(world: &World) -> Result<MessageCounts> {
    world.manage(xacminh_bus::Management::message_counts).await
}

/// The same, as soon as it has counted everything: no less since `before` than offices published and
/// received, each message acknowledged, and nothing new for a while.
pub(crate) async fn at_rest(world: &World, before: &MessageCounts, offices: impl Fn() -> u64) -> Result<MessageCounts> {
    let until = Instant::now() + PATIENCE;
    let (mut last, mut since) = (now(world).await?, Instant::now());
    loop {
        sleep(PAUSE).await;
        let next = now(world).await?;
        if next != last {
            (last, since) = (next, Instant::now());
        }
        let seen = last.since(before);
        if seen.published >= offices() && last.are_at_rest() && since.elapsed() > NOTHING_NEW {
            return Ok(seen);
        }
        if Instant::now() > until {
            bail!("RabbitMQ does not come to rest: it counts {seen:?}, the offices {}", offices());
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn real(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_handed_out_twice_counts_twice() {
        let counts =
            MessageCounts { published: 90, delivered: 130, redelivered: 40, acknowledged: 90, ..Default::default() };
        let messages = Messages::of(&counts, 10);
        assert_eq!(messages, Messages { published: 9.0, delivered: 13.0, redelivered: 4.0, acknowledged: 9.0 });
        assert!((messages.most() - 13.0).abs() < 1e-9);
    }
}
