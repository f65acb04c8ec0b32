//! How much work each office may still be sent: at most [`CAP`] requests in flight.
//!
//! A relay alone sends to its offices, so it may count in memory: from above, for what
//! an office confirms is taken off by another role. Only when an office looks full is the store
//! asked how full it is.
//!
//! Work counts from when it is read, not from when it is marked: while it is published and marked the
//! store does not know of it, and whoever asks it then adds what is under way.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use xacminh_domain::id::OfficeId;
use xacminh_store::delivery::{self, CAP};
use xacminh_store::outbox;
use xacminh_store::{Error, PgConnection};

/// How often a full office is counted again, at most, and after how many times as long as counting took: many may be
/// full because their systems say nothing.
const COUNT_AGAIN: Duration = Duration::from_millis(200);
const COUNT_RESTS: u32 = 50;

/// Of the offices of a relay's shards.
#[derive(Default)]
pub(crate) struct Rooms {
    /// At least as many as are in flight, those included that are on their way there.
    in_flight: HashMap<OfficeId, i32>,
    /// Offices whose letters cannot leave for now, and until when.
    shut: HashMap<OfficeId, Instant>,
    /// Before that full offices are not counted again.
    count_from: Option<Instant>,
}

impl Rooms {
    /// Counts the offices of shards that were just taken over; `under_way` is work that was read and is not
    /// marked. What is marked while the store counts is counted twice, never not at all.
    pub(crate) async fn take_over(
        &mut self,
        conn: &mut PgConnection,
        shards: &[i16],
        under_way: &HashMap<OfficeId, i32>,
    ) -> Result<(), Error> {
        if shards.is_empty() {
            return Ok(());
        }
        self.in_flight.extend(delivery::in_flight_of(conn, shards).await?);
        for (office, n) in under_way.iter().filter(|(office, _)| shards.contains(&outbox::shard(**office))) {
            *self.in_flight.entry(*office).or_default() += n;
        }
        Ok(())
    }

    /// One more is on its way.
    pub(crate) fn taken(&mut self, office: OfficeId) {
        *self.in_flight.entry(office).or_default() += 1;
    }

    /// One that was on its way is not: it waits again.
    pub(crate) fn not_sent(&mut self, office: OfficeId) {
        if let Some(n) = self.in_flight.get_mut(&office) {
            *n = (*n - 1).max(0);
        }
    }

    /// Nothing can be sent to an office for a while: it has no inbox.
    pub(crate) fn shut(&mut self, office: OfficeId, until: Instant) {
        self.shut.insert(office, until);
    }

    /// How many more may be sent, for every office that has not the whole cap.
    pub(crate) async fn left(
        &mut self,
        conn: &mut PgConnection,
        under_way: &HashMap<OfficeId, i32>,
    ) -> Result<HashMap<OfficeId, i32>, Error> {
        self.shut.retain(|_, until| *until > Instant::now());
        let full: Vec<OfficeId> =
            self.in_flight.iter().filter(|(_, n)| **n >= CAP).map(|(office, _)| *office).collect();
        let began = Instant::now();
        if !full.is_empty() && self.count_from.is_none_or(|from| began >= from) {
            let counted: HashMap<OfficeId, i32> = delivery::in_flight(conn, &full).await?.into_iter().collect();
            for office in full {
                let n = counted.get(&office).copied().unwrap_or(0) + under_way.get(&office).copied().unwrap_or(0);
                if n > 0 {
                    self.in_flight.insert(office, n)
                } else {
                    self.in_flight.remove(&office)
                };
            }
            self.count_from = Some(Instant::now() + COUNT_AGAIN.max(COUNT_RESTS * began.elapsed()));
        }
        let mut left: HashMap<OfficeId, i32> = self.in_flight.iter().map(|(o, n)| (*o, (CAP - n).max(0))).collect();
        left.extend(self.shut.keys().map(|office| (*office, 0)));
        Ok(left)
    }
}
