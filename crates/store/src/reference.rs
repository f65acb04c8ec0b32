//! Units, offices, calendar, rules, wording: imported whole, loaded whole.
//!
//! Services work on what is in the store, never on files, so that all copies agree.

use std::collections::BTreeMap;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, query, query_scalar};
use xacminh_domain::calendar::{
    Calendar, CalendarDay, CalendarVersion, Calendars, ChangedDays, DayKind, OfficeHours, SaturdayMode, SaturdayRule,
    Scope, ScopedDay, ScopedSaturday,
};
use xacminh_domain::directory::{Directory, DirectoryParts};
use xacminh_domain::id::OfficeId;
use xacminh_domain::office::{Office, OfficeKind, OfficeServes, Served};
use xacminh_domain::rules::{Ladder, LadderRow, LegalRule, LegalRules, RuleValue, RungTarget, Trigger};
use xacminh_domain::unit::{NameVariant, Succession, SuccessionDetail, Unit, UnitCode, UnitType};
use xacminh_domain::wording::{CitizenText, Wording};
use xacminh_domain::{Date, Timestamp};
use xacminh_registry::Registry;

use crate::error::Error;
use crate::ledger;
use crate::recount;
use crate::time::{At, On};

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// These very data are in force already.
    Unchanged,
    /// They are in force now.
    Replaced,
    /// They are in force now, and the working calendar is another: what is open is counted anew.
    CalendarChanged,
}

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

fn on(date: Option<Date>) -> Option<On> {
    date.map(On)
}

/// Puts checked reference data in force, all or nothing. Offices stay for ever, since requests
/// name them; everything else is replaced.
pub async fn import(tx: &mut PgConnection, registry: &Registry, at: Timestamp) -> Result<Imported, Error> {
    query("select pg_advisory_xact_lock(7226466)").execute(&mut *tx).await?;
    let latest: Option<Vec<u8>> =
        query_scalar("select digest from reference_versions order by imported_at desc limit 1")
            .fetch_optional(&mut *tx)
            .await?;
    if latest.as_deref() == Some(registry.digest.as_slice()) {
        return Ok(Imported::Unchanged);
    }
    let before = match load(tx).await {
        Ok(reference) => Some((reference.version, Ok(reference.calendars))),
        // Nothing was counted yet.
        Err(Error::NoReference) => None,
        // It cannot be told what was counted on: everything is compared.
        Err(error @ Error::Unreadable { .. }) => Some(("unreadable".to_owned(), Err(error))),
        Err(error) => return Err(error),
    };
    for table in [
        "delete from office_serves",
        "delete from units",
        "delete from unit_lineage",
        "delete from unit_name_variants",
        "delete from calendar_days",
        "delete from saturday_modes",
        "delete from legal_rules",
        "delete from ladder_rules",
        "delete from citizen_texts",
    ] {
        query(table).execute(&mut *tx).await?;
    }
    units(tx, registry).await?;
    offices(tx, registry).await?;
    rules(tx, registry).await?;
    query(
        "insert into reference_versions (version, digest, imported_at, record_begins) values ($1, $2, $3, $4)
           on conflict (version) do update set digest = excluded.digest, imported_at = excluded.imported_at,
               record_begins = excluded.record_begins",
    )
    .bind(&registry.version)
    .bind(registry.digest.as_slice())
    .bind(At(at))
    .bind(On(registry.record_begins))
    .execute(&mut *tx)
    .await?;
    let said = serde_json::json!({ "v": 1, "event": "imported", "version": registry.version });
    ledger::append_system(tx, "imports", at, &[said]).await?;
    let mut done = Imported::Replaced;
    if let Some((from, calendars)) = before {
        let new = load(tx).await?;
        let old = calendars.unwrap_or_else(|_| {
            Calendars::new(&[], &[], &CalendarVersion::from(from.as_str()), new.calendars.nation().hours(), |_| None)
        });
        let changed = ChangedDays::between(&old, &new.calendars, |id| new.directory.province_of(id));
        if !changed.is_empty() {
            recount::note(tx, at, &from, &registry.version, &changed).await?;
            done = Imported::CalendarChanged;
        }
    }
    query("select pg_notify('xacminh_reference', '')").execute(tx).await?;
    Ok(done)
}

async fn units(tx: &mut PgConnection, r: &Registry) -> Result<(), Error> {
    query(
        "insert into units (level, code, name, kind, parent_code, province_code, valid_from, valid_to)
         select * from unnest($1::smallint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::date[], $8::date[])",
    )
    .bind(r.units.iter().map(|u| i16::from(u.code.level().number())).collect::<Vec<_>>())
    .bind(r.units.iter().map(|u| u.code.to_string()).collect::<Vec<_>>())
    .bind(r.units.iter().map(|u| u.name.as_str()).collect::<Vec<_>>())
    .bind(r.units.iter().map(|u| u.unit_type.as_str()).collect::<Vec<_>>())
    .bind(r.units.iter().map(|u| u.parent.map(|p| p.to_string())).collect::<Vec<_>>())
    .bind(r.units.iter().map(|u| u.province.to_string()).collect::<Vec<_>>())
    .bind(r.units.iter().map(|u| on(u.valid_from)).collect::<Vec<_>>())
    .bind(r.units.iter().map(|u| on(u.valid_to)).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    query("insert into unit_lineage (from_code, to_code, effective, detail) select * from unnest($1::text[], $2::text[], $3::date[], $4::text[])")
        .bind(r.successions.iter().map(|s| s.from_code.to_string()).collect::<Vec<_>>())
        .bind(r.successions.iter().map(|s| s.to_code.to_string()).collect::<Vec<_>>())
        .bind(r.successions.iter().map(|s| On(s.effective)).collect::<Vec<_>>())
        .bind(r.successions.iter().map(|s| s.detail.as_str()).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
    query("insert into unit_name_variants (code, name, valid_to) select * from unnest($1::text[], $2::text[], $3::date[]) on conflict do nothing")
        .bind(r.variants.iter().map(|v| v.code.to_string()).collect::<Vec<_>>())
        .bind(r.variants.iter().map(|v| v.name.as_str()).collect::<Vec<_>>())
        .bind(r.variants.iter().map(|v| On(v.valid_to)).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

async fn offices(tx: &mut PgConnection, r: &Registry) -> Result<(), Error> {
    query(
        "insert into offices (office_id, name, kind, province_code, phone, opening_hours, fallback_phone, valid_from, valid_to)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::date[], $9::date[])
         on conflict (office_id) do update set name = excluded.name, kind = excluded.kind,
             province_code = excluded.province_code, phone = excluded.phone, opening_hours = excluded.opening_hours,
             fallback_phone = excluded.fallback_phone, valid_from = excluded.valid_from, valid_to = excluded.valid_to",
    )
    .bind(r.offices.iter().map(|o| o.office.id.to_string()).collect::<Vec<_>>())
    .bind(r.offices.iter().map(|o| o.office.name.as_str()).collect::<Vec<_>>())
    .bind(r.offices.iter().map(|o| o.office.kind.as_str()).collect::<Vec<_>>())
    .bind(r.offices.iter().map(|o| o.office.province.map(|p| p.to_string())).collect::<Vec<_>>())
    .bind(r.offices.iter().map(|o| o.office.phone.as_deref()).collect::<Vec<_>>())
    .bind(r.offices.iter().map(|o| o.office.opening_hours.to_string()).collect::<Vec<_>>())
    .bind(r.offices.iter().map(|o| o.office.fallback_phone.as_deref()).collect::<Vec<_>>())
    .bind(r.offices.iter().map(|o| on(o.valid_from)).collect::<Vec<_>>())
    .bind(r.offices.iter().map(|o| on(o.valid_to)).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    query(
        "insert into office_serves (office_id, level, unit_code, valid_from, valid_to)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::date[])",
    )
    .bind(r.serves.iter().map(|s| s.office.to_string()).collect::<Vec<_>>())
    .bind(r.serves.iter().map(|s| s.served.level()).collect::<Vec<_>>())
    .bind(r.serves.iter().map(|s| s.served.code()).collect::<Vec<_>>())
    .bind(r.serves.iter().map(|s| on(s.valid_from)).collect::<Vec<_>>())
    .bind(r.serves.iter().map(|s| on(s.valid_to)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn rules(tx: &mut PgConnection, r: &Registry) -> Result<(), Error> {
    let nation = r.calendar_days.iter().map(|day| (Scope::Nation, day));
    let days: Vec<(Scope, &CalendarDay)> = nation.chain(r.local_days.iter().map(|d| (d.scope, &d.day))).collect();
    query(
        "insert into calendar_days (scope, on_date, kind, name, status, version)
         select c, d, k, n, s, $6
         from unnest($1::text[], $2::date[], $3::text[], $4::text[], $5::text[]) as c (c, d, k, n, s)",
    )
    .bind(days.iter().map(|(scope, _)| scope.to_string()).collect::<Vec<_>>())
    .bind(days.iter().map(|(_, d)| On(d.on)).collect::<Vec<_>>())
    .bind(days.iter().map(|(_, d)| d.kind.as_str()).collect::<Vec<_>>())
    .bind(days.iter().map(|(_, d)| d.name.as_str()).collect::<Vec<_>>())
    .bind(days.iter().map(|(_, d)| if d.provisional { "provisional" } else { "official" }).collect::<Vec<_>>())
    .bind(&r.version)
    .execute(&mut *tx)
    .await?;
    query(
        "insert into saturday_modes (scope, mode, valid_from, valid_to)
         select * from unnest($1::text[], $2::text[], $3::date[], $4::date[])",
    )
    .bind(r.saturdays.iter().map(|s| s.scope.to_string()).collect::<Vec<_>>())
    .bind(r.saturdays.iter().map(|s| s.rule.mode.as_str()).collect::<Vec<_>>())
    .bind(r.saturdays.iter().map(|s| on(s.rule.valid_from)).collect::<Vec<_>>())
    .bind(r.saturdays.iter().map(|s| on(s.rule.valid_to)).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    query(
        "insert into legal_rules (key, value, unit, valid_from, valid_to, source)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::date[], $6::text[])",
    )
    .bind(r.legal_rows.iter().map(|l| l.rule.key.as_str()).collect::<Vec<_>>())
    .bind(r.legal_rows.iter().map(|l| l.value.as_str()).collect::<Vec<_>>())
    .bind(r.legal_rows.iter().map(|l| l.unit.as_str()).collect::<Vec<_>>())
    .bind(r.legal_rows.iter().map(|l| on(l.rule.valid_from)).collect::<Vec<_>>())
    .bind(r.legal_rows.iter().map(|l| on(l.rule.valid_to)).collect::<Vec<_>>())
    .bind(r.legal_rows.iter().map(|l| l.source.as_str()).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    query(
        "insert into ladder_rules (trigger, rung, target, action, after_wd, valid_from, valid_to)
         select * from unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::int[], $6::date[], $7::date[])",
    )
    .bind(r.ladder_rows.iter().map(|l| l.rung.trigger.as_str()).collect::<Vec<_>>())
    .bind(r.ladder_rows.iter().map(|l| i16::from(l.rung.rung)).collect::<Vec<_>>())
    .bind(r.ladder_rows.iter().map(|l| l.rung.target.as_str()).collect::<Vec<_>>())
    .bind(r.ladder_rows.iter().map(|l| l.action.as_str()).collect::<Vec<_>>())
    .bind(r.ladder_rows.iter().map(|l| i32::try_from(l.rung.after_wd).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(r.ladder_rows.iter().map(|l| on(l.rung.valid_from)).collect::<Vec<_>>())
    .bind(r.ladder_rows.iter().map(|l| on(l.rung.valid_to)).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    query(
        "insert into citizen_texts (code, version, valid_from, valid_to, reviewer, text)
         select * from unnest($1::text[], $2::text[], $3::date[], $4::date[], $5::text[], $6::text[])",
    )
    .bind(r.texts.iter().map(|t| t.code.as_str()).collect::<Vec<_>>())
    .bind(r.texts.iter().map(|t| t.version.as_str()).collect::<Vec<_>>())
    .bind(r.texts.iter().map(|t| On(t.valid_from)).collect::<Vec<_>>())
    .bind(r.texts.iter().map(|t| on(t.valid_to)).collect::<Vec<_>>())
    .bind(r.texts.iter().map(|t| t.reviewer.as_str()).collect::<Vec<_>>())
    .bind(r.texts.iter().map(|t| t.text.as_str()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
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
