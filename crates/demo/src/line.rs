//! An office's line to the broker: one connection, one channel with confirms, one consumer.

use std::time::Duration;

/// Which delivery a message was.
pub use amqprs::Deliver;
use amqprs::callbacks::{ChannelCallback, ConnectionCallback};
/// A message as it came in.
pub use amqprs::channel::ConsumerMessage as Message;
use amqprs::channel::{
    BasicAckArguments, BasicConsumeArguments, BasicPublishArguments, BasicQosArguments, Channel,
    ConfirmSelectArguments, ConsumerMessage,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::error::Error as AmqpError;
use amqprs::{
    Ack, BasicProperties, Cancel, Close, CloseChannel, DELIVERY_MODE_PERSISTENT, FieldTable, FieldValue, Nack, Return,
};
use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use xacminh_contract::names;
use xacminh_domain::id::OfficeId;

/// How long a connection may take to open.
const OPENING: Duration = Duration::from_secs(60);
/// How many messages the broker hands over before the first is acknowledged.
const PREFETCH: u16 = 50;

/// Where and as whom an office connects.
#[derive(Debug, Clone)]
pub struct Address {
    /// The broker's host, or the relay's.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The vhost.
    pub vhost: String,
    /// The office, whose id is the login.
    pub office: OfficeId,
    /// Its password.
    pub password: String,
}

/// What the broker says about what was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Taken, or not.
    Confirm {
        /// The delivery tag.
        tag: u64,
        /// All lower tags too.
        multiple: bool,
        /// Taken.
        taken: bool,
    },
    /// No queue for it.
    Returned(String),
    /// The broker closed the channel or the connection, and said why.
    Closed(String),
}

/// One message as it goes on the wire.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// The `type` property.
    pub message_type: String,
    /// The routing key.
    pub routing_key: String,
    /// The message id.
    pub message_id: String,
    /// The request it is about.
    pub correlation_id: Option<String>,
    /// When, by the client's clock.
    pub time: String,
    /// Whether the `user-id` is set, which is what proves the sender.
    pub signed: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// An open line.
pub struct Line {
    /// Kept: the last handle dropped closes the connection.
    _connection: Connection,
    channel: Channel,
    office: OfficeId,
    /// What the inbox gives; none when the line is gone.
    pub inbox: UnboundedReceiver<ConsumerMessage>,
    /// What the broker says.
    pub words: UnboundedReceiver<Word>,
    published: u64,
}

impl Line {
    /// Connects, and begins to read the inbox.
    pub async fn open(address: &Address) -> Result<Self> {
        let mut arguments =
            OpenConnectionArguments::new(&address.host, address.port, address.office.as_str(), &address.password);
        arguments.virtual_host(&address.vhost).heartbeat(60).connection_name(address.office.as_str());
        timeout(OPENING, Self::opened(address, &arguments)).await.context("RabbitMQ did not open the line in time")?
    }

    async fn opened(address: &Address, arguments: &OpenConnectionArguments) -> Result<Self> {
        let (say, words) = unbounded_channel();
        let connection = Connection::open(arguments).await?;
        connection.register_callback(Listener(say.clone())).await?;
        let channel = connection.open_channel(None).await?;
        channel.register_callback(Listener(say)).await?;
        channel.confirm_select(ConfirmSelectArguments::new(false)).await?;
        channel.basic_qos(BasicQosArguments::new(0, PREFETCH, false)).await?;
        let consume = BasicConsumeArguments::new(&names::inbox(address.office), "").manual_ack(true).finish();
        let (_, inbox) = channel.basic_consume_rx(consume).await?;
        Ok(Self { _connection: connection, channel, office: address.office, inbox, words, published: 0 })
    }

    /// Publishes, and returns the delivery tag that its confirm will carry.
    pub async fn publish(&mut self, sheet: &Sheet) -> Result<u64> {
        ensure!(self.channel.is_open(), "the channel is closed");
        let mut headers = FieldTable::new();
        let name = names::HEADER_TIME.try_into().map_err(|_| anyhow::anyhow!("a header name too long"))?;
        let time = sheet.time.as_str().try_into().map_err(|_| anyhow::anyhow!("a header too long"))?;
        headers.insert(name, FieldValue::S(time));
        let mut properties = BasicProperties::default();
        properties
            .with_message_id(&sheet.message_id)
            .with_message_type(&sheet.message_type)
            .with_headers(headers)
            .with_delivery_mode(DELIVERY_MODE_PERSISTENT)
            .with_content_type("application/json");
        if sheet.signed {
            properties.with_user_id(self.office.as_str());
        }
        if let Some(id) = &sheet.correlation_id {
            properties.with_correlation_id(id);
        }
        let to = BasicPublishArguments::new(names::EXCHANGE_IN, &sheet.routing_key).mandatory(true).finish();
        self.published += 1;
        self.channel.basic_publish(properties.finish(), sheet.body.clone(), to).await?;
        Ok(self.published)
    }

    /// The office's ledger has it.
    pub async fn ack(&self, tag: u64) -> Result<()> {
        Ok(self.channel.basic_ack(BasicAckArguments::new(tag, false)).await?)
    }

    /// Says goodbye.
    pub async fn close(self) {
        // A line that is gone already needs no goodbye.
        let _ = timeout(Duration::from_secs(5), self.channel.close()).await;
        let _ = timeout(Duration::from_secs(5), self._connection.close()).await;
    }
}

/// Hands on what the broker says; never calls the channel itself, which would wait for itself.
struct Listener(UnboundedSender<Word>);

impl Listener {
    fn say(&self, word: Word) {
        // Nobody listens any more: the line was given up.
        let _ = self.0.send(word);
    }
}

#[async_trait]
impl ConnectionCallback for Listener {
    async fn close(&mut self, _: &Connection, close: Close) -> Result<(), AmqpError> {
        self.say(Word::Closed(close.reply_text().clone()));
        Ok(())
    }
    async fn blocked(&mut self, _: &Connection, _: String) {}
    async fn unblocked(&mut self, _: &Connection) {}
    async fn secret_updated(&mut self, _: &Connection) {}
}

#[async_trait]
impl ChannelCallback for Listener {
    async fn close(&mut self, _: &Channel, close: CloseChannel) -> Result<(), AmqpError> {
        self.say(Word::Closed(close.reply_text().clone()));
        Ok(())
    }
    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), AmqpError> {
        self.say(Word::Closed("the inbox's consumer was cancelled".to_owned()));
        Ok(())
    }
    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, AmqpError> {
        Ok(active)
    }
    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.say(Word::Confirm { tag: ack.delivery_tag(), multiple: ack.mutiple(), taken: true });
    }
    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        self.say(Word::Confirm { tag: nack.delivery_tag(), multiple: nack.multiple(), taken: false });
    }
    async fn publish_return(&mut self, _: &Channel, _: Return, properties: BasicProperties, _: Vec<u8>) {
        self.say(Word::Returned(properties.message_id().cloned().unwrap_or_default()));
    }
}
