//! What does a test stand on? Real RabbitMQ and PostgreSQL, offices as clients, synthetic people.
//!
//! ```text
//!   Servers::shared()            once a machine: from the environment, or started
//!        └─ World::new("name")   a test: a database, a virtual host, a broker login
//!             └─ world.office()  a login with permissions and an inbox
//!                  └─ OfficeClient::connect   what an office's own system would be
//!
//!   OwnServers::start("name")    a test that stops servers: a private pair
//!        └─ World::on(own.servers(), "name")   and the same from there
//!
//!   OwnPrometheus::start("name", 30)   a private Prometheus with the alert rules, 30 times quicker
//! ```
//!
//! Here, and only here outside of tests, a surprise may panic: that is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod eventually;
mod half_open;
mod narrow;
mod office;
mod own_servers;
pub mod people;
mod process;
mod prometheus;
mod servers;
mod world;

pub use eventually::eventually;
pub use half_open::HalfOpen;
pub use lapin::message::Delivery;
pub use narrow::narrow_rows_agree;
pub use office::{OfficeClient, OfficeMessage, Sent, header};
pub use own_servers::{Ending, OwnServers, Server};
pub use process::ChildProcess;
pub use prometheus::{Alert, OwnPrometheus, quicker};
pub use servers::Servers;
pub use world::{OfficeLogin, World};

/// How long a test waits for something that should take milliseconds. Long, because the machine may
/// be busy; a test that passes never waits it out.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// So many random characters, fit for the names of databases, virtual hosts and offices.
pub(crate) fn random_text(length: usize) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).expect("random bytes");
    bytes.iter().map(|b| char::from(LETTERS[usize::from(b % 32)])).collect()
}
