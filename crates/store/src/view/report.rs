//! The figures of a report, from the schema's views `report_…` and from nothing else, so that whoever
//! asks these with SQL gets the same. Wants a connection of [`super::look`].
//!
//! Two populations: requests *submitted* on given days, wherever they are by now, and what is *in
//! hand*, whenever it was submitted. No figure names a person, and none a request.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, query};
use xacminh_contract::notice::Why;
use xacminh_domain::{Date, Timestamp};

use super::late::why_of;
use crate::error::Error;
use crate::time::{At, On};

/// Days in Vietnam, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The first.
    pub from: Date,
    /// The last.
    pub to: Date,
}

/// Of which requests a report tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Of {
    /// Submitted on these days, where that is asked.
    pub days: Days,
    /// Of one province (code of 2 digits) or of the nation: H's; W's where it is W's turn.
    pub province: Option<String>,
}

impl From<Days> for Of {
    fn from(days: Days) -> Self {
        Self { days, province: None }
    }
}

/// By what figures are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cut {
    /// Not at all.
    Nation,
    /// By H's province; what is unread, by W's.
    Province,
    /// By the type of the home's unit on the day of the submit.
    UnitType,
    /// By what the data are used for.
    Purpose,
    /// By what is asked.
    Kind,
}

impl Cut {
    /// All cuts.
    pub const ALL: [Self; 5] = [Self::Nation, Self::Province, Self::UnitType, Self::Purpose, Self::Kind];

    /// The word in the views and in programs' formats.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nation => "nation",
            Self::Province => "province",
            Self::UnitType => "unit_type",
            Self::Purpose => "purpose",
            Self::Kind => "kind",
        }
    }
}

/// One group of a cut: `("province", "08")`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// By what.
    pub cut: Cut,
    /// Which: a code or a word; empty for the nation.
    pub key: String,
}

/// The rows of a view that are of these days and this province. The offset takes nothing away: it has them chosen
/// before they are grouped by several cuts at once, for beside those PostgreSQL 15 does not see that what is asked
/// of a view is what an index has.
macro_rules! of_days {
    ($view:literal) => {
        concat!(
            "(select * from ",
            $view,
            " where submitted_on between $1 and $2 and ($3::text is null or responder_province = $3) offset 0) r"
        )
    };
}

/// The columns `cut` and `key` of a question whose rows are grouped by each cut at once.
macro_rules! cut_by {
    ($select:literal, $from:expr, $province:literal, $nation:literal, $more:literal) => {
        concat!(
            "select case when grouping(", $province, ") = 0 then 'province' when grouping(r.unit_type) = 0 then 'unit_type'
                 when grouping(r.purpose) = 0 then 'purpose' when grouping(r.kind) = 0 then 'kind' else 'nation' end as cut,
                 coalesce(", $province, ", r.unit_type, r.purpose, r.kind, '') as key, ",
            $select, " from ", $from,
            " group by grouping sets ((", $nation, "), (", $more, $province, "), (", $more, "r.unit_type), (",
            $more, "r.purpose), (", $more, "r.kind))"
        )
    };
}

fn group(row: &PgRow) -> Result<Group, Error> {
    let word: &str = row.try_get("cut")?;
    let cut =
        Cut::ALL.into_iter().find(|c| c.as_str() == word).ok_or_else(|| Error::unreadable("a cut", word.to_owned()))?;
    Ok(Group { cut, key: row.try_get("key")? })
}

/// How requests submitted on some days stand. The five of the reply clock add up to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Answered in time.
    pub in_time: i64,
    /// Answered at or after the answer due.
    pub late: i64,
    /// Taken back by W.
    pub withdrawn: i64,
    /// Unanswered, the answer due not past, or the clock not running.
    pub open: i64,
    /// Unanswered, the answer due past.
    pub overdue: i64,
    /// Files that ended by their due.
    pub file_in_time: i64,
    /// Files that ended after it.
    pub file_late: i64,
    /// Files not known to have ended, due past, the answer not read.
    pub file_overdue: i64,
    /// The same, due not past.
    pub file_running: i64,
    /// The answer was read, or the request taken back; W did not tell the file's end.
    pub file_not_told: i64,
    /// Files of kinds without a limit and without an appointment.
    pub file_no_limit: i64,
    /// Answered under 30 s after an officer opened it.
    pub under_30s: i64,
}

impl Standing {
    /// All requests submitted.
    pub fn submitted(&self) -> i64 {
        self.in_time + self.late + self.withdrawn + self.open + self.overdue
    }
}

/// How the requests submitted on these days stand.
pub async fn standing(conn: &mut PgConnection, of: &Of) -> Result<Vec<(Group, Standing)>, Error> {
    let rows = query(cut_by!(
        "count(*) filter (where r.reply = 'in_time') as in_time, count(*) filter (where r.reply = 'late') as late,
         count(*) filter (where r.reply = 'withdrawn') as withdrawn, count(*) filter (where r.reply = 'open') as open,
         count(*) filter (where r.reply = 'overdue') as overdue,
         count(*) filter (where r.file = 'in_time') as file_in_time, count(*) filter (where r.file = 'late') as file_late,
         count(*) filter (where r.file = 'overdue') as file_overdue,
         count(*) filter (where r.file = 'running') as file_running,
         count(*) filter (where r.file = 'not_told') as file_not_told,
         count(*) filter (where r.file = 'no_limit') as file_no_limit, count(*) filter (where r.under_30s) as under_30s",
        of_days!("report_requests"),
        "r.responder_province",
        "",
        ""
    ))
    .bind(On(of.days.from))
    .bind(On(of.days.to))
    .bind(of.province.as_deref())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let standing = Standing {
                in_time: row.try_get("in_time")?,
                late: row.try_get("late")?,
                withdrawn: row.try_get("withdrawn")?,
                open: row.try_get("open")?,
                overdue: row.try_get("overdue")?,
                file_in_time: row.try_get("file_in_time")?,
                file_late: row.try_get("file_late")?,
                file_overdue: row.try_get("file_overdue")?,
                file_running: row.try_get("file_running")?,
                file_not_told: row.try_get("file_not_told")?,
                file_no_limit: row.try_get("file_no_limit")?,
                under_30s: row.try_get("under_30s")?,
            };
            Ok((group(row)?, standing))
        })
        .collect()
}

/// How long a segment took, over the requests that have passed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Which: `ask`, `send`, `transport`, `unopened`, `work` or `unread`.
    pub segment: String,
    /// How many passed it.
    pub count: i64,
    /// The median, in seconds of wall time.
    pub median_s: f64,
    /// The 90th percentile, in seconds of wall time.
    pub p90_s: f64,
    /// The median, in minutes of office hours (the nation's calendar).
    pub median_working_min: f64,
    /// The 90th percentile, in minutes of office hours.
    pub p90_working_min: f64,
}

/// The segments of requests submitted on these days.
pub async fn segments(conn: &mut PgConnection, of: &Of) -> Result<Vec<(Group, Segment)>, Error> {
    let rows = query(cut_by!(
        "r.segment, count(*) as n,
         percentile_cont(array[0.5, 0.9]) within group (order by r.wall_seconds::float8) as wall,
         percentile_cont(array[0.5, 0.9]) within group (order by r.working_minutes::float8) as working",
        of_days!("report_segments_worked"),
        "r.responder_province",
        "r.segment",
        "r.segment, "
    ))
    .bind(On(of.days.from))
    .bind(On(of.days.to))
    .bind(of.province.as_deref())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let (wall, working): (Vec<f64>, Vec<f64>) = (row.try_get("wall")?, row.try_get("working")?);
            let at = |of: &[f64], i: usize| of.get(i).copied().unwrap_or_default();
            let segment = Segment {
                segment: row.try_get("segment")?,
                count: row.try_get("n")?,
                median_s: at(&wall, 0),
                p90_s: at(&wall, 1),
                median_working_min: at(&working, 0),
                p90_working_min: at(&working, 1),
            };
            Ok((group(row)?, segment))
        })
        .collect()
}

/// How long a holder held requests, all added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Who: a word of `domain::lag::Holder`.
    pub holder: String,
    /// In microseconds of wall time.
    pub micros: i64,
}

/// Who held the requests submitted on these days, up to their ends or to now.
pub async fn held(conn: &mut PgConnection, of: &Of) -> Result<Vec<(Group, Held)>, Error> {
    let rows = query(cut_by!(
        "r.holder, (sum(r.seconds) * 1000000)::bigint as micros",
        of_days!("report_hops"),
        "r.responder_province",
        "r.holder",
        "r.holder, "
    ))
    .bind(On(of.days.from))
    .bind(On(of.days.to))
    .bind(of.province.as_deref())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| Ok((group(row)?, Held { holder: row.try_get("holder")?, micros: row.try_get("micros")? })))
        .collect()
}

/// What is in hand in one state.
#[derive(Debug, Clone, PartialEq)]
pub struct InHand {
    /// How far they are.
    pub state: String,
    /// How many.
    pub count: i64,
    /// Of them unanswered, the answer due past.
    pub overdue: i64,
    /// Of them late in any way.
    pub late: i64,
    /// When the oldest was submitted.
    pub oldest: Timestamp,
    /// The median age since the submit, in seconds.
    pub median_age_s: f64,
}

/// All that is in life, whenever it was submitted.
pub async fn in_hand(conn: &mut PgConnection, of: &Of) -> Result<Vec<(Group, InHand)>, Error> {
    let rows = query(cut_by!(
        "r.state, count(*) as n, count(*) filter (where r.overdue) as overdue, count(*) filter (where r.late) as late,
         min(r.submitted_at) as oldest,
         percentile_cont(0.5) within group (order by extract(epoch from report_as_of() - r.submitted_at)::float8) as age",
        "(select * from report_in_hand where $1::text is null or province = $1 offset 0) r",
        "r.province",
        "r.state",
        "r.state, "
    ))
    .bind(of.province.as_deref())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let in_hand = InHand {
                state: row.try_get("state")?,
                count: row.try_get("n")?,
                overdue: row.try_get("overdue")?,
                late: row.try_get("late")?,
                oldest: row.try_get::<At, _>("oldest")?.0,
                median_age_s: row.try_get("age")?,
            };
            Ok((group(row)?, in_hand))
        })
        .collect()
}

/// What is late for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateFor {
    /// Why.
    pub why: Why,
    /// How many.
    pub count: i64,
    /// When the oldest was submitted.
    pub oldest: Timestamp,
}

/// Why what is late is late, whenever it was submitted.
pub async fn late_for(conn: &mut PgConnection, of: &Of) -> Result<Vec<(Group, LateFor)>, Error> {
    let rows = query(cut_by!(
        "r.why, count(*) as n, min(r.submitted_at) as oldest",
        "(select * from report_in_hand where late and ($1::text is null or province = $1) offset 0) r",
        "r.province",
        "r.why",
        "r.why, "
    ))
    .bind(of.province.as_deref())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let late = LateFor {
                why: why_of(row.try_get("why")?)?,
                count: row.try_get("n")?,
                oldest: row.try_get::<At, _>("oldest")?.0,
            };
            Ok((group(row)?, late))
        })
        .collect()
}

/// Commands refused with one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Province code of whoever sent them; `VN` for the ministry's and for none.
    pub province: String,
    /// With which code.
    pub code: String,
    /// How many.
    pub count: i64,
}

/// Commands refused on these days.
pub async fn refused(conn: &mut PgConnection, of: &Of) -> Result<Vec<Refused>, Error> {
    let rows = query(
        "select province, code, count(*) as n from report_refusals
         where refused_on between $1 and $2 and ($3::text is null or province = $3)
         group by 1, 2 order by 1, 2",
    )
    .bind(On(of.days.from))
    .bind(On(of.days.to))
    .bind(of.province.as_deref())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Refused { province: row.try_get("province")?, code: row.try_get("code")?, count: row.try_get("n")? })
        })
        .collect()
}
