//! What is left of the demo: `report.json`, and the last page on the screen.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::check::Sum;
use crate::killing::Kill;
use crate::show::Show;
use crate::world::OperatorView;

/// How many offending ids a report names.
const NAMED: usize = 20;

/// Notices and rungs, counted.
#[derive(Debug, Default, Serialize)]
pub struct Notices {
    /// Lines of notices by topic and by the kind of office that got them, as those offices count.
    pub received: BTreeMap<String, BTreeMap<String, u64>>,
    /// Rungs by trigger and number, as the product keeps them.
    pub fired: BTreeMap<String, u64>,
}

/// What came out. Ids only: no personal data gets in here.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// How the requests ended.
    #[serde(flatten)]
    pub sum: Sum,
    /// Whether the sum is exact.
    pub sum_is_exact: bool,
    /// What was accepted, or owed, and never came.
    pub lost: u64,
    /// What happened twice.
    pub duplicate_effects: u64,
    /// Rungs that fired twice.
    pub rungs_twice: u64,
    /// Requests whose rungs are not those of the table written by hand.
    pub rung_mismatches: u64,
    /// What else was not as promised.
    pub surprises: u64,
    /// From publish to refusal in ordinary half-days, where no line was lost, in real milliseconds.
    /// None under chaos, when each half-day is a rush.
    pub refusal_p99_ms: Option<u64>,
    /// The same with the rush, the kill and the lost lines.
    pub refusal_p99_ms_with_kill: Option<u64>,
    /// From W's hand to H's ledger, where nothing was in the way.
    pub submit_deliver_p99_ms: Option<u64>,
    /// Notices and rungs.
    pub notices_by_rung: Notices,
    /// How many commands were refused, submits and others.
    pub refusals: u64,
    /// How many kills were asked for, at random over the product's processes; 0: one of the whole.
    pub chaos: u32,
    /// What was killed, when, and with how much in hand.
    pub kills: Vec<Kill>,
    /// How many offices lost their line.
    pub lines_cut: u64,
    /// How many offices were connected.
    pub clients: u64,
    /// How many messages clients sent and got.
    pub messages: u64,
    /// How long it took, in real seconds.
    pub wall_seconds: f64,
    /// Silent requests by reason, who has them now, what is due next; queues and memory.
    pub seen: OperatorView,
    /// The first offending ids of each kind.
    pub details: BTreeMap<String, Vec<String>>,
}

impl Report {
    /// Notes offences of a kind; returns how many.
    pub(crate) fn note(&mut self, kind: &str, offences: &[String]) -> u64 {
        if !offences.is_empty() {
            self.details.insert(kind.to_owned(), offences.iter().take(NAMED).cloned().collect());
        }
        offences.len().try_into().unwrap_or(u64::MAX)
    }

    /// Writes `report.json`.
    pub(crate) fn write(&self, run_dir: &Path) -> Result<()> {
        fs::create_dir_all(run_dir).with_context(|| format!("{} cannot be made", run_dir.display()))?;
        let path = run_dir.join("report.json");
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Fails if a promise was broken.
    pub(crate) fn judge(&self) -> Result<()> {
        let mut broken = Vec::new();
        if !self.sum_is_exact {
            broken.push("the sum is not exact".to_owned());
        }
        for (what, n) in [
            ("lost", self.lost),
            ("duplicate_effects", self.duplicate_effects),
            ("rungs_twice", self.rungs_twice),
            ("rung_mismatches", self.rung_mismatches),
            ("surprises", self.surprises),
        ] {
            if n > 0 {
                broken.push(format!("{what} = {n}"));
            }
        }
        if let Some(ms) = self.refusal_p99_ms.filter(|ms| *ms > 1_000) {
            broken.push(format!("refusal_p99_ms = {ms}, 1000 at most (is the machine busy with other work?)"));
        }
        if broken.is_empty() {
            return Ok(());
        }
        let first = self.details.values().flatten().take(5).cloned().collect::<Vec<_>>().join("\n  ");
        bail!("promises were broken: {}\n  {first}", broken.join(", "))
    }

    /// The last page.
    pub(crate) fn print(&self, show: &mut Show, prefix: Option<&str>) {
        let s = self.sum;
        show.line(format_args!("\nThe sum, from the ledgers of {} offices:", self.clients));
        show.line(format_args!(
            "  submitted {} {} the sum of",
            s.submitted,
            if self.sum_is_exact { "=" } else { "IS NOT" }
        ));
        let refused = format!("refused ({} refusals in all, of other commands too)", self.refusals);
        for (n, what) in [
            (s.refused, refused.as_str()),
            (s.withdrawn, "withdrawn"),
            (s.answered_on_time, "answered on time"),
            (s.answered_late, "answered late"),
            (s.open_in_time, "open, the answer not yet due"),
            (s.open_silent, "open, the answer due passed: silent"),
        ] {
            show.line(format_args!("  {n:>10}  {what}"));
        }
        show.line(format_args!(
            "  lost {}, effects twice {}, rungs twice {}, rungs beside the table {}, surprises {}",
            self.lost, self.duplicate_effects, self.rungs_twice, self.rung_mismatches, self.surprises
        ));
        show.line(format_args!("\nWhat a supervisor sees:"));
        table(show, "late, by reason (a due day passed: to open, to answer, or to read)", &self.seen.late_by_reason);
        table(show, "who has most of it now", &self.seen.holders);
        table(show, "rungs to fire next, by day", &self.seen.due_next);
        for (topic, receivers) in &self.notices_by_rung.received {
            let to: Vec<String> = receivers.iter().map(|(kind, n)| format!("{n} to {kind}")).collect();
            show.line(format_args!("  notices {topic:<18} {}", to.join(", ")));
        }
        show.line(format_args!("\nWhat an operator sees:"));
        show.line(format_args!(
            "  refusal p99 {} ms ({} ms with rush and kill), from ward to home p99 {} ms, {} queues, {} MiB, {} messages in {:.0} s",
            told(self.refusal_p99_ms),
            told(self.refusal_p99_ms_with_kill),
            told(self.submit_deliver_p99_ms),
            self.seen.queues,
            self.seen.memory_mib,
            self.messages,
            self.wall_seconds
        ));
        for kill in &self.kills {
            show.line(format_args!(
                "  kill -9 of {} at {}: {} under way, {} ready in the work queues, {} in the outbox; away for {} ms",
                kill.process, kill.at, kill.under_way, kill.in_hand.ready, kill.in_hand.outbox, kill.away_ms
            ));
        }
        show.line(format_args!("  {} lines cut", self.lines_cut));
        let Some(prefix) = prefix else {
            show.line(format_args!("\nTo look yourself: make demo KEEP=1 leaves it running."));
            return;
        };
        show.line(format_args!("\nTo look yourself:"));
        for command in ["late --province 01", "late --province 79", "parked list"] {
            show.line(format_args!("  {prefix} {command}"));
        }
    }
}

fn told(ms: Option<u64>) -> String {
    ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string())
}

fn table(show: &mut Show, title: &str, rows: &[(String, u64)]) {
    show.line(format_args!("  {title}:"));
    for (what, n) in rows.iter().take(8) {
        show.line(format_args!("  {n:>10}  {what}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_the_promised_names_on_top() {
        let json = serde_json::to_value(Report::default()).unwrap();
        for key in [
            "submitted",
            "refused",
            "withdrawn",
            "answered_on_time",
            "answered_late",
            "open_in_time",
            "open_silent",
            "lost",
            "duplicate_effects",
            "rungs_twice",
            "rung_mismatches",
            "refusal_p99_ms",
            "notices_by_rung",
            "wall_seconds",
            "kills",
        ] {
            assert!(json.get(key).is_some(), "{key}");
        }
    }

    #[test]
    fn a_broken_promise_fails() {
        let mut report = Report { sum_is_exact: true, ..Report::default() };
        assert!(report.judge().is_ok());
        report.lost = report.note("lost", &["x: never came".to_owned()]);
        let said = report.judge().unwrap_err().to_string();
        assert!(said.contains("lost = 1") && said.contains("x: never came"));
    }
}
