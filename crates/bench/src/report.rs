//! What came out: each run, the spread of each side, the ratio, and whether it may be believed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// How far apart the floor's own runs may lie, as a share of their median.
const QUIET_ENOUGH: f64 = 0.15;

/// One run of one side.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Run {
    /// Lives that came to their end in the measured time, a second.
    pub(crate) lives_per_second: f64,
    /// How many that were.
    pub(crate) lives: u64,
    /// From the submit to the confirm of the reading, by the ward's clock, in milliseconds.
    pub(crate) life_p50_ms: f64,
    /// The same.
    pub(crate) life_p99_ms: f64,
    /// Messages to and from offices, a life; receipts share one where they can.
    pub(crate) messages_per_life: f64,
}

/// A run of each, one after the other.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Pair {
    /// Which went first.
    pub(crate) first: &'static str,
    /// The product's.
    pub(crate) product: Run,
    /// The floor's.
    pub(crate) floor: Run,
}

/// Lives a second of one side over all runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

/// How it was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct How {
    /// Offices with a login and a connection, each a ward and a home.
    pub(crate) offices: usize,
    /// Lives under way at once.
    pub(crate) window: usize,
    /// Measured seconds a run.
    pub(crate) seconds: u64,
    /// Seconds before them, not measured.
    pub(crate) warm_up: u64,
}

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// The median of product ÷ floor over the pairs.
    ratio: f64,
    /// Why the figures may not be believed, if so.
    void: Option<String>,
    how: How,
    product: Spread,
    floor: Spread,
    pairs: Vec<Pair>,
}

impl Report {
    /// Of these pairs.
    pub(crate) fn new(how: How, pairs: Vec<Pair>) -> Self {
        let of = |run: fn(&Pair) -> f64| pairs.iter().map(run).collect::<Vec<f64>>();
        let (product, floor) = (spread(of(|p| p.product.lives_per_second)), spread(of(|p| p.floor.lives_per_second)));
        let ratio = spread(of(|p| p.product.lives_per_second / p.floor.lives_per_second)).median;
        let apart = (floor.max - floor.min) / floor.median;
        let void = if pairs.len() < 2 {
            Some("one pair: whether the machine was steady cannot be told (PAIRS=3)".to_owned())
        } else {
            (apart > QUIET_ENOUGH || !apart.is_finite()).then(|| format!(
                "the floor's own runs lie {:.0} % of their median apart, more than {:.0} %: run it on a quieter machine, or longer (SECONDS=60)",
                apart * 100.0,
                QUIET_ENOUGH * 100.0
            ))
        };
        Self { ratio, void, how, product, floor, pairs }
    }

    /// Whether the figures may be believed.
    pub(crate) fn is_void(&self) -> bool {
        self.void.is_some()
    }

    /// Writes it as JSON.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(file, serde_json::to_vec_pretty(self)?).with_context(|| file.display().to_string())
    }

    /// For people.
    pub(crate) fn words(&self) -> String {
        let How { offices, window, seconds, warm_up } = self.how;
        let mut words = format!(
            "{offices} offices, {window} lives under way, {seconds} s measured after {warm_up} s of warming up\n\n\
             {:<24}{:>12}{:>12}{:>12}\n",
            "lives a second", "min", "median", "max"
        );
        for (name, s) in [("product", self.product), ("floor", self.floor)] {
            // A string takes whatever is written.
            let _ = writeln!(words, "{name:<24}{:>12.0}{:>12.0}{:>12.0}", s.min, s.median, s.max);
        }
        let _ =
            writeln!(words, "\nratio {:.3} (median of product ÷ floor over {} pairs)", self.ratio, self.pairs.len());
        if let Some(void) = &self.void {
            let _ = writeln!(words, "VOID: {void}");
        }
        words
    }
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
mod tests {
    use super::*;

    fn report(rates: &[(f64, f64)]) -> Report {
        let run = |lives_per_second| Run { lives_per_second, ..Run::default() };
        let pairs = rates.iter().map(|(p, f)| Pair { first: "product", product: run(*p), floor: run(*f) }).collect();
        Report::new(How { offices: 2, window: 2, seconds: 1, warm_up: 0 }, pairs)
    }

    #[test]
    fn the_ratio_is_the_median_of_the_pairs_and_not_of_the_sides() {
        let report = report(&[(50.0, 100.0), (90.0, 100.0), (60.0, 110.0)]);
        assert!((report.ratio - 60.0 / 110.0).abs() < 1e-9, "{report:?}");
        assert_eq!(report.product, Spread { min: 50.0, median: 60.0, max: 90.0 });
        assert!(!report.is_void());
    }

    #[test]
    fn a_floor_that_is_not_steady_makes_it_void() {
        let words = report(&[(50.0, 100.0), (50.0, 120.0)]).words();
        assert!(words.contains("VOID") && words.contains("18 %"), "{words}");
    }

    #[test]
    fn a_floor_that_stands_still_or_ran_once_makes_it_void() {
        assert!(report(&[(50.0, 0.0), (50.0, 0.0)]).is_void());
        assert!(report(&[(50.0, 100.0)]).is_void());
        assert!(!report(&[(50.0, 100.0), (50.0, 100.0)]).is_void());
    }
}
