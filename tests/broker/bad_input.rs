//! What cannot be right is refused with a reason, and stops nobody.

use anyhow::{Context, Result};
use serde_json::json;
use xacminh_contract::envelope::CommandType;
use xacminh_contract::refusal::RefusalCode;
use xacminh_testkit::OfficeMessage;

use crate::desk::{form, give, withdrawal};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn the_loser_is_told_how_it_ended_and_a_stranger_is_told_nothing() -> Result<()> {
    let mut stage = Stage::new("told", "2026-11-19T08:00").await?;
    let offices = stage.grant(3).await?;
    let (mut ward, mut home) = (stage.desk(&offices[0]).await?, stage.desk(&offices[1]).await?);
    let mut stranger = stage.desk(&offices[2]).await?;
    let request = ward.submit(&home.office, 110).await?;
    home.ask(CommandType::AnswerGive, &give(request, "A05")).await?;

    let item = ward.ask(CommandType::RequestWithdraw, &withdrawal(request)).await?;
    assert_eq!(item.refusal.unwrap().code, RefusalCode::AlreadyAnswered.as_str());
    assert_eq!((item.state.unwrap().as_str(), item.answered.unwrap().as_str()), ("answered", "A05"));
    let item = stranger.ask(CommandType::RequestWithdraw, &withdrawal(request)).await?;
    assert_eq!(item.refusal.unwrap().code, RefusalCode::NotYourRequest.as_str());
    assert_eq!((item.state, item.answered), (None, None));
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_home_comes_back_with_candidates_that_can_be_picked() -> Result<()> {
    let mut stage = Stage::new("candidates", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let mut body = form(&home.office, 120, stage.clock.now());
    body["home"] = json!({ "name": "P. Ngọc Hà", "district": "Q. Ba Đình", "province": "Hà Nội" });
    let item = ward.ask(CommandType::RequestSubmit, &body).await?;
    let candidates = item.refusal.unwrap().candidates;
    assert!(candidates.len() > 1, "{candidates:?}");
    let picked = &candidates[1];
    body["home"] = json!({ "code": picked.unit.to_string(), "as_of": "2026-11-19" });
    let item = ward.ask(CommandType::RequestSubmit, &body).await?;
    assert_eq!(item.responder.unwrap().office, picked.office);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_a_sender_is_parked_and_the_queue_moves_on() -> Result<()> {
    let mut stage = Stage::new("parked", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let body = form(&home.office, 130, stage.clock.now());
    // On every queue, readable or not.
    for (key, body) in [
        ("submit.normal", body.to_string().into_bytes()),
        ("submit.bulk", b"\x00\x01".to_vec()),
        ("answer.give", b"{".to_vec()),
        ("no.such.key", Vec::new()),
    ] {
        let of = ward.message(CommandType::RequestSubmit, &json!({}));
        ward.publish(&OfficeMessage { user_id: None, routing_key: key.into(), body, ..of }).await?;
    }
    stage.until("select count(*) from parked", 4).await;
    let parked = stage
        .world
        .rows("select concat_ws(' ', queue, reason, routing_key, bytes > 0) from parked order by queue")
        .await?;
    assert_eq!(
        parked,
        [
            "xacminh.work.answering no_sender answer.give t",
            "xacminh.work.bulk no_sender submit.bulk t",
            "xacminh.work.intake no_sender submit.normal t",
            "xacminh.work.unrouted no_sender no.such.key f",
        ]
    );
    ward.submit(&home.office, 131).await?;
    assert_eq!(stage.world.number("select count(*) from requests").await?, 1, "only the one with a sender");
    assert!(ward.left().is_empty(), "nobody is answered whom nobody knows: {:?}", ward.left());
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routing_key_nobody_knows_is_refused_with_those_that_would_do() -> Result<()> {
    let mut stage = Stage::new("unrouted", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let body = form(&home.office, 140, stage.clock.now());
    for (key, pointer) in [("submit.express", ""), ("", ""), ("submit.bulk", "/lane")] {
        let message = OfficeMessage { routing_key: key.into(), ..ward.message(CommandType::RequestSubmit, &body) };
        ward.publish(&message).await?;
        let refusal = ward.receipt(message.message_id.parse()?).await?.refusal.context(key)?;
        assert_eq!((refusal.code.as_str(), refusal.pointer.as_str()), ("routing_key_wrong", pointer), "{key:?}");
        assert!(refusal.detail.unwrap().contains("submit.normal"), "{key:?}");
    }
    ward.submit(&home.office, 141).await?;
    stage.close().await
}
