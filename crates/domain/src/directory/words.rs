//! From words to the units they may mean.
//!
//! A name is read in two ways, as it stands and after a type ("P. 9", "xã Tân An"), and looked up
//! first with its marks, then without: what matches with marks wins. What is left over after
//! district, province and day is all returned; choosing is not this file's business.

use jiff::civil::Date;

use super::HomeWords;
use super::index::{Directory, Row};
use crate::name::{bare, marked};
use crate::unit::{UnitLevel, UnitType};

/// Whether marks count in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marks {
    Kept,
    Dropped,
}

/// A unit's name and type, ready to compare.
#[derive(Debug)]
pub(super) struct NameKeys {
    unit_type: UnitType,
    pub(super) marked: String,
    pub(super) bare: String,
}

impl NameKeys {
    pub(super) fn new(unit_type: UnitType, bare_name: &str) -> Self {
        Self { unit_type, marked: number_plain(marked(bare_name)), bare: number_plain(bare(bare_name)) }
    }

    fn name(&self, marks: Marks) -> &str {
        match marks {
            Marks::Kept => &self.marked,
            Marks::Dropped => &self.bare,
        }
    }
}

/// "09" and "9" are the same ward.
fn number_plain(name: String) -> String {
    if name.len() > 1 && name.starts_with('0') && name.bytes().all(|b| b.is_ascii_digit()) {
        name.trim_start_matches('0').to_owned()
    } else {
        name
    }
}

/// One way to read a name: a type, if it begins with one, and the rest.
struct Reading {
    unit_type: Option<UnitType>,
    name: String,
}

/// The words that types are written by, as comparison forms.
#[derive(Debug)]
pub(super) struct TypeWords {
    with_marks: Vec<(UnitType, String)>,
    without_marks: Vec<(UnitType, String)>,
}

/// How types are shortened. After a short form comes a full stop, a space or a number.
const SHORT: [(UnitType, &str); 11] = [
    (UnitType::Xa, "x"),
    (UnitType::Phuong, "p"),
    (UnitType::ThiTran, "tt"),
    (UnitType::DacKhu, "đk"),
    (UnitType::Quan, "q"),
    (UnitType::Huyen, "h"),
    (UnitType::Huyen, "huyện đảo"),
    (UnitType::ThiXa, "tx"),
    (UnitType::ThanhPho, "tp"),
    (UnitType::ThanhPho, "t.p"),
    (UnitType::Tinh, "t"),
];

impl TypeWords {
    pub(super) fn new() -> Self {
        let words: Vec<_> = UnitType::ALL.into_iter().map(|t| (t, t.word())).chain(SHORT).collect();
        Self {
            with_marks: words.iter().map(|(t, word)| (*t, marked(word))).collect(),
            without_marks: words.iter().map(|(t, word)| (*t, bare(word))).collect(),
        }
    }

    /// The type that an official full name begins with.
    pub(super) fn type_of(full_name: &str) -> Option<UnitType> {
        UnitType::ALL.into_iter().find(|t| full_name.starts_with(t.title()))
    }

    /// All ways to read a name of a level.
    fn readings(&self, text: &str, levels: &[UnitLevel], marks: Marks) -> Vec<Reading> {
        let (text, words) = match marks {
            Marks::Kept => (marked(text), &self.with_marks),
            Marks::Dropped => (bare(text), &self.without_marks),
        };
        let mut readings = Vec::with_capacity(2);
        for (unit_type, word) in words {
            if let Some(rest) = text.strip_prefix(word.as_str())
                && levels.iter().any(|level| unit_type.is_of(*level))
                && rest.starts_with(|c: char| c == '.' || c == ' ' || c.is_ascii_digit())
            {
                let rest = rest.trim_start_matches(['.', ' ']);
                readings.push(Reading { unit_type: Some(*unit_type), name: number_plain(rest.to_owned()) });
            }
        }
        readings.push(Reading { unit_type: None, name: number_plain(text) });
        readings
    }
}

impl Directory {
    /// The units that words may mean, as of their day; without a day, now and formerly.
    pub(super) fn rows_named(&self, words: &HomeWords, now: Date) -> Vec<Row> {
        for marks in [Marks::Kept, Marks::Dropped] {
            let rows = self.narrow(self.rows_by_name(&words.name, marks), words, now);
            if !rows.is_empty() {
                return rows;
            }
        }
        Vec::new()
    }

    fn rows_by_name(&self, name: &str, marks: Marks) -> Vec<Row> {
        let index = match marks {
            Marks::Kept => &self.by_marked,
            Marks::Dropped => &self.by_bare,
        };
        let mut rows = Vec::new();
        for reading in self.type_words.readings(name, &[UnitLevel::Commune, UnitLevel::District], marks) {
            let found = index.get(&reading.name).map_or(&[][..], Vec::as_slice);
            rows.extend(found.iter().copied().filter(|row| self.fits(*row, &reading, marks)));
        }
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// Whether one of a unit's names is the one read.
    fn fits(&self, row: Row, reading: &Reading, marks: Marks) -> bool {
        self.keys[row]
            .iter()
            .any(|key| key.name(marks) == reading.name && reading.unit_type.is_none_or(|t| t == key.unit_type))
    }

    fn narrow(&self, rows: Vec<Row>, words: &HomeWords, now: Date) -> Vec<Row> {
        let begun = |row: &Row| self.unit(*row).valid_from.is_none_or(|from| from <= now);
        let rows: Vec<Row> = rows.into_iter().filter(begun).collect();
        let rows = match &words.district {
            Some(district) => self.in_district(rows, district),
            None => rows,
        };
        // With a day: its units, in the provinces of that day. When none fits, the document carries
        // an address older than itself, and all that was before it may be meant.
        if let Some(as_of) = words.as_of {
            let on = as_of.max(self.record_begins);
            let of_day: Vec<Row> = rows.iter().copied().filter(|row| self.unit(*row).is_valid_on(on)).collect();
            let province_then = |row: Row| self.row_of(self.unit(row).province, on).into_iter().collect();
            let fitting = self.in_province(&of_day, words, province_then);
            if !fitting.is_empty() {
                return fitting;
            }
            let until: Vec<Row> =
                rows.into_iter().filter(|row| self.unit(*row).valid_from.is_none_or(|from| from <= on)).collect();
            return self.in_any_province(&until, words);
        }
        // Without a day, today's unit of that name and every former one: had they the same
        // successor, nothing is lost, and else nobody can tell which is meant.
        self.in_any_province(&rows, words)
    }

    fn in_district(&self, rows: Vec<Row>, district: &str) -> Vec<Row> {
        let fitting = |marks: Marks| -> Vec<Row> {
            let readings = self.type_words.readings(district, &[UnitLevel::District], marks);
            let fits = |row: Row| readings.iter().any(|reading| self.fits(row, reading, marks));
            rows.iter().copied().filter(|row| self.district_of(*row).is_some_and(fits)).collect()
        };
        let with_marks = fitting(Marks::Kept);
        if with_marks.is_empty() { fitting(Marks::Dropped) } else { with_marks }
    }

    /// The rows whose province, of then or of any time since or before, is the one named.
    fn in_any_province(&self, rows: &[Row], words: &HomeWords) -> Vec<Row> {
        self.in_province(rows, words, |row| self.provinces_over_time(row))
    }

    fn in_province(&self, rows: &[Row], words: &HomeWords, provinces: impl Fn(Row) -> Vec<Row>) -> Vec<Row> {
        let Some(province) = &words.province else { return rows.to_vec() };
        let fitting = |marks: Marks| -> Vec<Row> {
            let readings = self.type_words.readings(province, &[UnitLevel::Province], marks);
            let fits = |row: Row| readings.iter().any(|reading| self.fits(row, reading, marks));
            rows.iter().copied().filter(|row| provinces(*row).into_iter().any(fits)).collect()
        };
        let with_marks = fitting(Marks::Kept);
        if with_marks.is_empty() { fitting(Marks::Dropped) } else { with_marks }
    }

    /// The provinces that a unit, what it came from and what it went into, lay in.
    fn provinces_over_time(&self, row: Row) -> Vec<Row> {
        let mut provinces = self.provinces_of(row);
        let mut later: Vec<Row> = self.next[row].iter().map(|(to, _)| *to).collect();
        while let Some(row) = later.pop() {
            provinces.extend(self.provinces_of(row));
            later.extend(self.next[row].iter().map(|(to, _)| *to));
        }
        let mut earlier = self.previous[row].clone();
        while let Some(row) = earlier.pop() {
            provinces.extend(self.provinces_of(row));
            earlier.extend(&self.previous[row]);
        }
        provinces
    }
}
