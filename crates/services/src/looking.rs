//! What may leave now. A relay knows what waits: its own process tells it, and what else is new it reads of the store.
//! Only what it has chosen it reads whole.
//!
//! Only of offices for which very much waits does it know nothing, and asks each time what of theirs leaves next: one
//! that is silent, with a hundred thousand requests waiting, costs the others nothing.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_store::delivery::{self, Order};
use xacminh_store::outbox::{self, Batch, Place, Waiting};
use xacminh_store::{Error, PgConnection};

use xacminh_trust::key::KeyRing;

use crate::bodies::Bodies;
use crate::handed::News;
use crate::leaving::Leaving;
use crate::rooms::Rooms;
use crate::trail::Trail;
use crate::waiting::{Letters, Work, room};

/// How many letters, and how much work, leave together: what is under way is in memory.
const BATCH: usize = 200;
/// How much that is new is read at once.
const PIECE: i64 = 1_000;
/// Of how many letters that wait a relay knows before it reads of others.
const MOST_LETTERS: usize = 5_000;
/// How much work leaves together where the store is asked what leaves next: that is dear, a third of a second among
/// 400,000 of 700 offices.
const BATCH_OF_MANY: usize = 1_000;
/// How long a letter waits that cannot leave: no inbox, or no key to open it.
const ASIDE: Duration = Duration::from_secs(30);

/// What a relay knows of its shards, for as long as it holds them. What is under way is known too, until it is
/// marked: it may come back.
#[derive(Default)]
pub(crate) struct Looking {
    letters: Letters,
    letters_trail: Trail,
    work: Work,
    work_trail: Trail,
    /// Letters that cannot leave, for whom, and until when: none of those that are known, so that they keep no other
    /// from being read.
    aside: HashMap<i64, (OfficeId, Instant)>,
    /// Work that no key at hand opens, for whom, and until when.
    shut: HashMap<RequestId, (OfficeId, Instant)>,
    rooms: Rooms,
    bodies: Bodies,
    /// Something came of which it knows nothing, and which it will know by reading on.
    unread: bool,
}

/// What may leave, and whether there is more of it.
pub(crate) struct Found {
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) more: bool,
}

impl Looking {
    /// Shards that were just taken over.
    pub(crate) async fn take_over(
        &mut self,
        conn: &mut PgConnection,
        shards: &[i16],
        leaving: &Leaving,
    ) -> Result<(), Error> {
        if shards.is_empty() {
            return Ok(());
        }
        self.letters_trail.begin_anew();
        self.work_trail.begin_anew();
        self.unread = true;
        self.rooms.take_over(conn, shards, &work_of(leaving)).await
    }

    /// Something may have come that the next look has to read.
    pub(crate) fn read_on(&mut self) {
        self.unread = true;
    }

    /// What the process itself put on its way; nothing of it need be read.
    pub(crate) fn hear(&mut self, news: News) {
        self.unread |= news.is_cut;
        for (order, letter) in news.work {
            self.work.add(order, letter.office);
            if !self.work.is_deep(letter.office) {
                self.bodies.keep(Place::Delivery(order.request), letter);
            }
        }
        for (place, letter) in news.letters {
            if self.letters.len() < MOST_LETTERS {
                self.letters.add(place, letter.office);
                self.bodies.keep(Place::Outbox(place), letter);
            } else {
                self.unread = true;
            }
        }
    }

    /// What may leave now: work before letters, so that a request never comes after what is said about it.
    pub(crate) async fn look(
        &mut self,
        conn: &mut PgConnection,
        keys: &KeyRing,
        shards: &[i16],
        leaving: &Leaving,
    ) -> Result<Found, Error> {
        self.end_waits(Instant::now());
        if self.unread {
            self.read(conn, shards).await?;
        }
        let busy: HashSet<OfficeId> = leaving.busy().collect();
        let work = self.choose_work(conn, leaving, &busy).await?;
        let letters = self.letters.choose(&busy, &leaving.letters().collect(), BATCH);
        let more = self.unread || work.len() >= BATCH || letters.len() >= BATCH;

        let mut waiting = self.open_work(conn, keys, &work).await?;
        for waiting in &waiting {
            self.rooms.taken(waiting.letter.office);
        }
        waiting.extend(self.open_letters(conn, keys, &letters).await?);
        Ok(Found { waiting, more })
    }

    /// Chosen work whole, in this order. What is here is asked for as well: it may have been taken back, or have left
    /// before it was heard of.
    async fn open_work(
        &mut self,
        conn: &mut PgConnection,
        keys: &KeyRing,
        chosen: &[RequestId],
    ) -> Result<Vec<Waiting>, Error> {
        let (here, there): (Vec<RequestId>, Vec<RequestId>) =
            chosen.iter().partition(|request| self.bodies.has(Place::Delivery(**request)));
        let found = delivery::open(conn, keys, &there).await?;
        let mut waiting = self.opened(found, there.into_iter().map(Place::Delivery));
        let still = delivery::still_wait(conn, &here).await?;
        waiting.extend(self.at_hand(here.iter().map(|id| (Place::Delivery(*id), still.contains(id)))));
        Ok(in_order(waiting, chosen.iter().map(|request| Place::Delivery(*request))))
    }

    /// The same for letters.
    async fn open_letters(
        &mut self,
        conn: &mut PgConnection,
        keys: &KeyRing,
        chosen: &[i64],
    ) -> Result<Vec<Waiting>, Error> {
        let (here, there): (Vec<i64>, Vec<i64>) =
            chosen.iter().partition(|place| self.bodies.has(Place::Outbox(**place)));
        let found = outbox::open(conn, keys, &there).await?;
        let mut waiting = self.opened(found, there.into_iter().map(Place::Outbox));
        let still = outbox::still_wait(conn, &here).await?;
        waiting.extend(self.at_hand(here.iter().map(|id| (Place::Outbox(*id), still.contains(id)))));
        Ok(in_order(waiting, chosen.iter().map(|place| Place::Outbox(*place))))
    }

    /// Those that are here, of each whether it still waits; the others are gone.
    fn at_hand(&mut self, here: impl Iterator<Item = (Place, bool)>) -> Vec<Waiting> {
        let mut waiting = Vec::new();
        for (place, waits) in here {
            if waits {
                waiting.extend(self.bodies.take(place));
            } else {
                self.gone(place);
            }
        }
        waiting
    }

    /// It left, or is there no more.
    pub(crate) fn gone(&mut self, place: Place) {
        self.bodies.gone(place);
        match place {
            Place::Outbox(place) => self.letters.gone(place),
            Place::Delivery(request) => self.work.gone(request),
        }
    }

    /// It did not leave, and waits as before.
    pub(crate) fn not_sent(&mut self, waiting: &Waiting) {
        if matches!(waiting.place, Place::Delivery(_)) {
            self.rooms.not_sent(waiting.letter.office);
        }
    }

    /// An office without an inbox: its work and this letter wait for a while.
    pub(crate) fn put_aside(&mut self, waiting: &Waiting) {
        match waiting.place {
            Place::Delivery(_) => self.rooms.shut(waiting.letter.office, Instant::now() + ASIDE),
            Place::Outbox(place) => self.put_letter_aside(place, waiting.letter.office),
        }
    }

    fn put_letter_aside(&mut self, place: i64, office: OfficeId) {
        self.letters.gone(place);
        self.aside.insert(place, (office, Instant::now() + ASIDE));
    }

    fn end_waits(&mut self, now: Instant) {
        self.shut.retain(|_, (_, until)| *until > now);
        for (place, (office, _)) in self.aside.extract_if(|_, (_, until)| *until <= now) {
            self.letters.add(place, office);
        }
    }

    /// Reads what is new, a piece of it.
    async fn read(&mut self, conn: &mut PgConnection, shards: &[i16]) -> Result<(), Error> {
        let after = self.work_trail.after(Instant::now());
        let (sight, arrived) = delivery::arrived(conn, shards, after, PIECE, self.work.deep()).await?;
        let last = arrived.last().map(|(arrival, ..)| *arrival);
        self.work_trail.looked(sight, last, is_cut(arrived.len()), Instant::now());
        for (_, order, office) in arrived {
            self.work.add(order, office);
        }
        let has_space = self.letters.len() < MOST_LETTERS;
        if has_space {
            let after = self.letters_trail.after(Instant::now());
            let (sight, arrived) = outbox::arrived(conn, shards, after, PIECE).await?;
            let last = arrived.last().map(|(place, _)| *place);
            self.letters_trail.looked(sight, last, is_cut(arrived.len()), Instant::now());
            for (place, office) in arrived.into_iter().filter(|(place, _)| !self.aside.contains_key(place)) {
                self.letters.add(place, office);
            }
        }
        self.unread = self.work_trail.is_cut() || self.letters_trail.is_cut() && has_space;
        Ok(())
    }

    async fn choose_work(
        &mut self,
        conn: &mut PgConnection,
        leaving: &Leaving,
        busy: &HashSet<OfficeId>,
    ) -> Result<Vec<RequestId>, Error> {
        let mut rooms = self.rooms.left(conn, &work_of(leaving)).await?;
        rooms.extend(busy.iter().map(|office| (*office, 0)));
        let mut except: HashMap<RequestId, OfficeId> = leaving.work().collect();
        except.extend(self.shut.iter().map(|(request, (office, _))| (*request, *office)));
        let others = self.first_of_the_deep(conn, &rooms, &except).await?;
        let limit = if others.is_empty() { BATCH } else { BATCH_OF_MANY };
        Ok(self.work.choose(&others, &rooms, &except, limit))
    }

    /// What leaves next of offices of whose work nothing is known. Asked after what is new was read: so what the trail
    /// has behind it is seen here, and an office with no more than came out is known again.
    async fn first_of_the_deep(
        &mut self,
        conn: &mut PgConnection,
        rooms: &HashMap<OfficeId, i32>,
        except: &HashMap<RequestId, OfficeId>,
    ) -> Result<Vec<(Order, OfficeId)>, Error> {
        let mut passed_over: HashMap<OfficeId, i32> = HashMap::new();
        for office in except.values() {
            *passed_over.entry(*office).or_default() += 1;
        }
        let most = |office| match room(rooms, office) {
            room @ 1.. => Some((office, room + passed_over.get(&office).copied().unwrap_or(0))),
            _ => None,
        };
        let offices: Vec<(OfficeId, i32)> = self.work.deep().filter_map(most).collect();
        let limit = BATCH_OF_MANY + except.len();
        let first = delivery::first(conn, &offices, limit).await?;
        if first.len() == limit {
            return Ok(first);
        }
        let mut by_office: HashMap<OfficeId, i32> = HashMap::new();
        for (_, office) in &first {
            *by_office.entry(*office).or_default() += 1;
        }
        for (office, most) in offices {
            if by_office.get(&office).is_none_or(|n| *n < most) {
                self.work.known_again(office);
            }
        }
        let (others, known): (Vec<_>, Vec<_>) = first.into_iter().partition(|(_, office)| self.work.is_deep(*office));
        for (order, office) in known {
            self.work.add(order, office);
        }
        Ok(others)
    }

    /// What was chosen and could be opened; the rest waits for a key, or is there no more.
    fn opened(&mut self, batch: Batch, chosen: impl Iterator<Item = Place>) -> Vec<Waiting> {
        let shut = batch.sealed_shut.iter().map(|(place, _)| *place);
        let there: HashSet<Place> = batch.waiting.iter().map(|w| w.place).chain(shut).collect();
        for gone in chosen.filter(|place| !there.contains(place)) {
            self.gone(gone);
        }
        if !batch.sealed_shut.is_empty() {
            tracing::error!(
                letters = batch.sealed_shut.len(),
                "letters cannot be opened with the keys at hand; they wait"
            );
        }
        for (place, office) in batch.sealed_shut {
            match place {
                Place::Delivery(request) => _ = self.shut.insert(request, (office, Instant::now() + ASIDE)),
                Place::Outbox(place) => self.put_letter_aside(place, office),
            }
        }
        batch.waiting
    }
}

fn in_order(mut waiting: Vec<Waiting>, chosen: impl Iterator<Item = Place>) -> Vec<Waiting> {
    let order: HashMap<Place, usize> = chosen.zip(0..).collect();
    waiting.sort_by_key(|waiting| order.get(&waiting.place));
    waiting
}

fn is_cut(read: usize) -> bool {
    i64::try_from(read).is_ok_and(|read| read >= PIECE)
}

/// How much work is under way for each office.
fn work_of(leaving: &Leaving) -> HashMap<OfficeId, i32> {
    let mut work = HashMap::new();
    for (_, office) in leaving.work() {
        *work.entry(office).or_default() += 1;
    }
    work
}
