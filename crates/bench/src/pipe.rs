//! The floor's way to RabbitMQ: batches in, batches out, acknowledged when what followed is confirmed.
//!
//! Written anew on lapin and not on the product's `bus`, so that what is slow there is not slow here.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;
use xacminh_contract::names::{HEADER_EPOCH, HEADER_TIME};

/// How many messages share a statement at most. The more, the more receipts share a message: with 200 it was
/// 7.8 messages a life at 32 offices and 2,030 lives a second, with 1,000 it was 7.4 and 2,310 (runs of 10 s).
const BATCH: usize = 1_000;
/// How many batches RabbitMQ sends ahead.
const AHEAD: usize = 4;
/// How long the first message of a batch waits for company. Longer (8, 10 ms) gave nothing: under load there is
/// company.
const LINGER: Duration = Duration::from_millis(2);
/// Over how many channels inboxes are spread.
const CHANNELS: usize = 8;

/// A queue, batch by batch.
pub(crate) struct Inlet {
    channel: Channel,
    consumer: Consumer,
}

impl Inlet {
    pub(crate) async fn open(connection: &Connection, queue: &str) -> Result<Self> {
        let channel = connection.create_channel().await?;
        let prefetch = u16::try_from(BATCH * AHEAD)?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let consumer = channel
            .basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await?;
        Ok(Self { channel, consumer })
    }

    /// The next messages, at least one.
    pub(crate) async fn batch(&mut self) -> Result<Vec<Delivery>> {
        let mut batch = vec![self.consumer.next().await.context("the queue is gone")??];
        let until = Instant::now() + LINGER;
        while batch.len() < BATCH {
            match timeout_at(until, self.consumer.next()).await {
                Ok(delivery) => batch.push(delivery.context("the queue is gone")??),
                Err(_) => break,
            }
        }
        Ok(batch)
    }

    /// A way to acknowledge, for another task.
    pub(crate) fn acks(&self) -> Acks {
        Acks(self.channel.clone())
    }
}

/// Acknowledges what an inlet gave.
#[derive(Clone)]
pub(crate) struct Acks(Channel);

impl Acks {
    /// Everything up to this delivery.
    pub(crate) async fn up_to(&self, tag: u64) -> Result<()> {
        Ok(self.0.basic_ack(tag, BasicAckOptions { multiple: true }).await?)
    }
}

/// A message to an inbox.
pub(crate) struct Out {
    pub(crate) inbox: String,
    pub(crate) kind: &'static str,
    pub(crate) about: String,
    pub(crate) time: String,
    pub(crate) body: Vec<u8>,
}

/// Publishes with confirms, over some channels; what goes to one inbox goes over one.
pub(crate) struct Outlet {
    channels: Vec<Channel>,
    epoch: String,
}

impl Outlet {
    pub(crate) async fn open(connection: &Connection) -> Result<Self> {
        let mut channels = Vec::with_capacity(CHANNELS);
        for _ in 0..CHANNELS {
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            channels.push(channel);
        }
        Ok(Self { channels, epoch: Uuid::now_v7().to_string() })
    }

    /// Publishes all and waits until RabbitMQ has them.
    pub(crate) async fn publish(&self, all: Vec<Out>) -> Result<()> {
        let sending: FuturesOrdered<_> = all.iter().map(|out| self.send(out)).collect();
        let confirms: Vec<_> = sending.collect().await;
        for confirm in confirms {
            let confirmation = confirm?.await?;
            ensure!(matches!(confirmation, Confirmation::Ack(None)), "not taken: {confirmation:?}");
        }
        Ok(())
    }

    async fn send(&self, out: &Out) -> Result<lapin::PublisherConfirm> {
        let mut hasher = DefaultHasher::new();
        out.inbox.hash(&mut hasher);
        let channel = &self.channels[usize::try_from(hasher.finish() % CHANNELS as u64)?];
        let mut headers = FieldTable::default();
        headers.insert(HEADER_TIME.into(), AMQPValue::LongString(out.time.as_str().into()));
        headers.insert(HEADER_EPOCH.into(), AMQPValue::LongString(self.epoch.as_str().into()));
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into())
            .with_message_id(Uuid::now_v7().to_string().into())
            .with_type(out.kind.into())
            .with_correlation_id(out.about.as_str().into())
            .with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        Ok(channel.basic_publish("".into(), out.inbox.as_str().into(), options, &out.body, properties).await?)
    }
}

/// One connection.
pub(crate) async fn connect(url: &str, name: &str) -> Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    Ok(Connection::connect(url, properties).await?)
}
