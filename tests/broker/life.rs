//! A request travels, and its answer comes back.

use anyhow::Result;
use serde_json::json;
use xacminh_contract::envelope::CommandType;
use xacminh_contract::receipt::{Outcome, State, Warning};
use xacminh_contract::request::Lookup;

use crate::desk::{about, form, give};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_travels_and_comes_back() -> Result<()> {
    let mut stage = Stage::new("life", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;

    let form = form(&home.office, 1, stage.clock.now());
    let item = ward.ask(CommandType::RequestSubmit, &form).await?;
    assert_eq!((item.outcome, item.state), (Outcome::Accepted, Some(State::Submitted)));
    let request = item.message_id.clone().unwrap().0;
    assert_eq!(item.request_id.unwrap().0.message_id(), request, "the submit's id is the request's");
    let card = item.responder.unwrap();
    assert_eq!(
        (card.office.0, card.name, card.phone),
        (home.office.id, home.office.name.clone(), home.office.phone.clone())
    );
    assert_eq!(item.file_due_on.unwrap().0.to_string(), "2026-11-25", "three working days, of which Tuesday is none");

    let work = home.request(request).await?;
    assert_eq!(serde_json::to_value(&work.person)?, form["person"]);
    assert_eq!((work.requester.office.0, &work.requester.phone), (ward.office.id, &ward.office.phone));
    stage.until_state(request, "sent").await;
    home.send(CommandType::RequestReceived, &about(request)).await?;
    stage.until_state(request, "delivered").await;
    home.send(CommandType::RequestOpened, &json!({ "request_id": request.to_string(), "handler": "cb-017" })).await?;
    stage.until_state(request, "opened").await;
    stage.set("2026-11-20T09:30");
    let item = home.ask(CommandType::AnswerGive, &give(request, "A01")).await?;
    assert_eq!((item.outcome, item.state, item.late), (Outcome::Accepted, Some(State::Answered), false));

    let answer = ward.answer(request).await?;
    assert_eq!((answer.code.as_str(), answer.late), ("A01", false));
    assert_eq!(answer.responder.office.0, home.office.id);
    let said = &answer.sentence;
    assert_eq!((&said.office, &said.phone), (&ward.office.name, &ward.office.phone));
    for part in [&home.office.name, &ward.office.name, &ward.office.phone] {
        assert!(said.text.contains(part.as_str()), "{part} is not in: {}", said.text);
    }
    assert!(said.text.contains("25/11/2026"), "the appointment is told: {}", said.text);
    assert_eq!(said.text_version, "2026-11.1");

    ward.send(CommandType::AnswerRead, &about(request)).await?;
    stage.until_state(request, "read").await;
    // Submitted, sent, delivered, clock started, opened, answered, answer sent, read.
    stage.until("select count(*) from events", 8).await;
    assert_eq!(stage.verify(request).await?, 8);
    stage.until("select count(*) from outbox", 0).await;
    assert_eq!(stage.world.number("select count(*) from timers").await?, 0, "nothing is awaited any more");
    assert_eq!(stage.world.number("select (select count(*) from refused) + (select count(*) from parked)").await?, 0);
    assert!(ward.left().is_empty() && home.left().is_empty(), "{:?} {:?}", ward.left(), home.left());
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_prefix_foreign_origin_and_rare_diacritics_arrive_byte_equal_and_flagged() -> Result<()> {
    let mut stage = Stage::new("odd", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let flagged =
        [Warning::IdUnknownPrefix, Warning::IdDisagreesBirth, Warning::OriginAbroad, Warning::NameRareLetters];

    // Two marks on a letter, composed and decomposed; letters of other alphabets; an apostrophe.
    for (name, rare) in [
        ("Y Wăn Êban Čư Thử", true),
        ("Nguye\u{302}\u{303}n Thi\u{323} Thư\u{309}", false),
        ("Nguyễn Thị Thử", false),
        ("H'Ưởng Thử \u{110}\u{1ef9}", false),
    ] {
        let mut form = form(&home.office, 2, stage.clock.now());
        form["person"] = json!({
            "full_name": name, "birth": "1956", "person_no": "998 290.001234", "address": "ấp  Bình Đức\t số 7/2 \"cũ\"",
            "origin": { "country": "LA", "text": "Viêng Chăn (ວຽງຈັນ)" },
        });
        form["note"] = json!("Cửa sổ số 2 — gọi lại sau 14 h ☎");
        let item = ward.ask(CommandType::RequestSubmit, &form).await?;
        assert_eq!(item.outcome, Outcome::Accepted, "{:?}", item.refusal);
        let work = home.request(item.message_id.unwrap().0).await?;
        assert_eq!(work.person.full_name.0.as_bytes(), name.as_bytes());
        assert_eq!(serde_json::to_value(&work.person)?, form["person"]);
        assert_eq!(serde_json::to_value(&work.note)?, form["note"]);
        for warning in flagged {
            let expected = rare || warning != Warning::NameRareLetters;
            assert_eq!(item.warnings.contains(&warning), expected, "{warning:?} of {name} in the receipt");
            assert_eq!(work.warnings.contains(&warning), expected, "{warning:?} of {name} at the home office");
        }
    }
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_code_with_what_it_demands_is_delivered() -> Result<()> {
    let mut stage = Stage::new("codes", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    for (number, code) in (10..).zip(["A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A09"]) {
        let request = ward.submit(&home.office, number).await?;
        home.receive(request).await?;
        let given = give(request, code);
        let item = home.ask(CommandType::AnswerGive, &given).await?;
        assert_eq!(
            (item.outcome, item.state),
            (Outcome::Accepted, Some(State::Answered)),
            "{code}: {:?}",
            item.refusal
        );
        assert_eq!(item.answered.map(|c| c.as_str()), Some(code));

        let answer = serde_json::to_value(ward.answer(request).await?)?;
        for name in ["code", "fields", "basis", "cause", "dwelling_status", "moved_to"] {
            assert_eq!(answer.get(name), given.get(name), "{name} of {code}");
        }
        for kept in ["answered_by", "approved_by"] {
            assert!(answer.get(kept).is_none(), "{kept} of {code} stays at the broker");
        }
        let text = answer["sentence"]["text"].as_str().unwrap();
        assert!(text.contains(&ward.office.phone) && !text.contains(['{', '}']), "{code}: {text}");
        assert_eq!(text.contains("ngày sinh"), ["A02", "A03", "A09"].contains(&code), "{code} names its field: {text}");
    }
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_lookup_is_accepted_and_flagged() -> Result<()> {
    let mut stage = Stage::new("pending", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let mut pending = form(&home.office, 30, stage.clock.now());
    pending["lookup"] = json!("pending");
    let item = ward.ask(CommandType::RequestSubmit, &pending).await?;
    assert_eq!(item.outcome, Outcome::Accepted);
    assert!(item.warnings.contains(&Warning::LookupPending), "{:?}", item.warnings);
    let request = item.message_id.unwrap().0;
    let work = home.request(request).await?;
    assert_eq!(work.lookup, Lookup::Pending);
    assert!(work.warnings.contains(&Warning::LookupPending), "{:?}", work.warnings);

    let looked_up = ward.submit(&home.office, 31).await?;
    assert_eq!(home.request(looked_up).await?.lookup, Lookup::Done);
    let flagged = stage.world.rows("select request_id from requests where lookup_pending").await?;
    assert_eq!(flagged, [request.to_string()], "counted apart");
    stage.close().await
}
