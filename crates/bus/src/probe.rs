//! Does anybody read this inbox? Asked live, over AMQP.
//!
//! The management API answers from statistics that are seconds old; a passive declare is answered
//! by the queue itself. It fails by closing the channel if there is no such queue.

use futures_util::future::join_all;
use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use crate::Error;
use crate::connection::{Bus, Line};

/// How many channels ask at the same time.
const CHANNELS: usize = 8;

/// What is known of an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboxSight {
    /// There is no such queue.
    Missing,
    /// It is there.
    There {
        /// How many consumers it has. 0: nobody reads it.
        consumers: u32,
        /// How many messages wait for a consumer; those in a consumer's hands do not count.
        waiting: u32,
    },
}

impl InboxSight {
    /// Has it a reader?
    pub fn has_reader(self) -> bool {
        matches!(self, Self::There { consumers, .. } if consumers > 0)
    }
}

/// Asks about inboxes.
pub struct InboxProbe {
    // Keeps the connections alive.
    _bus: Bus,
    line: Line,
}

impl InboxProbe {
    pub(crate) fn new(bus: Bus, line: Line) -> Self {
        Self { _bus: bus, line }
    }

    /// What is known of each of these queues, at the same places.
    pub async fn look(&self, queues: &[String]) -> Result<Vec<InboxSight>, Error> {
        let share = queues.len().div_ceil(CHANNELS).max(1);
        let asking: Vec<_> = queues.chunks(share).map(|part| self.look_at(part)).collect();
        let parts = join_all(asking).await;
        let mut sights = Vec::with_capacity(queues.len());
        for part in parts {
            sights.extend(part?);
        }
        Ok(sights)
    }

    async fn look_at(&self, queues: &[String]) -> Result<Vec<InboxSight>, Error> {
        let mut sights = Vec::with_capacity(queues.len());
        let mut channel: Option<Channel> = None;
        for queue in queues {
            let asking = match channel.take() {
                Some(channel) => channel,
                None => self.open().await?,
            };
            let options = QueueDeclareOptions { passive: true, ..Default::default() };
            match asking.queue_declare(queue.as_str().into(), options, FieldTable::default()).await {
                Ok(found) => {
                    sights
                        .push(InboxSight::There { consumers: found.consumer_count(), waiting: found.message_count() });
                    channel = Some(asking);
                }
                Err(error) => {
                    let error = Error::amqp("look at an inbox")(error);
                    if !error.is_not_found() {
                        return Err(error);
                    }
                    sights.push(InboxSight::Missing);
                }
            }
        }
        if let Some(channel) = channel {
            // Nothing depends on it.
            let _ = channel.close(200, "seen".into()).await;
        }
        Ok(sights)
    }

    async fn open(&self) -> Result<Channel, Error> {
        let connection = self.line.now().ok_or(Error::Away)?;
        connection.create_channel().await.map_err(Error::amqp("open a channel"))
    }
}
