//! The words of a report beside those that other pages have too, and what each figure means.

use xacminh_store::view::report::Cut;

use super::model::Definition;
pub(crate) use crate::words::{holder, of, why};

/// By what a table is cut, in both languages.
pub(crate) fn cut(cut: Cut) -> (&'static str, &'static str) {
    match cut {
        Cut::Nation => ("cả nước", "nation"),
        Cut::Province => ("theo tỉnh của nơi trả lời", "by the home's province"),
        Cut::UnitType => ("theo loại đơn vị", "by unit type"),
        Cut::Purpose => ("theo mục đích", "by purpose"),
        Cut::Kind => ("theo loại việc", "by kind"),
    }
}

/// A province without the word that all of them have.
pub(crate) fn short(name: &str) -> String {
    ["Thành phố ", "Tỉnh "].iter().find_map(|word| name.strip_prefix(word)).unwrap_or(name).to_owned()
}

/// An office without the words that all of them have.
pub(crate) fn short_office(name: &str) -> String {
    let whole = name
        .replace("Phòng Cảnh sát quản lý hành chính về trật tự xã hội Công an ", "PC06 ")
        .replace("Cục Cảnh sát quản lý hành chính về trật tự xã hội", "C06");
    let Some(rest) = whole.strip_prefix("Công an ") else { return whole };
    let mut letters = rest.chars();
    letters.next().map_or_else(|| whole.clone(), |first| first.to_uppercase().chain(letters).collect())
}

/// What the figures mean. `docs/REPORTS.md` says the same at more length.
pub(crate) const DEFINITIONS: [Definition; 14] = [
    Definition {
        vi: "gửi",
        en: "sent in",
        means_vi: "yêu cầu được nhận vào trong các ngày của kỳ; tình trạng là lúc lập báo cáo.",
        means_en: "requests accepted on the days of the report; how they stand is as of its making.",
    },
    Definition {
        vi: "đúng hạn / trễ",
        en: "in time / late",
        means_vi: "trả lời trước / từ lúc hết hạn trả lời (24 giờ ngày cuối, theo lịch của nơi trả lời).",
        means_en: "answered before / at or after the answer due (24:00 of its last day, the home's calendar).",
    },
    Definition {
        vi: "chưa đến hạn / quá hạn",
        en: "not yet due / overdue",
        means_vi: "chưa trả lời; hạn trả lời chưa qua hoặc chưa bắt đầu tính / đã qua.",
        means_en: "unanswered; the answer due not past, or its clock not yet running / past.",
    },
    Definition {
        vi: "tỷ lệ",
        en: "in time %",
        means_vi: "đúng hạn / (đúng hạn + trễ + quá hạn). Không dùng để xếp hạng đơn vị.",
        means_en: "in time / (in time + late + overdue). Offices are never ranked by it.",
    },
    Definition {
        vi: "dưới 30 s",
        en: "under 30 s",
        means_vi: "trả lời trong vòng 30 giây sau khi mở; chỉ đếm để xem chất lượng.",
        means_en: "answered within 30 s after an officer opened it; counted for quality, nothing more.",
    },
    Definition {
        vi: "hồ sơ: đúng hẹn / trễ hẹn / quá hẹn / chưa báo",
        en: "files: in time / late / overdue / not told",
        means_vi: "hồ sơ kết thúc (CT08, CT06) đến hết / sau ngày hẹn; chưa kết thúc và quá hẹn; đã đọc trả lời nhưng không báo kết thúc.",
        means_en: "ended (CT08, CT06) by / after its due; not ended and past it; answer read, but its end never told.",
    },
    Definition {
        vi: "trung vị, 90 %",
        en: "median, p90",
        means_vi: "một nửa, chín phần mười số yêu cầu đã qua chặng đó không lâu hơn.",
        means_en: "half, nine tenths of the requests that passed the segment took no longer.",
    },
    Definition {
        vi: "giờ làm việc",
        en: "office hours",
        means_vi: "chỉ tính giờ hành chính, theo lịch chung của cả nước.",
        means_en: "only time within office hours, by the nation's calendar.",
    },
    Definition {
        vi: "ai giữ",
        en: "who held them",
        means_vi: "mỗi phút của một yêu cầu thuộc đúng một bên, theo đồng hồ của hệ thống; cộng lại bằng toàn bộ.",
        means_en: "each minute of a request has exactly one holder, by the broker's clock; the sum is the whole.",
    },
    Definition {
        vi: "đường truyền",
        en: "line",
        means_vi: "thời gian của máy nơi trả lời trùng với lúc RabbitMQ mất kết nối.",
        means_en: "what would be the home system's time, while an outage of RabbitMQ is on record.",
    },
    Definition {
        vi: "đang giữ",
        en: "in hand",
        means_vi: "mọi yêu cầu chưa xong, gửi ngày nào cũng tính; tuổi tính từ lúc gửi. Chưa đọc thì thuộc tỉnh của nơi hỏi.",
        means_en: "all that is not finished, whenever sent in; ages since the submit. What is unread counts for the asking office's province.",
    },
    Definition {
        vi: "chậm",
        en: "late",
        means_vi: "chưa đi sau 1 phút; máy chưa xác nhận đúng hạn; chưa mở, chưa trả lời sau hạn; trả lời chưa đọc từ trước ngày làm việc gần nhất.",
        means_en: "not sent for a minute; not confirmed in time; not opened or answered by its due; an answer unread since before the latest working day.",
    },
    Definition {
        vi: "hạn tới",
        en: "next due",
        means_vi: "ngày sớm nhất mà đơn vị phải làm bước tiếp theo (mở, trả lời; với trả lời chưa đọc: ngày hẹn của hồ sơ).",
        means_en: "the earliest day by which the office owes its next step (open, answer; of an unread answer: the file's due).",
    },
    Definition {
        vi: "mất kết nối",
        en: "outages",
        means_vi: "chỉ ghi nhận, không dừng đồng hồ nào; chỉ RabbitMQ làm thay đổi bên giữ.",
        means_en: "on record; they pause no clock, and only RabbitMQ's change who held a request.",
    },
];

/// What a report says of days whose requests have left.
pub(crate) const LEFT: &str = "một số yêu cầu của những ngày này đã vào kho lưu trữ, không có trong báo cáo \
    (some requests of these days have left for the archive and are not in this report)";

/// What stands where a figure is withheld.
pub(crate) const WITHHELD: Definition = Definition {
    vi: "·",
    en: "withheld",
    means_vi: "số dưới 5, hoặc số có thể dùng để tính ra số dưới 5, không công bố.",
    means_en: "counts under 5, and counts from which such a one could be worked out, are not published.",
};
