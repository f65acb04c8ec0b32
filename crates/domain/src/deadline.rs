//! Due dates: a time limit counted over a calendar, and the home office's two.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::calendar::{Calendar, CalendarVersion, end_of_day, local_date};

/// How long somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeLimit {
    /// The n-th working day after the day it starts.
    WorkingDays(u32),
    /// That many days after the day it starts; a rest day at the end rolls forward.
    CalendarDays(u32),
}

/// When something is due: the last day and the first instant that is late.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Deadline {
    /// The last day in Vietnam; what people are shown.
    pub on: Date,
    /// 24:00 of that day, exclusive: at this instant it is late.
    pub due_at: Timestamp,
    /// The calendar it was counted on, so that it can be told when to recount.
    pub calendar: CalendarVersion,
}

impl Deadline {
    /// Counts a limit from a day, which is day 0 (Civil Code 2015, Art. 147–148).
    pub fn count(calendar: &Calendar, start: Date, limit: TimeLimit) -> Self {
        let on = match limit {
            // With no days at all it is due on the day itself, were it worked.
            TimeLimit::WorkingDays(0) | TimeLimit::CalendarDays(0) => calendar.roll_forward(start),
            TimeLimit::WorkingDays(n) => calendar.nth_working_day_after(start, n),
            TimeLimit::CalendarDays(n) => {
                calendar.roll_forward(start.saturating_add(jiff::SignedDuration::from_secs(i64::from(n) * 86_400)))
            }
        };
        Self { on, due_at: end_of_day(on), calendar: calendar.version().clone() }
    }

    /// Whether `now` is too late.
    pub fn is_late(&self, now: Timestamp) -> bool {
        now >= self.due_at
    }
}

/// The clock of the home office: it starts once and runs to two due dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyClock {
    /// When it started.
    pub started_at: Timestamp,
    /// By when somebody must have opened the request.
    pub accept: Deadline,
    /// By when it must be answered.
    pub answer: Deadline,
}

impl ReplyClock {
    /// Starts the clock at an instant; both limits count from its day in Vietnam.
    pub fn start(calendar: &Calendar, at: Timestamp, accept: TimeLimit, answer: TimeLimit) -> Self {
        let on = local_date(at);
        Self {
            started_at: at,
            accept: Deadline::count(calendar, on, accept),
            answer: Deadline::count(calendar, on, answer),
        }
    }
}
