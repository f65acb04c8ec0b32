//! An office's own system: an AMQP client with the office's login and nothing of the broker's.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ErrorKind};
use tokio::time::timeout;
use xacminh_contract::names;
use xacminh_domain::id::OfficeId;

use crate::PATIENCE;
use crate::servers::with_login;

/// A message of an office's.
#[derive(Debug, Clone, Default)]
pub struct OfficeMessage {
    /// The `type` property.
    pub message_type: String,
    /// The routing key.
    pub routing_key: String,
    /// The message id.
    pub message_id: String,
    /// The request it is about.
    pub correlation_id: Option<String>,
    /// The body.
    pub body: Vec<u8>,
    /// The `user-id` property: its own login if it behaves, another's or none if it does not.
    pub user_id: Option<String>,
    /// Text headers.
    pub headers: Vec<(String, String)>,
}

/// What RabbitMQ did with an office's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// Took it.
    Confirmed,
    /// Found no queue for it.
    Returned(String),
    /// Could not keep it.
    Nacked,
    /// Closed the channel, with this code and text.
    Refused(u16, String),
}

/// A connected office.
pub struct OfficeClient {
    office: OfficeId,
    connection: Connection,
    channel: Channel,
    consumer: Option<Consumer>,
}

impl OfficeClient {
    /// Connects with the office's login to the virtual host of this address.
    pub async fn connect(url: &str, office: OfficeId, password: &str) -> Result<Self> {
        let properties = ConnectionProperties::default().with_connection_name(office.as_str().into());
        let url = with_login(url, office.as_str(), password);
        let connection = timeout(PATIENCE, Connection::connect(&url, properties))
            .await
            .context("RabbitMQ does not answer an office")??;
        let channel = confirming_channel(&connection).await?;
        Ok(Self { office, connection, channel, consumer: None })
    }

    /// Which office.
    pub fn office(&self) -> OfficeId {
        self.office
    }

    /// Its login, which is what an honest `user-id` says.
    pub fn login(&self) -> String {
        self.office.to_string()
    }

    /// Its channel, for what this client has no function for.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Another channel, for what is expected to close one.
    pub async fn new_channel(&self) -> Result<Channel> {
        confirming_channel(&self.connection).await
    }

    /// Publishes to `xacminh.in`, as an office does, and waits for the confirm.
    pub async fn publish(&mut self, message: OfficeMessage) -> Result<Sent> {
        self.publish_to(names::EXCHANGE_IN, message).await
    }

    /// Publishes to any exchange. A channel that RabbitMQ closed is replaced by a new one.
    pub async fn publish_to(&mut self, exchange: &str, message: OfficeMessage) -> Result<Sent> {
        let properties = properties_of(&message);
        let sending = async {
            self.channel
                .basic_publish(
                    exchange.into(),
                    message.routing_key.as_str().into(),
                    BasicPublishOptions { mandatory: true, immediate: false },
                    &message.body,
                    properties,
                )
                .await?
                .await
        };
        match timeout(PATIENCE, sending).await.context("no confirm came")? {
            Ok(Confirmation::Ack(Some(back))) => Ok(Sent::Returned(back.reply_text.to_string())),
            Ok(Confirmation::Ack(None)) => Ok(Sent::Confirmed),
            Ok(Confirmation::Nack(_)) => Ok(Sent::Nacked),
            Ok(Confirmation::NotRequested) => bail!("the channel does not confirm"),
            Err(error) => {
                let ErrorKind::ProtocolError(said) = error.kind() else { return Err(error.into()) };
                let refused = Sent::Refused(said.get_id(), said.get_message().to_string());
                self.channel = confirming_channel(&self.connection).await?;
                self.consumer = None;
                Ok(refused)
            }
        }
    }

    /// Publishes many to `xacminh.in` without a wait between them, and waits until RabbitMQ has all.
    pub async fn publish_all(&mut self, messages: &[OfficeMessage]) -> Result<()> {
        for some in messages.chunks(500) {
            let mut confirms = Vec::with_capacity(some.len());
            for message in some {
                let publishing = self.channel.basic_publish(
                    names::EXCHANGE_IN.into(),
                    message.routing_key.as_str().into(),
                    BasicPublishOptions::default(),
                    &message.body,
                    properties_of(message),
                );
                confirms.push(publishing.await?);
            }
            for confirm in confirms {
                let confirmed = timeout(PATIENCE, confirm).await.context("no confirm came")??;
                if !matches!(confirmed, Confirmation::Ack(None)) {
                    bail!("RabbitMQ said {confirmed:?}");
                }
            }
        }
        Ok(())
    }

    /// Begins to read its inbox, with so many messages at a time. [`OfficeClient::next`] does it by
    /// itself; by hand it tells when the office counts as a reader.
    pub async fn read_inbox(&mut self, prefetch: u16) -> Result<()> {
        let (inbox, channel) = (names::inbox(self.office), &self.channel);
        let opening = async {
            channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
            channel.basic_consume(inbox.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default()).await
        };
        self.consumer = Some(timeout(PATIENCE, opening).await.context("RabbitMQ opens no consumer")??);
        Ok(())
    }

    /// The next message of its inbox; an error if none comes.
    pub async fn next(&mut self) -> Result<Delivery> {
        let office = self.office;
        self.next_within(PATIENCE).await?.with_context(|| format!("nothing came to {office}"))
    }

    /// The next message of its inbox, or none if none comes within this time.
    pub async fn next_within(&mut self, within: Duration) -> Result<Option<Delivery>> {
        if self.consumer.is_none() {
            self.read_inbox(100).await?;
        }
        let consumer = self.consumer.as_mut().expect("just opened");
        match timeout(within, consumer.next()).await {
            Err(_) => Ok(None),
            Ok(Some(delivery)) => Ok(Some(delivery?)),
            Ok(None) => bail!("the inbox's consumer was ended"),
        }
    }

    /// The office's system stored it.
    pub async fn ack(&self, delivery: &Delivery) -> Result<()> {
        delivery.ack(BasicAckOptions::default()).await?;
        Ok(())
    }

    /// The office's system could not store it, and gives it back.
    pub async fn give_back(&self, delivery: &Delivery) -> Result<()> {
        delivery.nack(BasicNackOptions { requeue: true, multiple: false }).await?;
        Ok(())
    }

    /// Ends the connection in order.
    pub async fn close(self) -> Result<()> {
        Ok(self.connection.close(200, "bye".into()).await?)
    }
}

/// A text header of a message that came.
pub fn header(delivery: &Delivery, name: &str) -> Option<String> {
    let headers = delivery.properties.headers().as_ref()?;
    Some(headers.inner().get(name)?.as_long_string()?.to_string())
}

/// The properties that an office's message travels with.
fn properties_of(message: &OfficeMessage) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in &message.headers {
        headers.insert(name.as_str().into(), AMQPValue::LongString(value.as_str().into()));
    }
    let mut properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_message_id(message.message_id.as_str().into())
        .with_type(message.message_type.as_str().into())
        .with_headers(headers);
    if let Some(user) = &message.user_id {
        properties = properties.with_user_id(user.as_str().into());
    }
    if let Some(id) = &message.correlation_id {
        properties = properties.with_correlation_id(id.as_str().into());
    }
    properties
}

async fn confirming_channel(connection: &Connection) -> Result<Channel> {
    let opening = async {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    };
    // A node that goes away in the middle leaves such a question without an answer.
    timeout(PATIENCE, opening).await.context("RabbitMQ opens no channel")?
}
