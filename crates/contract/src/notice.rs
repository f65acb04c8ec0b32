//! What offices are told without having asked: reminders, escalations, withdrawals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::{Day, Handler, Office, ReqId};

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// A request was not accepted (opened) in time: to the head of H.
    AcceptOverdue,
    /// The answer is due today: to the handler and the deputy of H.
    AnswerDueToday,
    /// An office is silent beyond its due: to the office above, one an office.
    OfficeSilent,
    /// The file's due has passed without an answer: to W.
    FileOverdue,
    /// W took the request back: to H.
    Withdrawn,
    /// An answer lies unread: to W, then to W's head.
    AnswerUnread,
    /// The file's due has passed with the answer in hand: to W's head.
    FileOverdueAnswered,
    /// The broker was restored from a backup: send again what you sent in the last days.
    Restored,
}

impl Topic {
    /// All topics.
    pub const ALL: [Self; 8] = [
        Self::AcceptOverdue,
        Self::AnswerDueToday,
        Self::OfficeSilent,
        Self::FileOverdue,
        Self::Withdrawn,
        Self::AnswerUnread,
        Self::FileOverdueAnswered,
        Self::Restored,
    ];

    /// The word on the wire and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AcceptOverdue => "accept_overdue",
            Self::AnswerDueToday => "answer_due_today",
            Self::OfficeSilent => "office_silent",
            Self::FileOverdue => "file_overdue",
            Self::Withdrawn => "withdrawn",
            Self::AnswerUnread => "answer_unread",
            Self::FileOverdueAnswered => "file_overdue_answered",
            Self::Restored => "restored",
        }
    }
}

/// For whom at the office.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum For {
    /// Who has the request on the desk.
    Handler,
    /// The deputy.
    Deputy,
    /// The head.
    Head,
}

impl For {
    /// The word on the wire and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Deputy => "deputy",
            Self::Head => "head",
        }
    }
}

/// Why an office is silent, as far as the broker can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Still with the broker.
    NotSent,
    /// Nobody reads the inbox.
    NotConnected,
    /// The inbox is read but nothing is confirmed.
    NotConfirmed,
    /// Stored, and opened by nobody.
    NotOpened,
    /// Opened, and not answered.
    NotAnswered,
    /// Answered, and not read by W.
    NotRead,
}

impl Why {
    /// All of them, in the order of a request's way.
    pub const ALL: [Self; 6] =
        [Self::NotSent, Self::NotConnected, Self::NotConfirmed, Self::NotOpened, Self::NotAnswered, Self::NotRead];

    /// The word on the wire and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::NotConnected => "not_connected",
            Self::NotConfirmed => "not_confirmed",
            Self::NotOpened => "not_opened",
            Self::NotAnswered => "not_answered",
            Self::NotRead => "not_read",
        }
    }

    /// The words a supervisor reads.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotSent => "chưa gửi đi được",
            Self::NotConnected => "máy của đơn vị chưa kết nối",
            Self::NotConfirmed => "máy của đơn vị chưa xác nhận đã nhận",
            Self::NotOpened => "chưa có cán bộ mở",
            Self::NotAnswered => "đã mở, chưa trả lời",
            Self::NotRead => "đã trả lời, nơi hỏi chưa đọc",
        }
    }
}

/// One line of a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// What it is about.
    pub topic: Topic,
    /// For whom at the office.
    #[serde(rename = "for")]
    pub for_whom: For,
    /// Who has it on the desk, when it is for the handler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<Handler>,
    /// The request; absent in notices about an office.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<ReqId>,
    /// W's file code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_code: Option<String>,
    /// The last day of what was or is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_on: Option<Day>,
    /// The silent office.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office: Option<Office>,
    /// The silent office's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office_name: Option<String>,
    /// The number to call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// How many requests wait there beyond their due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The day the oldest of them was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_due_on: Option<Day>,
    /// Why, most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<Why>,
    /// What to do, in words.
    pub sentence: String,
    /// The same in English.
    pub sentence_en: String,
}

/// `notice`: a digest of one or more lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// At least one.
    #[schemars(length(min = 1))]
    pub items: Vec<Item>,
}
