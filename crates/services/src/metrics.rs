//! What is counted. Labels are provinces and closed lists, never an office, never a person.

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use xacminh_contract::envelope::{ANSWER_DELIVER, NOTICE, RECEIPT, RECONCILE_RESULT, REQUEST_DELIVER};
use xacminh_contract::reconcile::{Difference, Healing};
use xacminh_contract::refusal::RefusalCode;
use xacminh_domain::calendar::Calendar;
use xacminh_domain::lag::{self, Segment};
use xacminh_domain::request::{Event, Request};

use crate::ages::Ages;

/// From a second to a week: transport at one end, silence at the other; half a day and a day of work
/// among them. Each costs 420 series.
const BUCKETS: [f64; 9] = [1.0, 60.0, 600.0, 3_600.0, 14_400.0, 28_800.0, 86_400.0, 172_800.0, 604_800.0];

/// Why messages are parked, as `xacminh_parked_total` has it.
const PARKED: [&str; 4] = ["no_sender", "sender_unknown", "inbox_gave_up", "not_processed"];

/// What a process cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// PostgreSQL.
    Postgresql,
    /// The connection that messages leave by.
    RabbitmqPublish,
    /// The connection that they come in by.
    RabbitmqConsume,
}

impl Dependency {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Postgresql, Self::RabbitmqPublish, Self::RabbitmqConsume];

    /// The word for it in a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql",
            Self::RabbitmqPublish => "rabbitmq_publish",
            Self::RabbitmqConsume => "rabbitmq_consume",
        }
    }
}

/// A gauge that is on the page only once it was set: of a process that does not measure, 0 would be
/// a figure, and a wrong one.
#[derive(Clone)]
pub(crate) struct Measured(IntGaugeVec);

impl Measured {
    pub(crate) fn set(&self, value: i64) {
        self.0.with_label_values::<&str>(&[]).set(value);
    }
}

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
    pub(crate) unhealed: Measured,
    pub(crate) lookup_pending: IntGaugeVec,
    pub(crate) open: IntGaugeVec,
    pub(crate) overdue: IntGaugeVec,
    pub(crate) unheard: IntGaugeVec,
    pub(crate) oldest: Ages,
    pub(crate) outbox: Measured,
    pub(crate) waiting: Measured,
    pub(crate) in_flight: Measured,
    pub(crate) outbox_age: Ages,
    pub(crate) parked_now: Measured,
    pub(crate) escalating_overdue: Ages,
    pub(crate) shards_held: Measured,
    pub(crate) work_messages: IntGaugeVec,
    pub(crate) work_readers: IntGaugeVec,
    pub(crate) calendar_days: Measured,
    pub(crate) partition_days: Measured,
    pub(crate) measurings: IntCounter,
    dependency_up: IntGaugeVec,
    blocked: IntGauge,
    role_running: IntGaugeVec,
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
        let measured = |name: &str, help: &str| gauges(name, help, &[]).map(Measured);
        let plain = |name: &str, help: &str| {
            let made = IntCounter::new(name, help)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let ages = |name: &str, help: &str, labels: &[&str]| {
            let made = Ages::new(name, help, labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let lag = HistogramVec::new(
            HistogramOpts::new("xacminh_lag_seconds", "Time a request spent in a segment of its way, by H's province.")
                .buckets(BUCKETS.to_vec()),
            &["segment", "province", "time"],
        )?;
        registry.register(Box::new(lag.clone()))?;
        let made = Self {
            commands: counter("xacminh_commands_total", "Commands taken, by type and outcome.", &["type", "outcome"])?,
            refused: counter("xacminh_refusals_total", "Commands refused, by code.", &["code"])?,
            parked: counter("xacminh_parked_total", "Messages parked, by reason.", &["reason"])?,
            letters: counter(
                "xacminh_letters_total",
                "Messages to offices, by type and outcome.",
                &["type", "outcome"],
            )?,
            reconciled: counter(
                "xacminh_reconcile_differences_total",
                "Differences that offices' reports of a day showed, by kind and what became of them.",
                &["difference", "healing"],
            )?,
            unhealed: measured(
                "xacminh_reconcile_unhealed",
                "Differences of the last days that sending again cannot mend, or did not.",
            )?,
            sent_again: plain(
                "xacminh_sent_again_total",
                "Requests sent again because the home office's system took them and never confirmed.",
            )?,
            redelivered: plain(
                "xacminh_redelivered_total",
                "Commands that RabbitMQ gave again because whoever had them did not acknowledge.",
            )?,
            rungs: counter("xacminh_rungs_total", "Rungs that fired.", &["trigger", "rung"])?,
            open: gauges("xacminh_requests_open", "Requests in life.", &["province", "state"])?,
            overdue: gauges("xacminh_requests_overdue", "Requests beyond their answer due.", &["province"])?,
            unheard: gauges(
                "xacminh_offices_unheard",
                "Offices whose systems let a request wait until its clock started by itself.",
                &["province", "cause"],
            )?,
            oldest: ages(
                "xacminh_requests_oldest_age_seconds",
                "Age of the oldest request in life.",
                &["province", "state"],
            )?,
            lookup_pending: gauges(
                "xacminh_requests_lookup_pending",
                "Requests in life sent in without a look-up.",
                &["province"],
            )?,
            outbox: measured("xacminh_outbox_letters", "Messages waiting to leave.")?,
            waiting: measured("xacminh_deliveries_waiting", "Requests not yet in their home offices' inboxes.")?,
            in_flight: measured("xacminh_deliveries_in_flight", "Requests sent and not confirmed by H's system.")?,
            outbox_age: ages("xacminh_outbox_oldest_age_seconds", "Age of the oldest message waiting to leave.", &[])?,
            parked_now: measured("xacminh_parked", "Messages parked.")?,
            escalating_overdue: ages(
                "xacminh_escalating_overdue_seconds",
                "How long the earliest rung or notice has been due and is not done.",
                &[],
            )?,
            shards_held: measured("xacminh_relay_shards_held", "Shards of the outbox that some relay holds.")?,
            work_messages: gauges("xacminh_work_queue_messages", "Messages that wait in a work queue.", &["queue"])?,
            work_readers: gauges("xacminh_work_queue_readers", "Readers of a work queue.", &["queue"])?,
            calendar_days: measured("xacminh_calendar_days_ahead", "Days ahead that stand in the calendar for good.")?,
            partition_days: measured("xacminh_partitions_days_ahead", "Days ahead whose messages can be stored.")?,
            measurings: plain("xacminh_measurings_total", "How often the gauges were set from the store.")?,
            dependency_up: gauges("xacminh_dependency_up", "Whether what is needed can be used.", &["dependency"])?,
            blocked: gauge("xacminh_rabbitmq_blocked", "Whether RabbitMQ takes no messages.")?,
            role_running: gauges("xacminh_role_running", "Whether a role of this process has begun.", &["role"])?,
            lag,
            registry,
        };
        // Counters that alerts look at begin at 0: whatever comes first is then an increase.
        for code in RefusalCode::ALL {
            made.refused.with_label_values(&[code.as_str()]);
        }
        for reason in PARKED {
            made.parked.with_label_values(&[reason]);
        }
        for of in [RECEIPT, REQUEST_DELIVER, ANSWER_DELIVER, NOTICE, RECONCILE_RESULT] {
            made.letters.with_label_values(&[of, "no_inbox"]);
        }
        Ok(made)
    }

    /// Notes whether something that is needed can be used.
    pub fn dependency(&self, of: Dependency, up: bool) {
        self.dependency_up.with_label_values(&[of.as_str()]).set(up.into());
    }

    /// Notes whether RabbitMQ takes no messages, though it is connected.
    pub fn rabbitmq_blocked(&self, blocked: bool) {
        self.blocked.set(blocked.into());
    }

    /// Notes whether a role of this process has begun, or still waits for PostgreSQL.
    pub fn role(&self, name: &str, running: bool) {
        self.role_running.with_label_values(&[name]).set(running.into());
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
            | Event::Recounted { .. }
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
#[path = "metrics_tests.rs"]
pub(crate) mod tests;
