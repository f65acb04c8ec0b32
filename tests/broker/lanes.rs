//! A flood in the bulk lane and a single urgent file.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use xacminh_contract::envelope::CommandType;

use crate::desk::{about, form};
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
