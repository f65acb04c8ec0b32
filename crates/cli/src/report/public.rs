//! What of a report may be published: no count under five, and none that follows from others of the
//! same report. Which counts to withhold is `domain::publication`'s to say.

use std::collections::BTreeSet;

use xacminh_domain::publication::Grid;

use super::model::{Sums, Table, Value};

/// The least count that is told.
pub(crate) const LEAST: u64 = 5;

/// Totals that are withheld, by what they are shared as.
type Totals = BTreeSet<(&'static str, usize)>;

/// Withholds what must not be told, in all tables at once: a total that is withheld in one must not
/// stand in another.
pub(crate) fn withhold(tables: &mut [Table]) {
    let mut totals = Totals::new();
    loop {
        let before = totals.len();
        for table in tables.iter() {
            for sums in &table.sums {
                if let (Some(of), Some(last)) = (sums.shared, masks(table, sums, &totals).last()) {
                    let hidden = last.iter().enumerate().filter(|(_, hidden)| **hidden);
                    totals.extend(hidden.map(|(column, _)| (of, column)));
                }
            }
        }
        if totals.len() == before {
            break;
        }
    }
    for table in tables {
        for sums in table.sums.clone() {
            let masks = masks(table, &sums, &totals);
            for (row, hidden) in table.rows.iter_mut().zip(masks) {
                for (column, _) in sums.columns.iter().zip(hidden).filter(|(_, hidden)| *hidden) {
                    row.cells[*column] = Value::Withheld;
                }
            }
        }
        if let Some((column, of)) = &table.made_of {
            for row in &mut table.rows {
                if of.iter().any(|part| row.cells[*part] == Value::Withheld) {
                    row.cells[*column] = Value::Withheld;
                }
            }
        }
    }
}

fn masks(table: &Table, sums: &Sums, totals: &Totals) -> Vec<Vec<bool>> {
    let count = |value: &Value| if let Value::Count(n) = value { u64::try_from(*n).unwrap_or(0) } else { 0 };
    let rows: Vec<Vec<u64>> =
        table.rows.iter().map(|row| sums.columns.iter().map(|column| count(&row.cells[*column])).collect()).collect();
    let last = rows.len().saturating_sub(1);
    let shared = totals.iter().filter(|(of, _)| !rows.is_empty() && sums.shared == Some(*of));
    let also: Vec<(usize, usize)> = shared.map(|(_, column)| (last, *column)).collect();
    Grid { rows, row_totals: sums.row_totals, total_row: sums.total_row }.withhold(LEAST, &also)
}
