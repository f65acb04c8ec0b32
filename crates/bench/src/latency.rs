//! How long messages are on their way, by the one clock of this process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// A way that messages go: who publishes notes when, who receives how long that took.
#[derive(Debug, Default)]
pub(crate) struct Way(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// What is on its way, by request.
    left: HashMap<String, Instant>,
    took: Vec<Duration>,
}

impl Way {
    /// It is about to be published.
    pub(crate) fn leaves(&self, request: &str) {
        self.noted().left.insert(request.to_owned(), Instant::now());
    }

    /// It came. Counts the first time only, and if it is to.
    pub(crate) fn came(&self, request: &str, counts: bool) {
        let mut noted = self.noted();
        if let Some(left) = noted.left.remove(request)
            && counts
        {
            noted.took.push(left.elapsed());
        }
    }

    /// How long it took whatever came since this was last asked.
    pub(crate) fn took(&self) -> Took {
        Took::of(std::mem::take(&mut self.noted().took))
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long something took, many times over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Took {
    /// How often it was seen.
    pub(crate) count: usize,
    /// Half of them took no longer, in milliseconds.
    pub(crate) p50_ms: f64,
    /// All but one in a hundred took no longer, in milliseconds.
    pub(crate) p99_ms: f64,
}

impl Took {
    pub(crate) fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self { count: durations.len(), p50_ms: percentile(&durations, 50), p99_ms: percentile(&durations, 99) }
    }
}

/// The smallest that so many in a hundred do not exceed, in milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).map_or(0.0, |d| d.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_is_there() {
        let ms: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        let took = Took::of(ms);
        assert_eq!(took.count, 100);
        assert!((took.p50_ms - 50.0).abs() < 1e-9, "{took:?}");
        assert!((took.p99_ms - 99.0).abs() < 1e-9, "{took:?}");
        let one = Took::of(vec![Duration::from_millis(7)]);
        assert!((one.p50_ms - 7.0).abs() < 1e-9 && (one.p99_ms - 7.0).abs() < 1e-9, "{one:?}");
        assert_eq!(Took::of(Vec::new()), Took::default());
    }

    #[test]
    fn a_message_counts_once_and_only_while_it_is_measured() {
        let way = Way::default();
        for request in ["a", "b", "c"] {
            way.leaves(request);
        }
        way.came("a", false);
        way.came("b", true);
        way.came("b", true);
        way.came("never left", true);
        assert_eq!(way.took().count, 1);
        assert_eq!(way.took().count, 0);
    }
}
