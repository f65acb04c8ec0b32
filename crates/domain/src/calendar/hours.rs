//! Office hours of a day: the spans in which working time passes.

use std::fmt;
use std::str::FromStr;

use super::MICROS_A_MINUTE;

/// Why a text is not a list of office hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not office hours (HH:MM-HH:MM;HH:MM-HH:MM, in order)")]
pub struct OfficeHoursError;

/// The spans of a working day in which an office is open, in order, local time (UTC+7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficeHours {
    /// Minutes since midnight, first to last (exclusive).
    spans: Vec<(u16, u16)>,
}

impl OfficeHours {
    /// Working time of a whole day, in microseconds.
    pub(super) fn micros_a_day(&self) -> i64 {
        self.spans.iter().map(|(from, to)| i64::from(to - from) * MICROS_A_MINUTE).sum()
    }

    /// Working time of a morning: the first span.
    pub(super) fn micros_a_morning(&self) -> i64 {
        self.spans_in_micros().next().map_or(0, |(from, to)| to - from)
    }

    /// Working minutes of a whole day.
    pub fn minutes_a_day(&self) -> i64 {
        self.micros_a_day() / MICROS_A_MINUTE
    }

    /// When the spans begin, in microseconds since midnight.
    pub(super) fn starts(&self) -> impl Iterator<Item = i64> + '_ {
        self.spans.iter().map(|(from, _)| i64::from(*from) * MICROS_A_MINUTE)
    }

    fn spans_in_micros(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.spans.iter().map(|(from, to)| (i64::from(*from) * MICROS_A_MINUTE, i64::from(*to) * MICROS_A_MINUTE))
    }

    /// Working time passed at a time of day, in microseconds.
    pub(super) fn worked_until(&self, time: i64) -> i64 {
        self.spans_in_micros().map(|(from, to)| time.clamp(from, to) - from).sum()
    }

    /// The earliest time of day at which that much working time has passed, in microseconds.
    pub(super) fn time_after(&self, mut worked: i64) -> i64 {
        let mut last = 0;
        for (from, to) in self.spans_in_micros() {
            if worked <= to - from {
                return from + worked;
            }
            worked -= to - from;
            last = to;
        }
        last
    }
}

impl FromStr for OfficeHours {
    type Err = OfficeHoursError;

    fn from_str(text: &str) -> Result<Self, OfficeHoursError> {
        let minutes = |time: &str| -> Option<u16> {
            let (hour, minute) = time.split_once(':')?;
            if hour.len() != 2 || minute.len() != 2 || !time.bytes().all(|b| b.is_ascii_digit() || b == b':') {
                return None;
            }
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour * 60 + minute <= 24 * 60 && minute < 60).then_some(hour * 60 + minute)
        };
        let mut spans: Vec<(u16, u16)> = Vec::new();
        for span in text.split(';') {
            let (from, to) = span.split_once('-').ok_or(OfficeHoursError)?;
            let (from, to) = minutes(from).zip(minutes(to)).ok_or(OfficeHoursError)?;
            if from >= to || spans.last().is_some_and(|(_, last)| from < *last) {
                return Err(OfficeHoursError);
            }
            spans.push((from, to));
        }
        Ok(Self { spans })
    }
}

impl fmt::Display for OfficeHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (from, to)) in self.spans.iter().enumerate() {
            let separator = if i == 0 { "" } else { ";" };
            write!(f, "{separator}{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)?;
        }
        Ok(())
    }
}
