//! Which exchanges and queues there are, declared by whoever connects first, and again by whoever
//! wants to read a queue that is not there.
//!
//! ```text
//!   offices ─▶ xacminh.in ─┬─ submit.urgent … close.normal ────▶ xacminh.work.intake
//!             (topic)      ├─ submit.bulk … close.bulk ────────▶ xacminh.work.bulk
//!                          ├─ request.received … reconcile.report ▶ xacminh.work.answering
//!                          └─ anything else ─▶ xacminh.unrouted ▶ xacminh.work.unrouted
//!
//!   us ─▶ (default exchange) ─▶ xacminh.office.<id> ─ given up on ─▶ xacminh.rejected
//!                                                                     └▶ xacminh.work.rejected
//! ```
//!
//! The inboxes are not declared here but when an office is granted access (`access.rs`). The work
//! queues have no delivery limit: each lost connection would count as a failed delivery, so that a
//! broker killed often enough would drop good messages. What cannot be handled is parked instead.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ExchangeKind};
use xacminh_contract::names::{
    EXCHANGE_EVENT, EXCHANGE_IN, EXCHANGE_REJECTED, EXCHANGE_UNROUTED, QUEUE_ANSWERING, QUEUE_BULK, QUEUE_INTAKE,
    QUEUE_REJECTED, QUEUE_UNROUTED,
};

use crate::Error;
use crate::error::{PRECONDITION_FAILED, reply_code};

/// The queues the services read.
pub const WORK_QUEUES: [&str; 5] = [QUEUE_INTAKE, QUEUE_BULK, QUEUE_ANSWERING, QUEUE_UNROUTED, QUEUE_REJECTED];

/// The exchanges: name, kind, and where goes what no binding takes.
pub const EXCHANGES: [(&str, &str, Option<&str>); 4] = [
    (EXCHANGE_UNROUTED, "fanout", None),
    (EXCHANGE_REJECTED, "fanout", None),
    (EXCHANGE_EVENT, "topic", None),
    (EXCHANGE_IN, "topic", Some(EXCHANGE_UNROUTED)),
];

/// Queue, exchange, routing key.
pub const BINDINGS: [(&str, &str, &str); 16] = [
    (QUEUE_INTAKE, EXCHANGE_IN, "submit.urgent"),
    (QUEUE_INTAKE, EXCHANGE_IN, "submit.normal"),
    (QUEUE_INTAKE, EXCHANGE_IN, "withdraw.urgent"),
    (QUEUE_INTAKE, EXCHANGE_IN, "withdraw.normal"),
    (QUEUE_INTAKE, EXCHANGE_IN, "close.urgent"),
    (QUEUE_INTAKE, EXCHANGE_IN, "close.normal"),
    (QUEUE_BULK, EXCHANGE_IN, "submit.bulk"),
    (QUEUE_BULK, EXCHANGE_IN, "withdraw.bulk"),
    (QUEUE_BULK, EXCHANGE_IN, "close.bulk"),
    (QUEUE_ANSWERING, EXCHANGE_IN, "request.received"),
    (QUEUE_ANSWERING, EXCHANGE_IN, "request.opened"),
    (QUEUE_ANSWERING, EXCHANGE_IN, "answer.give"),
    (QUEUE_ANSWERING, EXCHANGE_IN, "answer.read"),
    (QUEUE_ANSWERING, EXCHANGE_IN, "reconcile.report"),
    (QUEUE_UNROUTED, EXCHANGE_UNROUTED, ""),
    (QUEUE_REJECTED, EXCHANGE_REJECTED, ""),
];

/// Declares all of it. What is there already is compared: a difference is an error that names it.
pub(crate) async fn declare(connection: &Connection) -> Result<(), Error> {
    let channel = connection.create_channel().await.map_err(Error::amqp("open a channel"))?;

    for (name, kind, otherwise) in EXCHANGES {
        let mut arguments = FieldTable::default();
        if let Some(otherwise) = otherwise {
            arguments.insert("alternate-exchange".into(), text(otherwise));
        }
        let kind = if kind == "topic" { ExchangeKind::Topic } else { ExchangeKind::Fanout };
        exchange(&channel, name, kind, arguments).await?;
    }

    for queue in WORK_QUEUES {
        // The default type is classic, which does not sync to disk before it confirms.
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), text("quorum"));
        channel
            .queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments)
            .await
            .map_err(|error| different(queue, "declare a queue", error))?;
    }
    for (queue, exchange, key) in BINDINGS {
        channel
            .queue_bind(queue.into(), exchange.into(), key.into(), QueueBindOptions::default(), FieldTable::default())
            .await
            .map_err(Error::amqp("bind a queue"))?;
    }
    channel.close(200, "declared".into()).await.map_err(Error::amqp("close a channel"))
}

async fn exchange(
    channel: &Channel,
    name: &'static str,
    kind: ExchangeKind,
    arguments: FieldTable,
) -> Result<(), Error> {
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel
        .exchange_declare(name.into(), kind, options, arguments)
        .await
        .map_err(|error| different(name, "declare an exchange", error))
}

fn different(name: &str, doing: &'static str, error: lapin::Error) -> Error {
    if reply_code(&error) == Some(PRECONDITION_FAILED) {
        let said = error.to_string();
        // RabbitMQ's own words for a classic queue are "current is none".
        let found = if said.contains("x-queue-type") {
            format!("a quorum queue belongs here, and it is of another type ({said})")
        } else {
            said
        };
        Error::Different { name: name.to_owned(), found }
    } else {
        Error::amqp(doing)(error)
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

#[cfg(test)]
mod tests {
    use xacminh_contract::envelope::CommandType;

    use super::*;

    #[test]
    fn every_message_of_the_contract_has_a_queue() {
        for command in CommandType::ALL {
            for key in command.routing_keys() {
                let queues = BINDINGS.iter().filter(|b| b.1 == EXCHANGE_IN && b.2 == *key).count();
                assert_eq!(queues, 1, "{key}");
            }
        }
    }
}
