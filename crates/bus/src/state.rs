//! Are we connected, since when, and when were we not? For readiness pages, and for the record of
//! outages that decides who a lateness is charged to.

use std::time::SystemTime;

use crate::Error;

/// A time without a connection that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When it was noticed.
    pub from: SystemTime,
    /// When the next connection stood.
    pub until: SystemTime,
}

/// One of the two connections.
#[derive(Debug, Clone)]
pub struct LineState {
    /// Does it stand?
    pub connected: bool,
    /// Since when it stands, or does not.
    pub since: SystemTime,
    /// RabbitMQ stopped taking messages on it (memory or disk), in its own words. Counts as an
    /// outage for publishing, though the connection stands.
    pub blocked: Option<String>,
    /// Why it does not stand, while it does not.
    pub trouble: Option<Error>,
    /// The last outage that is over. A watcher that wakes late sees by `losses` that it missed some.
    pub last_outage: Option<Outage>,
    /// How often a standing connection was lost.
    pub losses: u64,
}

impl LineState {
    fn new() -> Self {
        Self { connected: false, since: SystemTime::now(), blocked: None, trouble: None, last_outage: None, losses: 0 }
    }

    pub(crate) fn found(&mut self) {
        let now = SystemTime::now();
        // The wait for the first connection of all is no outage: nobody knows when it began.
        if self.losses > 0 {
            self.last_outage = Some(Outage { from: self.since, until: now });
        }
        (self.connected, self.since, self.trouble, self.blocked) = (true, now, None, None);
    }

    pub(crate) fn lost(&mut self, why: Error) {
        (self.connected, self.since, self.blocked) = (false, SystemTime::now(), None);
        self.losses += 1;
        self.trouble = Some(why);
    }
}

/// Both connections.
#[derive(Debug, Clone)]
pub struct BusState {
    /// The one that messages leave by.
    pub publishing: LineState,
    /// The one that they come in by.
    pub consuming: LineState,
}

impl BusState {
    pub(crate) fn new() -> Self {
        Self { publishing: LineState::new(), consuming: LineState::new() }
    }

    /// Do both stand?
    pub fn is_connected(&self) -> bool {
        self.publishing.connected && self.consuming.connected
    }

    /// A trouble that will not pass by itself, such as a refused login.
    pub fn lasting_trouble(&self) -> Option<&Error> {
        [&self.publishing, &self.consuming]
            .into_iter()
            .filter_map(|line| line.trouble.as_ref())
            .find(|trouble| !trouble.is_transient())
    }
}
