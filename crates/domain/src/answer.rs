//! What a home office may answer, and what each answer must carry (handbook §11).

use crate::id::HandlerId;

/// The final answers. A10 (clarification) is not one and comes with its own life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerCode {
    /// A01: what was declared is right.
    Confirmed,
    /// A02: right, after the home office corrected one field.
    ConfirmedCorrected,
    /// A03: one or more fields differ or are not held.
    FieldMismatch,
    /// A04: no permanent residence there.
    NotRegisteredHere,
    /// A05: moved to another permanent residence.
    MovedPermanent,
    /// A06: no longer registered at that address.
    Deregistered,
    /// A07: the dwelling status is not determined yet.
    DwellingUndetermined,
    /// A08: the number is doubled or does not match.
    IdentityConflict,
    /// A09: the record itself is wrong.
    RecordError,
}

impl AnswerCode {
    /// All of them, in the order of the handbook.
    pub const ALL: [Self; 9] = [
        Self::Confirmed,
        Self::ConfirmedCorrected,
        Self::FieldMismatch,
        Self::NotRegisteredHere,
        Self::MovedPermanent,
        Self::Deregistered,
        Self::DwellingUndetermined,
        Self::IdentityConflict,
        Self::RecordError,
    ];

    /// `A01` to `A09`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Confirmed => "A01",
            Self::ConfirmedCorrected => "A02",
            Self::FieldMismatch => "A03",
            Self::NotRegisteredHere => "A04",
            Self::MovedPermanent => "A05",
            Self::Deregistered => "A06",
            Self::DwellingUndetermined => "A07",
            Self::IdentityConflict => "A08",
            Self::RecordError => "A09",
        }
    }

    /// Reads `A01` to `A09`.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.code() == code)
    }

    /// These need the head of the office (handbook §11, integrity).
    pub fn needs_office_head(self) -> bool {
        matches!(self, Self::NotRegisteredHere | Self::Deregistered | Self::RecordError)
    }
}

/// A field of what was declared, as answers and citizens' sentences name it (`{muc}`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Họ, chữ đệm và tên.
    FullName,
    /// Ngày sinh.
    Birth,
    /// Số định danh.
    PersonNo,
    /// Địa chỉ thường trú.
    Address,
    /// Quê quán.
    Origin,
    /// Thời gian cư trú.
    Period,
    /// Trạng thái nơi ở.
    DwellingStatus,
    /// Thông tin hộ tịch.
    CivilStatus,
}

impl Field {
    /// The words a citizen reads.
    pub fn words(self) -> &'static str {
        match self {
            Self::FullName => "họ và tên",
            Self::Birth => "ngày sinh",
            Self::PersonNo => "số định danh",
            Self::Address => "địa chỉ thường trú",
            Self::Origin => "quê quán",
            Self::Period => "thời gian cư trú",
            Self::DwellingStatus => "trạng thái nơi ở",
            Self::CivilStatus => "thông tin hộ tịch",
        }
    }
}

/// What the home office says of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldResult {
    /// As declared.
    Ok,
    /// Otherwise than declared.
    Differs,
    /// The office holds no such record.
    NotHeld,
}

/// On what an answer rests (`{can_cu}`): a closed list, so that it can be no covert signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// Cơ sở dữ liệu về cư trú.
    ResidenceDb,
    /// Cơ sở dữ liệu quốc gia về dân cư.
    PopulationDb,
    /// Hồ sơ đăng ký cư trú đang lưu.
    ResidenceFile,
    /// Giấy khai sinh.
    BirthCertificate,
    /// Sổ hộ tịch.
    CivilStatusRegister,
    /// Xác minh tại nơi ở.
    SiteCheck,
}

impl Basis {
    /// The words a citizen reads.
    pub fn words(self) -> &'static str {
        match self {
            Self::ResidenceDb => "cơ sở dữ liệu về cư trú",
            Self::PopulationDb => "cơ sở dữ liệu quốc gia về dân cư",
            Self::ResidenceFile => "hồ sơ đăng ký cư trú đang lưu",
            Self::BirthCertificate => "giấy khai sinh",
            Self::CivilStatusRegister => "sổ hộ tịch",
            Self::SiteCheck => "kết quả xác minh tại nơi ở",
        }
    }
}

/// Why a record is wrong: the closed list of data errors that an A09 must name, so that it cannot
/// serve as a summons (handbook §11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordErrorCause {
    /// Typed wrongly.
    DataEntry,
    /// Lost or garbled when data moved between systems.
    DataTransfer,
    /// A change was never entered.
    NotUpdated,
    /// Two records of one person.
    DuplicateRecord,
    /// Wrong civil status, such as a living person recorded dead.
    CivilStatus,
}

/// The dwelling status that travels with every answer (handbook §13, point 4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DwellingStatus {
    /// Xác định.
    Determined,
    /// Chưa xác định.
    Undetermined,
    /// Another status of the residence database, in its words.
    Other(String),
}

/// Who approved an answer, where one must.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApprovedBy {
    /// True for the head of the office, false for a deputy.
    pub office_head: bool,
    /// The office's own opaque id.
    pub handler: HandlerId,
}

/// An answer as given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Answer {
    /// What is answered.
    pub code: AnswerCode,
    /// Field by field, for A03; the corrected or wrong field for A02 and A09.
    pub fields: Vec<(Field, FieldResult)>,
    /// On what it rests; needed for A02.
    pub basis: Option<Basis>,
    /// Needed for A09.
    pub cause: Option<RecordErrorCause>,
    /// The status of the dwelling, where the office knows it.
    pub dwelling_status: Option<DwellingStatus>,
    /// The office's own opaque id of who answered.
    pub answered_by: HandlerId,
    /// Who approved.
    pub approved_by: Option<ApprovedBy>,
    /// One of many given at a stroke; only for A01.
    pub bulk: bool,
}

/// Why an answer cannot stand as it is. Each says which part to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerDefect {
    /// A04, A06 and A09 need `approved_by` with the head of the office.
    ApprovalRequired,
    /// They have `approved_by`, with somebody else than the head.
    ApproverNotHead,
    /// A09 needs a cause.
    CauseRequired,
    /// A02 needs a basis.
    BasisRequired,
    /// A02, A03 and A09 need a field; A03 one that differs or is not held.
    FieldsRequired,
    /// A field is named twice; the place of the second.
    FieldTwice(usize),
    /// Only A01 may be given in bulk.
    BulkOnlyConfirmed,
}

/// Checks that an answer carries what its code demands.
pub fn check(answer: &Answer) -> Result<(), AnswerDefect> {
    let code = answer.code;
    if code.needs_office_head() {
        match &answer.approved_by {
            None => return Err(AnswerDefect::ApprovalRequired),
            Some(approved) if !approved.office_head => return Err(AnswerDefect::ApproverNotHead),
            Some(_) => {}
        }
    }
    if code == AnswerCode::RecordError && answer.cause.is_none() {
        return Err(AnswerDefect::CauseRequired);
    }
    if code == AnswerCode::ConfirmedCorrected && answer.basis.is_none() {
        return Err(AnswerDefect::BasisRequired);
    }
    if muc(answer).is_none()
        && matches!(code, AnswerCode::ConfirmedCorrected | AnswerCode::FieldMismatch | AnswerCode::RecordError)
    {
        return Err(AnswerDefect::FieldsRequired);
    }
    let named = |to: usize, field: Field| answer.fields[..to].iter().any(|(f, _)| *f == field);
    if let Some((twice, _)) = answer.fields.iter().enumerate().find(|(place, (field, _))| named(*place, *field)) {
        return Err(AnswerDefect::FieldTwice(twice));
    }
    if answer.bulk && code != AnswerCode::Confirmed {
        return Err(AnswerDefect::BulkOnlyConfirmed);
    }
    Ok(())
}

/// The fields a citizen's sentence names as `{muc}`: for A03 those that are not `ok`, else all.
pub fn muc(answer: &Answer) -> Option<String> {
    let named: Vec<&str> = answer
        .fields
        .iter()
        .filter(|(_, r)| answer.code != AnswerCode::FieldMismatch || *r != FieldResult::Ok)
        .map(|(f, _)| f.words())
        .collect();
    (!named.is_empty()).then(|| named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: AnswerCode) -> Answer {
        Answer {
            code,
            fields: vec![],
            basis: None,
            cause: None,
            dwelling_status: None,
            answered_by: "cb-1".parse().unwrap(),
            approved_by: None,
            bulk: false,
        }
    }

    #[test]
    fn each_code_demands_its_own() {
        use AnswerDefect::*;
        let head = Some(ApprovedBy { office_head: true, handler: "tr-1".parse().unwrap() });
        let deputy = Some(ApprovedBy { office_head: false, handler: "ph-1".parse().unwrap() });
        assert_eq!(check(&answer(AnswerCode::Confirmed)), Ok(()));
        for code in [AnswerCode::NotRegisteredHere, AnswerCode::Deregistered, AnswerCode::RecordError] {
            assert_eq!(check(&answer(code)), Err(ApprovalRequired));
            assert_eq!(check(&Answer { approved_by: deputy.clone(), ..answer(code) }), Err(ApproverNotHead));
        }
        let a06 = Answer { approved_by: head.clone(), ..answer(AnswerCode::Deregistered) };
        assert_eq!(check(&a06), Ok(()));
        let a09 = Answer { approved_by: head, ..answer(AnswerCode::RecordError) };
        assert_eq!(check(&a09), Err(CauseRequired));
        let a09 = Answer { cause: Some(RecordErrorCause::CivilStatus), ..a09 };
        assert_eq!(check(&a09), Err(FieldsRequired));
        let a03 = Answer { fields: vec![(Field::Birth, FieldResult::Ok)], ..answer(AnswerCode::FieldMismatch) };
        assert_eq!(check(&a03), Err(FieldsRequired), "nothing differs");
        let fields =
            [Field::Address, Field::Birth, Field::Origin, Field::Birth].map(|f| (f, FieldResult::Differs)).to_vec();
        assert_eq!(check(&Answer { fields, ..a03 }), Err(FieldTwice(3)), "the second of the two");
        let bulk = Answer { bulk: true, ..answer(AnswerCode::MovedPermanent) };
        assert_eq!(check(&bulk), Err(BulkOnlyConfirmed));
    }

    #[test]
    fn the_citizen_reads_only_the_fields_in_doubt() {
        let a03 = Answer {
            fields: vec![
                (Field::FullName, FieldResult::Ok),
                (Field::Birth, FieldResult::Differs),
                (Field::Address, FieldResult::NotHeld),
            ],
            ..answer(AnswerCode::FieldMismatch)
        };
        assert_eq!(muc(&a03).as_deref(), Some("ngày sinh, địa chỉ thường trú"));
    }
}
