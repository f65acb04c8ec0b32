//! Puts reference data in force, whole or not at all, and notes when the working calendar changed.

use sqlx::postgres::PgConnection;
use sqlx::{query, query_scalar};
use xacminh_domain::calendar::{CalendarDay, CalendarVersion, Calendars, ChangedDays, Scope};
use xacminh_domain::{Date, Timestamp};
use xacminh_registry::Registry;

use super::load;
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
