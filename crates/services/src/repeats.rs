//! Whether commands come twice these days.
//!
//! Hardly any does, so nobody asks for each whether it was taken before. Who sends again usually sends more
//! than one again, and a batch that finds a repeat only as it is written down has been judged for nothing:
//! so after one, batches ask first for a while.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How many batches ask after one that found a repeat.
const BATCHES: u32 = 50;

/// Counts down the batches that ask.
#[derive(Debug, Default)]
pub(crate) struct Repeats(AtomicU32);

impl Repeats {
    /// A batch had a repeat in it.
    pub(crate) fn came(&self) {
        self.0.store(BATCHES, Relaxed);
    }

    /// Whether the next batch should ask.
    pub(crate) fn are_likely(&self) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_repeat_batches_ask_for_a_while() {
        let repeats = Repeats::default();
        assert!(!repeats.are_likely());
        repeats.came();
        assert_eq!((0..2 * BATCHES).filter(|_| repeats.are_likely()).count(), BATCHES as usize);
        assert!(!repeats.are_likely());
    }
}
