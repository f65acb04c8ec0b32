//! What officers read on every page: Vietnamese first, and the word of the machine in brackets, by
//! which a page is searched.

use xacminh_contract::ledger::ClockCause;
use xacminh_contract::notice::Why;
use xacminh_domain::escalation::Trigger;
use xacminh_domain::lag::Holder;
use xacminh_domain::request::{Lane, RequestKind};

/// A word of the views, for people.
pub(crate) fn of(word: &str) -> &str {
    match word {
        "registration" => "Đăng ký cư trú (registration)",
        "data_update" => "Cập nhật dữ liệu (data update)",
        "correction" => "Điều chỉnh sai sót (correction)",
        "temp_residence" => "Đăng ký tạm trú",
        "temp_renewal" => "Gia hạn tạm trú",
        "perm_transfer" => "Đăng ký thường trú (chuyển đến)",
        "dwelling_status" => "Cập nhật trạng thái nơi ở",
        "residence_history" => "Xác minh quá trình cư trú",
        "no_residence" => "Khai báo thông tin cư trú",
        "data_correction" => "Điều chỉnh thông tin cư trú",
        "identity_conflict" => "Trùng, sai số định danh",
        "ask" => "Hồ sơ → gửi (ask)",
        "send" => "Gửi → hộp tin (send)",
        "transport" => "Hộp tin → máy nhận (transport)",
        "unopened" => "Máy nhận → mở (unopened)",
        "work" => "Mở → trả lời (work)",
        "unread" => "Trả lời → đọc (unread)",
        "submitted" => "Đã gửi, chưa đi (submitted)",
        "sent" => "Trong hộp tin (sent)",
        "delivered" => "Máy đã nhận (delivered)",
        "opened" => "Đã mở (opened)",
        "answered" => "Đã trả lời, chưa đọc (answered)",
        "read" => "Đã đọc trả lời (read)",
        "withdrawn" => "Đã rút lại (withdrawn)",
        "rabbitmq" => "RabbitMQ",
        "store" => "Cơ sở dữ liệu (store)",
        "inbox" => "Hộp tin không người đọc (inbox):",
        other => other,
    }
}

/// Who holds a request, for people.
pub(crate) fn holder(holder: Holder) -> &'static str {
    match holder {
        Holder::Requester => "Nơi hỏi (requester)",
        Holder::Broker => "Hệ thống chuyển tin (broker)",
        Holder::Transport => "Đường truyền (transport)",
        Holder::ResponderSystem => "Máy của nơi trả lời (home's system)",
        Holder::Responder => "Nơi trả lời (home)",
    }
}

/// Why something waits, for people.
pub(crate) fn why(why: Why) -> String {
    format!("{} ({})", why.words(), why.as_str())
}

/// What is asked, for people.
pub(crate) fn kind(kind: RequestKind) -> String {
    format!("{} ({})", of(kind.as_str()), kind.as_str())
}

/// In which lane, for people.
pub(crate) fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Urgent => "luồng khẩn (urgent)",
        Lane::Normal => "luồng thường (normal)",
        Lane::Bulk => "luồng hàng loạt (bulk)",
    }
}

/// Why the home's clock runs, for people.
pub(crate) fn clock_cause(cause: ClockCause) -> &'static str {
    match cause {
        ClockCause::Delivered => "máy của đơn vị đã nhận (delivered)",
        ClockCause::NotConnected => "máy của đơn vị chưa kết nối (not_connected)",
        ClockCause::NotConfirmed => "máy của đơn vị chưa xác nhận đã nhận (not_confirmed)",
    }
}

/// What ended a stretch of a request's way, for people.
pub(crate) fn until(word: &str) -> &str {
    match word {
        "submitted" => "đến khi gửi (until submitted)",
        "sent" => "đến khi vào hộp tin (until sent)",
        "delivered" => "đến khi máy nhận (until delivered)",
        "opened" => "đến khi mở (until opened)",
        "answered" => "đến khi trả lời (until answered)",
        "answer_sent" => "đến khi trả lời đi (until answer_sent)",
        "read" => "đến khi đọc (until read)",
        "withdrawn" => "đến khi rút lại (until withdrawn)",
        "open" => "đến nay (until now)",
        other => other,
    }
}

/// What makes a rung fire, for people.
pub(crate) fn trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::NotReceived => "máy chưa xác nhận đúng hạn (not_received)",
        Trigger::AcceptDue => "quá hạn tiếp nhận (accept_due)",
        Trigger::AnswerDueDay => "đến ngày hạn trả lời (answer_due_day)",
        Trigger::AnswerDue => "quá hạn trả lời (answer_due)",
        Trigger::FileDue => "quá hẹn trả kết quả (file_due)",
        Trigger::AnswerUnread => "trả lời chưa đọc (answer_unread)",
        Trigger::FileDueAnswered => "quá hẹn trả kết quả dù đã có trả lời (file_due_answered)",
    }
}

/// How high an escalation has climbed, for people.
pub(crate) fn rung(rung: impl std::fmt::Display) -> String {
    format!("bậc đôn đốc {rung} (rung {rung})")
}

/// The broker as whoever holds something, for people.
pub(crate) const BROKER: &str = "hệ thống chuyển tin (broker)";

#[cfg(test)]
mod tests {
    use xacminh_domain::request::State;

    use super::*;

    /// A page is searched, by people and scripts, for the words of tables and metrics.
    #[test]
    fn the_word_of_the_machine_stands_in_brackets() {
        for state in State::ALL {
            assert!(of(state.as_str()).ends_with(&format!("({})", state.as_str())), "{state:?}");
        }
        for word in ["submitted", "sent", "delivered", "opened", "answered", "answer_sent", "read", "withdrawn"] {
            assert!(until(word).ends_with(&format!("(until {word})")), "{word}");
        }
        for why_it_waits in Why::ALL {
            assert!(why(why_it_waits).ends_with(&format!("({})", why_it_waits.as_str())));
        }
    }
}
