//! Which message is this: the `type` property, and the routing key that belongs to it.

use xacminh_domain::request::Lane;

/// The messages an office may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandType {
    /// W asks.
    RequestSubmit,
    /// W takes a request back.
    RequestWithdraw,
    /// H's system stored a request.
    RequestReceived,
    /// A person at H opened it.
    RequestOpened,
    /// H answers.
    AnswerGive,
    /// A person at W read the answer.
    AnswerRead,
    /// W's file has ended.
    FileClose,
    /// An office lists what it has of a day.
    ReconcileReport,
}

/// Why a `type` property names no message of this version of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeError {
    /// No such message.
    Unknown,
    /// The message is known, this version of it is not.
    Version,
}

impl CommandType {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::RequestSubmit,
        Self::RequestWithdraw,
        Self::RequestReceived,
        Self::RequestOpened,
        Self::AnswerGive,
        Self::AnswerRead,
        Self::FileClose,
        Self::ReconcileReport,
    ];

    /// The short name: `request.submit` and so on.
    pub fn short(self) -> &'static str {
        match self {
            Self::RequestSubmit => "request.submit",
            Self::RequestWithdraw => "request.withdraw",
            Self::RequestReceived => "request.received",
            Self::RequestOpened => "request.opened",
            Self::AnswerGive => "answer.give",
            Self::AnswerRead => "answer.read",
            Self::FileClose => "file.close",
            Self::ReconcileReport => "reconcile.report",
        }
    }

    /// The `type` property: `xacminh.request.submit.v1` and so on.
    pub fn wire(self) -> String {
        format!("xacminh.{}.v1", self.short())
    }

    /// Reads a `type` property.
    pub fn parse(text: &str) -> Result<Self, TypeError> {
        let (name, version) =
            text.strip_prefix("xacminh.").and_then(|rest| rest.rsplit_once(".v")).ok_or(TypeError::Unknown)?;
        let known = Self::ALL.into_iter().find(|t| t.short() == name).ok_or(TypeError::Unknown)?;
        if version == "1" { Ok(known) } else { Err(TypeError::Version) }
    }

    /// The routing keys this message may come with. What a ward says of a request shares its
    /// lane's queue, so that a withdrawal or the end of a file cannot overtake the submit.
    pub fn routing_keys(self) -> &'static [&'static str] {
        match self {
            Self::RequestSubmit => &["submit.urgent", "submit.normal", "submit.bulk"],
            Self::RequestWithdraw => &["withdraw.urgent", "withdraw.normal", "withdraw.bulk"],
            Self::RequestReceived => &["request.received"],
            Self::RequestOpened => &["request.opened"],
            Self::AnswerGive => &["answer.give"],
            Self::AnswerRead => &["answer.read"],
            Self::FileClose => &["close.urgent", "close.normal", "close.bulk"],
            Self::ReconcileReport => &["reconcile.report"],
        }
    }

    /// The routing key to send with.
    pub fn routing_key(self, lane: Lane) -> &'static str {
        let keys = self.routing_keys();
        match lane {
            Lane::Urgent => keys[0],
            Lane::Normal => keys.get(1).unwrap_or(&keys[0]),
            Lane::Bulk => keys.get(2).unwrap_or(&keys[0]),
        }
    }
}

/// The `type` of a receipt.
pub const RECEIPT: &str = "xacminh.receipt.v1";
/// The `type` of a request on its way to the home office.
pub const REQUEST_DELIVER: &str = "xacminh.request.deliver.v1";
/// The `type` of an answer on its way to the ward.
pub const ANSWER_DELIVER: &str = "xacminh.answer.deliver.v1";
/// The `type` of a notice.
pub const NOTICE: &str = "xacminh.notice.v1";
/// The `type` of what a report of a day gets back.
pub const RECONCILE_RESULT: &str = "xacminh.reconcile.result.v1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_names_a_message_and_its_version() {
        for known in CommandType::ALL {
            assert_eq!(CommandType::parse(&known.wire()), Ok(known));
        }
        assert_eq!(CommandType::parse("xacminh.request.submit.v2"), Err(TypeError::Version));
        for unknown in ["", "request.submit", "xacminh.request.forward.v1", "xacminh.request.submit"] {
            assert_eq!(CommandType::parse(unknown), Err(TypeError::Unknown), "{unknown}");
        }
    }
}
