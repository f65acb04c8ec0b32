//! What cannot be right is refused with a reason, and stops nobody.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use xacminh_contract::envelope::CommandType;
use xacminh_contract::receipt::{Item, Outcome};
use xacminh_contract::refusal::RefusalCode;
use xacminh_domain::id::MessageId;
use xacminh_testkit::OfficeMessage;

use crate::desk::{Desk, about, closing, form, give, message_id, withdrawal};
use crate::stage::{Stage, at};

/// Who sends it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Ward,
    Home,
}

/// A message that must be refused, and where the refusal must point.
struct Bad {
    by: Who,
    message: OfficeMessage,
    pointer: &'static str,
}

/// Requests that stand where cases need them.
struct Standing {
    open: MessageId,
    answered: MessageId,
    withdrawn: MessageId,
    closed: MessageId,
}

/// The case of a code. A code without one does not compile.
fn case(code: RefusalCode, ward: &Desk, home: &Desk, standing: &Standing) -> Bad {
    use CommandType as T;
    let now = at("2026-11-19T08:00");
    let good = || form(&home.office, 500, now);
    let by_ward = |message, pointer| Bad { by: Who::Ward, message, pointer };
    let by_home = |message, pointer| Bad { by: Who::Home, message, pointer };
    // A submit with a field changed; `null` takes it out.
    let submit = |pointer: &str, value: Value| {
        let mut body = good();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = body.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
        if value.is_null() {
            parent.remove(name)
        } else {
            parent.insert(name.to_owned(), value)
        };
        ward.message(T::RequestSubmit, &body)
    };
    let answer = |of: MessageId, code: &str, without: &str| {
        let mut body = give(of, code);
        body.as_object_mut().expect("an object").remove(without);
        home.message(T::AnswerGive, &body)
    };
    let right = || ward.message(T::RequestSubmit, &good());
    match code {
        RefusalCode::BodyUnreadable => by_ward(OfficeMessage { body: b"\xff\xfe{\"kind\":".to_vec(), ..right() }, ""),
        RefusalCode::BodyTooLarge => by_ward(submit("/note", json!("x".repeat(64 * 1024))), ""),
        RefusalCode::TypeUnknown => {
            by_ward(OfficeMessage { message_type: "xacminh.request.forward.v1".into(), ..right() }, "")
        }
        RefusalCode::VersionUnknown => {
            by_ward(OfficeMessage { message_type: "xacminh.request.submit.v2".into(), ..right() }, "")
        }
        RefusalCode::RoutingKeyWrong => by_ward(OfficeMessage { routing_key: "withdraw.normal".into(), ..right() }, ""),
        RefusalCode::MessageIdMalformed => {
            by_ward(OfficeMessage { message_id: "TT-2026-000500".into(), ..right() }, "")
        }
        RefusalCode::IdTimeOutOfRange => {
            by_ward(OfficeMessage { message_id: message_id(at("2026-08-20T08:00")).to_string(), ..right() }, "")
        }
        RefusalCode::IdTooOld => {
            by_ward(OfficeMessage { message_id: message_id(at("2025-09-19T08:00")).to_string(), ..right() }, "")
        }
        RefusalCode::IdReused => by_ward(OfficeMessage { message_id: standing.open.to_string(), ..right() }, ""),
        RefusalCode::FieldMissing => by_ward(submit("/person/full_name", Value::Null), "/person/full_name"),
        RefusalCode::FieldUnknown => by_ward(submit("/person/religion", json!("không")), "/person/religion"),
        RefusalCode::FieldInvalid => by_ward(submit("/kind", json!("marriage")), "/kind"),
        RefusalCode::DateImpossible => by_ward(submit("/received_on", json!("2026-02-30")), "/received_on"),
        RefusalCode::IdMalformed => by_ward(submit("/person/person_no", json!("99919000123")), "/person/person_no"),
        RefusalCode::AddressRequired => {
            let person = json!({ "full_name": "Nguyễn Thị Thử", "birth": "1990-02-03" });
            by_ward(submit("/person", person), "/person/address")
        }
        RefusalCode::HomeIncomplete => by_ward(submit("/home/as_of", Value::Null), "/home/as_of"),
        RefusalCode::HomeAmbiguous => {
            // Divided in 2025, among others to today's ward of the same name.
            let old = json!({ "name": "Phường Ngọc Hà", "district": "Quận Ba Đình", "province": "Hà Nội" });
            by_ward(submit("/home", old), "/home")
        }
        RefusalCode::HomeUnknown => by_ward(submit("/home", json!({ "name": "Xã Không Có Thật" })), "/home"),
        RefusalCode::HomeIsOwn => by_ward(ward.message(T::RequestSubmit, &form(&ward.office, 501, now)), "/home"),
        RefusalCode::LaneReasonRequired => by_ward(submit("/lane", json!("urgent")), "/lane_reason"),
        RefusalCode::ExemptUnder6 => by_ward(submit("/person/birth", json!("2020-11-20")), "/person/birth"),
        RefusalCode::RequestUnknown => {
            by_ward(ward.message(T::RequestWithdraw, &withdrawal(message_id(now))), "/request_id")
        }
        RefusalCode::NotYourRequest => {
            by_home(home.message(T::RequestWithdraw, &withdrawal(standing.open)), "/request_id")
        }
        RefusalCode::AlreadyAnswered => by_home(answer(standing.answered, "A08", ""), "/request_id"),
        RefusalCode::AlreadyWithdrawn => by_home(answer(standing.withdrawn, "A01", ""), "/request_id"),
        RefusalCode::AlreadyClosed => {
            by_ward(ward.message(T::FileClose, &closing(standing.closed, "ct06", "2026-11-19")), "/request_id")
        }
        RefusalCode::NotYetAnswered => by_ward(ward.message(T::AnswerRead, &about(standing.open)), "/request_id"),
        RefusalCode::ApprovalRequired => by_home(answer(standing.open, "A04", "approved_by"), "/approved_by"),
        RefusalCode::CauseRequired => by_home(answer(standing.open, "A09", "cause"), "/cause"),
        RefusalCode::BasisRequired => by_home(answer(standing.open, "A02", "basis"), "/basis"),
        RefusalCode::FieldsRequired => by_home(answer(standing.open, "A03", "fields"), "/fields"),
        RefusalCode::FieldTwice => {
            let mut body = give(standing.open, "A03");
            body["fields"] = json!([{ "field": "birth", "result": "ok" }, { "field": "birth", "result": "differs" }]);
            by_home(home.message(T::AnswerGive, &body), "/fields")
        }
        RefusalCode::BulkOnlyA01 => {
            let mut body = give(standing.open, "A08");
            body["bulk"] = json!(true);
            by_home(home.message(T::AnswerGive, &body), "/bulk")
        }
    }
}

/// The receipt of a message that was just sent.
async fn receipt_of(desk: &mut Desk, message: &OfficeMessage) -> Result<Item> {
    match message.message_id.parse() {
        Ok(id) => desk.receipt(id).await,
        Err(_) => desk.receipt_without_id().await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_goes_back_is_kept_and_stops_nobody() -> Result<()> {
    let mut stage = Stage::new("refusals", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let standing = Standing {
        open: ward.submit(&home.office, 100).await?,
        answered: ward.submit(&home.office, 101).await?,
        withdrawn: ward.submit(&home.office, 102).await?,
        closed: ward.submit(&home.office, 103).await?,
    };
    ward.ask(CommandType::FileClose, &closing(standing.closed, "ct08", "2026-11-19")).await?;
    home.ask(CommandType::AnswerGive, &give(standing.answered, "A01")).await?;
    ward.ask(CommandType::RequestWithdraw, &withdrawal(standing.withdrawn)).await?;

    for (number, code) in (200..).zip(RefusalCode::ALL) {
        let word = code.as_str();
        let bad = case(*code, &ward, &home, &standing);
        let sender = if bad.by == Who::Ward { &mut ward } else { &mut home };
        sender.publish(&bad.message).await?;
        let item = receipt_of(sender, &bad.message).await.with_context(|| word)?;
        assert_eq!(item.outcome, Outcome::Refused, "{word}");
        let refusal = item.refusal.with_context(|| word)?;
        assert_eq!((refusal.code.as_str(), refusal.pointer.as_str()), (word, bad.pointer));
        assert_eq!(refusal.sentence, code.sentence(), "{word}");
        assert_eq!(refusal.sentence_en, code.sentence_en(), "{word}");
        assert_eq!(!refusal.candidates.is_empty(), *code == RefusalCode::HomeAmbiguous, "{word}");
        let kept = format!(
            "select count(*) from refused where code = '{word}' and pointer = '{}' and sender = '{}'",
            bad.pointer, sender.office.id
        );
        assert_eq!(stage.world.number(kept).await?, 1, "{word} is kept");

        // The next one on the same queue gets through.
        if ["submit", "withdraw", "close"].iter().any(|key| bad.message.routing_key.starts_with(key)) {
            ward.submit(&home.office, number).await.with_context(|| format!("after {word}"))?;
        } else {
            let repeat = home.ask(CommandType::AnswerGive, &give(standing.answered, "A01")).await?;
            assert_eq!(repeat.outcome, Outcome::Accepted, "after {word}");
        }
    }
    let codes = RefusalCode::ALL.len();
    assert_eq!(stage.world.number("select count(*) from refused").await?, i64::try_from(codes)?);
    assert_eq!(stage.world.number("select count(*) from parked").await?, 0);
    assert_eq!(stage.verify(standing.open).await?, 2, "submitted and sent: the refusals left no trace on it");
    stage.close().await
}

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
