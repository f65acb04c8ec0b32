//! How far long work is: a bar on a terminal, now and then a line otherwise. On standard error,
//! so that results stay apart.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal.
const A_LINE_EVERY: Duration = Duration::from_secs(5);

/// Work under way.
pub(crate) struct Progress {
    /// None where there is no terminal.
    bar: Option<ProgressBar>,
    what: &'static str,
    total: usize,
    done: usize,
    said: Instant,
}

impl Progress {
    /// Work on so many things.
    pub(crate) fn over(what: &'static str, total: usize) -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
        Self::new(what, total, style)
    }

    /// One thing that takes a while.
    pub(crate) fn through(what: &'static str) -> Self {
        let progress = Self::new(what, 0, ProgressStyle::with_template("{spinner} {msg} {elapsed}"));
        match &progress.bar {
            Some(bar) => bar.enable_steady_tick(Duration::from_millis(100)),
            None => say(what),
        }
        progress
    }

    fn new(what: &'static str, total: usize, style: Result<ProgressStyle, indicatif::style::TemplateError>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total.try_into().unwrap_or(u64::MAX));
            // The templates above are right; without one the bar has its usual look.
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.with_message(what)
        });
        Self { bar, what, total, done: 0, said: Instant::now() }
    }

    /// So many more are done.
    pub(crate) fn add(&mut self, count: usize) {
        self.done += count;
        match &self.bar {
            Some(bar) => bar.set_position(self.done.try_into().unwrap_or(u64::MAX)),
            None if self.said.elapsed() >= A_LINE_EVERY => {
                self.said = Instant::now();
                say(&format!("{}: {} of {}", self.what, self.done, self.total));
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn say(text: &str) {
    // Nobody is kept from working because nobody reads how far it is.
    let _ = writeln!(std::io::stderr(), "{text}");
}
