//! The projection of requests: one row each, for questions that span requests.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use xacminh_contract::ledger::ClockCause;
use xacminh_contract::request::{FileForm, Kind, Purpose};
use xacminh_domain::Timestamp;
use xacminh_domain::id::RequestId;
use xacminh_domain::request::Matter;

use crate::error::Error;
use crate::ledger::{Chained, request_id};
use crate::time::{At, On};

/// Where the two offices of a new request lie, for reports by province.
#[derive(Debug, Clone)]
pub struct Provinces {
    /// Province code of W.
    pub requester: String,
    /// Province code of H.
    pub responder: String,
}

/// Inserts the rows of new requests. A row whose request exists already is left as it is; the
/// inbox has kept repeats out before.
pub async fn insert(tx: &mut PgConnection, new: &[(&Chained, &Provinces)]) -> Result<(), Error> {
    if new.is_empty() {
        return Ok(());
    }
    let opening = |f: fn(&xacminh_domain::request::Opening) -> String| -> Vec<String> {
        new.iter().map(|(c, _)| f(&c.request.opening)).collect()
    };
    query(
        "insert into requests (request_id, requester, responder, requester_province, responder_province,
             home_unit, kind, lane, lookup_pending, case_code, received_on, state, seq, head_hash,
             submitted_at, file_due_on, received_at, purpose)
         select unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::text[]),
             unnest($6::text[]), unnest($7::text[]), unnest($8::text[]), unnest($9::bool[]), unnest($10::text[]),
             unnest($11::date[]), unnest($12::text[]), unnest($13::int[]), unnest($14::bytea[]),
             unnest($15::timestamptz[]), unnest($16::date[]), unnest($17::timestamptz[]), unnest($18::text[])",
    )
    .bind(new.iter().map(|(c, _)| c.request.id.uuid()).collect::<Vec<_>>())
    .bind(opening(|o| o.requester.to_string()))
    .bind(opening(|o| o.responder.to_string()))
    .bind(new.iter().map(|(_, p)| p.requester.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, p)| p.responder.as_str()).collect::<Vec<_>>())
    .bind(opening(|o| o.home.to_string()))
    .bind(new.iter().map(|(c, _)| Kind::from(c.request.opening.kind).as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(c, _)| c.request.opening.lane.as_str()).collect::<Vec<_>>())
    .bind(
        new.iter()
            .map(|(c, _)| c.request.opening.lookup == xacminh_domain::request::Lookup::Pending)
            .collect::<Vec<_>>(),
    )
    .bind(opening(|o| o.case_code.clone()))
    .bind(new.iter().map(|(c, _)| On(c.request.opening.received_on)).collect::<Vec<_>>())
    .bind(new.iter().map(|(c, _)| c.request.state.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(c, _)| i32::try_from(c.seq).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(new.iter().map(|(c, _)| c.head.as_bytes().as_slice()).collect::<Vec<_>>())
    .bind(new.iter().map(|(c, _)| At(c.request.at.submitted)).collect::<Vec<_>>())
    .bind(new.iter().map(|(c, _)| c.request.file_due.as_ref().map(|d| On(d.on))).collect::<Vec<_>>())
    .bind(new.iter().map(|(c, _)| c.request.opening.received_at.map(At)).collect::<Vec<_>>())
    .bind(new.iter().map(|(c, _)| Purpose::from(c.request.opening.purpose).as_str()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Which requests stand about these matters, not withdrawn, the first `limit` of each.
pub async fn about(
    conn: &mut PgConnection,
    matters: &[Matter],
    limit: usize,
) -> Result<HashMap<Matter, Vec<RequestId>>, Error> {
    let mut found: HashMap<Matter, Vec<RequestId>> = HashMap::new();
    if matters.is_empty() {
        return Ok(found);
    }
    // All files of the batch in one go through each month's index (0031), and no file by itself.
    let rows = query(
        "with m as (
             select * from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
                 as m (requester, case_code, kind, responder, n)
         ), r as materialized (
             select request_id, requester, case_code, kind, responder, submitted_at from requests
             where hashtextextended(requester || ' ' || case_code, 0)
                     = any(array(select hashtextextended(m.requester || ' ' || m.case_code, 0) from m))
                 and state <> 'withdrawn'
         ), placed as (
             select m.n, r.request_id,
                 row_number() over (partition by m.n order by r.submitted_at, r.request_id) as place
             from m join r using (requester, case_code, kind, responder)
         )
         select n, request_id from placed where place <= $5 order by n, place",
    )
    .bind(matters.iter().map(|m| m.requester.to_string()).collect::<Vec<_>>())
    .bind(matters.iter().map(|m| m.case_code.as_str()).collect::<Vec<_>>())
    .bind(matters.iter().map(|m| Kind::from(m.kind).as_str()).collect::<Vec<_>>())
    .bind(matters.iter().map(|m| m.responder.to_string()).collect::<Vec<_>>())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await?;
    for row in rows {
        let place = usize::try_from(row.try_get::<i64, _>("n")? - 1).ok();
        let matter =
            place.and_then(|n| matters.get(n)).ok_or_else(|| Error::unreadable("a matter", "no such place"))?;
        found.entry(matter.clone()).or_default().push(request_id(row.try_get("request_id")?)?);
    }
    Ok(found)
}

/// Brings the rows of requests up to date to which nothing happened but rungs.
pub async fn climbed(tx: &mut PgConnection, changed: &[&Chained]) -> Result<(), Error> {
    if changed.is_empty() {
        return Ok(());
    }
    // As in `update`.
    query(
        "update requests r set seq = n.seq, head_hash = n.head_hash, rung = n.rung
         from (select * from unnest($1::uuid[], $2::int[], $3::bytea[], $4::smallint[])
             as n (request_id, seq, head_hash, rung) limit $5) n
         where r.request_id = n.request_id",
    )
    .bind(changed.iter().map(|c| c.request.id.uuid()).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| i32::try_from(c.seq).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| c.head.as_bytes().as_slice()).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| highest_rung(c)).collect::<Vec<_>>())
    .bind(i64::try_from(changed.len()).unwrap_or(i64::MAX))
    .execute(tx)
    .await?;
    Ok(())
}

fn highest_rung(chained: &Chained) -> i16 {
    chained.request.fired.iter().map(|fired| i16::from(fired.rung)).max().unwrap_or(0)
}

/// Brings the rows of changed requests up to date.
pub async fn update(tx: &mut PgConnection, changed: &[&Chained]) -> Result<(), Error> {
    if changed.is_empty() {
        return Ok(());
    }
    let at = |f: fn(&xacminh_domain::request::Instants) -> Option<Timestamp>| -> Vec<Option<At>> {
        changed.iter().map(|c| f(&c.request.at).map(At)).collect()
    };
    let clocks: Vec<_> = changed.iter().map(|c| c.request.clock.as_ref()).collect();
    // The limit takes nothing away. It lets PostgreSQL expect few rows, so that it looks for each by its
    // key; a plan made while the table was small would read all of it, until statistics come.
    query(
        "update requests r set
             state = n.state, seq = n.seq, head_hash = n.head_hash, sent_at = n.sent_at,
             delivered_at = n.delivered_at, opened_at = n.opened_at, answered_at = n.answered_at,
             answer_sent_at = n.answer_sent_at, read_at = n.read_at, withdrawn_at = n.withdrawn_at,
             clock_cause = n.clock_cause, clock_start = n.clock_start, accept_due_on = n.accept_due_on,
             answer_due_on = n.answer_due_on, answer_due_at = n.answer_due_at,
             calendar_version = n.calendar_version, answer_code = n.answer_code,
             answer_late = n.answer_late, handler = n.handler, rung = n.rung,
             file_closed_at = n.file_closed_at, file_closed_on = n.file_closed_on, file_form = n.file_form
         from (select * from unnest($1::uuid[], $2::text[], $3::int[], $4::bytea[], $5::timestamptz[], $6::timestamptz[],
             $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[],
             $12::text[], $13::timestamptz[], $14::date[], $15::date[], $16::timestamptz[], $17::text[],
             $18::text[], $19::bool[], $20::text[], $21::smallint[], $22::timestamptz[], $23::date[], $24::text[])
           as n (request_id, state, seq, head_hash, sent_at, delivered_at, opened_at, answered_at,
             answer_sent_at, read_at, withdrawn_at, clock_cause, clock_start, accept_due_on,
             answer_due_on, answer_due_at, calendar_version, answer_code, answer_late, handler, rung,
             file_closed_at, file_closed_on, file_form) limit $25) n
         where r.request_id = n.request_id",
    )
    .bind(changed.iter().map(|c| c.request.id.uuid()).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| c.request.state.as_str()).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| i32::try_from(c.seq).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| c.head.as_bytes().as_slice()).collect::<Vec<_>>())
    .bind(at(|i| i.sent))
    .bind(at(|i| i.delivered))
    .bind(at(|i| i.opened))
    .bind(at(|i| i.answered))
    .bind(at(|i| i.answer_sent))
    .bind(at(|i| i.read))
    .bind(at(|i| i.withdrawn))
    .bind(clocks.iter().map(|c| c.map(|(cause, _)| ClockCause::from(*cause).as_str())).collect::<Vec<_>>())
    .bind(clocks.iter().map(|c| c.map(|(_, k)| At(k.started_at))).collect::<Vec<_>>())
    .bind(clocks.iter().map(|c| c.map(|(_, k)| On(k.accept.on))).collect::<Vec<_>>())
    .bind(clocks.iter().map(|c| c.map(|(_, k)| On(k.answer.on))).collect::<Vec<_>>())
    .bind(clocks.iter().map(|c| c.map(|(_, k)| At(k.answer.due_at))).collect::<Vec<_>>())
    .bind(clocks.iter().map(|c| c.map(|(_, k)| k.answer.calendar.to_string())).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| c.request.answer.map(|(code, ..)| code.code())).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| c.request.answer.map(|(_, late, _)| late)).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| c.request.handler.as_ref().map(|h| h.as_str())).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| highest_rung(c)).collect::<Vec<_>>())
    .bind(at(|i| i.file_closed))
    .bind(changed.iter().map(|c| c.request.file_closed.map(|(_, on)| On(on))).collect::<Vec<_>>())
    .bind(
        changed
            .iter()
            .map(|c| c.request.file_closed.map(|(form, _)| FileForm::from(form).as_str()))
            .collect::<Vec<_>>(),
    )
    .bind(i64::try_from(changed.len()).unwrap_or(i64::MAX))
    .execute(tx)
    .await?;
    Ok(())
}
