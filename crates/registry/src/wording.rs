//! What citizens are told.

use xacminh_domain::wording::CitizenText;

use crate::check::interval::{overlapping, span};
use crate::error::Error;
use crate::table::Files;

/// Reads the texts; one that breaks a rule of wording refuses the whole.
pub(crate) fn read(files: &mut Files) -> Result<Vec<CitizenText>, Error> {
    let header = &["code", "version", "valid_from", "valid_to", "reviewer", "text"];
    let table = files.table("wording/citizen_texts.csv", header, |r| {
        let (valid_from, valid_to) = r.interval()?;
        let text = CitizenText {
            code: r.required("code")?,
            version: r.required("version")?,
            valid_from: valid_from.ok_or_else(|| r.fault("valid_from", "a text needs a first day"))?,
            valid_to,
            reviewer: r.required("reviewer")?,
            text: r.required("text")?,
        };
        text.check().map_err(|e| r.fault("text", e.to_string()))?;
        Ok(text)
    })?;
    let spans = table.rows.iter().map(|l| (&l.row.code, span(Some(l.row.valid_from), l.row.valid_to), l.line));
    if let Some(line) = overlapping(spans) {
        return Err(table.fault(line, "valid_from", "overlaps another row of this code"));
    }
    Ok(table.into_rows().collect())
}
