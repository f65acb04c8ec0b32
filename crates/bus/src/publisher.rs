//! Sends messages and says of each what became of it.
//!
//! They are sent through a few confirm channels, their confirms awaited together; what goes to one
//! queue goes through one channel, so that it keeps its order. More than one, because RabbitMQ
//! stops a channel at its first message to a quorum queue until that queue has noted its new sender
//! on disk: over thousands of inboxes one channel waits for thousands of disk writes in a row, some
//! channels wait for shared ones.
//!
//! A message that no queue takes comes back before its confirm does; lapin hands it to whichever
//! confirm is next, so it is told by its message-id alone.

use std::array;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesOrdered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::Mutex;

use crate::Error;
use crate::connection::{Bus, Line};

/// The most messages of a channel under way without a confirm. RabbitMQ and lapin both slow down
/// past 1,000.
const UNDER_WAY: usize = 800;
/// How many channels a publisher spreads the queues over. Measured with 3,200 inboxes, each getting
/// its first message, over all publishers of a process together: 1 channel 9 s, 8 5 s, 32 1.3 s. A relay has four
/// publishers; more channels than that takes make RabbitMQ and the process wake for less at a time.
const CHANNELS: usize = 4;
const PERSISTENT: u8 = 2;

/// A message to send.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The exchange; the empty one delivers to the queue named by the routing key.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// Its id, the same at each sending. Different from all others of the same call.
    pub message_id: String,
    /// The `type` property.
    pub message_type: String,
    /// The request it is about, if any.
    pub correlation_id: Option<String>,
    /// Headers, `xm-time` among them.
    pub headers: Vec<(String, String)>,
    /// The body, JSON.
    pub body: Vec<u8>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is on disk in its queue.
    Confirmed,
    /// No queue takes it, in RabbitMQ's words: the inbox is not there.
    Returned(String),
    /// Not known, because the connection was lost or is away: send it again with the same id.
    Unknown,
    /// RabbitMQ could not keep it: to be sent again, later.
    Nacked,
    /// Not sent: a text of it is too long for AMQP (255 bytes). Sending it again will not help.
    Unfit,
}

/// A way to send. Calls take turns: for more at once make more of them.
pub struct Publisher {
    // Keeps the connections alive, too.
    bus: Bus,
    line: Line,
    channels: [Mutex<Option<Channel>>; CHANNELS],
}

impl Publisher {
    pub(crate) fn new(bus: Bus, line: Line) -> Self {
        Self { bus, line, channels: array::from_fn(|_| Mutex::new(None)) }
    }

    /// Waits until there is a connection to send by.
    pub async fn ready(&self) -> Result<(), Error> {
        self.line.clone().up().await.map(drop)
    }

    /// Whether RabbitMQ stands and takes no messages: what is being sent waits until it does.
    pub fn is_blocked(&self) -> bool {
        self.bus.state().borrow().publishing.blocked.is_some()
    }

    /// Sends all, those to one queue in this order, and returns an outcome for each at the same
    /// place. Does not wait for a connection: without one, all are [`Outcome::Unknown`]. Takes as
    /// long as RabbitMQ takes, so a caller with a deadline puts a timeout around it (and sends
    /// again).
    pub async fn publish_all(&self, messages: Vec<Outgoing>) -> Vec<Outcome> {
        let mut shares: [Vec<(usize, Outgoing)>; CHANNELS] = array::from_fn(|_| Vec::new());
        let mut outcomes = vec![Outcome::Unknown; messages.len()];
        for (place, message) in messages.into_iter().enumerate() {
            shares[channel_of(&message)].push((place, message));
        }
        let sending =
            shares.into_iter().zip(&self.channels).filter(|(share, _)| !share.is_empty()).map(async |(share, slot)| {
                let (places, messages): (Vec<usize>, Vec<Outgoing>) = share.into_iter().unzip();
                (places, self.publish_share(slot, &messages).await)
            });
        for (places, of_share) in join_all(sending).await {
            for (place, outcome) in places.into_iter().zip(of_share) {
                outcomes[place] = outcome;
            }
        }
        outcomes
    }

    /// Sends one channel's share, in this order.
    async fn publish_share(&self, slot: &Mutex<Option<Channel>>, messages: &[Outgoing]) -> Vec<Outcome> {
        let mut slot = slot.lock().await;
        let mut outcomes = Vec::with_capacity(messages.len());
        for chunk in messages.chunks(UNDER_WAY) {
            // Taken out for the time of the sending: if this future is dropped, confirms still to
            // come must not meet the messages of the next call.
            let usable = slot.take().filter(|c| c.status().connected());
            let channel = match usable {
                Some(channel) => channel,
                None => match self.open().await {
                    Ok(channel) => channel,
                    Err(_) => {
                        outcomes.resize(messages.len(), Outcome::Unknown);
                        break;
                    }
                },
            };
            publish_chunk(&channel, chunk, &mut outcomes).await;
            if channel.status().connected() {
                *slot = Some(channel);
            } else {
                self.line.suspect();
            }
        }
        outcomes
    }

    async fn open(&self) -> Result<Channel, Error> {
        let connection = self.line.now().ok_or(Error::Away)?;
        let channel = connection.create_channel().await.map_err(Error::amqp("open a channel"))?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(Error::amqp("ask for confirms"))?;
        Ok(channel)
    }
}

/// Which channel a message goes through: always the same for one queue.
fn channel_of(message: &Outgoing) -> usize {
    let mut hasher = DefaultHasher::new();
    (&message.exchange, &message.routing_key).hash(&mut hasher);
    usize::try_from(hasher.finish() % CHANNELS as u64).unwrap_or_default()
}

async fn publish_chunk(channel: &Channel, chunk: &[Outgoing], outcomes: &mut Vec<Outcome>) {
    // Each future writes when it is first polled, which happens in this order.
    let sending: FuturesOrdered<_> = chunk.iter().map(|message| send(channel, message)).collect();
    let sent: Vec<Sent> = sending.collect().await;

    let mut returned = HashMap::new();
    let begin = outcomes.len();
    for confirm in sent {
        let confirm = match confirm {
            Sent::Unfit => {
                outcomes.push(Outcome::Unfit);
                continue;
            }
            Sent::Lost => {
                outcomes.push(Outcome::Unknown);
                continue;
            }
            Sent::Written(confirm) => confirm.await,
        };
        outcomes.push(match &confirm {
            Ok(Confirmation::Ack(_)) => Outcome::Confirmed,
            Ok(Confirmation::Nack(_)) => Outcome::Nacked,
            // The channel is in confirm mode, so this cannot be; and if it were, nobody confirmed.
            Ok(Confirmation::NotRequested) | Err(_) => Outcome::Unknown,
        });
        let back = confirm.ok().and_then(Confirmation::take_message);
        if let Some(back) = back {
            let id = back.properties.message_id().as_ref().map(ToString::to_string);
            returned.insert(id, back.reply_text.to_string());
        }
    }
    // Only now: a return may have come with the confirm of any other message of the chunk, and
    // with one of another chunk never, because each return precedes its own confirm.
    if !returned.is_empty() {
        for (message, outcome) in chunk.iter().zip(&mut outcomes[begin..]) {
            if let Some(reason) = returned.remove(&Some(message.message_id.clone())) {
                *outcome = Outcome::Returned(reason);
            }
        }
    }
}

enum Sent {
    Written(lapin::PublisherConfirm),
    Lost,
    Unfit,
}

async fn send(channel: &Channel, message: &Outgoing) -> Sent {
    let Some((exchange, routing_key, properties)) = envelope(message) else { return Sent::Unfit };
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    match channel.basic_publish(exchange, routing_key, options, &message.body, properties).await {
        Ok(confirm) => Sent::Written(confirm),
        Err(_) => Sent::Lost,
    }
}

fn envelope(message: &Outgoing) -> Option<(ShortString, ShortString, BasicProperties)> {
    // Not `into()`, which panics on a text that is too long.
    let short = |text: &str| ShortString::try_new(text).ok();
    let mut headers = FieldTable::default();
    for (name, value) in &message.headers {
        headers.insert(short(name)?, AMQPValue::LongString(value.as_str().into()));
    }
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(short(&message.message_id)?)
        .with_type(short(&message.message_type)?)
        .with_headers(headers);
    if let Some(id) = &message.correlation_id {
        properties = properties.with_correlation_id(short(id)?);
    }
    Some((short(&message.exchange)?, short(&message.routing_key)?, properties))
}
