//! Does docs/LOGGING.md tell every field that the product writes into its log, and no other?

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates that run in production.
const CRATES: [&str; 10] =
    ["bus", "cli", "clock", "console", "contract", "domain", "registry", "services", "store", "trust"];
const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// What stands between a macro's brackets, wherever one of `tracing` is called.
fn calls(source: &str) -> Vec<String> {
    let mut calls = Vec::new();
    for level in LEVELS {
        for name in [format!("{level}!("), format!("{level}_span!(")] {
            for (at, _) in source.match_indices(&name) {
                let before = source[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    continue;
                }
                let arguments = until_closed(&source[at + name.len()..]);
                // The first argument of a span is its name.
                let skipped = usize::from(name.contains("_span"));
                calls.push(split(arguments).into_iter().skip(skipped).collect::<Vec<_>>().join("\u{1f}"));
            }
        }
    }
    calls
}

/// Up to the bracket that closes what is open at the beginning.
fn until_closed(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    panic!("a call without an end: {text:.60}");
}

/// The arguments, cut at the commas between them.
fn split(arguments: &str) -> Vec<String> {
    let (mut parts, mut depth, mut quoted, mut escaped) = (vec![String::new()], 0, false, false);
    for c in arguments.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// The names of the fields before the message.
fn fields(call: &str) -> Vec<String> {
    let name =
        |part: &str| part.split('=').next().unwrap_or_default().trim().trim_start_matches(['%', '?']).replace("r#", "");
    let given = call.split('\u{1f}').filter(|part| !part.is_empty());
    given.take_while(|part| !part.starts_with('"')).map(name).filter(|name| !name.ends_with(':')).collect()
}

#[test]
fn fields_are_found_in_every_form() {
    let source = r#"
        tracing::warn!(%error, queue, messages = batch.len(), "a, b = c", other);
        info!(
            connection = task.name,
            office.id = %one.letter(2, "x)"),
        );
        let span = tracing::debug_span!("batch", trace.id = tracing::field::Empty);
        compile_error!("no field"); my_error!(nothing);
    "#;
    let found: BTreeSet<String> = calls(source).iter().flat_map(|call| fields(call)).collect();
    let wanted = ["connection", "error", "messages", "office.id", "queue", "trace.id"];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
}

#[test]
fn every_field_of_a_log_line_stands_in_the_page_on_logs() {
    let mut files = Vec::new();
    for name in CRATES {
        sources(&root().join("crates").join(name).join("src"), &mut files);
    }
    assert!(files.len() > 50, "only {} sources", files.len());
    let mut used = BTreeSet::new();
    for file in &files {
        used.extend(calls(&read(file)).iter().flat_map(|call| fields(call)));
    }
    let page = read(&root().join("docs/LOGGING.md"));
    let (_, table) = page.split_once("## Fields").unwrap_or_else(|| panic!("no chapter on fields"));
    let told: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name.to_owned()))
        .collect();
    let missing: Vec<_> = used.difference(&told).collect();
    let stale: Vec<_> = told.difference(&used).collect();
    assert!(missing.is_empty() && stale.is_empty(), "not told: {missing:?}; told and not used: {stale:?}");
}
