//! What a relay has read and not marked: letters on their way to RabbitMQ, and such as it
//! confirmed.
//!
//! Some batches are on their way at once, each through a publisher of its own. **An office is in one of
//! them at most**: what it is to get next is read when RabbitMQ has answered for all before it. So an
//! office's letters come in order whatever becomes of one of them: if it is lost, returned or refused,
//! nothing that was to follow it is under way. Offices do not wait for each other.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use uuid::Uuid;
use xacminh_bus::{Bus, Outcome, Outgoing, Publisher};
use xacminh_domain::Timestamp;
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_store::outbox::{Mark, Place, Waiting};

use crate::abort_point::AbortPoint;
use crate::confirmed::{Confirmed, means};

/// How many batches are on their way at once.
const AT_ONCE: usize = 4;
/// How many letters may be under way: marking that lags behind holds up what is read next.
const MOST: usize = 2_000;
/// How many are marked together: their requests, and perhaps all of their events, are in memory at once.
const MARKED_TOGETHER: usize = 500;
/// Of so many that wait for their marks, each waits for a while for a command that takes the mark along.
const MANY: usize = 8;
/// For how long.
const WAITS_FOR_COMMAND: Duration = Duration::from_millis(400);
/// How long RabbitMQ may take to confirm a batch while it takes messages at all.
const CONFIRM_LIMIT: Duration = Duration::from_secs(60);

/// A batch of which RabbitMQ has said what became of it, or has kept silent too long.
pub(crate) struct Published {
    publisher: usize,
    /// Each letter with what became of it.
    pub(crate) letters: Vec<(Waiting, Outcome)>,
}

/// A letter that RabbitMQ confirmed: no more of it than marking it takes, for there may be thousands.
#[derive(Debug, Clone)]
pub(crate) struct Left {
    pub(crate) place: Place,
    pub(crate) office: OfficeId,
    pub(crate) message_id: Uuid,
    /// What that means for which request.
    pub(crate) means: Option<(RequestId, Mark)>,
    /// When it was confirmed.
    pub(crate) at: Timestamp,
    since: Instant,
}

impl Left {
    fn of(waiting: &Waiting, at: Timestamp) -> Self {
        let Waiting { place, letter } = waiting;
        Self {
            place: *place,
            office: letter.office,
            message_id: letter.message_id,
            means: means(letter),
            at,
            since: Instant::now(),
        }
    }
}

/// Outlives the connection to PostgreSQL: what RabbitMQ confirmed need not leave again, and its confirm
/// belongs in the ledger, whoever has the shard by then.
pub(crate) struct Leaving {
    publishers: [Arc<Publisher>; AT_ONCE],
    /// Publishers with nothing under way.
    idle: Vec<usize>,
    /// What is being published; gives batches of which it is known what became of them.
    pub(crate) publishing: JoinSet<Published>,
    /// Offices with a letter that is being published.
    busy: HashSet<OfficeId>,
    /// Where everything lies that was read and not marked, and for whom it is.
    places: HashMap<Place, OfficeId>,
    /// What RabbitMQ has and no row tells yet.
    confirmed: Vec<Left>,
    /// Of that, what is being marked.
    marking: Arc<[Left]>,
}

impl Leaving {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self {
            publishers: std::array::from_fn(|_| Arc::new(bus.publisher())),
            idle: (0..AT_ONCE).collect(),
            publishing: JoinSet::new(),
            busy: HashSet::new(),
            places: HashMap::new(),
            confirmed: Vec::new(),
            marking: Arc::default(),
        }
    }

    /// Whether another batch may leave now.
    pub(crate) fn has_room(&self) -> bool {
        !self.idle.is_empty() && self.places.len() < MOST
    }

    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Offices that get nothing now, because something is being published to them.
    pub(crate) fn busy(&self) -> impl Iterator<Item = OfficeId> {
        self.busy.iter().copied()
    }

    /// Letters that must not be read again.
    pub(crate) fn letters(&self) -> impl Iterator<Item = i64> {
        self.places.keys().filter_map(|place| match place {
            Place::Outbox(id) => Some(*id),
            Place::Delivery(_) => None,
        })
    }

    /// Work that must not be read again, and for whom it is.
    pub(crate) fn work(&self) -> impl Iterator<Item = (RequestId, OfficeId)> {
        self.places.iter().filter_map(|(place, office)| match place {
            Place::Delivery(request) => Some((*request, *office)),
            Place::Outbox(_) => None,
        })
    }

    /// Publishes a batch, of offices that are not busy. Only if there is room.
    pub(crate) fn publish(&mut self, waiting: Vec<Waiting>, outgoing: Vec<Outgoing>) {
        let Some(index) = self.idle.pop() else { return };
        for waiting in &waiting {
            self.busy.insert(waiting.letter.office);
            self.places.insert(waiting.place, waiting.letter.office);
        }
        let publisher = self.publishers[index].clone();
        self.publishing.spawn(async move {
            AbortPoint::BeforePublish.reach();
            let outcomes = publish(&publisher, outgoing).await;
            Published { publisher: index, letters: waiting.into_iter().zip(outcomes).collect() }
        });
    }

    /// Takes a batch in at `now`: its offices may get more. What was not confirmed is under way no more.
    pub(crate) fn take_in(&mut self, published: Published, now: Timestamp) -> Vec<(Waiting, Outcome)> {
        self.idle.push(published.publisher);
        let mut back = Vec::new();
        for (waiting, outcome) in published.letters {
            self.busy.remove(&waiting.letter.office);
            if outcome == Outcome::Confirmed {
                self.confirmed.push(Left::of(&waiting, now));
            } else {
                self.places.remove(&waiting.place);
                back.push((waiting, outcome));
            }
        }
        back
    }

    /// Whether something waits to be marked.
    pub(crate) fn has_confirmed(&self) -> bool {
        !self.confirmed.is_empty() || !self.marking.is_empty()
    }

    /// What is to be marked next: what was not marked the last time first, as it was. If not `all` of it, then
    /// not what a command may still take along.
    pub(crate) fn next_to_mark(&mut self, unwritten: &Confirmed, all: bool) -> Arc<[Left]> {
        if self.marking.is_empty() {
            let all = all || self.confirmed.len() < MANY;
            let waits = |left: &Left| !all && left.since.elapsed() < WAITS_FOR_COMMAND && unwritten.has(left.means);
            let (mut later, mut now): (Vec<Left>, Vec<Left>) =
                mem::take(&mut self.confirmed).into_iter().partition(waits);
            later.extend(now.drain(now.len().min(MARKED_TOGETHER)..));
            self.confirmed = later;
            self.marking = now.into();
        }
        self.marking.clone()
    }

    /// It is marked; gives what is under way no more.
    pub(crate) fn marked(&mut self) -> Vec<Place> {
        let marked: Vec<Place> = mem::take(&mut self.marking).iter().map(|left| left.place).collect();
        for place in &marked {
            self.places.remove(place);
        }
        marked
    }

    /// Who sends; all of them share a connection.
    pub(crate) fn sender(&self) -> Arc<Publisher> {
        self.publishers[0].clone()
    }
}

/// What a task gave; it is never told to end, so what is no result is its panic.
pub(crate) fn done<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// Publishes all, but waits for no confirm for ever: what is not confirmed in time leaves again.
async fn publish(publisher: &Publisher, outgoing: Vec<Outgoing>) -> Vec<Outcome> {
    let letters = outgoing.len();
    let mut publishing = pin!(publisher.publish_all(outgoing));
    loop {
        match timeout(CONFIRM_LIMIT, &mut publishing).await {
            Ok(outcomes) => return outcomes,
            Err(_) if publisher.is_blocked() => {}
            Err(_) => {
                tracing::warn!(letters, "RabbitMQ confirms nothing; the letters leave again under the same ids");
                return vec![Outcome::Unknown; letters];
            }
        }
    }
}
