//! The one place where an error becomes: try again later, look closer, or park.

use std::time::Duration;

use crate::error::Error;

/// What follows from an error while a batch was worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Nothing is wrong with the messages: the same batch again, after a pause.
    Retry,
    /// One of the messages may be at fault: each alone.
    OneByOne,
    /// This very message cannot be worked on: park it, and let the queue move on.
    Park,
}

/// How long a service waits before it tries again what failed for a passing reason.
pub const PAUSE: Duration = Duration::from_millis(500);

/// Decides, for an error of a batch of `size` messages.
pub fn of(error: &Error, size: usize) -> Disposition {
    if error.is_transient() {
        Disposition::Retry
    } else if size > 1 {
        Disposition::OneByOne
    } else {
        Disposition::Park
    }
}

/// What was told last about something that is tried again and again: a reason is told once, not once
/// a try.
#[derive(Debug, Default)]
pub(crate) struct Told(String);

impl Told {
    /// Whether this is another reason than the last one; then it is the last one from now on.
    pub(crate) fn is_news(&mut self, error: &Error) -> bool {
        let reason = error.to_string();
        let news = reason != self.0;
        self.0 = reason;
        news
    }
}
