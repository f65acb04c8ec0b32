//! Figures by office: a page of its own, since 3,354 offices would drown the nation's figures.
//!
//! Made of what the role measuring counted last, where that runs in this process; else of what the store says
//! when it is asked for. Kept for some seconds: however many ask at once, the store is asked once. Only
//! offices that are asked something are on it.

use std::sync::{Mutex as Lock, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{IntGaugeVec, Opts, Registry, TextEncoder};
use tokio::sync::Mutex;
use xacminh_clock::Clock;
use xacminh_domain::Timestamp;
use xacminh_store::Store;
use xacminh_store::view::lag;
use xacminh_store::view::office::{self, InHand};

/// How long the page is given out before the store is asked again.
pub const FRESH_FOR: Duration = Duration::from_secs(5);
/// For how long what was counted is told; measuring that stands still is no source.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// Name and help of each figure of an office, in the order of [`figures`].
const FIGURES: [(&str, &str); 4] = [
    ("xacminh_office_requests_open", "Requests the office has not answered."),
    ("xacminh_office_requests_overdue", "Requests of the office beyond their answer due."),
    ("xacminh_office_requests_in_flight", "Requests sent to the office and not yet received by its system."),
    ("xacminh_office_requests_oldest_age_seconds", "Age of the office's oldest unanswered request."),
];
const LABELS: [&str; 2] = ["office", "province"];

/// The figures of an office at `now`.
fn figures(row: &InHand, now: Timestamp) -> [i64; FIGURES.len()] {
    let age = now.duration_since(row.oldest).as_secs().max(0);
    [row.open, row.overdue, row.in_flight, age]
}

/// The page of figures by office.
pub struct OfficePage {
    store: Store,
    clock: Clock,
    fresh_for: Duration,
    // Held while the store is asked, so that others wait for that answer and do not ask as well.
    last: Mutex<Option<(Instant, Option<String>)>>,
    // What measuring counted, and when.
    told: Lock<Option<(Instant, Vec<InHand>)>>,
}

impl OfficePage {
    /// A page that is given out for so long before it is made anew.
    pub fn new(store: Store, clock: Clock, fresh_for: Duration) -> Self {
        Self { store, clock, fresh_for, last: Mutex::default(), told: Lock::default() }
    }

    /// What each office has in hand was counted.
    pub(crate) fn tell(&self, in_hand: Vec<InHand>) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), in_hand));
    }

    /// It could not be counted, and what was told before holds no longer.
    pub(crate) fn untell(&self) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The page as Prometheus reads it; none when the store cannot be asked, which is logged here
    /// and remembered as long as a page is.
    pub async fn text(&self) -> Option<String> {
        let mut last = self.last.lock().await;
        if let Some((made, text)) = &*last
            && made.elapsed() < self.fresh_for
        {
            return text.clone();
        }
        let text = match self.make().await {
            Ok(text) => Some(text),
            Err(error) => {
                tracing::warn!(error, "the figures by office cannot be given");
                None
            }
        };
        *last = Some((Instant::now(), text.clone()));
        text
    }

    async fn make(&self) -> Result<String, String> {
        let now = self.clock.now();
        let told = self.as_told(now);
        let text = match told {
            Some(text) => text,
            None => {
                let asked = async { lag::in_life(&mut *self.store.conn().await?, now).await };
                let in_life = asked.await.map_err(|error: xacminh_store::Error| error.to_string())?;
                written(&office::in_hand(&in_life), now)
            }
        };
        text.map_err(|error| error.to_string())
    }

    fn as_told(&self, now: Timestamp) -> Option<Result<String, prometheus::Error>> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, in_hand) = told.as_ref()?;
        (at.elapsed() < TOLD_FOR).then(|| written(in_hand, now))
    }
}

/// Empty gauges for each figure.
pub(crate) fn gauges() -> Result<Vec<IntGaugeVec>, prometheus::Error> {
    FIGURES.iter().map(|(name, help)| IntGaugeVec::new(Opts::new(*name, *help), &LABELS)).collect()
}

fn written(offices: &[InHand], now: Timestamp) -> Result<String, prometheus::Error> {
    let registry = Registry::new();
    let gauges = gauges()?;
    for gauge in &gauges {
        registry.register(Box::new(gauge.clone()))?;
    }
    for row in offices {
        for (gauge, figure) in gauges.iter().zip(figures(row, now)) {
            gauge.with_label_values(&[row.office.as_str(), row.province.as_str()]).set(figure);
        }
    }
    TextEncoder::new().encode_to_string(&registry.gather())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offices of the registry: `data/offices/offices.csv`.
    const OFFICES: usize = 3_354;

    #[test]
    fn with_every_office_busy_the_page_stays_within_its_number_of_series() {
        let now: Timestamp = "2026-11-19T08:00:00+07:00".parse().unwrap();
        let offices: Vec<InHand> = (0..OFFICES)
            .map(|n| InHand {
                office: format!("vp{n:06}"),
                province: format!("{:02}", n % 34),
                open: 1,
                overdue: 1,
                oldest: now - jiff::SignedDuration::from_secs(90),
                in_flight: 1,
            })
            .collect();
        let text = written(&offices, now).unwrap();
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(series, FIGURES.len() * OFFICES);
        // With the other page, which has a process's own figures: `metrics.rs`.
        let other = crate::metrics::tests::series_with_every_label_in_use();
        assert!(series + other < 20_000, "{series} and {other}");
        assert!(text.contains("xacminh_office_requests_oldest_age_seconds{office=\"vp000000\",province=\"00\"} 90\n"));
    }

    #[tokio::test]
    async fn what_measuring_counted_is_told_without_asking_the_store_and_ages_go_on() {
        let clock = Clock::System;
        // Nobody listens there.
        let store = Store::connect("postgres://nobody@127.0.0.1:1/none", 1).unwrap();
        let page = OfficePage::new(store, clock.clone(), Duration::ZERO);
        page.tell(vec![InHand {
            office: "vpa2b3c4".to_owned(),
            province: "01".to_owned(),
            open: 3,
            overdue: 1,
            oldest: clock.now() - jiff::SignedDuration::from_hours(2),
            in_flight: 2,
        }]);
        let text = page.text().await.unwrap();
        let labels = "{office=\"vpa2b3c4\",province=\"01\"}";
        assert!(text.contains(&format!("xacminh_office_requests_open{labels} 3\n")), "{text}");
        let age = text.lines().find_map(|line| {
            line.strip_prefix(&format!("xacminh_office_requests_oldest_age_seconds{labels} "))?.parse::<i64>().ok()
        });
        assert!(age.is_some_and(|age| age >= 7_200), "{text}");
        page.untell();
        assert!(page.as_told(clock.now()).is_none());
    }
}
