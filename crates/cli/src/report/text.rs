//! A report on a terminal of a hundred columns.

use std::fmt::Write as _;

use super::model::{Column, Report, Row, Table, Value};
use super::words;
use crate::show;

/// How wide a page is, in characters.
const WIDTH: usize = 100;
/// Names are cut rather than shown with fewer characters than this.
const NAME: usize = 18;

/// The whole page.
pub(crate) fn page(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&format!(
        "Báo cáo xác minh cư trú, {} – {} ({}; as of {}{})",
        show::day(report.of.days.from),
        show::day(report.of.days.to),
        report.level_and_province(),
        show::minute(report.as_of),
        if report.public { "; public" } else { "" }
    ));
    if report.left {
        wrapped(words::LEFT, WIDTH).iter().for_each(|text| line(text));
    }
    for table in report.tables.iter().filter(|table| table.in_text) {
        line("");
        let title = format!("{} ({})", table.vi, table.en);
        if length(&title) > WIDTH {
            line(&table.vi);
            line(&format!("({})", table.en));
        } else {
            line(&title);
        }
        if table.rows.is_empty() {
            line("  không có (none)");
        }
        table_lines(table).iter().for_each(|text| line(text));
    }
    line("");
    line("Giải thích (what it means)");
    for d in &report.definitions {
        for text in wrapped(&format!("{} ({}): {} / {}", d.vi, d.en, d.means_vi, d.means_en), WIDTH - 4) {
            line(&text);
        }
    }
    out
}

/// Headings and rows, figures to the right, names cut to what is left.
fn table_lines(table: &Table) -> Vec<String> {
    if table.rows.is_empty() {
        return Vec::new();
    }
    let columns: Vec<(usize, &Column)> = table.columns.iter().enumerate().filter(|(_, c)| c.in_text).collect();
    let cells = |row: &Row| -> Vec<String> { columns.iter().map(|(i, _)| value(&row.cells[*i])).collect() };
    let rows: Vec<Vec<String>> = table.rows.iter().map(cells).collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, (_, c))| {
            rows.iter().map(|row| length(&row[i])).chain([heading(c.vi), heading(c.en)]).max().unwrap_or(0)
        })
        .collect();
    let figures: usize = widths.iter().map(|w| w + 2).sum();
    let longest = table.rows.iter().map(|row| length(&row.name)).max().unwrap_or(0);
    let name = longest.min(WIDTH.saturating_sub(2 + figures)).max(NAME.min(longest));
    let mut lines = Vec::with_capacity(rows.len() + 3);
    // A long heading takes two lines; the two languages stand above each other.
    for part in 0..4 {
        let of = |c: &Column| halves(if part < 2 { c.vi } else { c.en })[part % 2].clone();
        let heads: Vec<String> = columns.iter().map(|(_, c)| of(c)).collect();
        if heads.iter().any(|head| !head.is_empty()) {
            lines.push(joined("", name, &heads, &widths));
        }
    }
    for (row, cells) in table.rows.iter().zip(&rows) {
        lines.push(joined(&row.name, name, cells, &widths));
    }
    lines
}

fn joined(first: &str, name: usize, cells: &[String], widths: &[usize]) -> String {
    let mut text = format!("  {:<name$}", cut(first, name));
    for (cell, width) in cells.iter().zip(widths) {
        // A string is always written.
        let _ = write!(text, "  {cell:>width$}");
    }
    text
}

/// The width of a heading, in two lines if it is long.
fn heading(text: &str) -> usize {
    halves(text).iter().map(|half| length(half)).max().unwrap_or(0)
}

/// A heading in two lines, the second one alone if it is short.
fn halves(text: &str) -> [String; 2] {
    if length(text) <= 9 {
        return [String::new(), text.to_owned()];
    }
    let breaks = text.char_indices().filter(|(_, c)| *c == ' ').map(|(i, _)| i);
    let best = breaks.min_by_key(|i| length(&text[..*i]).max(length(&text[*i + 1..])));
    best.map_or([String::new(), text.to_owned()], |i| [text[..i].to_owned(), text[i + 1..].to_owned()])
}

/// A figure, for people.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::None => "-".to_owned(),
        Value::Withheld => "·".to_owned(),
        Value::Text(text) => text.clone(),
        Value::Count(count) => count.to_string(),
        Value::Share(share) => format!("{:.1} %", share * 100.0),
        Value::Seconds(seconds) => stretch(*seconds),
        Value::Minutes(minutes) => hours(*minutes),
        Value::Day(on) => show::day(*on),
        Value::At(at) => show::instant(*at),
    }
}

/// A stretch of time in its largest unit, so that a column of them is narrow.
fn stretch(seconds: f64) -> String {
    match seconds {
        0.0 => "0 s".to_owned(),
        ..10.0 => format!("{seconds:.1} s"),
        ..60.0 => format!("{seconds:.0} s"),
        ..3_600.0 => format!("{:.0} min", seconds / 60.0),
        ..86_400.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}

/// Office hours: a day of them has no fixed length, so hours are their largest unit.
fn hours(minutes: f64) -> String {
    if minutes < 60.0 { format!("{minutes:.0} min") } else { format!("{:.1} h", minutes / 60.0) }
}

/// Characters; names and words are kept in composed form, so each is one column wide.
fn length(text: &str) -> usize {
    text.chars().count()
}

pub(crate) fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Words in lines of this width, the later ones set in.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::from("  ")];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| length(line));
        if line + 1 + length(word) > width + 2 {
            lines.push(format!("      {word}"));
        } else if let Some(last) = lines.last_mut() {
            if !last.trim().is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_told_in_its_largest_unit() {
        let table = [
            (0.0, "0 s"),
            (0.04, "0.0 s"),
            (7.25, "7.2 s"),
            (59.0, "59 s"),
            (61.0, "1 min"),
            (18_720.0, "5.2 h"),
            (734_400.0, "8.5 d"),
        ];
        for (seconds, words) in table {
            assert_eq!(stretch(seconds), words);
        }
        assert_eq!((hours(12.0).as_str(), hours(959.0).as_str()), ("12 min", "16.0 h"));
    }

    #[test]
    fn a_heading_breaks_where_its_longer_half_is_shortest() {
        assert_eq!(halves("trễ"), ["", "trễ"]);
        assert_eq!(halves("chưa đến hạn"), ["chưa", "đến hạn"]);
        assert_eq!(halves("median, office hours"), ["median,", "office hours"]);
    }

    #[test]
    fn lines_are_no_wider_than_asked() {
        let lines = wrapped(&"mười chữ ".repeat(40), 60);
        assert!(lines.iter().all(|line| length(line) <= 62), "{lines:?}");
    }
}
