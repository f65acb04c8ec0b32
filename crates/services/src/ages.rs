//! Ages that are right at the moment they are asked for.
//!
//! Measuring looks every some seconds. An age that it wrote down would be that much behind, and
//! would stand still when measuring does; so it writes down since when something waits, and the age
//! is counted by the services' clock when the page is made.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};
use xacminh_clock::Clock;
use xacminh_domain::Timestamp;

/// Values of the labels, and since when; none when nothing waits.
type Since = (Vec<String>, Option<Timestamp>);
/// By which clock, and what waited at the last look.
type Seen = (Clock, Vec<Since>);

/// A gauge of ages in whole seconds: 0 for what does not wait, or is still ahead. A clone is another
/// handle to the same.
#[derive(Clone)]
pub(crate) struct Ages {
    gauges: IntGaugeVec,
    waiting: Arc<Mutex<Option<Seen>>>,
}

impl Ages {
    pub(crate) fn new(name: &str, help: &str, labels: &[&str]) -> Result<Self, prometheus::Error> {
        Ok(Self { gauges: IntGaugeVec::new(Opts::new(name, help), labels)?, waiting: Arc::default() })
    }

    /// What waits now; whatever waited before does not any more.
    pub(crate) fn set(&self, clock: &Clock, waiting: Vec<Since>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some((clock.clone(), waiting));
    }
}

impl Collector for Ages {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Held to the end, so that two pages at once do not mix.
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.gauges.reset();
        if let Some((clock, waiting)) = &*waiting {
            let now = clock.now();
            for (labels, since) in waiting {
                let age = since.map_or(0, |since| now.duration_since(since).as_secs().max(0));
                self.gauges.with_label_values(labels).set(age);
            }
        }
        self.gauges.collect()
    }
}

#[cfg(test)]
mod tests {
    use xacminh_clock::ManualClock;

    use super::*;

    #[test]
    fn an_age_grows_between_two_looks_and_goes_with_what_waited() {
        let start: Timestamp = "2026-11-19T08:00:00+07:00".parse().unwrap();
        let clock = ManualClock::at(start);
        let ages = Ages::new("a", "A.", &["province"]).unwrap();
        let seen = || -> Vec<(String, f64)> {
            let families = ages.collect();
            let all = families.iter().flat_map(|family| family.get_metric());
            all.map(|m| (m.get_label()[0].value().to_owned(), m.get_gauge().get_value())).collect()
        };
        assert_eq!(seen(), [], "before the first look nothing is known");
        let (one, two) = (vec!["01".to_owned()], vec!["15".to_owned()]);
        ages.set(&Clock::Manual(clock.clone()), vec![(one, Some(start)), (two.clone(), None)]);
        assert_eq!(seen(), [("01".to_owned(), 0.0), ("15".to_owned(), 0.0)]);
        clock.set(start + jiff::SignedDuration::from_secs(90));
        assert_eq!(seen(), [("01".to_owned(), 90.0), ("15".to_owned(), 0.0)]);
        // Ahead of now, as the next rung is: not due yet.
        ages.set(&Clock::Manual(clock), vec![(two, Some(start + jiff::SignedDuration::from_hours(1)))]);
        assert_eq!(seen(), [("15".to_owned(), 0.0)]);
    }
}
