//! A second request about the same file is taken, and its ward is told which was first.

use anyhow::{Context, Result};
use serde_json::json;
use xacminh_contract::envelope::CommandType as T;
use xacminh_contract::receipt::{Item, Outcome, Warning};
use xacminh_domain::id::MessageId;

use crate::desk::{Desk, about, form, withdrawal};
use crate::stage::{Office, Stage};

/// The receipt's word about duplicates: whether it warns, and of which request.
fn told(item: &Item) -> Option<MessageId> {
    assert_eq!(item.outcome, Outcome::Accepted, "{:?}", item.refusal);
    let warned = item.warnings.contains(&Warning::NearDuplicate);
    assert_eq!(warned, item.duplicate_of.is_some(), "{item:?}");
    item.duplicate_of.as_ref().map(|id| id.0.message_id())
}

async fn ask(ward: &mut Desk, home: &Office, person: u32, kind: &str, stage: &Stage) -> Result<(MessageId, Item)> {
    let mut body = form(home, person, stage.clock.now());
    body["case_code"] = json!("TT-2026-000700");
    body["kind"] = json!(kind);
    let item = ward.ask(T::RequestSubmit, &body).await?;
    Ok((item.message_id.clone().context("no id")?.0, item))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_request_about_a_file_names_the_first_that_stands() -> Result<()> {
    let mut stage = Stage::new("duplicates", "2026-11-19T08:00").await?;
    let offices = stage.grant(4).await?;
    let (mut ward, mut other) = (stage.desk(&offices[0]).await?, stage.desk(&offices[1]).await?);
    let mut home = stage.desk(&offices[2]).await?;
    let (first, item) = ask(&mut ward, &offices[2], 700, "temp_residence", &stage).await?;
    assert_eq!(told(&item), None);
    // Another home, another kind, another ward: other matters.
    for (office, kind) in [(&offices[3], "temp_residence"), (&offices[2], "temp_renewal")] {
        assert_eq!(told(&ask(&mut ward, office, 700, kind, &stage).await?.1), None, "{kind}");
    }
    assert_eq!(told(&ask(&mut other, &offices[2], 700, "temp_residence", &stage).await?.1), None);

    // The person does not matter: a family files under one code. At an instant of its own, since of two at
    // one instant the smaller id is the first.
    stage.set("2026-11-19T08:05");
    let (second, item) = ask(&mut ward, &offices[2], 701, "temp_residence", &stage).await?;
    assert_eq!(told(&item), Some(first));
    let work = home.request(second).await?;
    assert!(!work.warnings.contains(&Warning::NearDuplicate), "H is not told: {:?}", work.warnings);
    // Opened, the first stands all the same. Withdrawn, it does not, and the next is named.
    home.send(T::RequestOpened, &about(first)).await?;
    stage.until_state(first, "opened").await;
    stage.set("2026-11-19T08:10");
    let (_, item) = ask(&mut ward, &offices[2], 702, "temp_residence", &stage).await?;
    assert_eq!(told(&item), Some(first));
    ward.ask(T::RequestWithdraw, &withdrawal(first)).await?;
    let (_, item) = ask(&mut ward, &offices[2], 703, "temp_residence", &stage).await?;
    assert_eq!(told(&item), Some(second));
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_judged_in_its_order() -> Result<()> {
    let mut stage = Stage::new("duplicates_batch", "2026-11-19T08:00").await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let (old, item) = ask(&mut ward, &home.office, 710, "temp_residence", &stage).await?;
    assert_eq!(told(&item), None);
    let submit = |person| {
        let mut body = form(&home.office, person, stage.clock.now());
        body["case_code"] = json!("TT-2026-000700");
        ward.message(T::RequestSubmit, &body)
    };
    // Of the old one; then the old one goes; of the one before; that one again, repeated.
    let (a, b, c) = (submit(711), submit(712), submit(713));
    let withdrawn = ward.message(T::RequestWithdraw, &withdrawal(old));
    let messages = [a.clone(), withdrawn.clone(), b.clone(), c.clone(), b.clone()];
    stage.stop().await?;
    ward.publish_all(&messages).await?;
    stage.start().await?;
    let id = |message: &xacminh_testkit::OfficeMessage| message.message_id.parse::<MessageId>();
    assert_eq!(told(&ward.receipt(id(&a)?).await?), Some(old));
    assert_eq!(ward.receipt(id(&withdrawn)?).await?.outcome, Outcome::Accepted);
    let (item, bytes) = ward.receipt_bytes(id(&b)?).await?;
    assert_eq!(told(&item), Some(id(&a)?));
    assert_eq!(told(&ward.receipt(id(&c)?).await?), Some(id(&a)?));
    assert_eq!(ward.receipt_bytes(id(&b)?).await?.1, bytes, "a repeat in the batch of its first gets its receipt");
    ward.publish(&b).await?;
    assert_eq!(ward.receipt_bytes(id(&b)?).await?.1, bytes, "and so does a later one");
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_index_of_requests_has_a_column_that_changes() -> Result<()> {
    let mut stage = Stage::new("duplicates_hot", "2026-11-19T08:00").await?;
    let indexed = stage
        .world
        .rows(
            "select distinct a.attname from pg_index i
             join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
             where i.indrelid = 'requests'::regclass order by 1",
        )
        .await?;
    assert_eq!(indexed, ["case_code", "request_id", "requester", "responder_province"]);
    // None has a predicate either: one over a column that changes would count too.
    let partial = "select count(*) from pg_index where indrelid = 'requests'::regclass and indpred is not null";
    assert_eq!(stage.world.number(partial).await?, 0);
    // And PostgreSQL does update in the page.
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = ward.submit(&home.office, 720).await?;
    home.receive(request).await?;
    stage.until_state(request, "delivered").await;
    stage.stop().await?;
    // One update or two: the mark may have been taken along.
    let all_hot = "select count(*) from (
             select sum(n_tup_upd) as updates, sum(n_tup_hot_upd) as hot from pg_stat_user_tables
             where relname ~ '^requests_[0-9]{6}$') u
         where updates > 0 and updates = hot";
    stage.until(all_hot, 1).await;
    stage.close().await
}
