//! The report for people, in short.

use std::fmt::Write as _;

use crate::latency::Took;
use crate::report::{Count, Figures, HalfLoad, How, Outcome, Report};

const MIB: f64 = 1_048_576.0;

impl Report {
    /// For people.
    pub(crate) fn words(&self) -> String {
        let How { window, pairs, seconds, warm_up } = self.how;
        let mut words = format!(
            "{window} lives under way, {pairs} runs of each, {seconds} s measured after {warm_up} s of warming up\n"
        );
        for count in &self.by_offices {
            words.push_str(&count.words());
        }
        for (what, said) in [("TOO MANY MESSAGES", &self.too_many_messages), ("VOID", &self.void)] {
            if let Some(said) = said {
                // A string takes whatever is written, here and below.
                let _ = writeln!(words, "\n{what}: {said}");
            }
        }
        words
    }
}

impl Count {
    fn words(&self) -> String {
        let Outcome { offices, ratio, ratio4, reach, product, floor, plain_relay } = &self.outcome;
        let mut words = format!("\n{offices} offices\n{}", line("lives a second", ["min", "median", "max"]));
        for (name, figures) in [("product", product), ("floor", floor), ("plain relay, round trips", plain_relay)] {
            let s = figures.lives_per_second;
            words.push_str(&line(&format!("  {name}"), [s.min, s.median, s.max].map(|n| format!("{n:.0}"))));
        }
        let sides = [product, floor, plain_relay];
        words.push_str(&line("a life", ["product", "floor", "plain relay"]));
        let mut each = |what: &str, of: &dyn Fn(&Figures) -> String| words.push_str(&line(what, sides.map(of)));
        each("  messages published", &|f| format!("{:.2}", f.messages_per_life.published));
        each("  messages delivered", &|f| format!("{:.2}", f.messages_per_life.delivered));
        each("  CPU ms of itself", &|f| format!("{:.2}", f.cost.cpu_seconds_per_1000_lives.itself));
        each("  CPU ms of RabbitMQ", &|f| maybe(f.cost.cpu_seconds_per_1000_lives.rabbitmq));
        each("  CPU ms of PostgreSQL", &|f| maybe(f.cost.cpu_seconds_per_1000_lives.postgresql));
        each("  CPU ms of the offices", &|f| format!("{:.2}", f.cost.cpu_seconds_per_1000_lives.clients));
        each("  transactions", &|f| format!("{:.3}", f.cost.transactions_per_life));
        each("  bytes of WAL", &|f| format!("{:.0}", f.cost.wal_bytes_per_life));
        each("peak memory, MiB", &|f| format!("{:.0}", mib(f.peak_memory_bytes)));
        let half = |of: &dyn Fn(&HalfLoad) -> String| {
            sides.map(|figures| figures.half_load.as_ref().map_or_else(|| "-".to_owned(), of))
        };
        words.push_str(&line("at half load", ["product", "floor", ""]));
        words.push_str(&line("  lives a second", half(&|h| format!("{:.0}", h.lives_per_second))));
        words.push_str(&line("  submit→deliver, p50/p99 ms", half(&|h| took(h.submit_to_deliver))));
        words.push_str(&line("  answer→deliver, p50/p99 ms", half(&|h| took(h.answer_to_deliver))));
        let _ = writeln!(words, "ratio {ratio:.3}, ratio4 {ratio4:.3} (medians over {} pairs)", self.pairs.len());
        for reach in reach {
            let reached = if reach.reached { "reached" } else { "NOT REACHED" };
            let _ = writeln!(words, "{reached}: {}, measured {:.2}", reach.what, reach.measured);
        }
        words
    }
}

fn line(what: &str, values: [impl AsRef<str>; 3]) -> String {
    let [a, b, c] = values;
    format!("{what:<28}{:>14}{:>14}{:>14}\n", a.as_ref(), b.as_ref(), c.as_ref())
}

fn took(took: Took) -> String {
    format!("{:.1}/{:.1}", took.p50_ms, took.p99_ms)
}

fn maybe(n: Option<f64>) -> String {
    n.map_or_else(|| "-".to_owned(), |n| format!("{n:.2}"))
}

#[expect(clippy::cast_precision_loss, reason = "memory of a process")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

#[cfg(test)]
mod tests {
    use crate::report::{Pair, Run};

    use super::*;

    #[test]
    fn what_is_void_or_missed_is_said() {
        let run = |lives_per_second| Run { lives_per_second, peak_memory_bytes: 3 << 20, ..Run::default() };
        let pair = Pair { order: ["floor"; 3], product: run(50.0), floor: run(100.0), plain: run(200.0) };
        let count = Count::new(32, vec![pair], HalfLoad::default(), HalfLoad::default());
        let how = How { window: 2, pairs: 1, seconds: 1, warm_up: 0 };
        let words = Report::new(how, vec![count]).unwrap().words();
        for part in [
            "32 offices",
            "ratio 0.500, ratio4 0.250",
            "NOT REACHED: ratio of at least 0.7",
            "VOID: 32 offices: one pair",
        ] {
            assert!(words.contains(part), "{part} is not in\n{words}");
        }
    }
}
