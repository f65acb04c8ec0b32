//! Units, offices, calendar, rules, wording: imported whole, loaded whole.
//!
//! Services work on what is in the store, never on files, so that all copies agree.

use std::collections::BTreeMap;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, query, query_scalar};
use xacminh_domain::calendar::{
    Calendar, CalendarDay, CalendarVersion, Calendars, DayKind, OfficeHours, SaturdayMode, SaturdayRule, Scope,
    ScopedDay, ScopedSaturday,
};
use xacminh_domain::directory::{Directory, DirectoryParts};
use xacminh_domain::id::OfficeId;
use xacminh_domain::office::{Office, OfficeKind, OfficeServes, Served};
use xacminh_domain::rules::{Ladder, LadderRow, LegalRule, LegalRules, RuleValue, RungTarget, Trigger};
use xacminh_domain::unit::{NameVariant, Succession, SuccessionDetail, Unit, UnitCode, UnitType};
use xacminh_domain::wording::{CitizenText, Wording};
use xacminh_domain::{Date, Timestamp};

use crate::error::Error;
use crate::time::{At, On};

mod import;

pub use import::{Imported, import};

/// The dated data in force, as the domain asks them.
#[derive(Debug)]
pub struct Reference {
    /// Which import.
    pub version: String,
    /// When it was imported: data may be imported anew under a version that was there.
    pub imported_at: Timestamp,
    /// Units and offices.
    pub directory: Directory,
    /// The working calendars.
    pub calendars: Calendars,
    /// Limits.
    pub rules: LegalRules,
    /// The ladder.
    pub ladder: Ladder,
    /// What citizens are told.
    pub wording: Wording,
}

impl Reference {
    /// The working calendar of an office.
    pub fn calendar_of(&self, office: OfficeId) -> &Calendar {
        self.calendars.of(&office, self.directory.province_of(&office))
    }
}

/// When the data in force were imported.
pub async fn imported_at(conn: &mut PgConnection) -> Result<Timestamp, Error> {
    let latest: Option<At> = query_scalar("select max(imported_at) from reference_versions").fetch_one(conn).await?;
    latest.map(|at| at.0).ok_or(Error::NoReference)
}

/// Loads what is in force.
pub async fn load(conn: &mut PgConnection) -> Result<Reference, Error> {
    let latest: Option<(String, At)> =
        sqlx::query_as("select version, imported_at from reference_versions order by imported_at desc limit 1")
            .fetch_optional(&mut *conn)
            .await?;
    let (version, At(imported_at)) = latest.ok_or(Error::NoReference)?;
    let rules = LegalRules::new(all(conn, "select * from legal_rules", legal_rule).await?);
    let days: Vec<ScopedDay> = all(conn, "select * from calendar_days", scoped_day).await?;
    let saturdays: Vec<ScopedSaturday> = all(conn, "select * from saturday_modes", scoped_saturday).await?;
    let hours = rules
        .get(LegalRules::OFFICE_HOURS, days.iter().map(|d| d.day.on).max().unwrap_or(Date::MAX))
        .and_then(|value| if let RuleValue::Hours(hours) = value { Some(hours.clone()) } else { None })
        .ok_or_else(|| Error::unreadable("legal_rules", "no office hours"))?;
    let units: Vec<Unit> = all(conn, "select * from units", unit).await?;
    let record_begins: On = query_scalar("select record_begins from reference_versions where version = $1")
        .bind(&version)
        .fetch_one(&mut *conn)
        .await?;
    let directory = Directory::new(DirectoryParts {
        units,
        successions: all(conn, "select * from unit_lineage", succession).await?,
        variants: all(conn, "select * from unit_name_variants", |row| {
            Ok(NameVariant {
                code: code(row, "code")?,
                name: row.try_get("name")?,
                valid_to: row.try_get::<On, _>("valid_to")?.0,
            })
        })
        .await?,
        offices: all(conn, "select * from offices", office).await?,
        serves: all(conn, "select * from office_serves", serves).await?,
        record_begins: record_begins.0,
    });
    Ok(Reference {
        calendars: Calendars::new(&days, &saturdays, &CalendarVersion::from(version.as_str()), &hours, |id| {
            directory.province_of(id)
        }),
        version,
        imported_at,
        directory,
        rules,
        ladder: Ladder::new(all(conn, "select * from ladder_rules order by trigger, rung", ladder_row).await?),
        wording: Wording::new(all(conn, "select * from citizen_texts", text).await?),
    })
}

async fn all<T>(
    conn: &mut PgConnection,
    statement: &'static str,
    read: impl Fn(&PgRow) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    query(statement).fetch_all(conn).await?.iter().map(read).collect()
}

fn code(row: &PgRow, column: &str) -> Result<UnitCode, Error> {
    row.try_get::<&str, _>(column)?.parse().map_err(|e| Error::unreadable("a unit code", e))
}

fn optional_code(row: &PgRow, column: &str) -> Result<Option<UnitCode>, Error> {
    row.try_get::<Option<&str>, _>(column)?
        .map(|text| text.parse().map_err(|e| Error::unreadable("a unit code", e)))
        .transpose()
}

fn day(row: &PgRow, column: &str) -> Result<Option<Date>, Error> {
    Ok(row.try_get::<Option<On>, _>(column)?.map(|on| on.0))
}

fn word<T>(row: &PgRow, column: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    read(row.try_get(column)?).ok_or_else(|| Error::unreadable(column, "an unknown word"))
}

fn unit(row: &PgRow) -> Result<Unit, Error> {
    Ok(Unit {
        code: code(row, "code")?,
        name: row.try_get("name")?,
        unit_type: word(row, "kind", UnitType::from_word)?,
        parent: optional_code(row, "parent_code")?,
        province: code(row, "province_code")?,
        valid_from: day(row, "valid_from")?,
        valid_to: day(row, "valid_to")?,
    })
}

fn succession(row: &PgRow) -> Result<Succession, Error> {
    Ok(Succession {
        from_code: code(row, "from_code")?,
        to_code: code(row, "to_code")?,
        effective: row.try_get::<On, _>("effective")?.0,
        detail: word(row, "detail", SuccessionDetail::from_word)?,
    })
}

fn office(row: &PgRow) -> Result<Office, Error> {
    Ok(Office {
        id: row.try_get::<&str, _>("office_id")?.parse().map_err(|e| Error::unreadable("an office", e))?,
        name: row.try_get("name")?,
        kind: word(row, "kind", OfficeKind::from_word)?,
        province: optional_code(row, "province_code")?,
        phone: row.try_get("phone")?,
        fallback_phone: row.try_get("fallback_phone")?,
        opening_hours: word(row, "opening_hours", |text| text.parse::<OfficeHours>().ok())?,
    })
}

fn serves(row: &PgRow) -> Result<OfficeServes, Error> {
    let served = match row.try_get::<&str, _>("level")? {
        "commune" => Served::Commune(code(row, "unit_code")?),
        "province" => Served::Province(code(row, "unit_code")?),
        _ => Served::Nation,
    };
    Ok(OfficeServes {
        office: row.try_get::<&str, _>("office_id")?.parse().map_err(|e| Error::unreadable("an office", e))?,
        served,
        valid_from: day(row, "valid_from")?,
        valid_to: day(row, "valid_to")?,
    })
}

fn scope(row: &PgRow) -> Result<Scope, Error> {
    row.try_get::<&str, _>("scope")?.parse().map_err(|e| Error::unreadable("a scope", e))
}

fn scoped_day(row: &PgRow) -> Result<ScopedDay, Error> {
    let day = CalendarDay {
        on: row.try_get::<On, _>("on_date")?.0,
        kind: word(row, "kind", DayKind::from_word)?,
        name: row.try_get("name")?,
        provisional: row.try_get::<&str, _>("status")? == "provisional",
    };
    Ok(ScopedDay { scope: scope(row)?, day })
}

fn scoped_saturday(row: &PgRow) -> Result<ScopedSaturday, Error> {
    let rule = SaturdayRule {
        mode: word(row, "mode", SaturdayMode::from_word)?,
        valid_from: day(row, "valid_from")?,
        valid_to: day(row, "valid_to")?,
    };
    Ok(ScopedSaturday { scope: scope(row)?, rule })
}

fn legal_rule(row: &PgRow) -> Result<LegalRule, Error> {
    let value = RuleValue::parse(row.try_get("value")?, row.try_get("unit")?);
    Ok(LegalRule {
        key: row.try_get("key")?,
        value: value.ok_or_else(|| Error::unreadable("legal_rules", "a value"))?,
        valid_from: day(row, "valid_from")?,
        valid_to: day(row, "valid_to")?,
    })
}

fn ladder_row(row: &PgRow) -> Result<LadderRow, Error> {
    Ok(LadderRow {
        trigger: word(row, "trigger", Trigger::from_word)?,
        rung: u8::try_from(row.try_get::<i16, _>("rung")?).unwrap_or(u8::MAX),
        target: word(row, "target", RungTarget::from_word)?,
        after_wd: u32::try_from(row.try_get::<i32, _>("after_wd")?).unwrap_or(u32::MAX),
        valid_from: day(row, "valid_from")?,
        valid_to: day(row, "valid_to")?,
    })
}

fn text(row: &PgRow) -> Result<CitizenText, Error> {
    Ok(CitizenText {
        code: row.try_get("code")?,
        version: row.try_get("version")?,
        valid_from: row.try_get::<On, _>("valid_from")?.0,
        valid_to: day(row, "valid_to")?,
        reviewer: row.try_get("reviewer")?,
        text: row.try_get("text")?,
    })
}

/// The numbers of offices, for a person.
pub async fn counts(conn: &mut PgConnection) -> Result<BTreeMap<String, i64>, Error> {
    let rows = query("select kind, count(*) as n from offices group by kind").fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get("kind")?, row.try_get("n")?))).collect()
}
