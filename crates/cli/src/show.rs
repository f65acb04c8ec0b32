//! What people and programs read on standard output.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::civil::Date;

/// Writes a line. A reader that went away (`| head`) ends the program quietly.
pub(crate) fn line(text: impl AsRef<str>) {
    let mut out = io::stdout().lock();
    if writeln!(out, "{}", text.as_ref()).is_err() {
        std::process::exit(0);
    }
}

/// Says something beside the result, on standard error.
pub(crate) fn aside(text: impl AsRef<str>) {
    // The result stands without it.
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// Writes a value as JSON for a program.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// An instant as people in Vietnam read it.
pub(crate) fn instant(at: Timestamp) -> String {
    jiff::tz::offset(7).to_datetime(at).strftime("%a %d/%m %H:%M:%S").to_string()
}

/// An instant with its year, as people in Vietnam read it.
pub(crate) fn minute(at: Timestamp) -> String {
    jiff::tz::offset(7).to_datetime(at).strftime("%d/%m/%Y %H:%M").to_string()
}

/// A day as people in Vietnam read it.
pub(crate) fn day(on: Date) -> String {
    on.strftime("%d/%m/%Y").to_string()
}

/// A stretch of time, to the second, so that the stretches on a page add up to their sum.
pub(crate) fn stretch(from: Timestamp, to: Timestamp) -> String {
    let ms = to.duration_since(from).as_millis();
    let seconds = ms / 1_000;
    match seconds {
        i128::MIN..1 => format!("{ms} ms"),
        1..60 => format!("{seconds}.{} s", ms % 1_000 / 100),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min {:02} s", seconds / 3_600, seconds / 60 % 60, seconds % 60),
    }
}

/// How long ago, in days and hours, for what is counted in days.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    let minutes = now.duration_since(since).as_mins().max(0);
    match minutes {
        0..60 => format!("{minutes} min"),
        60..1_440 => format!("{} h {:02} min", minutes / 60, minutes % 60),
        _ => format!("{} d {:02} h", minutes / 1_440, minutes / 60 % 24),
    }
}
