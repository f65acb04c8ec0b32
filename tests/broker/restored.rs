//! After a restore from a backup: every office is told, what was on its way leaves again, and nobody
//! is shut out for being faster than another.

use anyhow::{Context, Result};
use xacminh_contract::envelope::CommandType;
use xacminh_contract::notice::Topic;
use xacminh_contract::receipt::{Item, Outcome};
use xacminh_domain::id::MessageId;
use xacminh_services::restoring;
use xacminh_testkit::OfficeMessage;

use crate::desk::{Desk, about, form, give};
use crate::stage::Stage;

async fn say(desk: &mut Desk, message: &OfficeMessage) -> Result<Item> {
    desk.publish(message).await?;
    desk.receipt(message.message_id.parse()?).await
}

fn code(item: &Item) -> Option<&str> {
    item.refusal.as_ref().map(|refusal| refusal.code.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_is_taken_again_in_whichever_order_it_comes() -> Result<()> {
    let mut stage = Stage::new("restored", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    // The store knows one request, which nobody has confirmed; of the other it has forgotten all.
    let known = ward.submit(&home.office, 1).await?;
    let work = home.take_work().await?;
    stage.until_state(known, "sent").await;
    let lost = ward.message(CommandType::RequestSubmit, &form(&home.office, 2, stage.clock.now()));
    let lost_id: MessageId = lost.message_id.parse()?;
    let answer = home.message(CommandType::AnswerGive, &give(lost_id, "A01"));
    let read = ward.message(CommandType::AnswerRead, &about(lost_id));

    stage.set("2026-11-19T08:10");
    let (renewed, told) = restoring::begin_anew(&stage.core().await?).await?;
    assert_eq!((renewed.again, told), (1, 2));
    assert_eq!(home.take_work().await?, work, "the same id, the same bytes, though the inbox has a reader");
    for desk in [&mut ward, &mut home] {
        let line = desk.notice(Topic::Restored).await?;
        assert!(line.sentence.contains("khôi phục"), "{}", line.sentence);
    }

    // The home office is faster than the ward, and again, and is heard in the end.
    for _ in 0..2 {
        let item = say(&mut home, &answer).await?;
        assert_eq!((item.outcome, code(&item)), (Outcome::Refused, Some("request_unknown")));
    }
    assert_eq!(code(&say(&mut ward, &read).await?), Some("request_unknown"));
    assert_eq!(say(&mut ward, &lost).await?.outcome, Outcome::Accepted);
    assert_eq!(home.request(lost_id).await?.request_id.0.message_id(), lost_id);
    assert_eq!(code(&say(&mut ward, &read).await?), Some("not_yet_answered"));
    let item = say(&mut home, &answer).await?;
    assert_eq!((item.outcome, item.answered.map(|c| c.as_str())), (Outcome::Accepted, Some("A01")));
    assert_eq!(say(&mut home, &answer).await?, item, "and from now on a repeat is a repeat");
    assert_eq!(ward.answer(lost_id).await?.code.as_str(), "A01");
    ward.publish(&read).await?;
    stage.until_state(lost_id, "read").await;
    stage.until("select count(*) from outages where what = 'restore'", 0).await;

    // What was made in this life cannot have been lost with another: its refusal stands.
    stage.set("2026-11-20T09:00");
    let new = ward.message(CommandType::RequestSubmit, &form(&home.office, 3, stage.clock.now()));
    let hasty = home.message(CommandType::AnswerGive, &give(new.message_id.parse()?, "A01"));
    let refused = say(&mut home, &hasty).await?;
    assert_eq!(code(&refused), Some("request_unknown"));
    assert_eq!(say(&mut ward, &new).await?.outcome, Outcome::Accepted);
    assert_eq!(say(&mut home, &hasty).await?, refused);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_that_a_restore_lost_is_an_outage_and_every_message_carries_the_new_epoch() -> Result<()> {
    let mut stage = Stage::new("epochs", "2026-11-19T08:00").await?;
    let offices = stage.grant(2).await?;
    let (mut ward, mut home) = (stage.desk(&offices[0]).await?, stage.client(&offices[1]).await?);
    let core = stage.core().await?;
    // As a process notes it every ten seconds.
    xacminh_store::epoch::alive(&mut *stage.store.conn().await?, stage.clock.now()).await?;
    let request = ward.submit(&offices[1], 1).await?;
    let epoch = |delivery: &xacminh_testkit::Delivery| xacminh_testkit::header(delivery, "xm-epoch");
    let first = home.next().await?;
    home.ack(&first).await?;
    // It may be in the inbox before the store knows.
    stage.until_state(request, "sent").await;

    stage.set("2026-11-19T08:30");
    let (renewed, _) = restoring::begin_anew(&core).await?;
    assert_eq!(renewed.lost_from, Some(crate::stage::at("2026-11-19T08:00")));
    let question = "select count(*) from outages where what = 'restore'
         and from_at = '2026-11-19T08:00+07' and to_at = '2026-11-19T08:30+07'";
    assert_eq!(stage.world.number(question).await?, 1);
    for _ in 0..2 {
        let delivery = home.next().await?;
        home.ack(&delivery).await?;
        assert_eq!(epoch(&delivery), Some(renewed.id.to_string()), "work again, and the notice");
    }
    let before = epoch(&first).context("no epoch")?;
    assert_ne!(before, renewed.id.to_string());
    stage.close().await
}
