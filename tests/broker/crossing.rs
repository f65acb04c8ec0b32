//! W takes back while H answers.

use anyhow::{Context, Result};
use xacminh_contract::envelope::CommandType;
use xacminh_contract::notice::Topic;
use xacminh_contract::receipt::{Outcome, State};
use xacminh_contract::refusal::RefusalCode;

use crate::desk::{form, give, withdrawal};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_crossing_an_answer_ends_in_one_state_at_both_ends() -> Result<()> {
    let mut stage = Stage::new("crossing", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let mut requests = Vec::new();
    for number in 600..630 {
        requests.push(ward.submit(&home.office, number).await?);
    }
    for request in &requests {
        home.receive(*request).await?;
    }

    let mut crossed = Vec::new();
    for (turn, request) in requests.into_iter().enumerate() {
        let back = ward.message(CommandType::RequestWithdraw, &withdrawal(request));
        let answer = home.message(CommandType::AnswerGive, &give(request, "A05"));
        // At nearly the same time, now this one first, now that one.
        let (one, two) = if turn % 2 == 0 {
            tokio::join!(ward.publish(&back), home.publish(&answer))
        } else {
            let (two, one) = tokio::join!(home.publish(&answer), ward.publish(&back));
            (one, two)
        };
        one?;
        two?;
        crossed.push((request, back.message_id.parse()?, answer.message_id.parse()?));
    }

    for (request, back, answer) in crossed {
        let (to_ward, to_home) = (ward.receipt(back).await?, home.receipt(answer).await?);
        // Both ends are told the same end.
        assert_eq!((to_ward.state, to_ward.answered), (to_home.state, to_home.answered), "{request}");
        match (to_ward.outcome, to_home.outcome) {
            (Outcome::Accepted, Outcome::Refused) => {
                assert_eq!((to_ward.state, to_ward.answered), (Some(State::Withdrawn), None));
                assert_eq!(to_home.refusal.unwrap().code, RefusalCode::AlreadyWithdrawn.as_str());
                let line = home.notice(Topic::Withdrawn).await?;
                let told = line.request_id.context("which request?")?.0.message_id();
                assert_eq!(told, request, "in the order of their ends");
                stage.until_state(request, "withdrawn").await;
            }
            (Outcome::Refused, Outcome::Accepted) => {
                assert_eq!(to_home.state, Some(State::Answered));
                assert_eq!(to_ward.answered.map(|code| code.as_str()), Some("A05"));
                assert_eq!(to_ward.refusal.unwrap().code, RefusalCode::AlreadyAnswered.as_str());
                assert_eq!(ward.answer(request).await?.code.as_str(), "A05");
                stage.until_state(request, "answered").await;
            }
            both => panic!("{request}: {both:?}"),
        }
    }
    stage.until("select count(*) from outbox", 0).await;
    // Who lost hears of one end alone.
    assert!(ward.left().is_empty() && home.left().is_empty(), "{:?} {:?}", ward.left(), home.left());
    for id in stage.world.rows("select request_id from requests").await? {
        stage.verify(id.parse()?).await?;
    }
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_sent_after_its_submit_is_taken_after_it() -> Result<()> {
    let mut stage = Stage::new("order", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    // Both wait together and are taken in one batch.
    stage.stop().await?;
    let submit = ward.message(CommandType::RequestSubmit, &form(&home.office, 640, stage.clock.now()));
    let request = submit.message_id.parse()?;
    let back = ward.message(CommandType::RequestWithdraw, &withdrawal(request));
    ward.publish(&submit).await?;
    ward.publish(&back).await?;
    stage.start().await?;
    assert_eq!(ward.receipt(request).await?.outcome, Outcome::Accepted);
    let item = ward.receipt(back.message_id.parse()?).await?;
    assert_eq!((item.outcome, item.state), (Outcome::Accepted, Some(State::Withdrawn)));
    // The work need not come any more; the notice does, for nobody can know whether it left before.
    home.notice(Topic::Withdrawn).await?;
    let item = home.ask(CommandType::AnswerGive, &give(request, "A01")).await?;
    assert_eq!(item.refusal.unwrap().code, RefusalCode::AlreadyWithdrawn.as_str());
    assert_eq!(stage.world.number("select count(*) from timers").await?, 0);
    stage.close().await
}
