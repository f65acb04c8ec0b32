//! The relay: work and letters leave for offices' inboxes, and go only when RabbitMQ confirmed.
//!
//! ```text
//! shards held ─▶ deliveries with room, outbox ─▶ publish all, await confirms ─▶ one transaction:
//!      ▲               └─ not confirmed: they stay and leave again with the same id     mark, remove
//!      └─ the next batch is read meanwhile, of offices with nothing on its way
//! ```
//!
//! Offices are spread over shards; a relay holds a shard by an advisory lock of its connection, so
//! when a copy dies another has its shards at once, and one office's letters never leave in two
//! orders.

use std::collections::HashMap;
use std::mem;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, Outcome, Outgoing};
use xacminh_contract::names::{HEADER_EPOCH, HEADER_TIME, HEADER_TRACEPARENT, inbox};
use xacminh_contract::trace::{Trace, TraceId};
use xacminh_contract::values;
use xacminh_domain::id::OfficeId;
use xacminh_store::outage::Server;
use xacminh_store::outbox::{self, Letter, Waiting};
use xacminh_store::{PgConnection, PgListener, epoch};

use crate::abort_point::AbortPoint;
use crate::core::Core;
use crate::disposition::{PAUSE, Told};
use crate::error::Error;
use crate::leaving::{Leaving, Published, done};
use crate::looking::{Found, Looking};
use crate::marking;
use crate::outages;
use crate::sending_again;
use crate::within::within;

/// How often the tables are read for what no bell was rung for and nobody handed on.
const SWEEP: Duration = Duration::from_secs(1);
/// For how long after a look nothing is looked for, so that letters share a batch. Longer if a look takes
/// longer: looking is never more than a third of what a relay does.
const REST: Duration = Duration::from_millis(10);
/// The same for marking, which nobody waits for.
const MARK_REST: Duration = Duration::from_millis(40);
/// How often a relay asks for shards that another copy may have let go.
const ASK_FOR_SHARDS: Duration = Duration::from_secs(3);
/// A place that was held longer had been worth a line when it was lost.
const PROVED_AFTER: Duration = Duration::from_secs(10);

/// Sends letters until told to stop. `look_every` is how often it is asked whether something has
/// to be sent again.
pub async fn run(core: Core, bus: Bus, look_every: Duration, stop: CancellationToken) {
    let (told, seen) = watch::channel(Vec::new());
    let (told_of_store, seen_of_store) = watch::channel(Vec::new());
    tokio::join!(
        outages::watch(core.clock.clone(), bus.clone(), told, stop.clone()),
        outages::record(core.clone(), Server::RabbitMq, seen, stop.clone()),
        outages::watch_store(core.clock.clone(), core.store.clone(), told_of_store, stop.clone()),
        outages::record(core.clone(), Server::Store, seen_of_store, stop.clone()),
        sending_again::run(core.clone(), bus.clone(), look_every, stop.clone()),
        send(&core, &bus, &stop)
    );
}

async fn send(core: &Core, bus: &Bus, stop: &CancellationToken) {
    let mut leaving = Leaving::new(bus);
    let mut told = Told::default();
    while !stop.is_cancelled() {
        let began = Instant::now();
        let ended = async {
            let (relay, bell) = within(Relay::new(core)).await?;
            relay.send(bell, &mut leaving, stop).await
        };
        let ended = ended.await;
        core.handed.let_go();
        if let Err(error) = ended {
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

/// One life of the connection that holds the shards.
struct Relay<'a> {
    core: &'a Core,
    // Out of the pool: closing it, whichever way, lets the shards go.
    conn: PgConnection,
    /// By which what was confirmed is marked; none while it is.
    marks: Option<PgConnection>,
    marking: JoinSet<Result<PgConnection, Error>>,
    held: Vec<i16>,
    asked: Option<Instant>,
    looking: Looking,
    /// What goes out as `xm-epoch`: asked for with each batch, so that nothing leaves a restored
    /// store under the epoch of the one before.
    epoch: String,
    /// Something may wait that could leave.
    rung: bool,
    /// When it last looked.
    looked_at: Instant,
    /// When it last read what is new.
    read_at: Instant,
    /// Before that it does not look for what it was rung for.
    look_from: Instant,
    /// Before that it does not mark.
    mark_from: Instant,
    mark_began: Instant,
    /// Letters may have been passed over because something was being published to their office.
    passed_over: bool,
    /// RabbitMQ did not say what became of a letter: nothing leaves before a connection stands.
    unsure: bool,
}

impl<'a> Relay<'a> {
    async fn new(core: &'a Core) -> Result<(Self, PgListener), Error> {
        let now = Instant::now();
        let relay = Self {
            core,
            conn: core.store.along_indexes().await?,
            marks: Some(core.store.along_indexes().await?),
            marking: JoinSet::new(),
            held: Vec::new(),
            asked: None,
            looking: Looking::default(),
            epoch: String::new(),
            rung: true,
            looked_at: now,
            read_at: now,
            look_from: now,
            mark_from: now,
            mark_began: now,
            passed_over: false,
            unsure: false,
        };
        Ok((relay, core.store.listen().await?))
    }

    /// Sends and marks. What is leaving stays so after an error, for the next life.
    async fn send(
        mut self,
        mut bell: PgListener,
        leaving: &mut Leaving,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let sender = leaving.sender();
        loop {
            let (now, stopping) = (Instant::now(), stop.is_cancelled());
            if leaving.has_confirmed() && (stopping || now >= self.mark_from) {
                self.begin_to_mark(leaving, stopping);
            }
            if stopping && leaving.is_empty() {
                return Ok(());
            }
            let may_look = !stopping && !self.unsure && leaving.has_room();
            let look_at = if self.rung { self.look_from } else { self.looked_at + SWEEP };
            if may_look && now >= look_at {
                self.look(&mut bell, leaving).await?;
                continue;
            }
            let mark_at = (leaving.has_confirmed() && self.marks.is_some()).then_some(self.mark_from);
            let next = [may_look.then_some(look_at), mark_at].into_iter().flatten().min().unwrap_or(now + SWEEP);
            tokio::select! {
                () = stop.cancelled(), if !stopping => {}
                ready = sender.ready(), if self.unsure && !stopping => {
                    ready?;
                    self.unsure = false;
                }
                () = tokio::time::sleep_until(next.into()) => {}
                heard = bell.recv() => {
                    heard.map_err(xacminh_store::Error::from)?;
                    self.looking.read_on();
                    self.rung = true;
                }
                () = self.core.handed.rung() => self.rung = true,
                Some(marked) = self.marking.join_next() => self.end_marking(done(marked)?, leaving),
                Some(published) = leaving.publishing.join_next() => self.take_in(done(published), leaving),
            }
        }
    }

    /// Chooses a batch and publishes it.
    async fn look(&mut self, bell: &mut PgListener, leaving: &mut Leaving) -> Result<(), Error> {
        let began = Instant::now();
        // What was rung for so far is read now.
        while let Some(heard) = bell.recv().now_or_never() {
            heard.map_err(xacminh_store::Error::from)?;
            self.looking.read_on();
        }
        if self.read_at.elapsed() >= SWEEP {
            self.read_at = began;
            self.looking.read_on();
        }
        let Found { mut waiting, more } = within(async {
            self.hold(leaving).await?;
            self.looking.hear(self.core.handed.take());
            let found = self.looking.look(&mut self.conn, &self.core.keys, &self.held, leaving).await?;
            if !found.waiting.is_empty() {
                self.epoch = epoch::current(&mut self.conn).await?.id.to_string();
            }
            Ok::<_, Error>(found)
        })
        .await?;
        self.passed_over = leaving.busy().next().is_some();
        self.looked_at = Instant::now();
        self.rung = more;
        // A look that found nothing to send is never followed by another at once: what comes back has to be heard.
        self.look_from = if self.rung && !waiting.is_empty() {
            self.looked_at
        } else {
            self.looked_at + REST.max(2 * began.elapsed())
        };
        if !waiting.is_empty() {
            let outgoing = waiting.iter_mut().map(|w| letter(&self.epoch, w)).collect();
            leaving.publish(waiting, outgoing);
        }
        Ok(())
    }

    /// What became of a batch.
    fn take_in(&mut self, published: Published, leaving: &mut Leaving) {
        let now = self.core.clock.now();
        for (waiting, outcome) in &published.letters {
            let word = match outcome {
                Outcome::Confirmed => {
                    told(&waiting.letter);
                    self.core.confirmed.note(&waiting.letter, now);
                    "confirmed"
                }
                Outcome::Returned(_) | Outcome::Unfit => "no_inbox",
                Outcome::Unknown | Outcome::Nacked => "unknown",
            };
            self.core.metrics.letters.with_label_values(&[&waiting.letter.message_type, word]).inc();
        }
        let mut without_inbox: HashMap<OfficeId, usize> = HashMap::new();
        for (waiting, outcome) in leaving.take_in(published, now) {
            self.looking.not_sent(&waiting);
            match outcome {
                Outcome::Returned(_) | Outcome::Unfit => {
                    self.looking.put_aside(&waiting);
                    *without_inbox.entry(waiting.letter.office).or_default() += 1;
                }
                Outcome::Unknown | Outcome::Nacked | Outcome::Confirmed => self.unsure = true,
            }
        }
        for (office, letters) in without_inbox {
            tracing::warn!(office.id = %office, letters, "an office has no inbox; its letters wait");
        }
        self.rung |= self.passed_over || self.unsure;
    }

    /// Begins to mark what was confirmed, if nothing is being marked; `all` of it, or what waits for nothing.
    fn begin_to_mark(&mut self, leaving: &mut Leaving, all: bool) {
        if self.marks.is_none() {
            return;
        }
        let (core, letters) = (self.core.clone(), leaving.next_to_mark(&self.core.confirmed, all));
        if letters.is_empty() {
            self.mark_from = Instant::now() + MARK_REST;
            return;
        }
        let Some(mut conn) = self.marks.take() else { return };
        self.mark_began = Instant::now();
        self.marking.spawn(async move {
            AbortPoint::BeforeMark.reach();
            within(marking::mark_all(&core, &mut conn, &letters)).await?;
            tracing::debug!(letters = letters.len(), "a batch of letters has left");
            Ok(conn)
        });
    }

    fn end_marking(&mut self, conn: PgConnection, leaving: &mut Leaving) {
        self.marks = Some(conn);
        for place in leaving.marked() {
            self.looking.gone(place);
        }
        self.mark_from = Instant::now() + MARK_REST.max(2 * self.mark_began.elapsed());
    }

    /// Holds what shards it can get; asks for none that it holds.
    async fn hold(&mut self, leaving: &Leaving) -> Result<(), Error> {
        if self.asked.is_none_or(|at| at.elapsed() > ASK_FOR_SHARDS) {
            let held = outbox::hold_shards(&mut self.conn, &self.held).await?;
            let before = mem::replace(&mut self.held, held);
            let new: Vec<i16> = self.held.iter().copied().filter(|shard| !before.contains(shard)).collect();
            self.looking.take_over(&mut self.conn, &new, leaving).await?;
            self.core.handed.hold(&new);
            self.asked = Some(Instant::now());
        }
        Ok(())
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

/// The message; the body moves into it, since what is not confirmed is read again.
fn letter(epoch: &str, waiting: &mut Waiting) -> Outgoing {
    let letter = &mut waiting.letter;
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
        body: mem::take(&mut letter.body),
    }
}
