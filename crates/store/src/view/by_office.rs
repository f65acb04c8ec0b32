//! Offices by what they have to do next, with their workload beside: never ranked by a rate, and no
//! person in sight. From the views `report_…`; wants a connection of [`super::look`].

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, query};
use xacminh_contract::notice::Why;
use xacminh_domain::{Date, Timestamp};

use super::report::Of;
use crate::error::Error;
use crate::time::{At, On};

/// One office.
#[derive(Debug, Clone, PartialEq)]
pub struct OfficeLine {
    /// Its id.
    pub office: String,
    /// Its province code; `VN` for the ministry's.
    pub province: String,
    /// The earliest day by which it has to do its next step with something; none if nothing has one.
    pub next_due_on: Option<Date>,
    /// Requests that it is asked and has not answered.
    pub open: i64,
    /// Of them beyond the answer due.
    pub overdue: i64,
    /// When the oldest of them was submitted.
    pub oldest: Option<Timestamp>,
    /// Answers to its own requests that nobody there has read.
    pub unread: i64,
    /// What it has to act on and is late, by reason.
    pub late: Vec<(Why, i64)>,
    /// Requests it was asked on the days of the report: its workload.
    pub asked: i64,
    /// Of them answered.
    pub answered: i64,
    /// Requests of its own submitted on these days.
    pub submitted: i64,
    /// The median from delivered to answered of those it was asked and answered, in seconds.
    pub median_answer_s: Option<f64>,
}

/// Offices that have something in hand or had something to do with requests of these days, the oldest
/// next due first.
pub async fn offices(conn: &mut PgConnection, of: &Of) -> Result<Vec<OfficeLine>, Error> {
    let rows = query(
        "with hand as (
             select office, min(step_due_on) as next_due_on, count(*) filter (where state <> 'answered') as open,
                 count(*) filter (where overdue) as overdue, count(*) filter (where state = 'answered') as unread,
                 min(submitted_at) filter (where state <> 'answered') as oldest,
                 array_agg(why) filter (where late and not with_broker) as late
             from report_in_hand where $3::text is null or province = $3 group by office
         ), asked as (
             select responder as office, count(*) as asked, count(answered_at) as answered,
                 percentile_cont(0.5) within group (order by extract(epoch from answered_at - delivered_at)::float8)
                     as median
             from report_requests
             where submitted_on between $1 and $2 and ($3::text is null or responder_province = $3) group by responder
         ), sent as (
             select requester as office, count(*) as submitted
             from report_requests
             where submitted_on between $1 and $2 and ($3::text is null or requester_province = $3) group by requester
         )
         select office, coalesce(o.province_code, 'VN') as province, h.next_due_on, coalesce(h.open, 0) as open,
             coalesce(h.overdue, 0) as overdue, coalesce(h.unread, 0) as unread, h.oldest,
             coalesce(h.late, '{}') as late, coalesce(a.asked, 0) as asked, coalesce(a.answered, 0) as answered,
             coalesce(s.submitted, 0) as submitted, a.median
         from hand h full join asked a using (office) full join sent s using (office)
         left join offices o on o.office_id = office
         order by h.next_due_on nulls last, h.oldest nulls last, office",
    )
    .bind(On(of.days.from))
    .bind(On(of.days.to))
    .bind(of.province.as_deref())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(OfficeLine {
                office: row.try_get("office")?,
                province: row.try_get("province")?,
                next_due_on: row.try_get::<Option<On>, _>("next_due_on")?.map(|on| on.0),
                open: row.try_get("open")?,
                overdue: row.try_get("overdue")?,
                oldest: row.try_get::<Option<At>, _>("oldest")?.map(|at| at.0),
                unread: row.try_get("unread")?,
                late: whys(row)?,
                asked: row.try_get("asked")?,
                answered: row.try_get("answered")?,
                submitted: row.try_get("submitted")?,
                median_answer_s: row.try_get("median")?,
            })
        })
        .collect()
}

/// An office that somebody should phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToCall {
    /// Its id.
    pub office: String,
    /// What it has to act on and is late, by reason, most frequent first.
    pub late: Vec<(Why, i64)>,
    /// When the oldest of it was submitted.
    pub oldest: Timestamp,
    /// The earliest day by which it had to do its next step; none before a clock runs.
    pub oldest_due_on: Option<Date>,
}

/// The offices of a province that have something late to act on, the oldest due first.
pub async fn to_call(conn: &mut PgConnection, province: &str) -> Result<Vec<ToCall>, Error> {
    let rows = query(
        "select office, min(submitted_at) as oldest, min(step_due_on) as oldest_due_on, array_agg(why) as late
         from report_in_hand where late and not with_broker and province = $1
         group by office order by 3 nulls last, 2, 1",
    )
    .bind(province)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(ToCall {
                office: row.try_get("office")?,
                late: whys(row)?,
                oldest: row.try_get::<At, _>("oldest")?.0,
                oldest_due_on: row.try_get::<Option<On>, _>("oldest_due_on")?.map(|on| on.0),
            })
        })
        .collect()
}

/// How often each reason stands in the column `late`, most frequent first.
fn whys(row: &PgRow) -> Result<Vec<(Why, i64)>, Error> {
    let words: Vec<String> = row.try_get("late")?;
    let count = |why: Why| i64::try_from(words.iter().filter(|w| *w == why.as_str()).count()).unwrap_or(i64::MAX);
    let mut counted: Vec<(Why, i64)> = Why::ALL.into_iter().map(|why| (why, count(why))).collect();
    counted.retain(|(_, n)| *n > 0);
    counted.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    Ok(counted)
}
