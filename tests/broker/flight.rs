//! What an office is sent at most at a time, and what it is sent again.

use std::collections::HashSet;

use anyhow::Result;
use serde_json::Value;
use xacminh_contract::envelope::{CommandType, NOTICE, REQUEST_DELIVER};
use xacminh_contract::notice::{Topic, Why};
use xacminh_contract::request::Deliver;
use xacminh_domain::id::MessageId;
use xacminh_store::view::late::{self, Filter};
use xacminh_store::view::look;

use crate::desk::{Desk, about, form, withdrawal};
use crate::stage::Stage;

const CAP: usize = 200;
const SENT: &str = "select count(*) from deliveries where sent_at is not null";
const WAITING: &str = "select count(*) from deliveries where sent_at is null";

fn deliver(bytes: &[u8]) -> Result<Deliver> {
    Ok(serde_json::from_slice(bytes)?)
}

/// Submits so many requests at once; the file of each later one is a day older, in turns of five.
async fn submit_many(ward: &mut Desk, home: &Desk, stage: &Stage, count: usize) -> Result<Vec<MessageId>> {
    let messages: Vec<_> = (0..u32::try_from(count)?)
        .map(|number| {
            let mut form = form(&home.office, number, stage.clock.now());
            form["received_on"] = Value::from(format!("2026-11-{}", 19 - number % 5));
            ward.message(CommandType::RequestSubmit, &form)
        })
        .collect();
    ward.publish_all(&messages).await?;
    messages.iter().map(|m| Ok(m.message_id.parse()?)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_that_was_away_for_days_gets_each_request_once_and_the_rest_by_file_due() -> Result<()> {
    const ALL: usize = CAP + 60;
    let mut stage = Stage::new("away", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let submitted = submit_many(&mut ward, &home, &stage, ALL).await?;
    stage.until("select count(*) from requests", ALL as i64).await;
    stage.until(SENT, CAP as i64).await;
    stage.until(WAITING, (ALL - CAP) as i64).await;

    // Three days: what lies in the inbox is not sent again, what waits stays behind the cap, and the
    // ladder does not care where a request waits.
    stage.set("2026-11-22T08:00");
    stage.until("select count(*) from requests where clock_cause = 'not_connected'", ALL as i64).await;
    assert_eq!((stage.world.number(SENT).await?, stage.world.number(WAITING).await?), (CAP as i64, (ALL - CAP) as i64));

    let mut home = home;
    let (mut came, mut order) = (HashSet::new(), Vec::new());
    while came.len() < ALL {
        let (message_id, bytes) = home.take_work().await?;
        let work = deliver(&bytes)?;
        let id = work.request_id.0.message_id();
        assert!(came.insert(id), "{message_id} came twice");
        order.push(work.file_due_on.expect("every kind here has a limit").0);
        home.send(CommandType::RequestReceived, &about(id)).await?;
    }
    assert_eq!(came, submitted.into_iter().collect::<HashSet<_>>());
    // What was not in the inbox came by W's file due, in as many goes as there was room for.
    let late = &order[CAP..];
    assert!(late.is_sorted(), "not by file due: {late:?}");
    assert!(late.first() < late.last(), "the dues are all the same: {late:?}");
    stage.until("select count(*) from deliveries", 0).await;
    stage.until("select count(*) from requests where state = 'delivered'", ALL as i64).await;
    assert_eq!(
        stage.world.number("select count(*) from events where seq > 0").await?,
        stage.world.number("select sum(seq)::bigint from requests").await?
    );
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_that_takes_and_forgets_gets_it_again_under_the_same_id() -> Result<()> {
    let mut stage = Stage::new("forgets", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = ward.submit(&home.office, 1).await?;
    let first = home.take_work().await?;
    stage.until_state(request, "sent").await;

    // Until four working hours have passed, nothing: a minute before, another request comes alone.
    stage.set("2026-11-19T11:59");
    let other = ward.submit(&home.office, 2).await?;
    let (_, bytes) = home.take_work().await?;
    assert_eq!(deliver(&bytes)?.request_id.0.message_id(), other);
    home.send(CommandType::RequestReceived, &about(other)).await?;
    stage.until_state(other, "delivered").await;

    stage.set("2026-11-19T12:01");
    assert_eq!(home.take_work().await?, first, "the same id, the same bytes");
    stage.until("select count(*) from rungs where trigger = 'not_received'", 1).await;
    // Once more after the hours of the afternoon, until it says that it has it.
    stage.until("select count(*) from deliveries where again_at = '2026-11-19T17:00+07'", 1).await;
    stage.set("2026-11-19T17:01");
    assert_eq!(home.take_work().await?, first);
    home.send(CommandType::RequestReceived, &about(request)).await?;
    stage.until("select count(*) from deliveries", 0).await;
    stage.set("2026-11-23T17:00");
    let last = ward.submit(&home.office, 3).await?;
    let (_, bytes) = home.take_work().await?;
    assert_eq!(deliver(&bytes)?.request_id.0.message_id(), last, "what is confirmed does not come again");
    // One sending in the ledger, however often it left.
    let sendings =
        format!("select count(*) from requests where request_id = '{request}' and sent_at < '2026-11-19T08:30+07'");
    assert_eq!(stage.world.number(&sendings).await?, 1);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_office_took_and_lost_lies_there_when_it_reconnects() -> Result<()> {
    let mut stage = Stage::new("lost", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = ward.submit(&home.office, 1).await?;
    let first = home.take_work().await?;
    stage.until_state(request, "sent").await;
    let office = home.office.clone();
    home.leave().await?;

    // Two minutes on, not four hours: nobody reads the empty inbox, so the message is gone.
    stage.set("2026-11-19T08:02");
    stage.until("select count(*) from deliveries where sent_at > '2026-11-19T08:01+07'", 1).await;
    let mut home = stage.desk(&office).await?;
    assert_eq!(home.take_work().await?, first);
    home.send(CommandType::RequestReceived, &about(request)).await?;
    stage.until_state(request, "delivered").await;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_behind_the_cap_never_leaves() -> Result<()> {
    let mut stage = Stage::new("behind", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    submit_many(&mut ward, &home, &stage, CAP).await?;
    stage.until(SENT, CAP as i64).await;
    let request = ward.submit(&home.office, 900).await?;
    stage.until(WAITING, 1).await;
    // Not the broker's time: H's system has to confirm what it got.
    stage.set("2026-11-19T08:05");
    let late = late::list(&mut *look(&stage.store, stage.clock.now()).await?, &Filter::default()).await?;
    let held: Vec<_> = late.iter().map(|l| (l.request_id.message_id(), l.holder.as_str(), l.why)).collect();
    assert_eq!(held, [(request, home.office.id.to_string().as_str(), Why::NotSent)]);
    ward.ask(CommandType::RequestWithdraw, &withdrawal(request)).await?;
    stage.until(WAITING, 0).await;
    for _ in 0..CAP {
        let (_, bytes) = home.take_work().await?;
        let id = deliver(&bytes)?.request_id.0.message_id();
        assert_ne!(id, request);
        home.send(CommandType::RequestReceived, &about(id)).await?;
    }
    stage.until("select count(*) from deliveries", 0).await;
    let next = ward.submit(&home.office, 901).await?;
    let (_, bytes) = home.take_work().await?;
    assert_eq!(deliver(&bytes)?.request_id.0.message_id(), next);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_inbox_to_go_to_waits_until_there_is_one() -> Result<()> {
    let mut stage = Stage::new("no_inbox", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    stage.take_inbox(&home.office).await?;
    let request = ward.submit(&home.office, 1).await?;
    let taken_back = ward.submit(&home.office, 2).await?;
    ward.ask(CommandType::RequestWithdraw, &withdrawal(taken_back)).await?;
    // RabbitMQ took neither the work nor the notice, so nothing left.
    stage.until_letter(REQUEST_DELIVER, "no_inbox").await?;
    stage.until_letter(NOTICE, "no_inbox").await?;
    assert_eq!(stage.world.number("select count(*) from requests where sent_at is not null").await?, 0);

    // A new relay does not wait out the pause of the one before.
    stage.stop().await?;
    stage.give_inbox(&home.office).await?;
    stage.start().await?;
    home.receive(request).await?;
    assert_eq!(home.notice(Topic::Withdrawn).await?.request_id.unwrap().0.message_id(), taken_back);
    stage.until_state(request, "delivered").await;
    stage.until("select count(*) from outbox", 0).await;
    // Submitted, sent, delivered, the clock.
    assert_eq!(stage.verify(request).await?, 4);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cap_holds_for_a_relay_that_finds_all_of_it_waiting_and_for_the_next_one() -> Result<()> {
    const ALL: usize = CAP + 60;
    let mut stage = Stage::new("cap", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    // Nothing can leave before there is an inbox, and then all might at once.
    stage.take_inbox(&home.office).await?;
    submit_many(&mut ward, &home, &stage, ALL).await?;
    stage.until(WAITING, ALL as i64).await;
    stage.stop().await?;
    stage.give_inbox(&home.office).await?;
    stage.start().await?;
    stage.until(SENT, CAP as i64).await;
    assert_eq!(stage.world.number(WAITING).await?, (ALL - CAP) as i64);

    // The next one finds as many in flight as may be.
    stage.stop().await?;
    stage.start().await?;
    let waiting = "select request_id from deliveries where sent_at is null limit 1";
    let request: MessageId = stage.world.rows(waiting).await?.remove(0).parse()?;
    ward.ask(CommandType::RequestWithdraw, &withdrawal(request)).await?;
    // The notice to the same office is read after the work that may leave, and marked with it.
    stage.until("select count(*) from outbox", 0).await;
    let left = (stage.world.number(SENT).await?, stage.world.number(WAITING).await?);
    assert_eq!(left, (CAP as i64, (ALL - CAP - 1) as i64));
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_cap_urgent_leaves_first_and_bulk_last() -> Result<()> {
    const BULK: u32 = 30;
    let mut stage = Stage::new("ranks", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    submit_many(&mut ward, &home, &stage, CAP).await?;
    stage.until(SENT, CAP as i64).await;
    // The more it matters, the later it comes and the later its file is due.
    let mut sent = Vec::new();
    let lanes = std::iter::repeat_n(("bulk", "15"), BULK as usize).chain([("normal", "17"), ("urgent", "19")]);
    for (number, (lane, day)) in (900..).zip(lanes) {
        let mut form = form(&home.office, number, stage.clock.now());
        form["received_on"] = Value::from(format!("2026-11-{day}"));
        form["lane"] = Value::from(lane);
        if lane == "urgent" {
            form["lane_reason"] = Value::from("appointment_near");
        }
        sent.push(ward.send(CommandType::RequestSubmit, &form).await?);
    }
    stage.until(WAITING, sent.len() as i64).await;

    let mut came = Vec::new();
    for _ in 0..CAP + sent.len() {
        let (_, bytes) = home.take_work().await?;
        came.push(deliver(&bytes)?.request_id.0.message_id());
        home.send(CommandType::RequestReceived, &about(came[came.len() - 1])).await?;
    }
    sent.reverse();
    assert_eq!(came[CAP..CAP + 2], sent[..2], "urgent, then normal, though bulk was there before them");
    stage.until("select count(*) from deliveries", 0).await;
    stage.close().await
}
