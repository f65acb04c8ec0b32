//! Who is pressed when nobody answers: the dated ladder of handbook §5.
//!
//! A rung *fires* when its ledger row is written, once per request, trigger, rung and clock start,
//! at midnight and on rest days too. Its notice leaves later, in a digest. Nothing here knows an
//! era: which rungs exist on a day is data ([`Ladder`]), and who stands on them is the directory's
//! word at the instant of firing.

use jiff::Timestamp;

use crate::calendar::{Calendar, at_local, end_of_day, local_date};
use crate::deadline::{Deadline, ReplyClock};
use crate::directory::Directory;
use crate::id::OfficeId;
use crate::office::OfficeKind;
use crate::request::{ClockCause, Counting, Event, Fired, Instants, Request, State};
use crate::rules::{Ladder, MissingRule};

pub use crate::rules::{RungTarget, Trigger};

/// When on the day a reminder of that day's due goes out (handbook §5: 08:00).
const REMINDER_HOUR: i8 = 8;

/// A rung that will fire at an instant unless something happens before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// What makes it fire.
    pub trigger: Trigger,
    /// Which rung.
    pub rung: u8,
    /// Of which clock.
    pub clock_start: Timestamp,
    /// When.
    pub due_at: Timestamp,
    /// Whom it presses.
    pub target: RungTarget,
}

impl Planned {
    fn is(&self, fired: &Fired) -> bool {
        (fired.trigger, fired.rung, fired.clock_start) == (self.trigger, self.rung, self.clock_start)
    }
}

/// What deciding about rungs needs.
#[derive(Clone, Copy)]
pub struct Climb<'a> {
    /// The dated rows.
    pub ladder: &'a Ladder,
    /// Calendar and limits of H.
    pub counting: Counting<'a>,
    /// The calendar of W.
    pub ward_calendar: &'a Calendar,
    /// Who stands above whom.
    pub directory: &'a Directory,
    /// The broker's outages on record, as (from, to); an open one has no end.
    pub outages: &'a [(Timestamp, Option<Timestamp>)],
}

/// What of a request its rungs go by. The whole request has it, and so has its row in the store, which is
/// enough to plan a million timers anew without reading a ledger.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// How far it is.
    pub state: State,
    /// When things happened.
    pub at: Instants,
    /// H's clock, once it runs.
    pub clock: Option<&'a ReplyClock>,
    /// When W's file is due; none once W told its end.
    pub file_due: Option<&'a Deadline>,
    /// The rungs that fired.
    pub fired: &'a [Fired],
}

impl<'a> From<&'a Request> for Standing<'a> {
    fn from(request: &'a Request) -> Self {
        Self {
            state: request.state,
            at: request.at,
            clock: request.clock.as_ref().map(|(_, clock)| clock),
            file_due: request.file_due.as_ref().filter(|_| request.file_closed.is_none()),
            fired: &request.fired,
        }
    }
}

impl Standing<'_> {
    fn has_fired(&self, planned: &Planned) -> bool {
        self.fired.iter().any(|fired| planned.is(fired))
    }
}

/// The rungs that are still to fire, earliest first: H's while it owes the answer, W's own while
/// the answer lies there unread.
pub fn plan(standing: Standing<'_>, now: Timestamp, climb: Climb<'_>) -> Result<Vec<Planned>, MissingRule> {
    let mut planned = ladder(standing, now, climb)?;
    // Nobody is pressed to open what is open; what was pressed for it before stays on record.
    planned.retain(|p| !standing.has_fired(p) && (p.trigger != Trigger::AcceptDue || standing.at.opened.is_none()));
    Ok(planned)
}

/// The rungs that fired and by these dues are not due at `now`: a due date was moved later after they had.
/// They stay fired, and do not fire again when the moved due has passed: what makes a rung one rung is
/// request, trigger, rung and the start of the clock, and a start does not move.
pub fn undue(standing: Standing<'_>, now: Timestamp, climb: Climb<'_>) -> Result<Vec<Planned>, MissingRule> {
    let mut early = ladder(standing, now, climb)?;
    early.retain(|p| standing.has_fired(p) && p.due_at > now);
    Ok(early)
}

/// All rungs of the ladder that a request as it stands has, fired or not, earliest first.
fn ladder(standing: Standing<'_>, now: Timestamp, climb: Climb<'_>) -> Result<Vec<Planned>, MissingRule> {
    let Standing { state, at, clock, file_due, .. } = standing;
    let (open, unread) = (state.is_open(), state == State::Answered);
    if !open && !unread {
        return Ok(Vec::new());
    }
    let mut planned = Vec::new();
    for row in climb.ladder.rows_at(local_date(now)) {
        let calendar = climb.counting.calendar;
        let (clock_start, due_at) = match (row.trigger, clock) {
            (Trigger::AnswerUnread, _) if unread => match at.answer_sent {
                Some(sent) => (sent, rung_at(climb.ward_calendar, local_date(sent), row.after_wd)),
                None => continue,
            },
            // In hand before the day was over; a later answer found the file late already.
            (Trigger::FileDueAnswered, _) if unread => match file_due {
                Some(due) if at.answered.is_some_and(|at| !due.is_late(at)) => (at.submitted, due.due_at),
                _ => continue,
            },
            (Trigger::AnswerUnread | Trigger::FileDueAnswered, _) => continue,
            _ if unread => continue,
            (Trigger::NotReceived, None) => {
                let Some(due_at) = confirm_due(at.submitted, climb)? else { continue };
                (at.submitted, due_at)
            }
            (Trigger::AcceptDue, Some(clock)) => (clock.started_at, clock.accept.due_at),
            (Trigger::AnswerDueDay, Some(clock)) => (clock.started_at, at_local(clock.answer.on, REMINDER_HOUR, 0)),
            (Trigger::AnswerDue, Some(clock)) => (clock.started_at, rung_at(calendar, clock.answer.on, row.after_wd)),
            (Trigger::FileDue, _) => match file_due {
                Some(due) => (at.submitted, due.due_at),
                None => continue,
            },
            (Trigger::NotReceived, Some(_))
            | (Trigger::AcceptDue | Trigger::AnswerDueDay | Trigger::AnswerDue, None) => {
                continue;
            }
        };
        planned.push(Planned { trigger: row.trigger, rung: row.rung, clock_start, due_at, target: row.target });
    }
    planned.sort_by_key(|p| (p.due_at, p.rung));
    Ok(planned)
}

/// 24:00 of the `after_wd`-th working day after a day.
fn rung_at(calendar: &Calendar, day: jiff::civil::Date, after_wd: u32) -> Timestamp {
    end_of_day(if after_wd == 0 { day } else { calendar.nth_working_day_after(day, after_wd) })
}

/// When a request that nobody confirmed starts H's clock all the same: the working minutes of the
/// rule after it was due to be sent. An outage of the broker in that time starts the wait anew at
/// its end; while one lasts there is no such instant.
fn confirm_due(submitted: Timestamp, climb: Climb<'_>) -> Result<Option<Timestamp>, MissingRule> {
    let minutes = climb.counting.rules.not_received_minutes(local_date(submitted))?;
    let mut from = submitted;
    loop {
        let due = climb.counting.calendar.add_working_minutes(from, minutes);
        let hit = climb.outages.iter().find(|(begin, end)| *begin < due && end.is_none_or(|end| end > from));
        match hit {
            None => return Ok(Some(due)),
            Some((_, None)) => return Ok(None),
            Some((_, Some(end))) => from = *end,
        }
    }
}

/// The instant of the next rung, for the timer.
pub fn next_at<'a>(
    standing: impl Into<Standing<'a>>,
    now: Timestamp,
    climb: Climb<'_>,
) -> Result<Option<Timestamp>, MissingRule> {
    Ok(plan(standing.into(), now, climb)?.first().map(|p| p.due_at))
}

/// Fires everything due at `now`. `has_reader` tells whether anybody reads H's inbox, which makes
/// the difference between `not_connected` and `not_confirmed`.
pub fn fire(request: &Request, now: Timestamp, has_reader: bool, climb: Climb<'_>) -> Result<Vec<Event>, MissingRule> {
    let mut request = request.clone();
    let mut events = Vec::new();
    // A clock that starts may have made further rungs due already, hence rung by rung.
    while let Some(next) = plan((&request).into(), now, climb)?.into_iter().find(|p| p.due_at <= now) {
        let mut step = vec![Event::RungFired {
            trigger: next.trigger,
            rung: next.rung,
            clock_start: next.clock_start,
            due_at: next.due_at,
            target: stands_on(&request, next.target, now, climb.directory),
        }];
        if next.trigger == Trigger::NotReceived {
            let cause = if has_reader { ClockCause::NotConfirmed } else { ClockCause::NotConnected };
            step.push(Event::ClockStarted { cause, clock: climb.counting.reply_clock(next.due_at)? });
        }
        for event in step {
            request.apply(now, &event);
            events.push(event);
        }
    }
    Ok(events)
}

/// The office on a rung at an instant; none when the rung is the responder itself, or nobody.
fn stands_on(request: &Request, target: RungTarget, now: Timestamp, directory: &Directory) -> Option<OfficeId> {
    let above = |kind: OfficeKind| {
        directory
            .superiors(&request.opening.responder, local_date(now))
            .into_iter()
            .find(|(k, _)| *k == kind)
            .map(|(_, office)| office)
    };
    match target {
        RungTarget::Operator => None,
        RungTarget::Requester | RungTarget::RequesterHead => Some(request.opening.requester),
        RungTarget::Responder | RungTarget::OfficeHead => Some(request.opening.responder),
        RungTarget::DistrictPolice => above(OfficeKind::DistrictPolice),
        RungTarget::ProvinceUnit => above(OfficeKind::ProvinceUnit),
        RungTarget::MinistryUnit => above(OfficeKind::MinistryUnit),
    }
}
