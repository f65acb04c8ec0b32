//! What an operator sees of a day with an office: both ends by its last report, by kind, and each
//! difference with what became of it.

use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use uuid::Uuid;
use xacminh_domain::id::OfficeId;
use xacminh_domain::{Date, Timestamp};

use crate::error::Error;
use crate::time::{At, On};

/// What both ends had when they were last compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Which office.
    pub office: String,
    /// When it made its lists, by its own clock.
    #[serde(serialize_with = "crate::as_local")]
    pub made_at: Timestamp,
    /// When they were compared.
    #[serde(serialize_with = "crate::as_local")]
    pub compared_at: Timestamp,
    /// The office's commands.
    pub sent: Counts,
    /// What the broker sent it.
    pub received: Counts,
    /// How many differences there were.
    pub differences: i64,
    /// How many of them sending again cannot mend, or did not.
    pub unhealed: i64,
}

/// How many messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// In the office's list.
    pub theirs: i32,
    /// At the broker.
    pub ours: i32,
    /// At both.
    pub agreed: i32,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// About which message.
    #[serde(serialize_with = "crate::as_text")]
    pub message_id: Uuid,
    /// In what.
    pub difference: String,
    /// What became of it.
    pub healing: String,
    /// Its `type`, where it is known.
    #[serde(rename = "type")]
    pub message_type: Option<String>,
    /// The request, where it is known.
    #[serde(serialize_with = "crate::as_optional_text")]
    pub request_id: Option<Uuid>,
    /// How far that request is now.
    pub state: Option<String>,
    /// In how many reports one after the other.
    pub times: i32,
}

/// The last comparisons of a day: of one office, or of all that reported, those to look at first.
pub async fn reports(conn: &mut PgConnection, day: Date, office: Option<OfficeId>) -> Result<Vec<Report>, Error> {
    let rows = query(
        "select r.*, d.differences, d.unhealed from reconcile_reports r cross join lateral (
             select count(*) as differences,
                 count(*) filter (where d.healing = 'alerted' or d.times > 1) as unhealed
             from reconcile_differences d where d.office = r.office and d.day = r.day) d
         where r.day = $1 and ($2::text is null or r.office = $2)
         order by d.unhealed desc, d.differences desc, r.office",
    )
    .bind(On(day))
    .bind(office.map(|id| id.to_string()))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Report {
                office: row.try_get("office")?,
                made_at: row.try_get::<At, _>("made_at")?.0,
                compared_at: row.try_get::<At, _>("compared_at")?.0,
                sent: Counts {
                    theirs: row.try_get("sent_theirs")?,
                    ours: row.try_get("sent_ours")?,
                    agreed: row.try_get("sent_agreed")?,
                },
                received: Counts {
                    theirs: row.try_get("received_theirs")?,
                    ours: row.try_get("received_ours")?,
                    agreed: row.try_get("received_agreed")?,
                },
                differences: row.try_get("differences")?,
                unhealed: row.try_get("unhealed")?,
            })
        })
        .collect()
}

/// The differences of an office's last report of a day, those to look at first.
pub async fn differences(conn: &mut PgConnection, day: Date, office: OfficeId) -> Result<Vec<Difference>, Error> {
    let rows = query(
        "select d.message_id, d.difference, d.healing, d.message_type, d.request_id, r.state, d.times
         from reconcile_differences d left join requests r on r.request_id = d.request_id
         where d.day = $1 and d.office = $2
         order by (d.healing = 'alerted' or d.times > 1) desc, d.difference, d.message_id",
    )
    .bind(On(day))
    .bind(office.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Difference {
                message_id: row.try_get("message_id")?,
                difference: row.try_get("difference")?,
                healing: row.try_get("healing")?,
                message_type: row.try_get("message_type")?,
                request_id: row.try_get("request_id")?,
                state: row.try_get("state")?,
                times: row.try_get("times")?,
            })
        })
        .collect()
}
