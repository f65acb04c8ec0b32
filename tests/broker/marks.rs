//! What left is marked and removed many at a time, each with what belongs to it, in whatever order they come.

use std::time::Duration;

use anyhow::Result;
use xacminh_contract::envelope::REQUEST_DELIVER;
use xacminh_domain::Timestamp;
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_domain::request::Lane;
use xacminh_store::delivery::{self, NewDelivery};
use xacminh_store::outbox::{self, Letter, Mark};

use crate::desk::message_id;
use crate::stage::Stage;

fn letter(office: OfficeId, now: Timestamp) -> Letter {
    let id = message_id(now);
    Letter {
        office,
        message_id: id.uuid(),
        message_type: REQUEST_DELIVER.to_owned(),
        request_id: Some(RequestId::of(id)),
        mark: Some(Mark::Sent),
        created_at: now,
        traceparent: None,
        body: b"{}".to_vec(),
    }
}

/// Of each row of a table by its message, whether that is the instant it has.
async fn is_sent_at(stage: &Stage, table: &str, letter: &Letter, at: Option<Timestamp>) -> Result<bool> {
    let at = at.map_or("null".to_owned(), |at| format!("'{at}'"));
    let question = format!(
        "select count(*) from {table} where message_id = '{}' and sent_at is not distinct from {at}::timestamptz",
        letter.message_id
    );
    Ok(stage.world.number(question).await? == 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_marked_and_removed_with_its_own_instant() -> Result<()> {
    let mut stage = Stage::new("marks", "2026-11-19T08:00").await?;
    let office = stage.grant(1).await?[0].id;
    stage.stop().await?;
    let core = stage.core().await?;
    let now = stage.clock.now();
    let after = |seconds| now + Duration::from_secs(seconds);
    let mut conn = stage.store.conn().await?;

    let letters: Vec<Letter> = (0..5).map(|_| letter(office, now)).collect();
    let request = |n: usize| RequestId::of(xacminh_domain::id::MessageId::new(letters[n].message_id).unwrap());
    let new =
        |n: usize| NewDelivery { request: request(n), letter: letters[n].clone(), lane: Lane::Normal, due_on: None };
    delivery::put(&mut conn, &core.keys, &[new(0), new(1), new(2), new(3), new(4)]).await?;
    delivery::sent(&mut conn, &[3, 0, 2].map(|n| (request(n), after(n as u64), after(100 + n as u64)))).await?;
    for (n, at) in [(0, Some(0)), (1, None), (2, Some(2)), (3, Some(3)), (4, None)] {
        assert!(is_sent_at(&stage, "deliveries", &letters[n], at.map(after)).await?, "{n}");
    }
    // What the row says of its leaving counts, else what is given.
    let ended = [(4, Some(44)), (0, Some(40)), (3, None), (1, None)];
    delivery::end(&mut conn, &ended.map(|(n, at)| (request(n), at.map(after)))).await?;
    for (n, at) in [(0, Some(0)), (1, None), (3, Some(3)), (4, Some(44))] {
        assert!(is_sent_at(&stage, "sent_letters", &letters[n], at.map(after)).await?, "{n}");
    }
    stage.until("select count(*) from deliveries", 1).await;

    let others: Vec<Letter> = (0..4).map(|_| letter(office, now)).collect();
    let places = outbox::put_unheard(&mut conn, &core.keys, &others).await?;
    let gone = |n: usize| (places[&others[n].message_id], others[n].message_id, after(10 + n as u64));
    // A place counts only with its letter.
    let another = (places[&others[1].message_id], others[3].message_id, now);
    outbox::remove(&mut conn, &[gone(2), another, gone(0)]).await?;
    for n in [0, 2] {
        assert!(is_sent_at(&stage, "sent_letters", &others[n], Some(after(10 + n as u64))).await?, "{n}");
    }
    let left = places.values().filter(|place| ![gone(0).0, gone(2).0].contains(place)).count();
    assert_eq!((left, stage.world.number("select count(*) from outbox").await?), (2, 2));
    drop(conn);
    stage.close().await
}
