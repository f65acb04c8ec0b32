//! A message as it came in: bytes and properties, without a word of lapin.

use lapin::message::Delivery as LapinDelivery;
use lapin::types::{AMQPValue, ShortString};

/// What RabbitMQ says about a message, apart from its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Incoming {
    /// The login that sent it. RabbitMQ lets nobody name another, but a sender may leave it out.
    pub user_id: Option<String>,
    /// The sender's id of the message, as text: nothing is checked here.
    pub message_id: Option<String>,
    /// The `type` property.
    pub message_type: Option<String>,
    /// The request it is about.
    pub correlation_id: Option<String>,
    /// What the body is said to be.
    pub content_type: Option<String>,
    /// Headers that are text or numbers; others are left out.
    pub headers: Vec<(String, String)>,
    /// Where it was sent to.
    pub exchange: String,
    /// And with which key.
    pub routing_key: String,
    /// Was it given to somebody before? Not a sign of trouble: a lost connection does that.
    pub redelivered: bool,
}

impl Incoming {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The queue that first gave the message up, for what comes out of `xacminh.work.rejected`.
    pub fn first_death_queue(&self) -> Option<&str> {
        self.header("x-first-death-queue")
    }
}

/// A message and its place in the queue's channel.
#[derive(Debug)]
pub struct Delivery {
    /// The body.
    pub bytes: Vec<u8>,
    /// The rest.
    pub properties: Incoming,
    pub(crate) tag: u64,
}

impl Delivery {
    /// One that came some other time and was kept: of no channel, so there is nothing to settle.
    pub fn kept(bytes: Vec<u8>, properties: Incoming) -> Self {
        Self { bytes, properties, tag: 0 }
    }

    pub(crate) fn from_lapin(delivery: LapinDelivery) -> Self {
        let own = |text: &Option<ShortString>| text.as_ref().map(|t| t.as_str().to_owned());
        let p = &delivery.properties;
        let headers = p.headers().iter().flat_map(|table| table.inner().iter());
        let headers = headers.filter_map(|(k, v)| Some((k.as_str().to_owned(), header_text(v)?)));
        Self {
            properties: Incoming {
                user_id: own(p.user_id()),
                message_id: own(p.message_id()),
                message_type: own(p.kind()),
                correlation_id: own(p.correlation_id()),
                content_type: own(p.content_type()),
                headers: headers.collect(),
                exchange: delivery.exchange.as_str().to_owned(),
                routing_key: delivery.routing_key.as_str().to_owned(),
                redelivered: delivery.redelivered,
            },
            tag: delivery.delivery_tag,
            bytes: delivery.data,
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "tables, arrays and floats say nothing to us")]
fn header_text(value: &AMQPValue) -> Option<String> {
    Some(match value {
        AMQPValue::LongString(text) => text.to_string(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::Boolean(v) => v.to_string(),
        AMQPValue::ShortShortInt(v) => v.to_string(),
        AMQPValue::ShortShortUInt(v) => v.to_string(),
        AMQPValue::ShortInt(v) => v.to_string(),
        AMQPValue::ShortUInt(v) => v.to_string(),
        AMQPValue::LongInt(v) => v.to_string(),
        AMQPValue::LongUInt(v) => v.to_string(),
        AMQPValue::LongLongInt(v) => v.to_string(),
        AMQPValue::Timestamp(v) => v.to_string(),
        _ => return None,
    })
}
