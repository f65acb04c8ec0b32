//! Letters of which a relay has all that leaves, because its own process has just written them: they need neither be read
//! nor opened again. What does not leave soon is forgotten, and read when it does.

use std::collections::HashMap;
use std::mem;

use xacminh_store::outbox::{Letter, Place, Waiting};

/// After so many bytes more a letter is forgotten, after twice as many at the latest.
const HALF: usize = 2 << 20;

/// They are kept until they leave or are gone.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    young: HashMap<Place, Letter>,
    old: HashMap<Place, Letter>,
    /// How much came since the young ones were none.
    bytes: usize,
}

impl Bodies {
    /// Keeps a letter for a while.
    pub(crate) fn keep(&mut self, place: Place, letter: Letter) {
        self.bytes += letter.body.len();
        if self.bytes > HALF {
            self.old = mem::take(&mut self.young);
            self.bytes = letter.body.len();
        }
        self.young.insert(place, letter);
    }

    /// Whether a letter is here.
    pub(crate) fn has(&self, place: Place) -> bool {
        self.young.contains_key(&place) || self.old.contains_key(&place)
    }

    /// Takes out a letter that leaves.
    pub(crate) fn take(&mut self, place: Place) -> Option<Waiting> {
        let letter = self.young.remove(&place).or_else(|| self.old.remove(&place))?;
        Some(Waiting { place, letter })
    }

    /// A letter leaves no more.
    pub(crate) fn gone(&mut self, place: Place) {
        self.take(place);
    }
}

#[cfg(test)]
mod tests {
    use xacminh_contract::envelope::NOTICE;

    use super::*;
    use crate::composing;

    fn letter(bytes: usize) -> Letter {
        let (office, now) = ("vpa2b3c4".parse().unwrap(), "2026-11-19T08:00:00+07:00".parse().unwrap());
        composing::letter(office, NOTICE, None, now, vec![0; bytes])
    }

    #[test]
    fn what_does_not_leave_is_forgotten_and_what_leaves_is_here_once() {
        let mut bodies = Bodies::default();
        for (place, bytes) in [(1, 10), (2, HALF - 20), (3, 20)] {
            bodies.keep(Place::Outbox(place), letter(bytes));
        }
        let here = |bodies: &Bodies| [1, 2, 3, 4].map(|place| bodies.has(Place::Outbox(place)));
        assert_eq!(here(&bodies), [true, true, true, false]);
        assert_eq!(bodies.take(Place::Outbox(1)).map(|w| (w.place, w.letter.body.len())), Some((Place::Outbox(1), 10)));
        assert!(bodies.take(Place::Outbox(1)).is_none());
        bodies.keep(Place::Outbox(4), letter(HALF));
        assert_eq!(here(&bodies), [false, false, true, true]);
        bodies.gone(Place::Outbox(3));
        assert_eq!(here(&bodies), [false, false, false, true]);
    }
}
