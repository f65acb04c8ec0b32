//! What is counted. Labels are provinces and closed lists, never an office, never a person.

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
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
    pub(crate) rungs: IntCounterVec,
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
