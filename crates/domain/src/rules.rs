//! Limits and rungs as dated rows. No number of days stands in code: a law that changes is a row
//! that ends and another that begins, and files received before keep the old one.

use jiff::civil::Date;

use crate::calendar::OfficeHours;
use crate::deadline::TimeLimit;
use crate::unit::covers;

/// No row of a rule covers a day: the operator's data are incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no row of the rule {key} covers {on}")]
pub struct MissingRule {
    /// The rule.
    pub key: &'static str,
    /// The day it was looked up for.
    pub on: Date,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleValue {
    /// A time limit in working or calendar days.
    Limit(TimeLimit),
    /// Minutes of office hours.
    WorkingMinutes(u32),
    /// Years of age.
    Years(u8),
    /// Calendar months.
    Months(u32),
    /// Office hours.
    Hours(OfficeHours),
    /// The number of a form.
    Form(String),
    /// The parent request's limit.
    Parent,
    /// No limit.
    Unlimited,
}

impl RuleValue {
    /// Reads value and unit as the table has them. `none` and `parent` have an empty value.
    pub fn parse(value: &str, unit: &str) -> Option<Self> {
        Some(match unit {
            "working_days" => Self::Limit(TimeLimit::WorkingDays(number(value)?)),
            "calendar_days" => Self::Limit(TimeLimit::CalendarDays(number(value)?)),
            "working_minutes" => Self::WorkingMinutes(number(value)?),
            "years" => Self::Years(u8::try_from(number(value)?).ok()?),
            "months" => Self::Months(number(value)?),
            "hours" => Self::Hours(value.parse().ok()?),
            "form" if !value.is_empty() => Self::Form(value.to_owned()),
            "parent" if value.is_empty() => Self::Parent,
            "none" if value.is_empty() => Self::Unlimited,
            _ => return None,
        })
    }
}

/// Plain digits only, so that one number has one spelling.
fn number(text: &str) -> Option<u32> {
    (text.bytes().all(|b| b.is_ascii_digit()) && !(text.len() > 1 && text.starts_with('0')))
        .then(|| text.parse().ok())
        .flatten()
}

/// One rule over one interval, both ends inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegalRule {
    /// Its name.
    pub key: String,
    /// What it says.
    pub value: RuleValue,
    /// The first day; none: since ever.
    pub valid_from: Option<Date>,
    /// The last day; none: still.
    pub valid_to: Option<Date>,
}

/// The dated limits of law and house.
#[derive(Debug, Clone, Default)]
pub struct LegalRules {
    // A few dozen rows, sorted by key.
    rows: Vec<LegalRule>,
}

impl LegalRules {
    /// H's limit to open a request.
    pub const ACCEPT: &'static str = "reply.accept";
    /// H's limit to answer.
    pub const ANSWER: &'static str = "reply.answer";
    /// After how long an unconfirmed request counts as delivered.
    pub const NOT_RECEIVED: &'static str = "reply.not_received";
    /// After how long a request that H's system did not confirm may be sent to it again.
    pub const SEND_AGAIN: &'static str = "delivery.send_again";
    /// Under which age nothing is verified.
    pub const EXEMPT_UNDER_AGE: &'static str = "exempt_under_age";
    /// The office hours that working time is measured by.
    pub const OFFICE_HOURS: &'static str = "office_hours";
    /// How long a request stays after it ended.
    pub const RETENTION: &'static str = "retention";
    /// The fewest months that may be kept (handbook §9: logs). It is more than the 90 days that an id may be
    /// old, so a repeat of what has left is never taken for new.
    pub const LEAST_RETENTION: u32 = 6;
    /// Before the kind, in the names of the file limits.
    pub const FILE_CLOCK: &'static str = "file_clock.";

    /// Takes the rows; of two that cover a day the first counts (the importer refuses such data).
    pub fn new(rows: impl IntoIterator<Item = LegalRule>) -> Self {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        Self { rows }
    }

    /// What a rule says on a day.
    pub fn get(&self, key: &str, on: Date) -> Option<&RuleValue> {
        let first = self.rows.partition_point(|row| row.key.as_str() < key);
        self.rows[first..]
            .iter()
            .take_while(|row| row.key == key)
            .find(|row| covers(row.valid_from, row.valid_to, on))
            .map(|row| &row.value)
    }

    /// The limit that W's file has, by the kind's name, for a file received on a day; none when
    /// the kind has none of its own.
    pub fn file_clock(&self, kind: &str, on: Date) -> Option<TimeLimit> {
        let mut key = String::with_capacity(32);
        key.push_str(Self::FILE_CLOCK);
        key.push_str(kind);
        match self.get(&key, on) {
            Some(RuleValue::Limit(limit)) => Some(*limit),
            _ => None,
        }
    }

    /// H's limit to open a request delivered on a day.
    pub fn accept_limit(&self, on: Date) -> Result<TimeLimit, MissingRule> {
        self.limit(Self::ACCEPT, on)
    }

    /// H's limit to answer a request delivered on a day.
    pub fn answer_limit(&self, on: Date) -> Result<TimeLimit, MissingRule> {
        self.limit(Self::ANSWER, on)
    }

    /// Minutes of office hours after which an unconfirmed request starts H's clock all the same.
    pub fn not_received_minutes(&self, on: Date) -> Result<i64, MissingRule> {
        self.working_minutes(Self::NOT_RECEIVED, on)
    }

    /// Minutes of office hours after which a request that was sent and not confirmed may be sent
    /// again, under the same id.
    pub fn send_again_minutes(&self, on: Date) -> Result<i64, MissingRule> {
        self.working_minutes(Self::SEND_AGAIN, on)
    }

    /// Under which age, in years at the receipt of the file, nothing is verified; 0 for nobody.
    pub fn exempt_under_age(&self, on: Date) -> Result<i16, MissingRule> {
        match self.get(Self::EXEMPT_UNDER_AGE, on) {
            Some(RuleValue::Years(years)) => Ok(i16::from(*years)),
            _ => Err(MissingRule { key: Self::EXEMPT_UNDER_AGE, on }),
        }
    }

    /// The office hours that working time is measured by.
    pub fn office_hours(&self, on: Date) -> Result<&OfficeHours, MissingRule> {
        match self.get(Self::OFFICE_HOURS, on) {
            Some(RuleValue::Hours(hours)) => Ok(hours),
            _ => Err(MissingRule { key: Self::OFFICE_HOURS, on }),
        }
    }

    /// How many calendar months a request that ended stays before it may leave for the archive: at least
    /// [`LEAST_RETENTION`](Self::LEAST_RETENTION). For so long a repeat gets its first receipt again.
    pub fn retention_months(&self, on: Date) -> Result<u32, MissingRule> {
        match self.get(Self::RETENTION, on) {
            Some(RuleValue::Months(months)) => Ok(*months),
            _ => Err(MissingRule { key: Self::RETENTION, on }),
        }
    }

    fn working_minutes(&self, key: &'static str, on: Date) -> Result<i64, MissingRule> {
        match self.get(key, on) {
            Some(RuleValue::WorkingMinutes(minutes)) => Ok(i64::from(*minutes)),
            _ => Err(MissingRule { key, on }),
        }
    }

    fn limit(&self, key: &'static str, on: Date) -> Result<TimeLimit, MissingRule> {
        match self.get(key, on) {
            Some(RuleValue::Limit(limit)) => Ok(*limit),
            _ => Err(MissingRule { key, on }),
        }
    }
}

/// What makes a rung of the ladder fire (handbook §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// Nobody confirmed the request in time.
    NotReceived,
    /// The due date to open it passed.
    AcceptDue,
    /// The morning of the day on which the answer is due.
    AnswerDueDay,
    /// The due date of the answer passed.
    AnswerDue,
    /// The due date of W's file passed without an answer.
    FileDue,
    /// The answer lies unread at W.
    AnswerUnread,
    /// The due date of W's file passed with the answer in hand.
    FileDueAnswered,
}

impl Trigger {
    /// All triggers.
    pub const ALL: [Self; 7] = [
        Self::NotReceived,
        Self::AcceptDue,
        Self::AnswerDueDay,
        Self::AnswerDue,
        Self::FileDue,
        Self::AnswerUnread,
        Self::FileDueAnswered,
    ];

    /// The name used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotReceived => "not_received",
            Self::AcceptDue => "accept_due",
            Self::AnswerDueDay => "answer_due_day",
            Self::AnswerDue => "answer_due",
            Self::FileDue => "file_due",
            Self::AnswerUnread => "answer_unread",
            Self::FileDueAnswered => "file_due_answered",
        }
    }

    /// Reads the name used in tables.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == word)
    }
}

/// Whom a rung presses or tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RungTarget {
    /// Whoever runs the broker.
    Operator,
    /// W.
    Requester,
    /// The head of W.
    RequesterHead,
    /// Whoever has it on the desk at H.
    Responder,
    /// The head of H.
    OfficeHead,
    /// The district police above H, while there was one.
    DistrictPolice,
    /// PC06 of H's province.
    ProvinceUnit,
    /// C06.
    MinistryUnit,
}

impl RungTarget {
    /// All targets.
    pub const ALL: [Self; 8] = [
        Self::Operator,
        Self::Requester,
        Self::RequesterHead,
        Self::Responder,
        Self::OfficeHead,
        Self::DistrictPolice,
        Self::ProvinceUnit,
        Self::MinistryUnit,
    ];

    /// The name used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Requester => "requester",
            Self::RequesterHead => "requester_head",
            Self::Responder => "responder",
            Self::OfficeHead => "office_head",
            Self::DistrictPolice => "district_police",
            Self::ProvinceUnit => "province_unit",
            Self::MinistryUnit => "ministry_unit",
        }
    }

    /// Reads the name used in tables.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == word)
    }
}

/// One rung over one interval, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LadderRow {
    /// What makes it fire.
    pub trigger: Trigger,
    /// Its number; 0 is below the offices above H.
    pub rung: u8,
    /// Whom it presses.
    pub target: RungTarget,
    /// How many working days after the trigger's own due day.
    pub after_wd: u32,
    /// The first day; none: since ever.
    pub valid_from: Option<Date>,
    /// The last day; none: still.
    pub valid_to: Option<Date>,
}

/// The dated ladder.
#[derive(Debug, Clone, Default)]
pub struct Ladder {
    rows: Vec<LadderRow>,
}

impl Ladder {
    /// Takes the rows, in the order in which they are to be asked.
    pub fn new(rows: impl IntoIterator<Item = LadderRow>) -> Self {
        Self { rows: rows.into_iter().collect() }
    }

    /// The rungs in force on a day.
    pub fn rows_at(&self, on: Date) -> impl Iterator<Item = &LadderRow> {
        self.rows.iter().filter(move |row| covers(row.valid_from, row.valid_to, on))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn rule(key: &str, value: &str, unit: &str, from: Option<Date>, to: Option<Date>) -> LegalRule {
        let value = RuleValue::parse(value, unit).unwrap();
        LegalRule { key: key.into(), value, valid_from: from, valid_to: to }
    }

    #[test]
    fn a_rule_changes_on_its_day() {
        let rules = LegalRules::new([
            rule("reply.answer", "3", "working_days", Some(date(2026, 7, 1)), None),
            rule("file_clock.temp_residence", "3", "working_days", None, None),
            rule("reply.answer", "2", "working_days", None, Some(date(2026, 6, 30))),
            rule("file_clock.dwelling_status", "", "parent", None, None),
        ]);
        assert_eq!(rules.answer_limit(date(2026, 6, 30)), Ok(TimeLimit::WorkingDays(2)));
        assert_eq!(rules.answer_limit(date(2026, 7, 1)), Ok(TimeLimit::WorkingDays(3)));
        assert_eq!(rules.file_clock("temp_residence", date(2026, 1, 1)), Some(TimeLimit::WorkingDays(3)));
        assert_eq!(rules.file_clock("dwelling_status", date(2026, 1, 1)), None);
        assert_eq!(
            rules.accept_limit(date(2026, 7, 1)),
            Err(MissingRule { key: "reply.accept", on: date(2026, 7, 1) })
        );
    }

    #[test]
    fn a_value_must_fit_its_unit() {
        for (value, unit) in [
            ("", "working_days"),
            ("03", "working_days"),
            ("-1", "years"),
            ("1", "parent"),
            ("1", "weeks"),
            ("300", "years"),
            ("8-12", "hours"),
        ] {
            assert_eq!(RuleValue::parse(value, unit), None, "{value} {unit}");
        }
    }

    #[test]
    fn the_ladder_is_read_by_day() {
        let row = |target, valid_from, valid_to| LadderRow {
            trigger: Trigger::AnswerDue,
            rung: 1,
            target,
            after_wd: 0,
            valid_from,
            valid_to,
        };
        let ladder = Ladder::new([
            row(RungTarget::DistrictPolice, None, Some(date(2025, 2, 28))),
            row(RungTarget::ProvinceUnit, Some(date(2025, 3, 1)), None),
        ]);
        let at = |on| ladder.rows_at(on).map(|row| row.target).collect::<Vec<_>>();
        assert_eq!(at(date(2025, 2, 28)), [RungTarget::DistrictPolice]);
        assert_eq!(at(date(2025, 3, 1)), [RungTarget::ProvinceUnit]);
    }
}
