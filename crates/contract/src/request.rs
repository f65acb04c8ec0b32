//! Requests on the wire: what a ward sends, and what its home office gets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xacminh_domain::request as domain;

use crate::receipt::Warning;
use crate::values::{Birth, Country, Day, Handler, Instant, MsgId, Office, ReqId, Text, Unit, or_default, wire_enum};

wire_enum!(
    /// What is asked (handbook §4.3).
    Kind = domain::RequestKind {
        /// Đăng ký tạm trú.
        TempResidence = "temp_residence",
        /// Gia hạn tạm trú.
        TempRenewal = "temp_renewal",
        /// Đăng ký thường trú (chuyển đến).
        PermTransfer = "perm_transfer",
        /// Cập nhật trạng thái nơi ở.
        DwellingStatus = "dwelling_status",
        /// Xác minh quá trình cư trú.
        ResidenceHistory = "residence_history",
        /// Khai báo thông tin cư trú.
        NoResidence = "no_residence",
        /// Điều chỉnh thông tin cư trú.
        DataCorrection = "data_correction",
        /// Trùng, sai số định danh.
        IdentityConflict = "identity_conflict",
    }
);
wire_enum!(
    /// The lane; the routing key must say the same.
    Lane = domain::Lane {
        /// Ahead of others; needs `lane_reason`.
        Urgent = "urgent",
        /// The usual.
        Normal = "normal",
        /// Many at a stroke.
        Bulk = "bulk",
    }
);
wire_enum!(
    /// Why a request is urgent.
    LaneReason = domain::LaneReason {
        /// The appointment is today or tomorrow.
        AppointmentNear = "appointment_near",
        /// The file is already late.
        FileOverdue = "file_overdue",
        /// A correction of an office's mistake.
        OfficeMistake = "office_mistake",
    }
);
wire_enum!(
    /// For what the data are used.
    Purpose = domain::Purpose {
        /// Registering a residence.
        Registration = "registration",
        /// Bringing the residence database up to date.
        DataUpdate = "data_update",
        /// Setting a wrong record right.
        Correction = "correction",
    }
);
wire_enum!(
    /// Whether the ward looked in the databases first.
    Lookup = domain::Lookup {
        /// It did.
        Done = "done",
        /// The look-up was down; the request is flagged and goes on.
        Pending = "pending",
    }
);
wire_enum!(
    /// A closed question.
    Question = domain::Question {
        /// Is the person permanently registered there?
        Registered = "q_registered",
        /// Do name, birth date and number match?
        IdentityMatch = "q_identity_match",
        /// What is the dwelling status?
        DwellingStatus = "q_dwelling_status",
        /// From when to when?
        Period = "q_period",
        /// Where to did the person move?
        MovedTo = "q_moved_to",
    }
);
wire_enum!(
    /// Why a request is taken back.
    WithdrawReason = domain::WithdrawReason {
        /// The citizen took the file back.
        FileWithdrawn = "file_withdrawn",
        /// The databases now say what was asked.
        NoLongerNeeded = "no_longer_needed",
        /// It should not have been sent as it was.
        Mistake = "mistake",
        /// The file was refused (CT06).
        FileRefused = "file_refused",
    }
);
wire_enum!(
    /// The form that ends a file.
    FileForm = domain::FileForm {
        /// CT08: the result.
        Ct08 = "ct08",
        /// CT06: the file is refused.
        Ct06 = "ct06",
    }
);

/// The home, by code and date or by words. A code alone names no unit: 1,823 codes changed their
/// meaning on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Home {
    /// Code of the commune (5 digits). With it `as_of` is needed, and no words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Unit>,
    /// The day on which the code or the words were right, such as the date on the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Day>,
    /// Name of the commune, with or without its kind: "Phường Phúc Xá", "Phúc Xá".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<120>>,
    /// Name of the district, as old documents have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub district: Option<Text<120>>,
    /// Name of the province or city.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub province: Option<Text<120>>,
}

/// The person asked about: the least that identifies somebody. Travels byte by byte as sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Full name as declared.
    pub full_name: Text<200>,
    /// Birth date as declared.
    pub birth: Birth,
    /// The number as typed: 12 digits, or 9 of an old card. Absent for those who have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person_no: Option<Text<40>>,
    /// The claimed home address below the commune. Needed when there is no number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Text<300>>,
    /// Place of origin (quê quán); any country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

impl std::fmt::Debug for Birth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Birth(…)")
    }
}

/// Place of origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// ISO 3166-1, two letters.
    pub country: Country,
    /// Free words.
    pub text: Text<300>,
}

/// `request.submit`: W asks. The message-id becomes the request's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// What is asked.
    pub kind: Kind,
    /// W's own file code (mã hồ sơ); citizens see it. No name or number in it.
    pub case_code: Text<64>,
    /// The day on the receipt slip (CT04).
    pub received_on: Day,
    /// The instant of the receipt, where W knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<Instant>,
    /// The appointment on the receipt slip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promised_on: Option<Day>,
    /// For what the data are used.
    pub purpose: Purpose,
    /// The lane.
    pub lane: Lane,
    /// Needed for the urgent lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane_reason: Option<LaneReason>,
    /// Whether the ward looked in the databases first.
    pub lookup: Lookup,
    /// The home.
    pub home: Home,
    /// The person.
    pub person: Person,
    /// The closed questions; those of the kind when absent.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<Question>>")]
    pub questions: Vec<Question>,
    /// An extra, never the question. No state secrets, no health, no reason for an absence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text<500>>,
    /// The message-id of the refused submit that this one makes whole. With it a body holds only
    /// what changes; see [`crate::resubmit`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resubmits: Option<MsgId>,
}

/// `request.withdraw`: W takes a request back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Withdraw {
    /// Which request.
    pub request_id: ReqId,
    /// Why.
    pub reason: WithdrawReason,
}

/// `file.close`: W's file has ended; the file clock stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileClose {
    /// Which request.
    pub request_id: ReqId,
    /// With which form.
    pub form: FileForm,
    /// The day of the form.
    pub closed_on: Day,
}

/// `request.received`: H's system stored a request durably.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Received {
    /// Which request.
    pub request_id: ReqId,
}

/// `request.opened`: a person at H opened it (tiếp nhận).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// Which request.
    pub request_id: ReqId,
    /// H's own opaque id of who has it; reminders name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<Handler>,
}

/// An office as others see it: whom to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfficeCard {
    /// Its id.
    pub office: Office,
    /// Its name.
    pub name: String,
    /// Its number, or the one to call instead.
    pub phone: String,
}

/// The home as the broker understood it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HomeResolved {
    /// Today's unit.
    pub unit: Unit,
    /// The address as declared, then today's name: "xã A, huyện B, tỉnh C (nay là xã D, tỉnh E)".
    pub words: String,
}

/// `request.deliver`: the work, in H's inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deliver {
    /// The request; answer with it.
    pub request_id: ReqId,
    /// W's file code.
    pub case_code: String,
    /// What is asked.
    pub kind: Kind,
    /// The lane.
    pub lane: Lane,
    /// For what the data are used.
    pub purpose: Purpose,
    /// Who asks, and whom to call.
    pub requester: OfficeCard,
    /// The home as the broker understood it.
    pub home: HomeResolved,
    /// The day W received the file. An open request proves a pending file: mind it before A06.
    pub received_on: Day,
    /// When the broker took the request.
    pub submitted_at: Instant,
    /// The last day on which W can keep its word to the citizen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_due_on: Option<Day>,
    /// Whether W could look in the databases first.
    pub lookup: Lookup,
    /// The closed questions.
    pub questions: Vec<Question>,
    /// The person, byte by byte as W sent it.
    pub person: Person,
    /// W's extra words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text<500>>,
    /// What looked odd; never a reason not to answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}
