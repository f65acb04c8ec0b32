//! Reconciling a day with an office: its report page by page, what the broker has of that day, the
//! differences, and what is sent again for them.
//!
//! ```text
//!  commands of the day   inbox, by (sender, message-id)
//!  letters of the day    deliveries (on their way) · outbox (leaving) · sent_letters (gone, sealed)
//! ```
//!
//! The day is the one in the ids, so a day is a range of ids. Which difference there is, and what
//! becomes of it, is the domain's to say.

use std::collections::{BTreeSet, HashMap};

use sqlx::postgres::PgConnection;
use sqlx::{Row, query, query_scalar};
use uuid::Uuid;
use xacminh_contract::answer::Code;
use xacminh_contract::envelope::REQUEST_DELIVER;
use xacminh_contract::receipt::State;
use xacminh_contract::reconcile::{Difference, Healing, Report};
use xacminh_domain::calendar::end_of_day;
use xacminh_domain::id::{MessageId, OfficeId, RequestId};
use xacminh_domain::reconcile::{Compared, Counts, Letter, Taken};
use xacminh_domain::{Date, Timestamp};

use crate::error::Error;
use crate::ledger::request_id;
use crate::outbox::{self, shard};
use crate::time::{At, On};

/// The first key of the lock under which a day's pages of an office meet.
const PAGES: i32 = 7_226_467;

/// A whole report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The day.
    pub day: Date,
    /// When the office made its lists, by its clock.
    pub made_at: Timestamp,
    /// The commands it lists.
    pub sent: BTreeSet<MessageId>,
    /// The messages it lists as received.
    pub received: BTreeSet<MessageId>,
}

/// Keeps a page, and gives the whole report once no page is missing. Pages of another report of the
/// same day are dropped: the one that came last counts.
pub async fn take_page(tx: &mut PgConnection, office: OfficeId, report: &Report) -> Result<Option<Whole>, Error> {
    let (day, made_at) = (report.day.0, report.made_at.0);
    if report.pages == 1 {
        let ids = |list: &[xacminh_contract::values::MsgId]| list.iter().map(|id| id.0).collect();
        query("delete from reconcile_pages where office = $1 and day = $2")
            .bind(office.as_str())
            .bind(On(day))
            .execute(tx)
            .await?;
        return Ok(Some(Whole { day, made_at, sent: ids(&report.sent), received: ids(&report.received) }));
    }
    // Two pages may be taken at once by two copies, and the later one has to see the other.
    query("select pg_advisory_xact_lock($1, hashtext($2 || $3::text))")
        .bind(PAGES)
        .bind(office.as_str())
        .bind(On(day))
        .execute(&mut *tx)
        .await?;
    query("delete from reconcile_pages where office = $1 and day = $2 and (made_at, pages) <> ($3, $4)")
        .bind(office.as_str())
        .bind(On(day))
        .bind(At(made_at))
        .bind(small(report.pages))
        .execute(&mut *tx)
        .await?;
    let ids = |list: &[xacminh_contract::values::MsgId]| list.iter().map(|id| id.0.uuid()).collect::<Vec<_>>();
    query(
        "insert into reconcile_pages (office, day, page, pages, made_at, sent, received)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (office, day, page) do update set sent = excluded.sent, received = excluded.received",
    )
    .bind(office.as_str())
    .bind(On(day))
    .bind(small(report.page))
    .bind(small(report.pages))
    .bind(At(made_at))
    .bind(ids(&report.sent))
    .bind(ids(&report.received))
    .execute(&mut *tx)
    .await?;
    let count: i64 = query_scalar("select count(*) from reconcile_pages where office = $1 and day = $2")
        .bind(office.as_str())
        .bind(On(day))
        .fetch_one(&mut *tx)
        .await?;
    if count < i64::from(report.pages) {
        return Ok(None);
    }
    let rows = query("delete from reconcile_pages where office = $1 and day = $2 returning sent, received")
        .bind(office.as_str())
        .bind(On(day))
        .fetch_all(tx)
        .await?;
    let mut whole = Whole { day, made_at, sent: BTreeSet::new(), received: BTreeSet::new() };
    for row in rows {
        for id in row.try_get::<Vec<Uuid>, _>("sent")? {
            whole.sent.insert(message(id)?);
        }
        for id in row.try_get::<Vec<Uuid>, _>("received")? {
            whole.received.insert(message(id)?);
        }
    }
    Ok(Some(whole))
}

/// A command of a day, as the inbox has it.
#[derive(Debug, Clone, Copy)]
pub struct TakenRow {
    /// What the domain compares.
    pub taken: Taken,
    /// The request it is about or made.
    pub request: Option<RequestId>,
}

/// The commands of a day that were taken from an office, with the `type` of each where it is known.
/// Reports themselves are left out.
pub async fn taken(
    conn: &mut PgConnection,
    office: OfficeId,
    day: Date,
) -> Result<Vec<(TakenRow, Option<String>)>, Error> {
    let (from, to) = ids_of(day);
    let rows = query(
        "select message_id, at, command, request_id, receipt is not null as has_receipt, refused from inbox
         where sender = $1 and message_id >= $2 and message_id < $3 and command is distinct from 'reconcile.report'",
    )
    .bind(office.as_str())
    .bind(from)
    .bind(to)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let taken = Taken {
                id: message(row.try_get("message_id")?)?,
                at: row.try_get::<At, _>("at")?.0,
                has_receipt: row.try_get("has_receipt")?,
                refused: row.try_get("refused")?,
            };
            let request = row.try_get::<Option<Uuid>, _>("request_id")?.map(request_id).transpose()?;
            let name = row.try_get::<Option<&str>, _>("command")?.map(|name| format!("xacminh.{name}.v1"));
            Ok((TakenRow { taken, request }, name))
        })
        .collect()
}

/// The work and answers of a day for an office, with type and request of each, wherever they are.
pub async fn letters(
    conn: &mut PgConnection,
    office: OfficeId,
    day: Date,
) -> Result<Vec<(Letter, String, RequestId)>, Error> {
    let (from, to) = ids_of(day);
    let rows = query(
        "select message_id, message_type, request_id, sent_at from sent_letters
         where office = $1 and message_id >= $2 and message_id < $3
         union all
         select message_id, $5, request_id, sent_at from deliveries
         where office = $1 and sent_at is not null and message_id >= $2 and message_id < $3
         union all
         select message_id, $5, request_id, null from deliveries
         where shard = $4 and office = $1 and sent_at is null and message_id >= $2 and message_id < $3
         union all
         select message_id, message_type, request_id, null from outbox
         where shard = $4 and office = $1 and message_id >= $2 and message_id < $3 and marks is not null",
    )
    .bind(office.as_str())
    .bind(from)
    .bind(to)
    .bind(shard(office))
    .bind(REQUEST_DELIVER)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let letter = Letter {
                id: message(row.try_get("message_id")?)?,
                left_at: row.try_get::<Option<At>, _>("sent_at")?.map(|at| at.0),
            };
            Ok((letter, row.try_get("message_type")?, request_id(row.try_get("request_id")?)?))
        })
        .collect()
}

/// How far requests are, and how they were answered.
pub async fn states(
    conn: &mut PgConnection,
    requests: &[RequestId],
) -> Result<HashMap<RequestId, (State, Option<Code>)>, Error> {
    if requests.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = query(
        "select r.request_id, r.state, r.answer_code from unnest($1::uuid[]) as i (id)
         join requests r on r.request_id = i.id",
    )
    .bind(requests.iter().map(|id| id.uuid()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let state = State::from_word(row.try_get("state")?)
                .ok_or_else(|| Error::unreadable("a request", "unknown state"))?;
            let code = row.try_get::<Option<&str>, _>("answer_code")?.and_then(Code::from_word);
            Ok((request_id(row.try_get("request_id")?)?, (state, code)))
        })
        .collect()
}

/// The first receipts of commands, with the request each is about.
pub async fn receipts(
    conn: &mut PgConnection,
    office: OfficeId,
    ids: &[MessageId],
) -> Result<Vec<(Vec<u8>, Option<RequestId>)>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = query(
        "select receipt, request_id from inbox where sender = $1 and message_id = any($2) and receipt is not null
         order by message_id",
    )
    .bind(office.as_str())
    .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let request = row.try_get::<Option<Uuid>, _>("request_id")?.map(request_id).transpose()?;
            Ok((row.try_get("receipt")?, request))
        })
        .collect()
}

/// Has messages sent to an office again, under their ids and byte by byte: what is still on its way
/// goes back to what waits, what was confirmed leaves once more.
pub async fn send_again(tx: &mut PgConnection, office: OfficeId, ids: &[MessageId]) -> Result<u64, Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    // What somebody is changing now is being confirmed.
    let waiting = query(
        "update deliveries set sent_at = null, again_at = null, arrival = default where request_id in (
             select request_id from deliveries
             where office = $1 and sent_at is not null and message_id = any($2) for update skip locked)",
    )
    .bind(office.as_str())
    .bind(&ids)
    .execute(&mut *tx)
    .await?;
    let leaving = query(
        "insert into outbox (shard, office, message_id, message_type, request_id, created_at, traceparent, sealed)
         select $3, office, message_id, message_type, request_id, created_at, traceparent, sealed from sent_letters
         where office = $1 and message_id = any($2) order by message_type desc, message_id",
    )
    .bind(office.as_str())
    .bind(&ids)
    .bind(shard(office))
    .execute(&mut *tx)
    .await?;
    outbox::ring(&mut *tx).await?;
    Ok(waiting.rows_affected() + leaving.rows_affected())
}

/// A difference as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDifference {
    /// About which message.
    pub id: MessageId,
    /// In what.
    pub difference: Difference,
    /// What becomes of it.
    pub healing: Healing,
    /// Its `type`, where it is known.
    pub message_type: Option<String>,
    /// The request, where it is known.
    pub request: Option<RequestId>,
}

/// Keeps what a comparison found in place of what the day's last one had found. A difference that
/// was there before is counted on.
pub async fn keep(
    tx: &mut PgConnection,
    office: OfficeId,
    whole: &Whole,
    now: Timestamp,
    found: &Compared,
    differences: &[NewDifference],
) -> Result<(), Error> {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let counts = |c: &Counts| [count(c.theirs), count(c.ours), count(c.agreed)];
    let ([sent_theirs, sent_ours, sent_agreed], [received_theirs, received_ours, received_agreed]) =
        (counts(&found.sent), counts(&found.received));
    query(
        "insert into reconcile_reports (office, day, made_at, compared_at, sent_theirs, sent_ours, sent_agreed,
             received_theirs, received_ours, received_agreed)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (office, day) do update set
             made_at = excluded.made_at, compared_at = excluded.compared_at, sent_theirs = excluded.sent_theirs,
             sent_ours = excluded.sent_ours, sent_agreed = excluded.sent_agreed,
             received_theirs = excluded.received_theirs, received_ours = excluded.received_ours,
             received_agreed = excluded.received_agreed",
    )
    .bind(office.as_str())
    .bind(On(whole.day))
    .bind(At(whole.made_at))
    .bind(At(now))
    .bind(sent_theirs)
    .bind(sent_ours)
    .bind(sent_agreed)
    .bind(received_theirs)
    .bind(received_ours)
    .bind(received_agreed)
    .execute(&mut *tx)
    .await?;
    let ids: Vec<Uuid> = differences.iter().map(|d| d.id.uuid()).collect();
    let words: Vec<&str> = differences.iter().map(|d| d.difference.as_str()).collect();
    query(
        "delete from reconcile_differences d where office = $1 and day = $2 and not exists (
             select from unnest($3::uuid[], $4::text[]) as n (message_id, difference)
             where n.message_id = d.message_id and n.difference = d.difference)",
    )
    .bind(office.as_str())
    .bind(On(whole.day))
    .bind(&ids)
    .bind(&words)
    .execute(&mut *tx)
    .await?;
    query(
        "insert into reconcile_differences as d
             (office, day, message_id, difference, healing, message_type, request_id)
         select $1, $2, * from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[])
         on conflict (office, day, message_id, difference) do update set
             healing = excluded.healing, message_type = excluded.message_type,
             request_id = excluded.request_id, times = d.times + 1",
    )
    .bind(office.as_str())
    .bind(On(whole.day))
    .bind(&ids)
    .bind(&words)
    .bind(differences.iter().map(|d| d.healing.as_str()).collect::<Vec<_>>())
    .bind(differences.iter().map(|d| d.message_type.as_deref()).collect::<Vec<_>>())
    .bind(differences.iter().map(|d| d.request.map(|id| id.uuid())).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// How many differences need an operator: nothing that is sent mends them, or sending did not.
pub async fn unhealed(conn: &mut PgConnection, since: Date) -> Result<i64, Error> {
    Ok(query_scalar(
        "select count(*) from reconcile_differences where day >= $1 and (healing = 'alerted' or times > 1)",
    )
    .bind(On(since))
    .fetch_one(conn)
    .await?)
}

/// Drops sent letters of days that can no longer be reported, some at a time. Gives how many.
pub async fn prune(conn: &mut PgConnection, before: Date) -> Result<u64, Error> {
    let (first, _) = ids_of(before);
    let done = query(
        "delete from sent_letters where (office, message_id) in (
             select office, message_id from sent_letters where message_id < $1 limit 10000 for update skip locked)",
    )
    .bind(first)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// The ids of a day: from the first, and below the other.
fn ids_of(day: Date) -> (Uuid, Uuid) {
    let at = |at: Timestamp| Uuid::from_u128(u128::try_from(at.as_millisecond()).unwrap_or(0) << 80);
    (at(end_of_day(day.saturating_sub(jiff::SignedDuration::from_hours(24)))), at(end_of_day(day)))
}

pub(crate) fn message(id: Uuid) -> Result<MessageId, Error> {
    MessageId::new(id).map_err(|e| Error::unreadable("a message id", e))
}

fn small(n: u16) -> i16 {
    i16::try_from(n).unwrap_or(i16::MAX)
}
