//! What was stored is proven, and a change is found.

use anyhow::Result;
use xacminh_contract::envelope::CommandType;
use xacminh_store::Error;

use crate::desk::give;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_a_stored_event_is_found() -> Result<()> {
    let mut stage = Stage::new("flipped", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = ward.submit(&home.office, 900).await?;
    let beside = ward.submit(&home.office, 901).await?;
    home.receive(request).await?;
    home.ask(CommandType::AnswerGive, &give(request, "A01")).await?;
    ward.answer(request).await?;
    home.receive(beside).await?;
    stage.until_state(beside, "delivered").await;
    stage.until("select count(*) from outbox", 0).await;
    let events = stage.verify(request).await?;
    assert_eq!(events, 7);

    let this = format!("request_id = '{request}'");
    let flip = |column: &str, seq: u32, byte: u32| {
        format!(
            "update events set {column} = set_byte({column}, {byte}, get_byte({column}, {byte}) # 1) where {this} and seq = {seq}"
        )
    };
    let mut damages = Vec::new();
    for seq in 1..=events {
        damages.push((format!("body of {seq}"), flip("body", seq, 9)));
        damages.push((format!("hash of {seq}"), flip("hash", seq, 31)));
        damages.push((
            format!("instant of {seq}"),
            format!("update events set at = at + interval '1 microsecond' where {this} and seq = {seq}"),
        ));
    }
    for (what, sql) in [
        ("last event gone", format!("delete from events where {this} and seq = {events}")),
        ("an event in the middle gone", format!("delete from events where {this} and seq = 3")),
        ("all gone", format!("delete from events where {this}")),
        (
            "head changed",
            format!("update requests set head_hash = set_byte(head_hash, 0, get_byte(head_hash, 0) # 1) where {this}"),
        ),
        (
            "end moved back",
            format!(
                "update requests set seq = seq - 1, head_hash = (select hash from events where {this} and seq = {}) where {this}",
                events - 1
            ),
        ),
        ("state changed", format!("update requests set state = 'withdrawn' where {this}")),
        (
            "another's event put in",
            format!(
                "update events set body = (select body from events where request_id = '{beside}' and seq = 2) where {this} and seq = 2; update events set body = (select body from events where request_id = '{beside}' and seq = 1) where {this} and seq = 1"
            ),
        ),
    ] {
        damages.push((what.to_owned(), sql));
    }

    // Each damage alone, on the rows as they were.
    stage.world.sql(format!("create table kept_events as select * from events where {this}; create table kept_row as select * from requests where {this}")).await?;
    for (what, sql) in damages {
        stage.world.sql(sql).await?;
        match stage.verify(request).await {
            Err(Error::Damaged { request: named, .. }) => assert_eq!(named.message_id(), request, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
        stage.verify(beside).await?;
        let back = format!(
            "delete from events where {this}; insert into events select * from kept_events; delete from requests where {this}; insert into requests select * from kept_row; update requests set state = state where {this}"
        );
        stage.world.sql(back).await?;
        assert_eq!(stage.verify(request).await?, events, "whole again after {what}");
    }
    stage.close().await
}
