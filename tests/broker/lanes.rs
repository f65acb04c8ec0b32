//! A flood in the bulk lane and a single urgent file.

use std::collections::HashSet;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use xacminh_contract::envelope::CommandType;
use xacminh_domain::id::MessageId;

use crate::desk::{Heard, about, form, withdrawal};
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
