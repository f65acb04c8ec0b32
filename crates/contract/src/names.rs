//! Names on RabbitMQ: exchanges, queues, headers. One place, one spelling.

use xacminh_domain::id::OfficeId;

/// Where offices publish. The only thing an office may write to.
pub const EXCHANGE_IN: &str = "xacminh.in";
/// What no binding of [`EXCHANGE_IN`] takes.
pub const EXCHANGE_UNROUTED: &str = "xacminh.unrouted";
/// What an office's inbox gave up on.
pub const EXCHANGE_REJECTED: &str = "xacminh.rejected";
/// One message a ledger event, without personal data.
pub const EXCHANGE_EVENT: &str = "xacminh.event";

/// Submits and withdrawals of the urgent and normal lanes.
pub const QUEUE_INTAKE: &str = "xacminh.work.intake";
/// Submits and withdrawals of the bulk lane.
pub const QUEUE_BULK: &str = "xacminh.work.bulk";
/// Everything about a request that exists.
pub const QUEUE_ANSWERING: &str = "xacminh.work.answering";
/// Messages with a routing key nobody knows.
pub const QUEUE_UNROUTED: &str = "xacminh.work.unrouted";
/// Messages that an office's inbox gave up on.
pub const QUEUE_REJECTED: &str = "xacminh.work.rejected";

/// How every inbox begins.
pub const INBOX_PREFIX: &str = "xacminh.office.";

/// When the sender sent it, RFC 3339.
pub const HEADER_TIME: &str = "xm-time";
/// Which life of the broker's store this is: another value after a restore from backup.
pub const HEADER_EPOCH: &str = "xm-epoch";
/// Reserved: a signature over the body.
pub const HEADER_SIG: &str = "xm-sig";
/// Reserved: how the body is encrypted.
pub const HEADER_ENC: &str = "xm-enc";
/// Reserved: the id of the key of [`HEADER_SIG`] or [`HEADER_ENC`].
pub const HEADER_KID: &str = "xm-kid";
/// W3C trace context.
pub const HEADER_TRACEPARENT: &str = "traceparent";

/// The longest body the services take, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// The inbox of an office.
pub fn inbox(office: OfficeId) -> String {
    format!("{INBOX_PREFIX}{office}")
}
