//! Grafana's pages: each expression parses, and asks for figures that there are.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::{file, known_metrics, metrics_in, unquoted};

const BOARDS: [&str; 3] = ["nation", "province", "operator"];

fn board(name: &str) -> Value {
    serde_json::from_str(&file(&format!("deploy/grafana/dashboards/{name}.json"))).unwrap()
}

/// The expressions of a page, each with its panel's title.
fn expressions(board: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            all.push((panel["title"].as_str().unwrap().to_owned(), target["expr"].as_str().unwrap().to_owned()));
        }
    }
    all
}

#[test]
fn every_expression_parses() {
    let mut rules = String::from("groups:\n- name: boards\n  rules:\n");
    let mut count = 0;
    for name in BOARDS {
        for (_, expression) in expressions(&board(name)) {
            count += 1;
            // JSON's quoting is YAML's, too.
            rules += &format!("  - record: board:{count}\n    expr: {}\n", Value::from(expression));
        }
    }
    assert!(count > 50, "{count}");
    let path = std::env::temp_dir().join(format!("xacminh-boards-{}.yml", std::process::id()));
    std::fs::write(&path, rules.replace("board:", "board:e")).unwrap();
    let checked = Command::new("promtool").args(["check", "rules"]).arg(&path).output();
    std::fs::remove_file(&path).unwrap();
    let checked = checked.expect("no promtool here; run deploy/install-servers --with-prometheus");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(String::from_utf8_lossy(&checked.stdout).contains(&format!("{count} rules found")), "{checked:?}");
}

#[test]
fn every_metric_exists_and_every_metric_is_on_a_page() {
    let known = known_metrics();
    let mut shown = BTreeSet::new();
    for name in BOARDS {
        for (title, expression) in expressions(&board(name)) {
            for metric in metrics_in(&unquoted(&expression)) {
                assert!(known.contains(&metric), "{name}, {title}: there is no {metric}");
                shown.insert(metric.trim_end_matches("_bucket").to_owned());
            }
        }
    }
    let parts = ["_bucket", "_sum", "_count"].map(|part| format!("xacminh_lag_seconds{part}"));
    let left: Vec<&String> = known.iter().filter(|m| !shown.contains(*m) && !parts.contains(m)).collect();
    assert!(left.is_empty(), "on no page: {left:?}");
}

#[test]
fn panels_are_explained_and_do_not_cover_each_other() {
    for name in BOARDS {
        let board = board(name);
        let mut taken = BTreeSet::new();
        for panel in board["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            let row = panel["type"] == "row";
            assert!(row || panel["description"].as_str().unwrap().ends_with('.'), "{name}, {title}: what is it?");
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{name}, {title}: too wide");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{name}, {title} covers another");
                }
            }
        }
    }
}
