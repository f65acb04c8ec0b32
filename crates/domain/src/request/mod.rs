//! A request and what may happen to it.
//!
//! ```text
//!            Sent         Delivered      Opened         Answered      Read
//! Submitted ──────▶ Sent ──────────▶ Delivered ──▶ Opened ──▶ Answered ──▶ Read
//!     │               │                 │             │
//!     └───────────────┴────── Withdrawn ┴─────────────┘        (first commit wins)
//! ```
//!
//! What overtakes is allowed: a home system may confirm before the broker has noted its own
//! confirm, and an answer implies that it was delivered and opened. How far the ladder was climbed
//! is no state; it is the list of rungs that fired.

mod duplicate;
mod event;
mod kind;
mod open;

pub use duplicate::{Matter, near_duplicates};
pub use event::{ClockCause, Event, FileForm, Opening, ReplyDues, Undue, WithdrawReason};
pub use kind::{Lane, LaneReason, Lookup, Purpose, Question, RequestKind};
pub use open::{OpenContext, OpenWarning, Opened, open};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::answer::{self, Answer, AnswerCode, AnswerDefect};
use crate::calendar::{Calendar, local_date};
use crate::deadline::{Deadline, ReplyClock};
use crate::escalation::Trigger;
use crate::id::{HandlerId, OfficeId, RequestId};
use crate::person::PersonDefect;
use crate::rules::{LegalRules, MissingRule};

/// How far a request is (handbook §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Accepted from W.
    Submitted,
    /// In H's inbox.
    Sent,
    /// Stored by H's system.
    Delivered,
    /// On a desk at H.
    Opened,
    /// Answered by H.
    Answered,
    /// The answer was read at W.
    Read,
    /// Taken back by W.
    Withdrawn,
}

impl State {
    /// All states, in order.
    pub const ALL: [Self; 7] =
        [Self::Submitted, Self::Sent, Self::Delivered, Self::Opened, Self::Answered, Self::Read, Self::Withdrawn];

    /// The name used on the wire, in tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Opened => "opened",
            Self::Answered => "answered",
            Self::Read => "read",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// H still owes an answer.
    pub fn is_open(self) -> bool {
        self < Self::Answered
    }
}

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

/// The instants of a request, by the broker's own clock (handbook §4.2, t1 to t6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Instants {
    /// t1: accepted from W.
    pub submitted: Timestamp,
    /// t2: confirmed into H's inbox.
    pub sent: Option<Timestamp>,
    /// t3: stored by H's system.
    pub delivered: Option<Timestamp>,
    /// t4: opened by a person at H.
    pub opened: Option<Timestamp>,
    /// t5: answered.
    pub answered: Option<Timestamp>,
    /// The answer confirmed into W's inbox.
    pub answer_sent: Option<Timestamp>,
    /// t6: read by a person at W.
    pub read: Option<Timestamp>,
    /// Taken back.
    pub withdrawn: Option<Timestamp>,
    /// W told that its file has ended.
    pub file_closed: Option<Timestamp>,
}

/// A rung that fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fired {
    /// What made it fire.
    pub trigger: Trigger,
    /// Which rung.
    pub rung: u8,
    /// Of which clock.
    pub clock_start: Timestamp,
    /// When the ledger row was written.
    pub at: Timestamp,
}

/// A request as its events made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// What was asked.
    pub opening: Opening,
    /// When W owes the citizen a result.
    pub file_due: Option<Deadline>,
    /// How far it is.
    pub state: State,
    /// When things happened.
    pub at: Instants,
    /// Who has it on the desk at H.
    pub handler: Option<HandlerId>,
    /// H's clock, once it runs.
    pub clock: Option<(ClockCause, ReplyClock)>,
    /// The final answer: its code, whether it was late, the digest of the whole.
    pub answer: Option<(AnswerCode, bool, [u8; 32])>,
    /// How and when W's file ended.
    pub file_closed: Option<(FileForm, Date)>,
    /// The rungs that fired, in order.
    pub fired: Vec<Fired>,
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
    /// Builds a request from its first event; any other event makes none.
    pub fn from_first(id: RequestId, at: Timestamp, event: &Event) -> Option<Self> {
        let Event::Submitted { opening, file_due } = event else { return None };
        Some(Self {
            id,
            opening: opening.clone(),
            file_due: file_due.clone(),
            state: State::Submitted,
            at: Instants { submitted: at, ..Instants::default() },
            handler: None,
            clock: None,
            answer: None,
            file_closed: None,
            fired: Vec::new(),
        })
    }

    /// Builds a request from all its events; none when they do not begin with a submit.
    pub fn replay<'a>(id: RequestId, events: impl IntoIterator<Item = (Timestamp, &'a Event)>) -> Option<Self> {
        let mut events = events.into_iter();
        let (at, first) = events.next()?;
        let mut request = Self::from_first(id, at, first)?;
        for (at, event) in events {
            request.apply(at, event);
        }
        Some(request)
    }

    /// Takes in one event.
    pub fn apply(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::Submitted { .. } => {}
            Event::Sent => {
                self.at.sent.get_or_insert(at);
                self.advance(State::Sent);
            }
            Event::Delivered { .. } => {
                self.at.delivered.get_or_insert(at);
                self.advance(State::Delivered);
            }
            Event::ClockStarted { cause, clock } => {
                self.clock.get_or_insert_with(|| (*cause, clock.clone()));
            }
            Event::Opened { handler, .. } => {
                self.at.opened.get_or_insert(at);
                if handler.is_some() {
                    self.handler.clone_from(handler);
                }
                self.advance(State::Opened);
            }
            Event::RungFired { trigger, rung, clock_start, .. } => {
                self.fired.push(Fired { trigger: *trigger, rung: *rung, clock_start: *clock_start, at });
            }
            Event::Answered { code, late, digest, .. } => {
                self.at.answered.get_or_insert(at);
                self.answer.get_or_insert((*code, *late, *digest));
                self.advance(State::Answered);
            }
            Event::AnswerSent => {
                self.at.answer_sent.get_or_insert(at);
            }
            Event::Read => {
                self.at.read.get_or_insert(at);
                self.advance(State::Read);
            }
            Event::Withdrawn { .. } => {
                self.at.withdrawn.get_or_insert(at);
                self.advance(State::Withdrawn);
            }
            Event::Recounted { file_due, reply, .. } => {
                if file_due.is_some() {
                    self.file_due.clone_from(file_due);
                }
                if let (Some((_, clock)), Some(dues)) = (&mut self.clock, reply) {
                    (clock.accept, clock.answer) = (dues.accept.clone(), dues.answer.clone());
                }
            }
            Event::FileClosed { form, on } => {
                self.at.file_closed.get_or_insert(at);
                self.file_closed.get_or_insert((*form, *on));
            }
        }
    }

    fn advance(&mut self, to: State) {
        self.state = self.state.max(to);
    }

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
