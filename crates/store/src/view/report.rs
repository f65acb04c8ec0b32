//! The figures of a report, from the schema's views `report_…` and from nothing else, so that whoever
//! asks these with SQL gets the same. Wants a connection of [`super::look`].
//!
//! Two populations: requests *submitted* on given days, wherever they are by now, and what is *in
//! hand*, whenever it was submitted. No figure names a person, and none a request.

mod question;

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use xacminh_contract::notice::Why;
use xacminh_domain::lag::{Holder, Segment};
use xacminh_domain::{Date, Timestamp};

use super::late::why_of;
use crate::error::Error;
use crate::time::{At, On};

pub use question::{Cut, Group};
use question::{Question, of_days};

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
pub async fn standing(conn: &mut PgConnection, of: &Of, cuts: &[Cut]) -> Result<Vec<(Group, Standing)>, Error> {
    Question {
        select: "count(*) filter (where r.reply = 'in_time') as in_time,
             count(*) filter (where r.reply = 'late') as late,
             count(*) filter (where r.reply = 'withdrawn') as withdrawn,
             count(*) filter (where r.reply = 'open') as open, count(*) filter (where r.reply = 'overdue') as overdue,
             count(*) filter (where r.file = 'in_time') as file_in_time,
             count(*) filter (where r.file = 'late') as file_late,
             count(*) filter (where r.file = 'overdue') as file_overdue,
             count(*) filter (where r.file = 'running') as file_running,
             count(*) filter (where r.file = 'not_told') as file_not_told,
             count(*) filter (where r.file = 'no_limit') as file_no_limit,
             count(*) filter (where r.under_30s) as under_30s",
        from: of_days!("report_requests"),
        province: "r.responder_province",
        divided: None,
    }
    .ask(conn, of, cuts, |row| {
        Ok(Standing {
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
        })
    })
    .await
}

/// How long a segment took, over the requests that have passed it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passed {
    /// Which.
    pub segment: Segment,
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
pub async fn segments(conn: &mut PgConnection, of: &Of, cuts: &[Cut]) -> Result<Vec<(Group, Passed)>, Error> {
    let of_a_segment = |segment: Segment| {
        let s = segment.as_str();
        format!(
            "count(r.{s}_seconds) as {s}_count,
             percentile_cont(array[0.5, 0.9]) within group (order by r.{s}_seconds) as {s}_wall,
             percentile_cont(array[0.5, 0.9]) within group (order by r.{s}_working_minutes::float8) as {s}_working"
        )
    };
    let question = Question {
        select: &Segment::ALL.map(of_a_segment).join(", "),
        from: of_days!("report_ways"),
        province: "r.responder_province",
        divided: None,
    };
    let found = question
        .ask(conn, of, cuts, |row| {
            let mut passed = Vec::with_capacity(Segment::ALL.len());
            for segment in Segment::ALL {
                let column = |what: &str| format!("{}_{what}", segment.as_str());
                let count: i64 = row.try_get(&*column("count"))?;
                if count == 0 {
                    continue;
                }
                let both = |what: &str| -> Result<[f64; 2], Error> {
                    let of: Option<Vec<f64>> = row.try_get(&*column(what))?;
                    Ok(of.and_then(|of| of.try_into().ok()).unwrap_or_default())
                };
                let ([median_s, p90_s], [median_working_min, p90_working_min]) = (both("wall")?, both("working")?);
                passed.push(Passed { segment, count, median_s, p90_s, median_working_min, p90_working_min });
            }
            Ok(passed)
        })
        .await?;
    Ok(one_by_one(found))
}

/// How long a holder held requests, all added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Who.
    pub holder: Holder,
    /// In microseconds of wall time.
    pub micros: i64,
}

/// Who held the requests submitted on these days, up to their ends or to now.
pub async fn held(conn: &mut PgConnection, of: &Of, cuts: &[Cut]) -> Result<Vec<(Group, Held)>, Error> {
    let of_a_holder = |holder: Holder| format!("coalesce(sum(r.{h}_us), 0)::bigint as {h}_us", h = holder.as_str());
    let question = Question {
        select: &Holder::ALL.map(of_a_holder).join(", "),
        from: of_days!("report_holders"),
        province: "r.responder_province",
        divided: None,
    };
    let found = question
        .ask(conn, of, cuts, |row| {
            let held = |holder: Holder| {
                let micros = row.try_get(&*format!("{}_us", holder.as_str()))?;
                Ok(Held { holder, micros })
            };
            Holder::ALL.into_iter().map(held).collect::<Result<Vec<_>, Error>>()
        })
        .await?;
    Ok(one_by_one(found))
}

/// Each of several figures of a group with that group.
fn one_by_one<T>(found: Vec<(Group, Vec<T>)>) -> Vec<(Group, T)> {
    found.into_iter().flat_map(|(group, all)| all.into_iter().map(move |one| (group.clone(), one))).collect()
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
pub async fn in_hand(conn: &mut PgConnection, of: &Of, cuts: &[Cut]) -> Result<Vec<(Group, InHand)>, Error> {
    Question {
        select: "r.state, count(*) as n, count(*) filter (where r.overdue) as overdue,
             count(*) filter (where r.late) as late, min(r.submitted_at) as oldest,
             percentile_cont(0.5) within group
                 (order by extract(epoch from report_as_of() - r.submitted_at)::float8) as age",
        from: "(select * from report_in_hand where $1::text is null or province = $1 offset 0) r",
        province: "r.province",
        divided: Some("r.state"),
    }
    .ask(conn, of, cuts, |row| {
        Ok(InHand {
            state: row.try_get("state")?,
            count: row.try_get("n")?,
            overdue: row.try_get("overdue")?,
            late: row.try_get("late")?,
            oldest: row.try_get::<At, _>("oldest")?.0,
            median_age_s: row.try_get("age")?,
        })
    })
    .await
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
pub async fn late_for(conn: &mut PgConnection, of: &Of, cuts: &[Cut]) -> Result<Vec<(Group, LateFor)>, Error> {
    Question {
        select: "r.why, count(*) as n, min(r.submitted_at) as oldest",
        from: "(select * from report_in_hand where late and ($1::text is null or province = $1) offset 0) r",
        province: "r.province",
        divided: Some("r.why"),
    }
    .ask(conn, of, cuts, |row| {
        Ok(LateFor {
            why: why_of(row.try_get("why")?)?,
            count: row.try_get("n")?,
            oldest: row.try_get::<At, _>("oldest")?.0,
        })
    })
    .await
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
