//! A working calendar that changes moves what is open, once, and erases nothing.
//!
//! Thursday 19/11/2026; Tuesday the 24th is a holiday. What is confirmed on the 19th is to be opened by
//! Friday the 20th and answered by Monday the 23rd, and W's file is due on Wednesday the 25th.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;
use xacminh_bus::Bus;
use xacminh_contract::envelope::CommandType;
use xacminh_contract::ledger::{Entry, Trigger};
use xacminh_contract::notice::Topic;
use xacminh_domain::calendar::{CalendarDay, DayKind, Scope, ScopedDay};
use xacminh_domain::id::{MessageId, RequestId};
use xacminh_registry::Registry;
use xacminh_services::answering;
use xacminh_services::recounting::{self, Pace, Step, Walk};
use xacminh_store::at_hand::AtHand;
use xacminh_store::ledger;
use xacminh_testkit::{PATIENCE, eventually};

use crate::desk::{about, give};
use crate::stage::{Stage, at, directory};

/// Monday the 23rd is none.
fn monday(registry: &mut Registry) {
    registry.calendar_days.push(rest(DayKind::CompensatoryRest));
}

fn rest(kind: DayKind) -> CalendarDay {
    CalendarDay { on: "2026-11-23".parse().expect("a day"), kind, name: "Nghỉ".into(), provisional: false }
}

const FINISHED: &str = "select count(*) from recounts where finished_at is not null";

/// File, accept and answer due of a request, by its row.
async fn dues(stage: &Stage, request: MessageId) -> Result<String> {
    let question = format!(
        "select concat_ws(' ', file_due_on, accept_due_on, answer_due_on) from requests where request_id = '{request}'"
    );
    Ok(stage.world.rows(question).await?.remove(0))
}

/// The events that counted a request anew, by what they say; its chain is whole, and its row says what its
/// events do.
async fn recounts(stage: &Stage, request: MessageId) -> Result<Vec<Entry>> {
    stage.verify(request).await?;
    let id = RequestId::of(request);
    let mut conn = stage.store.conn().await?;
    let replayed = ledger::read(&mut conn, &[id]).await?.remove(&id).context("no such request")?.request;
    let clock = replayed.clock.as_ref().map(|(_, clock)| (clock.accept.on, clock.answer.on, clock.answer.due_at));
    let told = [
        replayed.file_due.map(|due| due.on.to_string()),
        clock.map(|(accept, ..)| accept.to_string()),
        clock.map(|(_, answer, _)| answer.to_string()),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    assert_eq!(dues(stage, request).await?, told.join(" "), "row and ledger of {request}");
    let late = format!("select extract(epoch from answer_due_at)::bigint from requests where request_id = '{request}'");
    if let Some((.., due_at)) = clock {
        assert_eq!(stage.world.number(late).await?, due_at.as_second());
    }
    let events = ledger::events_of(&mut conn, id).await?;
    Ok(events.into_iter().map(|kept| kept.body.entry).filter(|e| matches!(e, Entry::Recounted { .. })).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holiday_moves_what_is_open_and_nothing_that_is_answered() -> Result<()> {
    let mut stage = Stage::new("holiday", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let mut requests = Vec::new();
    for number in 300..305 {
        requests.push(ward.submit(&home.office, number).await?);
    }
    let [open, opened, answered, read, unheard] = requests[..] else { unreachable!() };
    for id in [open, opened, answered, read] {
        home.receive(id).await?;
    }
    home.send(CommandType::RequestOpened, &about(opened)).await?;
    stage.until_state(opened, "opened").await;
    for id in [answered, read] {
        home.ask(CommandType::AnswerGive, &give(id, "A01")).await?;
        ward.answer(id).await?;
    }
    ward.send(CommandType::AnswerRead, &about(read)).await?;
    stage.until_state(read, "read").await;
    stage.until_state(open, "delivered").await;
    stage.until_state(unheard, "sent").await;
    stage.until("select count(*) from requests where answer_sent_at is not null", 2).await;
    let before = "2026-11-25 2026-11-20 2026-11-23";
    for id in [open, opened, answered, read] {
        assert_eq!(dues(&stage, id).await?, before);
    }
    let version = "select distinct calendar_version from requests where calendar_version is not null";
    let old = stage.world.rows(version).await?.remove(0);

    stage.set("2026-11-19T09:00");
    stage.import_beside(monday).await?;
    let in_reach = recounting::in_reach(&mut *stage.store.conn().await?).await?;
    assert!(in_reach.is_none_or(|requests| requests <= 4), "{in_reach:?}");
    stage.until(FINISHED, 1).await;

    for (id, after) in [
        (open, "2026-11-26 2026-11-20 2026-11-25"),
        (opened, "2026-11-26 2026-11-20 2026-11-25"),
        // What H did stands; W's file goes on while the answer is unread.
        (answered, "2026-11-26 2026-11-20 2026-11-23"),
        (unheard, "2026-11-26"),
    ] {
        let events = recounts(&stage, id).await?;
        assert_eq!((dues(&stage, id).await?.as_str(), events.len()), (after, 1));
        let Entry::Recounted { file_due: Some(file), answer, undue, .. } = &events[0] else { panic!("{events:?}") };
        assert!(file.calendar != old && answer.as_ref().is_none_or(|due| due.calendar == file.calendar), "{file:?}");
        assert!(undue.is_empty());
    }
    assert_eq!((dues(&stage, read).await?.as_str(), recounts(&stage, read).await?.len()), (before, 0));
    assert_eq!(stage.timer(open).await?, Some(at("2026-11-21T00:00")));
    assert_eq!(stage.timer(opened).await?, Some(at("2026-11-25T08:00")), "the morning of the moved due");
    assert_eq!(stage.timer(unheard).await?, Some(at("2026-11-19T12:00")));

    // It is on record, and the same data again change nothing.
    let said = "select convert_from(body, 'UTF8') from system_events where stream = 'imports' order by seq desc";
    let said = stage.world.rows(said).await?;
    assert!(said[0].contains("\"recounted\"") && said[0].contains("\"requests\":4"), "{}", said[0]);
    assert!(said.iter().any(|line| line.contains("calendar_changed") && line.contains("\"days\":1")), "{said:?}");
    stage.import_beside(monday).await?;
    assert_eq!(stage.world.number("select count(*) from recounts").await?, 1, "another version, the same days");

    // Who answers now is in time until Wednesday, 24:00.
    stage.set("2026-11-25T09:00");
    let item = home.ask(CommandType::AnswerGive, &give(open, "A01")).await?;
    assert!(!item.late);
    assert!(!ward.answer(open).await?.late);
    recounts(&stage, open).await?;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_stays_and_what_was_not_is_cancelled() -> Result<()> {
    let mut stage = Stage::new("undue", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let [pc06, c06] = stage.grant_above(&home.office).await?;
    let (mut pc06, mut c06) = (stage.desk(&pc06).await?, stage.desk(&c06).await?);
    let request = ward.submit(&home.office, 310).await?;
    home.receive(request).await?;
    stage.until_state(request, "delivered").await;
    stage.set("2026-11-23T08:00");
    home.notice(Topic::AcceptOverdue).await?;
    home.notice(Topic::AnswerDueToday).await?;
    // PC06's rung fires at midnight; its line is for Wednesday.
    stage.set("2026-11-24T00:00");
    stage.until("select count(*) from notice_lines", 1).await;

    // Late comes the word that Monday was none.
    stage.import_beside(monday).await?;
    stage.until(FINISHED, 1).await;
    assert_eq!(dues(&stage, request).await?, "2026-11-26 2026-11-20 2026-11-25");
    assert_eq!(stage.world.number("select count(*) from notice_lines").await?, 0, "it had not left");
    let events = recounts(&stage, request).await?;
    let [Entry::Recounted { undue, .. }] = &events[..] else { panic!("{events:?}") };
    let undue: Vec<_> = undue.iter().map(|u| (u.trigger, u.rung, u.cancelled)).collect();
    assert_eq!(undue, [(Trigger::AnswerDueDay, 0, false), (Trigger::AnswerDue, 1, true)]);
    let fired = stage.rungs(request).await?;
    assert_eq!(fired.len(), 3, "none is taken back");

    // The moved due passes: PC06's rung is the same rung of the same clock, and does not fire again.
    stage.set("2026-11-26T08:00");
    let canary = ward.submit(&home.office, 311).await?;
    home.receive(canary).await?;
    stage.until_state(canary, "delivered").await;
    assert_eq!(stage.rungs(request).await?, fired);
    assert_eq!(stage.timer(request).await?, Some(at("2026-11-27T00:00")));
    stage.set("2026-11-27T08:00");
    assert_eq!(c06.notice(Topic::OfficeSilent).await?.office.unwrap().0, home.office.id);
    assert_eq!(ward.notice(Topic::FileOverdue).await?.due_on.unwrap().0.to_string(), "2026-11-26");
    stage.until("select count(*) from outbox", 0).await;
    stage.until("select count(*) from notice_lines where leave_at <= '2026-11-27T08:00+07'", 0).await;
    assert_eq!(stage.rungs(request).await?.len(), 5);
    recounts(&stage, request).await?;
    // Whatever PC06 was sent lies in its inbox before the receipt of this.
    pc06.submit(&ward.office, 312).await?;
    assert!(pc06.left().is_empty(), "{:?}", pc06.left());
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_waits_tells_the_day_that_holds() -> Result<()> {
    let mut stage = Stage::new("redated", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = ward.submit(&home.office, 315).await?;
    home.receive(request).await?;
    stage.until_state(request, "delivered").await;
    // Sunday: the accept due of Friday has passed, its line is for Monday.
    stage.set("2026-11-22T10:00");
    stage.until("select count(*) from notice_lines where due_on = '2026-11-20'", 1).await;
    // Friday was off, and Saturday was worked for it.
    stage
        .import_beside(|registry| {
            for (on, kind) in [("2026-11-20", DayKind::CompensatoryRest), ("2026-11-21", DayKind::WorkingSwap)] {
                registry.calendar_days.push(CalendarDay { on: on.parse().expect("a day"), ..rest(kind) });
            }
        })
        .await?;
    stage.until(FINISHED, 1).await;
    assert_eq!(dues(&stage, request).await?, "2026-11-25 2026-11-21 2026-11-23");
    let events = recounts(&stage, request).await?;
    let [Entry::Recounted { file_due: None, undue, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(undue.is_empty(), "it is overdue all the same: {undue:?}");
    stage.set("2026-11-23T08:00");
    assert_eq!(home.notice(Topic::AcceptOverdue).await?.due_on.unwrap().0.to_string(), "2026-11-21");
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_that_moves_to_the_past_fires_at_once() -> Result<()> {
    let mut stage = Stage::new("earlier", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    stage.import(monday).await?;
    let request = ward.submit(&home.office, 320).await?;
    home.receive(request).await?;
    stage.until_state(request, "delivered").await;
    assert_eq!(dues(&stage, request).await?, "2026-11-26 2026-11-20 2026-11-25");
    stage.set("2026-11-24T10:00");
    stage.until("select count(*) from rungs", 1).await;
    // Monday was worked after all.
    stage.import_beside(|_| {}).await?;
    stage.until("select count(*) from rungs", 3).await;
    let fired: Vec<_> = stage.rungs(request).await?.into_iter().map(|r| (r.trigger, r.due_at, r.fired_at)).collect();
    let now = at("2026-11-24T10:00");
    assert_eq!(
        fired[1..],
        [
            ("answer_due_day".to_owned(), at("2026-11-23T08:00"), now),
            ("answer_due".to_owned(), at("2026-11-24T00:00"), now)
        ]
    );
    assert_eq!(dues(&stage, request).await?, "2026-11-25 2026-11-20 2026-11-23");
    assert_eq!(recounts(&stage, request).await?.len(), 1);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_one_province_touches_its_offices_alone() -> Result<()> {
    let mut stage = Stage::new("scoped", "2026-11-19T08:00").await?;
    let (ward, home) = stage.grant_apart().await?;
    let province = directory().province_of(&home.id).context("no province")?;
    let (mut ward, mut home) = (stage.desk(&ward).await?, stage.desk(&home).await?);
    let there = ward.submit(&home.office, 330).await?;
    let back = home.submit(&ward.office, 331).await?;
    home.receive(there).await?;
    ward.receive(back).await?;
    stage.until("select count(*) from requests where state = 'delivered'", 2).await;

    let scope = Scope::Province(province);
    stage
        .import_beside(|registry| registry.local_days.push(ScopedDay { scope, day: rest(DayKind::LocalRest) }))
        .await?;
    stage.until(FINISHED, 1).await;
    // H's clock is on H's calendar, W's file on W's.
    assert_eq!(dues(&stage, there).await?, "2026-11-25 2026-11-20 2026-11-25");
    assert_eq!(dues(&stage, back).await?, "2026-11-26 2026-11-20 2026-11-23");
    let version = format!("select calendar_version from requests where request_id = '{there}'");
    assert!(stage.world.rows(version).await?[0].ends_with(&format!("/{scope}")));
    for id in [there, back] {
        let events = recounts(&stage, id).await?;
        let [Entry::Recounted { file_due, answer, .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!((file_due.is_some(), answer.is_some()), (id == back, id == there));
    }

    // One office of it works all the same: what changes there is that office's.
    stage
        .import_beside(|registry| {
            registry.local_days.push(ScopedDay { scope, day: rest(DayKind::LocalRest) });
            let own = Scope::Office(home.office.id);
            registry.local_days.push(ScopedDay { scope: own, day: rest(DayKind::LocalWork) });
        })
        .await?;
    stage.until(FINISHED, 2).await;
    assert_eq!(dues(&stage, there).await?, "2026-11-25 2026-11-20 2026-11-23");
    assert_eq!(dues(&stage, back).await?, "2026-11-25 2026-11-20 2026-11-23");
    assert_eq!(recounts(&stage, back).await?.len(), 2);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_where_it_stopped_and_two_copies_count_each_once() -> Result<()> {
    const REQUESTS: u32 = 40;
    let mut stage = Stage::new("resumes", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let mut requests = Vec::new();
    for number in 340..340 + REQUESTS {
        requests.push(ward.submit(&home.office, number).await?);
    }
    stage.until("select count(*) from requests where state = 'sent'", REQUESTS.into()).await;
    stage.stop().await?;
    stage.import_beside(monday).await?;
    let core = stage.core().await?;
    assert_eq!(recounting::in_reach(&mut *stage.store.conn().await?).await?, Some(REQUESTS.into()));

    // Three batches of seven, and the process is gone.
    let pace = Pace { batch: 7, at_once: 1, settle: Duration::ZERO, every: Duration::from_millis(20) };
    let mut walk = Walk::new(pace);
    for _ in 0..3 {
        assert_eq!(walk.step(&core).await?, Step::More);
    }
    drop(walk);
    let done = "select count(*) from events where convert_from(body, 'UTF8') like '%\"recounted\"%'";
    assert_eq!(stage.world.number(done).await?, 21);
    let reached = "select (select count(*) from requests q where q.request_id <= r.reached) from recounts r";
    assert_eq!(stage.world.number(reached).await?, 21);

    // Two others take over at once.
    let other = stage.core().await?;
    let stop = CancellationToken::new();
    let pace = Pace { batch: 4, at_once: 3, ..pace };
    let copies = [core, other].map(|core| tokio::spawn(recounting::run(core, pace, stop.clone())));
    stage.until(FINISHED, 1).await;
    stop.cancel();
    for copy in copies {
        copy.await?;
    }
    for id in requests {
        assert_eq!(recounts(&stage, id).await?.len(), 1);
        assert_eq!(dues(&stage, id).await?, "2026-11-26");
    }
    assert_eq!(stage.world.number("select recounted from recounts").await?, i64::from(REQUESTS));
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_holds_is_waited_for_and_a_clock_on_the_calendar_of_before_is_found() -> Result<()> {
    let mut stage = Stage::new("behind", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let held = ward.submit(&home.office, 390).await?;
    let behind = ward.submit(&home.office, 391).await?;
    stage.until("select count(*) from requests where state = 'sent'", 2).await;
    stage.stop().await?;
    // A process that has not looked for other reference data yet.
    let old = stage.core().await?;
    stage.import_beside(monday).await?;

    // Somebody has one of the two in hand: it is waited for, not left out.
    let mut tx = stage.store.begin().await?;
    let hold = ledger::lock(&mut tx, &AtHand::default(), &[RequestId::of(held)], false).await?;
    assert_eq!(hold.len(), 1);
    let pace = Pace { batch: 10, at_once: 2, settle: Duration::from_millis(300), every: Duration::from_millis(20) };
    let core = stage.core().await?;
    let first = tokio::spawn(async move {
        let mut walk = Walk::new(pace);
        let step = walk.step(&core).await;
        (walk, core, step)
    });
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    eventually("a wait for the row", PATIENCE, async || (stage.world.number(waits).await.ok()? > 0).then_some(()))
        .await;
    tx.commit().await?;
    let (mut walk, core, step) = first.await?;
    assert_eq!(step?, Step::More);
    for id in [held, behind] {
        assert_eq!(dues(&stage, id).await?, "2026-11-26");
    }

    // Behind the place that was reached, the old process starts a clock on the calendar that it knows.
    let (stop, bus_stop) = (CancellationToken::new(), CancellationToken::new());
    let bus = Bus::connect(&stage.world.bus_settings(), &bus_stop)?;
    bus.ready().await?;
    let answering = tokio::spawn(answering::run(old, bus, stop.clone()));
    home.receive(behind).await?;
    stage.until_state(behind, "delivered").await;
    assert_eq!(dues(&stage, behind).await?, "2026-11-26 2026-11-20 2026-11-23");
    stop.cancel();
    answering.await?;
    bus_stop.cancel();
    // The work ends only with a pass that began when every process had looked.
    eventually("the last pass", PATIENCE, async || {
        walk.step(&core).await.ok()?;
        (stage.world.number(FINISHED).await.ok()? == 1).then_some(())
    })
    .await;
    assert_eq!(dues(&stage, behind).await?, "2026-11-26 2026-11-20 2026-11-25");
    assert_eq!(recounts(&stage, behind).await?.len(), 2);
    assert_eq!(recounts(&stage, held).await?.len(), 1);
    stage.close().await
}
