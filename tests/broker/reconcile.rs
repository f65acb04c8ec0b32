//! A day is compared with an office, and what either end lost comes back under the ids it had.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use xacminh_contract::envelope::{ANSWER_DELIVER, CommandType, REQUEST_DELIVER};
use xacminh_contract::receipt::{Outcome, State};
use xacminh_contract::reconcile::{Counts, Difference, Healing, Reconciled};

use crate::desk::{Desk, about, form, give, message_id, withdrawal};
use crate::stage::Stage;

const DAY: &str = "2026-11-19";

/// A report of the day, made now.
fn report(desk: &Desk, sent: &[String], received: &[String]) -> Value {
    json!({ "day": DAY, "made_at": desk.now().to_string(), "sent": sent, "received": received })
}

/// Reports and gives what came back.
async fn reconcile(desk: &mut Desk, sent: &[String], received: &[String]) -> Result<Reconciled> {
    let report = report(desk, sent, received);
    desk.send(CommandType::ReconcileReport, &report).await?;
    desk.reconciled().await
}

/// Reports that it has nothing, and gives what of this type came again before the result.
async fn lost_all(desk: &mut Desk, of: &str, count: usize) -> Result<(BTreeMap<String, Vec<u8>>, Reconciled)> {
    let report = report(desk, &[], &[]);
    desk.send(CommandType::ReconcileReport, &report).await?;
    let mut again = BTreeMap::new();
    for _ in 0..count {
        let (id, bytes) = desk.take_of(of).await?;
        again.insert(id, bytes);
    }
    Ok((again, desk.reconciled().await?))
}

fn counts(yours: u32, ours: u32, agreed: u32) -> Counts {
    Counts { yours, ours, agreed }
}

/// What differs: message, difference, healing.
fn told(result: &Reconciled) -> Vec<(String, Difference, Healing)> {
    result.differences.iter().map(|l| (l.message_id.to_string(), l.difference, l.healing)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_that_lost_a_day_gets_everything_again_under_the_same_ids() -> Result<()> {
    let mut stage = Stage::new("lost-day", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;

    // Four requests: answered and read, open, taken back, on its way.
    let mut asked = Vec::new();
    for number in 0..4 {
        asked.push(ward.submit(&home.office, number).await?);
    }
    let (mut said_by_home, mut said_by_ward) = (Vec::new(), asked.clone());
    let mut work = BTreeMap::new();
    for _ in 0..4 {
        let (id, bytes) = home.take_work().await?;
        work.insert(id, bytes);
    }
    for request in &asked[..3] {
        said_by_home.push(home.send(CommandType::RequestReceived, &about(*request)).await?);
        stage.until_state(*request, "delivered").await;
    }
    let answer = home.ask(CommandType::AnswerGive, &give(asked[0], "A01")).await?;
    said_by_home.push(answer.message_id.clone().context("no id")?.0);
    let (answer_id, answer_bytes) = ward.take_of(ANSWER_DELIVER).await?;
    said_by_ward.push(ward.send(CommandType::AnswerRead, &about(asked[0])).await?);
    stage.until_state(asked[0], "read").await;
    let taken_back = ward.ask(CommandType::RequestWithdraw, &withdrawal(asked[2])).await?;
    said_by_ward.push(taken_back.message_id.context("no id")?.0);
    home.notice(xacminh_contract::notice::Topic::Withdrawn).await?;
    stage.until("select count(*) from outbox", 0).await;
    let text = |ids: &[xacminh_domain::id::MessageId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (home_sent, ward_sent) = (text(&said_by_home), text(&said_by_ward));
    let home_received: Vec<String> = work.keys().cloned().collect();

    // With everything in the lists, both ends agree.
    stage.set("2026-11-19T09:00");
    let result = reconcile(&mut home, &home_sent, &home_received).await?;
    assert_eq!((result.sent, result.received), (counts(4, 4, 4), counts(4, 4, 4)));
    assert_eq!(result.differences, []);
    let result = reconcile(&mut ward, &ward_sent, std::slice::from_ref(&answer_id)).await?;
    assert_eq!((result.sent, result.received), (counts(6, 6, 6), counts(1, 1, 1)));
    assert_eq!(result.differences, []);

    // The home office lost all of it, and says so by an empty report.
    let (again, result) = lost_all(&mut home, REQUEST_DELIVER, 4).await?;
    assert_eq!((result.sent, result.received), (counts(0, 4, 0), counts(0, 4, 0)));
    let mut expected: Vec<_> = Vec::new();
    for (number, id) in home_sent.iter().enumerate() {
        // Only the answer had a receipt.
        let healing = if number == 3 { Healing::ReceiptAgain } else { Healing::Told };
        expected.push((id.clone(), Difference::NotSentByYou, healing));
    }
    expected.extend(home_received.iter().map(|id| (id.clone(), Difference::NotReceived, Healing::SentAgain)));
    let mut found = told(&result);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let state_of = |request| {
        let line =
            result.differences.iter().find(|l| l.request_id.as_ref().is_some_and(|id| id.0.message_id() == request));
        line.and_then(|l| l.state)
    };
    assert_eq!(
        asked.iter().map(|r| state_of(*r)).collect::<Vec<_>>(),
        [Some(State::Read), Some(State::Delivered), Some(State::Withdrawn), Some(State::Sent),]
    );
    assert!(again == work, "the same messages under the same ids, byte by byte");
    let (receipt, bytes) = home.receipt_bytes(said_by_home[3]).await?;
    assert_eq!((receipt.outcome, receipt.state), (Outcome::Accepted, Some(State::Answered)), "{bytes}");
    assert_eq!(receipt, answer, "the first receipt, not another one");
    let line = home.notice(xacminh_contract::notice::Topic::Withdrawn).await?;
    assert_eq!(line.request_id.map(|id| id.0.message_id()), Some(asked[2]), "nothing is to be done about that one");

    // So did the ward.
    let (again, result) = lost_all(&mut ward, ANSWER_DELIVER, 1).await?;
    assert_eq!((result.sent, result.received), (counts(0, 6, 0), counts(0, 1, 0)));
    assert_eq!(again, BTreeMap::from([(answer_id.clone(), answer_bytes)]));
    for request in &asked {
        let receipt = ward.receipt(*request).await?;
        assert_eq!((receipt.outcome, receipt.state), (Outcome::Accepted, Some(State::Submitted)));
    }

    // With what came back, both agree again; what each end said stands in the results.
    let result = reconcile(&mut home, &home_sent, &home_received).await?;
    assert_eq!(result.differences, []);
    let result = reconcile(&mut ward, &ward_sent, &[answer_id]).await?;
    assert_eq!(result.differences, []);
    stage.until("select count(*) from reconcile_differences", 0).await;
    stage.until("select count(*) from outbox", 0).await;
    assert_eq!(stage.world.number("select count(*) from requests").await?, 4, "nothing came into being by it");

    // What can no longer be reported is not kept: three of the work and the answer had been confirmed.
    let kept = "select count(*) from sent_letters";
    assert_eq!(stage.world.number(kept).await?, 4);
    let mut conn = stage.store.conn().await?;
    assert_eq!(xacminh_store::reconcile::prune(&mut conn, DAY.parse()?).await?, 0);
    assert_eq!(xacminh_store::reconcile::prune(&mut conn, "2026-11-20".parse()?).await?, 4);
    drop(conn);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_never_took_is_sent_again_and_what_it_does_not_know_is_the_operators() -> Result<()> {
    let mut stage = Stage::new("not-taken", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let taken = ward.submit(&home.office, 1).await?;
    // Made, and lost on its way to RabbitMQ.
    let lost = ward.message(CommandType::RequestSubmit, &form(&home.office, 2, stage.clock.now()));
    let stray = message_id(stage.clock.now());
    stage.set("2026-11-19T09:00");

    let sent = [taken.to_string(), lost.message_id.clone()];
    let received = [stray.to_string()];
    let result = reconcile(&mut ward, &sent, &received).await?;
    assert_eq!((result.sent, result.received), (counts(2, 1, 1), counts(1, 0, 0)));
    let expected = [
        (lost.message_id.clone(), Difference::NotTaken, Healing::SendAgain),
        (stray.to_string(), Difference::UnknownToBroker, Healing::Alerted),
    ];
    assert_eq!(told(&result), expected);
    let unhealed = async || -> Result<i64> {
        let question = "select count(*) from reconcile_differences where healing = 'alerted' or times > 1";
        stage.world.number(question).await
    };
    assert_eq!(unhealed().await?, 1, "what nothing can mend");

    // Told twice and not done: that is the operator's as well.
    reconcile(&mut ward, &sent, &received).await?;
    assert_eq!(unhealed().await?, 2);

    // Sent again under its id, it is taken as it would have been.
    ward.publish(&lost).await?;
    let receipt = ward.receipt(lost.message_id.parse()?).await?;
    assert_eq!(receipt.outcome, Outcome::Accepted);
    let result = reconcile(&mut ward, &sent, &[]).await?;
    assert_eq!((result.sent, result.differences), (counts(2, 2, 2), Vec::new()));
    assert_eq!(unhealed().await?, 0);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_may_have_pages_and_counts_once_it_is_whole() -> Result<()> {
    const ALL: u32 = 30;
    let mut stage = Stage::new("pages", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let now = stage.clock.now();
    let messages: Vec<_> =
        (0..ALL).map(|n| ward.message(CommandType::RequestSubmit, &form(&home.office, n, now))).collect();
    ward.publish_all(&messages).await?;
    stage.until("select count(*) from requests where state = 'sent'", i64::from(ALL)).await;
    stage.set("2026-11-19T09:00");
    let ids: Vec<&str> = messages.iter().map(|m| m.message_id.as_str()).collect();
    let page = |number: usize, made_at: &str| json!({ "day": DAY, "made_at": made_at, "page": number + 1, "pages": 3, "sent": ids[number * 10..number * 10 + 10] });
    // Two pages of a list that was given up, then the three of another, in no order.
    for (number, made_at) in [(0, "08:30"), (1, "08:30"), (2, "08:40"), (0, "08:40"), (1, "08:40")] {
        let page = page(number, &format!("2026-11-19T{made_at}:00+07:00"));
        ward.send(CommandType::ReconcileReport, &page).await?;
    }
    let result = ward.reconciled().await?;
    assert_eq!(result.made_at.to_string(), "2026-11-19T08:40:00+07:00");
    assert_eq!(
        (result.sent, result.received, result.differences),
        (counts(ALL, ALL, ALL), counts(0, 0, 0), Vec::new())
    );
    assert_eq!(stage.world.number("select count(*) from reconcile_pages").await?, 0);

    // Its home took none of it in.
    stage.until("select count(*) from deliveries where sent_at is not null", i64::from(ALL)).await;
    let mut came = BTreeMap::<String, usize>::new();
    for _ in 0..ALL {
        *came.entry(home.take_work().await?.0).or_default() += 1;
    }
    // What is on its way goes back to what waits and leaves again, within the cap.
    let report = report(&home, &[], &[]);
    home.send(CommandType::ReconcileReport, &report).await?;
    for _ in 0..ALL {
        *came.entry(home.take_work().await?.0).or_default() += 1;
    }
    assert!(came.len() == ALL as usize && came.values().all(|n| *n == 2), "{came:?}");
    let result = home.reconciled().await?;
    assert_eq!((result.pages, result.received), (1, counts(0, ALL, 0)));
    assert!(result.differences.iter().all(|l| l.message_type.as_deref() == Some(REQUEST_DELIVER)));
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_compared_is_refused() -> Result<()> {
    let mut stage = Stage::new("report-refused", "2026-11-19T08:00").await?;
    let (mut ward, _) = stage.ward_and_home().await?;
    let id = message_id(stage.clock.now()).to_string();
    let made_at = "2026-11-19T08:00:00+07:00";
    for (body, code, pointer) in [
        (json!({ "day": "2026-11-20", "made_at": made_at }), "date_impossible", "/day"),
        (json!({ "day": "2026-11-04", "made_at": made_at }), "date_impossible", "/day"),
        (json!({ "day": "2026-11-31", "made_at": made_at }), "date_impossible", "/day"),
        (json!({ "day": DAY }), "field_missing", "/made_at"),
        (json!({ "day": "2026-11-18", "made_at": made_at, "sent": [id] }), "field_invalid", "/sent/0"),
        (json!({ "day": "2026-11-18", "made_at": made_at, "received": [id] }), "field_invalid", "/received/0"),
        (json!({ "day": DAY, "made_at": made_at, "sent": ["x"] }), "field_invalid", "/sent/0"),
        (json!({ "day": DAY, "made_at": made_at, "page": 2 }), "field_invalid", "/page"),
        (json!({ "day": DAY, "made_at": made_at, "page": 0 }), "field_invalid", "/page"),
        (json!({ "day": DAY, "made_at": made_at, "pages": 101 }), "field_invalid", "/pages"),
    ] {
        let refusal = ward.ask(CommandType::ReconcileReport, &body).await?.refusal.context("accepted")?;
        assert_eq!((refusal.code.as_str(), refusal.pointer.as_str()), (code, pointer), "{body}");
    }
    // The first day that may be reported.
    let result = {
        ward.send(CommandType::ReconcileReport, &json!({ "day": "2026-11-05", "made_at": made_at })).await?;
        ward.reconciled().await?
    };
    // The refused reports are no commands to be listed.
    assert_eq!((result.sent, result.differences), (counts(0, 0, 0), Vec::new()));
    stage.set("2026-11-19T09:00");
    assert_eq!(reconcile(&mut ward, &[], &[]).await?.differences, []);
    stage.close().await
}
