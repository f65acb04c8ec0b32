//! How far a relay has read a table to which rows are added in the order of a number: from where its next look
//! begins.
//!
//! Whatever has left stays in PostgreSQL's index until no snapshot sees it any more: behind a report that runs for ten
//! minutes half a million rows, through which each look from the beginning would go. But where a look begins, nothing
//! may be left behind it. Numbers are given out in order, and rows are seen in any, each when its transaction is over.
//! So a look begins behind the last number that was read at a moment all of whose transactions are over by now, which
//! is a few milliseconds ago, and goes through the few since then once more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use xacminh_store::sight::Sight;

/// After so long all is read from the beginning, or after so many times as long as that took: for a row that comes
/// behind the trail against all rules, such as by a binary of before.
const WHOLE: Duration = Duration::from_secs(30);
const WHOLE_RESTS: u32 = 50;
/// How many steps are remembered; a transaction that lasts makes looks longer, not the memory.
const STEPS: usize = 256;

/// The trail through one table.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    /// All up to here was read, and nothing comes there any more.
    settled: i64,
    /// How far was read when which transaction was the next to begin.
    steps: VecDeque<(i64, i64)>,
    /// The last look ended here before it had read all.
    cut: Option<i64>,
    /// When the last look from the beginning began, and how long it took to the end.
    whole: Option<(Instant, Option<Duration>)>,
}

impl Trail {
    /// Reads all from the beginning with the next look.
    pub(crate) fn begin_anew(&mut self) {
        *self = Self::default();
    }

    /// Behind which number the next look reads.
    pub(crate) fn after(&mut self, now: Instant) -> i64 {
        let is_due = |(began, took): (Instant, Option<Duration>)| {
            took.is_some_and(|took| now.duration_since(began) > WHOLE.max(WHOLE_RESTS * took))
        };
        if self.whole.is_none_or(is_due) {
            self.begin_anew();
            self.whole = Some((now, None));
        }
        self.cut.unwrap_or(self.settled)
    }

    /// Whether the last look did not come to the end.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// A look read up to `last`, if there was anything; `cut` says that there may be more.
    pub(crate) fn looked(&mut self, sight: Sight, last: Option<i64>, cut: bool, now: Instant) {
        // What a look that went on in the middle did not see again may have come behind it.
        if self.cut.is_none() {
            let read = if cut { last.unwrap_or(i64::MAX) } else { i64::MAX };
            while let Some((next, last)) = self.steps.front().copied()
                && next <= sight.oldest
                && last <= read
            {
                self.settled = self.settled.max(last);
                self.steps.pop_front();
            }
        }
        let known = self.steps.back().map_or(self.settled, |(_, last)| *last);
        if let Some(last) = last.filter(|last| *last > known) {
            if self.steps.len() >= STEPS {
                self.steps.pop_back();
            }
            self.steps.push_back((sight.next, last));
        }
        self.cut = if cut { last } else { None };
        if let (None, Some((began, took @ None))) = (self.cut, &mut self.whole) {
            *took = Some(now.duration_since(*began));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(oldest: i64, next: i64) -> Sight {
        Sight { oldest, next }
    }

    #[test]
    fn a_look_begins_where_nothing_comes_any_more() {
        let (mut trail, now) = (Trail::default(), Instant::now());
        assert_eq!(trail.after(now), 0);
        // Transaction 7 is under way and may have taken a number before 20.
        trail.looked(sight(7, 9), Some(20), false, now);
        assert_eq!(trail.after(now), 0);
        trail.looked(sight(7, 12), Some(25), false, now);
        assert_eq!(trail.after(now), 0);
        // It is over, and so are all that had begun by the first look; not all by the second.
        trail.looked(sight(10, 14), Some(25), false, now);
        assert_eq!(trail.after(now), 20);
        trail.looked(sight(14, 14), None, false, now);
        assert_eq!(trail.after(now), 25);
    }

    #[test]
    fn what_is_much_is_read_piece_by_piece_and_then_once_more_where_something_may_have_come() {
        let (mut trail, now) = (Trail::default(), Instant::now());
        trail.after(now);
        trail.looked(sight(5, 6), Some(100), true, now);
        assert!(trail.is_cut());
        assert_eq!(trail.after(now), 100);
        trail.looked(sight(8, 9), Some(150), false, now);
        // All are over, but 5 had not been read when the first piece was.
        assert_eq!(trail.after(now), 0);
        trail.looked(sight(9, 9), Some(150), false, now);
        assert_eq!(trail.after(now), 150);
    }

    #[test]
    fn a_piece_of_a_look_settles_no_more_than_it_read() {
        let (mut trail, now) = (Trail::default(), Instant::now());
        trail.after(now);
        trail.looked(sight(5, 6), Some(40), false, now);
        trail.looked(sight(7, 8), Some(90), false, now);
        assert_eq!(trail.after(now), 40);
        trail.looked(sight(9, 9), Some(60), true, now);
        assert_eq!(trail.after(now), 60);
    }

    #[test]
    fn from_time_to_time_all_is_read() {
        let (mut trail, now) = (Trail::default(), Instant::now());
        trail.after(now);
        trail.looked(sight(3, 3), Some(10), false, now + Duration::from_secs(1));
        trail.looked(sight(3, 3), None, false, now);
        assert_eq!(trail.after(now + WHOLE), 10);
        // Reading all took a second, so it is not done again so soon.
        assert_eq!(trail.after(now + WHOLE_RESTS * Duration::from_secs(1)), 10);
        assert_eq!(trail.after(now + WHOLE_RESTS * Duration::from_secs(1) + Duration::from_millis(1)), 0);
        let mut trail = Trail::default();
        trail.after(now);
        trail.looked(sight(3, 3), Some(10), false, now);
        trail.looked(sight(3, 3), None, false, now);
        trail.begin_anew();
        assert_eq!(trail.after(now), 0);
    }

    #[test]
    fn a_transaction_that_lasts_does_not_fill_the_memory() {
        let (mut trail, now) = (Trail::default(), Instant::now());
        trail.after(now);
        for n in 1..10_000 {
            trail.looked(sight(1, n + 1), Some(n), false, now);
        }
        assert!(trail.steps.len() <= STEPS);
        trail.looked(sight(20_000, 20_000), None, false, now);
        assert_eq!(trail.after(now), 9_999);
    }
}
