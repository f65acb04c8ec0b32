//! The working calendar: one file a year.

use xacminh_domain::calendar::{CalendarDay, DayKind};

use crate::error::Error;
use crate::table::Files;

/// Reads every `calendar/vn-<year>.csv`; each year that is there is imported whole.
pub(crate) fn read(files: &mut Files) -> Result<Vec<CalendarDay>, Error> {
    let mut days = Vec::new();
    for file in files.list("calendar")? {
        let year = file.strip_prefix("calendar/vn-").and_then(|rest| rest.strip_suffix(".csv"));
        let Some(year) = year.and_then(|year| year.parse::<i16>().ok()) else { continue };
        let table = files.table(&file, &["date", "kind", "name", "status"], |r| {
            let on = r.date("date")?;
            if on.year() != year {
                return Err(r.fault("date", format!("not a day of {year}")));
            }
            Ok(CalendarDay {
                on,
                kind: r.word("kind", DayKind::from_word)?,
                name: r.required("name")?,
                provisional: r.word("status", |word| match word {
                    "official" => Some(false),
                    "provisional" => Some(true),
                    _ => None,
                })?,
            })
        })?;
        if let Some(twice) = table.repeated(|day| day.on) {
            return Err(table.fault(twice.line, "date", "this day stands twice"));
        }
        days.extend(table.into_rows());
    }
    if days.is_empty() {
        return Err(Error::Content {
            file: "calendar".to_owned(),
            line: 1,
            column: "header".to_owned(),
            problem: "no file vn-<year>.csv with a day".to_owned(),
        });
    }
    Ok(days)
}
