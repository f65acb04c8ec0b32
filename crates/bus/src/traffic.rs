//! How many messages went through a virtual host, as RabbitMQ counted them.

use serde::Deserialize;

use crate::{Error, Management};

/// Messages of a virtual host since it was made. Channels hand in their counts every few seconds
/// (`collect_statistics_interval`, 5 s as delivered), and once more as they close.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MessageCounts {
    /// Published, whether a queue took them or not.
    #[serde(rename = "publish")]
    pub published: u64,
    /// Published to no queue and given back, or dropped.
    #[serde(rename = "return_unroutable")]
    pub returned: u64,
    /// The same without the wish to have it back.
    #[serde(rename = "drop_unroutable")]
    pub dropped: u64,
    /// Handed to somebody, each time.
    #[serde(rename = "deliver_get")]
    pub delivered: u64,
    /// Of these, such as had been handed out before.
    #[serde(rename = "redeliver")]
    pub redelivered: u64,
    /// Acknowledged.
    #[serde(rename = "ack")]
    pub acknowledged: u64,
}

impl MessageCounts {
    /// Whether each message that a queue took was also acknowledged, by these counts. Not for messages that
    /// several queues take.
    pub fn are_at_rest(&self) -> bool {
        self.published == self.acknowledged + self.returned + self.dropped
    }

    /// What came on top of an earlier count.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            published: self.published.saturating_sub(earlier.published),
            returned: self.returned.saturating_sub(earlier.returned),
            dropped: self.dropped.saturating_sub(earlier.dropped),
            delivered: self.delivered.saturating_sub(earlier.delivered),
            redelivered: self.redelivered.saturating_sub(earlier.redelivered),
            acknowledged: self.acknowledged.saturating_sub(earlier.acknowledged),
        }
    }
}

#[derive(Deserialize)]
struct VirtualHost {
    /// Not there before the first message.
    #[serde(default)]
    message_stats: MessageCounts,
}

impl Management {
    /// How many messages went through the virtual host.
    pub fn message_counts(&self) -> Result<MessageCounts, Error> {
        let path = format!("/api/vhosts/{}?columns=message_stats", self.vhost_in_path());
        self.get::<VirtualHost>("count messages", &path).map(|vhost| vhost.message_stats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_rabbitmq_writes_them() {
        let text = r#"{"message_stats":{"ack":17,"ack_details":{"rate":0.4},"confirm":19,"confirm_details":{"rate":0.0},
            "deliver":18,"deliver_details":{"rate":0.4},"deliver_get":18,"deliver_get_details":{"rate":0.4},
            "publish":19,"publish_details":{"rate":0.0},"redeliver":1,"redeliver_details":{"rate":0.0},
            "return_unroutable":2,"return_unroutable_details":{"rate":0.0}}}"#;
        let counts = serde_json::from_str::<VirtualHost>(text).unwrap().message_stats;
        let expected =
            MessageCounts { published: 19, returned: 2, dropped: 0, delivered: 18, redelivered: 1, acknowledged: 17 };
        assert_eq!(counts, expected);
        assert!(counts.are_at_rest());
        assert!(!MessageCounts { acknowledged: 16, ..counts }.are_at_rest());
        assert_eq!(counts.since(&MessageCounts { published: 9, ..counts }).published, 10);
        assert_eq!(counts.since(&MessageCounts { published: 9, ..counts }).delivered, 0);
    }

    #[test]
    fn a_virtual_host_without_a_message_has_none() {
        assert_eq!(serde_json::from_str::<VirtualHost>("{}").unwrap().message_stats, MessageCounts::default());
    }
}
