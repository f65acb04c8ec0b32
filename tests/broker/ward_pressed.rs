//! The ward is pressed too: for an answer that nobody reads, and for a file that is late although
//! its answer is there. The end of the file, once told, ends both.

use anyhow::Result;
use xacminh_contract::envelope::CommandType;
use xacminh_contract::notice::{For, Topic};
use xacminh_contract::receipt::{Outcome, State, Warning};
use xacminh_contract::refusal::RefusalCode;
use xacminh_domain::id::MessageId;

use crate::desk::{Desk, about, closing, give, withdrawal};
use crate::stage::{Stage, at};

/// A request that was answered on Thursday the 19th, its answer confirmed into W's inbox.
async fn answered(stage: &Stage, ward: &mut Desk, home: &mut Desk, person: u32) -> Result<MessageId> {
    let request = ward.submit(&home.office, person).await?;
    home.receive(request).await?;
    home.ask(CommandType::AnswerGive, &give(request, "A01")).await?;
    ward.answer(request).await?;
    stage
        .until(
            &format!("select count(*) from requests where request_id = '{request}' and answer_sent_at is not null"),
            1,
        )
        .await;
    Ok(request)
}

async fn fired(stage: &Stage, request: MessageId) -> Result<Vec<(String, i16)>> {
    Ok(stage.rungs(request).await?.into_iter().map(|r| (r.trigger, r.rung)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_answer_reminds_the_ward_then_its_head_and_is_charged_at_the_file_due() -> Result<()> {
    let mut stage = Stage::new("unread", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = answered(&stage, &mut ward, &mut home, 1).await?;
    let is_read = answered(&stage, &mut ward, &mut home, 2).await?;
    ward.send(CommandType::AnswerRead, &about(is_read)).await?;
    stage.until_state(is_read, "read").await;

    // A working day after Thursday ends with Friday, the next with Monday.
    stage.clock.set(at("2026-11-21T00:00") - jiff::SignedDuration::from_micros(1));
    assert_eq!(stage.timer(request).await?, Some(at("2026-11-21T00:00")));
    assert_eq!(stage.world.number("select count(*) from rungs").await?, 0);
    stage.set("2026-11-21T00:00");
    stage.until("select count(*) from rungs", 1).await;
    stage.set("2026-11-23T08:00");
    let line = ward.notice(Topic::AnswerUnread).await?;
    assert_eq!((line.for_whom, line.request_id.unwrap().0.message_id()), (For::Deputy, request));
    assert!(line.sentence.contains("19/11/2026"), "{}", line.sentence);

    stage.set("2026-11-24T00:00");
    stage.until("select count(*) from rungs", 2).await;
    // The file is due on Wednesday the 25th; the notices leave with the morning of the 26th.
    stage.set("2026-11-25T08:00");
    assert_eq!(ward.notice(Topic::AnswerUnread).await?.for_whom, For::Head);
    stage.set("2026-11-26T00:00");
    stage.until("select count(*) from rungs", 3).await;
    stage.set("2026-11-26T08:00");
    let line = ward.notice(Topic::FileOverdueAnswered).await?;
    assert_eq!((line.for_whom, line.due_on.unwrap().0.to_string().as_str()), (For::Head, "2026-11-25"));
    let rungs = [("answer_unread", 0), ("answer_unread", 1), ("file_due_answered", 0)];
    assert_eq!(fired(&stage, request).await?, rungs.map(|(trigger, rung)| (trigger.to_owned(), rung)));
    for rung in stage.rungs(request).await? {
        assert_eq!(rung.target, Some(ward.office.id), "{rung:?}");
    }
    assert_eq!(stage.timer(request).await?, None, "nothing is left to fire");

    ward.send(CommandType::AnswerRead, &about(request)).await?;
    stage.until_state(request, "read").await;
    stage.until("select count(*) from timers", 0).await;
    assert_eq!(fired(&stage, is_read).await?, []);
    stage.verify(request).await?;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_before_the_morning_is_not_reminded() -> Result<()> {
    let mut stage = Stage::new("read_late", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = answered(&stage, &mut ward, &mut home, 1).await?;
    stage.set("2026-11-21T00:00");
    stage.until("select count(*) from rungs", 1).await;
    ward.send(CommandType::AnswerRead, &about(request)).await?;
    stage.until_state(request, "read").await;
    stage.set("2026-11-23T08:00");
    stage.until("select count(*) from notice_lines", 0).await;
    // What left for W would be there before the receipt of this.
    ward.submit(&home.office, 2).await?;
    assert!(ward.left().is_empty(), "{:?}", ward.left());
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_file_takes_its_request_back() -> Result<()> {
    let mut stage = Stage::new("ct06", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = ward.submit(&home.office, 1).await?;
    home.receive(request).await?;
    let item = ward.ask(CommandType::FileClose, &closing(request, "ct06", "2026-11-19")).await?;
    assert_eq!((item.outcome, item.state, item.warnings), (Outcome::Accepted, Some(State::Withdrawn), vec![]));
    assert_eq!(home.notice(Topic::Withdrawn).await?.request_id.unwrap().0.message_id(), request);
    let item = home.ask(CommandType::AnswerGive, &give(request, "A01")).await?;
    assert_eq!(item.refusal.unwrap().code, RefusalCode::AlreadyWithdrawn.as_str());
    // The same again under a new id changes nothing; another end of the file is refused.
    let item = ward.ask(CommandType::FileClose, &closing(request, "ct06", "2026-11-19")).await?;
    assert_eq!((item.outcome, item.warnings), (Outcome::Accepted, vec![Warning::AlreadyDone]));
    let item = ward.ask(CommandType::FileClose, &closing(request, "ct08", "2026-11-19")).await?;
    assert_eq!(item.refusal.unwrap().code, RefusalCode::AlreadyClosed.as_str());
    stage.until("select count(*) from timers", 0).await;
    stage.verify(request).await?;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_without_an_answer_ends_the_file_clock_and_not_the_home_offices_duty() -> Result<()> {
    let mut stage = Stage::new("ct08", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = ward.submit(&home.office, 1).await?;
    home.receive(request).await?;
    stage.until_state(request, "delivered").await;
    let item = ward.ask(CommandType::FileClose, &closing(request, "ct08", "2026-11-19")).await?;
    assert_eq!((item.state, item.warnings), (Some(State::Delivered), vec![Warning::ClosedUnanswered]));

    stage.set("2026-11-26T09:00");
    stage.until("select count(*) from rungs where trigger = 'answer_due'", 2).await;
    assert_eq!(stage.world.number("select count(*) from rungs where trigger like 'file%'").await?, 0);
    // The answer still comes to W; nobody is pressed about a file that has ended.
    home.ask(CommandType::AnswerGive, &give(request, "A01")).await?;
    assert!(ward.answer(request).await?.late);
    stage.until("select count(*) from requests where answer_sent_at is not null", 1).await;
    ward.send(CommandType::AnswerRead, &about(request)).await?;
    stage.until("select count(*) from timers", 0).await;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_a_file_with_the_answer_in_hand_has_read_it() -> Result<()> {
    let mut stage = Stage::new("ct08_read", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = answered(&stage, &mut ward, &mut home, 1).await?;
    for (on, day) in [("in the future", "2026-11-20"), ("before the receipt", "2026-11-18")] {
        let item = ward.ask(CommandType::FileClose, &closing(request, "ct08", day)).await?;
        let refusal = item.refusal.unwrap();
        assert_eq!((refusal.code.as_str(), refusal.pointer.as_str()), ("date_impossible", "/closed_on"), "{on}");
    }
    let item = home.ask(CommandType::FileClose, &closing(request, "ct08", "2026-11-19")).await?;
    assert_eq!(item.refusal.unwrap().code, RefusalCode::NotYourRequest.as_str());
    let item = ward.ask(CommandType::FileClose, &closing(request, "ct08", "2026-11-19")).await?;
    assert_eq!((item.outcome, item.state), (Outcome::Accepted, Some(State::Read)));
    stage.until("select count(*) from timers", 0).await;
    // Submitted, sent, delivered, clock, opened, answered, answer sent, read, file closed.
    assert_eq!(stage.verify(request).await?, 9);
    let columns = "select concat_ws(' ', state, file_form, file_closed_on) from requests";
    assert_eq!(stage.world.rows(columns).await?, ["read ct08 2026-11-19"]);
    let item = ward.ask(CommandType::RequestWithdraw, &withdrawal(request)).await?;
    assert_eq!(item.refusal.unwrap().code, RefusalCode::AlreadyAnswered.as_str());
    stage.close().await
}
