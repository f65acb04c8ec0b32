//! What is asked, and how urgently (handbook §4.3).

/// The kind of a request; it fixes whom to ask, which questions, and the file clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestKind {
    /// Đăng ký tạm trú.
    TempResidence,
    /// Gia hạn tạm trú.
    TempRenewal,
    /// Đăng ký thường trú (chuyển đến).
    PermTransfer,
    /// Cập nhật trạng thái nơi ở.
    DwellingStatus,
    /// Xác minh quá trình cư trú.
    ResidenceHistory,
    /// Khai báo thông tin cư trú (Art. 19).
    NoResidence,
    /// Điều chỉnh thông tin cư trú.
    DataCorrection,
    /// Trùng, sai số định danh.
    IdentityConflict,
}

impl RequestKind {
    /// All kinds, in the order of the handbook.
    pub const ALL: [Self; 8] = [
        Self::TempResidence,
        Self::TempRenewal,
        Self::PermTransfer,
        Self::DwellingStatus,
        Self::ResidenceHistory,
        Self::NoResidence,
        Self::DataCorrection,
        Self::IdentityConflict,
    ];

    /// The name used on the wire, in tables, rules and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TempResidence => "temp_residence",
            Self::TempRenewal => "temp_renewal",
            Self::PermTransfer => "perm_transfer",
            Self::DwellingStatus => "dwelling_status",
            Self::ResidenceHistory => "residence_history",
            Self::NoResidence => "no_residence",
            Self::DataCorrection => "data_correction",
            Self::IdentityConflict => "identity_conflict",
        }
    }

    /// The questions this kind asks when a submit names none.
    pub fn questions(self) -> &'static [Question] {
        use Question::{DwellingStatus, IdentityMatch, MovedTo, Period, Registered};
        match self {
            Self::TempResidence | Self::TempRenewal => &[Registered, IdentityMatch, DwellingStatus],
            Self::PermTransfer => &[Registered, IdentityMatch, DwellingStatus, Period],
            Self::DwellingStatus => &[DwellingStatus],
            Self::ResidenceHistory => &[Registered, Period, MovedTo],
            Self::NoResidence => &[Registered, MovedTo],
            Self::DataCorrection | Self::IdentityConflict => &[IdentityMatch],
        }
    }
}

/// A closed question to the home office.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// Is the person permanently registered there?
    Registered,
    /// Do name, birth date and number match?
    IdentityMatch,
    /// What is the dwelling status?
    DwellingStatus,
    /// From when to when?
    Period,
    /// Where to did the person move?
    MovedTo,
}

/// The lane a request travels in; the routing key says it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Ahead of others; needs a reason.
    Urgent,
    /// The usual.
    Normal,
    /// Many at a stroke; never in the way of single files.
    Bulk,
}

impl Lane {
    /// The name used on the wire, in tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }
}

/// Why a request is urgent: a closed list, none of which tells about the person's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneReason {
    /// The appointment is today or tomorrow.
    AppointmentNear,
    /// The file is already late.
    FileOverdue,
    /// A correction of an earlier mistake of an office.
    OfficeMistake,
}

/// Whether the ward could look in the databases before it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lookup {
    /// Looked: the data differ or the status is missing.
    Done,
    /// Could not look; the request goes on all the same, flagged and counted apart.
    Pending,
}

/// For what the data are used (handbook §9, purpose): a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Registering a residence.
    Registration,
    /// Bringing the residence database up to date.
    DataUpdate,
    /// Setting a wrong record right.
    Correction,
}
