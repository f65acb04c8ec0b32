//! How long a message RabbitMQ takes: tried, because no API tells it.
//!
//! The message goes to the default exchange under a key that no queue has. RabbitMQ judges its size
//! first (406), and drops it after that: nothing is stored.

use std::time::Duration;

use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use tokio::time::timeout;

use crate::Error;
use crate::connection::Line;
use crate::error::{PRECONDITION_FAILED, reply_code};

/// A key that no queue has, since every queue of ours begins otherwise.
const NOBODY: &str = "xacminh.nobody";
/// A node short of memory takes nothing at all.
const ANSWER: Duration = Duration::from_secs(10);

/// Whether RabbitMQ takes a message of more than so many bytes.
pub(crate) async fn takes_more_than(line: &mut Line, bytes: usize) -> Result<bool, Error> {
    let trying = async {
        let channel = line.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(Error::amqp("ask for confirms"))?;
        let body = vec![b' '; bytes + 1];
        let properties = BasicProperties::default();
        let sent = channel
            .basic_publish("".into(), NOBODY.into(), BasicPublishOptions::default(), &body, properties)
            .await
            .map_err(Error::amqp("publish"))?
            .await;
        match sent {
            Err(error) if reply_code(&error) == Some(PRECONDITION_FAILED) => Ok(false),
            Err(error) => Err(Error::amqp("publish a message of some size")(error)),
            Ok(_) => {
                // Nothing depends on it.
                let _ = channel.close(200, "tried".into()).await;
                Ok(true)
            }
        }
    };
    timeout(ANSWER, trying).await.unwrap_or(Err(Error::Silent(ANSWER.as_secs())))
}
