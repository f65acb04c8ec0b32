//! The parts of the service one by one, for an operator who was woken: `/readyz?verbose`.

use std::fmt::Write;

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As it should be.
    Good,
    /// The service is ready all the same, but somebody should look, today.
    Look,
    /// Not as it should be; while it lasts the service is not ready.
    Bad,
}

/// A part and what there is to say of it. Words and figures of programmers alone: nothing that came
/// in a message, no login, no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub name: &'static str,
    /// How it is.
    pub mark: Mark,
    /// What is wrong, since when, and what to do; or the figures of a part that is well.
    pub words: String,
}

impl Part {
    /// A part that is as it should be.
    pub fn good(name: &'static str, words: impl Into<String>) -> Self {
        Self { name, mark: Mark::Good, words: words.into() }
    }

    /// A part that somebody should look at.
    pub fn look(name: &'static str, words: impl Into<String>) -> Self {
        Self { name, mark: Mark::Look, words: words.into() }
    }

    /// A part that does not work.
    pub fn bad(name: &'static str, words: impl Into<String>) -> Self {
        Self { name, mark: Mark::Bad, words: words.into() }
    }
}

/// A line a part: `[+]` well, `[!]` look at it today, `[-]` not working.
pub(crate) fn lines(parts: &[Part]) -> String {
    let mut text = String::new();
    for Part { name, mark, words } in parts {
        let sign = match mark {
            Mark::Good => "[+]",
            Mark::Look => "[!]",
            Mark::Bad => "[-]",
        };
        // Writing to a String cannot fail. A line stays a line, whatever a cause has in it.
        let _ = writeln!(text, "{sign} {name}: {}", words.replace(['\n', '\r'], " "));
    }
    text
}
