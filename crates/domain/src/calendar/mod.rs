//! Which days are worked, and how much working time lies between two instants.
//!
//! A calendar is made from imported days (holidays, days off in lieu, worked Saturdays) of one
//! scope and knows nothing of moons or laws: outside the imported years weeks are plain, Monday to
//! Friday, and marked provisional. Questions are answered by prefix sums in constant time, because
//! a new calendar recomputes every open deadline.
//!
//! Days are days in Vietnam (UTC+7, no summer time); a day ends at 24:00, kept as the exclusive
//! instant 17:00 UTC.

mod changed;
mod day;
mod hours;
mod scope;

use jiff::civil::{Date, Weekday};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

pub use changed::ChangedDays;
pub use day::{CalendarDay, CalendarVersion, DayKind, SaturdayMode, SaturdayRule};
pub use hours::{OfficeHours, OfficeHoursError};
pub use scope::{Calendars, Scope, ScopedDay, ScopedSaturday};

/// Vietnam's offset to UTC.
const LOCAL: Offset = Offset::constant(7);

const MICROS_A_MINUTE: i64 = 60_000_000;

/// The day in Vietnam on which an instant falls.
pub fn local_date(at: Timestamp) -> Date {
    LOCAL.to_datetime(at).date()
}

/// 24:00 of a day in Vietnam: the first instant that no longer belongs to it.
pub fn end_of_day(on: Date) -> Timestamp {
    at_local(plus_days(on, 1), 0, 0)
}

/// An hour and minute of a day in Vietnam, as an instant. An hour that no clock shows (24 and
/// above, below 0) counts as the nearest that one does.
pub fn at_local(on: Date, hour: i8, minute: i8) -> Timestamp {
    // Only the last hours of the year 9999 have no instant.
    LOCAL.to_timestamp(on.at(hour.clamp(0, 23), minute.clamp(0, 59), 0, 0)).unwrap_or(Timestamp::MAX)
}

/// A day a number of days later (or earlier), staying within the years a date can hold.
fn plus_days(on: Date, days: i64) -> Date {
    on.saturating_add(SignedDuration::from_secs(days.saturating_mul(86_400)))
}

fn days_between(from: Date, to: Date) -> i64 {
    from.duration_until(to).as_secs() / 86_400
}

/// The working calendar of one scope: the nation, a province, an office.
#[derive(Debug, Clone)]
pub struct Calendar {
    version: CalendarVersion,
    hours: OfficeHours,
    /// The first day of the first imported year.
    first: Date,
    /// `before[i]` is the number of working days from `first` to the day before `first + i`; one
    /// entry more than there are days.
    before: Vec<u32>,
    /// The working days from `first` on: `worked[k]` is the one with `k` before it.
    worked: Vec<Date>,
    /// `micros_before[i]` is the working time from `first` to the end of the day before `first + i`:
    /// a Saturday that counts is shorter than other days.
    micros_before: Vec<i64>,
    /// What happens on Saturdays that are nothing else, the narrowest rule first.
    saturdays: Vec<SaturdayRule>,
    /// Days that stand in the tables by name.
    special: Vec<Date>,
    /// Years with a day that is not yet decided.
    provisional_years: Vec<i16>,
}

impl Calendar {
    /// Builds a calendar over the years that the days name, whole years each; Saturdays are off. Of
    /// two entries for one day the later one counts; the importer refuses such data.
    pub fn new(days: impl IntoIterator<Item = CalendarDay>, version: CalendarVersion, hours: OfficeHours) -> Self {
        Self::with_saturdays(days, Vec::new(), version, hours)
    }

    /// The same with what is done on Saturdays; of two rules that cover a day the first counts.
    pub fn with_saturdays(
        days: impl IntoIterator<Item = CalendarDay>,
        saturdays: Vec<SaturdayRule>,
        version: CalendarVersion,
        hours: OfficeHours,
    ) -> Self {
        let mut days: Vec<CalendarDay> = days.into_iter().collect();
        days.sort_by_key(|day| day.on);
        let mut provisional_years: Vec<i16> = days.iter().filter(|d| d.provisional).map(|d| d.on.year()).collect();
        provisional_years.dedup();
        let mut special: Vec<Date> = days.iter().map(|day| day.on).collect();
        special.dedup();
        let (first, length) = match (days.first(), days.last()) {
            (Some(from), Some(to)) => {
                let first = from.on.first_of_year();
                (first, days_between(first, to.on.last_of_year()) + 1)
            }
            _ => (Date::constant(1970, 1, 1), 0),
        };
        let mut calendar = Self {
            version,
            first,
            before: vec![0],
            worked: Vec::new(),
            micros_before: vec![0],
            saturdays,
            special,
            provisional_years,
            hours,
        };
        let mut named = days.iter().peekable();
        let mut micros = 0;
        for i in 0..length {
            let on = plus_days(first, i);
            let mut kind = None;
            while let Some(day) = named.next_if(|day| day.on == on) {
                kind = Some(day.kind);
            }
            let of_day = match kind {
                Some(kind) if kind.is_worked() => calendar.hours.micros_a_day(),
                None if is_weekday(on) => calendar.hours.micros_a_day(),
                None if SaturdayRule::mode_on(&calendar.saturdays, on) == SaturdayMode::Counts
                    && on.weekday() == Weekday::Saturday =>
                {
                    calendar.hours.micros_a_morning()
                }
                Some(_) | None => 0,
            };
            if of_day > 0 {
                calendar.worked.push(on);
            }
            micros += of_day;
            calendar.before.push(u32::try_from(calendar.worked.len()).unwrap_or(u32::MAX));
            calendar.micros_before.push(micros);
        }
        calendar
    }

    /// Which import this is.
    pub fn version(&self) -> &CalendarVersion {
        &self.version
    }

    /// The office hours that working time is measured by.
    pub fn hours(&self) -> &OfficeHours {
        &self.hours
    }

    /// Whether the day is worked.
    pub fn is_working_day(&self, on: Date) -> bool {
        match self.index(on) {
            Some(i) => self.before[i] != self.before[i + 1],
            None => is_weekday(on),
        }
    }

    /// Whether the counter takes files on a day: a working day, or a Saturday on which it is open.
    pub fn receives_on(&self, on: Date) -> bool {
        self.is_working_day(on)
            || (on.weekday() == Weekday::Saturday
                && self.special.binary_search(&on).is_err()
                && SaturdayRule::mode_on(&self.saturdays, on) != SaturdayMode::Off)
    }

    /// Whether the day's year is not, or not finally, imported.
    pub fn is_provisional(&self, on: Date) -> bool {
        self.index(on).is_none() || self.provisional_years.contains(&on.year())
    }

    /// How many days from `from` on, itself included, stand in the calendar for good, looking no
    /// further than `most` days: 0 says that a due date counted from there may still move.
    pub fn days_ahead(&self, from: Date, most: u16) -> u16 {
        (0..most).find(|n| self.is_provisional(plus_days(from, i64::from(*n)))).unwrap_or(most)
    }

    /// The n-th working day after a day, which is itself day 0 (handbook §5).
    pub fn nth_working_day_after(&self, day: Date, n: u32) -> Date {
        if n == 0 {
            return day;
        }
        self.with_before(self.count_before(plus_days(day, 1)) + i64::from(n) - 1)
    }

    /// The day itself if it is worked, else the next that is.
    pub fn roll_forward(&self, on: Date) -> Date {
        self.with_before(self.count_before(on))
    }

    /// The number of working days after `from` up to and with `to`; negative if `to` is earlier.
    pub fn working_days_between(&self, from: Date, to: Date) -> i64 {
        self.count_before(plus_days(to, 1)) - self.count_before(plus_days(from, 1))
    }

    /// Whole minutes of office hours between two instants; negative if `to` is earlier.
    pub fn working_minutes_between(&self, from: Timestamp, to: Timestamp) -> i64 {
        (self.worked_micros(to) - self.worked_micros(from)) / MICROS_A_MINUTE
    }

    /// The earliest instant at which that many minutes of office hours have passed. Zero and less
    /// is the instant itself.
    pub fn add_working_minutes(&self, from: Timestamp, minutes: i64) -> Timestamp {
        let a_day = self.hours.micros_a_day();
        if minutes <= 0 || a_day <= 0 {
            return from;
        }
        let sum = self.worked_micros(from).saturating_add(minutes.saturating_mul(MICROS_A_MINUTE));
        let total = self.total_micros();
        // At a day's end rather than at the next one's beginning: the same sum, but earlier.
        let (on, worked) = if sum <= 0 || sum > total {
            // In plain weeks before and after the imported years.
            let (edge, rest) = if sum <= 0 { (self.first, sum) } else { (self.end(), sum - total) };
            let full_days = (rest - 1).div_euclid(a_day);
            (nth_weekday(edge, full_days), rest - full_days * a_day)
        } else {
            let day = self.micros_before.partition_point(|before| *before < sum) - 1;
            (plus_days(self.first, i64::try_from(day).unwrap_or(i64::MAX)), sum - self.micros_before[day])
        };
        at_micros(on, self.hours.time_after(worked))
    }

    /// The next beginning of a half day (08:00, 13:00) of a working day, at or after an instant.
    pub fn next_half_day_start(&self, from: Timestamp) -> Timestamp {
        let today = local_date(from);
        // A Saturday that counts has its morning alone.
        let starts = |on: Date| {
            let morning_only = self.micros_of(on) < self.hours.micros_a_day();
            let count = if morning_only { 1 } else { usize::MAX };
            self.hours.starts().take(count).map(move |micros| at_micros(on, micros))
        };
        if self.is_working_day(today)
            && let Some(at) = starts(today).find(|at| *at >= from)
        {
            return at;
        }
        self.opening_of(self.nth_working_day_after(today, 1))
    }

    /// When the counter opens on a day, worked or not.
    pub fn opening_of(&self, on: Date) -> Timestamp {
        at_micros(on, self.hours.starts().next().unwrap_or(0))
    }

    /// The days on which this calendar is not worked as `other` is, in order. Office hours are no matter: a
    /// day is worked whole, for a morning, or not at all.
    pub fn days_unlike(&self, other: &Self) -> Vec<Date> {
        let imported = [self, other].into_iter().filter(|calendar| calendar.before.len() > 1);
        let (first, end) = imported.fold((Date::MAX, Date::MIN), |(first, end), calendar| {
            (first.min(calendar.first), end.max(calendar.end()))
        });
        let worked = |calendar: &Self, on| {
            let micros = calendar.micros_of(on);
            (micros > 0, micros == calendar.hours.micros_a_day())
        };
        let mut unlike = Vec::new();
        let mut on = first;
        while on < end {
            if worked(self, on) != worked(other, on) {
                unlike.push(on);
            }
            on = plus_days(on, 1);
        }
        unlike
    }

    /// Where the day stands in the tables; none outside the imported years.
    fn index(&self, on: Date) -> Option<usize> {
        usize::try_from(days_between(self.first, on)).ok().filter(|i| *i + 1 < self.before.len())
    }

    /// The day after the imported years.
    fn end(&self) -> Date {
        plus_days(self.first, i64::try_from(self.before.len()).unwrap_or(i64::MAX) - 1)
    }

    fn total(&self) -> i64 {
        i64::try_from(self.worked.len()).unwrap_or(i64::MAX)
    }

    /// The number of working days from `first` to the day before `on`; negative before `first`.
    fn count_before(&self, on: Date) -> i64 {
        match self.index(on) {
            Some(i) => i64::from(self.before[i]),
            None if on < self.first => -weekdays(on, self.first),
            None => self.total() + weekdays(self.end(), on),
        }
    }

    /// The working day that has `count` working days before it; turns [`Self::count_before`] round.
    fn with_before(&self, count: i64) -> Date {
        if let Some(on) = usize::try_from(count).ok().and_then(|i| self.worked.get(i)) {
            *on
        } else if count < 0 {
            nth_weekday(self.first, count)
        } else {
            nth_weekday(self.end(), count - self.total())
        }
    }

    /// Working time of the imported years.
    fn total_micros(&self) -> i64 {
        self.micros_before.last().copied().unwrap_or(0)
    }

    /// Working time of a day.
    fn micros_of(&self, on: Date) -> i64 {
        match self.index(on) {
            Some(i) => self.micros_before[i + 1] - self.micros_before[i],
            None if is_weekday(on) => self.hours.micros_a_day(),
            None => 0,
        }
    }

    /// Office hours since the midnight that begins `first`, in microseconds.
    fn worked_micros(&self, at: Timestamp) -> i64 {
        let on = local_date(at);
        let before = match self.index(on) {
            Some(i) => self.micros_before[i],
            None if on < self.first => (-weekdays(on, self.first)).saturating_mul(self.hours.micros_a_day()),
            None => self.total_micros() + weekdays(self.end(), on).saturating_mul(self.hours.micros_a_day()),
        };
        let passed = self.hours.worked_until(at.as_microsecond() - at_local(on, 0, 0).as_microsecond());
        // Of a morning's day nothing passes in the afternoon.
        before + passed.min(self.micros_of(on))
    }
}

/// An instant by its microseconds since the day's midnight.
fn at_micros(on: Date, micros: i64) -> Timestamp {
    at_local(on, 0, 0).saturating_add(SignedDuration::from_micros(micros)).unwrap_or(Timestamp::MAX)
}

fn is_weekday(on: Date) -> bool {
    !matches!(on.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// Mondays to Fridays from `from` to the day before `to`, in plain weeks.
fn weekdays(from: Date, to: Date) -> i64 {
    // A number that grows by one with each day, 0 being a Monday.
    let monday = plus_days(from, -i64::from(from.weekday().to_monday_zero_offset()));
    let counted = |day: Date| {
        let days = days_between(monday, day);
        days.div_euclid(7) * 5 + days.rem_euclid(7).min(5)
    };
    counted(to) - counted(from)
}

/// The Monday to Friday that has `n` of its sort between `from` and itself, in plain weeks;
/// backwards for a negative `n`.
fn nth_weekday(from: Date, n: i64) -> Date {
    let weekday = i64::from(from.weekday().to_monday_zero_offset());
    // Counted from the Monday of this week, of whose weekdays `min(weekday, 5)` lie before `from`.
    let n = n + weekday.min(5);
    plus_days(from, n.div_euclid(5) * 7 + n.rem_euclid(5) - weekday)
}

#[cfg(test)]
mod tests;
