//! The bytes of the ledger: one event, canonically, with who caused it.
//!
//! The bytes are hashed and kept for ever, so a field is only ever added, as an option that is
//! left out when empty. Persons appear as a keyed digest and in no other way.

use serde::{Deserialize, Serialize};
use xacminh_domain::calendar::CalendarVersion;
use xacminh_domain::deadline::{Deadline, ReplyClock};
use xacminh_domain::escalation::Trigger as DomainTrigger;
use xacminh_domain::request::{ClockCause as DomainCause, Event, Opening, ReplyDues, Undue as DomainUndue};

use crate::answer::Code;
use crate::request::{FileForm, Kind, Lane, LaneReason, Lookup, Purpose, Question, WithdrawReason};
use crate::trace::TraceId;
use crate::values::{Day, Handler, Instant, MsgId, Office, Unit, wire_enum};

wire_enum!(
    /// Why H's clock runs.
    ClockCause = DomainCause {
        /// H's system stored the request.
        Delivered = "delivered",
        /// Nobody reads the inbox.
        NotConnected = "not_connected",
        /// The inbox is read but nothing is confirmed.
        NotConfirmed = "not_confirmed",
    }
);
wire_enum!(
    /// What makes a rung fire.
    Trigger = DomainTrigger {
        /// Not confirmed in time.
        NotReceived = "not_received",
        /// Accept due passed.
        AcceptDue = "accept_due",
        /// Morning of the answer due day.
        AnswerDueDay = "answer_due_day",
        /// Answer due passed.
        AnswerDue = "answer_due",
        /// File due passed without an answer.
        FileDue = "file_due",
        /// The answer lies unread at W.
        AnswerUnread = "answer_unread",
        /// File due passed with the answer in hand.
        FileDueAnswered = "file_due_answered",
    }
);

/// A deadline, with the calendar it was counted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// The last day.
    pub on: Day,
    /// The first instant that is late.
    pub at: Instant,
    /// The version of the calendar.
    pub calendar: String,
}

impl From<&Deadline> for Due {
    fn from(due: &Deadline) -> Self {
        Self { on: due.on.into(), at: due.due_at.into(), calendar: due.calendar.to_string() }
    }
}

impl From<Due> for Deadline {
    fn from(due: Due) -> Self {
        Self { on: due.on.0, due_at: due.at.0, calendar: CalendarVersion::from(due.calendar) }
    }
}

/// A rung that had fired before the date that holds now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undue {
    /// What made it fire.
    pub trigger: Trigger,
    /// Which rung.
    pub rung: u8,
    /// Its notice had not left and was taken back now. Else it had left, or there was none any more.
    pub cancelled: bool,
}

/// An event, as the ledger spells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields mirror xacminh_domain::request::Event, which documents them")]
pub enum Entry {
    /// W asked.
    Submitted {
        requester: Office,
        responder: Office,
        home: Unit,
        kind: Kind,
        lane: Lane,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lane_reason: Option<LaneReason>,
        purpose: Purpose,
        lookup: Lookup,
        case_code: String,
        received_on: Day,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        received_at: Option<Instant>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        promised_on: Option<Day>,
        questions: Vec<Question>,
        person_digest: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_due: Option<Due>,
    },
    /// In H's inbox.
    Sent,
    /// Stored by H's system.
    Delivered {
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        implied: bool,
    },
    /// H's clock started.
    ClockStarted { cause: ClockCause, started_at: Instant, accept: Due, answer: Due },
    /// On a desk at H.
    Opened {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handler: Option<Handler>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        implied: bool,
    },
    /// A rung fired.
    RungFired {
        trigger: Trigger,
        rung: u8,
        clock_start: Instant,
        due_at: Instant,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Office>,
    },
    /// Answered.
    Answered { code: Code, late: bool, digest: String, answered_by: Handler },
    /// The answer is in W's inbox.
    AnswerSent,
    /// Read at W.
    Read,
    /// Taken back.
    Withdrawn { reason: WithdrawReason },
    /// Due dates counted anew; the two of H's clock come together.
    Recounted {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_due: Option<Due>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accept: Option<Due>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Due>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        undue: Vec<Undue>,
    },
    /// W's file has ended.
    FileClosed { form: FileForm, on: Day },
}

/// One row of the ledger: an event and who caused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The version of these bytes.
    pub v: u8,
    /// The office whose command caused it; none for the broker's own acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Office>,
    /// The command's message-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MsgId>,
    /// The sender's clock (`xm-time`), which may be off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_at: Option<Instant>,
    /// Of a submit: the trace that its ward sent. Of others: theirs, where it is another. None where
    /// it is the trace that the submit began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
    /// Of a submit: the refused one that it made whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resubmits: Option<MsgId>,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

impl Body {
    /// An event that the broker itself caused.
    pub fn of(event: &Event) -> Self {
        Self { v: 1, by: None, message_id: None, client_at: None, trace: None, resubmits: None, entry: event.into() }
    }

    /// The canonical bytes: fields in the order above, no spaces.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Plain structs of strings, numbers and flags always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the bytes of a ledger row.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

impl From<&Event> for Entry {
    fn from(event: &Event) -> Self {
        match event {
            Event::Submitted { opening: o, file_due } => Self::Submitted {
                requester: o.requester.into(),
                responder: o.responder.into(),
                home: o.home.into(),
                kind: o.kind.into(),
                lane: o.lane.into(),
                lane_reason: o.lane_reason.map(Into::into),
                purpose: o.purpose.into(),
                lookup: o.lookup.into(),
                case_code: o.case_code.clone(),
                received_on: o.received_on.into(),
                received_at: o.received_at.map(Into::into),
                promised_on: o.promised_on.map(Into::into),
                questions: o.questions.iter().map(|q| (*q).into()).collect(),
                person_digest: hex(&o.person_digest),
                file_due: file_due.as_ref().map(Into::into),
            },
            Event::Sent => Self::Sent,
            Event::Delivered { implied } => Self::Delivered { implied: *implied },
            Event::ClockStarted { cause, clock } => Self::ClockStarted {
                cause: (*cause).into(),
                started_at: clock.started_at.into(),
                accept: (&clock.accept).into(),
                answer: (&clock.answer).into(),
            },
            Event::Opened { handler, implied } => {
                Self::Opened { handler: handler.clone().map(Into::into), implied: *implied }
            }
            Event::RungFired { trigger, rung, clock_start, due_at, target } => Self::RungFired {
                trigger: (*trigger).into(),
                rung: *rung,
                clock_start: (*clock_start).into(),
                due_at: (*due_at).into(),
                target: target.map(Into::into),
            },
            Event::Answered { code, late, digest, answered_by } => Self::Answered {
                code: (*code).into(),
                late: *late,
                digest: hex(digest),
                answered_by: answered_by.clone().into(),
            },
            Event::AnswerSent => Self::AnswerSent,
            Event::Read => Self::Read,
            Event::Withdrawn { reason } => Self::Withdrawn { reason: (*reason).into() },
            Event::Recounted { file_due, reply, undue } => Self::Recounted {
                file_due: file_due.as_ref().map(Into::into),
                accept: reply.as_ref().map(|dues| (&dues.accept).into()),
                answer: reply.as_ref().map(|dues| (&dues.answer).into()),
                undue: undue
                    .iter()
                    .map(|u| Undue { trigger: u.trigger.into(), rung: u.rung, cancelled: u.cancelled })
                    .collect(),
            },
            Event::FileClosed { form, on } => Self::FileClosed { form: (*form).into(), on: (*on).into() },
        }
    }
}

impl From<Entry> for Event {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Submitted {
                requester,
                responder,
                home,
                kind,
                lane,
                lane_reason,
                purpose,
                lookup,
                case_code,
                received_on,
                received_at,
                promised_on,
                questions,
                person_digest,
                file_due,
            } => Self::Submitted {
                opening: Opening {
                    requester: requester.0,
                    responder: responder.0,
                    home: home.0,
                    kind: kind.into(),
                    lane: lane.into(),
                    lane_reason: lane_reason.map(Into::into),
                    purpose: purpose.into(),
                    lookup: lookup.into(),
                    case_code,
                    received_on: received_on.0,
                    received_at: received_at.map(|at| at.0),
                    promised_on: promised_on.map(|on| on.0),
                    questions: questions.into_iter().map(Into::into).collect(),
                    person_digest: unhex(&person_digest),
                },
                file_due: file_due.map(Into::into),
            },
            Entry::Sent => Self::Sent,
            Entry::Delivered { implied } => Self::Delivered { implied },
            Entry::ClockStarted { cause, started_at, accept, answer } => Self::ClockStarted {
                cause: cause.into(),
                clock: ReplyClock { started_at: started_at.0, accept: accept.into(), answer: answer.into() },
            },
            Entry::Opened { handler, implied } => Self::Opened { handler: handler.map(|h| h.0), implied },
            Entry::RungFired { trigger, rung, clock_start, due_at, target } => Self::RungFired {
                trigger: trigger.into(),
                rung,
                clock_start: clock_start.0,
                due_at: due_at.0,
                target: target.map(|t| t.0),
            },
            Entry::Answered { code, late, digest, answered_by } => {
                Self::Answered { code: code.into(), late, digest: unhex(&digest), answered_by: answered_by.0 }
            }
            Entry::AnswerSent => Self::AnswerSent,
            Entry::Read => Self::Read,
            Entry::Withdrawn { reason } => Self::Withdrawn { reason: reason.into() },
            Entry::Recounted { file_due, accept, answer, undue } => Self::Recounted {
                file_due: file_due.map(Into::into),
                reply: accept
                    .zip(answer)
                    .map(|(accept, answer)| ReplyDues { accept: accept.into(), answer: answer.into() }),
                undue: undue
                    .into_iter()
                    .map(|u| DomainUndue { trigger: u.trigger.into(), rung: u.rung, cancelled: u.cancelled })
                    .collect(),
            },
            Entry::FileClosed { form, on } => Self::FileClosed { form: form.into(), on: on.0 },
        }
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(64), |mut out, b| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// A digest that is no hex of 32 bytes reads as zeros; the chain's hash has vouched for the bytes.
fn unhex(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = text.get(2 * i..2 * i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0);
    }
    out
}

#[cfg(test)]
mod tests {
    use xacminh_domain::calendar::end_of_day;

    use super::*;

    fn deadline(on: &str) -> Deadline {
        let on = on.parse().unwrap();
        Deadline { on, due_at: end_of_day(on), calendar: "2026-11-20.1".into() }
    }

    /// What is in somebody's ledger is read for ever: these very bytes, and made again the same.
    #[test]
    fn the_bytes_of_a_recount_are_what_they_were() {
        let due = |day: i8| {
            format!(r#"{{"on":"2026-11-{day}","at":"2026-11-{}T00:00:00+07:00","calendar":"2026-11-20.1"}}"#, day + 1)
        };
        let of_the_file = Event::Recounted { file_due: Some(deadline("2026-11-26")), reply: None, undue: vec![] };
        let of_the_clock = Event::Recounted {
            file_due: None,
            reply: Some(ReplyDues { accept: deadline("2026-11-23"), answer: deadline("2026-11-25") }),
            undue: vec![DomainUndue { trigger: DomainTrigger::AcceptDue, rung: 0, cancelled: true }],
        };
        for (event, bytes) in [
            (of_the_file, format!(r#"{{"v":1,"event":"recounted","file_due":{}}}"#, due(26))),
            (
                of_the_clock,
                format!(
                    r#"{{"v":1,"event":"recounted","accept":{},"answer":{},"undue":[{{"trigger":"accept_due","rung":0,"cancelled":true}}]}}"#,
                    due(23),
                    due(25)
                ),
            ),
        ] {
            assert_eq!(String::from_utf8(Body::of(&event).to_bytes()).unwrap(), bytes);
            assert_eq!(Event::from(Body::from_bytes(bytes.as_bytes()).unwrap().entry), event);
        }
    }
}
