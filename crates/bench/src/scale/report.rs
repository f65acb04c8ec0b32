//! What came out: each size, large beside small, and what was to be reached.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::calendar::Recount;
use super::fill::Filled;
use super::herd::Herd;
use super::measure::Measured;
use super::overload::Overload;
use super::reader::Reader;
use super::silent::Silent;
use super::target::{Target, at_least, at_most, real};

/// A store that was set up and filled.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct At {
    #[serde(flatten)]
    pub(crate) filled: Filled,
    /// With database, logins, inboxes and the fill.
    pub(crate) seconds: f64,
}

/// The whole report.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) filled: BTreeMap<&'static str, At>,
    pub(crate) measured: BTreeMap<&'static str, Measured>,
    pub(crate) herd: Option<Herd>,
    pub(crate) calendar: Option<Recount>,
    pub(crate) silent: Option<Silent>,
    pub(crate) reader: Option<Reader>,
    pub(crate) overload: Option<Overload>,
    /// All of it so far, in seconds.
    pub(crate) seconds: f64,
    /// What was to be reached: its name, the figure, the bound, whether it holds.
    targets: Vec<Target>,
}

impl Report {
    fn judge(&mut self) {
        let mut targets = Vec::new();
        if let (Some(small), Some(large)) = (self.measured.get("small"), self.measured.get("large")) {
            let lives = large.lives.lives_per_second / small.lives.lives_per_second;
            targets.push(at_least("throughput, large ÷ small", lives, 0.9));
            targets.push(at_most("due scan p99, large ÷ small", large.due_scan_ms.p99 / small.due_scan_ms.p99, 3.0));
            let memory = large.memory_most_mib / small.memory_most_mib;
            targets.push(at_most("memory of the process, large ÷ small", memory, 1.2));
        }
        if let Some(At { filled, seconds }) = self.filled.get("large") {
            targets.push(at_most("large store filled, with all around it, s", *seconds, 1_200.0));
            targets.push(at_most("large store, GB", real(filled.database_bytes) / 1e9, 35.0));
        }
        if let Some(large) = self.measured.get("large") {
            targets.push(at_most("ready again after a restart, s", large.restart_ready_seconds, 10.0));
            targets.push(at_most("scrape of /metrics p99, ms", large.metrics_ms.p99, 100.0));
            targets.push(at_most("page by office p99, ms", large.offices_ms.p99, 250.0));
            for (command, name) in [
                ("late --province 01", "late of a province, s"),
                ("request trace ID", "trace, s"),
                ("report --province 01 --from A-MONTH-AGO --to YESTERDAY", "report of a province's month, s"),
            ] {
                if let Some(seconds) = large.commands_seconds.get(command) {
                    targets.push(at_most(name, *seconds, 2.0));
                }
            }
            targets.push(at_least("updates of requests that are HOT", large.hot_requests, 0.9));
        }
        targets.extend(self.herd.iter().flat_map(Herd::targets));
        targets.extend(self.calendar.iter().flat_map(Recount::targets));
        targets.extend(self.silent.iter().flat_map(Silent::targets));
        targets.extend(self.reader.iter().flat_map(Reader::targets));
        targets.extend(self.overload.iter().flat_map(Overload::targets));
        targets.push(at_most("the whole run, min", self.seconds / 60.0, 75.0));
        self.targets = targets;
    }

    /// Writes it as JSON.
    pub(crate) fn write(&mut self, file: &Path) -> Result<()> {
        self.judge();
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(file, serde_json::to_vec_pretty(self)?).with_context(|| file.display().to_string())
    }

    /// For people.
    pub(crate) fn words(&self) -> String {
        let mut words: String = self
            .herd
            .iter()
            .map(Herd::words)
            .chain(self.calendar.iter().map(Recount::words))
            .chain(self.silent.iter().map(Silent::words))
            .chain(self.reader.iter().map(Reader::words))
            .chain(self.overload.iter().map(Overload::words))
            .collect();
        // A string takes whatever is written.
        let _ = writeln!(words, "\n{:<56}{:>12}{:>10}", "target", "figure", "bound");
        for Target { name, figure, bound, reached } in &self.targets {
            let _ = writeln!(words, "{name:<56}{figure:>12.3}{bound:>10}{}", if *reached { "" } else { "   MISSED" });
        }
        words
    }
}

/// What a fill took, in a line.
pub(crate) fn words_of_fill(name: &str, filled: &Filled, seconds: f64) -> String {
    let (size, gb) = (filled.size, real(filled.database_bytes) / 1e9);
    format!(
        "{name}: {} open, {} closed, {} of a herd, {} fresh, {} of a silent office: {} rows in {:.0} s ({:.0} a second), \
         indexes and statistics {:.0} s, {gb:.2} GB; all set up in {seconds:.0} s",
        size.open,
        size.closed,
        size.herd,
        size.fresh,
        size.silent,
        filled.rows,
        filled.copy_seconds,
        filled.rows_per_second,
        filled.index_seconds,
    )
}

/// What was measured at a size.
pub(crate) fn words_of(name: &str, m: &Measured) -> String {
    let mut words = format!(
        "{name}: {:.0} lives a second (p50 {:.0} ms, p99 {:.0} ms), HOT {:.1} % of requests, {:.1} % of timers\n\
         ready after {:.1} s, again after {:.1} s; settled after {:.1} s; {:.0} MiB idle, {:.0} MiB at most\n\
         idle: {:.3} cores of the process, {:.0} % of the machine\n\
         due scan p50 {:.2} ms p99 {:.2} ms; /metrics p99 {:.1} ms; /metrics/offices p50 {:.0} ms max {:.0} ms\n",
        m.lives.lives_per_second,
        m.lives.life_p50_ms,
        m.lives.life_p99_ms,
        m.hot_requests * 100.0,
        m.hot_timers * 100.0,
        m.first_ready_seconds,
        m.restart_ready_seconds,
        m.settle_seconds,
        m.memory_idle_mib,
        m.memory_most_mib,
        m.idle_process_cores,
        m.idle_machine_share * 100.0,
        m.due_scan_ms.p50,
        m.due_scan_ms.p99,
        m.metrics_ms.p99,
        m.offices_ms.p50,
        m.offices_ms.max,
    );
    for (what, seconds) in m.commands_seconds.iter().chain(&m.questions_seconds) {
        // A string takes whatever is written.
        let _ = writeln!(words, "  {what:<68}{seconds:>9.3} s");
    }
    for line in m.logged.iter().take(20) {
        let _ = writeln!(words, "  logged: {line}");
    }
    words
}
