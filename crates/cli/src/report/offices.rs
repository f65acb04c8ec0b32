//! The table of offices: by what they have to do next, their workload beside.

use xacminh_store::view::by_office::OfficeLine;

use super::columns::OFFICES;
use super::model::{Column, Row, Sums, Table, Value};
use super::tables::Figures;
use super::words;

impl Figures {
    pub(super) fn offices(&self) -> Table {
        let shown: Vec<usize> = if self.public { vec![0, 6, 7, 8, 9] } else { (0..OFFICES.len()).collect() };
        let columns: Vec<Column> = shown.iter().map(|i| OFFICES[*i]).collect();
        let (vi, en) = if self.public {
            ("Từng đơn vị, theo tỉnh", "offices, by province")
        } else {
            ("Từng đơn vị, hạn gần nhất trước", "offices, oldest next due first")
        };
        let mut table = Table::new("offices", vi, en, &columns);
        let mut lines: Vec<&OfficeLine> = self.offices.iter().collect();
        if self.public {
            // The order would tell what is withheld.
            lines.sort_by_key(|line| (&line.province, &line.office));
        }
        let mut sums = [0; 6];
        for line in lines {
            for (sum, count) in sums.iter_mut().zip(counts(line)) {
                *sum += count;
            }
            let median = self.enough(line.answered, line.median_answer_s.map_or(Value::None, Value::Seconds));
            let oldest = line.oldest.map_or(Value::None, |at| Value::Seconds(self.age(at)));
            let why: Vec<String> = line.late.iter().map(|(why, n)| format!("{n} {}", why.as_str())).collect();
            let next = line.next_due_on.map_or(Value::None, Value::Day);
            let cells = row(&line.province, next, oldest, median, why.join(", "), counts(line));
            let cells = shown.iter().map(|i| cells[*i].clone()).collect();
            table.rows.push(Row::new(line.office.clone(), self.office(&line.office), cells));
        }
        let cells = row("", Value::None, Value::None, Value::None, String::new(), sums);
        let cells = shown.iter().map(|i| cells[*i].clone()).collect();
        table.rows.push(Row::new("", "Tất cả (all)", cells));
        if self.public {
            let alone = |column| Sums { columns: vec![column], row_totals: false, total_row: true, shared: None };
            table.sums = (1..=3).map(alone).collect();
        }
        table
    }

    pub(super) fn office(&self, id: &str) -> String {
        let office = id.parse().ok().and_then(|id| self.reference.directory.office(&id));
        office.map_or_else(|| id.to_owned(), |office| words::short_office(&office.name))
    }
}

/// Open, overdue, unread, asked, answered, submitted.
fn counts(line: &OfficeLine) -> [i64; 6] {
    [line.open, line.overdue, line.unread, line.asked, line.answered, line.submitted]
}

/// A line of the offices, in the order of the columns.
fn row(province: &str, next: Value, oldest: Value, median: Value, why: String, counts: [i64; 6]) -> Vec<Value> {
    let [open, overdue, unread, asked, answered, submitted] = counts.map(Value::Count);
    let province = Value::Text(province.to_owned());
    let why = Value::Text(why);
    vec![province, next, open, overdue, oldest, unread, asked, answered, submitted, median, why]
}
