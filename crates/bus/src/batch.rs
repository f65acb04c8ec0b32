//! Messages taken together, and the four ways to settle them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};

use crate::{Delivery, Error};

/// What a channel's batches know of each other.
#[derive(Default)]
pub(crate) struct Open {
    /// The first tag of each batch that is not settled. A `multiple` acknowledgement covers every
    /// lower tag, so only the oldest batch may use it.
    firsts: BTreeSet<u64>,
    /// A batch was dropped unsettled: the channel has to be closed for its messages to come again.
    pub(crate) abandoned: bool,
}

pub(crate) type SharedOpen = Arc<Mutex<Open>>;

pub(crate) fn lock(open: &SharedOpen) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Messages of one queue, in its order. Whoever drops a batch unsettled gives its messages back:
/// the consumer opens a new channel, and they are delivered again.
pub struct Batch {
    /// The messages.
    pub deliveries: Vec<Delivery>,
    /// Tags of those not settled yet, ascending.
    unsettled: BTreeSet<u64>,
    first: u64,
    channel: Channel,
    open: SharedOpen,
}

impl Batch {
    pub(crate) fn new(deliveries: Vec<Delivery>, channel: Channel, open: SharedOpen) -> Self {
        let unsettled: BTreeSet<u64> = deliveries.iter().map(|d| d.tag).collect();
        let first = unsettled.first().copied().unwrap_or_default();
        lock(&open).firsts.insert(first);
        Self { deliveries, unsettled, first, channel, open }
    }

    /// How many messages.
    pub fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// Never true of a batch that came from a consumer.
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// All that is not settled yet is stored: the queue may forget it. One frame for the lot if no
    /// older batch of this queue is still open. On an error RabbitMQ delivers them again.
    pub async fn ack_all(mut self) -> Result<(), Error> {
        let oldest = lock(&self.open).firsts.first() == Some(&self.first);
        if oldest {
            // The highest one that is unsettled: acknowledging a tag twice closes the channel.
            if let Some(highest) = self.unsettled.last().copied() {
                self.ack(highest, true).await?;
            }
        } else {
            for tag in self.unsettled.clone() {
                self.ack(tag, false).await?;
            }
        }
        self.close();
        Ok(())
    }

    /// The message at this place in [`Batch::deliveries`] is stored. Once: a second time, or a
    /// place that is not there, does nothing.
    pub async fn ack_one(&mut self, index: usize) -> Result<(), Error> {
        if let Some(tag) = self.deliveries.get(index).map(|d| d.tag)
            && self.unsettled.contains(&tag)
        {
            self.ack(tag, false).await?;
            self.unsettled.remove(&tag);
        }
        Ok(())
    }

    /// What is not settled yet goes back to the queue, to be delivered again *at once*: wait first
    /// if what failed needs time.
    pub async fn release(mut self) -> Result<(), Error> {
        for tag in self.unsettled.clone() {
            let options = BasicNackOptions { multiple: false, requeue: true };
            self.channel.basic_nack(tag, options).await.map_err(|e| self.lost(e))?;
        }
        self.close();
        Ok(())
    }

    async fn ack(&self, tag: u64, multiple: bool) -> Result<(), Error> {
        self.channel.basic_ack(tag, BasicAckOptions { multiple }).await.map_err(|e| self.lost(e))
    }

    fn lost(&self, error: lapin::Error) -> Error {
        if self.channel.status().connected() {
            Error::amqp("acknowledge a delivery")(error)
        } else {
            Error::DeliveryLost
        }
    }

    fn close(&mut self) {
        self.unsettled.clear();
        lock(&self.open).firsts.remove(&self.first);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        open.firsts.remove(&self.first);
        open.abandoned |= !self.unsettled.is_empty();
    }
}
