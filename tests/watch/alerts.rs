//! Rules, their unit tests, their faults, their sections of the runbook: each alert has all of them.

use std::collections::BTreeSet;

use crate::{file, known_metrics, metrics_in, unquoted};

const RULES: &str = "deploy/prometheus/xacminh.rules.yml";

/// An alert as the rules have it: its name, and its lines.
fn alerts() -> Vec<(String, Vec<String>)> {
    let mut alerts: Vec<(String, Vec<String>)> = Vec::new();
    for line in file(RULES).lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("- alert: ") {
            alerts.push((name.to_owned(), Vec::new()));
        } else if line.starts_with("- record: ") {
            // What is recorded has no alert; the next alert begins anew.
            alerts.push((String::new(), Vec::new()));
        } else if let Some((_, lines)) = alerts.last_mut() {
            lines.push(line.to_owned());
        }
    }
    alerts.retain(|(name, _)| !name.is_empty());
    alerts
}

fn names() -> BTreeSet<String> {
    alerts().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn each_alert_says_how_urgent_it_is_to_whom_in_words_and_where_its_section_is() {
    let alerts = alerts();
    assert!(alerts.len() > 15, "{}", alerts.len());
    for (name, lines) in alerts {
        let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
        assert!(has("for: "), "{name} would wake for a moment");
        assert!(has("keep_firing_for: "), "{name} would come and go with each look");
        let labels = lines.iter().find(|line| line.starts_with("labels: ")).expect(&name);
        assert!(labels.contains("severity: critical") || labels.contains("severity: warning"), "{name}: {labels}");
        assert!(labels.contains("audience: operator") || labels.contains("audience: supervisor"), "{name}: {labels}");
        let summary = lines.iter().find_map(|line| line.strip_prefix("summary: ")).expect(&name);
        assert!(summary.trim_matches('"').ends_with(['.', '!']) && summary.len() > 60, "{name}: {summary}");
        let section = format!("runbook_url: docs/RUNBOOK.md#{}", name.to_lowercase());
        assert!(lines.contains(&section), "{name} has not {section}");
    }
}

#[test]
fn rules_speak_of_metrics_that_there_are_and_of_roots_that_are_recorded() {
    let rules: String =
        file(RULES).lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    let known = known_metrics();
    let bare = unquoted(&rules.replace("job=\"xacminh\"", "").replace("job=\"xacminh-offices\"", ""));
    let unknown: Vec<String> = metrics_in(&bare).into_iter().filter(|name| !known.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let word = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        word.starts_with("xacminh:").then(|| word.to_owned())
    };
    let used: BTreeSet<String> = rules
        .lines()
        .filter(|line| !line.contains("record:"))
        .flat_map(str::split_whitespace)
        .filter_map(word)
        .collect();
    let recorded: BTreeSet<String> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).map(str::to_owned).collect();
    assert_eq!(used, recorded);
}

#[test]
fn the_runbook_has_a_section_for_each_alert_and_no_other() {
    let book = file("docs/RUNBOOK.md");
    let sections: Vec<&str> = book.split("\n## ").skip(1).collect();
    let told: BTreeSet<String> = sections
        .iter()
        .map(|s| s.lines().next().unwrap_or_default().to_owned())
        .filter(|n| n.starts_with("Xacminh"))
        .collect();
    assert_eq!(told, names());
    for section in sections.iter().filter(|section| section.starts_with("Xacminh")) {
        let name = section.lines().next().unwrap_or_default();
        for part in ["**What it means.**", "**See the cause.**", "**What to do.**", "**It is over when**"] {
            assert!(section.contains(part), "{name} has no {part}");
        }
    }
}

#[test]
fn each_alert_fires_in_a_unit_test_and_by_its_real_fault() {
    let units: String = ["processes", "servers", "work", "offices", "days"]
        .map(|of| file(&format!("deploy/prometheus/tests/{of}.yml")))
        .concat();
    let faults = file("tests/process/alerts.rs");
    for name in names() {
        assert!(units.contains(&format!("alertname=\"{name}\"")), "{name} fires in no test of promtool");
        assert!(faults.contains(&format!("\"{name}\"")), "{name} is fired by no fault");
    }
}
