//! Opening a request: what a submit must satisfy, and when the file is due.

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Denied, Event, Lane, Opening};
use crate::calendar::{Calendar, end_of_day, local_date};
use crate::deadline::Deadline;
use crate::person::{self, Person, PersonWarning};
use crate::rules::LegalRules;

/// What opening a request needs to know.
#[derive(Clone, Copy)]
pub struct OpenContext<'a> {
    /// W's calendar: the file clock runs on it.
    pub calendar: &'a Calendar,
    /// The dated limits.
    pub rules: &'a LegalRules,
    /// Whether three digits are a province of birth registration.
    pub known_prefix: &'a dyn Fn(&str) -> bool,
}

/// What is odd about a submit; the receipt and the delivery both carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpenWarning {
    /// About the person's data.
    Person(PersonWarning),
    /// The appointment differs from the legal time limit of the file.
    PromisedDiffersFromLimit,
    /// W's clock says the file will be received in the future: only the day is used.
    ClockSkew,
}

/// A request that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The first event.
    pub event: Event,
    /// What is odd.
    pub warnings: Vec<OpenWarning>,
}

/// Opens a request at `now`, or says why not.
pub fn open(mut opening: Opening, person: &Person, now: Timestamp, context: OpenContext<'_>) -> Result<Opened, Denied> {
    if opening.requester == opening.responder {
        return Err(Denied::HomeIsRequester);
    }
    let today = local_date(now);
    if opening.received_on > today {
        return Err(Denied::ReceivedInFuture(today));
    }
    if opening.promised_on.is_some_and(|on| on < opening.received_on) {
        return Err(Denied::PromisedBeforeReceived(opening.received_on));
    }
    if opening.lane == Lane::Urgent && opening.lane_reason.is_none() {
        return Err(Denied::LaneReasonRequired);
    }
    let age = context.rules.exempt_under_age(opening.received_on)?;
    // Whoever is not born yet is no child but a slip of the pen, which the check below names.
    let born = person.birth.earliest() <= opening.received_on;
    if born && person::is_under_age(person.birth, opening.received_on, age) {
        return Err(Denied::ExemptUnder6);
    }
    let mut warnings: Vec<OpenWarning> = person::check(person, opening.received_on, context.known_prefix)
        .map_err(Denied::Person)?
        .into_iter()
        .map(OpenWarning::Person)
        .collect();
    if opening.received_at.is_some_and(|at| at > now) {
        opening.received_at = None;
        warnings.push(OpenWarning::ClockSkew);
    }
    let (file_due, differs) = file_due(&opening, context);
    if differs {
        warnings.push(OpenWarning::PromisedDiffersFromLimit);
    }
    if opening.questions.is_empty() {
        opening.questions = opening.kind.questions().to_vec();
    }
    Ok(Opened { event: Event::Submitted { opening, file_due }, warnings })
}

/// The receipt day plus the kind's limit, or the appointment where the kind has none; and whether
/// the two differ.
fn file_due(opening: &Opening, context: OpenContext<'_>) -> (Option<Deadline>, bool) {
    let appointment = |on: Date| Deadline { on, due_at: end_of_day(on), calendar: context.calendar.version().clone() };
    match context.rules.file_clock(opening.kind.as_str(), opening.received_on) {
        Some(limit) => {
            let due = Deadline::count(context.calendar, opening.received_on, limit);
            let differs = opening.promised_on.is_some_and(|on| on != due.on);
            (Some(due), differs)
        }
        None => (opening.promised_on.map(appointment), false),
    }
}
