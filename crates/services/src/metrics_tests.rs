//! Names, labels and numbers of series of the metrics.

use std::collections::{BTreeMap, BTreeSet};

use prometheus::core::Collector;
use xacminh_clock::Clock;
use xacminh_contract::envelope::CommandType;
use xacminh_domain::request::State;
use xacminh_domain::rules::Trigger;

use super::*;

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
    for reason in PARKED {
        m.parked.with_label_values(&[reason]).inc();
    }
    for difference in
        [Difference::NotTaken, Difference::NotSentByYou, Difference::NotReceived, Difference::UnknownToBroker]
    {
        for healing in [Healing::SendAgain, Healing::ReceiptAgain, Healing::Told, Healing::SentAgain, Healing::Alerted]
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
    for of in Dependency::ALL {
        m.dependency(of, true);
    }
    for role in ["intake", "answering", "relay", "escalating", "measuring"] {
        m.role(role, true);
    }
    for queue in xacminh_bus::WORK_QUEUES {
        m.work_messages.with_label_values(&[queue]).set(1);
        m.work_readers.with_label_values(&[queue]).set(1);
    }
    for gauge in [&m.outbox, &m.waiting, &m.in_flight, &m.parked_now, &m.shards_held] {
        gauge.set(1);
    }
    m.unhealed.set(1);
    m.calendar_days.set(1);
    m.partition_days.set(1);
    let mut oldest = Vec::new();
    for age in [&m.outbox_age, &m.escalating_overdue] {
        age.set(&Clock::System, vec![(Vec::new(), None)]);
    }
    for province in (0..PROVINCES).map(|n| format!("{n:02}")) {
        for state in State::ALL {
            m.open.with_label_values(&[province.as_str(), state.as_str()]).set(1);
            oldest.push((vec![province.clone(), state.as_str().to_owned()], None));
        }
        for cause in ["not_connected", "not_confirmed"] {
            m.unheard.with_label_values(&[province.as_str(), cause]).set(1);
        }
        m.overdue.with_label_values(&[&province]).set(1);
        m.lookup_pending.with_label_values(&[&province]).set(1);
        for segment in Segment::ALL {
            for time in ["wall", "working"] {
                m.lag.with_label_values(&[segment.as_str(), province.as_str(), time]).observe(1.0);
            }
        }
    }
    m.oldest.set(&Clock::System, oldest);
    m
}

/// How many series the page then has; with the page of offices they are held within 20,000.
pub(crate) fn series_with_every_label_in_use() -> usize {
    let text = prometheus::TextEncoder::new().encode_to_string(&full().registry().gather()).unwrap();
    assert!(!text.contains("office="), "offices have a page of their own");
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series > PROVINCES * Segment::ALL.len() * 2 * BUCKETS.len(), "{series}: the histograms are in it");
    series
}

#[test]
fn with_every_label_in_use_a_process_has_as_many_series_as_the_page_on_metrics_says() {
    let series = series_with_every_label_in_use();
    assert!((5_000..6_500).contains(&series), "{series}: docs/METRICS.md says 6,500 at most");
}

#[test]
fn a_process_that_does_not_measure_gives_no_gauge_of_the_store() {
    let names: Vec<String> =
        Metrics::new().unwrap().registry().gather().iter().map(|family| family.name().to_owned()).collect();
    let of_its_own = |name: &String| name.ends_with("_total") || name == "xacminh_rabbitmq_blocked";
    assert!(names.iter().all(of_its_own), "{names:?}");
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
    let words = |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
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
