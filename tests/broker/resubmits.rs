//! A refused submit is made whole with what changes, and nothing else need be typed again.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use xacminh_contract::envelope::CommandType as T;
use xacminh_contract::ledger::Entry;
use xacminh_contract::receipt::{Item, Outcome};
use xacminh_domain::id::{MessageId, RequestId};
use xacminh_store::ledger;
use xacminh_testkit::OfficeMessage;

use crate::desk::{Desk, form, message_id};
use crate::stage::Stage;

/// A submit that is right but for some fields, refused: its id, its body, its receipt.
async fn refused(ward: &mut Desk, body: &Value) -> Result<(MessageId, Item)> {
    let item = ward.ask(T::RequestSubmit, body).await?;
    assert_eq!(item.outcome, Outcome::Refused);
    Ok((item.message_id.clone().context("no id")?.0, item))
}

fn changes(of: MessageId, changes: Value) -> Value {
    let mut body = changes;
    body["resubmits"] = json!(of.to_string());
    body
}

fn code_and_pointer(item: &Item) -> (String, String) {
    item.refusal.as_ref().map(|r| (r.code.clone(), r.pointer.clone())).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_home_is_mended_by_the_home_alone() -> Result<()> {
    let mut stage = Stage::new("resubmit_home", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let mut body = form(&home.office, 600, stage.clock.now());
    body["home"] = json!({ "name": "P. Ngọc Hà", "district": "Q. Ba Đình", "province": "Hà Nội" });
    body["note"] = json!("gọi sau 14 h");
    let (first, item) = refused(&mut ward, &body).await?;
    let picked = &item.refusal.context("refused")?.candidates[1];

    // With the words left in, the home would be named twice.
    let code = json!({ "code": picked.unit.to_string(), "as_of": "2026-11-19" });
    let (second, item) = refused(&mut ward, &changes(first, json!({ "home": code }))).await?;
    assert_eq!(code_and_pointer(&item), ("home_incomplete".into(), "/home/name".into()));

    // Changes of the changes: what was mended before need not be sent again.
    let only_code = json!({ "home": { "name": null, "district": null, "province": null } });
    let whole = ward.message(T::RequestSubmit, &changes(second, only_code));
    ward.publish(&whole).await?;
    let id: MessageId = whole.message_id.parse()?;
    let (item, bytes) = ward.receipt_bytes(id).await?;
    assert_eq!(item.outcome, Outcome::Accepted, "{:?}", item.refusal);
    assert_eq!(item.request_id.unwrap().0.message_id(), id, "the request's id is the new one");
    let responder = item.responder.unwrap().office;
    assert_eq!(responder, picked.office);

    // Everything else came along.
    let kept = ledger::events_of(&mut *stage.store.conn().await?, RequestId::of(id)).await?;
    assert_eq!(kept[0].body.resubmits.as_ref().map(|of| of.0), Some(second), "the ledger keeps which it resubmits");
    let Entry::Submitted { case_code, home, .. } = &kept[0].body.entry else { panic!("{kept:?}") };
    assert_eq!((case_code.as_str(), home), (body["case_code"].as_str().unwrap(), &picked.unit));
    stage.verify(id).await?;

    // The same bytes again: nothing happens, the first receipt.
    ward.publish(&whole).await?;
    assert_eq!(ward.receipt_bytes(id).await?.1, bytes);
    assert_eq!(stage.world.number("select count(*) from requests").await?, 1);
    // Another body under its id is another message, though the whole would be the same.
    let again = OfficeMessage { body: changes(second, json!({})).to_string().into_bytes(), ..whole };
    ward.publish(&again).await?;
    assert_eq!(code_and_pointer(&ward.receipt(id).await?).0, "id_reused");
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_home_office_gets_the_whole_as_it_was_typed() -> Result<()> {
    let mut stage = Stage::new("resubmit_whole", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let mut body = form(&home.office, 610, stage.clock.now());
    body["person"]["full_name"] = json!("Nguye\u{302}\u{303}n Thi\u{323} Thư\u{309} \u{110}\u{1ef9}");
    let right = body["person"]["person_no"].clone();
    body["person"]["person_no"] = json!("99919000123");
    body["person"]["origin"] = json!({ "country": "LA", "text": "Viêng Chăn (ວຽງຈັນ)" });
    let (first, _) = refused(&mut ward, &body).await?;
    // One field of an object within, one taken out, one added.
    let mended = json!({ "person": { "person_no": right, "origin": null }, "note": "x" });
    let item = ward.ask(T::RequestSubmit, &changes(first, mended)).await?;
    assert_eq!(item.outcome, Outcome::Accepted, "{:?}", item.refusal);
    let work = home.request(item.message_id.unwrap().0).await?;
    body["person"]["person_no"] = right;
    body["person"].as_object_mut().unwrap().remove("origin");
    assert_eq!(serde_json::to_value(&work.person)?, body["person"]);
    assert_eq!(
        (work.note.unwrap().0.as_str(), &work.case_code),
        ("x", &body["case_code"].as_str().unwrap().to_owned())
    );

    // Refused for its envelope alone: nothing changes but the key.
    let wrong = OfficeMessage {
        routing_key: "submit.bulk".into(),
        ..ward.message(T::RequestSubmit, &form(&home.office, 611, stage.clock.now()))
    };
    ward.publish(&wrong).await?;
    let first: MessageId = wrong.message_id.parse()?;
    assert_eq!(code_and_pointer(&ward.receipt(first).await?).0, "routing_key_wrong");
    let item = ward.ask(T::RequestSubmit, &changes(first, json!({}))).await?;
    assert_eq!(item.outcome, Outcome::Accepted, "{:?}", item.refusal);
    home.request(item.message_id.unwrap().0).await?;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_submit_and_its_changes_may_share_a_batch() -> Result<()> {
    let mut stage = Stage::new("resubmit_batch", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let mut body = form(&home.office, 620, stage.clock.now());
    body["person"]["birth"] = json!("2027");
    let first = ward.message(T::RequestSubmit, &body);
    let of = first.message_id.parse()?;
    let second = ward.message(T::RequestSubmit, &changes(of, json!({ "person": { "birth": "1956" } })));
    // An accepted one is no refused one, in the same batch too.
    let good = ward.message(T::RequestSubmit, &form(&home.office, 621, stage.clock.now()));
    let third = ward.message(T::RequestSubmit, &changes(good.message_id.parse()?, json!({ "note": "x" })));
    stage.stop().await?;
    ward.publish_all(&[first, second.clone(), good, third.clone()]).await?;
    stage.start().await?;
    assert_eq!(code_and_pointer(&ward.receipt(of).await?).0, "date_impossible");
    let item = ward.receipt(second.message_id.parse()?).await?;
    assert_eq!(item.outcome, Outcome::Accepted, "{:?}", item.refusal);
    home.request(item.message_id.unwrap().0).await?;
    let item = ward.receipt(third.message_id.parse()?).await?;
    assert_eq!(code_and_pointer(&item), ("resubmit_unknown".into(), "/resubmits".into()));
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_whole_what_is_not_his_or_was_not_refused() -> Result<()> {
    let mut stage = Stage::new("resubmit_foreign", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let mut bad = form(&home.office, 630, stage.clock.now());
    bad["person"]["person_no"] = json!("999");
    let (of_ward, _) = refused(&mut ward, &bad).await?;
    let mend = json!({ "person": { "person_no": null } });
    let item = home.ask(T::RequestSubmit, &changes(of_ward, mend.clone())).await?;
    assert_eq!(code_and_pointer(&item), ("resubmit_unknown".into(), "/resubmits".into()), "another office's");

    // Accepted, then its id used for another body: that refusal keeps another message's body.
    let accepted = ward.message(T::RequestSubmit, &form(&home.office, 631, stage.clock.now()));
    let id: MessageId = accepted.message_id.parse()?;
    ward.publish(&accepted).await?;
    ward.receipt(id).await?;
    ward.publish(&OfficeMessage { body: bad.to_string().into_bytes(), ..accepted }).await?;
    assert_eq!(code_and_pointer(&ward.receipt(id).await?).0, "id_reused");
    // Nor what was no submit, or was never sent.
    let withdrawal = ward.send(T::RequestWithdraw, &json!({ "request_id": "?", "reason": "mistake" })).await?;
    assert_eq!(code_and_pointer(&ward.receipt(withdrawal).await?).0, "field_invalid");
    for unknown in [id, withdrawal, message_id(stage.clock.now())] {
        let item = ward.ask(T::RequestSubmit, &changes(unknown, mend.clone())).await?;
        assert_eq!(code_and_pointer(&item), ("resubmit_unknown".into(), "/resubmits".into()));
    }
    // The ward's own goes through all the same, with the number gone: the address does.
    let item = ward.ask(T::RequestSubmit, &changes(of_ward, mend)).await?;
    assert_eq!(item.outcome, Outcome::Accepted, "{:?}", item.refusal);
    assert!(home.request(item.message_id.unwrap().0).await?.person.person_no.is_none());
    stage.close().await
}
