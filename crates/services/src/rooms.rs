//! How much work each office may still be sent: at most [`CAP`] requests in flight.
//!
//! A lane of the relay alone sends to its offices, so it may count in memory: from above, for what
//! an office confirms is taken off by another role. Only when an office looks full is the store
//! asked how full it is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use xacminh_domain::id::OfficeId;
use xacminh_store::delivery::{self, CAP};
use xacminh_store::{Error, PgConnection};

/// How often a full office is counted again, at most.
const COUNT_AGAIN: Duration = Duration::from_millis(200);

/// Of the offices of a lane's shards.
#[derive(Default)]
pub(crate) struct Rooms {
    /// At least as many as are in flight.
    in_flight: HashMap<OfficeId, i32>,
    /// Offices whose letters cannot leave for now, and until when.
    shut: HashMap<OfficeId, Instant>,
    counted: Option<Instant>,
}

impl Rooms {
    /// Counts the offices of shards that were just taken over.
    pub(crate) async fn take_over(&mut self, conn: &mut PgConnection, shards: &[i16]) -> Result<(), Error> {
        self.in_flight.extend(delivery::in_flight_of(conn, shards).await?);
        Ok(())
    }

    /// One more is in flight.
    pub(crate) fn sent(&mut self, office: OfficeId) {
        *self.in_flight.entry(office).or_default() += 1;
    }

    /// Nothing can be sent to an office for a while: it has no inbox.
    pub(crate) fn shut(&mut self, office: OfficeId, until: Instant) {
        self.shut.insert(office, until);
    }

    /// How many more may be sent, for every office that has not the whole cap.
    pub(crate) async fn left(&mut self, conn: &mut PgConnection) -> Result<Vec<(OfficeId, i32)>, Error> {
        self.shut.retain(|_, until| *until > Instant::now());
        let full: Vec<OfficeId> =
            self.in_flight.iter().filter(|(_, n)| **n >= CAP).map(|(office, _)| *office).collect();
        if !full.is_empty() && self.counted.is_none_or(|at| at.elapsed() > COUNT_AGAIN) {
            let counted: HashMap<OfficeId, i32> = delivery::in_flight(conn, &full).await?.into_iter().collect();
            for office in full {
                match counted.get(&office) {
                    Some(n) => self.in_flight.insert(office, *n),
                    None => self.in_flight.remove(&office),
                };
            }
            self.counted = Some(Instant::now());
        }
        let mut left: HashMap<OfficeId, i32> = self.in_flight.iter().map(|(o, n)| (*o, (CAP - n).max(0))).collect();
        left.extend(self.shut.keys().map(|office| (*office, 0)));
        Ok(left.into_iter().collect())
    }
}
