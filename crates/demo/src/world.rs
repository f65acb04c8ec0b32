//! What the demo needs from whoever wires it to the product, and nothing more.
//!
//! The clients of this crate know an address, logins and the protocol. Everything that only the
//! product can tell (is anything left to do? which rungs fired?) comes through [`World`], so that
//! the ledgers of the clients stay a second opinion.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::Date;
use xacminh_clock::SteppedClock;
use xacminh_domain::id::{OfficeId, RequestId};

/// Where the broker is, and how large the nation is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// RabbitMQ's host.
    pub amqp_host: String,
    /// RabbitMQ's port.
    pub amqp_port: u16,
    /// Where `report.json` goes.
    pub run_dir: PathBuf,
    /// The product is left running afterwards.
    pub keep: bool,
    /// How many requests the wards send.
    pub requests: u32,
    /// How many wards send.
    pub wards: u32,
    /// The same seed gives the same nation.
    pub seed: u64,
    /// How many times a process of the product is killed, at random over all of them; 0: the whole
    /// product once.
    pub chaos: u32,
}

/// An office, as far as choosing people and homes needs it.
#[derive(Debug, Clone)]
pub struct HomeOffice {
    /// Its id, which is its login.
    pub office: OfficeId,
    /// Its name.
    pub name: String,
    /// Code of its province.
    pub province: String,
    /// `commune_police`, `province_unit` or `ministry_unit`.
    pub kind: String,
    /// Code of the commune it serves today; empty above the commune.
    pub unit_code: String,
    /// Name of that commune.
    pub unit_name: String,
    /// Name of its province.
    pub province_name: String,
    /// Name, district and province of one former unit that leads to this office and to no other,
    /// also when it is written without tone marks.
    pub old_words: Option<(String, String, String)>,
}

impl HomeOffice {
    /// A commune's police, which can be asked about homes.
    pub fn is_home(&self) -> bool {
        self.kind == "commune_police" && !self.unit_code.is_empty()
    }
}

/// What the product still has in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Messages that wait to leave.
    pub outbox: u64,
    /// Timers and digests that are due and did not fire.
    pub due: u64,
    /// Distinct (sender, message-id) of commands on record.
    pub taken: u64,
    /// Messages in the work queues.
    pub work_queues: u64,
    /// Messages in the inboxes that were asked about.
    pub inboxes: u64,
}

/// What the product has in hand, at the least: what its processes hold unacknowledged is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct InHand {
    /// Messages ready in the work queues.
    pub ready: u64,
    /// Messages in the outbox.
    pub outbox: u64,
}

impl InHand {
    /// Both.
    pub fn sum(self) -> u64 {
        self.ready + self.outbox
    }
}

/// A rung that fired, as the product keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RungRow {
    /// Of which request.
    pub request: RequestId,
    /// What made it fire: `accept_due`, `answer_due` and so on.
    pub trigger: String,
    /// Which rung.
    pub rung: u8,
    /// Of which clock.
    pub clock_start: Timestamp,
    /// When it was due to fire.
    pub due_at: Timestamp,
    /// When its row was written.
    pub fired_at: Timestamp,
    /// Whom it presses.
    pub target: Option<OfficeId>,
}

/// What an operator and a supervisor see at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct OperatorView {
    /// Memory of the product's process.
    pub memory_mib: u64,
    /// How many queues there are.
    pub queues: u64,
    /// Silent requests by reason.
    pub late_by_reason: Vec<(String, u64)>,
    /// Who has most of them now.
    pub holders: Vec<(String, u64)>,
    /// How many are due on which of the next days.
    pub due_next: Vec<(String, u64)>,
}

/// One world: a vhost, a database and a running product, all fresh.
pub trait World: Send + Sync {
    /// The vhost.
    fn vhost(&self) -> &str;

    /// Login and password of every granted office.
    fn credentials(&self) -> &HashMap<OfficeId, String>;

    /// The offices there are.
    fn homes(&self) -> &[HomeOffice];

    /// A unit code and a day that lead to several of today's units.
    fn ambiguous_home(&self) -> (String, Date);

    /// What a person types before a command of the product to reach this world.
    fn prefix(&self) -> &str;

    /// The clock that the demo steps and the product reads.
    fn clock(&self) -> &SteppedClock;

    /// What the product still has in hand. `readers` are the offices whose inboxes count; it is
    /// often empty, because asking about all of them takes time.
    fn standing(&self, now: Timestamp, readers: &[OfficeId]) -> impl Future<Output = anyhow::Result<Standing>> + Send;

    /// What the product has in hand at this moment.
    fn in_hand(&self) -> impl Future<Output = anyhow::Result<InHand>> + Send;

    /// The names of the processes that the product runs as.
    fn processes(&self) -> Vec<String>;

    /// Ends the process at this place without a word.
    fn kill_9(&self, process: usize) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Starts it again; returns when it is ready.
    fn restart(&self, process: usize) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// What `xacminh request trace` prints.
    fn trace(&self, id: RequestId) -> impl Future<Output = anyhow::Result<String>> + Send;

    /// All rungs that fired.
    fn rungs(&self) -> impl Future<Output = anyhow::Result<Vec<RungRow>>> + Send;

    /// What an operator and a supervisor see now.
    fn operator_view(&self) -> impl Future<Output = anyhow::Result<OperatorView>> + Send;
}
