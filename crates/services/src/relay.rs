//! The relay: work and letters leave for offices' inboxes, and go only when RabbitMQ confirmed.
//!
//! ```text
//! shards held ─▶ deliveries with room, outbox ─▶ publish all, await confirms ─▶ one transaction:
//!                      └─ not confirmed: they stay and leave again with the same id     mark, remove
//! ```
//!
//! Offices are spread over shards; a relay holds a shard by an advisory lock of its connection, so
//! when a copy dies another has its shards at once, and one office's letters never leave in two
//! orders.

use std::collections::HashMap;
use std::mem;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, Outcome, Outgoing, Publisher};
use xacminh_contract::names::{HEADER_EPOCH, HEADER_TIME, HEADER_TRACEPARENT, inbox};
use xacminh_contract::trace::{Trace, TraceId};
use xacminh_contract::values;
use xacminh_domain::id::OfficeId;
use xacminh_store::outage::Server;
use xacminh_store::outbox::{self, Batch, Letter, Place, SHARDS, Waiting};
use xacminh_store::{PgConnection, PgListener, delivery, epoch};

use crate::abort_point::AbortPoint;
use crate::core::Core;
use crate::disposition::{PAUSE, Told};
use crate::error::Error;
use crate::marking;
use crate::outages;
use crate::rooms::Rooms;
use crate::sending_again;
use crate::within::within;

/// How many loops share the shards of a process: while one waits for confirms, another marks.
const LANES: i16 = 4;
/// How many letters leave together.
const BATCH: i64 = 500;
/// How often the outbox is swept for what no bell was rung for.
const SWEEP: Duration = Duration::from_secs(1);
/// How often a relay asks for shards that another copy may have let go.
const ASK_FOR_SHARDS: Duration = Duration::from_secs(3);
/// How long RabbitMQ may take to confirm a batch while it takes messages at all.
const CONFIRM_LIMIT: Duration = Duration::from_secs(60);
/// A place that was held longer had been worth a line when it was lost.
const PROVED_AFTER: Duration = Duration::from_secs(10);
/// How long a letter waits that cannot leave: no inbox, or no key to open it.
const ASIDE: Duration = Duration::from_secs(30);

/// Sends letters until told to stop. `look_every` is how often it is asked whether something has
/// to be sent again.
pub async fn run(core: Core, bus: Bus, look_every: Duration, stop: CancellationToken) {
    let lane = |lane| send_lane(&core, bus.publisher(), lane, &stop);
    let (told, seen) = watch::channel(Vec::new());
    let (told_of_store, seen_of_store) = watch::channel(Vec::new());
    tokio::join!(
        outages::watch(core.clock.clone(), bus.clone(), told, stop.clone()),
        outages::record(core.clone(), Server::RabbitMq, seen, stop.clone()),
        outages::watch_store(core.clock.clone(), core.store.clone(), told_of_store, stop.clone()),
        outages::record(core.clone(), Server::Store, seen_of_store, stop.clone()),
        sending_again::run(core.clone(), bus.clone(), look_every, stop.clone()),
        lane(0),
        lane(1),
        lane(2),
        lane(3)
    );
}

async fn send_lane(core: &Core, publisher: Publisher, lane: i16, stop: &CancellationToken) {
    // Outlives the connection to PostgreSQL: what RabbitMQ confirmed need not leave again, and its
    // confirm belongs in the ledger, whoever has the shard by then.
    let mut confirmed = Vec::new();
    let mut told = Told::default();
    while !stop.is_cancelled() {
        let began = Instant::now();
        let ended = async {
            let (lane, bell) = within(Lane::new(core, &publisher, lane)).await?;
            lane.send(bell, &mut confirmed, stop).await
        };
        if let Err(error) = ended.await {
            if told.is_news(&error) || began.elapsed() > PROVED_AFTER {
                tracing::warn!(%error, "the relay lost its place; it starts anew");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

/// One life of the connection that holds a lane's shards.
struct Lane<'a> {
    core: &'a Core,
    publisher: &'a Publisher,
    // Out of the pool: closing it, whichever way, lets the shards go.
    conn: PgConnection,
    ours: Vec<i16>,
    held: Vec<i16>,
    asked: Option<Instant>,
    aside: HashMap<Place, Instant>,
    rooms: Rooms,
    /// What goes out as `xm-epoch`: asked for with each batch, so that nothing leaves a restored
    /// store under the epoch of the one before.
    epoch: String,
}

impl<'a> Lane<'a> {
    async fn new(core: &'a Core, publisher: &'a Publisher, lane: i16) -> Result<(Self, PgListener), Error> {
        let lane = Self {
            core,
            publisher,
            conn: core.store.conn().await?.detach(),
            ours: (0..SHARDS).filter(|shard| shard % LANES == lane).collect(),
            held: Vec::new(),
            asked: None,
            aside: HashMap::new(),
            rooms: Rooms::default(),
            epoch: String::new(),
        };
        Ok((lane, core.store.listen().await?))
    }

    /// Sends and marks. `confirmed` is what RabbitMQ has and no row tells yet; after an error too.
    async fn send(
        mut self,
        mut bell: PgListener,
        confirmed: &mut Vec<Waiting>,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        self.mark(confirmed).await?;
        while !stop.is_cancelled() {
            // What was rung for so far is read now.
            while let Some(heard) = bell.recv().now_or_never() {
                heard.map_err(xacminh_store::Error::from)?;
            }
            let waiting = within(async {
                self.hold().await?;
                self.read().await
            })
            .await?;
            if waiting.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => {}
                    heard = bell.recv() => { heard.map_err(xacminh_store::Error::from)?; }
                    () = tokio::time::sleep(SWEEP) => {}
                }
                continue;
            }
            let outgoing = waiting.iter().map(|w| letter(&self.epoch, w)).collect();
            AbortPoint::BeforePublish.reach();
            let outcomes = self.publish(outgoing).await;
            let mut unknown = false;
            let mut without_inbox: HashMap<OfficeId, usize> = HashMap::new();
            for (waiting, outcome) in waiting.into_iter().zip(outcomes) {
                let word = match outcome {
                    Outcome::Confirmed => {
                        self.count(&waiting, "confirmed");
                        told(&waiting.letter);
                        confirmed.push(waiting);
                        continue;
                    }
                    Outcome::Returned(_) | Outcome::Unfit => {
                        self.put_aside(&waiting);
                        *without_inbox.entry(waiting.letter.office).or_default() += 1;
                        "no_inbox"
                    }
                    Outcome::Unknown | Outcome::Nacked => {
                        unknown = true;
                        "unknown"
                    }
                };
                self.count(&waiting, word);
            }
            for (office, letters) in without_inbox {
                tracing::warn!(office.id = %office, letters, "an office has no inbox; its letters wait");
            }
            AbortPoint::BeforeMark.reach();
            self.mark(confirmed).await?;
            if unknown {
                tokio::select! {
                    () = stop.cancelled() => {}
                    ready = self.publisher.ready() => { ready?; }
                }
            }
        }
        Ok(())
    }

    /// Publishes all, but waits for no confirm for ever: what is not confirmed in time leaves again.
    async fn publish(&self, outgoing: Vec<Outgoing>) -> Vec<Outcome> {
        let letters = outgoing.len();
        let mut publishing = pin!(self.publisher.publish_all(outgoing));
        loop {
            match timeout(CONFIRM_LIMIT, &mut publishing).await {
                Ok(outcomes) => return outcomes,
                Err(_) if self.publisher.is_blocked() => {}
                Err(_) => {
                    tracing::warn!(letters, "RabbitMQ confirms nothing; the letters leave again under the same ids");
                    return vec![Outcome::Unknown; letters];
                }
            }
        }
    }

    /// Marks what was confirmed, and forgets it only then.
    async fn mark(&mut self, confirmed: &mut Vec<Waiting>) -> Result<(), Error> {
        within(marking::mark_all(self.core, &mut self.conn, confirmed)).await?;
        if !confirmed.is_empty() {
            tracing::debug!(letters = confirmed.len(), "a batch of letters has left");
        }
        for waiting in confirmed.drain(..) {
            if matches!(waiting.place, Place::Delivery(_)) {
                self.rooms.sent(waiting.letter.office);
            }
        }
        Ok(())
    }

    /// Holds what shards of its own it can get.
    async fn hold(&mut self) -> Result<(), Error> {
        if self.held.len() < self.ours.len() && self.asked.is_none_or(|at| at.elapsed() > ASK_FOR_SHARDS) {
            let held = outbox::hold_shards(&mut self.conn, &self.held, &self.ours).await?;
            let before = mem::replace(&mut self.held, held);
            let new: Vec<i16> = self.held.iter().copied().filter(|shard| !before.contains(shard)).collect();
            self.rooms.take_over(&mut self.conn, &new).await?;
            self.asked = Some(Instant::now());
        }
        Ok(())
    }

    /// What may leave now: work before letters, so that a request never comes after what is said
    /// about it.
    async fn read(&mut self) -> Result<Vec<Waiting>, Error> {
        self.aside.retain(|_, until| *until > Instant::now());
        let (mut letters, mut deliveries) = (Vec::new(), Vec::new());
        for place in self.aside.keys() {
            match place {
                Place::Outbox(id) => letters.push(*id),
                Place::Delivery(request) => deliveries.push(request.uuid()),
            }
        }
        let rooms = self.rooms.left(&mut self.conn).await?;
        let keys = &self.core.keys;
        let work = delivery::read(&mut self.conn, keys, &self.held, &rooms, &deliveries, BATCH).await?;
        let Batch { waiting, sealed_shut } = outbox::read(&mut self.conn, keys, &self.held, &letters, BATCH).await?;
        let shut: Vec<Place> = work.sealed_shut.into_iter().chain(sealed_shut).collect();
        if !shut.is_empty() {
            tracing::error!(letters = shut.len(), "letters cannot be opened with the keys at hand; they wait");
            self.aside.extend(shut.into_iter().map(|place| (place, Instant::now() + ASIDE)));
        }
        let all: Vec<Waiting> = work.waiting.into_iter().chain(waiting).collect();
        if !all.is_empty() {
            self.epoch = epoch::current(&mut self.conn).await?.id.to_string();
        }
        Ok(all)
    }

    /// An office without an inbox: its work and this letter wait.
    fn put_aside(&mut self, waiting: &Waiting) {
        let until = Instant::now() + ASIDE;
        let office = waiting.letter.office;
        match waiting.place {
            Place::Delivery(_) => self.rooms.shut(office, until),
            Place::Outbox(_) => {
                self.aside.insert(waiting.place, until);
            }
        }
    }

    fn count(&self, waiting: &Waiting, outcome: &str) {
        self.core.metrics.letters.with_label_values(&[&waiting.letter.message_type, outcome]).inc();
    }
}

/// One line a message, for whoever follows a trace.
fn told(letter: &Letter) {
    let trace = letter.traceparent.as_deref().and_then(Trace::parse);
    tracing::trace!(
        trace.id = trace.map(|trace| tracing::field::display(trace.id)),
        message.id = %letter.message_id,
        message.r#type = letter.message_type,
        office.id = %letter.office,
        "left"
    );
}

fn letter(epoch: &str, waiting: &Waiting) -> Outgoing {
    let letter = &waiting.letter;
    let mut headers = vec![
        (HEADER_TIME.to_owned(), values::Instant(letter.created_at).to_string()),
        (HEADER_EPOCH.to_owned(), epoch.to_owned()),
    ];
    // Letters of an older version may have none.
    let own = || Trace::from(TraceId::begun_by(letter.message_id)).traceparent(letter.message_id);
    headers.push((HEADER_TRACEPARENT.to_owned(), letter.traceparent.clone().unwrap_or_else(own)));
    Outgoing {
        exchange: String::new(),
        routing_key: inbox(letter.office),
        message_id: letter.message_id.to_string(),
        message_type: letter.message_type.clone(),
        correlation_id: letter.request_id.map(|id| id.to_string()),
        headers,
        body: letter.body.clone(),
    }
}
