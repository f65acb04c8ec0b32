//! Why a command is refused, and what to change. One table: the wire, the tests and the table in
//! `docs/PROTOCOL.md` all come from here.

use xacminh_domain::Date;
use xacminh_domain::answer::AnswerDefect;
use xacminh_domain::person::PersonDefect;
use xacminh_domain::request::Denied;
use xacminh_domain::unit::SuccessionDetail;

use crate::receipt::{HomeCandidate, Refusal};
use crate::request::Home;

/// Among [`RefusalCode::pointers`]: any field.
pub const ANY_FIELD: &str = "*";

/// One row: when (the first line), code, where, what to change in Vietnamese and English, what the
/// sender's system does about it.
macro_rules! refusals {
    ($(#[doc = $when:literal] $variant:ident = $code:literal, [$($pointer:literal),+], $vi:literal, $en:literal, $todo:literal;)+) => {
        /// A reason to refuse. Every path of intake that refuses has one of these.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RefusalCode {
            $(#[doc = $when] $variant,)+
        }

        impl RefusalCode {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// When it is given.
            pub fn when(self) -> &'static str {
                match self { $(Self::$variant => $when.trim_ascii(),)+ }
            }

            /// Where it may point, the usual place first: JSON pointers, in which `*` stands for any
            /// place of a list, and alone for any field.
            pub fn pointers(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($pointer),+],)+ }
            }

            /// What to change, for a clerk.
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $vi,)+ }
            }

            /// The same in English.
            pub fn sentence_en(self) -> &'static str {
                match self { $(Self::$variant => $en,)+ }
            }

            /// What the sender's system does about it, for whoever writes it.
            pub fn what_to_do(self) -> &'static str {
                match self { $(Self::$variant => $todo,)+ }
            }
        }
    };
}

refusals! {
    /// The body is no JSON in UTF-8.
    BodyUnreadable = "body_unreadable", [""],
        "Không đọc được nội dung: hãy gửi lại dưới dạng JSON, mã UTF-8.",
        "The body cannot be read: send it again as JSON in UTF-8.",
        "The system's fault: mend how it writes JSON, send under a new id.";
    /// The body is longer than 64 KiB.
    BodyTooLarge = "body_too_large", [""],
        "Nội dung quá lớn: mỗi tin tối đa 64 KiB và không kèm tệp; hãy bỏ bớt rồi gửi lại.",
        "The body is too large: 64 KiB at most and no attachments; shorten it and send again.",
        "Have the clerk shorten `note` or the like; the system lets nobody attach anything.";
    /// The `type` property names no message.
    TypeUnknown = "type_unknown", [""],
        "Không có loại tin này: hãy ghi đúng một trong các loại tin ở phần chi tiết (thuộc tính type).",
        "There is no such message: set the type property to one of those in the detail.",
        "The system's fault: set `type` to one that `detail` names, send under a new id.";
    /// The message exists, this version of it does not.
    VersionUnknown = "version_unknown", [""],
        "Phiên bản của loại tin này chưa được hỗ trợ: hãy gửi theo phiên bản v1.",
        "This version of the message is not supported: send version v1.",
        "Send `v1`, under a new id; the operator says when another version is taken.";
    /// The routing key does not belong to the type or the lane.
    RoutingKeyWrong = "routing_key_wrong", ["", "/lane"],
        "Khóa định tuyến không khớp với loại tin hoặc luồng: hãy dùng khóa nêu ở phần chi tiết.",
        "The routing key does not fit the type or the lane: use the one named in the detail.",
        "The system's fault: send under a new id with a key that `detail` names.";
    /// The `message-id` property is missing or no UUIDv7.
    MessageIdMalformed = "message_id_malformed", [""],
        "Thiếu hoặc sai mã tin (message-id): hãy tạo mã UUID phiên bản 7 cho mỗi tin.",
        "The message-id is missing or wrong: make a UUID of version 7 for each message.",
        "The system's fault: make a UUID of version 7 for each message and send again.";
    /// The time in the id is more than 90 days back or a day ahead of the broker's.
    IdTimeOutOfRange = "id_time_out_of_range", [""],
        "Thời điểm trong mã tin lệch quá xa (cho phép từ 90 ngày trước đến 1 ngày sau): hãy chỉnh đồng hồ máy rồi tạo mã mới.",
        "The time in the message-id is out of range (90 days back to 1 day ahead): set the clock and make a new id.",
        "Set the clock, then send under a new id.";
    /// The id is so old that its first receipt is no longer kept.
    IdTooOld = "id_too_old", [""],
        "Mã tin quá cũ, hệ thống không còn giữ kết quả lần gửi đầu: hãy tạo mã mới.",
        "The message-id is too old for its first receipt to be kept: make a new id.",
        "Find out what became of it (`request_id` is its id), and send under a new id if it is still wanted.";
    /// The same id came before with another body or type, or made a request of another office.
    IdReused = "id_reused", [""],
        "Mã tin này đã dùng cho một nội dung khác: hãy tạo mã mới cho nội dung mới.",
        "This message-id was used for another content: make a new id for new content.",
        "The system's fault: the first message stands. Send the second whole, under a new id.";
    /// A required field is missing.
    FieldMissing = "field_missing", ["*"],
        "Thiếu một mục bắt buộc: hãy điền mục được chỉ ra.",
        "A required field is missing: fill in the one pointed at.",
        "Have the clerk fill it in, or mend the system if it left the field out.";
    /// A field that the message does not have.
    FieldUnknown = "field_unknown", ["*"],
        "Có mục không thuộc mẫu tin: hãy bỏ mục được chỉ ra hoặc sửa tên của nó.",
        "There is a field that the message does not have: remove or rename the one pointed at.",
        "The system's fault: the field is misspelt or of another message.";
    /// A field with a value that cannot be.
    FieldInvalid = "field_invalid", ["*"],
        "Giá trị của một mục không đúng dạng: hãy sửa mục được chỉ ra theo phần chi tiết.",
        "A field's value has the wrong form: change the one pointed at as the detail says.",
        "Have the clerk change it; `detail` says what is expected.";
    /// A day or instant that does not exist, or that contradicts another.
    DateImpossible = "date_impossible", ["/received_on", "/received_at", "/promised_on", "/home/as_of", "/person/birth", "/closed_on", "/period/from", "/period/to"],
        "Ngày không thể có hoặc trái thứ tự: hãy sửa ngày ở mục được chỉ ra.",
        "A date that cannot be: change the date pointed at.",
        "Have the clerk change the day pointed at; `detail` names the first or last that can be.";
    /// The person's number has neither 12 nor 9 digits.
    IdMalformed = "id_malformed", ["/person/person_no"],
        "Số định danh phải có 12 chữ số (hoặc 9 chữ số của chứng minh nhân dân cũ): hãy kiểm tra và nhập lại.",
        "The person's number must have 12 digits (or 9 of an old card): check it and type it again.",
        "Have the clerk look at the card again; `detail` has a hint where there is one.";
    /// Neither number nor address.
    AddressRequired = "address_required", ["/person/address"],
        "Người không có số định danh thì phải ghi địa chỉ: hãy điền địa chỉ đã khai.",
        "A person without a number needs an address: fill in the declared one.",
        "Have the clerk type the declared address below the commune.";
    /// `resubmits` names no refused submit of the sender's: never sent, accepted, another office's, or refused `id_reused`.
    ResubmitUnknown = "resubmit_unknown", ["/resubmits"],
        "Không có yêu cầu bị từ chối nào của đơn vị mang mã tin đã nêu (resubmits): hãy gửi lại đầy đủ bằng mã tin mới.",
        "No refused submit of your office has the id in resubmits: send the whole form under a new message-id.",
        "Send the whole body without `resubmits`, under a new id. If the first was just sent, wait for its receipt first.";
    /// The refused submit that `resubmits` names was no JSON object, so nothing can be changed in it.
    ResubmitUnreadable = "resubmit_unreadable", ["/resubmits"],
        "Yêu cầu bị từ chối trước đó không đọc được nên không thể bổ sung: hãy gửi lại đầy đủ bằng mã tin mới.",
        "The refused submit could not be read, so it cannot be completed: send the whole form under a new message-id.",
        "The system's fault, at the first sending: send the whole body without `resubmits`, under a new id.";
    /// The home is given neither by code and date nor by a name, or by both.
    HomeIncomplete = "home_incomplete", ["/home", "/home/as_of", "/home/name"],
        "Nơi thường trú phải ghi bằng mã kèm ngày (code, as_of) hoặc bằng tên (name): hãy bổ sung cho đủ một trong hai cách.",
        "The home needs a code with its date (code, as_of) or a name: complete one of the two.",
        "Complete one of the two ways, take out the other.";
    /// The home may mean several of today's units.
    HomeAmbiguous = "home_ambiguous", ["/home"],
        "Nơi thường trú có thể thuộc nhiều đơn vị hiện nay: hãy hỏi thôn, tổ dân phố rồi chọn một đơn vị trong danh sách kèm theo.",
        "The home may belong to several of today's units: ask for the hamlet and pick one of the list.",
        "Show `candidates`, let the clerk pick one, [make it whole](#a-refused-submit-made-whole).";
    /// The home is no unit of the registry.
    HomeUnknown = "home_unknown", ["/home", "/home/code"],
        "Không tìm thấy nơi thường trú này: hãy kiểm tra tên, huyện, tỉnh hoặc mã và ngày.",
        "No such home: check name, district, province, or code and date.",
        "Have the clerk check the name, or code and date, against the citizen's paper.";
    /// The asking office serves the home itself.
    HomeIsOwn = "home_is_own_office", ["/home"],
        "Nơi thường trú do chính đơn vị mình quản lý: không cần gửi yêu cầu, hãy tra cứu tại đơn vị.",
        "The home is served by your own office: no request is needed, look it up there.",
        "Nothing to send: the clerk looks it up at the own office.";
    /// The urgent lane without a reason.
    LaneReasonRequired = "lane_reason_required", ["/lane_reason"],
        "Luồng khẩn cần nêu lý do: hãy chọn lý do khẩn (lane_reason) hoặc gửi theo luồng thường.",
        "The urgent lane needs a reason: choose lane_reason or send in the normal lane.",
        "Let the clerk choose a reason, or send in lane `normal`.";
    /// A child under six at the receipt of the file.
    ExemptUnder6 = "exempt_under6", ["/person/birth"],
        "Trẻ dưới 6 tuổi không phải xác minh: hãy giải quyết hồ sơ, không cần gửi yêu cầu.",
        "A child under 6 needs no verification: go on with the file, no request is needed.",
        "Nothing to send: the file goes on without a verification.";
    /// No such request.
    RequestUnknown = "request_unknown", ["/request_id"],
        "Chưa có yêu cầu mang mã này: hãy kiểm tra mã; nếu vừa gửi thì gửi lại sau bằng mã tin mới.",
        "There is no request of this id yet: check it; if it was just sent, send again later under a new message-id.",
        "Wait for the receipt of the submit, then send again under a new id; else mend the id.";
    /// The request is not the sender's to change in this way.
    NotYourRequest = "not_your_request", ["/request_id"],
        "Yêu cầu này không thuộc phần việc của đơn vị: hãy kiểm tra lại mã yêu cầu.",
        "This request is not yours to do that with: check the request's id.",
        "Nothing: it is another office's. Check where the id came from.";
    /// H answered before, with other content, or before the withdrawal came.
    AlreadyAnswered = "already_answered", ["/request_id"],
        "Yêu cầu đã có trả lời trước đó, kết quả nêu kèm: không cần làm gì thêm.",
        "The request was answered before, with the code given here: nothing more to do.",
        "End the matter at your end: `answered` says how it was answered.";
    /// W withdrew it before.
    AlreadyWithdrawn = "already_withdrawn", ["/request_id"],
        "Yêu cầu đã được nơi hỏi rút lại: không cần trả lời nữa.",
        "The request was withdrawn by the asking office: no answer is needed.",
        "End the matter at your end: take it off the desk.";
    /// The file's end was told before with another form or day.
    AlreadyClosed = "already_closed", ["/request_id"],
        "Hồ sơ đã được báo kết thúc trước đó với nội dung khác: hãy kiểm tra mã yêu cầu, không cần báo lại.",
        "The file's end was told before, with another form or day: check the request's id, nothing more to tell.",
        "Nothing: what was told first stands.";
    /// The request has no answer yet.
    NotYetAnswered = "not_yet_answered", ["/request_id"],
        "Yêu cầu chưa có trả lời nên chưa thể báo đã đọc: hãy chờ trả lời.",
        "The request has no answer yet, so none can have been read: wait for it.",
        "Send it when a person has read the `answer.deliver`.";
    /// A04, A06 or A09 without the approval of the head of the office.
    ApprovalRequired = "approval_required", ["/approved_by", "/approved_by/role"],
        "Mã trả lời này cần Trưởng Công an duyệt: hãy ghi Trưởng Công an đã duyệt (approved_by, vai trò office_head).",
        "This answer needs the head of the office: fill in approved_by with role office_head.",
        "Have the head approve, then answer under a new id.";
    /// A09 without a cause.
    CauseRequired = "cause_required", ["/cause"],
        "Mã A09 cần nêu nguyên nhân sai dữ liệu: hãy chọn nguyên nhân trong danh sách (cause).",
        "A09 needs the cause of the data error: choose cause from the list.",
        "Have the officer choose the cause, then answer under a new id.";
    /// A02 without a basis.
    BasisRequired = "basis_required", ["/basis"],
        "Mã A02 cần nêu căn cứ điều chỉnh: hãy chọn căn cứ trong danh sách (basis).",
        "A02 needs the basis of the correction: choose basis from the list.",
        "Have the officer choose the basis, then answer under a new id.";
    /// A02, A03 or A09 that names no field; an A03 of which no field is in doubt.
    FieldsRequired = "fields_required", ["/fields"],
        "Mã trả lời này phải nêu rõ mục nào: hãy ghi các mục đó (fields); với A03, ít nhất một mục khác với khai báo (differs) hoặc đơn vị không lưu (not_held).",
        "This answer must name the field: fill in fields (for A03 at least one that differs or is not_held).",
        "Have the officer name the fields, then answer under a new id.";
    /// A field named twice.
    FieldTwice = "field_twice", ["/fields/*/field"],
        "Một mục được nêu hai lần: hãy để mỗi mục một dòng.",
        "A field is named twice: leave one line a field.",
        "Leave one line a field, then answer under a new id.";
    /// Bulk with another code than A01.
    BulkOnlyA01 = "bulk_only_a01", ["/bulk"],
        "Chỉ được trả lời hàng loạt với mã A01: hãy trả lời riêng từng yêu cầu.",
        "Only A01 may be given in bulk: answer these one by one.",
        "Leave `bulk` out of this answer, and let a person give it.";
}

impl RefusalCode {
    /// The refusal as it goes on the wire, pointing where the fault usually is.
    pub fn refusal(self) -> Refusal {
        Refusal {
            code: self.as_str().to_owned(),
            pointer: self.pointers().first().filter(|p| **p != ANY_FIELD).copied().unwrap_or_default().to_owned(),
            sentence: self.sentence().to_owned(),
            sentence_en: self.sentence_en().to_owned(),
            detail: None,
            candidates: Vec::new(),
        }
    }

    /// The same, pointing at a field.
    pub fn at(self, pointer: impl Into<String>) -> Refusal {
        Refusal { pointer: pointer.into(), ..self.refusal() }
    }

    /// The same, with a detail that holds nothing of what was sent.
    pub fn detail(self, detail: impl Into<String>) -> Refusal {
        Refusal { detail: Some(detail.into()), ..self.refusal() }
    }

    /// `home_ambiguous`, with what the home may mean. Where several communes have one name, and not
    /// one was divided, the hamlet is the wrong question: district and province are asked for first.
    pub fn ambiguous(home: &Home, candidates: Vec<HomeCandidate>) -> Refusal {
        let mut provinces: Vec<&str> = candidates.iter().map(|c| c.province.as_str()).collect();
        provinces.sort_unstable();
        provinces.dedup();
        let whole = |c: &HomeCandidate| c.share.is_none_or(|share| SuccessionDetail::from(share).is_whole());
        let several = provinces.len() > 1 || candidates.iter().any(whole);
        let missing = match (&home.name, &home.district, &home.province) {
            (Some(_), None, None) => "home.district and home.province",
            (Some(_), None, Some(_)) if several => "home.district",
            (Some(_), Some(_), None) if provinces.len() > 1 => "home.province",
            _ => return Refusal { candidates, ..Self::HomeAmbiguous.refusal() },
        };
        let (units, provinces) = (candidates.len(), provinces.len());
        Refusal {
            sentence: WHICH_DISTRICT.0.to_owned(),
            sentence_en: WHICH_DISTRICT.1.to_owned(),
            detail: Some(format!("{units} units in {provinces} of today's provinces: add {missing}, or pick one")),
            candidates,
            ..Self::HomeAmbiguous.refusal()
        }
    }
}

/// What a clerk is told in place of the table's sentence when a commune's name alone was given, in
/// Vietnamese and English.
pub const WHICH_DISTRICT: (&str, &str) = (
    "Tên này có thể chỉ nhiều đơn vị hiện nay: hãy hỏi thêm huyện, tỉnh ghi trên giấy tờ rồi gửi lại, hoặc chọn một đơn vị trong danh sách kèm theo.",
    "The name may mean several of today's units: ask for the district and province on the paper and send again, or pick one of the list.",
);

/// `date_impossible`, for a day later than the last that can be, which is called so.
pub fn not_after(pointer: &str, called: &str, last: Date) -> Refusal {
    Refusal { detail: Some(format!("expected not after {called}, {last}")), ..RefusalCode::DateImpossible.at(pointer) }
}

/// `date_impossible`, for a day earlier than the first that can be, which is called so.
fn not_before(pointer: &str, called: &str, first: Date) -> Refusal {
    Refusal {
        detail: Some(format!("expected not before {called}, {first}")),
        ..RefusalCode::DateImpossible.at(pointer)
    }
}

/// How the domain's reasons read on the wire. None for what is not the sender's fault.
pub fn of_denied(denied: Denied) -> Option<Refusal> {
    use RefusalCode as C;
    Some(match denied {
        Denied::NotYours => C::NotYourRequest.refusal(),
        Denied::AlreadyAnswered(_) => C::AlreadyAnswered.refusal(),
        Denied::AlreadyWithdrawn => C::AlreadyWithdrawn.refusal(),
        Denied::NotYetAnswered => C::NotYetAnswered.refusal(),
        Denied::AlreadyClosed => C::AlreadyClosed.refusal(),
        Denied::ClosedInFuture(today) => not_after("/closed_on", "today", today),
        Denied::ClosedBeforeReceived(on) => not_before("/closed_on", "received_on", on),
        Denied::HomeIsRequester => C::HomeIsOwn.refusal(),
        Denied::ReceivedInFuture(today) => not_after("/received_on", "today", today),
        Denied::PromisedBeforeReceived(on) => not_before("/promised_on", "received_on", on),
        Denied::LaneReasonRequired => C::LaneReasonRequired.refusal(),
        Denied::ExemptUnder6 => C::ExemptUnder6.refusal(),
        Denied::Person(defect) => match defect {
            PersonDefect::FullName => C::FieldInvalid.at("/person/full_name"),
            PersonDefect::BirthAfterReceipt(on) => not_after("/person/birth", "received_on", on),
            PersonDefect::AddressMissing => C::AddressRequired.refusal(),
            PersonDefect::PersonNo(malformed) => Refusal {
                detail: malformed.zero_may_be_missing.then(|| "thiếu số 0 ở đầu? (a leading zero missing?)".to_owned()),
                ..C::IdMalformed.refusal()
            },
        },
        Denied::Answer(defect) => match defect {
            AnswerDefect::ApprovalRequired => C::ApprovalRequired.refusal(),
            AnswerDefect::ApproverNotHead => C::ApprovalRequired.at("/approved_by/role"),
            AnswerDefect::CauseRequired => C::CauseRequired.refusal(),
            AnswerDefect::BasisRequired => C::BasisRequired.refusal(),
            AnswerDefect::FieldsRequired => C::FieldsRequired.refusal(),
            AnswerDefect::FieldTwice(index) => C::FieldTwice.at(format!("/fields/{index}/field")),
            AnswerDefect::BulkOnlyConfirmed => C::BulkOnlyA01.refusal(),
        },
        Denied::Rule(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clerk reads Vietnamese; what a field is called in JSON stands in brackets, for whoever is asked.
    #[test]
    fn names_of_json_stand_in_brackets() {
        let mut names = vec!["type".to_owned(), "message-id".to_owned()];
        for message in crate::schema::messages() {
            list(&message.example, &mut names);
        }
        for vi in RefusalCode::ALL.iter().map(|c| c.sentence()).chain([WHICH_DISTRICT.0]) {
            let outside: String = vi.split('(').map(|part| part.rsplit(')').next().unwrap_or_default()).collect();
            for word in outside.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-') {
                assert!(!word.contains('_') && !names.iter().any(|name| name == word), "{word} in {vi}");
            }
        }
    }

    fn list(value: &serde_json::Value, names: &mut Vec<String>) {
        if let Some(fields) = value.as_object() {
            names.extend(fields.keys().cloned());
            fields.values().for_each(|value| list(value, names));
        }
        value.as_array().into_iter().flatten().for_each(|item| list(item, names));
    }

    #[test]
    fn every_sentence_says_what_to_change() {
        let mut codes: Vec<_> = RefusalCode::ALL.iter().map(|c| c.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), RefusalCode::ALL.len(), "codes are unique");
        for code in RefusalCode::ALL {
            let vi = code.sentence();
            assert!(vi.ends_with('.') && (vi.contains("hãy") || vi.contains("không cần")), "{vi}");
            assert!(vi.matches('.').count() <= 2, "one sentence: {vi}");
            for text in [code.when(), code.sentence_en(), code.what_to_do()] {
                assert!(text.ends_with('.') && !text.contains('|'), "a sentence in a cell of a table: {text}");
            }
            for pointer in code.pointers() {
                assert!(pointer.is_empty() || *pointer == ANY_FIELD || pointer.starts_with('/'), "{pointer}");
            }
        }
    }
}
