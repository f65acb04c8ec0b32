//! The rows of a directory and the ways to find them, built once.

use std::collections::HashMap;

use jiff::civil::Date;

use super::DirectoryParts;
use super::words::{NameKeys, TypeWords};
use crate::id::OfficeId;
use crate::office::{Office, OfficeServes, Served};
use crate::unit::{SuccessionDetail, Unit, UnitCode, UnitLevel, UnitRef, without_type};

/// A row of `Directory::units`.
pub(super) type Row = usize;

/// Units, what became of them, and who serves them. See [the module](super).
#[derive(Debug)]
pub struct Directory {
    /// Sorted by code and first day.
    pub(super) units: Vec<Unit>,
    by_code: HashMap<UnitCode, Vec<Row>>,
    /// What each row went into the day after it ended.
    pub(super) next: Vec<Vec<(Row, SuccessionDetail)>>,
    /// What each row came from.
    pub(super) previous: Vec<Vec<Row>>,
    /// By which words each row is found.
    pub(super) keys: Vec<Vec<NameKeys>>,
    /// Rows of communes, and of districts that became communes, by name with marks.
    pub(super) by_marked: HashMap<String, Vec<Row>>,
    /// The same by name without marks.
    pub(super) by_bare: HashMap<String, Vec<Row>>,
    pub(super) type_words: TypeWords,
    pub(super) offices: Vec<Office>,
    pub(super) office_index: HashMap<OfficeId, usize>,
    servers: HashMap<Served, Vec<OfficeServes>>,
    pub(super) served_by: HashMap<OfficeId, Vec<OfficeServes>>,
    pub(super) record_begins: Date,
}

impl Directory {
    /// Builds the indexes.
    pub fn new(parts: DirectoryParts) -> Self {
        let DirectoryParts { mut units, successions, variants, offices, mut serves, record_begins } = parts;
        units.sort_by_key(|unit| (unit.code, unit.valid_from));
        serves.sort_by_key(|row| (row.served, row.valid_from));
        let mut by_code: HashMap<UnitCode, Vec<Row>> = HashMap::with_capacity(units.len());
        for (row, unit) in units.iter().enumerate() {
            by_code.entry(unit.code).or_default().push(row);
        }
        let office_index = offices.iter().enumerate().map(|(i, office)| (office.id, i)).collect();
        let mut servers: HashMap<Served, Vec<OfficeServes>> = HashMap::with_capacity(serves.len());
        let mut served_by: HashMap<OfficeId, Vec<OfficeServes>> = HashMap::with_capacity(serves.len());
        for row in serves {
            servers.entry(row.served).or_default().push(row);
            served_by.entry(row.office).or_default().push(row);
        }
        let mut keys: Vec<Vec<NameKeys>> =
            units.iter().map(|u| vec![NameKeys::new(u.unit_type, u.bare_name())]).collect();
        for variant in variants {
            // A variant belongs to the row that its last day names.
            let rows = by_code.get(&variant.code).map_or(&[][..], Vec::as_slice);
            if let Some(row) = rows.iter().copied().find(|row| units[*row].valid_to == Some(variant.valid_to)) {
                // A variant may differ in the type, too.
                let unit_type = TypeWords::type_of(&variant.name).unwrap_or(units[row].unit_type);
                keys[row].push(NameKeys::new(unit_type, without_type(&variant.name, unit_type)));
            }
        }
        let mut directory = Self {
            next: vec![Vec::new(); units.len()],
            previous: vec![Vec::new(); units.len()],
            units,
            by_code,
            keys,
            by_marked: HashMap::new(),
            by_bare: HashMap::new(),
            type_words: TypeWords::new(),
            offices,
            office_index,
            servers,
            served_by,
            record_begins,
        };
        for edge in successions {
            let ends = |on: Option<Date>| on.and_then(|on| directory.row_of(edge.from_code, on));
            let from = ends(edge.effective.yesterday().ok());
            if let Some((from, to)) = from.zip(directory.row_of(edge.to_code, edge.effective)) {
                directory.next[from].push((to, edge.detail));
                directory.previous[to].push(from);
            }
        }
        directory.index_names();
        directory
    }

    fn index_names(&mut self) {
        for row in 0..self.units.len() {
            let is_commune = |row: Row| self.units[row].code.level() == UnitLevel::Commune;
            // A district without communes that became one is a home too.
            if !(is_commune(row) || self.next[row].iter().any(|(to, _)| is_commune(*to))) {
                continue;
            }
            for key in &self.keys[row] {
                for (index, name) in [(&mut self.by_marked, &key.marked), (&mut self.by_bare, &key.bare)] {
                    let rows = index.entry(name.clone()).or_default();
                    if rows.last() != Some(&row) {
                        rows.push(row);
                    }
                }
            }
        }
    }

    pub(super) fn unit(&self, row: Row) -> &Unit {
        &self.units[row]
    }

    /// The row of a code on a day.
    pub(super) fn row_of(&self, code: UnitCode, on: Date) -> Option<Row> {
        self.by_code.get(&code)?.iter().copied().find(|row| self.units[*row].is_valid_on(on))
    }

    /// The row of a reference; before the record begins, its first record.
    pub(super) fn row_at(&self, unit: &UnitRef) -> Option<Row> {
        self.row_of(unit.code, unit.as_of.max(self.record_begins))
    }

    /// The row of a unit above another, at the other's time.
    fn row_above(&self, code: UnitCode, below: &Unit) -> Option<Row> {
        let on = below.valid_to.or(below.valid_from).unwrap_or(self.record_begins);
        self.row_of(code, on)
    }

    /// The district a commune lay in.
    pub(super) fn district_of(&self, row: Row) -> Option<Row> {
        let unit = &self.units[row];
        let code = unit.parent.filter(|code| code.level() == UnitLevel::District)?;
        self.row_above(code, unit)
    }

    /// The province a unit lies or lay in, under each name it had in the unit's time.
    pub(super) fn provinces_of(&self, row: Row) -> Vec<Row> {
        let unit = &self.units[row];
        let rows = self.by_code.get(&unit.province).map_or(&[][..], Vec::as_slice);
        let overlaps = |province: &Unit| {
            unit.valid_to.zip(province.valid_from).is_none_or(|(to, from)| from <= to)
                && province.valid_to.zip(unit.valid_from).is_none_or(|(to, from)| from <= to)
        };
        rows.iter().copied().filter(|row| overlaps(&self.units[*row])).collect()
    }

    /// The office that serves something on a day.
    pub(super) fn server_of(&self, served: Served, on: Date) -> Option<OfficeId> {
        self.servers.get(&served)?.iter().find(|row| row.is_valid_on(on)).map(|row| row.office)
    }
}
