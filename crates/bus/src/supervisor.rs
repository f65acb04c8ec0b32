//! Keeps one connection standing: connect, declare, watch, wait, again.
//!
//! ```text
//!            ┌────────── delay, jittered ◀─────────┐
//!            ▼                                     │
//!   connect ─┴─▶ declare ─▶ standing ─▶ lost ──────┘
//!                               └─▶ shutdown: close politely
//! ```
//!
//! lapin has a recovery of its own; it gives up after 16 tries and replays what we can say better.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, Event};
use tokio::sync::{Notify, watch};
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::state::{BusState, LineState};
use crate::{Delays, Error, topology};

/// RabbitMQ itself gives up a handshake after 10 s, so that later nothing can come any more.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(12);
/// lapin tells of blocking and of errors, but not of a connection that RabbitMQ closed. Whoever
/// notices calls `Line::suspect`; this is for a connection that nobody is using.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// A connection that ends sooner has not proved that it works: the delays go on growing.
const PROVED_AFTER: Duration = Duration::from_secs(10);
const HEARTBEAT_SECONDS: u16 = 15;

/// Which of the two states is ours.
pub(crate) type Pick = fn(&mut BusState) -> &mut LineState;

pub(crate) struct Task {
    pub(crate) uri: AMQPUri,
    pub(crate) name: String,
    pub(crate) declare: bool,
    pub(crate) line: Pick,
    pub(crate) current: watch::Sender<Option<Arc<Connection>>>,
    pub(crate) state: Arc<watch::Sender<BusState>>,
    pub(crate) suspicion: Arc<Notify>,
    pub(crate) shutdown: CancellationToken,
}

pub(crate) async fn run(task: Task) {
    let mut delays = Delays::between(Duration::from_millis(100), Duration::from_secs(10));
    let shutdown = task.shutdown.clone();
    let mut told = String::new();
    loop {
        let attempt = tokio::select! {
            () = shutdown.cancelled() => break,
            attempt = open(&task) => attempt,
        };
        match attempt {
            Ok(connection) => {
                let connection = Arc::new(connection);
                let stood = Instant::now();
                info!(connection = task.name, "connected to RabbitMQ");
                told.clear();
                task.current.send_replace(Some(connection.clone()));
                task.update(LineState::found);
                let Some(why) = watch_over(&task, &connection).await else {
                    task.current.send_replace(None);
                    // Polite, so that RabbitMQ does not log a lost client; but not for long.
                    let _ = timeout(CLOSE_LIMIT, connection.close(200, "bye".into())).await;
                    break;
                };
                warn!(connection = task.name, reason = %Chain(&why), "lost the connection to RabbitMQ");
                task.current.send_replace(None);
                task.update(|line| line.lost(why));
                if stood.elapsed() >= PROVED_AFTER {
                    delays.reset();
                }
            }
            Err(error) => {
                // Once a reason, not once a try.
                let reason = Chain(&error).to_string();
                if reason != told {
                    if error.is_transient() {
                        warn!(connection = task.name, reason, "no connection to RabbitMQ, trying on");
                    } else {
                        error!(
                            connection = task.name,
                            reason,
                            "no connection to RabbitMQ, and waiting will not mend this: correct rabbitmq.url, the login \
                             or its rights; trying on"
                        );
                    }
                    told = reason;
                }
                task.update(|line| line.trouble = Some(error));
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(delays.next_delay()) => {}
        }
    }
}

impl Task {
    fn update(&self, change: impl FnOnce(&mut LineState)) {
        self.state.send_modify(|state| change((self.line)(state)));
    }
}

async fn open(task: &Task) -> Result<Connection, Error> {
    let mut uri = task.uri.clone();
    uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
    let properties = ConnectionProperties::default().with_connection_name(task.name.as_str().into());
    let connection = timeout(HANDSHAKE_LIMIT, Connection::connect_uri(uri, properties))
        .await
        .map_err(|_| Error::Silent(HANDSHAKE_LIMIT.as_secs()))?
        .map_err(Error::amqp("connect to RabbitMQ"))?;
    if task.declare {
        topology::declare(&connection).await?;
    }
    Ok(connection)
}

/// Returns why the connection was lost, or nothing if it is us who want to stop.
async fn watch_over(task: &Task, connection: &Connection) -> Option<Error> {
    let mut events = connection.events_listener();
    let mut look = interval(LOOK_EVERY);
    let mut last_error = None;
    loop {
        tokio::select! {
            () = task.shutdown.cancelled() => return None,
            () = task.suspicion.notified() => {}
            _ = look.tick() => {}
            event = events.next() => match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    warn!(connection = task.name, reason, "RabbitMQ takes no messages for now");
                    task.update(|line| line.blocked = Some(reason));
                }
                Some(Event::ConnectionUnblocked) => {
                    info!(connection = task.name, "RabbitMQ takes messages again");
                    task.update(|line| line.blocked = None);
                }
                Some(Event::Error(error)) => last_error = Some(error),
                Some(_) => {}
                None => return Some(Error::Away),
            },
        }
        if !connection.status().connected() {
            return Some(last_error.map_or(Error::Away, Error::amqp("keep the connection")));
        }
    }
}

/// An error with its causes in one line, for the log.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
