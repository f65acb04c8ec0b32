//! What is in life, many requests at a time, for whoever counts their due dates anew. What becomes of one
//! is `domain`'s to say.
//!
//! The projection is all that is read. A ledger is only appended to, at the end that the row names, so that
//! a million requests are not replayed.

use std::collections::{HashMap, HashSet};

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, query, query_scalar};
use uuid::Uuid;
use xacminh_contract::notice::{For, Topic};
use xacminh_contract::receipt as wire;
use xacminh_contract::request::Kind;
use xacminh_domain::deadline::Deadline;
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_domain::recount::{ClockDays, Facts};
use xacminh_domain::request::{Event, Fired, Instants, ReplyDues, State};
use xacminh_domain::rules::Trigger;
use xacminh_domain::{Date, Timestamp};
use xacminh_trust::chain::Hash;

use crate::error::Error;
use crate::ledger::{self, LedgerRow, hash_of, request_id, seq_of};
use crate::time::{At, On};

/// A request in life, as its row says.
#[derive(Debug, Clone)]
pub struct InLife {
    /// Which.
    pub id: RequestId,
    /// W.
    pub requester: OfficeId,
    /// H.
    pub responder: OfficeId,
    /// What its due dates go by.
    pub facts: Facts,
    seq: u32,
    head: Hash,
}

/// Some of what is in life.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// In the order of their ids.
    pub requests: Vec<InLife>,
    /// Rows that say nothing readable.
    pub unreadable: Vec<RequestId>,
}

/// A request in life, and the instant of its next rung.
#[derive(Debug, Clone, Copy)]
pub struct Timer {
    /// Of which request.
    pub id: RequestId,
    due_at: Timestamp,
}

/// The next requests in life after one, in the order of their ids.
pub async fn timers(conn: &mut PgConnection, after: Option<RequestId>, limit: i64) -> Result<Vec<Timer>, Error> {
    let rows = query("select request_id, due_at from timers where request_id > $1 order by request_id limit $2")
        .bind(after.map_or(Uuid::nil(), |id| id.uuid()))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(timer).collect()
}

fn timer(row: &PgRow) -> Result<Timer, Error> {
    Ok(Timer { id: request_id(row.try_get("request_id")?)?, due_at: row.try_get::<At, _>("due_at")?.0 })
}

/// Locks requests for the transaction, in the order of their ids as everywhere. Gives those that are as they
/// were read; and those that somebody changed since, as they are now, if they are in life still.
pub async fn lock(tx: &mut PgConnection, read_before: &[&InLife]) -> Result<(HashSet<RequestId>, Page), Error> {
    if read_before.is_empty() {
        return Ok((HashSet::new(), Page::default()));
    }
    let locked: Vec<(Uuid, i32)> = sqlx::query_as(
        "select r.* from unnest($1::uuid[]) as i (id) cross join lateral (
             select request_id, seq from requests where request_id = i.id for update) r",
    )
    .bind(read_before.iter().map(|r| r.id.uuid()).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    let now: HashMap<Uuid, u32> = locked.into_iter().map(|(id, seq)| (id, seq_of(seq))).collect();
    let is_same = |r: &&&InLife| now.get(&r.id.uuid()) == Some(&r.seq);
    let same = read_before.iter().filter(is_same).map(|r| r.id).collect();
    let other: Vec<Uuid> = read_before.iter().filter(|r| !is_same(r)).map(|r| r.id.uuid()).collect();
    if other.is_empty() {
        return Ok((same, Page::default()));
    }
    let timers = query("select request_id, due_at from timers where request_id = any($1)")
        .bind(other)
        .fetch_all(&mut *tx)
        .await?;
    let timers: Vec<Timer> = timers.iter().map(timer).collect::<Result<_, _>>()?;
    Ok((same, read(tx, &timers, Hold::Nothing).await?))
}

/// Whether requests are locked as they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// No.
    Nothing,
    /// Yes, for the transaction. Their timers were read before and may have changed.
    Requests,
}

/// Reads requests, in the order of their ids. Not together with their timers: as a join, the planner might take a road
/// along all that ever was.
pub async fn read(conn: &mut PgConnection, timers: &[Timer], hold: Hold) -> Result<Page, Error> {
    let next: HashMap<Uuid, Timestamp> = timers.iter().map(|timer| (timer.id.uuid(), timer.due_at)).collect();
    // A macro, since a statement is a text that is known when the program is made.
    macro_rules! rows {
        ($lock:literal) => {
            concat!(
                "select r.* from unnest($1::uuid[]) as i (id) cross join lateral (
                     select request_id, requester, responder, kind, received_on, state, seq, head_hash, submitted_at,
                         opened_at, answered_at, answer_sent_at, file_due_on, file_closed_on is not null as file_closed,
                         clock_start, accept_due_on, answer_due_on
                     from requests where request_id = i.id",
                $lock,
                ") r"
            )
        };
    }
    let statement = match hold {
        Hold::Nothing => rows!(""),
        Hold::Requests => rows!(" for update"),
    };
    let rows =
        query(statement).bind(timers.iter().map(|timer| timer.id.uuid()).collect::<Vec<_>>()).fetch_all(conn).await?;
    let mut page = Page { requests: Vec::with_capacity(rows.len()), ..Page::default() };
    for row in rows {
        let id: Uuid = row.try_get("request_id")?;
        match read_row(&row, request_id(id)?, next.get(&id).copied()) {
            Ok(request) => page.requests.push(request),
            // One row keeps no other from being counted.
            Err(Error::Unreadable { .. }) => page.unreadable.push(request_id(id)?),
            Err(error) => return Err(error),
        }
    }
    Ok(page)
}

fn read_row(row: &PgRow, id: RequestId, next: Option<Timestamp>) -> Result<InLife, Error> {
    let at = |column| Ok::<_, Error>(row.try_get::<Option<At>, _>(column)?.map(|at| at.0));
    let day = |column| Ok::<_, Error>(row.try_get::<Option<On>, _>(column)?.map(|on| on.0));
    let office = |column| -> Result<OfficeId, Error> {
        row.try_get::<&str, _>(column)?.parse().map_err(|e| Error::unreadable("an office", e))
    };
    let clock = match (at("clock_start")?, day("accept_due_on")?, day("answer_due_on")?) {
        (Some(started_at), Some(accept_on), Some(answer_on)) => Some(ClockDays { started_at, accept_on, answer_on }),
        (None, ..) => None,
        _ => return Err(Error::unreadable("a clock", "without its due dates")),
    };
    let facts = Facts {
        state: wire::State::from_word(row.try_get("state")?)
            .ok_or_else(|| Error::unreadable("a state", "an unknown word"))?
            .into(),
        kind: Kind::from_word(row.try_get("kind")?)
            .ok_or_else(|| Error::unreadable("a kind", "an unknown word"))?
            .into(),
        received_on: row.try_get::<On, _>("received_on")?.0,
        at: Instants {
            submitted: row.try_get::<At, _>("submitted_at")?.0,
            opened: at("opened_at")?,
            answered: at("answered_at")?,
            answer_sent: at("answer_sent_at")?,
            ..Instants::default()
        },
        file_due_on: day("file_due_on")?,
        file_closed: row.try_get("file_closed")?,
        clock,
        next_at: next.filter(|at| *at != crate::timer::NEVER),
    };
    Ok(InLife {
        id,
        requester: office("requester")?,
        responder: office("responder")?,
        facts,
        seq: seq_of(row.try_get("seq")?),
        head: hash_of(row.try_get("head_hash")?)?,
    })
}

/// A rung that fired, and whom it told.
#[derive(Debug, Clone, Copy)]
pub struct FiredFor {
    /// The rung.
    pub fired: Fired,
    /// Whom it pressed or told; none for the operator.
    pub target: Option<OfficeId>,
}

/// The rungs of requests that fired. They change under the lock of their request alone.
pub async fn fired(conn: &mut PgConnection, ids: &[RequestId]) -> Result<HashMap<RequestId, Vec<FiredFor>>, Error> {
    let rows = query(
        "select r.* from unnest($1::uuid[]) as i (id) cross join lateral (
             select request_id, trigger, rung, clock_start, fired_at, target from rungs where request_id = i.id) r",
    )
    .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<RequestId, Vec<FiredFor>> = HashMap::new();
    for row in rows {
        let fired = Fired {
            trigger: Trigger::from_word(row.try_get("trigger")?)
                .ok_or_else(|| Error::unreadable("a trigger", "an unknown word"))?,
            rung: u8::try_from(row.try_get::<i16, _>("rung")?).unwrap_or(u8::MAX),
            clock_start: row.try_get::<At, _>("clock_start")?.0,
            at: row.try_get::<At, _>("fired_at")?.0,
        };
        let target: Option<&str> = row.try_get("target")?;
        let target = target.map(|id| id.parse().map_err(|e| Error::unreadable("an office", e))).transpose()?;
        found.entry(request_id(row.try_get("request_id")?)?).or_default().push(FiredFor { fired, target });
    }
    Ok(found)
}

/// A line of a notice: which request, whose digest, about what, for whom there.
pub type Line = (RequestId, OfficeId, Topic, For);

/// Takes lines back that have not left; gives those that were there.
pub async fn cancel(tx: &mut PgConnection, lines: &[Line]) -> Result<HashSet<Line>, Error> {
    if lines.is_empty() {
        return Ok(HashSet::new());
    }
    let gone: Vec<i64> = query_scalar(
        "with gone as (
             delete from notice_lines l
             using unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) with ordinality
                 as n (request_id, office, topic, for_whom, place)
             where l.request_id = n.request_id and l.office = n.office and l.topic = n.topic
                 and l.for_whom = n.for_whom
             returning n.place)
         select distinct place from gone",
    )
    .bind(lines.iter().map(|l| l.0.uuid()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.1.to_string()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.2.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.3.as_str()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    Ok(gone.into_iter().filter_map(|place| lines.get(usize::try_from(place - 1).ok()?).copied()).collect())
}

/// Gives lines that wait the day that holds now: which request, about what, which day.
pub async fn redate(tx: &mut PgConnection, lines: &[(RequestId, Topic, Date)]) -> Result<(), Error> {
    if lines.is_empty() {
        return Ok(());
    }
    query(
        "update notice_lines l set due_on = n.due_on
         from unnest($1::uuid[], $2::text[], $3::date[]) as n (request_id, topic, due_on)
         where l.request_id = n.request_id and l.topic = n.topic",
    )
    .bind(lines.iter().map(|l| l.0.uuid()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.1.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| On(l.2)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// A request with other dates.
#[derive(Debug, Clone)]
pub struct Counted {
    row: LedgerRow,
    file_due: Option<Deadline>,
    reply: Option<ReplyDues>,
    waits: bool,
}

impl InLife {
    /// Takes the event in at the end of its chain.
    pub fn counted(&self, at: Timestamp, event: &Event) -> Counted {
        let (file_due, reply) = if let Event::Recounted { file_due, reply, .. } = event {
            (file_due.clone(), reply.clone())
        } else {
            (None, None)
        };
        let row = LedgerRow::of_the_broker(self.id, self.seq + 1, self.head, at, event);
        Counted { row, file_due, reply, waits: self.facts.state == State::Submitted }
    }
}

/// Writes events and projection of requests that were counted anew.
pub async fn write(tx: &mut PgConnection, counted: &[Counted]) -> Result<(), Error> {
    if counted.is_empty() {
        return Ok(());
    }
    let rows: Vec<&LedgerRow> = counted.iter().map(|c| &c.row).collect();
    ledger::append_all(tx, &rows).await?;
    let reply = |f: fn(&ReplyDues) -> Date| -> Vec<Option<On>> {
        counted.iter().map(|c| c.reply.as_ref().map(|dues| On(f(dues)))).collect()
    };
    query(
        "update requests r set seq = n.seq, head_hash = n.head_hash,
             file_due_on = coalesce(n.file_due_on, r.file_due_on),
             accept_due_on = coalesce(n.accept_due_on, r.accept_due_on),
             answer_due_on = coalesce(n.answer_due_on, r.answer_due_on),
             answer_due_at = coalesce(n.answer_due_at, r.answer_due_at),
             calendar_version = coalesce(n.calendar_version, r.calendar_version)
         from (select * from unnest($1::uuid[], $2::int[], $3::bytea[], $4::date[], $5::date[], $6::date[],
             $7::timestamptz[], $8::text[])
           as n (request_id, seq, head_hash, file_due_on, accept_due_on, answer_due_on, answer_due_at,
             calendar_version) limit $9) n
         where r.request_id = n.request_id",
    )
    .bind(counted.iter().map(|c| c.row.request_id).collect::<Vec<_>>())
    .bind(counted.iter().map(|c| i32::try_from(c.row.seq).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(counted.iter().map(|c| c.row.hash.as_bytes().as_slice()).collect::<Vec<_>>())
    .bind(counted.iter().map(|c| c.file_due.as_ref().map(|due| On(due.on))).collect::<Vec<_>>())
    .bind(reply(|dues| dues.accept.on))
    .bind(reply(|dues| dues.answer.on))
    .bind(counted.iter().map(|c| c.reply.as_ref().map(|dues| At(dues.answer.due_at))).collect::<Vec<_>>())
    .bind(counted.iter().map(|c| c.reply.as_ref().map(|dues| dues.answer.calendar.as_str())).collect::<Vec<_>>())
    // As in `request::update`.
    .bind(i64::try_from(counted.len()).unwrap_or(i64::MAX))
    .execute(&mut *tx)
    .await?;
    // What waits for room leaves by W's file due.
    let waiting: Vec<(Uuid, On)> = counted
        .iter()
        .filter(|c| c.waits)
        .filter_map(|c| Some((c.row.request_id, On(c.file_due.as_ref()?.on))))
        .collect();
    if !waiting.is_empty() {
        query(
            "update deliveries d set due_on = n.due_on, arrival = default
             from (select * from unnest($1::uuid[], $2::date[]) as n (request_id, due_on) limit $3) n
             where d.request_id = n.request_id",
        )
        .bind(waiting.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind(waiting.iter().map(|(_, on)| *on).collect::<Vec<_>>())
        .bind(i64::try_from(waiting.len()).unwrap_or(i64::MAX))
        .execute(tx)
        .await?;
    }
    Ok(())
}
