//! What systemd is told of a process that runs roles: what it waits for, that it is ready, that it is
//! alive, that it stops.
//!
//! ```text
//!   STATUS=waiting for …  ──▶ READY=1 as soon as the roles run ──▶ WATCHDOG=1 … ──▶ STOPPING=1
//! ```
//!
//! Ready is what begins once PostgreSQL has answered; after that a server may go away and come back,
//! which the status says and nobody restarts us for. The watchdog is fed by a task of the runtime: when
//! no task moves any more, systemd ends the process and starts another. Without systemd, or anybody
//! else at `NOTIFY_SOCKET`, all of this says nothing.
//!
//! Sending blocks when systemd does not listen, so a thread of its own does it: nothing of ours waits,
//! and the end of the process does not either.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xacminh_bus::BusState;
use xacminh_console::health::CheckState;

use crate::readiness::StoreState;

/// What the status is made of.
pub(crate) struct Watched {
    pub(crate) store: watch::Receiver<StoreState>,
    pub(crate) store_at: String,
    pub(crate) bus: watch::Receiver<BusState>,
    pub(crate) bus_at: String,
    /// Ready once the roles run.
    pub(crate) roles: watch::Receiver<CheckState>,
    /// Which roles.
    pub(crate) names: String,
}

/// More than ever waits, unless nobody listens: then the rest is dropped.
const WAITING: usize = 16;

enum Said {
    Ready,
    Alive,
    Stopping,
    Status(String),
}

/// The way to systemd. A clone is another handle.
#[derive(Clone)]
pub(crate) struct Systemd(SyncSender<Said>);

impl Systemd {
    /// Tells how it goes, until told to stop; and that the process is alive, until it is not.
    pub(crate) fn tell(watched: Watched, stop: CancellationToken) -> Self {
        let (told, heard) = sync_channel(WAITING);
        std::thread::spawn(move || pass_on(&heard));
        let systemd = Self(told);
        if let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) {
            tokio::spawn(systemd.clone().feed_watchdog(limit));
        }
        tokio::spawn(systemd.clone().follow(watched, stop));
        systemd
    }

    /// Nothing more is taken; what was taken is being finished.
    pub(crate) fn stopping(&self) {
        self.say(Said::Stopping);
        self.say(Said::Status("stopping: what was taken is being finished".to_owned()));
    }

    fn say(&self, said: Said) {
        // Full: nobody listens, and the next one says more.
        let _ = self.0.try_send(said);
    }

    /// Twice as often as has to be: one that is late is none that is lost.
    async fn feed_watchdog(self, limit: Duration) {
        let mut tick = tokio::time::interval(limit / 2);
        loop {
            tick.tick().await;
            self.say(Said::Alive);
        }
    }

    async fn follow(self, mut watched: Watched, stop: CancellationToken) {
        let mut said = String::new();
        let mut ready = false;
        loop {
            let status = watched.status();
            if status != said {
                self.say(Said::Status(status.clone()));
                said = status;
            }
            if !ready && *watched.roles.borrow() == CheckState::Ready {
                self.say(Said::Ready);
                ready = true;
            }
            let changed = tokio::select! {
                () = stop.cancelled() => return,
                changed = watched.store.changed() => changed,
                changed = watched.bus.changed() => changed,
                changed = watched.roles.changed() => changed,
            };
            // A part that is gone ends with the process.
            if changed.is_err() {
                return;
            }
        }
    }
}

fn pass_on(heard: &Receiver<Said>) {
    while let Ok(said) = heard.recv() {
        let state = match &said {
            Said::Ready => NotifyState::Ready,
            Said::Alive => NotifyState::Watchdog,
            Said::Stopping => NotifyState::Stopping,
            Said::Status(status) => NotifyState::Status(status),
        };
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::debug!(%error, "systemd was not told");
        }
    }
}

impl Watched {
    /// One line for `systemctl status`; no login, no person.
    fn status(&self) -> String {
        let running = *self.roles.borrow() == CheckState::Ready;
        let mut missing = Vec::new();
        if self.store.borrow().state != CheckState::Ready {
            missing.push(format!("PostgreSQL at {}", self.store_at));
        }
        if !self.bus.borrow().is_connected() {
            missing.push(format!("RabbitMQ at {}", self.bus_at));
        }
        match (running, missing.is_empty()) {
            (true, true) => format!("running: {}", self.names),
            (true, false) => format!("running: {}; waiting for {}", self.names, missing.join(" and ")),
            (false, true) => "starting".to_owned(),
            (false, false) => format!("waiting for {}", missing.join(" and ")),
        }
    }
}
