//! What the settings say by themselves: `config check`, with a remedy for each fault.

use anyhow::Result;
use xacminh_trust::Error as KeyError;

use super::finding::Finding;
use crate::said_once;

/// A line of `config check`.
pub(crate) fn judge(part: &'static str, found: Result<String>) -> Finding {
    match found {
        Ok(said) => Finding::sound(part, said),
        Err(error) => {
            let remedy = error.downcast_ref().map_or_else(|| general(part), of_key);
            Finding::fault(part, said_once(&error), remedy)
        }
    }
}

fn general(part: &str) -> String {
    match part {
        "keys" => "`xacminh keys new FILE` makes a key for a new installation; one that has run needs its own: \
                   bring it back from the copy that is kept apart, and name it in keys.master_file"
            .to_owned(),
        "data_dir" => "Put back the files of the release, or correct what the line names".to_owned(),
        _ => {
            format!("Correct {part} in the settings file or the environment; `xacminh config check` looks at it alone")
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of the others the error's own words say what is to be done")]
fn of_key(error: &KeyError) -> String {
    match error {
        KeyError::KeyExposed { path, .. } => {
            let path = path.display();
            format!("`chmod 600 {path}`, and if others could read it, make a new key and keep this one as an older one")
        }
        _ => general("keys"),
    }
}
