//! Police offices, and which units they serve when.
//!
//! An office is not a unit: two of the special zones have no police of their own, and an office
//! outlives the renaming of the unit it stands in. Only [`OfficeServes`] leads from one to the
//! other (handbook §3).

use jiff::civil::Date;

use crate::calendar::OfficeHours;
use crate::id::OfficeId;
use crate::unit::{UnitCode, covers};

/// What sort of office it is, from the ground up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OfficeKind {
    /// Công an xã, phường, đặc khu.
    CommunePolice,
    /// Công an cấp huyện; only the dated ladder still knows it.
    DistrictPolice,
    /// Phòng Cảnh sát QLHC về TTXH of a province (PC06).
    ProvinceUnit,
    /// Cục Cảnh sát QLHC về TTXH (C06).
    MinistryUnit,
}

impl OfficeKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::CommunePolice, Self::DistrictPolice, Self::ProvinceUnit, Self::MinistryUnit];

    /// The name used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommunePolice => "commune_police",
            Self::DistrictPolice => "district_police",
            Self::ProvinceUnit => "province_unit",
            Self::MinistryUnit => "ministry_unit",
        }
    }

    /// Reads the name used in tables.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == word)
    }
}

/// A police office.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Office {
    /// Its id, issued once.
    pub id: OfficeId,
    /// Its name, as people know it.
    pub name: String,
    /// What sort it is.
    pub kind: OfficeKind,
    /// The province it lies in; none for the ministry's.
    pub province: Option<UnitCode>,
    /// Its telephone number, as printed.
    pub phone: Option<String>,
    /// Whom to call when it has none or nobody answers: the office above.
    pub fallback_phone: Option<String>,
    /// When its counter is open on a working day (UTC+7).
    pub opening_hours: OfficeHours,
}

/// What an office serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Served {
    /// A commune.
    Commune(UnitCode),
    /// A province: the rung above its communes.
    Province(UnitCode),
    /// The whole country.
    Nation,
}

impl Served {
    /// The code that tables write for the whole country.
    pub const NATION: &'static str = "VN";

    /// The level, as tables name it.
    pub fn level(self) -> &'static str {
        match self {
            Self::Commune(_) => "commune",
            Self::Province(_) => "province",
            Self::Nation => "nation",
        }
    }

    /// The unit; none for the whole country.
    pub fn unit(self) -> Option<UnitCode> {
        match self {
            Self::Commune(code) | Self::Province(code) => Some(code),
            Self::Nation => None,
        }
    }

    /// The unit's code, as tables write it.
    pub fn code(&self) -> &str {
        match self {
            Self::Commune(code) | Self::Province(code) => code.as_str(),
            Self::Nation => Self::NATION,
        }
    }
}

/// An office serves a unit, from the first to the last day (both inclusive; absent: open).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfficeServes {
    /// The office.
    pub office: OfficeId,
    /// What it serves.
    pub served: Served,
    /// The first day.
    pub valid_from: Option<Date>,
    /// The last day, which still belongs to it.
    pub valid_to: Option<Date>,
}

impl OfficeServes {
    /// Whether it did so on a day.
    pub fn is_valid_on(&self, on: Date) -> bool {
        covers(self.valid_from, self.valid_to, on)
    }
}
