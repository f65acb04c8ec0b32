//! More commands than a work queue may hold: RabbitMQ takes no more and says so, and what it did not take
//! goes through when its office sends it again.

use anyhow::{Result, ensure};
use serde_json::json;
use xacminh_contract::envelope::CommandType;
use xacminh_contract::names::{QUEUE_ANSWERING, QUEUE_BULK, QUEUE_INTAKE};
use xacminh_contract::receipt::Outcome;
use xacminh_domain::id::MessageId;
use xacminh_testkit::{OfficeMessage, PATIENCE, Sent, eventually};

use crate::desk::form;
use crate::stage::Stage;

/// How many more than fit are sent at most.
const MOST: u32 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_holds_offices_back_and_loses_nothing() -> Result<()> {
    let mut stage = Stage::new("push_back", "2026-11-19T08:00").await?;
    let offices = stage.grant(2).await?;
    let mut ward = stage.desk(&offices[0]).await?;
    let sight = stage.world.manage(|m| m.sight()).await?;
    for name in [QUEUE_INTAKE, QUEUE_BULK, QUEUE_ANSWERING] {
        let queue = sight.queues.iter().find(|queue| queue.name == name).expect("it is declared");
        assert_eq!((queue.limits.length, queue.limits.overflow.as_deref()), (Some(50_000), Some("reject-publish")));
    }
    let fewer = json!({ "max-length": 20, "overflow": "reject-publish" });
    stage.world.manage(move |m| m.put_policy("fewer", r"^xacminh\.work\.intake$", &fewer, 300)).await?;

    stage.stop().await?;
    let (mut taken, mut held): (u32, Vec<OfficeMessage>) = (0, Vec::new());
    while held.len() < 30 {
        ensure!(taken < MOST, "{taken} were taken, where 20 fit");
        let form = form(&offices[1], taken + u32::try_from(held.len())?, stage.clock.now());
        let message = ward.message(CommandType::RequestSubmit, &form);
        match ward.offer(&message).await? {
            Sent::Confirmed => taken += 1,
            Sent::Nacked => held.push(message),
            other => panic!("{other:?}"),
        }
    }
    assert!(taken >= 20, "{taken}");

    stage.start().await?;
    let ids: Vec<MessageId> = held.iter().map(|message| message.message_id.parse()).collect::<Result<_, _>>()?;
    // What is not taken yet is sent again, the same bytes under the same id.
    for message in held {
        let taken = async || (ward.offer(&message).await.ok()? == Sent::Confirmed).then_some(());
        eventually("RabbitMQ takes it", PATIENCE, taken).await;
    }
    for id in ids {
        assert_eq!(ward.receipt(id).await?.outcome, Outcome::Accepted);
    }
    stage.until("select count(*) from requests", i64::from(taken) + 30).await;
    stage.close().await
}
