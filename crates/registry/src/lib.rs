#![doc = include_str!("../README.md")]

mod calendar;
mod check;
mod error;
mod offices;
mod rules;
mod table;
mod units;
mod wording;

use std::collections::HashMap;
use std::path::Path;

use xacminh_domain::Date;
use xacminh_domain::calendar::{
    Calendar, CalendarDay, CalendarVersion, Calendars, OfficeHours, SaturdayMode, SaturdayRule, Scope, ScopedDay,
    ScopedSaturday,
};
use xacminh_domain::directory::{Directory, DirectoryParts};
use xacminh_domain::id::OfficeId;
use xacminh_domain::office::OfficeServes;
use xacminh_domain::rules::{Ladder, LegalRules, RuleValue};
use xacminh_domain::unit::{NameVariant, Succession, Unit, UnitCode};
use xacminh_domain::wording::{CitizenText, Wording};

pub use error::Error;
pub use offices::OfficeRow;
pub use rules::{LegalRow, RungRow};

use offices::OfficeFiles;
use table::Files;
use units::UnitFiles;

/// The reference data of one directory, checked. The rows are plain, so that a store can take
/// them in bulk; the methods build what `xacminh_domain` asks.
#[derive(Debug, Clone)]
pub struct Registry {
    /// What `VERSION` says; the calendar's version too.
    pub version: String,
    /// SHA-256 over names and contents of all files: the same digest is the same data.
    pub digest: [u8; 32],
    /// The first day of which the units tell.
    pub record_begins: Date,
    /// Units of all levels and eras: provinces, districts, communes.
    pub units: Vec<Unit>,
    /// What became of them, on all levels.
    pub successions: Vec<Succession>,
    /// Other spellings of names.
    pub variants: Vec<NameVariant>,
    /// Offices.
    pub offices: Vec<OfficeRow>,
    /// What they serve.
    pub serves: Vec<OfficeServes>,
    /// Days that are not what their weekday says, for the whole nation.
    pub calendar_days: Vec<CalendarDay>,
    /// The same for single provinces and offices.
    pub local_days: Vec<ScopedDay>,
    /// What is done on Saturdays.
    pub saturdays: Vec<ScopedSaturday>,
    /// Limits of law and house.
    pub legal_rows: Vec<LegalRow>,
    /// The ladder.
    pub ladder_rows: Vec<RungRow>,
    /// What citizens are told.
    pub texts: Vec<CitizenText>,
    hours: OfficeHours,
}

impl Registry {
    /// Reads and checks all files of a directory laid out like `data/`.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let mut files = Files::new(dir);
        let version = read_version(&mut files)?;
        let units = UnitFiles::read(&mut files)?;
        let offices = OfficeFiles::read(&mut files)?;
        let calendar_days = calendar::read(&mut files)?;
        let legal_rows = rules::read_legal(&mut files)?;
        let ladder_rows = rules::read_ladder(&mut files)?;
        let texts = wording::read(&mut files)?;
        let spans = check::units::check(&units)?;
        check::offices::check(&offices, &units, &spans)?;
        let places = calendar::Places {
            provinces: units.provinces.rows.iter().map(|l| l.row.clone()).collect(),
            offices: offices.offices.rows.iter().map(|l| l.row.office.id).collect(),
        };
        let local_days = calendar::read_local(&mut files, &places)?;
        let saturdays = calendar::read_saturdays(&mut files, &places)?;
        // Checked when the limits were read: there is a row that goes on.
        let mut going_on = legal_rows.iter().map(|row| &row.rule).filter(|rule| rule.valid_to.is_none());
        let hours = going_on.find_map(|rule| {
            let RuleValue::Hours(hours) = &rule.value else { return None };
            (rule.key == LegalRules::OFFICE_HOURS).then(|| hours.clone())
        });
        let hours = hours.ok_or_else(|| Error::Content {
            file: "rules/legal_rules.csv".to_owned(),
            line: 1,
            column: "key".to_owned(),
            problem: "no office hours".to_owned(),
        })?;
        let UnitFiles {
            provinces,
            districts,
            communes,
            successions,
            province_successions,
            district_successions,
            variants,
            province_variants,
            record_begins,
            ..
        } = units;
        Ok(Self {
            version,
            digest: files.digest(),
            record_begins,
            units: provinces.into_rows().chain(districts.into_rows()).chain(communes.into_rows()).collect(),
            successions: province_successions
                .into_rows()
                .chain(district_successions.into_rows())
                .chain(successions.into_rows())
                .collect(),
            variants: variants.into_rows().chain(province_variants.into_rows()).collect(),
            offices: offices.offices.into_rows().collect(),
            serves: offices.serves.into_rows().collect(),
            calendar_days,
            local_days,
            saturdays,
            legal_rows,
            ladder_rows,
            texts,
            hours,
        })
    }

    /// The directory of units and offices.
    pub fn directory(&self) -> Directory {
        Directory::new(DirectoryParts {
            units: self.units.clone(),
            successions: self.successions.clone(),
            variants: self.variants.clone(),
            offices: self.offices.iter().map(|row| row.office.clone()).collect(),
            serves: self.serves.clone(),
            record_begins: self.record_begins,
        })
    }

    /// The working calendars of all offices.
    pub fn calendars(&self) -> Calendars {
        let nation = self.calendar_days.iter().map(|day| ScopedDay { scope: Scope::Nation, day: day.clone() });
        let days: Vec<ScopedDay> = nation.chain(self.local_days.iter().cloned()).collect();
        let version = CalendarVersion::from(self.version.as_str());
        let provinces: HashMap<OfficeId, Option<UnitCode>> =
            self.offices.iter().map(|row| (row.office.id, row.office.province)).collect();
        Calendars::new(&days, &self.saturdays, &version, &self.hours, |id| provinces.get(id).copied().flatten())
    }

    /// The working calendar of the nation.
    pub fn calendar(&self) -> Calendar {
        self.calendars().nation().clone()
    }

    /// The nation's calendar as it would be with this mode for all Saturdays.
    pub fn calendar_with(&self, mode: SaturdayMode) -> Calendar {
        let version = CalendarVersion::from(format!("{}/saturday:{}", self.version, mode.as_str()));
        let rule = SaturdayRule { mode, valid_from: None, valid_to: None };
        Calendar::with_saturdays(self.calendar_days.iter().cloned(), vec![rule], version, self.hours.clone())
    }

    /// The dated limits.
    pub fn legal_rules(&self) -> LegalRules {
        LegalRules::new(self.legal_rows.iter().map(|row| row.rule.clone()))
    }

    /// What citizens are told.
    pub fn wording(&self) -> Wording {
        Wording::new(self.texts.iter().cloned())
    }

    /// The dated ladder.
    pub fn ladder(&self) -> Ladder {
        Ladder::new(self.ladder_rows.iter().map(|row| row.rung))
    }
}

/// One line: the day of the data and a number of that day, such as `2026-11-24.1`.
fn read_version(files: &mut Files) -> Result<String, Error> {
    let text = files.read("VERSION")?;
    let version = text.trim_end_matches('\n');
    let well_formed = version.split_once('.').is_some_and(|(day, number)| {
        day.len() == 10
            && day.parse::<Date>().is_ok()
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
    });
    if well_formed {
        Ok(version.to_owned())
    } else {
        Err(Error::Content {
            file: "VERSION".to_owned(),
            line: 1,
            column: "byte 1".to_owned(),
            problem: "expected a day and a number (2026-11-24.1)".to_owned(),
        })
    }
}
