//! How busy this process is with commands, for work that may take all of the machine only while few come.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// From how much of the time spent on commands on it is busy; all queues together, so that it can be more
/// than one.
const BUSY: f64 = 0.5;

/// The time spent on batches of commands since the process began, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Bustle(AtomicU64);

impl Bustle {
    /// A batch took so long.
    pub(crate) fn took(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    fn so_far(&self) -> Duration {
        Duration::from_micros(self.0.load(Relaxed))
    }
}

/// Whoever wants to know, from one look to the next.
pub(crate) struct Onlooker {
    looked: Instant,
    seen: Duration,
}

impl Onlooker {
    /// Looks for the first time.
    pub(crate) fn of(bustle: &Bustle) -> Self {
        Self { looked: Instant::now(), seen: bustle.so_far() }
    }

    /// Whether the process was busy since the last look.
    pub(crate) fn sees_busy(&mut self, bustle: &Bustle) -> bool {
        let before = std::mem::replace(self, Self::of(bustle));
        let spent = self.seen.saturating_sub(before.seen);
        is_busy(spent, self.looked - before.looked)
    }
}

fn is_busy(spent: Duration, of: Duration) -> bool {
    spent.as_secs_f64() > BUSY * of.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_time_is_not_busy_yet() {
        let ms = Duration::from_millis;
        assert!(!is_busy(ms(50), ms(100)) && is_busy(ms(51), ms(100)));
    }

    #[test]
    fn a_look_tells_of_what_came_since_the_one_before() {
        let bustle = Bustle::default();
        bustle.took(Duration::from_secs(3_600));
        let mut onlooker = Onlooker::of(&bustle);
        assert!(!onlooker.sees_busy(&bustle));
        bustle.took(Duration::from_secs(3_600));
        assert!(onlooker.sees_busy(&bustle));
        assert!(!onlooker.sees_busy(&bustle));
    }
}
