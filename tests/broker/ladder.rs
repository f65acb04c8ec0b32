//! Silence climbs, on the dated ladder, and an answer ends it.
//!
//! Thursday 19/11/2026 to Thursday 26/11; Tuesday the 24th is a holiday. What is confirmed on the
//! 19th is to be opened by Friday the 20th and answered by Monday the 23rd.

use anyhow::Result;
use xacminh_contract::envelope::CommandType;
use xacminh_contract::ledger::Entry;
use xacminh_contract::notice::{For, Topic, Why};
use xacminh_contract::receipt::{Outcome, State};
use xacminh_domain::id::{MessageId, RequestId};
use xacminh_store::ledger;

use crate::desk::{about, form, give, withdrawal};
use crate::stage::{Rung, Stage, at};

/// What fires for a request confirmed on the 19th and never opened.
const LADDER: [(&str, i16, &str); 5] = [
    ("accept_due", 0, "2026-11-21T00:00"),
    ("answer_due_day", 0, "2026-11-23T08:00"),
    ("answer_due", 1, "2026-11-24T00:00"),
    ("file_due", 0, "2026-11-26T00:00"),
    ("answer_due", 2, "2026-11-26T00:00"),
];

/// Waits until a request's rungs are so many.
async fn climbed(stage: &Stage, request: MessageId, rungs: i64) {
    stage.until(&format!("select count(*) from rungs where request_id = '{request}'"), rungs).await;
}

fn names(rungs: &[Rung]) -> Vec<(&str, i16)> {
    rungs.iter().map(|r| (r.trigger.as_str(), r.rung)).collect()
}

/// What a request's row says of its clock.
async fn clock(stage: &Stage, request: MessageId) -> Result<String> {
    let question = format!(
        "select concat_ws(' ', clock_cause, extract(epoch from clock_start)::bigint, accept_due_on, answer_due_on)
         from requests where request_id = '{request}'"
    );
    Ok(stage.world.rows(question).await?.remove(0))
}

fn clock_of(cause: &str, start: &str, accept: &str, answer: &str) -> String {
    format!("{cause} {} {accept} {answer}", at(start).as_second())
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_climbs_the_dated_ladder_once_a_rung() -> Result<()> {
    let mut stage = Stage::new("ladder", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let [pc06, c06] = stage.grant_above(&home.office).await?;
    let (mut pc06, mut c06) = (stage.desk(&pc06).await?, stage.desk(&c06).await?);
    let request = ward.submit(&home.office, 700).await?;
    home.receive(request).await?;
    stage.until_state(request, "delivered").await;
    assert_eq!(clock(&stage, request).await?, clock_of("delivered", "2026-11-19T08:00", "2026-11-20", "2026-11-23"));
    assert_eq!(stage.timer(request).await?, Some(at(LADDER[0].2)), "nothing is looked at before it is due");

    let targets = [home.office.id, home.office.id, pc06.office.id, ward.office.id, c06.office.id];
    for (index, (trigger, rung, due)) in LADDER.iter().enumerate() {
        let fired = i64::try_from(index)?;
        if stage.rungs(request).await?.len() > index {
            continue; // Due at the same instant as the one before.
        }
        // A moment before nothing is due: a copy that looks takes what its timer says, not more.
        stage.clock.set(at(due) - jiff::SignedDuration::from_micros(1));
        assert_eq!(stage.timer(request).await?, Some(at(due)), "{trigger} {rung} is next");
        assert_eq!(stage.world.number("select count(*) from rungs").await?, fired);
        let together = LADDER.iter().filter(|(.., other)| other == due).count();
        stage.set(due);
        climbed(&stage, request, fired + i64::try_from(together)?).await;

        // The notices leave when an office opens, not at midnight.
        match (*trigger, *rung) {
            ("answer_due_day", _) => {
                let overdue = home.notice(Topic::AcceptOverdue).await?;
                assert_eq!((overdue.for_whom, overdue.due_on.unwrap().0.to_string()), (For::Head, "2026-11-20".into()));
                let today = home.notice(Topic::AnswerDueToday).await?;
                assert_eq!((today.for_whom, today.due_on.unwrap().0.to_string()), (For::Deputy, "2026-11-23".into()));
            }
            ("answer_due", 1) => {
                stage.set("2026-11-25T08:00");
                let line = pc06.notice(Topic::OfficeSilent).await?;
                assert_eq!((line.office.unwrap().0, line.count), (home.office.id, Some(1)));
                assert_eq!(line.oldest_due_on.unwrap().0.to_string(), "2026-11-23");
                assert_eq!((line.why, line.phone), (vec![Why::NotOpened], Some(home.office.phone.clone())));
                assert_eq!((line.request_id, line.case_code), (None, None));
            }
            _ => {}
        }
    }
    stage.set("2026-11-26T08:00");
    assert_eq!(c06.notice(Topic::OfficeSilent).await?.office.unwrap().0, home.office.id);
    let line = ward.notice(Topic::FileOverdue).await?;
    assert_eq!(line.request_id.unwrap().0.message_id(), request);

    let expected: Vec<Rung> = LADDER
        .iter()
        .zip(targets)
        .map(|((trigger, rung, due), target)| Rung {
            trigger: (*trigger).to_owned(),
            rung: *rung,
            due_at: at(due),
            fired_at: at(due),
            target: Some(target),
        })
        .collect();
    assert_eq!(stage.rungs(request).await?, expected);
    assert_eq!(stage.timer(request).await?, None, "there is no further rung");

    // Nor after a restart.
    stage.stop().await?;
    stage.start().await?;
    let canary = ward.submit(&home.office, 701).await?;
    stage.set("2026-11-26T14:00");
    climbed(&stage, canary, 1).await;
    let events = ledger::events_of(&mut *stage.store.conn().await?, RequestId::of(request)).await?;
    let in_ledger = events.iter().filter(|kept| matches!(kept.body.entry, Entry::RungFired { .. })).count();
    assert_eq!((in_ledger, stage.rungs(request).await?.len()), (LADDER.len(), LADDER.len()));
    stage.verify(request).await?;
    assert!(pc06.left().is_empty() && c06.left().is_empty(), "{:?} {:?}", pc06.left(), c06.left());
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_is_kept_flagged_and_ends_the_rungs_to_come() -> Result<()> {
    let mut stage = Stage::new("late", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = ward.submit(&home.office, 710).await?;
    let canary = ward.submit(&home.office, 711).await?;
    let last = ward.submit(&home.office, 712).await?;
    for id in [request, canary, last] {
        home.receive(id).await?;
    }
    stage.until("select count(*) from requests where state = 'delivered'", 3).await;
    stage.set("2026-11-24T00:00"); // The first instant that is late.
    climbed(&stage, request, 3).await;
    climbed(&stage, canary, 3).await;

    let item = home.ask(CommandType::AnswerGive, &give(request, "A01")).await?;
    assert_eq!((item.outcome, item.state, item.late), (Outcome::Accepted, Some(State::Answered), true));
    let answer = ward.answer(request).await?;
    assert!(
        answer.late && answer.sentence.text.contains("25/11/2026"),
        "the file is in time yet: {}",
        answer.sentence.text
    );
    // What is next is W's own: to read it.
    stage.until("select count(*) from requests where answer_sent_at is not null", 1).await;
    assert_eq!(stage.timer(request).await?, Some(at("2026-11-26T00:00")));
    ward.send(CommandType::AnswerRead, &about(request)).await?;
    stage.until_state(request, "read").await;
    let row = format!("select concat_ws(' ', answer_code, answer_late) from requests where request_id = '{request}'");
    assert_eq!(stage.world.rows(row).await?, ["A01 t"]);

    // When the other one has climbed to the top, this one stands where it stood.
    stage.set("2026-11-26T08:00");
    climbed(&stage, canary, 5).await;
    assert_eq!(names(&stage.rungs(request).await?), [("accept_due", 0), ("answer_due_day", 0), ("answer_due", 1)]);
    stage.verify(request).await?;

    // The day of the file has passed: it is not promised again.
    for code in ["A01", "A03"] {
        let passed = if code == "A01" { canary } else { last };
        home.ask(CommandType::AnswerGive, &give(passed, code)).await?;
        let text = ward.answer(passed).await?.sentence.text;
        assert!(text.contains("sẽ báo ông/bà ngày hẹn mới") && !text.contains("25/11/2026"), "{code}: {text}");
    }
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_the_last_instant_is_in_time() -> Result<()> {
    let mut stage = Stage::new("in_time", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = ward.submit(&home.office, 712).await?;
    home.receive(request).await?;
    stage.until_state(request, "delivered").await;
    stage.clock.set(at("2026-11-24T00:00") - jiff::SignedDuration::from_micros(1));
    let item = home.ask(CommandType::AnswerGive, &give(request, "A01")).await?;
    assert_eq!((item.outcome, item.late), (Outcome::Accepted, false));
    assert!(!ward.answer(request).await?.late);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reading_the_inbox_starts_the_clock_as_not_connected() -> Result<()> {
    let mut stage = Stage::new("not_connected", "2026-11-19T10:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = ward.submit(&home.office, 720).await?;
    stage.until_state(request, "sent").await;
    // Four working hours: two before noon, two from one o'clock.
    assert_eq!(stage.timer(request).await?, Some(at("2026-11-19T15:00")));
    stage.set("2026-11-19T15:00");
    climbed(&stage, request, 1).await;
    let started = clock_of("not_connected", "2026-11-19T15:00", "2026-11-20", "2026-11-23");
    assert_eq!(clock(&stage, request).await?, started);

    // Plugged in at last: it is kept, and moves no clock.
    stage.set("2026-11-20T09:00");
    home.receive(request).await?;
    stage.until_state(request, "delivered").await;
    assert_eq!(clock(&stage, request).await?, started);
    assert_eq!(stage.timer(request).await?, Some(at("2026-11-21T00:00")));
    assert_eq!(names(&stage.rungs(request).await?), [("not_received", 0)]);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_read_in_silence_starts_the_clock_as_not_confirmed() -> Result<()> {
    let mut stage = Stage::new("not_confirmed", "2026-11-19T15:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = ward.submit(&home.office, 730).await?;
    home.request(request).await?; // It reads, and says nothing.
    // Two hours on Thursday, two on Friday.
    assert_eq!(stage.timer(request).await?, Some(at("2026-11-20T10:00")));
    stage.set("2026-11-20T10:00");
    climbed(&stage, request, 1).await;
    let started = clock_of("not_confirmed", "2026-11-20T10:00", "2026-11-23", "2026-11-25");
    assert_eq!(clock(&stage, request).await?, started);
    home.send(CommandType::RequestReceived, &about(request)).await?;
    stage.until_state(request, "delivered").await;
    assert_eq!(clock(&stage, request).await?, started);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn from_pc06_up_one_notice_an_office() -> Result<()> {
    let mut stage = Stage::new("one_notice", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let [pc06, c06] = stage.grant_above(&home.office).await?;
    let (mut pc06, mut c06) = (stage.desk(&pc06).await?, stage.desk(&c06).await?);
    for number in 740..745 {
        let request = ward.submit(&home.office, number).await?;
        home.receive(request).await?;
    }
    stage.until("select count(*) from requests where state = 'delivered'", 5).await;
    for (fired, told, rung, desk) in
        [("2026-11-24T00:00", "2026-11-25T08:00", 1, &mut pc06), ("2026-11-26T00:00", "2026-11-26T08:00", 2, &mut c06)]
    {
        stage.set(fired);
        stage.until(&format!("select count(*) from rungs where trigger = 'answer_due' and rung = {rung}"), 5).await;
        stage.set(told);
        let line = desk.notice(Topic::OfficeSilent).await?;
        assert_eq!((line.office.unwrap().0, line.count, line.why), (home.office.id, Some(5), vec![Why::NotOpened]));
        assert_eq!((line.request_id, line.case_code), (None, None));
    }
    stage.until("select count(*) from notice_lines", 0).await;
    stage.until("select count(*) from outbox", 0).await;
    assert!(pc06.left().is_empty() && c06.left().is_empty(), "{:?} {:?}", pc06.left(), c06.left());
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_escalating_copies_fire_each_rung_once() -> Result<()> {
    const REQUESTS: u32 = 50;
    let mut stage = Stage::with_copies("two_copies", "2026-11-19T08:00", 2).await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let [pc06, c06] = stage.grant_above(&home.office).await?;
    let (mut pc06, mut c06) = (stage.desk(&pc06).await?, stage.desk(&c06).await?);
    let mut requests = Vec::new();
    for number in 0..REQUESTS {
        requests.push(ward.submit(&home.office, 750 + number).await?);
    }
    stage.until("select count(*) from requests where state = 'sent'", REQUESTS.into()).await;
    // Nobody reads the inbox: the clock starts at noon of the 19th, then as on the ladder.
    for (now, rungs) in [
        ("2026-11-19T12:00", 1),
        ("2026-11-21T00:00", 2),
        ("2026-11-23T08:00", 3),
        ("2026-11-24T00:00", 4),
        ("2026-11-25T08:00", 4),
        ("2026-11-26T08:00", 6),
    ] {
        stage.set(now);
        stage.until("select count(*) from rungs", rungs * i64::from(REQUESTS)).await;
    }
    for desk in [&mut pc06, &mut c06] {
        let line = desk.notice(Topic::OfficeSilent).await?;
        assert_eq!((line.count, line.why), (Some(REQUESTS), vec![Why::NotConnected]));
    }
    for request in requests {
        let mut expected = vec![("not_received", 0)];
        expected.extend(LADDER.map(|(trigger, rung, _)| (trigger, rung)));
        assert_eq!(names(&stage.rungs(request).await?), expected);
        let events = ledger::events_of(&mut *stage.store.conn().await?, RequestId::of(request)).await?;
        let fired = events.iter().filter(|kept| matches!(kept.body.entry, Entry::RungFired { .. })).count();
        assert_eq!(fired, expected.len(), "the ledger knows each once");
        stage.verify(request).await?;
    }
    stage.until("select count(*) from notice_lines", 0).await;
    stage.until("select count(*) from outbox", 0).await;
    assert!(pc06.left().is_empty() && c06.left().is_empty(), "{:?} {:?}", pc06.left(), c06.left());
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_damaged_ledger_keeps_the_ladder_from_nobody_else() -> Result<()> {
    let mut stage = Stage::new("damaged", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let damaged = ward.submit(&home.office, 980).await?;
    let sound = ward.submit(&home.office, 981).await?;
    stage.until("select count(*) from requests where state = 'sent'", 2).await;
    let unreadable = format!("update events set body = '\\xff' where request_id = '{damaged}' and seq = 1");
    stage.world.sql(unreadable).await?;
    // Nobody reads the inbox: the clock starts at noon, and on the 21st the accept due has passed.
    stage.set("2026-11-21T00:00");
    stage.until(&format!("select count(*) from rungs where request_id = '{sound}'"), 2).await;
    assert!(stage.rungs(damaged).await?.is_empty());
    // Nor does it keep letters from anybody.
    let another = ward.submit(&home.office, 982).await?;
    stage.until_state(another, "sent").await;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answered_request_presses_nobody() -> Result<()> {
    let mut stage = Stage::new("pressed", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let [pc06, _] = stage.grant_above(&home.office).await?;
    let mut pc06 = stage.desk(&pc06).await?;
    let mut requests = Vec::new();
    for number in 820..823 {
        let request = ward.submit(&home.office, number).await?;
        home.receive(request).await?;
        requests.push(request);
    }
    stage.until("select count(*) from requests where state = 'delivered'", 3).await;
    stage.set("2026-11-24T00:00");
    stage.until("select count(*) from rungs where trigger = 'answer_due'", 3).await;
    // The rungs fired, the digest leaves on Wednesday; on Tuesday one is answered, one taken back.
    stage.set("2026-11-24T09:00");
    home.ask(CommandType::AnswerGive, &give(requests[0], "A01")).await?;
    ward.ask(CommandType::RequestWithdraw, &withdrawal(requests[1])).await?;
    stage.set("2026-11-25T08:00");
    let line = pc06.notice(Topic::OfficeSilent).await?;
    assert_eq!((line.count, line.why), (Some(1), vec![Why::NotOpened]));
    stage.until("select count(*) from notice_lines", 0).await;
    stage.until("select count(*) from outbox", 0).await;
    assert!(pc06.left().is_empty(), "{:?}", pc06.left());
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fires_late_is_still_one_notice_an_office() -> Result<()> {
    // More than are claimed at once, by two copies, after a night without any.
    const REQUESTS: u32 = 520;
    let mut stage = Stage::new("late_notice", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let [pc06, c06] = stage.grant_above(&home.office).await?;
    let (mut pc06, mut c06) = (stage.desk(&pc06).await?, stage.desk(&c06).await?);
    for number in 0..REQUESTS {
        ward.send(CommandType::RequestSubmit, &form(&home.office, 1_000 + number, stage.clock.now())).await?;
    }
    // What waits behind the cap climbs with the rest.
    stage.until("select count(*) from requests", REQUESTS.into()).await;
    stage.until("select count(*) from requests where state = 'sent'", 200).await;
    stage.stop().await?;
    stage.set("2026-11-26T09:00");
    stage.start_copies(2).await?;
    // Not confirmed, accept due, due day, both above, the file: those of the past leave at once.
    stage.until("select count(*) from rungs", 6 * i64::from(REQUESTS)).await;
    stage.until("select count(*) from notice_lines where leave_at <= '2026-11-26T09:00+07'", 0).await;
    for desk in [&mut pc06, &mut c06] {
        let line = desk.notice(Topic::OfficeSilent).await?;
        assert_eq!((line.office.unwrap().0, line.count), (home.office.id, Some(REQUESTS)));
    }
    stage.until("select count(*) from outbox", 0).await;
    assert!(pc06.left().is_empty() && c06.left().is_empty(), "{:?} {:?}", pc06.left(), c06.left());
    stage.close().await
}
