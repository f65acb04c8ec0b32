//! What the schema's views say in SQL and the domain says in Rust is the same, on lives and outages at
//! random, and over the days of the imported calendar.

use std::collections::HashMap;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xacminh_contract::ledger::ClockCause as Cause;
use xacminh_domain::answer::AnswerCode;
use xacminh_domain::calendar::{Calendar, local_date};
use xacminh_domain::deadline::{Deadline, ReplyClock, TimeLimit};
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_domain::lag::{self, Holder, Segment};
use xacminh_domain::request::{
    ClockCause, Event, Lane, Lookup, Opening, Purpose, Request, RequestKind, State, WithdrawReason,
};
use xacminh_store::ledger::{self, Chained};
use xacminh_store::outage::{self, Server};
use xacminh_store::request::Provinces;
use xacminh_store::view::{late, look};
use xacminh_store::{delivery, reference, request, timer};

use crate::desk::message_id;
use crate::stage::{Stage, at};

const LIVES: usize = 1_500;
const W: &str = "vpzzvcdb";
const H: &str = "vpzzm6po";

/// An instant of these three weeks.
fn moment(dice: &mut StdRng) -> Timestamp {
    at("2026-11-16T06:00") + SignedDuration::from_micros(dice.random_range(0..21 * 86_400_000_000))
}

fn opening(dice: &mut StdRng, submitted: Timestamp, calendar: &Calendar) -> (Opening, Deadline) {
    let received_at = dice.random_bool(0.6).then(|| {
        // W's clock may be off, so that it received what it had sent in before.
        submitted + SignedDuration::from_secs(dice.random_range(-90_000..3_000))
    });
    let opening = Opening {
        requester: W.parse().unwrap(),
        responder: H.parse().unwrap(),
        home: "28687".parse().unwrap(),
        kind: RequestKind::ALL[dice.random_range(0..RequestKind::ALL.len())],
        lane: Lane::Normal,
        lane_reason: None,
        purpose: [Purpose::Registration, Purpose::DataUpdate, Purpose::Correction][dice.random_range(0..3)],
        lookup: Lookup::Done,
        case_code: "TT-1".to_owned(),
        received_on: local_date(submitted),
        received_at,
        promised_on: None,
        questions: vec![],
        person_digest: [7; 32],
    };
    let due = Deadline::count(calendar, local_date(submitted), TimeLimit::WorkingDays(3));
    (opening, due)
}

/// A life in which anything may have happened at any time and in any order: more than the state machine
/// allows, since the rule of the hops has to hold for whatever is on record.
fn life(dice: &mut StdRng, calendar: &Calendar) -> Vec<(Timestamp, Event)> {
    let submitted = moment(dice);
    let (opening, due) = opening(dice, submitted, calendar);
    let mut events = vec![(submitted, Event::Submitted { opening, file_due: Some(due) })];
    let cause = [ClockCause::Delivered, ClockCause::NotConnected, ClockCause::NotConfirmed][dice.random_range(0..3)];
    let started_at = moment(dice);
    let on = |n| Deadline::count(calendar, local_date(started_at), TimeLimit::WorkingDays(n));
    let clock = ReplyClock { started_at, accept: on(1), answer: on(2) };
    let may = [
        Event::Sent,
        Event::Delivered { implied: false },
        Event::ClockStarted { cause, clock },
        Event::Opened { handler: None, implied: false },
        Event::Answered {
            code: AnswerCode::Confirmed,
            late: false,
            digest: [1; 32],
            answered_by: "cb-1".parse().unwrap(),
        },
        Event::AnswerSent,
        Event::Read,
        Event::Withdrawn { reason: WithdrawReason::Mistake },
    ];
    let ordered = dice.random_bool(0.6);
    let mut now = submitted;
    for event in may {
        let chance = if matches!(event, Event::Withdrawn { .. }) { 0.1 } else { 0.7 };
        if dice.random_bool(chance) {
            now = if ordered {
                now + SignedDuration::from_micros(dice.random_range(0..200_000_000_000))
            } else {
                moment(dice)
            };
            events.push((now, event));
        }
    }
    events
}

/// Who held it from when to when, in microseconds, what follows with the same holder put together.
fn told(hops: impl IntoIterator<Item = (Holder, Timestamp, Timestamp)>) -> Vec<(&'static str, i64, i64)> {
    let mut told: Vec<(&str, i64, i64)> = Vec::new();
    for (holder, from, to) in hops {
        let (from, to) = (from.as_microsecond(), to.as_microsecond());
        match told.last_mut() {
            Some(last) if last.0 == holder.as_str() && last.2 == from => last.2 = to,
            _ if from < to => told.push((holder.as_str(), from, to)),
            _ => {}
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_tell_hops_segments_and_reasons_as_the_domain_does() -> Result<()> {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut stage = Stage::new("views", "2026-12-07T10:00").await?;
    stage.stop().await?;
    let reference = reference::load(&mut *stage.store.conn().await?).await?;
    let calendar = reference.calendars.nation();
    let provinces = Provinces { requester: "33".to_owned(), responder: "82".to_owned() };

    let mut lives: HashMap<String, Request> = HashMap::new();
    let mut tx = stage.store.begin().await?;
    let (mut chains, mut rows) = (Vec::new(), Vec::new());
    for _ in 0..LIVES {
        let events = life(&mut dice, calendar);
        let id = RequestId::of(message_id(events[0].0));
        let (mut chained, row) =
            Chained::begin(id, events[0].0, &events[0].1, ledger::Cause::default()).context("a beginning")?;
        rows.push(row);
        for (at, event) in &events[1..] {
            rows.push(chained.append(*at, event, ledger::Cause::default()));
        }
        lives.insert(id.to_string(), chained.request.clone());
        chains.push(chained);
    }
    ledger::append(&mut tx, &rows).await?;
    request::insert(&mut tx, &chains.iter().map(|c| (c, &provinces)).collect::<Vec<_>>()).await?;
    request::update(&mut tx, &chains.iter().collect::<Vec<_>>()).await?;
    let is_over = |c: &&Chained| matches!(c.request.state, State::Read | State::Withdrawn);
    let in_life: Vec<_> =
        chains.iter().filter(|c| !is_over(c)).map(|c| (&c.request, &provinces, timer::NEVER)).collect();
    timer::begin(&mut tx, &in_life).await?;
    for _ in 0..25 {
        let from = moment(&mut dice);
        outage::record(&mut tx, Server::RabbitMq, from, from + SignedDuration::from_secs(dice.random_range(0..40_000)))
            .await?;
        // Those of others must change nothing.
        outage::record(&mut tx, Server::Store, from, from + SignedDuration::from_hours(9)).await?;
    }
    tx.commit().await?;
    if dice.random_bool(0.5) {
        stage.world.sql("insert into outages (what, from_at) values ('rabbitmq', '2026-12-06T03:00+07')").await?;
    }
    let office: OfficeId = H.parse()?;
    outage::inbox_left(&mut *stage.store.conn().await?, &[office], at("2026-11-16T08:00")).await?;
    // As an older binary writes them beside this one: the first event tells what the row does not.
    stage.world.sql("update requests set purpose = null, received_at = null where random() < 0.3").await?;

    let now = at("2026-12-07T10:00");
    let outages = outage::since(&mut *stage.store.conn().await?, at("2026-11-01T00:00")).await?;
    let mut conn = look(&stage.store, now).await?;
    let us = |column: &str| format!("(extract(epoch from {column}) * 1000000)::bigint");
    let question = format!(
        "select concat_ws(' ', request_id, holder, {}, {}) from report_hops order by request_id, step, from_at",
        us("from_at"),
        us("to_at")
    );
    let hops: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(question)).fetch_all(&mut *conn).await?;
    let columns = Holder::ALL.map(|holder| format!("{}_us", holder.as_str())).join(", ");
    let question = format!("select concat_ws(' ', request_id, {columns}) from report_holders");
    let added_up: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(question)).fetch_all(&mut *conn).await?;
    conn.rollback().await?;
    let mut of: HashMap<&str, Vec<(Holder, Timestamp, Timestamp)>> = HashMap::new();
    for hop in &hops {
        let [id, holder, from, to] = hop.split(' ').collect::<Vec<_>>()[..] else { panic!("{hop}") };
        let holder = Holder::ALL.into_iter().find(|h| h.as_str() == holder).context("a holder")?;
        let instant = |text: &str| Ok::<_, anyhow::Error>(Timestamp::from_microsecond(text.parse()?)?);
        of.entry(id).or_default().push((holder, instant(from)?, instant(to)?));
    }
    let mut lines = 0;
    for (id, life) in &lives {
        let path = lag::path(life, now, &outages);
        let expected = told(path.iter().map(|hop| (hop.holder, hop.from, hop.to)));
        let found = told(of.remove(id.as_str()).unwrap_or_default());
        assert_eq!(found, expected, "seed {seed}, {id}: {:?}, clock {:?}", life.at, life.clock);
        lines += usize::from(expected.iter().any(|(holder, ..)| *holder == "transport"));
    }
    assert!(lines > 50, "{lines} lives with an outage are too few to say anything");
    assert_eq!(added_up.len(), lives.len());
    for row in &added_up {
        let (id, micros) = row.split_once(' ').context("an id")?;
        let path = lag::path(&lives[id], now, &outages);
        let with = |holder| {
            let hops = path.iter().filter(|hop| hop.holder == holder);
            hops.map(|hop| hop.to.as_microsecond() - hop.from.as_microsecond()).sum::<i64>().to_string()
        };
        assert_eq!(micros, Holder::ALL.map(with).join(" "), "seed {seed}, {id}: {:?}", lives[id].at);
    }

    let segments = stage
        .world
        .rows(format!(
            "select concat_ws(' ', request_id, segment, {}, {}, working_minutes) from report_segments_worked",
            us("from_at"),
            us("to_at")
        ))
        .await?;
    let mut found = 0;
    for segment in &segments {
        let [id, name, from, to, minutes] = segment.split(' ').collect::<Vec<_>>()[..] else { panic!("{segment}") };
        let part = Segment::ALL.into_iter().find(|s| s.as_str() == name).context("a segment")?;
        let (begin, end) = lag::segment(&lives[id], part).with_context(|| format!("{segment} is none"))?;
        assert_eq!((begin.as_microsecond(), end.as_microsecond()), (from.parse()?, to.parse()?), "{segment}");
        assert_eq!(calendar.working_minutes_between(begin, end), minutes.parse::<i64>()?, "seed {seed}: {segment}");
        found += 1;
    }
    let all = lives.values().flat_map(|life| Segment::ALL.map(|part| lag::segment(life, part))).flatten().count();
    assert_eq!(found, all);

    let columns = Segment::ALL.map(|part| {
        let s = part.as_str();
        format!("coalesce(({s}_seconds * 1000000)::bigint::text, '-'), coalesce({s}_working_minutes::text, '-')")
    });
    let ways =
        stage.world.rows(format!("select concat_ws(' ', request_id, {}) from report_ways", columns.join(", "))).await?;
    assert_eq!(ways.len(), lives.len());
    for way in &ways {
        let (id, told) = way.split_once(' ').context("an id")?;
        let expected = Segment::ALL.map(|part| match lag::segment(&lives[id], part) {
            Some((begin, end)) => {
                let micros = end.as_microsecond() - begin.as_microsecond();
                format!("{micros} {}", calendar.working_minutes_between(begin, end))
            }
            None => "- -".to_owned(),
        });
        assert_eq!(told, expected.join(" "), "seed {seed}, {id}");
    }

    for state in State::ALL {
        for cause in [None, Some(ClockCause::Delivered), Some(ClockCause::NotConnected), Some(ClockCause::NotConfirmed)]
        {
            let cause = cause.map(|c| Cause::from(c).as_str());
            let sql = cause.map_or_else(|| "null".to_owned(), |c| format!("'{c}'"));
            let said =
                stage.world.rows(format!("select coalesce(report_why('{}', {sql}), '')", state.as_str())).await?;
            assert_eq!(said[0], late::why(state.as_str(), cause).map_or("", |w| w.as_str()), "{state:?} {cause:?}");
        }
    }
    assert_eq!(stage.world.number("select report_cap()").await?, i64::from(delivery::CAP));
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_know_the_working_days_as_the_domain_does() -> Result<()> {
    let stage = Stage::new("view_days", "2026-12-07T10:00").await?;
    let reference = reference::load(&mut *stage.store.conn().await?).await?;
    let calendar = reference.calendars.nation();
    let days = stage.world.rows("select on_date || ' ' || (worked_us > 0) from report_days").await?;
    assert_eq!(days.len(), 30 * 365 + 8, "2020 to 2049");
    for day in &days {
        let (on, worked) = day.split_once(' ').context("two words")?;
        assert_eq!(calendar.is_working_day(on.parse()?), worked == "true", "{on}");
    }
    // Unread since before the latest working day, over a weekend, a holiday and a swap.
    for (now, since) in [
        ("2026-11-25T09:00", "2026-11-23T08:00"),
        ("2026-11-23T07:00", "2026-11-20T08:00"),
        ("2026-08-24T10:00", "2026-08-22T08:00"),
        ("2026-11-26T23:59", "2026-11-25T08:00"),
    ] {
        let mut conn = look(&stage.store, at(now)).await?;
        let found: i64 = sqlx::query_scalar("select (extract(epoch from report_unread_since()) * 1000000)::bigint")
            .fetch_one(&mut *conn)
            .await?;
        assert_eq!(found, at(since).as_microsecond(), "on {now}");
    }
    stage.close().await
}
