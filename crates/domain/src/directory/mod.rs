//! Which office is it? Today's unit and office for a home given by code and day, or by words.
//!
//! ```text
//! code + day ──┐
//!              ├─▶ the unit meant ──▶ its successors, in date order ──▶ today's units ──▶ offices
//! words ───────┘    (a row)            (walk)                             one: Unique
//!                                                                         several: Ambiguous
//! ```
//!
//! Nothing is guessed: a wrong guess would show a person's data to strangers. When several of
//! today's units are possible, all are listed and a human picks. No date of any reform stands in
//! this code; rows begin and end, and that is all it knows.
//!
//! A directory is built once from the imported rows ([`DirectoryParts`]) and asked often; every
//! question is a few look-ups by hash.

mod index;
mod walk;
mod words;

use jiff::civil::Date;

pub use self::index::Directory;
use crate::id::OfficeId;
use crate::office::{Office, OfficeKind, OfficeServes, Served};
use crate::unit::{NameVariant, Succession, SuccessionDetail, Unit, UnitCode, UnitLevel, UnitRef};

/// The imported rows that a directory is built from. The registry has checked them; an edge whose
/// ends do not exist would be left out here.
#[derive(Debug, Clone)]
pub struct DirectoryParts {
    /// Units of all levels and eras.
    pub units: Vec<Unit>,
    /// What became of them.
    pub successions: Vec<Succession>,
    /// Other spellings.
    pub variants: Vec<NameVariant>,
    /// The offices.
    pub offices: Vec<Office>,
    /// Which of them serves what, when.
    pub serves: Vec<OfficeServes>,
    /// The first day of which the rows tell. An earlier day is answered as of this one, with a
    /// warning.
    pub record_begins: Date,
}

/// The home somebody claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HomeRef {
    /// By code and day.
    Code(UnitRef),
    /// By the words on a document.
    Words(HomeWords),
}

/// A home in words. Types may be left out or shortened ("P. 9"), marks may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HomeWords {
    /// Name of the commune.
    pub name: String,
    /// Name of the district; given, it makes the address one of the time of districts.
    pub district: Option<String>,
    /// Name of the province or city, then or now.
    pub province: Option<String>,
    /// The day on which the words were right.
    pub as_of: Option<Date>,
}

/// What a home turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// One unit, one office.
    Unique(Home),
    /// Several of today's units; a human picks.
    Ambiguous(Vec<Candidate>),
    /// No unit of the record, or none that an office serves.
    Unknown,
    /// The day it was said to be right on has not come yet: the sender's mistake.
    AsOfInFuture,
}

/// Today's unit for a home, and its office.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The unit's code today.
    pub unit: UnitCode,
    /// Its full name today.
    pub name: String,
    /// The office that serves it today.
    pub office: OfficeId,
    /// What looked odd on the way.
    pub warnings: Vec<ResolveWarning>,
}

/// One of today's units that a home may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The unit's code today.
    pub unit: UnitCode,
    /// Its full name today.
    pub name: String,
    /// The full name of its province today.
    pub province: String,
    /// The office that serves it today.
    pub office: OfficeId,
    /// That office's name.
    pub office_name: String,
    /// How much of the former unit went there; none when the words are its own name.
    pub share: Option<SuccessionDetail>,
    /// Today's address in words ("phường Hồng Hà, thành phố Hà Nội").
    pub words: String,
}

/// What looked odd while a home was resolved. Nothing is refused for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResolveWarning {
    /// The day lies before the record begins; the first record was used.
    BeforeRecord,
    /// The words name a unit that no longer exists under that name; its successor was taken.
    FormerName,
}

impl Directory {
    /// Finds today's unit and office for a home.
    pub fn resolve(&self, home: &HomeRef, now: Date) -> Resolution {
        let as_of = match home {
            HomeRef::Code(unit) => Some(unit.as_of),
            HomeRef::Words(words) => words.as_of,
        };
        if as_of.is_some_and(|as_of| as_of > now) {
            return Resolution::AsOfInFuture;
        }
        let mut warnings = Vec::new();
        if as_of.is_some_and(|as_of| as_of < self.record_begins) {
            warnings.push(ResolveWarning::BeforeRecord);
        }
        let (meant, by_words) = match home {
            HomeRef::Code(unit) => (self.row_at(unit).into_iter().collect(), false),
            HomeRef::Words(words) => (self.rows_named(words, now), true),
        };
        let ends = self.walk_all(&meant, now);
        if let [end] = ends.as_slice()
            && by_words
            && meant.iter().all(|row| self.is_renamed(*row, end.row))
        {
            warnings.push(ResolveWarning::FormerName);
        }
        let candidates: Option<Vec<Candidate>> = ends.iter().map(|end| self.candidate(*end, now)).collect();
        // One without an office makes the whole unknown: leaving it out would be guessing.
        let Some(mut candidates) = candidates else { return Resolution::Unknown };
        match (candidates.pop(), candidates.is_empty()) {
            (None, _) => Resolution::Unknown,
            (Some(only), true) => {
                Resolution::Unique(Home { unit: only.unit, name: only.name, office: only.office, warnings })
            }
            (Some(last), false) => {
                candidates.push(last);
                Resolution::Ambiguous(candidates)
            }
        }
    }

    /// The first day of which the rows tell.
    pub fn record_begins(&self) -> Date {
        self.record_begins
    }

    /// The unit of a code on a day.
    pub fn unit_at(&self, code: &UnitCode, on: Date) -> Option<&Unit> {
        self.row_of(*code, on).map(|row| self.unit(row))
    }

    /// An office by its id.
    pub fn office(&self, id: &OfficeId) -> Option<&Office> {
        self.office_index.get(id).map(|i| &self.offices[*i])
    }

    /// The office that serves a commune, or stands for a province, on a day.
    pub fn office_serving(&self, code: &UnitCode, on: Date) -> Option<&Office> {
        let served = match code.level() {
            UnitLevel::Commune => Served::Commune(*code),
            UnitLevel::Province => Served::Province(*code),
            UnitLevel::District => return None,
        };
        self.server_of(served, on).and_then(|id| self.office(&id))
    }

    /// The units that an office itself serves on a day, by code. A province's unit serves its
    /// province, and the communes without a police office of their own.
    pub fn units_of(&self, office: &OfficeId, on: Date) -> Vec<&Unit> {
        let rows = self.served_by.get(office).map_or(&[][..], Vec::as_slice);
        rows.iter()
            .filter(|row| row.is_valid_on(on))
            .filter_map(|row| row.served.unit())
            .filter_map(|code| self.unit_at(&code, on))
            .collect()
    }

    /// The offices above one on a day, lowest first: its province's unit, then the ministry's.
    /// The office itself is not among them.
    pub fn superiors(&self, office: &OfficeId, at: Date) -> Vec<(OfficeKind, OfficeId)> {
        let province = self.province_of(office).and_then(|code| self.server_of(Served::Province(code), at));
        [province, self.server_of(Served::Nation, at)]
            .into_iter()
            .flatten()
            .filter(|above| above != office)
            .filter_map(|above| self.office(&above).map(|o| (o.kind, above)))
            .collect()
    }

    /// The province an office lies in; none for the ministry's or an unknown one.
    pub fn province_of(&self, office: &OfficeId) -> Option<UnitCode> {
        self.office(office).and_then(|office| office.province)
    }

    /// All offices, in the order of the import.
    pub fn offices(&self) -> impl Iterator<Item = &Office> {
        self.offices.iter()
    }

    /// The communes of a day, by code.
    pub fn communes(&self, on: Date) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(move |unit| unit.code.level() == UnitLevel::Commune && unit.is_valid_on(on))
    }

    /// The address as of its day, then what it is called today: "xã A, huyện B, tỉnh C (nay là xã D,
    /// tỉnh E)". Many communes have one name, so the province stands with each. Of several successors all are named. A code that named nothing on that day stays a code.
    pub fn address_words(&self, unit: &UnitRef, now: Date) -> String {
        let Some(row) = self.row_at(unit) else { return unit.code.to_string() };
        let then = self.unit(row);
        let mut words = then.words();
        let province = self.row_of(then.province, unit.as_of.max(self.record_begins));
        for above in [self.district_of(row), province].into_iter().flatten() {
            words.push_str(", ");
            words.push_str(&self.unit(above).words());
        }
        let today: Vec<String> = self.walk_all(&[row], now).iter().map(|end| self.in_full(end.row, now)).collect();
        match today.as_slice() {
            [] => words,
            [same] if *same == words => words,
            [one] => format!("{words} (nay là {one})"),
            several => format!("{words} (nay thuộc {})", several.join(" hoặc ")),
        }
    }
}

#[cfg(test)]
mod tests;
