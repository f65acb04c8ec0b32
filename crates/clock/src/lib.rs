//! What time is it? The system's clock, one moved by hand, and one stepped by the demo.
//!
//! Nothing else in the workspace asks the machine for the time of the work, so a twenty-day life
//! can be lived in a minute and a test never sleeps.
//!
//! The stepped clock lives in a file of two numbers: the time it showed, and the real time when it
//! was set to that. Whoever reads it adds what has passed since, so within a step it runs as real
//! time does. The file outlives a killed process, and is replaced whole, so no reader sees half.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use jiff::{SignedDuration, Timestamp};

/// A clock of the stepped kind that cannot be read or set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is missing, or not to be read or written.
    #[error("the clock file {path}: {cause}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file does not hold two numbers.
    #[error("the clock file {0} does not hold two numbers")]
    Malformed(PathBuf),
    /// Time does not run backwards.
    #[error("the clock shows {shown} already; it is not set back to {wanted}")]
    Backwards {
        /// What it shows.
        shown: Timestamp,
        /// What was wanted.
        wanted: Timestamp,
    },
}

/// A clock. Instants are whole microseconds, because that is what the ledger keeps.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's.
    System,
    /// Moved by hand, for tests.
    Manual(ManualClock),
    /// Kept in a file and stepped by the demo.
    Stepped(SteppedClock),
}

impl Clock {
    /// Now, in whole microseconds. A stepped clock whose file cannot be read at the moment shows
    /// what it showed last.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => real_now(),
            Self::Manual(clock) => clock.now(),
            Self::Stepped(clock) => clock.now(),
        }
    }
}

/// A clock that stands still until it is moved. Clones show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// A clock that shows an instant.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets it.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

/// A clock kept in a file: real time within a step, jumping when its owner says so.
#[derive(Debug, Clone)]
pub struct SteppedClock {
    path: PathBuf,
    last: Arc<Mutex<Step>>,
}

/// What the file holds: the shown time and the real time it was set at, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Step {
    shown_us: i64,
    set_us: i64,
}

impl Step {
    fn at(self, real: Timestamp) -> Timestamp {
        let passed = (real.as_microsecond() - self.set_us).max(0);
        Timestamp::from_microsecond(self.shown_us + passed).unwrap_or(Timestamp::MAX)
    }
}

impl SteppedClock {
    /// Opens a clock that somebody set before.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let step = read(path)?;
        Ok(Self { path: path.to_owned(), last: Arc::new(Mutex::new(step)) })
    }

    /// Makes a clock, or sets an old file anew, whatever it showed.
    pub fn create(path: &Path, shown: Timestamp) -> Result<Self, Error> {
        write(path, shown)?;
        Self::open(path)
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(step) = read(&self.path) {
            *last = step;
        }
        last.at(real_now())
    }

    /// Jumps ahead to an instant.
    pub fn jump(&self, to: Timestamp) -> Result<(), Error> {
        let shown = self.now();
        if to < shown {
            return Err(Error::Backwards { shown, wanted: to });
        }
        write(&self.path, to)
    }
}

fn read(path: &Path) -> Result<Step, Error> {
    let text = fs::read_to_string(path).map_err(|cause| Error::File { path: path.to_owned(), cause })?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<i64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(shown_us)), Some(Ok(set_us))) => Ok(Step { shown_us, set_us }),
        _ => Err(Error::Malformed(path.to_owned())),
    }
}

fn write(path: &Path, shown: Timestamp) -> Result<(), Error> {
    let fault = |cause| Error::File { path: path.to_owned(), cause };
    let next = path.with_extension("next");
    fs::write(&next, format!("{} {}\n", shown.as_microsecond(), real_now().as_microsecond())).map_err(fault)?;
    fs::rename(&next, path).map_err(fault)
}

fn real_now() -> Timestamp {
    let now = Timestamp::now();
    let nanos = now.subsec_nanosecond() % 1000;
    now - SignedDuration::from_nanos(i64::from(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stepped_clock_runs_jumps_and_outlives_its_owner() {
        let path = std::env::temp_dir().join(format!("xacminh-clock-{}", std::process::id()));
        let start: Timestamp = "2026-11-19T08:00:00+07:00".parse().unwrap();
        let clock = SteppedClock::create(&path, start).unwrap();
        let first = clock.now();
        assert!(first >= start && first < start + SignedDuration::from_mins(1));
        let noon: Timestamp = "2026-11-19T12:00:00+07:00".parse().unwrap();
        clock.jump(noon).unwrap();
        assert!(SteppedClock::open(&path).unwrap().now() >= noon, "another reader sees the jump");
        assert!(matches!(clock.jump(start), Err(Error::Backwards { .. })));
        assert_eq!(clock.now().subsec_nanosecond() % 1000, 0, "whole microseconds");
        fs::remove_file(&path).unwrap();
        assert!(clock.now() >= noon, "it shows what it showed last");
    }
}
