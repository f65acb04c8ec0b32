//! The two connections to RabbitMQ, and how others come by a channel.

use std::sync::Arc;

use lapin::uri::AMQPUri;
use lapin::{Channel, Connection};
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::supervisor::{self, Task};
use crate::{BatchConsumer, BusState, ConsumerSettings, Error, InboxProbe, Publisher, size};

/// Where RabbitMQ is and who we are.
#[derive(Clone)]
pub struct BusSettings {
    /// `amqp://user:password@host:port/vhost` or `amqps://…`. Without `heartbeat=` in its query
    /// a dead peer is noticed within half a minute.
    pub url: String,
    /// What RabbitMQ's own pages show; the connections add `publish` or `consume`.
    pub connection_name: String,
    /// Whether each new connection declares what [`crate::BINDINGS`] names. A process that may not
    /// declare, or a tool that only looks, leaves it.
    pub declare: bool,
}

impl BusSettings {
    /// With the topology declared on each connection.
    pub fn new(url: impl Into<String>, connection_name: impl Into<String>) -> Self {
        Self { url: url.into(), connection_name: connection_name.into(), declare: true }
    }

    /// Whether the address has the form of one, without asking anybody.
    pub fn check(&self) -> Result<(), Error> {
        self.uri().map(drop)
    }

    fn uri(&self) -> Result<AMQPUri, Error> {
        // The parser's words may repeat the address, and with it the password.
        self.url.parse().map_err(|_| Error::Address("not of the form amqp://user:password@host:port/vhost".into()))
    }
}

/// A connection as it is at the moment; replaced when it is lost.
#[derive(Clone)]
pub(crate) struct Line {
    current: watch::Receiver<Option<Arc<Connection>>>,
    suspicion: Arc<Notify>,
}

impl Line {
    /// The connection if it stands, without a wait.
    pub(crate) fn now(&self) -> Option<Arc<Connection>> {
        self.current.borrow().as_ref().filter(|c| c.status().connected()).cloned()
    }

    /// The connection as soon as it stands.
    pub(crate) async fn up(&mut self) -> Result<Arc<Connection>, Error> {
        let standing = self.current.wait_for(Option::is_some).await.map_err(|_| Error::Stopping)?;
        standing.clone().ok_or(Error::Away)
    }

    /// A channel on the connection as soon as it stands.
    pub(crate) async fn channel(&mut self) -> Result<Channel, Error> {
        let connection = self.up().await?;
        connection.create_channel().await.map_err(|error| {
            self.suspect();
            Error::amqp("open a channel")(error)
        })
    }

    /// Something on the connection failed: the supervisor looks now rather than at its next round.
    pub(crate) fn suspect(&self) {
        self.suspicion.notify_one();
    }
}

struct Inner {
    publish: Line,
    consume: Line,
    state: watch::Receiver<BusState>,
    declare: bool,
    shutdown: CancellationToken,
    // Ends the supervisors when the last handle goes.
    _guard: DropGuard,
}

/// RabbitMQ, as the services see it. A clone is another handle to the same connections.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

impl Bus {
    /// Starts connecting, and goes on for ever: also if RabbitMQ is not there yet, and again after
    /// each loss. Fails only for an address that is none. `shutdown` closes the connections, so it
    /// is to be cancelled *after* the services have settled what they hold.
    pub fn connect(settings: &BusSettings, shutdown: &CancellationToken) -> Result<Self, Error> {
        let uri = settings.uri()?;
        let shutdown = shutdown.child_token();
        let (state_in, state) = watch::channel(BusState::new());
        let state_in = Arc::new(state_in);
        let start = |name: &'static str, line: supervisor::Pick, declare: bool| {
            let (current_in, current) = watch::channel(None);
            let suspicion = Arc::new(Notify::new());
            tokio::spawn(supervisor::run(Task {
                uri: uri.clone(),
                name: format!("{} {name}", settings.connection_name),
                declare,
                line,
                current: current_in,
                state: state_in.clone(),
                suspicion: suspicion.clone(),
                shutdown: shutdown.clone(),
            }));
            Line { current, suspicion }
        };
        let publish = start("publish", |s| &mut s.publishing, settings.declare);
        let consume = start("consume", |s| &mut s.consuming, false);
        let guard = shutdown.clone().drop_guard();
        Ok(Self(Arc::new(Inner { publish, consume, state, declare: settings.declare, shutdown, _guard: guard })))
    }

    /// Waits until both connections stand. An error is one that will not pass by itself (a refused
    /// login, a queue of the wrong type); the connecting goes on all the same.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut state = self.0.state.clone();
        let settled =
            state.wait_for(|s| s.is_connected() || s.lasting_trouble().is_some()).await.map_err(|_| Error::Stopping)?;
        match settled.lasting_trouble() {
            Some(trouble) if !settled.is_connected() => Err(trouble.clone()),
            _ => Ok(()),
        }
    }

    /// Connected or not, to be read or awaited.
    pub fn state(&self) -> watch::Receiver<BusState> {
        self.0.state.clone()
    }

    /// A way to send, with a channel of its own.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.clone(), self.0.publish.clone())
    }

    /// The consumer of a queue, until `stop`.
    pub fn consumer(&self, settings: ConsumerSettings, stop: CancellationToken) -> BatchConsumer {
        BatchConsumer::new(self.clone(), self.0.consume.clone(), settings, stop)
    }

    /// A way to ask which inboxes are read.
    pub fn inbox_probe(&self) -> InboxProbe {
        InboxProbe::new(self.clone(), self.0.consume.clone())
    }

    /// Whether RabbitMQ takes a message of more than so many bytes. Tries one that reaches nobody,
    /// and waits for a connection.
    pub async fn takes_more_than(&self, bytes: usize) -> Result<bool, Error> {
        size::takes_more_than(&mut self.0.publish.clone(), bytes).await
    }

    /// Whether it is this bus's to declare what is missing.
    pub(crate) fn declares(&self) -> bool {
        self.0.declare
    }

    pub(crate) fn stopped(&self) -> &CancellationToken {
        &self.0.shutdown
    }
}
