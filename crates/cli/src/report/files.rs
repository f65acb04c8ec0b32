//! A report for programs and spreadsheets: CSV (a line a figure), JSON, XLSX.

use anyhow::Result;
use rust_xlsxwriter::{Format, FormatAlign, Workbook, Worksheet};
use serde_json::{Map, Value as Json, json};

use super::model::{Report, Value};
use super::{text, words};
use crate::show;

/// A line a figure: table, row, name, column, value, unit; the definitions below.
pub(crate) fn csv(report: &Report) -> Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(["table", "row", "name", "figure", "value", "unit"])?;
    let mut fact = |name: &str, value: String| out.write_record(["report", "", "", name, &value, "text"]);
    fact("from", report.of.days.from.to_string())?;
    fact("to", report.of.days.to.to_string())?;
    fact("as_of", instant(report.as_of))?;
    fact("level", report.level.to_owned())?;
    fact("province", report.of.province.clone().unwrap_or_default())?;
    fact("left", report.left.to_string())?;
    fact("public", report.public.to_string())?;
    for table in &report.tables {
        for row in &table.rows {
            for (column, value) in table.columns.iter().zip(&row.cells) {
                out.write_record([&table.id, &row.key, &row.name, column.id, &plain(value), value.unit()])?;
            }
        }
    }
    for d in &report.definitions {
        out.write_record(["definition", "", d.vi, d.en, &format!("{} / {}", d.means_vi, d.means_en), "text"])?;
    }
    Ok(out.into_inner()?)
}

/// Tables by name, each a list of rows.
pub(crate) fn json(report: &Report) -> Result<Vec<u8>> {
    let mut tables = Map::new();
    for table in &report.tables {
        let rows: Vec<Json> = table
            .rows
            .iter()
            .map(|row| {
                let mut made = Map::new();
                made.insert("row".to_owned(), json!(row.key));
                made.insert("name".to_owned(), json!(row.name));
                for (column, value) in table.columns.iter().zip(&row.cells) {
                    made.insert(column.id.to_owned(), figure(value));
                }
                Json::Object(made)
            })
            .collect();
        tables.insert(table.id.clone(), json!(rows));
    }
    let definitions: Vec<Json> = report
        .definitions
        .iter()
        .map(|d| json!({ "vi": d.vi, "en": d.en, "means_vi": d.means_vi, "means_en": d.means_en }))
        .collect();
    let whole = json!({
        "from": report.of.days.from.to_string(), "to": report.of.days.to.to_string(), "as_of": instant(report.as_of),
        "level": report.level, "province": report.of.province, "left": report.left, "public": report.public, "tables": tables, "definitions": definitions,
    });
    let mut bytes = serde_json::to_vec_pretty(&whole)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A sheet a table, and one of definitions.
pub(crate) fn xlsx(report: &Report) -> Result<Vec<u8>> {
    let mut book = Workbook::new();
    let bold = Format::new().set_bold();
    let head = Format::new().set_bold().set_text_wrap().set_align(FormatAlign::Center);
    for table in &report.tables {
        let sheet = book.add_worksheet();
        // Thirty-one characters are all that a sheet's name may have.
        sheet.set_name(text::cut(&table.id, 31))?;
        sheet.write_with_format(0, 0, format!("{} ({})", table.vi, table.en), &bold)?;
        sheet.write(1, 0, head_line(report))?;
        sheet.set_column_width(0, 22)?;
        sheet.set_column_width(1, 36)?;
        sheet.write_with_format(3, 0, "mã\ncode", &head)?;
        sheet.write_with_format(3, 1, "tên\nname", &head)?;
        for (column, at) in table.columns.iter().zip(2..) {
            let title =
                if column.vi.is_empty() { column.id.to_owned() } else { format!("{}\n{}", column.vi, column.en) };
            sheet.write_with_format(3, at, title, &head)?;
            sheet.set_column_width(at, 14)?;
        }
        sheet.set_freeze_panes(4, 2)?;
        for (row, line) in table.rows.iter().zip(4_u32..) {
            sheet.write(line, 0, &row.key)?;
            sheet.write(line, 1, &row.name)?;
            for (value, at) in row.cells.iter().zip(2..) {
                cell(sheet, line, at, value)?;
            }
        }
    }
    let sheet = book.add_worksheet();
    sheet.set_name("definitions")?;
    sheet.write(0, 0, head_line(report))?;
    for (d, line) in report.definitions.iter().zip(2_u32..) {
        for (words, at) in [d.vi, d.en, d.means_vi, d.means_en].iter().zip(0..) {
            sheet.write(line, at, *words)?;
        }
    }
    for (width, at) in [32, 32, 90, 90].iter().zip(0..) {
        sheet.set_column_width(at, *width)?;
    }
    Ok(book.save_to_buffer()?)
}

/// A number where there is one, so that a spreadsheet can count on; stretches as parts of a day.
fn cell(sheet: &mut Worksheet, line: u32, at: u16, value: &Value) -> Result<()> {
    let format = |code: &str| Format::new().set_num_format(code).set_align(FormatAlign::Right);
    match value {
        Value::None => {}
        Value::Count(count) => {
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
            sheet.write(line, at, *count as f64)?;
        }
        Value::Share(share) => {
            sheet.write_with_format(line, at, *share, &format("0.0%"))?;
        }
        Value::Seconds(seconds) => {
            sheet.write_with_format(line, at, seconds / 86_400.0, &format("[h]:mm:ss"))?;
        }
        Value::Minutes(minutes) => {
            sheet.write_with_format(line, at, minutes / 1_440.0, &format("[h]:mm:ss"))?;
        }
        Value::Withheld | Value::Text(_) | Value::Day(_) | Value::At(_) => {
            sheet.write_with_format(line, at, text::value(value), &Format::new().set_align(FormatAlign::Right))?;
        }
    }
    Ok(())
}

fn head_line(report: &Report) -> String {
    format!(
        "{} – {}; {}; {}{}{}",
        show::day(report.of.days.from),
        show::day(report.of.days.to),
        show::minute(report.as_of),
        report.level_and_province(),
        if report.public { "; public" } else { "" },
        if report.left { format!("; {}", words::LEFT) } else { String::new() }
    )
}

fn instant(at: jiff::Timestamp) -> String {
    xacminh_contract::values::Instant(at).to_string()
}

/// A figure in a column of its unit.
fn plain(value: &Value) -> String {
    match value {
        Value::None | Value::Withheld => String::new(),
        Value::Text(text) => text.clone(),
        Value::Count(count) => count.to_string(),
        Value::Share(share) => format!("{share:.6}"),
        Value::Seconds(seconds) => format!("{seconds:.6}"),
        Value::Minutes(minutes) => format!("{minutes:.1}"),
        Value::Day(on) => on.to_string(),
        Value::At(at) => instant(*at),
    }
}

fn figure(value: &Value) -> Json {
    match value {
        Value::None => Json::Null,
        Value::Withheld => json!("withheld"),
        Value::Text(text) => json!(text),
        Value::Count(count) => json!(count),
        Value::Share(number) | Value::Seconds(number) | Value::Minutes(number) => json!(number),
        Value::Day(on) => json!(on.to_string()),
        Value::At(at) => json!(instant(*at)),
    }
}
