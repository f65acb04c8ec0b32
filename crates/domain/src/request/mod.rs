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

mod decide;
mod duplicate;
mod event;
mod kind;
mod open;

pub use decide::{Command, Counting, Denied};
pub use duplicate::{Matter, near_duplicates};
pub use event::{ClockCause, Event, FileForm, Opening, ReplyDues, Undue, WithdrawReason};
pub use kind::{Lane, LaneReason, Lookup, Purpose, Question, RequestKind};
pub use open::{OpenContext, OpenWarning, Opened, open};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::answer::AnswerCode;
use crate::deadline::{Deadline, ReplyClock};
use crate::escalation::Trigger;
use crate::id::{HandlerId, RequestId};

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
}
