//! The dated limits and the dated ladder.

use xacminh_domain::Date;
use xacminh_domain::request::RequestKind;
use xacminh_domain::rules::{LadderRow, LegalRule, LegalRules, RuleValue, RungTarget, Trigger};

use crate::check::interval::{overlapping, span};
use crate::error::Error;
use crate::table::{Files, Table};

/// What a rung of the ladder does.
const ACTIONS: [&str; 5] = ["start_clock", "remind", "chase", "tell", "charge"];

/// A row of the limits, as written and as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegalRow {
    /// The rule, read.
    pub rule: LegalRule,
    /// Its value, as written.
    pub value: String,
    /// What the value counts, as written.
    pub unit: String,
    /// The law, or that it is a rule of the house.
    pub source: String,
}

/// A rung of the ladder and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RungRow {
    /// The rung.
    pub rung: LadderRow,
    /// What it does: `start_clock`, `remind`, `chase`, `tell` or `charge`.
    pub action: String,
}

pub(crate) fn read_legal(files: &mut Files) -> Result<Vec<LegalRow>, Error> {
    let header = &["key", "value", "unit", "valid_from", "valid_to", "source"];
    let table = files.table("rules/legal_rules.csv", header, |r| {
        let (value, unit) = (r.text("value")?.to_owned(), r.required("unit")?);
        let (valid_from, valid_to) = r.interval()?;
        let rule = LegalRule {
            key: r.required("key")?,
            value: RuleValue::parse(&value, &unit).ok_or_else(|| r.fault("value", format!("not a value in {unit}")))?,
            valid_from,
            valid_to,
        };
        let least = LegalRules::LEAST_RETENTION;
        if rule.key == LegalRules::RETENTION && matches!(rule.value, RuleValue::Months(months) if months < least) {
            return Err(r.fault("value", format!("less than {least} months: logs and receipts are kept for so long")));
        }
        Ok(LegalRow { rule, value, unit, source: r.required("source")? })
    })?;
    let spans = table.rows.iter().map(|l| (&l.row.rule.key, span(l.row.rule.valid_from, l.row.rule.valid_to), l.line));
    if let Some(line) = overlapping(spans) {
        return Err(table.fault(line, "valid_from", "overlaps another row of this key"));
    }
    check_needed(&table)?;
    Ok(table.into_rows().collect())
}

/// Every rule the program asks for must have a row that goes on, and of the right sort.
fn check_needed(table: &Table<LegalRow>) -> Result<(), Error> {
    let rules = LegalRules::new(table.rows.iter().map(|l| l.row.rule.clone()));
    // Rows that go on cover every day to come.
    let on = Date::MAX;
    let missing = [
        rules.accept_limit(on).err(),
        rules.answer_limit(on).err(),
        rules.not_received_minutes(on).err(),
        rules.send_again_minutes(on).err(),
        rules.exempt_under_age(on).err(),
        rules.office_hours(on).err(),
        rules.retention_months(on).err(),
    ];
    if let Some(missing) = missing.into_iter().flatten().next() {
        return Err(table.lacks("key", format!("no row of {} that goes on, in the unit it needs", missing.key)));
    }
    for kind in RequestKind::ALL {
        let key = format!("{}{}", LegalRules::FILE_CLOCK, kind.as_str());
        let limited = match rules.get(&key, on) {
            Some(RuleValue::Limit(_) | RuleValue::Parent | RuleValue::Unlimited) => true,
            Some(
                RuleValue::WorkingMinutes(_)
                | RuleValue::Years(_)
                | RuleValue::Months(_)
                | RuleValue::Hours(_)
                | RuleValue::Form(_),
            )
            | None => false,
        };
        if !limited {
            return Err(table.lacks("key", format!("no row of {key} that goes on, in the unit it needs")));
        }
    }
    Ok(())
}

pub(crate) fn read_ladder(files: &mut Files) -> Result<Vec<RungRow>, Error> {
    let header = &["trigger", "rung", "target", "action", "after_wd", "valid_from", "valid_to"];
    let table = files.table("rules/ladder.csv", header, |r| {
        let (valid_from, valid_to) = r.interval()?;
        Ok(RungRow {
            rung: LadderRow {
                trigger: r.word("trigger", Trigger::from_word)?,
                rung: r.number("rung")?,
                target: r.word("target", RungTarget::from_word)?,
                after_wd: r.number("after_wd")?,
                valid_from,
                valid_to,
            },
            action: r.word("action", |word| ACTIONS.contains(&word).then(|| word.to_owned()))?,
        })
    })?;
    let spans = table.rows.iter().map(|l| {
        let rung = &l.row.rung;
        ((rung.trigger, rung.rung), span(rung.valid_from, rung.valid_to), l.line)
    });
    if let Some(line) = overlapping(spans) {
        return Err(table.fault(line, "valid_from", "overlaps another row of this trigger and rung"));
    }
    Ok(table.into_rows().collect())
}
