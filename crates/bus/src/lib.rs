//! How does a message come in and go out safely? RabbitMQ.
//!
//! The only product crate that knows `lapin`; the others see plain values. What it promises:
//!
//! * a message is gone from its queue only after [`Batch::ack_all`] or [`Batch::ack_one`];
//! * a message counts as sent only when its [`Outcome`] is [`Outcome::Confirmed`];
//! * a lost connection is no error of the caller's: it comes back by itself, what was not
//!   acknowledged is delivered again, what was not confirmed is to be sent again with the same id.
//!
//! ```text
//!   Bus ── publish connection ── a confirm channel a Publisher
//!    │
//!    └──── consume connection ── a channel a BatchConsumer, InboxProbe
//! ```
//!
//! Two connections, because RabbitMQ blocks a publishing one when it runs short of memory or disk,
//! and lapin then writes nothing at all on it: acknowledgements would stop as well.

mod access;
mod batch;
mod connection;
mod consumer;
mod delay;
mod error;
mod incoming;
mod lacking;
mod pattern;
mod permissions;
mod probe;
mod publisher;
mod sight;
mod size;
mod state;
mod supervisor;
mod topology;
mod traffic;

pub use access::{HANDSHAKE_LIMIT, Management, QueueTotals};
pub use batch::Batch;
pub use connection::{Bus, BusSettings};
pub use consumer::{BatchConsumer, ConsumerSettings};
pub use delay::Delays;
pub use error::Error;
pub use incoming::{Delivery, Incoming};
pub use lacking::Lacking;
pub use permissions::{Grant, HOLDS_BACK, OfficePermissions, limits_deliveries};
pub use probe::{InboxProbe, InboxSight};
pub use publisher::{Outcome, Outgoing, Publisher};
pub use sight::{Binding, Exchange, Expiring, Limits, Login, Node, Queue, Rights, Sight};
pub use state::{BusState, LineState, Outage};
pub use topology::{BINDINGS, EXCHANGES, WORK_QUEUES};
pub use traffic::MessageCounts;

/// What a log filter must contain for as long as the process uses this crate: lapin writes a
/// returned message into the log with its whole body, and bodies are about people.
pub const LOG_FILTER: &str = "lapin::returned_messages=off";
