//! From a former unit to today's, along the successions in date order.

use jiff::civil::Date;

use super::Candidate;
use super::index::{Directory, Row};
use crate::unit::{SuccessionDetail, UnitCode};

/// Where a walk ended: a unit of today, and the share by which a split led there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) row: Row,
    pub(super) share: Option<SuccessionDetail>,
}

impl Directory {
    /// Today's units of all the rows, each once, by code.
    pub(super) fn walk_all(&self, rows: &[Row], now: Date) -> Vec<End> {
        let mut ends = Vec::new();
        for row in rows {
            self.walk(End { row: *row, share: None }, now, &mut ends);
        }
        ends.sort_by_key(|end: &End| end.row);
        ends.dedup_by_key(|end| end.row);
        ends
    }

    /// Rows begin later than what they came from, so this comes to an end.
    fn walk(&self, from: End, now: Date, ends: &mut Vec<End>) {
        let unit = self.unit(from.row);
        if unit.valid_to.is_none_or(|to| now <= to) {
            ends.push(from);
            return;
        }
        for (to, detail) in followed(&self.next[from.row]) {
            // The share that says most is the one of the split.
            let share = match from.share {
                Some(share) if !share.is_whole() => share,
                Some(_) | None => *detail,
            };
            self.walk(End { row: *to, share: Some(share) }, now, ends);
        }
    }

    /// Whether today's unit is known by another code, name or type than the row meant.
    pub(super) fn is_renamed(&self, meant: Row, today: Row) -> bool {
        let (then, now) = (self.unit(meant), self.unit(today));
        then.code != now.code || then.name != now.name
    }

    /// What a requester is shown of an end; none when no office serves it.
    pub(super) fn candidate(&self, end: End, now: Date) -> Option<Candidate> {
        let unit = self.unit(end.row);
        let office = self.office_serving(&unit.code, now)?;
        let province = self.province_name(unit.province, now);
        Some(Candidate {
            unit: unit.code,
            name: unit.name.clone(),
            province,
            office: office.id,
            office_name: office.name.clone(),
            share: end.share,
            words: self.in_full(end.row, now),
        })
    }

    /// A unit of today with its province.
    pub(super) fn in_full(&self, row: Row, now: Date) -> String {
        let unit = self.unit(row);
        let province = self.unit_at(&unit.province, now).map(|province| format!(", {}", province.words()));
        unit.words() + &province.unwrap_or_default()
    }

    fn province_name(&self, code: UnitCode, now: Date) -> String {
        self.unit_at(&code, now).map(|province| province.name.clone()).unwrap_or_default()
    }
}

/// The edges that may have taken the people of a place: where all went to one successor, that one;
/// land without people only when there is nothing else.
fn followed(edges: &[(Row, SuccessionDetail)]) -> impl Iterator<Item = &(Row, SuccessionDetail)> {
    let all = edges.iter().any(|(_, detail)| *detail == SuccessionDetail::AllPopulation);
    let peopled = edges.iter().any(|(_, detail)| *detail != SuccessionDetail::AreaOnly);
    edges.iter().filter(move |(_, detail)| {
        if all { *detail == SuccessionDetail::AllPopulation } else { !peopled || *detail != SuccessionDetail::AreaOnly }
    })
}
