//! How long to wait before the next try: jittered, growing, bounded.
//!
//! The only file that knows the crate `backoff`, and only its sequence of delays: its retry loops
//! are not used, and it can be replaced here.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// A sequence of delays without an end.
#[derive(Debug)]
pub struct Delays {
    sequence: ExponentialBackoff,
    longest: Duration,
}

impl Delays {
    /// Begins at about `first`, doubles, stays at about `longest`; each is up to a half more or
    /// less, so that many who lost the same server do not come back in step.
    pub fn between(first: Duration, longest: Duration) -> Self {
        let sequence = ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            randomization_factor: 0.5,
            multiplier: 2.0,
            max_interval: longest,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { sequence, longest }
    }

    /// How long to wait now. Not `Iterator::next`: it never ends.
    pub fn next_delay(&mut self) -> Duration {
        // None only past a maximum elapsed time, and there is none.
        self.sequence.next_backoff().unwrap_or(self.longest)
    }

    /// It worked: the next trouble begins with a short wait again.
    pub fn reset(&mut self) {
        self.sequence.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_stay_bounded() {
        let mut delays = Delays::between(Duration::from_millis(100), Duration::from_secs(10));
        assert!(delays.next_delay() <= Duration::from_millis(151));
        let later: Vec<_> = (0..1_000).map(|_| delays.next_delay()).collect();
        assert!(later.iter().all(|d| *d <= Duration::from_millis(15_001)));
        assert!(later[20..].iter().all(|d| *d >= Duration::from_secs(5)));
        delays.reset();
        assert!(delays.next_delay() <= Duration::from_millis(151));
    }
}
