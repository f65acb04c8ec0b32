//! Whatever follows from a message carries its trace, and the logs say which.

use std::io::Write;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;
use xacminh_contract::envelope::{self, CommandType as T};
use xacminh_contract::ledger::Entry;
use xacminh_contract::notice::Topic;
use xacminh_contract::trace::Trace;
use xacminh_domain::id::{MessageId, RequestId};
use xacminh_store::ledger;
use xacminh_testkit::{OfficeMessage, PATIENCE, eventually};

use crate::desk::{Desk, about, form, give, withdrawal};
use crate::stage::Stage;

/// A trace id like no other.
fn fresh() -> String {
    format!("{:032x}", rand::random::<u128>() | 1)
}

fn sent_with(mut message: OfficeMessage, traceparent: &str) -> OfficeMessage {
    message.headers.push(("traceparent".into(), traceparent.into()));
    message
}

/// The header of an office that records its hops; the parent is its own.
fn header_of(trace: &str) -> String {
    format!("00-{trace}-00f067aa0ba902b7-01")
}

/// The trace that the broker begins for a message.
fn begun_by(id: MessageId) -> String {
    id.to_string().replace('-', "")
}

/// The trace ids of what came, by type; each message has a hop of its own.
fn came(desk: &mut Desk) -> Vec<(String, String)> {
    let mut hops = std::collections::HashSet::from(["00f067aa0ba902b7".to_owned()]);
    let of = |m: crate::desk::Traced| {
        let trace = Trace::parse(&m.traceparent).unwrap_or_else(|| panic!("{m:?}"));
        assert!(hops.insert(m.traceparent[36..52].to_owned()), "a parent id of its own: {m:?}");
        (m.of, trace.id.to_string())
    };
    desk.traces().into_iter().map(of).collect()
}

async fn send(desk: &mut Desk, of: T, body: &Value, traceparent: &str) -> Result<MessageId> {
    let message = sent_with(desk.message(of, body), traceparent);
    desk.publish(&message).await?;
    Ok(message.message_id.parse()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_of_a_life_carries_the_trace_of_its_cause() -> Result<()> {
    let mut stage = Stage::new("traces", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let (of_ward, of_home) = (fresh(), fresh());
    let pair = |of: &str, trace: &str| (of.to_owned(), trace.to_owned());

    // Both offices trace: what follows from each goes on with its own.
    let request =
        send(&mut ward, T::RequestSubmit, &form(&home.office, 800, stage.clock.now()), &header_of(&of_ward)).await?;
    ward.receipt(request).await?;
    home.receive(request).await?;
    let given = send(&mut home, T::AnswerGive, &give(request, "A01"), &header_of(&of_home)).await?;
    home.receipt(given).await?;
    ward.answer(request).await?;
    assert_eq!(came(&mut ward), [pair(envelope::RECEIPT, &of_ward), pair(envelope::ANSWER_DELIVER, &of_home)]);
    assert_eq!(came(&mut home), [pair(envelope::REQUEST_DELIVER, &of_ward), pair(envelope::RECEIPT, &of_home)]);
    // The ledger knows both, and which came when.
    let kept = ledger::events_of(&mut *stage.store.conn().await?, RequestId::of(request)).await?;
    let trace_of = |seen: fn(&Entry) -> bool| kept.iter().find(|e| seen(&e.body.entry)).and_then(|e| e.body.trace);
    let spelt = |seen| trace_of(seen).map(|t| t.to_string());
    assert_eq!(spelt(|e| matches!(e, Entry::Submitted { .. })), Some(of_ward));
    assert_eq!(spelt(|e| matches!(e, Entry::Delivered { .. })), None, "the submit's");
    assert_eq!(spelt(|e| matches!(e, Entry::Answered { .. })), Some(of_home.clone()));
    stage.verify(request).await?;

    // Only the ward traces: the home office's words go on with the request's.
    let trace = fresh();
    let request =
        send(&mut ward, T::RequestSubmit, &form(&home.office, 801, stage.clock.now()), &header_of(&trace)).await?;
    ward.receipt(request).await?;
    home.receive(request).await?;
    home.ask(T::AnswerGive, &give(request, "A01")).await?;
    ward.answer(request).await?;
    assert_eq!(came(&mut ward), [pair(envelope::RECEIPT, &trace), pair(envelope::ANSWER_DELIVER, &trace)]);
    assert_eq!(came(&mut home), [pair(envelope::REQUEST_DELIVER, &trace), pair(envelope::RECEIPT, &trace)]);

    // Nobody traces, or wrongly: the broker begins one, the request's id. A notice has it too.
    for wrong in [
        "",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "ff-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
    ] {
        let request = send(&mut ward, T::RequestSubmit, &form(&home.office, 802, stage.clock.now()), wrong).await?;
        ward.receipt(request).await?;
        home.receive(request).await?;
        ward.ask(T::RequestWithdraw, &withdrawal(request)).await?;
        home.notice(Topic::Withdrawn).await?;
        let begun = begun_by(request);
        assert_eq!(came(&mut ward), [pair(envelope::RECEIPT, &begun), pair(envelope::RECEIPT, &begun)], "{wrong}");
        assert_eq!(came(&mut home), [pair(envelope::REQUEST_DELIVER, &begun), pair(envelope::NOTICE, &begun)]);
    }

    // A refusal and a repeat follow from the message they answer; a stranger learns no trace.
    let refused = send(&mut home, T::RequestWithdraw, &withdrawal(request), &header_of(&of_home)).await?;
    home.receipt(refused).await?;
    let stranger = stage.grant(1).await?.remove(0);
    let mut stranger = stage.desk(&stranger).await?;
    let item = stranger.ask(T::AnswerRead, &about(request)).await?;
    assert_eq!(came(&mut home), [pair(envelope::RECEIPT, &of_home)]);
    assert_eq!(came(&mut stranger), [pair(envelope::RECEIPT, &begun_by(item.message_id.unwrap().0))]);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cause_goes_on_and_many_begin_a_trace_of_their_own() -> Result<()> {
    let mut stage = Stage::new("traces_many", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let trace = fresh();
    // A digest about one request alone.
    let one =
        send(&mut ward, T::RequestSubmit, &form(&home.office, 810, stage.clock.now()), &header_of(&trace)).await?;
    ward.receipt(one).await?;
    home.receive(one).await?;
    home.send(T::RequestOpened, &about(one)).await?;
    stage.until_state(one, "opened").await;
    came(&mut home);
    stage.set("2026-11-23T08:00");
    home.notice(Topic::AnswerDueToday).await?;
    assert_eq!(came(&mut home), [(envelope::NOTICE.to_owned(), trace.clone())]);

    // Receipts of one batch in one message: of one trace it goes on, of two it begins its own.
    came(&mut ward);
    let submit = |n, trace: &str| {
        sent_with(ward.message(T::RequestSubmit, &form(&home.office, n, stage.clock.now())), &header_of(trace))
    };
    let (same, other) = ([submit(811, &trace), submit(812, &trace)], [submit(813, &trace), submit(814, &fresh())]);
    for (messages, goes_on) in [(&same, true), (&other, false)] {
        stage.stop().await?;
        ward.publish_all(messages).await?;
        stage.start().await?;
        for message in messages {
            ward.receipt(message.message_id.parse()?).await?;
        }
        let receipts = came(&mut ward);
        assert_eq!(receipts.len(), 1, "one message for two receipts");
        assert_eq!(receipts[0].1 == trace, goes_on, "{receipts:?}");
    }
    stage.close().await
}

/// Where the product's log goes in this test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics here").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_the_trace_of_what_was_taken_and_of_what_left() -> Result<()> {
    let log = Log::default();
    let to = log.clone();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(EnvFilter::new("off,xacminh_services=trace"))
        .with_writer(move || to.clone())
        .try_init()
        .map_err(|e| anyhow::anyhow!("{e}"))?;
    let mut stage = Stage::new("traces_log", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let trace = fresh();
    let request =
        send(&mut ward, T::RequestSubmit, &form(&home.office, 820, stage.clock.now()), &header_of(&trace)).await?;
    ward.receipt(request).await?;
    stage.until_state(request, "sent").await;
    let lines = eventually("taken, and two letters left", PATIENCE, async || {
        let text = String::from_utf8(log.0.lock().expect("nobody panics here").clone()).ok()?;
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let ours: Vec<Value> = lines.into_iter().filter(|line| line["trace.id"] == json!(trace)).collect();
        (ours.len() == 3).then_some(ours)
    })
    .await;
    let taken = lines.iter().find(|line| line["message"] == "taken").context("no line about the taking")?;
    assert_eq!((&taken["level"], &taken["message.id"]), (&json!("TRACE"), &json!(request.to_string())));
    assert_eq!(taken["office.id"], json!(ward.office.id.to_string()));
    let left: Vec<&Value> =
        lines.iter().filter(|line| line["message"] == "left").map(|line| &line["message.type"]).collect();
    assert!(left.contains(&&json!(envelope::RECEIPT)) && left.contains(&&json!(envelope::REQUEST_DELIVER)), "{left:?}");
    stage.close().await
}
