//! What operators and supervisors are given beside the program: alert rules, their runbook, pages of
//! figures. Do they speak of what there is, and of all of it? No server is needed; Prometheus' own
//! `promtool` judges the expressions.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod boards;

use std::collections::BTreeSet;
use std::path::PathBuf;

/// A file of the repository.
fn file(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The metrics that docs/METRICS.md knows, which a test of xacminh-services holds against the code. A
/// histogram has three names more.
fn known_metrics() -> BTreeSet<String> {
    let page = file("docs/METRICS.md");
    let mut known = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("| `xacminh_")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`').to_owned();
        if cells[2] == "histogram" {
            known.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        }
        known.insert(name);
    }
    known
}

/// The names of ours in an expression. Recorded ones have a colon and are no metrics of the product.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .filter(|word| word.starts_with("xacminh_"))
        .map(str::to_owned)
        .collect()
}

/// The expression without what stands in quotes.
fn unquoted(expression: &str) -> String {
    expression.split('"').step_by(2).collect()
}

#[test]
fn names_are_found_in_an_expression() {
    let expression = r#"max(xacminh_a{job="xacminh_b"}) > rate(xacminh_c_total[5m]) unless xacminh:root"#;
    let found: Vec<String> = metrics_in(&unquoted(expression)).into_iter().collect();
    assert_eq!(found, ["xacminh_a", "xacminh_c_total"]);
}
