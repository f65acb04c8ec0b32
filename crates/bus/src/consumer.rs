//! One long-lived consumer of a queue, whose deliveries come in batches.
//!
//! It outlives connections: after a loss it consumes again on the next one, and RabbitMQ delivers
//! what had not been acknowledged. It outlives its queue too: a work queue that somebody deleted is
//! declared again, with its bindings.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::batch::{SharedOpen, lock};
use crate::connection::{Bus, Line};
use crate::{Batch, Delays, Delivery, Error, WORK_QUEUES, topology};

/// Which queue, and how much at a time.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// The queue.
    pub queue: String,
    /// The most messages in a batch.
    pub batch: u16,
    /// How many batches RabbitMQ sends ahead: the next one is here while this one is being stored.
    pub ahead: u16,
    /// How long the first message of a batch waits for company.
    pub linger: Duration,
}

impl ConsumerSettings {
    /// Batches of at most `batch`, two of them ahead, 10 ms of linger.
    pub fn new(queue: impl Into<String>, batch: u16) -> Self {
        Self { queue: queue.into(), batch, ahead: 2, linger: Duration::from_millis(10) }
    }

    /// Never 0, which means "without limit", into buffers of ours that have none either.
    fn prefetch(&self) -> u16 {
        self.batch.max(1).saturating_mul(self.ahead.max(1))
    }
}

struct Opened {
    channel: Channel,
    stream: Consumer,
    open: SharedOpen,
}

/// The consumer of a queue.
pub struct BatchConsumer {
    // Keeps the connections alive.
    bus: Bus,
    line: Line,
    settings: ConsumerSettings,
    stop: CancellationToken,
    opened: Option<Opened>,
    /// Deliveries of a batch that is being collected: here and not on the stack, so that a caller
    /// may drop the future of [`BatchConsumer::next_batch`] without losing them.
    collecting: Vec<Delivery>,
    delays: Delays,
    /// Told to stop: no more is asked for, and what is here already is still handed on.
    draining: bool,
    /// Nothing is left of what was here.
    ended: bool,
}

impl BatchConsumer {
    pub(crate) fn new(bus: Bus, line: Line, settings: ConsumerSettings, stop: CancellationToken) -> Self {
        let delays = Delays::between(Duration::from_millis(100), Duration::from_secs(5));
        Self { bus, line, settings, stop, opened: None, collecting: Vec::new(), delays, draining: false, ended: false }
    }

    /// The next messages: at least one, at most the settings' number, in the queue's order. Waits
    /// as long as it takes, over lost connections too. After `stop` RabbitMQ is told to send no
    /// more, and what it had sent ahead still comes; then nothing. So a clean stop gives nothing
    /// back to the queue.
    pub async fn next_batch(&mut self) -> Option<Batch> {
        let (stop, shutdown) = (self.stop.clone(), self.bus.stopped().clone());
        if !self.draining {
            tokio::select! {
                // Stopping comes first, or a full queue would never let it be seen.
                biased;
                () = shutdown.cancelled() => return None,
                () = stop.cancelled() => {}
                batch = self.collect() => return Some(batch),
            }
            self.draining = true;
            if let Some(opened) = &self.opened {
                let tag = opened.stream.tag();
                // If that fails the channel is gone, and with it what it had brought.
                let _ = opened.channel.basic_cancel(tag, BasicCancelOptions::default()).await;
            }
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => None,
            batch = self.rest() => batch,
        }
    }

    /// What was sent ahead before the consumer was cancelled.
    async fn rest(&mut self) -> Option<Batch> {
        let most = usize::from(self.settings.batch.max(1));
        let opened = self.opened.as_mut().filter(|o| o.channel.status().connected() && !lock(&o.open).abandoned)?;
        // A stream that has ended says so once.
        while self.collecting.len() < most && !self.ended {
            match opened.stream.next().await {
                Some(Ok(delivery)) => self.collecting.push(Delivery::from_lapin(delivery)),
                Some(Err(_)) | None => self.ended = true,
            }
        }
        if self.collecting.is_empty() {
            return None;
        }
        Some(Batch::new(std::mem::take(&mut self.collecting), opened.channel.clone(), opened.open.clone()))
    }

    async fn collect(&mut self) -> Batch {
        let most = usize::from(self.settings.batch.max(1));
        loop {
            if self.opened.as_ref().is_some_and(|o| lock(&o.open).abandoned) {
                self.close("a batch was dropped").await;
            }
            if self.opened.is_none() {
                self.collecting.clear(); // came over a channel that is gone
                match self.open().await {
                    Ok(opened) => self.opened = Some(opened),
                    Err(error) => {
                        warn!(queue = self.settings.queue, %error, "cannot consume, trying on");
                        if error.is_not_found() {
                            self.declare_again().await;
                        }
                        sleep(self.delays.next_delay()).await;
                        continue;
                    }
                }
            }
            let Some(opened) = self.opened.as_mut() else { continue };
            let mut until = Instant::now() + self.settings.linger;
            while self.collecting.len() < most {
                let next = if self.collecting.is_empty() {
                    let first = opened.stream.next().await;
                    until = Instant::now() + self.settings.linger;
                    first
                } else {
                    // What is here already is taken even if the time is over.
                    match timeout_at(until, opened.stream.next()).await {
                        Ok(next) => next,
                        Err(_) => break,
                    }
                };
                match next {
                    Some(Ok(delivery)) => self.collecting.push(Delivery::from_lapin(delivery)),
                    Some(Err(error)) => {
                        warn!(queue = self.settings.queue, %error, "the consumer ended");
                        self.opened = None;
                        break;
                    }
                    None => {
                        info!(queue = self.settings.queue, "the consumer was ended");
                        self.opened = None;
                        break;
                    }
                }
            }
            match &self.opened {
                Some(opened) if !self.collecting.is_empty() => {
                    self.delays.reset();
                    let deliveries = std::mem::take(&mut self.collecting);
                    return Batch::new(deliveries, opened.channel.clone(), opened.open.clone());
                }
                _ => {
                    self.line.suspect();
                    sleep(self.delays.next_delay()).await;
                }
            }
        }
    }

    async fn open(&mut self) -> Result<Opened, Error> {
        let channel = self.line.channel().await?;
        channel
            .basic_qos(self.settings.prefetch(), BasicQosOptions::default())
            .await
            .map_err(Error::amqp("set the prefetch"))?;
        let stream = channel
            .basic_consume(
                self.settings.queue.as_str().into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .map_err(Error::amqp("consume"))?;
        Ok(Opened { channel, stream, open: SharedOpen::default() })
    }

    /// The connection stands, so nobody else would declare a work queue that was deleted under it.
    async fn declare_again(&mut self) {
        if !self.bus.declares() || !WORK_QUEUES.contains(&self.settings.queue.as_str()) {
            return;
        }
        let declared = match self.line.up().await {
            Ok(connection) => topology::declare(&connection).await,
            Err(error) => Err(error),
        };
        match declared {
            Ok(()) => warn!(queue = self.settings.queue, "there was no such queue: it is declared again"),
            Err(error) => error!(queue = self.settings.queue, %error, "there is no such queue, and it cannot be made"),
        }
    }

    async fn close(&mut self, why: &str) {
        if let Some(opened) = self.opened.take() {
            warn!(queue = self.settings.queue, why, "giving unsettled deliveries back");
            // If that fails the channel is gone, which is what was wanted.
            let _ = opened.channel.close(200, why.into()).await;
        }
    }
}
