//! What was parked is taken after all, once its cause is gone: as its sender's, and once.

use anyhow::Result;
use serde_json::json;
use xacminh_contract::envelope::CommandType;
use xacminh_contract::receipt::Outcome;
use xacminh_services::replaying::{Cannot, Replay, replay};
use xacminh_testkit::OfficeMessage;

use crate::desk::{form, message_id};
use crate::stage::Stage;

const THURSDAY: &str = "2026-11-19T08:00";
const PARKED: &str = "select parked_id from parked order by parked_id desc limit 1";

/// Something in the database that makes every new request fail, for no reason that passes.
const BREAK: &str = "create or replace function broken() returns trigger language plpgsql as
        $$ begin raise exception 'broken'; end $$;
    create or replace trigger broken before insert on requests for each row execute function broken()";
/// The trigger stays: taking it away would lock every month's table, against whoever reads.
const MEND: &str = "create or replace function broken() returns trigger language plpgsql as
        $$ begin return new; end $$";

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_could_not_be_worked_on_is_taken_once_when_it_can() -> Result<()> {
    let mut stage = Stage::new("replay", THURSDAY).await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    stage.world.sql(BREAK).await?;
    let sent = ward.message(CommandType::RequestSubmit, &form(&home.office, 801, stage.clock.now()));
    ward.publish(&sent).await?;
    stage.until("select count(*) from parked where reason = 'not_processed'", 1).await;
    let parked = stage.world.number(PARKED).await?;
    let core = stage.core().await?;

    assert!(replay(&core, parked, "too early").await.is_err(), "its cause is still there");
    assert_eq!(stage.world.number("select count(*) from parked where replayed_at is null").await?, 1);

    stage.world.sql(MEND).await?;
    assert_eq!(replay(&core, parked, "mended").await?, Replay::Taken(ward.office.id));
    let id = sent.message_id.parse()?;
    let (first, bytes) = ward.receipt_bytes(id).await?;
    assert_eq!(first.outcome, Outcome::Accepted, "{first:?}");
    assert_eq!(home.receive(id).await?.request_id.0.message_id(), id);
    stage.until_state(id, "delivered").await;
    assert_eq!(stage.verify(id).await?, 4);

    // Again, by the operator and by the office: nothing more, and the office hears the same.
    assert_eq!(replay(&core, parked, "again").await?, Replay::Before(stage.clock.now()));
    ward.publish(&sent).await?;
    assert_eq!(ward.receipt_bytes(id).await?.1, bytes);
    assert_eq!(
        stage.world.rows("select concat_ws(' ', reason, replay_reason) from parked").await?,
        ["not_processed mended"]
    );
    assert_eq!(stage.verify(id).await?, 4);
    assert!(ward.left().is_empty() && home.left().is_empty(), "{:?} {:?}", ward.left(), home.left());
    assert_eq!(stage.world.number("select count(*) from system_events where stream = 'replays'").await?, 1);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_killed_before_it_was_marked_changes_nothing_the_second_time() -> Result<()> {
    let mut stage = Stage::new("replay_killed", THURSDAY).await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    stage.world.sql(BREAK).await?;
    let sent = ward.message(CommandType::RequestSubmit, &form(&home.office, 802, stage.clock.now()));
    ward.publish(&sent).await?;
    stage.until("select count(*) from parked where reason = 'not_processed'", 1).await;
    let parked = stage.world.number(PARKED).await?;
    stage.world.sql(MEND).await?;
    let core = stage.core().await?;
    replay(&core, parked, "mended").await?;
    let id = sent.message_id.parse()?;
    let bytes = ward.receipt_bytes(id).await?.1;

    stage.world.sql("update parked set replayed_at = null").await?;
    assert_eq!(replay(&core, parked, "mended").await?, Replay::Taken(ward.office.id));
    assert_eq!(ward.receipt_bytes(id).await?.1, bytes, "the first receipt, as for any repeat");
    assert_eq!(stage.world.number("select count(*) from requests").await?, 1);
    assert_eq!(stage.world.number("select count(*) from parked").await?, 1);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_became_an_offices_is_replayed_and_a_missing_one_never() -> Result<()> {
    let mut stage = Stage::new("replay_sender", THURSDAY).await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let mut stranger = stage.world.office().await?;
    let body = form(&home.office, 803, stage.clock.now()).to_string().into_bytes();
    let unsigned = OfficeMessage { user_id: None, ..ward.message(CommandType::RequestSubmit, &json!({})) };
    ward.publish(&OfficeMessage { body: body.clone(), ..unsigned }).await?;
    stage.until("select count(*) from parked where reason = 'no_sender'", 1).await;
    let no_sender = stage.world.number(PARKED).await?;
    let id = message_id(stage.clock.now());
    let early = OfficeMessage {
        message_id: id.to_string(),
        user_id: Some(stranger.login()),
        body,
        ..ward.message(CommandType::RequestSubmit, &json!({}))
    };
    stranger.publish(early).await?;
    stage.until("select count(*) from parked where reason = 'sender_unknown'", 1).await;
    let unknown = stage.world.number(PARKED).await?;

    let core = stage.core().await?;
    assert_eq!(replay(&core, unknown, "too early").await?, Replay::Cannot(Cannot::SenderUnknown));
    let office = stranger.office();
    stage
        .world
        .sql(format!(
            "insert into offices (office_id, name, kind, opening_hours)
             values ('{office}', 'Công an xã Mới', 'commune_police', '08:00-12:00;13:00-17:00')"
        ))
        .await?;
    let core = stage.core().await?;
    assert_eq!(replay(&core, no_sender, "please").await?, Replay::Cannot(Cannot::NoSender));
    assert_eq!(replay(&core, 4_711, "please").await?, Replay::Cannot(Cannot::Missing));
    assert_eq!(replay(&core, unknown, "imported").await?, Replay::Taken(office));
    stage.until_state(id, "sent").await;
    assert_eq!(
        stage.world.rows(format!("select requester from requests where request_id = '{id}'")).await?,
        [office.to_string()],
        "its own sender's"
    );
    assert_eq!(stage.world.number("select count(*) from parked").await?, 2, "nothing was parked again");
    assert_eq!(stage.world.number("select count(*) from requests").await?, 1);
    // A row from before properties were kept.
    stage.world.sql(format!("update parked set envelope = null where parked_id = {no_sender}")).await?;
    assert_eq!(replay(&core, no_sender, "please").await?, Replay::Cannot(Cannot::TooOld));
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_inbox_gave_up_on_is_sent_again_as_the_same_message() -> Result<()> {
    let mut stage = Stage::new("replay_inbox", THURSDAY).await?;
    let (mut ward, home) = stage.ward_and_home().await?;
    let mut broken = stage.client(&home.office).await?;
    let id = ward.submit(&home.office, 804).await?;
    let (mut first, mut times) = (None, 0);
    // Twenty failed deliveries are allowed; with the one after, the inbox gives up.
    while times < 21 {
        let delivery = broken.next().await?;
        broken.give_back(&delivery).await?;
        first = Some(delivery);
        times += 1;
    }
    let first = first.expect("it came");
    stage.until("select count(*) from parked where reason = 'inbox_gave_up'", 1).await;
    let parked = stage.world.number(PARKED).await?;
    let core = stage.core().await?;
    stage.set("2026-11-19T09:00");
    assert_eq!(replay(&core, parked, "their disk was full").await?, Replay::SentAgain(home.office.id));
    assert_eq!(replay(&core, parked, "again").await?, Replay::Before(stage.clock.now()));

    let again = broken.next().await?;
    assert_eq!(again.data, first.data);
    assert_eq!(again.properties.message_id(), first.properties.message_id());
    assert_eq!(again.properties.kind(), first.properties.kind());
    assert_eq!(again.properties.correlation_id(), first.properties.correlation_id());
    let time =
        |d: &xacminh_testkit::Delivery| d.properties.headers().as_ref().map(|h| h.inner().get("xm-time").cloned());
    assert_eq!(time(&again), time(&first), "the time of the first sending");
    broken.ack(&again).await?;

    // Nothing else is under way to it: the next is the next request.
    let next = ward.submit(&home.office, 805).await?;
    let delivery = broken.next().await?;
    assert_eq!(delivery.properties.correlation_id().as_ref().map(ToString::to_string), Some(next.to_string()));
    stage.until_state(id, "sent").await;
    assert_eq!(stage.verify(id).await?, 2, "submitted and sent, once");
    stage.close().await
}
