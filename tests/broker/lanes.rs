//! A flood in the bulk lane and a single urgent file.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use serde_json::json;
use xacminh_contract::envelope::{CommandType, NOTICE};
use xacminh_domain::id::{MessageId, OfficeId};
use xacminh_store::outbox::{self, Letter};

use crate::desk::{Heard, about, form, message_id, withdrawal};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_bulk_requests_let_an_urgent_one_pass() -> Result<()> {
    const BULK: u32 = 10_000;
    let mut stage = Stage::new("lanes", "2026-11-19T08:00").await?;
    let offices = stage.grant(42).await?;
    let mut flooding = stage.desk(&offices[0]).await?;
    let mut ward = stage.desk(&offices[1]).await?;
    let mut home = stage.desk(&offices[2]).await?;
    // It reads before the flood, as an office's system does.
    let before = ward.submit(&home.office, 1).await?;
    home.receive(before).await?;

    stage.stop().await?;
    let flood: Vec<_> = (0..BULK)
        .map(|number| {
            let mut form = form(&offices[3 + number as usize % 39], number, stage.clock.now());
            form["lane"] = json!("bulk");
            flooding.message(CommandType::RequestSubmit, &form)
        })
        .collect();
    flooding.publish_all(&flood).await?;
    stage.start().await?;
    stage.until("select (count(*) > 500)::int::bigint from requests where lane = 'bulk'", 1).await;

    let mut form = form(&home.office, 2, stage.clock.now());
    form["lane"] = json!("urgent");
    form["lane_reason"] = json!("appointment_near");
    let began = Instant::now();
    let urgent = ward.send(CommandType::RequestSubmit, &form).await?;
    home.request(urgent).await?;
    let took = began.elapsed();
    let taken = stage.world.number("select count(*) from requests where lane = 'bulk'").await?;
    home.send(CommandType::RequestReceived, &about(urgent)).await?;
    // The figure is a report, not a verdict: how fast is for the machine to say, that it overtook is not.
    println!("urgent: {} ms from ward to home, {taken} of {BULK} bulk requests taken by then", took.as_millis());
    assert!(taken < i64::from(BULK) * 3 / 4, "it came after {taken} of {BULK}");
    stage.until_state(urgent, "delivered").await;
    stage.close().await
}

/// A relay has some batches on their way at once, over channels that know nothing of each other. What is for
/// one office must not come in another order for that.
#[tokio::test(flavor = "multi_thread")]
async fn an_office_hears_in_order_however_many_batches_are_on_their_way() -> Result<()> {
    const EACH: u32 = 120;
    let mut stage = Stage::new("in_order", "2026-11-19T08:00").await?;
    let offices = stage.grant(13).await?;
    let mut wards = Vec::new();
    for office in &offices[..6] {
        wards.push(stage.desk(office).await?);
    }
    // One after the other, so that they are taken, and answered, in many batches.
    let mut asking = tokio::task::JoinSet::new();
    for (place, mut ward) in wards.into_iter().enumerate() {
        let (home, now) = (offices[6 + place].clone(), stage.clock.now());
        asking.spawn(async move {
            let mut asked = Vec::new();
            for number in 0..EACH {
                asked.push(ward.send(CommandType::RequestSubmit, &form(&home, number, now)).await?);
            }
            let last = asked.pop().expect("there is a last one");
            ward.receipt(last).await?;
            let heard: Vec<MessageId> = ward
                .left()
                .into_iter()
                .filter_map(|heard| match heard {
                    Heard::Receipt(item, _) => item.message_id.as_ref().map(|id| id.0),
                    Heard::Request(_) | Heard::Answer(_) | Heard::Notice(_) | Heard::Reconciled(_) => None,
                })
                .collect();
            assert_eq!(heard, asked, "receipts in another order than their commands");
            anyhow::Ok(())
        });
    }
    while let Some(ended) = asking.join_next().await {
        ended??;
    }
    // A request before what is said about it, if both came.
    let mut ward = stage.desk(&offices[12]).await?;
    let mut home = stage.desk(&offices[6]).await?;
    for number in 0..30 {
        let form = form(&home.office, 1_000 + number, stage.clock.now());
        let request = ward.send(CommandType::RequestSubmit, &form).await?;
        ward.send(CommandType::RequestWithdraw, &withdrawal(request)).await?;
    }
    let last = ward.submit(&home.office, 2_000).await?;
    home.request(last).await?;
    let mut told = HashSet::new();
    for heard in home.left() {
        match heard {
            Heard::Notice(line) => told.extend(line.request_id.as_ref().map(|id| id.0)),
            Heard::Request(work) => assert!(!told.contains(&work.request_id.0), "told of it before it came"),
            Heard::Receipt(..) | Heard::Answer(_) | Heard::Reconciled(_) => {}
        }
    }
    stage.close().await
}

fn letter(office: OfficeId, now: Timestamp) -> Letter {
    Letter {
        office,
        message_id: message_id(now).uuid(),
        message_type: NOTICE.to_owned(),
        request_id: None,
        mark: None,
        created_at: now,
        traceparent: None,
        body: b"{}".to_vec(),
    }
}

/// A relay reads only what is new, by numbers that are given out before what bears them can be seen. A
/// transaction that took its time must not leave its letter behind what was read meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_comes_to_be_seen_late_leaves_as_soon_as_it_is() -> Result<()> {
    // Much less than after which all is read whatever was read before.
    const SOON: Duration = Duration::from_secs(15);
    let mut stage = Stage::new("late_commit", "2026-11-19T08:00").await?;
    let offices = stage.grant(1).await?;
    let core = stage.core().await?;
    let letter = || letter(offices[0].id, stage.clock.now());
    let mut slow = stage.store.begin().await?;
    outbox::put(&mut slow, &core.keys, &[letter()]).await?;
    for _ in 0..20 {
        let mut quick = stage.store.begin().await?;
        outbox::put(&mut quick, &core.keys, &[letter()]).await?;
        quick.commit().await?;
        stage.until("select count(*) from outbox", 0).await;
    }
    let began = Instant::now();
    slow.commit().await?;
    stage.until("select count(*) from outbox", 0).await;
    assert!(began.elapsed() < SOON, "it waited for {:?}", began.elapsed());
    stage.close().await
}

/// A relay knows of some thousands of letters at a time, and an office gets nothing while something is on its way
/// to it. When all that it knows is for such offices it has to hear that they are free again.
#[tokio::test(flavor = "multi_thread")]
async fn more_letters_than_a_relay_knows_of_leave_for_few_offices() -> Result<()> {
    const LETTERS: usize = 14_000;
    let mut stage = Stage::new("many_letters", "2026-11-19T08:00").await?;
    let offices = stage.grant(4).await?;
    stage.stop().await?;
    let core = stage.core().await?;
    let letters: Vec<Letter> = (0..LETTERS).map(|n| letter(offices[n % offices.len()].id, stage.clock.now())).collect();
    let mut tx = stage.store.begin().await?;
    outbox::put(&mut tx, &core.keys, &letters).await?;
    tx.commit().await?;
    stage.start().await?;
    stage.until("select count(*) from outbox", 0).await;
    stage.close().await
}
