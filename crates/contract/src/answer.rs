//! Answers on the wire: what a home office gives, and what the ward gets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xacminh_domain::answer as domain;

use crate::request::OfficeCard;
use crate::values::{Day, Handler, Instant, ReqId, Text, or_default, wire_enum, words};

wire_enum!(
    /// What is answered (handbook §11).
    Code = domain::AnswerCode {
        /// `confirmed`: as declared.
        Confirmed = "A01",
        /// `confirmed_corrected`: right after one field was corrected; needs `fields`, `basis`.
        ConfirmedCorrected = "A02",
        /// `field_mismatch`: needs `fields` with one that is not `ok`.
        FieldMismatch = "A03",
        /// `not_registered_here`: needs `approved_by` of the office head.
        NotRegisteredHere = "A04",
        /// `moved_permanent`.
        MovedPermanent = "A05",
        /// `deregistered`: needs `approved_by` of the office head.
        Deregistered = "A06",
        /// `dwelling_undetermined`.
        DwellingUndetermined = "A07",
        /// `identity_conflict`.
        IdentityConflict = "A08",
        /// `record_error`: needs `fields`, `cause` and `approved_by` of the office head.
        RecordError = "A09",
    }
);
wire_enum!(
    /// A field of what was declared.
    Field = domain::Field {
        /// Họ, chữ đệm và tên.
        FullName = "full_name",
        /// Ngày sinh.
        Birth = "birth",
        /// Số định danh.
        PersonNo = "person_no",
        /// Địa chỉ thường trú.
        Address = "address",
        /// Quê quán.
        Origin = "origin",
        /// Thời gian cư trú.
        Period = "period",
        /// Trạng thái nơi ở.
        DwellingStatus = "dwelling_status",
        /// Thông tin hộ tịch.
        CivilStatus = "civil_status",
    }
);
wire_enum!(
    /// What H says of a field.
    FieldResult = domain::FieldResult {
        /// As declared.
        Ok = "ok",
        /// Otherwise than declared.
        Differs = "differs",
        /// H holds no such record.
        NotHeld = "not_held",
    }
);
wire_enum!(
    /// On what the answer rests (`{can_cu}`): a closed list.
    Basis = domain::Basis {
        /// Cơ sở dữ liệu về cư trú.
        ResidenceDb = "residence_db",
        /// Cơ sở dữ liệu quốc gia về dân cư.
        PopulationDb = "population_db",
        /// Hồ sơ đăng ký cư trú đang lưu.
        ResidenceFile = "residence_file",
        /// Giấy khai sinh.
        BirthCertificate = "birth_certificate",
        /// Sổ hộ tịch.
        CivilStatusRegister = "civil_status_register",
        /// Xác minh tại nơi ở.
        SiteCheck = "site_check",
    }
);
wire_enum!(
    /// Why a record is wrong: a closed list of data errors.
    Cause = domain::RecordErrorCause {
        /// Typed wrongly.
        DataEntry = "data_entry",
        /// Lost or garbled between systems.
        DataTransfer = "data_transfer",
        /// A change was never entered.
        NotUpdated = "not_updated",
        /// Two records of one person.
        DuplicateRecord = "duplicate_record",
        /// Wrong civil status.
        CivilStatus = "civil_status",
    }
);

words!(
    /// Who may approve an answer.
    ApproverRole {
        /// Trưởng Công an xã.
        OfficeHead = "office_head",
        /// Phó Trưởng Công an xã.
        Deputy = "deputy",
    }
);

/// Who approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovedBy {
    /// In which role.
    pub role: ApproverRole,
    /// H's own opaque id.
    pub handler: Handler,
}

/// One field's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldLine {
    /// Which field.
    pub field: Field,
    /// What H says of it.
    pub result: FieldResult,
}

/// The status of the dwelling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dwelling {
    /// Which status.
    pub status: DwellingWord,
    /// The words of the residence database, for `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text<120>>,
}

words!(
    /// The statuses known by name.
    DwellingWord {
        /// Xác định.
        Determined = "determined",
        /// Chưa xác định.
        Undetermined = "undetermined",
        /// Another status, in `text`.
        Other = "other",
    }
);

/// From when to when somebody lived there; an end that is not known is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// The first day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Day>,
    /// The last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Day>,
}

/// `answer.give`: H answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Give {
    /// Which request.
    pub request_id: ReqId,
    /// What is answered.
    pub code: Code,
    /// Field by field; unnamed fields count as confirmed.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<FieldLine>>")]
    pub fields: Vec<FieldLine>,
    /// On what it rests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// For A09.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The status of the dwelling, where H knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dwelling_status: Option<Dwelling>,
    /// For `q_period`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// For `q_moved_to`: the new home as H's record has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<Text<200>>,
    /// H's own opaque id of who answers.
    pub answered_by: Handler,
    /// Who approved, where one must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<ApprovedBy>,
    /// One of many given at a stroke; only for A01.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub bulk: bool,
    /// Extra words for W's officer; citizens never see them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text<500>>,
}

impl Give {
    /// The answer as the domain judges it.
    pub fn to_domain(&self) -> domain::Answer {
        domain::Answer {
            code: self.code.into(),
            fields: self.fields.iter().map(|l| (l.field.into(), l.result.into())).collect(),
            basis: self.basis.map(Into::into),
            cause: self.cause.map(Into::into),
            dwelling_status: self.dwelling_status.as_ref().map(|d| match d.status {
                DwellingWord::Determined => domain::DwellingStatus::Determined,
                DwellingWord::Undetermined => domain::DwellingStatus::Undetermined,
                DwellingWord::Other => {
                    domain::DwellingStatus::Other(d.text.as_ref().map(|t| t.0.clone()).unwrap_or_default())
                }
            }),
            answered_by: self.answered_by.0.clone(),
            approved_by: self.approved_by.as_ref().map(|a| domain::ApprovedBy {
                office_head: a.role == ApproverRole::OfficeHead,
                handler: a.handler.0.clone(),
            }),
            bulk: self.bulk,
        }
    }
}

/// `answer.read`: a person at W read the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Which request.
    pub request_id: ReqId,
}

/// The sentence that W's counter reads out to the citizen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sentence {
    /// The words, ready to read.
    pub text: String,
    /// Which version of the wording.
    pub text_version: String,
    /// W's name as it stands in the text.
    pub office: String,
    /// W's number as it stands in the text.
    pub phone: String,
}

/// `answer.deliver`: the result, in W's inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deliver {
    /// Which request.
    pub request_id: ReqId,
    /// W's file code.
    pub case_code: String,
    /// What was answered.
    pub code: Code,
    /// Field by field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldLine>,
    /// On what it rests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// For A09.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The status of the dwelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dwelling_status: Option<Dwelling>,
    /// For `q_period`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// For `q_moved_to`: the new home as H's record has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<Text<200>>,
    /// Who answered, and whom to call.
    pub responder: OfficeCard,
    /// When the broker took the answer.
    pub answered_at: Instant,
    /// At or after the answer due.
    pub late: bool,
    /// One of many given at a stroke.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bulk: bool,
    /// What to read out to the citizen.
    pub sentence: Sentence,
    /// Extra words of H's officer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text<500>>,
}
