//! What happened to a request. Events are all there is: a request is what its events make it.

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Lane, LaneReason, Lookup, Purpose, Question, RequestKind};
use crate::answer::AnswerCode;
use crate::deadline::{Deadline, ReplyClock};
use crate::escalation::Trigger;
use crate::id::{HandlerId, OfficeId};
use crate::unit::UnitCode;

/// What a submit settles once and for all. Of the person only a keyed digest is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// W, which asks.
    pub requester: OfficeId,
    /// H, which is asked: today's office of the home unit.
    pub responder: OfficeId,
    /// Today's unit of the home.
    pub home: UnitCode,
    /// What is asked.
    pub kind: RequestKind,
    /// How it travels.
    pub lane: Lane,
    /// Needed for the urgent lane.
    pub lane_reason: Option<LaneReason>,
    /// For what the data are used.
    pub purpose: Purpose,
    /// Whether W could look in the databases first.
    pub lookup: Lookup,
    /// W's file code (mã hồ sơ).
    pub case_code: String,
    /// The day of the receipt slip (CT04): day 0 of the file clock.
    pub received_on: Date,
    /// The instant of the receipt by W's clock, where W gave it.
    pub received_at: Option<Timestamp>,
    /// The appointment on the receipt slip.
    pub promised_on: Option<Date>,
    /// The closed questions.
    pub questions: Vec<Question>,
    /// Keyed digest of the person's data.
    pub person_digest: [u8; 32],
}

/// Why the reply clock runs (handbook §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockCause {
    /// H's system stored the request.
    Delivered,
    /// Nobody reads H's inbox.
    NotConnected,
    /// Somebody reads H's inbox but nothing confirms.
    NotConfirmed,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// W asked.
    Submitted {
        /// What was asked.
        opening: Opening,
        /// When W owes the citizen a result; none where neither law nor appointment says.
        file_due: Option<Deadline>,
    },
    /// The broker holds RabbitMQ's confirm for H's inbox.
    Sent,
    /// H's system stored it.
    Delivered {
        /// Not said, but implied by something that needs it.
        implied: bool,
    },
    /// H's clock started.
    ClockStarted {
        /// Why.
        cause: ClockCause,
        /// From when to when.
        clock: ReplyClock,
    },
    /// A person at H opened it (tiếp nhận).
    Opened {
        /// Who, as H's own opaque id.
        handler: Option<HandlerId>,
        /// Not said, but implied by the answer.
        implied: bool,
    },
    /// A rung of the ladder fired.
    RungFired {
        /// What made it fire.
        trigger: Trigger,
        /// Which rung.
        rung: u8,
        /// Of which clock: with trigger and rung the key of "once".
        clock_start: Timestamp,
        /// When it was due to fire.
        due_at: Timestamp,
        /// Whom it presses or tells; none for an operator's matter.
        target: Option<OfficeId>,
    },
    /// H answered.
    Answered {
        /// With what.
        code: AnswerCode,
        /// At or after the answer due.
        late: bool,
        /// Keyed digest of the whole answer.
        digest: [u8; 32],
        /// H's own opaque id of who answered.
        answered_by: HandlerId,
    },
    /// The broker holds RabbitMQ's confirm for W's inbox.
    AnswerSent,
    /// W read the answer.
    Read,
    /// W took the request back.
    Withdrawn {
        /// Why.
        reason: WithdrawReason,
    },
    /// The working calendar changed, and due dates were counted anew from the same starts. Those of before
    /// stand in the events before; an answer that was given keeps its verdict.
    Recounted {
        /// When W owes the citizen a result; none: as before.
        file_due: Option<Deadline>,
        /// By when somebody at H must have opened it, and by when it must be answered; none: as before.
        reply: Option<ReplyDues>,
        /// The rungs that had fired and by these dates are not due yet. They stay fired.
        undue: Vec<Undue>,
    },
    /// W told that the file has ended: the file clock stands still.
    FileClosed {
        /// With which form.
        form: FileForm,
        /// On which day.
        on: Date,
    },
}

/// The two due dates of H's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyDues {
    /// By when somebody must have opened the request.
    pub accept: Deadline,
    /// By when it must be answered.
    pub answer: Deadline,
}

/// A rung that fired before the date that holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Undue {
    /// What made it fire.
    pub trigger: Trigger,
    /// Which rung.
    pub rung: u8,
    /// Its notice had not left and was taken back now. Else it had left, or there was none any more.
    pub cancelled: bool,
}

/// The form that ends a citizen's file (handbook §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileForm {
    /// CT08: the result.
    Ct08,
    /// CT06: the file is refused.
    Ct06,
}

/// Why a request is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WithdrawReason {
    /// The citizen took the file back.
    FileWithdrawn,
    /// The databases now say what was asked.
    NoLongerNeeded,
    /// It should never have been sent as it was.
    Mistake,
    /// The file was refused (CT06).
    FileRefused,
}
