//! What is counted. Labels are provinces and closed lists, never an office, never a person.

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use xacminh_contract::reconcile::{Difference, Healing};
use xacminh_domain::calendar::Calendar;
use xacminh_domain::lag::{self, Segment};
use xacminh_domain::request::{Event, Request};

/// From a tenth of a second to a month: transport at one end, silence at the other.
const BUCKETS: [f64; 12] =
    [0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 14_400.0, 28_800.0, 86_400.0, 172_800.0, 604_800.0, 2_592_000.0];

/// All counters, gauges and histograms. A clone is another handle to the same ones.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    pub(crate) commands: IntCounterVec,
    pub(crate) refused: IntCounterVec,
    pub(crate) parked: IntCounterVec,
    pub(crate) letters: IntCounterVec,
    pub(crate) sent_again: IntCounter,
    pub(crate) redelivered: IntCounter,
    pub(crate) rungs: IntCounterVec,
    reconciled: IntCounterVec,
    pub(crate) unhealed: IntGauge,
    pub(crate) lookup_pending: IntGaugeVec,
    pub(crate) open: IntGaugeVec,
    pub(crate) overdue: IntGaugeVec,
    pub(crate) oldest: IntGaugeVec,
    pub(crate) outbox: IntGauge,
    pub(crate) waiting: IntGauge,
    pub(crate) in_flight: IntGauge,
    pub(crate) outbox_age: IntGauge,
    pub(crate) parked_now: IntGauge,
    lag: HistogramVec,
}

impl Metrics {
    /// Makes and registers all of them. Fails only if two had one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let made = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let made = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let gauge = |name: &str, help: &str| {
            let made = IntGauge::new(name, help)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let sent_again = IntCounter::new(
            "xacminh_sent_again_total",
            "Requests sent again because the home office's system took them and never confirmed.",
        )?;
        registry.register(Box::new(sent_again.clone()))?;
        let redelivered = IntCounter::new(
            "xacminh_redelivered_total",
            "Commands that RabbitMQ gave again because whoever had them did not acknowledge.",
        )?;
        registry.register(Box::new(redelivered.clone()))?;
        let lag = HistogramVec::new(
            HistogramOpts::new("xacminh_lag_seconds", "Time a request spent in a segment of its way, by H's province.")
                .buckets(BUCKETS.to_vec()),
            &["segment", "province", "time"],
        )?;
        registry.register(Box::new(lag.clone()))?;
        Ok(Self {
            commands: counter("xacminh_commands_total", "Commands taken, by type and outcome.", &["type", "outcome"])?,
            refused: counter("xacminh_refusals_total", "Commands refused, by code.", &["code"])?,
            parked: counter("xacminh_parked_total", "Messages parked, by reason.", &["reason"])?,
            letters: counter(
                "xacminh_letters_total",
                "Messages to offices, by type and outcome.",
                &["type", "outcome"],
            )?,
            sent_again,
            redelivered,
            reconciled: counter(
                "xacminh_reconcile_differences_total",
                "Differences that offices' reports of a day showed, by kind and what became of them.",
                &["difference", "healing"],
            )?,
            unhealed: gauge(
                "xacminh_reconcile_unhealed",
                "Differences of the last days that sending again cannot mend, or did not.",
            )?,
            rungs: counter("xacminh_rungs_total", "Rungs that fired.", &["trigger", "rung"])?,
            open: gauges("xacminh_requests_open", "Requests in life.", &["province", "state"])?,
            overdue: gauges("xacminh_requests_overdue", "Requests beyond their answer due.", &["province"])?,
            oldest: gauges(
                "xacminh_requests_oldest_age_seconds",
                "Age of the oldest request in life.",
                &["province", "state"],
            )?,
            lookup_pending: gauges(
                "xacminh_requests_lookup_pending",
                "Requests in life sent in without a look-up.",
                &["province"],
            )?,
            outbox: gauge("xacminh_outbox_letters", "Messages waiting to leave.")?,
            waiting: gauge("xacminh_deliveries_waiting", "Requests not yet in their home offices' inboxes.")?,
            in_flight: gauge("xacminh_deliveries_in_flight", "Requests sent and not confirmed by H's system.")?,
            outbox_age: gauge("xacminh_outbox_oldest_age_seconds", "Age of the oldest message waiting to leave.")?,
            parked_now: gauge("xacminh_parked", "Messages parked.")?,
            lag,
            registry,
        })
    }

    /// Where all are registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counts the differences of a comparison.
    pub(crate) fn differ(&self, found: &[(Difference, Healing)]) {
        for (difference, healing) in found {
            self.reconciled.with_label_values(&[difference.as_str(), healing.as_str()]).inc();
        }
    }

    /// Observes the segments that an event ended.
    pub(crate) fn observe(&self, request: &Request, event: &Event, province: &str, calendar: &Calendar) {
        let ended: &[Segment] = match event {
            Event::Submitted { .. } => &[Segment::Ask],
            Event::Sent => &[Segment::Send],
            Event::Delivered { .. } => &[Segment::Transport],
            Event::Opened { .. } => &[Segment::Unopened],
            Event::Answered { .. } => &[Segment::Work],
            Event::Read => &[Segment::Unread],
            Event::ClockStarted { .. }
            | Event::RungFired { .. }
            | Event::AnswerSent
            | Event::Withdrawn { .. }
            | Event::FileClosed { .. } => &[],
        };
        for segment in ended {
            let Some((from, to)) = lag::segment(request, *segment) else { continue };
            let wall = to.duration_since(from).as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "minutes of working time are far below 2^52")]
            let working = calendar.working_minutes_between(from, to) as f64 * 60.0;
            self.lag.with_label_values(&[segment.as_str(), province, "wall"]).observe(wall);
            self.lag.with_label_values(&[segment.as_str(), province, "working"]).observe(working);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use prometheus::core::Collector;
    use xacminh_contract::envelope::{ANSWER_DELIVER, CommandType, NOTICE, RECEIPT, RECONCILE_RESULT, REQUEST_DELIVER};
    use xacminh_contract::refusal::RefusalCode;
    use xacminh_domain::request::State;
    use xacminh_domain::rules::Trigger;

    use super::*;

    /// More series than this on a page, and a Prometheus of the usual size begins to feel it.
    const MOST_SERIES: usize = 20_000;
    /// Provinces, and the ministry.
    const PROVINCES: usize = 35;
    /// More rungs than any ladder has.
    const RUNGS: usize = 10;

    /// Every label in use at once.
    fn full() -> Metrics {
        let m = Metrics::new().unwrap();
        for outcome in ["accepted", "refused", "repeated"] {
            for of in CommandType::ALL.map(CommandType::short).into_iter().chain(["unknown"]) {
                m.commands.with_label_values(&[of, outcome]).inc();
            }
        }
        for code in RefusalCode::ALL {
            m.refused.with_label_values(&[code.as_str()]).inc();
        }
        for reason in ["no_sender", "sender_unknown", "inbox_gave_up", "not_processed"] {
            m.parked.with_label_values(&[reason]).inc();
        }
        for difference in
            [Difference::NotTaken, Difference::NotSentByYou, Difference::NotReceived, Difference::UnknownToBroker]
        {
            for healing in
                [Healing::SendAgain, Healing::ReceiptAgain, Healing::Told, Healing::SentAgain, Healing::Alerted]
            {
                m.differ(&[(difference, healing)]);
            }
        }
        for of in [RECEIPT, REQUEST_DELIVER, ANSWER_DELIVER, NOTICE, RECONCILE_RESULT] {
            for outcome in ["confirmed", "no_inbox", "unknown"] {
                m.letters.with_label_values(&[of, outcome]).inc();
            }
        }
        for trigger in Trigger::ALL {
            for rung in 0..RUNGS {
                m.rungs.with_label_values(&[trigger.as_str(), &rung.to_string()]).inc();
            }
        }
        for province in (0..PROVINCES).map(|n| format!("{n:02}")) {
            for state in State::ALL {
                m.open.with_label_values(&[province.as_str(), state.as_str()]).set(1);
                m.oldest.with_label_values(&[province.as_str(), state.as_str()]).set(1);
            }
            m.overdue.with_label_values(&[&province]).set(1);
            m.lookup_pending.with_label_values(&[&province]).set(1);
            for segment in Segment::ALL {
                for time in ["wall", "working"] {
                    m.lag.with_label_values(&[segment.as_str(), province.as_str(), time]).observe(1.0);
                }
            }
        }
        m
    }

    #[test]
    fn with_every_label_in_use_the_page_stays_within_its_number_of_series() {
        let text = prometheus::TextEncoder::new().encode_to_string(&full().registry().gather()).unwrap();
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        assert!(series > PROVINCES * Segment::ALL.len() * 2 * BUCKETS.len(), "{series}: the histograms are in it");
        assert!(series < MOST_SERIES, "{series}");
        assert!(!text.contains("office="), "offices have a page of their own");
    }

    /// Metrics by name with the labels of each.
    type Known = BTreeMap<String, BTreeSet<String>>;

    fn known() -> Known {
        let nation = full().registry().gather().into_iter().map(|family| {
            let labels = family.get_metric()[0].get_label().iter().map(|label| label.name().to_owned());
            (family.name().to_owned(), labels.collect())
        });
        let offices = crate::offices::gauges().unwrap().into_iter().flat_map(|gauge| {
            gauge
                .desc()
                .into_iter()
                .map(|d| (d.fq_name.clone(), d.variable_labels.iter().cloned().collect()))
                .collect::<Vec<_>>()
        });
        nation.chain(offices).collect()
    }

    #[test]
    fn the_page_about_metrics_names_each_with_its_labels_and_no_other() {
        let words =
            |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        let told: Known = include_str!("../../../docs/METRICS.md")
            .lines()
            .filter(|line| line.starts_with("| `xacminh_"))
            .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
            // Name, type, unit, labels, meaning, between two empty cells.
            .filter(|cells| cells.len() == 7)
            .map(|cells| (cells[1].trim_matches('`').to_owned(), words(cells[4])))
            .collect();
        assert_eq!(told, known());
    }
}
