//! What came out: each run, the spread of each side, the ratios, what was reached, and whether it may be
//! believed. `words.rs` says it to people.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cost::{Cost, CpuSeconds};
use crate::counts::Messages;
use crate::latency::Took;
use crate::load::Stretch;

/// How far apart the floor's own runs may lie, as a share of their median.
const QUIET_ENOUGH: f64 = 0.15;
/// How many messages a life may take at most, by RabbitMQ's counters.
const MESSAGES: f64 = 12.0;
/// What `ratio` is to be at least.
const RATIO: f64 = 0.7;
/// How long a submit may take to its home at half load, at the 99th percentile.
const DELIVER_MS: f64 = 150.0;
/// The same, beside the floor's.
const DELIVER_TIMES: f64 = 10.0;

/// One run of one side at its full speed.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Run {
    /// Lives that came to their end in the measured time, a second; of the plain relay, round trips.
    pub(crate) lives_per_second: f64,
    /// How many that were.
    pub(crate) lives: u64,
    /// From the submit to the end of the life, by the ward's clock, in milliseconds.
    pub(crate) life_p50_ms: f64,
    /// The same.
    pub(crate) life_p99_ms: f64,
    /// By RabbitMQ's counters.
    pub(crate) messages_per_life: Messages,
    /// In the measured time.
    #[serde(flatten)]
    pub(crate) cost: Cost,
    /// The most memory that the process had at once.
    pub(crate) peak_memory_bytes: u64,
}

/// A run of each, one after the other.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Pair {
    /// Which went first, which last.
    pub(crate) order: [&'static str; 3],
    pub(crate) product: Run,
    pub(crate) floor: Run,
    pub(crate) plain: Run,
}

impl Pair {
    /// Beside the floor.
    pub(crate) fn ratio(&self) -> f64 {
        self.product.lives_per_second / self.floor.lives_per_second
    }

    /// Beside the plain relay.
    pub(crate) fn ratio4(&self) -> f64 {
        self.product.lives_per_second / self.plain.lives_per_second
    }
}

/// Which run of a pair.
type OneSide = fn(&Pair) -> &Run;

/// One run in which lives began by the clock.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct HalfLoad {
    /// How many were to begin a second.
    pub(crate) wanted_per_second: f64,
    /// How many came to their end.
    pub(crate) lives_per_second: f64,
    /// From the ward's publish of a submit to its home.
    pub(crate) submit_to_deliver: Took,
    /// From the home's publish of an answer to its ward.
    pub(crate) answer_to_deliver: Took,
}

impl HalfLoad {
    /// What offices saw while so many were to begin a second.
    pub(crate) fn of(wanted_per_second: f64, stretch: &Stretch) -> Self {
        Self {
            wanted_per_second,
            lives_per_second: stretch.per_second(),
            submit_to_deliver: stretch.submit,
            answer_to_deliver: stretch.answer,
        }
    }
}

/// A figure over all runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

/// One side over all its runs. Medians where nothing else is said.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    pub(crate) lives_per_second: Spread,
    pub(crate) messages_per_life: Messages,
    #[serde(flatten)]
    pub(crate) cost: Cost,
    /// The most of all runs.
    pub(crate) peak_memory_bytes: u64,
    /// Of the plain relay there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) half_load: Option<HalfLoad>,
}

impl Figures {
    fn of(runs: &[&Run], half_load: Option<HalfLoad>) -> Self {
        let median = |of: fn(&Run) -> f64| median(runs.iter().map(|run| of(run)));
        let maybe = |of: fn(&Run) -> Option<f64>| {
            let all: Option<Vec<f64>> = runs.iter().map(|run| of(run)).collect();
            all.map(|all| spread(all).median)
        };
        Self {
            lives_per_second: spread(runs.iter().map(|run| run.lives_per_second).collect()),
            messages_per_life: Messages {
                published: median(|run| run.messages_per_life.published),
                delivered: median(|run| run.messages_per_life.delivered),
                redelivered: median(|run| run.messages_per_life.redelivered),
                acknowledged: median(|run| run.messages_per_life.acknowledged),
            },
            cost: Cost {
                cpu_seconds_per_1000_lives: CpuSeconds {
                    itself: median(|run| run.cost.cpu_seconds_per_1000_lives.itself),
                    rabbitmq: maybe(|run| run.cost.cpu_seconds_per_1000_lives.rabbitmq),
                    postgresql: maybe(|run| run.cost.cpu_seconds_per_1000_lives.postgresql),
                    clients: median(|run| run.cost.cpu_seconds_per_1000_lives.clients),
                },
                transactions_per_life: median(|run| run.cost.transactions_per_life),
                wal_bytes_per_life: median(|run| run.cost.wal_bytes_per_life),
            },
            peak_memory_bytes: runs.iter().map(|run| run.peak_memory_bytes).max().unwrap_or_default(),
            half_load,
        }
    }
}

/// Something to be reached.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reach {
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) reached: bool,
}

/// What came out with so many offices.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    /// Offices with a login, a connection and an inbox, each a ward and a home.
    pub(crate) offices: usize,
    /// The median of product ÷ floor over the pairs.
    pub(crate) ratio: f64,
    /// The same with round trips over the plain relay.
    pub(crate) ratio4: f64,
    /// What is to be reached, and whether it is.
    pub(crate) reach: Vec<Reach>,
    pub(crate) product: Figures,
    pub(crate) floor: Figures,
    pub(crate) plain_relay: Figures,
}

/// The same with each run, and with what is wrong with it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Count {
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
    /// Why the figures may not be believed, if so.
    pub(crate) void: Option<String>,
    /// Who took more messages for a life than there may be, if anybody did.
    pub(crate) too_many_messages: Option<String>,
    pub(crate) pairs: Vec<Pair>,
}

impl Count {
    /// Of these pairs and these two at half load.
    pub(crate) fn new(offices: usize, pairs: Vec<Pair>, product: HalfLoad, floor: HalfLoad) -> Self {
        let runs = |of: OneSide| pairs.iter().map(of).collect::<Vec<&Run>>();
        let outcome = Outcome {
            offices,
            ratio: median(pairs.iter().map(Pair::ratio)),
            ratio4: median(pairs.iter().map(Pair::ratio4)),
            reach: Vec::new(),
            product: Figures::of(&runs(|pair| &pair.product), Some(product)),
            floor: Figures::of(&runs(|pair| &pair.floor), Some(floor)),
            plain_relay: Figures::of(&runs(|pair| &pair.plain), None),
        };
        let (void, too_many_messages) = (void(&outcome, pairs.len()), too_many(&pairs));
        let reach = reach(outcome.ratio, &product, &floor);
        Self { outcome: Outcome { reach, ..outcome }, void, too_many_messages, pairs }
    }
}

fn reach(ratio: f64, product: &HalfLoad, floor: &HalfLoad) -> Vec<Reach> {
    let (p99, floor_p99) = (product.submit_to_deliver.p99_ms, floor.submit_to_deliver.p99_ms);
    let seen = product.submit_to_deliver.count > 0 && floor.submit_to_deliver.count > 0;
    vec![
        Reach { what: format!("ratio of at least {RATIO}"), measured: ratio, reached: ratio >= RATIO },
        Reach {
            what: format!("p99 submit→deliver at half load of at most {DELIVER_MS} ms"),
            measured: p99,
            reached: seen && p99 <= DELIVER_MS,
        },
        Reach {
            what: format!("p99 submit→deliver at half load of at most {DELIVER_TIMES} × the floor's"),
            measured: p99 / floor_p99,
            reached: seen && p99 <= DELIVER_TIMES * floor_p99,
        },
    ]
}

fn void(outcome: &Outcome, pairs: usize) -> Option<String> {
    if pairs < 2 {
        return Some("one pair: whether the machine was steady cannot be told (PAIRS=5)".to_owned());
    }
    let Spread { min, median, max } = outcome.floor.lives_per_second;
    let apart = (max - min) / median;
    (apart > QUIET_ENOUGH || !apart.is_finite()).then(|| {
        format!(
            "the floor's own runs lie {:.0} % of their median apart, more than {:.0} %: run it on a quieter \
             machine, or longer (SECONDS=120)",
            apart * 100.0,
            QUIET_ENOUGH * 100.0
        )
    })
}

fn too_many(pairs: &[Pair]) -> Option<String> {
    let sides: [(&str, OneSide); 3] =
        [("product", |pair| &pair.product), ("floor", |pair| &pair.floor), ("plain relay", |pair| &pair.plain)];
    let most = |of: OneSide| pairs.iter().map(|p| of(p).messages_per_life.most()).fold(0.0, f64::max);
    let many: Vec<String> = sides
        .iter()
        .map(|(name, of)| (name, most(*of)))
        .filter(|(_, most)| *most > MESSAGES)
        .map(|(name, most)| format!("{name}: {most:.2} messages a life, more than {MESSAGES}"))
        .collect();
    (!many.is_empty()).then(|| many.join("; "))
}

/// How it was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct How {
    /// Lives under way at once, in runs at full speed.
    pub(crate) window: usize,
    /// Runs of each.
    pub(crate) pairs: u16,
    /// Measured seconds a run; of the plain relay half of them.
    pub(crate) seconds: u64,
    /// Seconds before them, not measured.
    pub(crate) warm_up: u64,
}

/// The whole report: what came out with the first number of offices, and with each.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
    /// Why the figures may not be believed, if so.
    pub(crate) void: Option<String>,
    /// Who took more messages for a life than there may be, if anybody did.
    pub(crate) too_many_messages: Option<String>,
    pub(crate) how: How,
    pub(crate) by_offices: Vec<Count>,
}

impl Report {
    /// Of these. None without any.
    pub(crate) fn new(how: How, counts: Vec<Count>) -> Option<Self> {
        let all = |of: fn(&Count) -> &Option<String>| {
            let said: Vec<String> = counts
                .iter()
                .filter_map(|count| of(count).as_ref().map(|text| format!("{} offices: {text}", count.outcome.offices)))
                .collect();
            (!said.is_empty()).then(|| said.join("; "))
        };
        Some(Self {
            outcome: counts.first()?.outcome.clone(),
            void: all(|count| &count.void),
            too_many_messages: all(|count| &count.too_many_messages),
            how,
            by_offices: counts,
        })
    }

    /// Writes it as JSON.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(file, serde_json::to_vec_pretty(self)?).with_context(|| file.display().to_string())
    }
}

/// The one in the middle; of none, 0.
pub(crate) fn median(of: impl Iterator<Item = f64>) -> f64 {
    spread(of.collect()).median
}

fn spread(mut of: Vec<f64>) -> Spread {
    of.sort_by(f64::total_cmp);
    match (of.first(), of.last()) {
        (Some(&min), Some(&max)) => {
            let middle = of.len() / 2;
            let median = if of.len() % 2 == 1 { of[middle] } else { f64::midpoint(of[middle - 1], of[middle]) };
            Spread { min, median, max }
        }
        _ => Spread::default(),
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
