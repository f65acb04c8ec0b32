//! `late`: who holds what, since when, why, and what happens next.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use xacminh_contract::notice::Why;
use xacminh_domain::calendar::local_date;
use xacminh_domain::unit::{UnitCode, UnitLevel};
use xacminh_store::reference::{self, Reference};
use xacminh_store::view::late::{self, Filter, Late as Row};
use xacminh_store::view::look;

use crate::settings::Settings;
use crate::{office, show, wiring, words};

/// How many a person is shown who does not say how many.
const A_PAGE: usize = 50;

/// Which ones.
#[derive(Debug, Args)]
pub(crate) struct Late {
    /// Only what is held in this province (code of 2 digits).
    #[arg(long, value_name = "CODE")]
    province: Option<String>,
    /// Only what this office has to act on (its id, or the code of a unit it serves).
    #[arg(long, value_name = "OFFICE")]
    office: Option<String>,
    /// Only what waits for this: `not_sent`, `not_connected`, `not_confirmed`, `not_opened`,
    /// `not_answered` or `not_read`.
    #[arg(long, value_name = "WHY", value_parser = read_why)]
    why: Option<Why>,
    /// Only what was submitted so many hours or days ago or earlier: `36h`, `5d`.
    #[arg(long, value_name = "AGE", value_parser = read_age)]
    min_age: Option<SignedDuration>,
    /// At most so many, oldest due first. Without it 50 as text, and all of them for a program or a
    /// spreadsheet.
    #[arg(long)]
    limit: Option<u32>,
    /// For a program.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// For a spreadsheet, a line a request.
    #[arg(long)]
    csv: bool,
}

fn read_why(word: &str) -> Result<Why, String> {
    let words = || Why::ALL.map(Why::as_str).join(", ");
    Why::ALL.into_iter().find(|why| why.as_str() == word).ok_or_else(|| format!("one of {}", words()))
}

fn read_age(text: &str) -> Result<SignedDuration, String> {
    let wrong = || "a number of hours or days, such as 36h or 5d".to_owned();
    let (number, hours) = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((number, "h")) => (number, 1),
        Some((number, "d")) => (number, 24),
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    Ok(SignedDuration::from_hours(i64::from(number) * hours))
}

/// A province's code that is one today.
pub(crate) fn known_province(reference: &Reference, code: &str, now: Timestamp) -> Result<UnitCode> {
    let unit = code.parse::<UnitCode>().ok().filter(|c| c.level() == UnitLevel::Province);
    match unit.filter(|c| reference.directory.unit_at(c, local_date(now)).is_some()) {
        Some(unit) => Ok(unit),
        None => bail!("there is no province {code}: say its code of two digits, such as 01"),
    }
}

impl Late {
    /// How many of so many are shown. Whoever counts lines of a file must not count a page.
    fn shown(&self, of: usize) -> usize {
        let page = if self.json || self.csv { of } else { A_PAGE };
        self.limit.map_or(page, |limit| usize::try_from(limit).unwrap_or(usize::MAX)).min(of)
    }
}

/// `xacminh late`.
pub(crate) async fn late(settings: &Settings, args: &Late) -> Result<()> {
    let store = wiring::store(settings)?;
    let reference = reference::load(&mut *store.conn().await?).await?;
    let now = wiring::clock(settings)?.now();
    if let Some(code) = &args.province {
        known_province(&reference, code, now)?;
    }
    let filter = Filter {
        province: args.province.clone(),
        office: args
            .office
            .as_deref()
            .map(|text| office::find(&reference.directory, text, local_date(now)))
            .transpose()?,
        why: args.why,
        submitted_before: args.min_age.map(|age| now.saturating_sub(age).context("an age")).transpose()?,
    };
    let rows = late::list(&mut *look(&store, now).await?, &filter).await?;
    let shown = args.shown(rows.len());
    if args.json || args.csv {
        if shown < rows.len() {
            show::aside(format!("{shown} of {}: --limit left out {}", rows.len(), rows.len() - shown));
        }
        return if args.json {
            show::json(&rows[..shown].iter().collect::<Vec<_>>())
        } else {
            csv(&rows[..shown], &reference, now)
        };
    }
    let holder = |id: &str| match name(&reference, id) {
        _ if id == "(broker)" => words::BROKER.to_owned(),
        name if name == id => name,
        name => format!("{name} ({id})"),
    };
    show::line(format!("Chậm lúc {} (late): {}", show::instant(now), summary(&rows)));
    for row in rows.iter().take(shown) {
        let due = row.answer_due_on.map_or_else(|| "-".to_owned(), show::day);
        let next = row.next_at.map_or_else(
            || "không còn bậc nào (no further rung)".to_owned(),
            |at| format!("bậc tiếp theo {} (next rung)", show::instant(at)),
        );
        show::line(format!(
            "{}  {} từ {}, gửi cách đây {}",
            holder(&row.holder),
            words::why(row.why),
            show::instant(row.since),
            show::age(row.submitted_at, now),
        ));
        show::line(format!(
            "    {}  hồ sơ (file) {}  hạn trả lời (answer due) {due}  {}, {next}",
            row.request_id,
            row.case_code,
            words::rung(row.rung)
        ));
    }
    if rows.len() > shown {
        show::line(format!("còn {0} yêu cầu nữa (and {0} more; --limit)", rows.len() - shown));
    }
    Ok(())
}

fn name(reference: &Reference, id: &str) -> String {
    let office = id.parse().ok().and_then(|id| reference.directory.office(&id));
    office.map_or_else(|| id.to_owned(), |office| office.name.clone())
}

fn csv(rows: &[Row], reference: &Reference, now: Timestamp) -> Result<()> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record([
        "request_id",
        "case_code",
        "province",
        "holder",
        "holder_name",
        "requester",
        "responder",
        "why",
        "submitted_at",
        "since",
        "age_hours",
        "answer_due_on",
        "overdue",
        "rung",
        "next_at",
    ])?;
    let instant = |at: Timestamp| xacminh_contract::values::Instant(at).to_string();
    for row in rows {
        let hours = now.duration_since(row.submitted_at).as_hours().max(0);
        out.write_record([
            &row.request_id.to_string(),
            &row.case_code,
            &row.province,
            &row.holder,
            &name(reference, &row.holder),
            &row.requester,
            &row.responder,
            row.why.as_str(),
            &instant(row.submitted_at),
            &instant(row.since),
            &hours.to_string(),
            &row.answer_due_on.map(|on| on.to_string()).unwrap_or_default(),
            &row.overdue.to_string(),
            &row.rung.to_string(),
            &row.next_at.map(instant).unwrap_or_default(),
        ])?;
    }
    show::line(String::from_utf8(out.into_inner()?)?.trim_end());
    Ok(())
}

fn summary(rows: &[Row]) -> String {
    let mut by_why: BTreeMap<Why, usize> = BTreeMap::new();
    for row in rows {
        *by_why.entry(row.why).or_default() += 1;
    }
    if by_why.is_empty() {
        return "không có (nothing)".to_owned();
    }
    let parts: Vec<String> = by_why.into_iter().map(|(why, n)| format!("{n} {}", words::why(why))).collect();
    format!("{} = {}", rows.len(), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        late: Late,
    }

    #[test]
    fn only_a_page_of_text_ends_by_itself() {
        let shown = |words: &str| {
            let line = Line::try_parse_from(["late"].into_iter().chain(words.split_whitespace())).unwrap();
            line.late.shown(120)
        };
        assert_eq!(["", "--csv", "--json"].map(shown), [50, 120, 120]);
        assert_eq!(["--limit 7", "--csv --limit 7", "--json --limit 7"].map(shown), [7; 3]);
        assert_eq!(["--limit 900", "--csv --limit 900"].map(shown), [120; 2]);
    }

    #[test]
    fn an_age_is_a_number_of_hours_or_days() {
        assert_eq!(read_age("36h"), Ok(SignedDuration::from_hours(36)));
        assert_eq!(read_age("5d"), Ok(SignedDuration::from_hours(120)));
        for wrong in ["", "5", "d", "-1d", "5 d", "1w", "5ngày"] {
            assert!(read_age(wrong).is_err(), "{wrong}");
        }
    }
}
