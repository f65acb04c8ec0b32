//! What was found of one part: what is so, and what to do where it is not as it should be.

use serde::Serialize;
use xacminh_console::parts::Part;

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// As it should be.
    Sound,
    /// It works all the same, but somebody should look.
    Look,
    /// Not as it should be.
    Fault,
    /// Nobody could look.
    Unseen,
}

/// What was found of a part. Words and figures of programmers alone: nothing that came in a message,
/// no login's password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) part: &'static str,
    pub(crate) level: Level,
    /// What is so; one line without a full stop.
    pub(crate) what: String,
    /// What to do about it; none where nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
}

impl Finding {
    pub(crate) fn sound(part: &'static str, what: impl Into<String>) -> Self {
        Self { part, level: Level::Sound, what: what.into(), remedy: None }
    }

    pub(crate) fn look(part: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { part, level: Level::Look, what: what.into(), remedy: Some(remedy.into()) }
    }

    pub(crate) fn fault(part: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { part, level: Level::Fault, what: what.into(), remedy: Some(remedy.into()) }
    }

    pub(crate) fn unseen(part: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { part, level: Level::Unseen, what: what.into(), remedy: Some(remedy.into()) }
    }

    /// What a process that runs calls worth a look is a fault of an installation that should run.
    pub(crate) fn strictly(self) -> Self {
        Self { level: if self.level == Level::Look { Level::Fault } else { self.level }, ..self }
    }

    /// In one sentence or two, as `/readyz?verbose` has it.
    pub(crate) fn words(&self) -> String {
        match &self.remedy {
            Some(remedy) => format!("{}. {remedy}.", self.what),
            None => self.what.clone(),
        }
    }
}

impl From<Finding> for Part {
    fn from(found: Finding) -> Self {
        match found.level {
            Level::Sound => Self::good(found.part, found.words()),
            Level::Look | Level::Unseen => Self::look(found.part, found.words()),
            Level::Fault => Self::bad(found.part, found.words()),
        }
    }
}
