//! Due dates counted anew when the working calendar changed (handbook §6).
//!
//! A due date is always what is counted from its start on the calendar that holds, so a recount is the same
//! counting once more, and a second one changes nothing. Counted anew is only what is in life and touches a
//! changed day of *its* calendar: W's for the file, H's for the two of the reply clock. Starts never move.
//!
//! A rung that fired stays fired. One whose due moved later does not fire again when the moved due has
//! passed: it is the same rung of the same clock ([`escalation::undue`]). Its notice is cancelled if it has
//! not left; if it has, the event says so. One whose due moved to the past fires with the next look at the
//! timers.
//!
//! Nothing here needs a ledger: [`Facts`] are what the row of a request says, so that a million can be
//! looked at in a minute.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::calendar::{CalendarVersion, end_of_day, local_date};
use crate::deadline::{Deadline, ReplyClock};
use crate::escalation::{self, Climb, Planned, Standing};
use crate::request::{Event, Fired, Instants, ReplyDues, Request, RequestKind, State, Undue};
use crate::rules::MissingRule;

/// H's clock, by its days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockDays {
    /// When it started.
    pub started_at: Timestamp,
    /// The last day to open.
    pub accept_on: Date,
    /// The last day to answer.
    pub answer_on: Date,
}

/// What of a request its due dates go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How far it is.
    pub state: State,
    /// What is asked: it has the file's limit.
    pub kind: RequestKind,
    /// Day 0 of the file clock.
    pub received_on: Date,
    /// When things happened: submitted, opened, answered, the answer sent.
    pub at: Instants,
    /// The last day of W's file.
    pub file_due_on: Option<Date>,
    /// W told the end of its file.
    pub file_closed: bool,
    /// H's clock, once it runs.
    pub clock: Option<ClockDays>,
    /// The instant of its timer; none when no rung is awaited.
    pub next_at: Option<Timestamp>,
}

impl From<&Request> for Facts {
    /// The same facts out of a whole request; its timer is not known there.
    fn from(request: &Request) -> Self {
        Self {
            state: request.state,
            kind: request.opening.kind,
            received_on: request.opening.received_on,
            at: request.at,
            file_due_on: request.file_due.as_ref().map(|due| due.on),
            file_closed: request.file_closed.is_some(),
            clock: request.clock.as_ref().map(|(_, clock)| ClockDays {
                started_at: clock.started_at,
                accept_on: clock.accept.on,
                answer_on: clock.answer.on,
            }),
            next_at: None,
        }
    }
}

/// The days that changed, in order: for W, and for H.
#[derive(Debug, Clone, Copy)]
pub struct Days<'a> {
    /// Of W's calendar.
    pub ward: &'a [Date],
    /// Of H's calendar.
    pub home: &'a [Date],
}

/// What of a request a changed day lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touched {
    /// The time of W's file.
    pub file: bool,
    /// The time of H's clock.
    pub clock: bool,
    /// The time up to the next rung, which may hang on working days beyond a due date.
    pub timer: bool,
}

impl Touched {
    /// It has to be looked at.
    pub fn is_any(self) -> bool {
        self.file || self.clock || self.timer
    }
}

impl Facts {
    /// Where changed days lie in the life of this request. Before a start nothing is counted, and a due date
    /// can only move if something changed up to it.
    pub fn touched(&self, days: Days<'_>) -> Touched {
        let unread = self.state == State::Answered;
        if !self.state.is_open() && !unread {
            return Touched { file: false, clock: false, timer: false };
        }
        let begun = local_date(self.at.submitted).min(self.received_on);
        let file_due = self.file_due_on.filter(|_| !self.file_closed);
        let clock = self.clock.filter(|_| !unread);
        Touched {
            file: file_due.is_some_and(|due| lies_in(days.ward, self.received_on, due)),
            clock: clock.is_some_and(|clock| {
                lies_in(days.home, local_date(clock.started_at), clock.accept_on.max(clock.answer_on))
            }),
            timer: self
                .next_at
                .map(local_date)
                .is_some_and(|next| lies_in(days.ward, begun, next) || lies_in(days.home, begun, next)),
        }
    }
}

/// Whether one of the days, which are in order, lies between two, both included.
fn lies_in(days: &[Date], from: Date, to: Date) -> bool {
    days.get(days.partition_point(|day| *day < from)).is_some_and(|day| *day <= to)
}

/// What a changed calendar makes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recounted {
    /// The file due, if it moved.
    pub file_due: Option<Deadline>,
    /// The two of H's clock, if one of them moved.
    pub reply: Option<ReplyDues>,
    /// The rungs that fired and are not due by the dates that hold now.
    pub undue: Vec<Planned>,
    /// The next rung, for the timer.
    pub next_at: Option<Timestamp>,
}

impl Recounted {
    /// The event for the ledger; none when nothing is to be told. `cancelled` says of which of the rungs the
    /// notice had not left and was taken back.
    ///
    /// Where no due date moved (a rest day after the answer due moves a rung and no due) only what was
    /// cancelled is told, since that is done once: so a second recount has nothing to tell.
    pub fn event(&self, cancelled: impl Fn(&Planned) -> bool) -> Option<Event> {
        let moved = self.file_due.is_some() || self.reply.is_some();
        let undue: Vec<Undue> = self
            .undue
            .iter()
            .map(|p| Undue { trigger: p.trigger, rung: p.rung, cancelled: cancelled(p) })
            .filter(|undue| moved || undue.cancelled)
            .collect();
        (moved || !undue.is_empty()).then(|| Event::Recounted {
            file_due: self.file_due.clone(),
            reply: self.reply.clone(),
            undue,
        })
    }
}

/// Counts anew what is touched, at `now`, on the calendars of `climb`. `fired` are the rungs that did.
pub fn recount(
    facts: &Facts,
    fired: &[Fired],
    touched: Touched,
    now: Timestamp,
    climb: Climb<'_>,
) -> Result<Recounted, MissingRule> {
    // An appointment that W gave is a day, and no count.
    let limit = climb.counting.rules.file_clock(facts.kind.as_str(), facts.received_on);
    let file_due = limit
        .filter(|_| touched.file)
        .map(|limit| Deadline::count(climb.ward_calendar, facts.received_on, limit))
        .filter(|due| Some(due.on) != facts.file_due_on);
    let clock = match facts.clock {
        Some(clock) if touched.clock => Some(climb.counting.reply_clock(clock.started_at)?)
            .filter(|anew| (anew.accept.on, anew.answer.on) != (clock.accept_on, clock.answer_on)),
        _ => None,
    };
    let standing_file = file_due.clone().or_else(|| facts.file_due_on.map(as_before));
    let standing_clock = clock.clone().or_else(|| {
        facts.clock.map(|clock| ReplyClock {
            started_at: clock.started_at,
            accept: as_before(clock.accept_on),
            answer: as_before(clock.answer_on),
        })
    });
    let standing = Standing {
        state: facts.state,
        at: facts.at,
        clock: standing_clock.as_ref(),
        file_due: standing_file.as_ref().filter(|_| !facts.file_closed),
        fired,
    };
    Ok(Recounted {
        undue: escalation::undue(standing, now, climb)?,
        next_at: escalation::next_at(standing, now, climb)?,
        file_due,
        reply: clock.map(|clock| ReplyDues { accept: clock.accept, answer: clock.answer }),
    })
}

/// A due date as it stands. On what it was counted stands in the ledger and is not asked here.
fn as_before(on: Date) -> Deadline {
    Deadline { on, due_at: end_of_day(on), calendar: CalendarVersion::from("") }
}
