//! Do units, those above them, and what became of them fit together?

use std::collections::{HashMap, HashSet};

use xacminh_domain::Date;
use xacminh_domain::name::marked;
use xacminh_domain::unit::{NameVariant, Succession, Unit, UnitCode, UnitLevel};

use super::interval::{Span, covered, overlapping, span};
use crate::error::Error;
use crate::table::Table;
use crate::units::UnitFiles;

/// The intervals of each code, in order.
pub(crate) type Spans = HashMap<UnitCode, Vec<Span>>;

pub(crate) fn check(files: &UnitFiles) -> Result<Spans, Error> {
    let tables = [&files.provinces, &files.districts, &files.communes];
    let mut spans: Spans = HashMap::new();
    for table in tables {
        let rows = || table.rows.iter().map(|l| (l.row.code, span(l.row.valid_from, l.row.valid_to), l.line));
        if let Some(line) = overlapping(rows()) {
            return Err(table.fault(line, "valid_from", "overlaps another row of this code"));
        }
        for (code, span, _) in rows() {
            spans.entry(code).or_default().push(span);
        }
    }
    for list in spans.values_mut() {
        list.sort_unstable();
    }
    for table in tables {
        check_above(table, &spans)?;
        check_names(table)?;
    }
    let edges = [&files.successions, &files.province_successions, &files.district_successions];
    for table in edges {
        check_ends(table, &spans)?;
    }
    check_heirs(&files.communes, &files.successions)?;
    check_heirs(&files.provinces, &files.province_successions)?;
    for table in [&files.variants, &files.province_variants] {
        check_variants(table, &spans)?;
    }
    check_reused(files)?;
    Ok(spans)
}

/// What is above a unit must exist as long as the unit does, if under several names.
fn check_above(table: &Table<Unit>, spans: &Spans) -> Result<(), Error> {
    for lined in &table.rows {
        let unit = &lined.row;
        let whole = span(unit.valid_from, unit.valid_to);
        let exists = |code: UnitCode| covered(whole, spans.get(&code).map_or(&[][..], Vec::as_slice));
        if let Some(parent) = unit.parent
            && !exists(parent)
        {
            return Err(table.fault(lined.line, above_column(unit), "that unit does not exist for the whole interval"));
        }
        if !exists(unit.province) {
            return Err(table.fault(
                lined.line,
                "province_code",
                "that province does not exist for the whole interval",
            ));
        }
    }
    Ok(())
}

fn above_column(unit: &Unit) -> &'static str {
    if unit.code.level() == UnitLevel::District { "province_code" } else { "parent_code" }
}

/// Two units below the same one never share a name at one time, wherever the marks stand. Below a
/// district, and among districts, a town and the rural unit around it did, so there the type
/// counts; communes right below a province do not share one even so.
fn check_names(table: &Table<Unit>) -> Result<(), Error> {
    let rows = table.rows.iter().map(|l| {
        let unit = &l.row;
        let level_above = unit.parent.map(UnitCode::level);
        let in_province = unit.code.level() == UnitLevel::Commune && level_above == Some(UnitLevel::Province);
        let unit_type = (!in_province).then_some(unit.unit_type);
        ((unit.parent, unit_type, marked(unit.bare_name())), span(unit.valid_from, unit.valid_to), l.line)
    });
    match overlapping(rows) {
        Some(line) => Err(table.fault(line, "name", "another unit below the same one has this name at this time")),
        None => Ok(()),
    }
}

/// A succession leads from a row that ends the day before to one that starts on the day.
fn check_ends(table: &Table<Succession>, spans: &Spans) -> Result<(), Error> {
    for lined in &table.rows {
        let edge = &lined.row;
        let of = |code| spans.get(&code).map_or(&[][..], Vec::as_slice);
        let eve = edge.effective.yesterday().unwrap_or(Date::MIN);
        if !of(edge.from_code).iter().any(|(_, to)| *to == eve) {
            return Err(table.fault(lined.line, "old_code", "no unit of this code ends the day before"));
        }
        if !of(edge.to_code).iter().any(|(from, _)| *from == edge.effective) {
            return Err(table.fault(lined.line, "new_code", "no unit of this code starts on the day"));
        }
    }
    if let Some(twice) = table.repeated(|edge| (edge.from_code, edge.to_code, edge.effective)) {
        return Err(table.fault(twice.line, "new_code", "this succession stands twice"));
    }
    Ok(())
}

/// A unit that ended went somewhere; otherwise its people would be nobody's.
fn check_heirs(units: &Table<Unit>, edges: &Table<Succession>) -> Result<(), Error> {
    let ended: HashSet<_> = edges.rows.iter().map(|l| (l.row.from_code, l.row.effective)).collect();
    for lined in &units.rows {
        let next_day = lined.row.valid_to.and_then(|to| to.tomorrow().ok());
        if next_day.is_some_and(|day| !ended.contains(&(lined.row.code, day))) {
            return Err(units.fault(lined.line, "valid_to", format!("it ends and {} names no successor", edges.file)));
        }
    }
    Ok(())
}

fn check_variants(table: &Table<NameVariant>, spans: &Spans) -> Result<(), Error> {
    for lined in &table.rows {
        let ends = spans.get(&lined.row.code).is_some_and(|s| s.iter().any(|(_, to)| *to == lined.row.valid_to));
        if !ends {
            return Err(table.fault(lined.line, "valid_to", "no unit of this code ends on the day"));
        }
    }
    Ok(())
}

/// A code said to be reused must have had the two names, one right after the other.
fn check_reused(files: &UnitFiles) -> Result<(), Error> {
    let mut rows: HashMap<UnitCode, Vec<&Unit>> = HashMap::new();
    for lined in files.provinces.rows.iter().chain(&files.communes.rows) {
        rows.entry(lined.row.code).or_default().push(&lined.row);
    }
    for lined in &files.reused.rows {
        let units = rows.get(&lined.row.code).map_or(&[][..], Vec::as_slice);
        let follows = |old: &Unit, new: &Unit| {
            old.name == lined.row.old_name
                && new.name == lined.row.new_name
                && old.valid_to.and_then(|to| to.tomorrow().ok()).is_some_and(|day| new.valid_from == Some(day))
        };
        if !units.iter().any(|old| units.iter().any(|new| follows(old, new))) {
            return Err(files.reused.fault(lined.line, "code", "the code did not pass from the one name to the other"));
        }
    }
    Ok(())
}
