//! The working calendar: one file a year for the nation, `local.csv` for days of one place,
//! `saturday.csv` for what is done on Saturdays.

use std::collections::HashSet;

use jiff::civil::Date;
use xacminh_domain::calendar::{CalendarDay, DayKind, SaturdayMode, SaturdayRule, Scope, ScopedDay, ScopedSaturday};
use xacminh_domain::id::OfficeId;
use xacminh_domain::unit::Unit;

use crate::check::interval::{overlapping, span};
use crate::error::Error;
use crate::table::{Files, Record};

const LOCAL: &str = "calendar/local.csv";
const SATURDAY: &str = "calendar/saturday.csv";

/// Reads every `calendar/vn-<year>.csv`; each year that is there is imported whole.
pub(crate) fn read(files: &mut Files) -> Result<Vec<CalendarDay>, Error> {
    let mut days = Vec::new();
    for file in files.list("calendar")? {
        let year = file.strip_prefix("calendar/vn-").and_then(|rest| rest.strip_suffix(".csv"));
        let Some(year) = year.and_then(|year| year.parse::<i16>().ok()) else { continue };
        let table = files.table(&file, &["date", "kind", "name", "status"], |r| {
            let on = r.date("date")?;
            if on.year() != year {
                return Err(r.fault("date", format!("not a day of {year}")));
            }
            Ok(CalendarDay {
                on,
                kind: r.one_of("kind", kinds(false), DayKind::from_word)?,
                name: r.required("name")?,
                provisional: provisional(r)?,
            })
        })?;
        if let Some(twice) = table.repeated(|day| day.on) {
            return Err(table.fault(twice.line, "date", "this day stands twice"));
        }
        days.extend(table.into_rows());
    }
    if days.is_empty() {
        return Err(Error::Content {
            file: "calendar".to_owned(),
            line: 1,
            column: "header".to_owned(),
            problem: "no file vn-<year>.csv with a day".to_owned(),
        });
    }
    Ok(days)
}

fn provisional(r: &Record<'_>) -> Result<bool, Error> {
    r.one_of("status", ["official", "provisional"], |word| Some(word == "provisional"))
}

/// The kinds of days, those of one place or the nation's.
fn kinds(local: bool) -> impl Iterator<Item = &'static str> {
    DayKind::ALL.into_iter().filter(move |kind| kind.is_local() == local).map(DayKind::as_str)
}

/// Who may have days of its own.
pub(crate) struct Places {
    /// Provinces of all eras.
    pub(crate) provinces: Vec<Unit>,
    /// Offices.
    pub(crate) offices: HashSet<OfficeId>,
}

impl Places {
    /// Whose it is; `on` is the day on which a province must be one, where it is a matter of a day.
    fn scope(&self, r: &Record<'_>, on: Option<Date>) -> Result<Scope, Error> {
        let scope: Scope = r.parsed("scope")?;
        let is_province = |code| self.provinces.iter().any(|p| p.code == code && on.is_none_or(|on| p.is_valid_on(on)));
        match scope {
            Scope::Province(code) if !is_province(code) => Err(r.fault("scope", "no such province on that day")),
            Scope::Office(id) if !self.offices.contains(&id) => Err(r.fault("scope", "no such office")),
            Scope::Nation | Scope::Province(_) | Scope::Office(_) => Ok(scope),
        }
    }
}

/// Reads the days of single provinces and offices.
pub(crate) fn read_local(files: &mut Files, places: &Places) -> Result<Vec<ScopedDay>, Error> {
    let table = files.table(LOCAL, &["scope", "date", "kind", "name", "status"], |r| {
        let on = r.date("date")?;
        let scope = places.scope(r, Some(on))?;
        if scope == Scope::Nation {
            return Err(r.fault("scope", "the nation's days stand in vn-<year>.csv"));
        }
        let day = CalendarDay {
            on,
            kind: r.one_of("kind", kinds(true), DayKind::from_word)?,
            name: r.required("name")?,
            provisional: provisional(r)?,
        };
        Ok(ScopedDay { scope, day })
    })?;
    if let Some(twice) = table.repeated(|row| (row.scope, row.day.on)) {
        return Err(table.fault(twice.line, "date", "this day stands twice for this scope"));
    }
    Ok(table.into_rows().collect())
}

/// Reads what is done on Saturdays.
pub(crate) fn read_saturdays(files: &mut Files, places: &Places) -> Result<Vec<ScopedSaturday>, Error> {
    let table = files.table(SATURDAY, &["scope", "mode", "valid_from", "valid_to"], |r| {
        let (valid_from, valid_to) = r.interval()?;
        let mode = r.one_of("mode", SaturdayMode::ALL.map(SaturdayMode::as_str), SaturdayMode::from_word)?;
        Ok(ScopedSaturday { scope: places.scope(r, None)?, rule: SaturdayRule { mode, valid_from, valid_to } })
    })?;
    let spans = table.rows.iter().map(|l| (l.row.scope, span(l.row.rule.valid_from, l.row.rule.valid_to), l.line));
    if let Some(line) = overlapping(spans) {
        return Err(table.fault(line, "valid_from", "overlaps another row of this scope"));
    }
    Ok(table.into_rows().collect())
}
