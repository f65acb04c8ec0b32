//! What people read on the screen.

use std::fmt::Arguments;
use std::io::{IsTerminal, Write, stdout};

/// Writes to standard output; on a terminal the live line stays one line.
#[derive(Debug)]
pub(crate) struct Show {
    terminal: bool,
    live: bool,
}

impl Show {
    /// Standard output.
    pub(crate) fn new() -> Self {
        Self { terminal: stdout().is_terminal(), live: false }
    }

    /// A line that stays.
    pub(crate) fn line(&mut self, text: Arguments<'_>) {
        let clear = if std::mem::take(&mut self.live) { "\r\x1b[2K" } else { "" };
        // A closed pipe is no reason to stop the demo.
        let _ = writeln!(stdout(), "{clear}{text}");
    }

    /// The line that says how it is going.
    pub(crate) fn live(&mut self, text: Arguments<'_>) {
        let mut out = stdout();
        let _ = if self.terminal { write!(out, "\r\x1b[2K{text}") } else { writeln!(out, "{text}") };
        let _ = out.flush();
        self.live = self.terminal;
    }

    /// Text of several lines, set in.
    pub(crate) fn block(&mut self, text: &str) {
        for line in text.lines() {
            self.line(format_args!("      {line}"));
        }
    }
}
