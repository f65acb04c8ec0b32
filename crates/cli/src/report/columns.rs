//! The columns of each table: their names for programs, and their two headings.

use super::model::Column;

const SUBMITTED: Column = Column::new("submitted", "gửi", "sent in");
pub(super) const REQUESTS: [Column; 8] = [
    SUBMITTED,
    Column::new("in_time", "đúng hạn", "in time"),
    Column::new("late", "trễ", "late"),
    Column::new("withdrawn", "rút lại", "withdrawn"),
    Column::new("open", "chưa đến hạn", "not yet due"),
    Column::new("overdue", "quá hạn", "overdue"),
    Column::new("in_time_share", "tỷ lệ", "in time %"),
    Column::new("under_30s", "dưới 30 s", "under 30 s"),
];
pub(super) const FILES: [Column; 7] = [
    Column::new("file_in_time", "đúng hẹn", "in time"),
    Column::new("file_late", "trễ hẹn", "late"),
    Column::new("file_overdue", "quá hẹn", "overdue"),
    Column::new("file_running", "chưa đến hẹn", "not yet due"),
    Column::new("file_not_told", "chưa báo", "not told"),
    Column::new("file_no_limit", "không hạn", "no limit"),
    Column::new("file_in_time_share", "tỷ lệ", "in time %"),
];
pub(super) const SEGMENTS: [Column; 5] = [
    Column::new("count", "số", "count"),
    Column::new("median", "trung vị", "median"),
    Column::new("p90", "90 %", "p90"),
    Column::new("median_working", "trung vị, giờ làm việc", "median, office hours"),
    Column::new("p90_working", "90 %, giờ làm việc", "p90, office hours"),
];
pub(super) const IN_HAND: [Column; 5] = [
    Column::new("count", "số", "count"),
    Column::new("overdue", "quá hạn", "overdue"),
    Column::new("late", "chậm", "late"),
    Column::new("oldest_age", "lâu nhất", "oldest age"),
    Column::new("median_age", "trung vị", "median age"),
];
/// A group's columns in hand: the states put together.
pub(super) const IN_HAND_BY: [Column; 12] = [
    Column::new("count", "đang giữ", "in hand"),
    Column::new("open", "chưa trả lời", "unanswered"),
    Column::new("overdue", "quá hạn", "overdue"),
    Column::new("unread", "chưa đọc", "unread"),
    Column::new("late", "chậm", "late"),
    Column::new("oldest_age", "lâu nhất", "oldest age"),
    Column::new("late_not_sent", "", "").wide(),
    Column::new("late_not_connected", "", "").wide(),
    Column::new("late_not_confirmed", "", "").wide(),
    Column::new("late_not_opened", "", "").wide(),
    Column::new("late_not_answered", "", "").wide(),
    Column::new("late_not_read", "", "").wide(),
];
pub(super) const LATE: [Column; 2] =
    [Column::new("count", "số", "count"), Column::new("oldest_age", "lâu nhất", "oldest age")];
pub(super) const HELD: [Column; 2] = [Column::new("time", "thời gian", "time"), Column::new("share", "phần", "share")];
pub(super) const HELD_BY: [Column; 6] = [
    Column::new("time", "tổng thời gian", "time in all"),
    Column::new("requester_share", "nơi hỏi", "asking"),
    Column::new("broker_share", "hệ thống", "broker"),
    Column::new("transport_share", "đường truyền", "line"),
    Column::new("responder_system_share", "máy nơi trả lời", "home's system"),
    Column::new("responder_share", "nơi trả lời", "home"),
];
pub(super) const SEGMENTS_BY: [Column; 12] = [
    Column::new("ask_median", "", "").wide(),
    Column::new("ask_p90", "", "").wide(),
    Column::new("send_median", "", "").wide(),
    Column::new("send_p90", "", "").wide(),
    Column::new("transport_median", "đến máy", "delivered"),
    Column::new("transport_p90", "90 %", "p90"),
    Column::new("unopened_median", "được mở", "opened"),
    Column::new("unopened_p90", "90 %", "p90"),
    Column::new("work_median", "trả lời", "answered"),
    Column::new("work_p90", "90 %", "p90"),
    Column::new("unread_median", "được đọc", "read"),
    Column::new("unread_p90", "90 %", "p90"),
];
pub(super) const REFUSALS: [Column; 1] = [Column::new("count", "số", "count")];
pub(super) const OUTAGES: [Column; 3] =
    [Column::new("from", "từ", "from"), Column::new("to", "đến", "to"), Column::new("length", "dài", "length")];
pub(super) const OFFICES: [Column; 11] = [
    Column::new("province", "tỉnh", "prov."),
    Column::new("next_due_on", "hạn tới", "next due"),
    Column::new("open", "chưa trả lời", "open"),
    Column::new("overdue", "quá hạn", "overdue"),
    Column::new("oldest_age", "lâu nhất", "oldest"),
    Column::new("unread", "chưa đọc", "unread"),
    Column::new("asked", "được hỏi", "asked"),
    Column::new("answered", "đã trả lời", "answered").wide(),
    Column::new("submitted", "gửi", "sent in").wide(),
    Column::new("median_answer", "trả lời sau", "median answer"),
    Column::new("why", "vì sao chậm", "why late").wide(),
];
