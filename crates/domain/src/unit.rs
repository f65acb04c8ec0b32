//! Administrative units: a code with its level, a row per unit and era, and what became of it.
//!
//! A code alone names no unit: of the communes in force since mid-2025 more than half carry the
//! code of a former unit with another name. A reference is therefore always a code *and* a day
//! ([`UnitRef`]); the [`directory`](crate::directory) turns it into today's unit.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

/// Whether `on` lies in an interval whose ends both belong to it; an absent end is open.
pub(crate) fn covers(from: Option<Date>, to: Option<Date>, on: Date) -> bool {
    from.is_none_or(|from| from <= on) && to.is_none_or(|to| on <= to)
}

/// Why a text is not a unit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a unit code (2, 3 or 5 digits)")]
pub struct UnitCodeError;

/// How high a unit stands; the number of digits of its code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitLevel {
    /// Two digits.
    Province,
    /// Three digits; the level of the former districts.
    District,
    /// Five digits.
    Commune,
}

impl UnitLevel {
    /// The name used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Province => "province",
            Self::District => "district",
            Self::Commune => "commune",
        }
    }

    /// 1 for a province, 2 for a district, 3 for a commune.
    pub fn number(self) -> u8 {
        match self {
            Self::Province => 1,
            Self::District => 2,
            Self::Commune => 3,
        }
    }
}

/// The code of a unit: text of digits, whose leading zeros count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitCode {
    // Zero bytes after the digits, so that codes sort as their text does.
    digits: [u8; 5],
    level: UnitLevel,
}

impl UnitCode {
    /// The code as text.
    pub fn as_str(&self) -> &str {
        let len = match self.level {
            UnitLevel::Province => 2,
            UnitLevel::District => 3,
            UnitLevel::Commune => 5,
        };
        // Only ASCII ever gets in.
        std::str::from_utf8(&self.digits[..len]).unwrap_or_default()
    }

    /// The level its length tells.
    pub fn level(self) -> UnitLevel {
        self.level
    }
}

impl FromStr for UnitCode {
    type Err = UnitCodeError;

    fn from_str(text: &str) -> Result<Self, UnitCodeError> {
        let level = match text.len() {
            2 => UnitLevel::Province,
            3 => UnitLevel::District,
            5 => UnitLevel::Commune,
            _ => return Err(UnitCodeError),
        };
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(UnitCodeError);
        }
        let mut digits = [0; 5];
        digits[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { digits, level })
    }
}

impl fmt::Display for UnitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for UnitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnitCode({})", self.as_str())
    }
}

/// What sort of unit it is; part of its official name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitType {
    /// Xã, a commune.
    Xa,
    /// Phường, a ward.
    Phuong,
    /// Thị trấn, a township of the former districts.
    ThiTran,
    /// Đặc khu, a special zone on islands.
    DacKhu,
    /// Quận, a former urban district.
    Quan,
    /// Huyện, a former rural district.
    Huyen,
    /// Thị xã, a former town.
    ThiXa,
    /// Thành phố: a centrally-run city, or a former city below a province.
    ThanhPho,
    /// Tỉnh, a province.
    Tinh,
}

impl UnitType {
    /// All types.
    pub const ALL: [Self; 9] = [
        Self::Xa,
        Self::Phuong,
        Self::ThiTran,
        Self::DacKhu,
        Self::Quan,
        Self::Huyen,
        Self::ThiXa,
        Self::ThanhPho,
        Self::Tinh,
    ];

    /// The name used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Xa => "xa",
            Self::Phuong => "phuong",
            Self::ThiTran => "thi_tran",
            Self::DacKhu => "dac_khu",
            Self::Quan => "quan",
            Self::Huyen => "huyen",
            Self::ThiXa => "thi_xa",
            Self::ThanhPho => "thanh_pho",
            Self::Tinh => "tinh",
        }
    }

    /// Reads the name used in tables.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == word)
    }

    /// The Vietnamese word, in lower case as inside a sentence.
    pub fn word(self) -> &'static str {
        match self {
            Self::Xa => "xã",
            Self::Phuong => "phường",
            Self::ThiTran => "thị trấn",
            Self::DacKhu => "đặc khu",
            Self::Quan => "quận",
            Self::Huyen => "huyện",
            Self::ThiXa => "thị xã",
            Self::ThanhPho => "thành phố",
            Self::Tinh => "tỉnh",
        }
    }

    /// The Vietnamese word with a capital, as official names begin.
    pub fn title(self) -> &'static str {
        match self {
            Self::Xa => "Xã",
            Self::Phuong => "Phường",
            Self::ThiTran => "Thị trấn",
            Self::DacKhu => "Đặc khu",
            Self::Quan => "Quận",
            Self::Huyen => "Huyện",
            Self::ThiXa => "Thị xã",
            Self::ThanhPho => "Thành phố",
            Self::Tinh => "Tỉnh",
        }
    }

    /// Whether a unit of this level may be of this type.
    pub fn is_of(self, level: UnitLevel) -> bool {
        match level {
            UnitLevel::Province => matches!(self, Self::Tinh | Self::ThanhPho),
            UnitLevel::District => matches!(self, Self::Quan | Self::Huyen | Self::ThiXa | Self::ThanhPho),
            UnitLevel::Commune => matches!(self, Self::Xa | Self::Phuong | Self::ThiTran | Self::DacKhu),
        }
    }
}

/// A unit as somebody meant it: a code and a day (Vietnam) on which the code was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnitRef {
    /// The code.
    pub code: UnitCode,
    /// The day; without one a code says nothing.
    pub as_of: Date,
}

/// One unit over one interval: the key is the code and the day it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The code, which other units may carry at other times.
    pub code: UnitCode,
    /// The full official name with its type ("Phường Ba Đình").
    pub name: String,
    /// The type, as the name says it.
    pub unit_type: UnitType,
    /// The unit above: a district or a province for a commune, a province for a district, none
    /// for a province.
    pub parent: Option<UnitCode>,
    /// The province; a province's own code for itself.
    pub province: UnitCode,
    /// The first day; none: in force before the record begins.
    pub valid_from: Option<Date>,
    /// The last day, which still belongs to it; none: still in force.
    pub valid_to: Option<Date>,
}

impl Unit {
    /// Whether it was in force on a day.
    pub fn is_valid_on(&self, on: Date) -> bool {
        covers(self.valid_from, self.valid_to, on)
    }

    /// The name without its type ("Ba Đình").
    pub fn bare_name(&self) -> &str {
        without_type(&self.name, self.unit_type)
    }

    /// The name as inside a sentence ("phường Ba Đình").
    pub fn words(&self) -> String {
        format!("{} {}", self.unit_type.word(), self.bare_name())
    }
}

/// A full name without the type it begins with; unchanged when it does not.
pub(crate) fn without_type(name: &str, unit_type: UnitType) -> &str {
    name.strip_prefix(unit_type.title()).map_or(name, str::trim_start)
}

/// How much of a former unit went to a successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuccessionDetail {
    /// All of it (provinces and districts, where no more is known).
    Whole,
    /// Same land, same name; only its place above changed.
    Unchanged,
    /// Same land, another name.
    Renamed,
    /// Same land, another type.
    KindChanged,
    /// All of it, together with others.
    MergedWhole,
    /// Some land and some of the people.
    Part,
    /// Some land, nobody living there.
    AreaOnly,
    /// Some land and all of the people.
    AllPopulation,
    /// People without land.
    PopulationOnly,
}

impl SuccessionDetail {
    /// All details.
    pub const ALL: [Self; 9] = [
        Self::Whole,
        Self::Unchanged,
        Self::Renamed,
        Self::KindChanged,
        Self::MergedWhole,
        Self::Part,
        Self::AreaOnly,
        Self::AllPopulation,
        Self::PopulationOnly,
    ];

    /// The name used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Unchanged => "unchanged",
            Self::Renamed => "renamed",
            Self::KindChanged => "kind_changed",
            Self::MergedWhole => "merged_whole",
            Self::Part => "part",
            Self::AreaOnly => "area_only",
            Self::AllPopulation => "all_population",
            Self::PopulationOnly => "population_only",
        }
    }

    /// Reads the name used in tables.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.as_str() == word)
    }

    /// Whether the former unit has this one successor.
    pub fn is_whole(self) -> bool {
        match self {
            Self::Whole | Self::Unchanged | Self::Renamed | Self::KindChanged | Self::MergedWhole => true,
            Self::Part | Self::AreaOnly | Self::AllPopulation | Self::PopulationOnly => false,
        }
    }
}

/// What became of a unit: the row of `from_code` that ends the day before `effective` went (in
/// part) into the row of `to_code` that starts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Succession {
    /// The former unit.
    pub from_code: UnitCode,
    /// Its successor.
    pub to_code: UnitCode,
    /// The successor's first day.
    pub effective: Date,
    /// How much of it.
    pub detail: SuccessionDetail,
}

/// Another spelling under which a unit's name is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameVariant {
    /// The unit's code.
    pub code: UnitCode,
    /// The other spelling, with its type.
    pub name: String,
    /// The last day of the row it belongs to, which with the code names one unit.
    pub valid_to: Date,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_keeps_its_zeros_and_tells_its_level() {
        for (text, level) in [("01", UnitLevel::Province), ("001", UnitLevel::District), ("00004", UnitLevel::Commune)]
        {
            let code: UnitCode = text.parse().unwrap();
            assert_eq!((code.to_string().as_str(), code.level()), (text, level));
        }
        for bad in ["", "1", "1234", "123456", "0000a", "٠٠"] {
            assert!(bad.parse::<UnitCode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn words_are_read_as_written() {
        assert!(UnitType::ALL.into_iter().all(|t| UnitType::from_word(t.as_str()) == Some(t)));
        assert!(SuccessionDetail::ALL.into_iter().all(|d| SuccessionDetail::from_word(d.as_str()) == Some(d)));
    }

    #[test]
    fn both_ends_belong_to_an_interval() {
        let unit = Unit {
            code: "00001".parse().unwrap(),
            name: "Phường Phúc Xá".into(),
            unit_type: UnitType::Phuong,
            parent: "001".parse().ok(),
            province: "01".parse().unwrap(),
            valid_from: Some(jiff::civil::date(2025, 3, 1)),
            valid_to: Some(jiff::civil::date(2025, 6, 30)),
        };
        assert!(unit.is_valid_on(jiff::civil::date(2025, 3, 1)) && unit.is_valid_on(jiff::civil::date(2025, 6, 30)));
        assert!(!unit.is_valid_on(jiff::civil::date(2025, 7, 1)));
        assert_eq!((unit.bare_name(), unit.words().as_str()), ("Phúc Xá", "phường Phúc Xá"));
    }
}
