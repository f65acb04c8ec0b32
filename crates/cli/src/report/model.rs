//! A report as tables: what all formats are written from.

use jiff::Timestamp;
use jiff::civil::Date;
use xacminh_store::view::report::Of;

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// There is none.
    None,
    /// There is one, and it is not published.
    Withheld,
    /// Words.
    Text(String),
    /// How many.
    Count(i64),
    /// A part of a whole, 0 to 1.
    Share(f64),
    /// Wall time.
    Seconds(f64),
    /// Office hours, in minutes.
    Minutes(f64),
    /// A day in Vietnam.
    Day(Date),
    /// An instant.
    At(Timestamp),
}

impl Value {
    /// In what a program finds it.
    pub(crate) fn unit(&self) -> &'static str {
        match self {
            Self::None => "",
            Self::Withheld => "withheld",
            Self::Text(_) => "text",
            Self::Count(_) => "count",
            Self::Share(_) => "share",
            Self::Seconds(_) => "seconds",
            Self::Minutes(_) => "working_minutes",
            Self::Day(_) => "day",
            Self::At(_) => "instant",
        }
    }
}

/// A column: its name for programs, and its two headings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) id: &'static str,
    pub(crate) vi: &'static str,
    pub(crate) en: &'static str,
    /// On a terminal too, where there is less room.
    pub(crate) in_text: bool,
}

/// A row: its code or word, its name for people, its figures.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) cells: Vec<Value>,
}

/// Columns whose counts add up, for publication.
#[derive(Debug, Clone)]
pub(crate) struct Sums {
    /// Which columns; with `row_totals` the first is the sum of the others.
    pub(crate) columns: Vec<usize>,
    pub(crate) row_totals: bool,
    /// The last row is the sum of the others.
    pub(crate) total_row: bool,
    /// The last row stands in other tables too: those that say the same here.
    pub(crate) shared: Option<&'static str>,
}

/// A table of a report.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Its name for programs.
    pub(crate) id: String,
    pub(crate) vi: String,
    pub(crate) en: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    /// On a terminal too; the others are for programs and spreadsheets.
    pub(crate) in_text: bool,
    pub(crate) sums: Vec<Sums>,
    /// A column that would tell those it is made of.
    pub(crate) made_of: Option<(usize, Vec<usize>)>,
}

/// What a term means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Definition {
    pub(crate) vi: &'static str,
    pub(crate) en: &'static str,
    pub(crate) means_vi: &'static str,
    pub(crate) means_en: &'static str,
}

/// The whole.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) of: Of,
    /// Requests of its days have left for the archive, and are not in it.
    pub(crate) left: bool,
    pub(crate) as_of: Timestamp,
    pub(crate) level: &'static str,
    pub(crate) public: bool,
    pub(crate) tables: Vec<Table>,
    pub(crate) definitions: Vec<Definition>,
}

impl Report {
    /// Its level, and the province that it is about alone.
    pub(crate) fn level_and_province(&self) -> String {
        let province = self.of.province.as_ref().map(|code| format!(", tỉnh (province) {code}"));
        format!("{}{}", self.level, province.unwrap_or_default())
    }
}

impl Column {
    pub(crate) const fn new(id: &'static str, vi: &'static str, en: &'static str) -> Self {
        Self { id, vi, en, in_text: true }
    }

    pub(crate) const fn wide(self) -> Self {
        Self { in_text: false, ..self }
    }
}

impl Row {
    pub(crate) fn new(key: impl Into<String>, name: impl Into<String>, cells: Vec<Value>) -> Self {
        Self { key: key.into(), name: name.into(), cells }
    }
}

impl Table {
    pub(crate) fn new(id: impl Into<String>, vi: impl Into<String>, en: impl Into<String>, columns: &[Column]) -> Self {
        Self {
            id: id.into(),
            vi: vi.into(),
            en: en.into(),
            columns: columns.to_vec(),
            rows: Vec::new(),
            in_text: true,
            sums: Vec::new(),
            made_of: None,
        }
    }
}
