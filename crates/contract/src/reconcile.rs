//! Reconciling a day: what an office has on its side, and in what the broker differs.
//!
//! The day of a message is the one in its id, so that both ends sort by the same rule, whatever
//! their clocks said when it came.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xacminh_domain::reconcile as domain;

use crate::answer::Code;
use crate::receipt::State;
use crate::values::{Day, Instant, MsgId, ReqId, wire_enum};

/// The most pages that a report may have.
pub const MOST_PAGES: u16 = 100;

wire_enum!(
    /// In what the two ends differ about a message.
    Difference = domain::Difference {
        /// You sent it, the broker never took it.
        NotTaken = "not_taken",
        /// The broker took it from you, you do not have it.
        NotSentByYou = "not_sent_by_you",
        /// The broker sent it to you, you do not have it.
        NotReceived = "not_received",
        /// You have it from the broker, the broker does not know it.
        UnknownToBroker = "unknown_to_broker",
    }
);
wire_enum!(
    /// What becomes of a difference.
    Healing = domain::Healing {
        /// Send it again: the same id, the same bytes.
        SendAgain = "send_again",
        /// The command's first receipt comes again.
        ReceiptAgain = "receipt_again",
        /// Nothing needs to be sent: this line says all that there is.
        Told = "told",
        /// It is sent to you again: the same id, the same bytes.
        SentAgain = "sent_again",
        /// It cannot be mended by sending; the broker's operator sees it.
        Alerted = "alerted",
    }
);

/// `reconcile.report`: what an office has on its side of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The day (in Vietnam) that stands in the ids; at most 14 days back, today at the latest.
    pub day: Day,
    /// When the lists were made. The same in all pages of a report.
    pub made_at: Instant,
    /// Which page this is, from 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = 100))]
    pub page: u16,
    /// How many pages the report has.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = 100))]
    pub pages: u16,
    /// The message-ids of your commands of that day, `reconcile.report` left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<MsgId>,
    /// The message-ids of the `request.deliver` and `answer.deliver` of that day that you have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub received: Vec<MsgId>,
}

fn one() -> u16 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks it so")]
fn is_one(n: &u16) -> bool {
    *n == 1
}

/// How many messages each end has, and how many both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// In your report.
    pub yours: u32,
    /// At the broker, what is still under way left out.
    pub ours: u32,
    /// At both.
    pub agreed: u32,
}

/// One message about which the ends differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Its message-id.
    pub message_id: MsgId,
    /// In what.
    pub difference: Difference,
    /// What becomes of it.
    pub healing: Healing,
    /// Its `type`, where the broker knows it.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "type")]
    pub message_type: Option<String>,
    /// The request it is about, where the broker knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<ReqId>,
    /// How far that request is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// How it was answered, when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Code>,
}

/// `reconcile.result`: in what a report and the broker differ. Without differences both ends agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reconciled {
    /// The day of the report.
    pub day: Day,
    /// When its lists were made.
    pub made_at: Instant,
    /// When the broker compared them.
    pub at: Instant,
    /// Which page this is, from 1.
    pub page: u16,
    /// How many pages the result has.
    pub pages: u16,
    /// Your commands.
    pub sent: Counts,
    /// What you were sent.
    pub received: Counts,
    /// The differences, some a page; all counts are those of the whole day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Line>,
}
