//! Does every unit in force have an office, and only one?

use std::collections::{HashMap, HashSet};

use xacminh_domain::id::OfficeId;
use xacminh_domain::office::Served;
use xacminh_domain::unit::Unit;

use super::interval::{Span, covered, overlapping, span};
use super::units::Spans;
use crate::error::Error;
use crate::offices::OfficeFiles;
use crate::table::Table;
use crate::units::UnitFiles;

pub(crate) fn check(files: &OfficeFiles, units: &UnitFiles, spans: &Spans) -> Result<(), Error> {
    let OfficeFiles { offices, serves } = files;
    if let Some(twice) = offices.repeated(|row| row.office.id) {
        return Err(offices.fault(twice.line, "office_id", "this id was issued before"));
    }
    for lined in &offices.rows {
        if lined.row.office.province.is_some_and(|code| !spans.contains_key(&code)) {
            return Err(offices.fault(lined.line, "province_code", "no such province"));
        }
    }
    let known: HashSet<OfficeId> = offices.rows.iter().map(|l| l.row.office.id).collect();
    let mut served: HashMap<Served, Vec<Span>> = HashMap::new();
    for lined in &serves.rows {
        let row = &lined.row;
        if !known.contains(&row.office) {
            return Err(serves.fault(lined.line, "office_id", "no such office"));
        }
        let whole = span(row.valid_from, row.valid_to);
        if let Some(code) = row.served.unit() {
            // The unit must exist when the office begins to serve it; a unit that ends takes the
            // row's meaning with it.
            let begun = (whole.0, whole.0);
            if !covered(begun, spans.get(&code).map_or(&[][..], Vec::as_slice)) {
                return Err(serves.fault(lined.line, "unit_code", "no such unit on valid_from"));
            }
        }
        served.entry(row.served).or_default().push(whole);
    }
    let rows = serves.rows.iter().map(|l| (l.row.served, span(l.row.valid_from, l.row.valid_to), l.line));
    if let Some(line) = overlapping(rows) {
        return Err(serves.fault(line, "unit_code", "another office serves it at this time"));
    }
    for list in served.values_mut() {
        list.sort_unstable();
    }
    check_served(&units.communes, &served, Served::Commune)?;
    check_served(&units.provinces, &served, Served::Province)?;
    if !served.contains_key(&Served::Nation) {
        return Err(serves.lacks("level", "no office of the nation"));
    }
    Ok(())
}

/// Every unit that is still in force has an office from its first day on.
fn check_served(
    units: &Table<Unit>,
    served: &HashMap<Served, Vec<Span>>,
    as_served: fn(xacminh_domain::unit::UnitCode) -> Served,
) -> Result<(), Error> {
    for lined in units.rows.iter().filter(|l| l.row.valid_to.is_none()) {
        let offices = served.get(&as_served(lined.row.code)).map_or(&[][..], Vec::as_slice);
        if !covered(span(lined.row.valid_from, None), offices) {
            return Err(units.fault(lined.line, "code", "no office serves it for its whole interval"));
        }
    }
    Ok(())
}
