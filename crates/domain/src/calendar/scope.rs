//! Whose calendar: the nation's, a province's, an office's. The narrower one wins, day by day.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::{Calendar, CalendarDay, CalendarVersion, OfficeHours, SaturdayRule};
use crate::id::OfficeId;
use crate::unit::UnitCode;

/// For whom a day or a Saturday's mode holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everywhere.
    Nation,
    /// At all offices of a province.
    Province(UnitCode),
    /// At one office.
    Office(OfficeId),
}

/// A text is none of `nation`, `province:08`, `office:vpa2b3c4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a scope (nation, province:CODE, office:ID)")]
pub struct ScopeError;

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        match text.split_once(':') {
            None if text == "nation" => Ok(Self::Nation),
            Some(("province", code)) => code.parse().map(Self::Province).map_err(|_| ScopeError),
            Some(("office", id)) => id.parse().map(Self::Office).map_err(|_| ScopeError),
            _ => Err(ScopeError),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nation => f.write_str("nation"),
            Self::Province(code) => write!(f, "province:{code}"),
            Self::Office(id) => write!(f, "office:{id}"),
        }
    }
}

/// A day of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopedDay {
    /// For whom.
    pub scope: Scope,
    /// The day.
    pub day: CalendarDay,
}

/// What is done on Saturdays in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScopedSaturday {
    /// For whom.
    pub scope: Scope,
    /// The mode and its time.
    pub rule: SaturdayRule,
}

/// The calendars of all offices. Only who has something of its own has one of its own.
#[derive(Debug, Clone)]
pub struct Calendars {
    nation: Calendar,
    provinces: HashMap<UnitCode, Calendar>,
    offices: HashMap<OfficeId, Calendar>,
}

impl Calendars {
    /// Builds them all. `province_of` tells where an office lies that has days of its own.
    pub fn new(
        days: &[ScopedDay],
        saturdays: &[ScopedSaturday],
        version: &CalendarVersion,
        hours: &OfficeHours,
        province_of: impl Fn(&OfficeId) -> Option<UnitCode>,
    ) -> Self {
        // Widest first: of two entries for one day the later one counts.
        let build = |path: &[Scope]| {
            let own = path.last().copied().unwrap_or(Scope::Nation);
            let days = path.iter().flat_map(|scope| days.iter().filter(move |d| d.scope == *scope));
            let rules = path.iter().rev().flat_map(|scope| saturdays.iter().filter(move |s| s.scope == *scope));
            let version = match own {
                Scope::Nation => version.clone(),
                Scope::Province(_) | Scope::Office(_) => CalendarVersion::from(format!("{version}/{own}")),
            };
            Calendar::with_saturdays(
                days.map(|d| d.day.clone()),
                rules.map(|s| s.rule).collect(),
                version,
                hours.clone(),
            )
        };
        let mut calendars =
            Self { nation: build(&[Scope::Nation]), provinces: HashMap::new(), offices: HashMap::new() };
        for scope in days.iter().map(|d| d.scope).chain(saturdays.iter().map(|s| s.scope)) {
            match scope {
                Scope::Nation => {}
                Scope::Province(code) => {
                    calendars.provinces.entry(code).or_insert_with(|| build(&[Scope::Nation, scope]));
                }
                Scope::Office(id) => {
                    let path: Vec<Scope> = [Some(Scope::Nation), province_of(&id).map(Scope::Province), Some(scope)]
                        .into_iter()
                        .flatten()
                        .collect();
                    calendars.offices.entry(id).or_insert_with(|| build(&path));
                }
            }
        }
        calendars
    }

    /// Who has a calendar of its own, the nation first.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> + '_ {
        let provinces = self.provinces.keys().map(|code| Scope::Province(*code));
        let offices = self.offices.keys().map(|id| Scope::Office(*id));
        std::iter::once(Scope::Nation).chain(provinces).chain(offices)
    }

    /// That of a scope: its own, or the next wider one's. `province` is where an office lies.
    pub fn in_scope(&self, scope: Scope, province: Option<UnitCode>) -> &Calendar {
        match scope {
            Scope::Nation => &self.nation,
            Scope::Province(code) => self.provinces.get(&code).unwrap_or(&self.nation),
            Scope::Office(id) => self.of(&id, province),
        }
    }

    /// The nation's.
    pub fn nation(&self) -> &Calendar {
        &self.nation
    }

    /// That of an office in a province: its own, its province's, or the nation's.
    pub fn of(&self, office: &OfficeId, province: Option<UnitCode>) -> &Calendar {
        self.offices.get(office).or_else(|| province.and_then(|code| self.provinces.get(&code))).unwrap_or(&self.nation)
    }
}
