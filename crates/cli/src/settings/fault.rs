//! What is wrong with settings, and in which file or variable. Never a value: it may be a secret.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use config::ConfigError;

use super::read;

/// Every source that is wrong by itself, in a sentence; the error as it is if none is.
pub(super) fn said(file: Option<&Path>, vars: &HashMap<String, String>, error: &ConfigError) -> String {
    if let Some(file) = file
        && let Some(said) = of_file(file)
    {
        return format!("{}{said}", file.display());
    }
    let each: BTreeMap<_, _> = vars.iter().collect();
    let wrong: Vec<String> = each
        .into_iter()
        .filter_map(|(name, value)| {
            let error = read(None, &HashMap::from([(name.clone(), value.clone())])).err()?;
            Some(format!("{name}: {}", without_values(&error)))
        })
        .collect();
    if wrong.is_empty() { without_values(error) } else { wrong.join("; ") }
}

/// What is wrong with the file by itself.
fn of_file(file: &Path) -> Option<String> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return Some(format!(": {error}")),
    };
    if let Err(error) = text.parse::<toml::Table>() {
        // Its full text would repeat the line.
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        return Some(format!(", line {}: {}", before.matches('\n').count() + 1, error.message()));
    }
    read(Some(file), &HashMap::new()).err().map(|error| format!(": {}", without_values(&error)))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's enum is open, and any other words may hold a value")]
fn without_values(error: &ConfigError) -> String {
    match error {
        ConfigError::Type { key, expected, .. } => {
            format!("{} must be {expected}", key.as_deref().unwrap_or("a value"))
        }
        ConfigError::At { error, key: Some(key), .. } => match &**error {
            ConfigError::Message(words) => match plain(words) {
                Some(words) => format!("{key}: {words}"),
                None => format!("{key} has a value that is none of those it may have"),
            },
            inner => without_values(inner),
        },
        ConfigError::Message(words) => {
            plain(words).unwrap_or_else(|| "there is a value that cannot be used".to_owned())
        }
        _ => "they cannot be read".to_owned(),
    }
}

/// The library's words as far as they hold no value: a field's name, or what was expected.
fn plain(words: &str) -> Option<String> {
    if words.starts_with("unknown field ") || words == "invalid socket address syntax" {
        return Some(words.to_owned());
    }
    words
        .starts_with("invalid ")
        .then(|| words.rsplit_once(", expected "))
        .flatten()
        .map(|(_, it)| format!("must be {it}"))
}
