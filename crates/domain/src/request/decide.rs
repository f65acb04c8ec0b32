//! What an office may do with a request, and what then happens. Nothing is changed here: events are.

use jiff::Timestamp;
use jiff::civil::Date;

use super::{ClockCause, Event, FileForm, Request, State, WithdrawReason};
use crate::answer::{self, Answer, AnswerCode, AnswerDefect};
use crate::calendar::{Calendar, local_date};
use crate::deadline::{Deadline, ReplyClock};
use crate::id::{HandlerId, OfficeId};
use crate::person::PersonDefect;
use crate::rules::{LegalRules, MissingRule};

/// Why a command cannot be carried out. Each is the sender's to mend, or tells how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The sender has no part, or not this part, in the request.
    NotYours,
    /// It was answered; `AnswerCode` says how it ended.
    AlreadyAnswered(AnswerCode),
    /// It was taken back.
    AlreadyWithdrawn,
    /// There is no answer to read yet.
    NotYetAnswered,
    /// The file's end was told before, and otherwise.
    AlreadyClosed,
    /// The file would end after this day, today.
    ClosedInFuture(Date),
    /// The file would end before this day, on which it was received.
    ClosedBeforeReceived(Date),
    /// The home is served by the asking office itself: nothing to ask.
    HomeIsRequester,
    /// The day of receipt lies after this day, today.
    ReceivedInFuture(Date),
    /// The appointment lies before this day, that of the receipt.
    PromisedBeforeReceived(Date),
    /// The urgent lane needs a reason.
    LaneReasonRequired,
    /// A child under the age of exemption: no verification is needed.
    ExemptUnder6,
    /// The person's data.
    Person(PersonDefect),
    /// What the answer lacks.
    Answer(AnswerDefect),
    /// No dated rule covers the day. The operator's matter, not the sender's.
    Rule(MissingRule),
}

impl From<MissingRule> for Denied {
    fn from(rule: MissingRule) -> Self {
        Self::Rule(rule)
    }
}

/// What an office wants done with a request that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// W takes it back.
    Withdraw(WithdrawReason),
    /// H's system stored it.
    Receive,
    /// A person at H opened it.
    Open(Option<HandlerId>),
    /// H answers; with the keyed digest of the whole answer.
    Answer(Box<Answer>, [u8; 32]),
    /// A person at W read the answer.
    Read,
    /// W's file has ended, with this form on this day.
    CloseFile(FileForm, Date),
}

/// What counting needs.
#[derive(Debug, Clone, Copy)]
pub struct Counting<'a> {
    /// H's calendar.
    pub calendar: &'a Calendar,
    /// The dated limits.
    pub rules: &'a LegalRules,
}

impl Counting<'_> {
    /// H's clock, started at an instant.
    pub fn reply_clock(&self, start: Timestamp) -> Result<ReplyClock, MissingRule> {
        let on = local_date(start);
        Ok(ReplyClock {
            started_at: start,
            accept: Deadline::count(self.calendar, on, self.rules.accept_limit(on)?),
            answer: Deadline::count(self.calendar, on, self.rules.answer_limit(on)?),
        })
    }
}

impl Request {
    /// Judges a command of an office at `now`. No events means: nothing changes, and that is fine
    /// (a repeat, or something already known in another way).
    pub fn decide(
        &self,
        by: OfficeId,
        command: &Command,
        now: Timestamp,
        counting: Counting<'_>,
    ) -> Result<Vec<Event>, Denied> {
        let owner = match command {
            Command::Withdraw(_) | Command::Read | Command::CloseFile(..) => self.opening.requester,
            Command::Receive | Command::Open(_) | Command::Answer(..) => self.opening.responder,
        };
        if by != owner {
            return Err(Denied::NotYours);
        }
        match command {
            Command::Withdraw(reason) => match (self.state, self.answer) {
                (State::Withdrawn, _) => Ok(Vec::new()),
                (_, Some((code, ..))) => Err(Denied::AlreadyAnswered(code)),
                (_, None) => Ok(vec![Event::Withdrawn { reason: *reason }]),
            },
            Command::Receive => self.delivered(false, now, counting),
            Command::Open(handler) => match self.state {
                State::Withdrawn => Err(Denied::AlreadyWithdrawn),
                State::Answered | State::Read => Ok(Vec::new()),
                State::Opened if handler.is_none() || *handler == self.handler => Ok(Vec::new()),
                State::Submitted | State::Sent | State::Delivered | State::Opened => {
                    let mut events = self.delivered(true, now, counting)?;
                    events.push(Event::Opened { handler: handler.clone(), implied: false });
                    Ok(events)
                }
            },
            Command::Answer(answer, digest) => self.answered(answer, *digest, now, counting),
            Command::Read => match self.state {
                State::Withdrawn => Err(Denied::AlreadyWithdrawn),
                State::Read => Ok(Vec::new()),
                State::Answered => Ok(vec![Event::Read]),
                State::Submitted | State::Sent | State::Delivered | State::Opened => Err(Denied::NotYetAnswered),
            },
            Command::CloseFile(form, on) => self.close_file(*form, *on, now),
        }
    }

    /// The end of W's file. A refused file needs no answer any more; after a result without one (W
    /// decided alone) H still owes it. Whoever ends a file with the answer in hand has read it.
    fn close_file(&self, form: FileForm, on: Date, now: Timestamp) -> Result<Vec<Event>, Denied> {
        if let Some(closed) = self.file_closed {
            return if closed == (form, on) { Ok(Vec::new()) } else { Err(Denied::AlreadyClosed) };
        }
        let (received_on, today) = (self.opening.received_on, local_date(now));
        if on > today {
            return Err(Denied::ClosedInFuture(today));
        }
        if on < received_on {
            return Err(Denied::ClosedBeforeReceived(received_on));
        }
        let closed = Event::FileClosed { form, on };
        Ok(match (self.state, form) {
            (State::Submitted | State::Sent | State::Delivered | State::Opened, FileForm::Ct06) => {
                vec![closed, Event::Withdrawn { reason: WithdrawReason::FileRefused }]
            }
            (State::Submitted | State::Sent | State::Delivered | State::Opened, FileForm::Ct08)
            | (State::Read | State::Withdrawn, _) => vec![closed],
            (State::Answered, _) => vec![Event::Read, closed],
        })
    }

    /// A first `received` starts the clock, unless it runs already for another reason; a later
    /// one is kept and moves no clock.
    fn delivered(&self, implied: bool, now: Timestamp, counting: Counting<'_>) -> Result<Vec<Event>, Denied> {
        if self.at.delivered.is_some() || !self.state.is_open() {
            return Ok(Vec::new());
        }
        let mut events = vec![Event::Delivered { implied }];
        if self.clock.is_none() {
            events.push(Event::ClockStarted { cause: ClockCause::Delivered, clock: counting.reply_clock(now)? });
        }
        Ok(events)
    }

    fn answered(
        &self,
        answer: &Answer,
        digest: [u8; 32],
        now: Timestamp,
        counting: Counting<'_>,
    ) -> Result<Vec<Event>, Denied> {
        match (self.state, self.answer) {
            (State::Withdrawn, _) => return Err(Denied::AlreadyWithdrawn),
            (_, Some((_, _, given))) if given == digest => return Ok(Vec::new()),
            (_, Some((code, ..))) => return Err(Denied::AlreadyAnswered(code)),
            (_, None) => {}
        }
        answer::check(answer).map_err(Denied::Answer)?;
        let mut events = self.delivered(true, now, counting)?;
        if self.at.opened.is_none() {
            events.push(Event::Opened { handler: Some(answer.answered_by.clone()), implied: true });
        }
        events.push(Event::Answered {
            code: answer.code,
            late: self.clock.as_ref().is_some_and(|(_, clock)| clock.answer.is_late(now)),
            digest,
            answered_by: answer.answered_by.clone(),
        });
        Ok(events)
    }
}
