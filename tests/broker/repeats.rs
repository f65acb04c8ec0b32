//! A repeat changes nothing and gets the first receipt again.

use anyhow::Result;
use serde_json::json;
use xacminh_contract::envelope::CommandType;
use xacminh_contract::receipt::Outcome;
use xacminh_contract::refusal::RefusalCode;
use xacminh_domain::id::MessageId;
use xacminh_testkit::OfficeMessage;

use crate::desk::{about, form, give, withdrawal};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gets_the_first_receipt_again_also_after_a_restart() -> Result<()> {
    let mut stage = Stage::new("repeat", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let submit = ward.message(CommandType::RequestSubmit, &form(&home.office, 300, stage.clock.now()));
    let request: MessageId = submit.message_id.parse()?;
    ward.publish(&submit).await?;
    let first = ward.receipt_bytes(request).await?.1;
    ward.publish(&submit).await?;
    assert_eq!(ward.receipt_bytes(request).await?.1, first);

    // The request goes on, time passes, the product starts anew: the receipt stays what it was.
    home.receive(request).await?;
    let answer = home.message(CommandType::AnswerGive, &give(request, "A01"));
    home.publish(&answer).await?;
    let first_of_answer = home.receipt_bytes(answer.message_id.parse()?).await?.1;
    ward.answer(request).await?;
    ward.send(CommandType::AnswerRead, &about(request)).await?;
    stage.until_state(request, "read").await;
    stage.until("select count(*) from outbox", 0).await;
    let events = stage.verify(request).await?;
    stage.stop().await?;
    stage.set("2026-12-01T10:00");
    stage.start().await?;
    ward.publish(&submit).await?;
    assert_eq!(ward.receipt_bytes(request).await?.1, first);
    home.publish(&answer).await?;
    assert_eq!(home.receipt_bytes(answer.message_id.parse()?).await?.1, first_of_answer);

    assert_eq!(stage.verify(request).await?, events, "nothing happened");
    assert_eq!(stage.world.number("select count(*) from requests").await?, 1);
    // An inbox keeps its order, so a second letter would have come before these.
    let canary = ward.submit(&home.office, 301).await?;
    home.request(canary).await?;
    home.ask(CommandType::AnswerGive, &give(canary, "A01")).await?;
    ward.answer(canary).await?;
    assert!(home.left().is_empty() && ward.left().is_empty(), "{:?} {:?}", home.left(), ward.left());
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gets_the_first_receipt_also_after_a_year() -> Result<()> {
    let mut stage = Stage::new("repeat_old", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let form = form(&home.office, 305, stage.clock.now());
    let submit = ward.message(CommandType::RequestSubmit, &form);
    let refused = ward.message(CommandType::RequestSubmit, &json!({}));
    let never_sent = ward.message(CommandType::RequestSubmit, &form);
    let mut first = Vec::new();
    for message in [&submit, &refused] {
        ward.publish(message).await?;
        first.push(ward.receipt_bytes(message.message_id.parse()?).await?.1);
    }
    ward.ask(CommandType::RequestWithdraw, &withdrawal(submit.message_id.parse()?)).await?;
    stage.stop().await?;
    stage.set("2027-11-19T08:00");
    stage.start().await?;
    // An id of that age that nobody saw before is refused; one that was taken is remembered.
    ward.publish(&never_sent).await?;
    let item = ward.receipt(never_sent.message_id.parse()?).await?;
    assert_eq!(item.refusal.unwrap().code, RefusalCode::IdTimeOutOfRange.as_str());
    for (message, first) in [submit, refused].iter().zip(first) {
        ward.publish(message).await?;
        assert_eq!(ward.receipt_bytes(message.message_id.parse()?).await?.1, first);
    }
    assert_eq!(stage.world.number("select count(*) from requests").await?, 1);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_inside_one_batch_is_one() -> Result<()> {
    let mut stage = Stage::new("batch", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let submit = ward.message(CommandType::RequestSubmit, &form(&home.office, 310, stage.clock.now()));
    let other =
        OfficeMessage { body: form(&home.office, 311, stage.clock.now()).to_string().into_bytes(), ..submit.clone() };
    let request: MessageId = submit.message_id.parse()?;

    // They wait together and are taken together.
    stage.stop().await?;
    for message in [&submit, &submit, &other, &submit] {
        ward.publish(message).await?;
    }
    stage.start().await?;
    let mut receipts = Vec::new();
    for _ in 0..4 {
        receipts.push(ward.receipt_bytes(request).await?);
    }
    assert_eq!(receipts[0].0.outcome, Outcome::Accepted);
    assert_eq!((&receipts[1].1, &receipts[3].1), (&receipts[0].1, &receipts[0].1));
    assert_eq!(receipts[2].0.refusal.as_ref().unwrap().code, RefusalCode::IdReused.as_str());

    assert_eq!(stage.world.number("select count(*) from requests").await?, 1);
    let canary = ward.submit(&home.office, 312).await?;
    let work = home.request(request).await?;
    assert_eq!(work.case_code, "TT-2026-000310", "the first one stands");
    home.request(canary).await?;
    assert!(home.left().is_empty(), "one work for four messages: {:?}", home.left());
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_body_under_an_id_is_refused_and_the_first_stays() -> Result<()> {
    let mut stage = Stage::new("reused", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let submit = ward.message(CommandType::RequestSubmit, &form(&home.office, 320, stage.clock.now()));
    let request: MessageId = submit.message_id.parse()?;
    ward.publish(&submit).await?;
    let first = ward.receipt_bytes(request).await?.1;

    let body =
        OfficeMessage { body: form(&home.office, 321, stage.clock.now()).to_string().into_bytes(), ..submit.clone() };
    let mut kind = ward.message(CommandType::RequestWithdraw, &withdrawal(request));
    kind.message_id.clone_from(&submit.message_id);
    for changed in [body, kind] {
        ward.publish(&changed).await?;
        let item = ward.receipt(request).await?;
        assert_eq!(item.refusal.unwrap().code, RefusalCode::IdReused.as_str(), "{}", changed.message_type);
    }
    ward.publish(&submit).await?;
    assert_eq!(ward.receipt_bytes(request).await?.1, first);
    assert_eq!(home.request(request).await?.case_code, "TT-2026-000320");
    stage.until_state(request, "sent").await;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_refusal_is_the_same_refusal() -> Result<()> {
    let mut stage = Stage::new("refused_twice", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let mut body = form(&home.office, 330, stage.clock.now());
    body["person"]["person_no"] = json!("99919");
    let bad = ward.message(CommandType::RequestSubmit, &body);
    let unreadable = OfficeMessage { body: b"{".to_vec(), ..ward.message(CommandType::RequestSubmit, &body) };
    for message in [bad, unreadable] {
        let id = message.message_id.parse()?;
        ward.publish(&message).await?;
        let (item, first) = ward.receipt_bytes(id).await?;
        assert_eq!(item.outcome, Outcome::Refused);
        stage.set("2026-11-19T09:00");
        ward.publish(&message).await?;
        assert_eq!(ward.receipt_bytes(id).await?.1, first);
        let kept = format!("select count(*) from refused where message_id = '{id}'");
        assert_eq!(stage.world.number(kept).await?, 1, "a repeat is not refused anew");
    }
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_of_two_offices_disturbs_neither() -> Result<()> {
    let mut stage = Stage::new("two_offices", "2026-11-19T08:00").await?;
    let offices = stage.grant(3).await?;
    let (mut one, mut two) = (stage.desk(&offices[0]).await?, stage.desk(&offices[1]).await?);
    let mut home = stage.desk(&offices[2]).await?;

    // An id belongs to its sender: two withdrawals under one id are two.
    let (first, second) = (one.submit(&home.office, 340).await?, two.submit(&home.office, 341).await?);
    let of_one = one.message(CommandType::RequestWithdraw, &withdrawal(first));
    let mut of_two = two.message(CommandType::RequestWithdraw, &withdrawal(second));
    of_two.message_id.clone_from(&of_one.message_id);
    let id = of_one.message_id.parse()?;
    one.publish(&of_one).await?;
    two.publish(&of_two).await?;
    for (desk, request) in [(&mut one, first), (&mut two, second)] {
        let item = desk.receipt(id).await?;
        assert_eq!((item.outcome, item.request_id.unwrap().0.message_id()), (Outcome::Accepted, request));
    }

    // A submit's id becomes the request's, and there it is one: whoever comes second is refused,
    // in another queue at the same moment too.
    for (number, lane) in (342..).zip(["normal", "bulk", "normal", "bulk", "bulk", "normal", "bulk", "bulk"]) {
        let of_one = one.message(CommandType::RequestSubmit, &form(&home.office, number, stage.clock.now()));
        let mut body = form(&home.office, number + 100, stage.clock.now());
        body["lane"] = json!(lane);
        let mut of_two = two.message(CommandType::RequestSubmit, &body);
        of_two.message_id.clone_from(&of_one.message_id);
        let id: MessageId = of_one.message_id.parse()?;
        let (sent_one, sent_two) = tokio::join!(one.publish(&of_one), two.publish(&of_two));
        sent_one?;
        sent_two?;
        let (got_one, got_two) = (one.receipt_bytes(id).await?, two.receipt_bytes(id).await?);
        let refused = [&got_one, &got_two].map(|(item, _)| item.refusal.as_ref().map(|r| r.code.clone()));
        let reused = Some(RefusalCode::IdReused.as_str().to_owned());
        assert!(refused == [None, reused.clone()] || refused == [reused, None], "{refused:?}");
        let work = home.request(id).await?;
        assert_eq!(work.requester.office.0, if refused[0].is_none() { one.office.id } else { two.office.id });
        // Repeats of both.
        one.publish(&of_one).await?;
        two.publish(&of_two).await?;
        assert_eq!((one.receipt_bytes(id).await?.1, two.receipt_bytes(id).await?.1), (got_one.1, got_two.1));
    }
    assert_eq!(stage.world.number("select count(*) from parked").await?, 0);
    stage.close().await
}
