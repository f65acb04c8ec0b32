//! Messages go out, come in, are settled, and come again when they were not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{
    Batch, BatchConsumer, Bus, BusSettings, ConsumerSettings, Error, InboxSight, MessageCounts, Outcome, Outgoing,
};
use xacminh_contract::names;
use xacminh_testkit::{PATIENCE, World, eventually};

fn message(key: &str, number: usize) -> Outgoing {
    Outgoing {
        exchange: names::EXCHANGE_IN.to_owned(),
        routing_key: key.to_owned(),
        message_id: format!("m{number}"),
        message_type: "xacminh.request.submit.v1".to_owned(),
        correlation_id: Some(format!("r{number}")),
        headers: vec![(names::HEADER_TIME.to_owned(), "2026-01-05T01:00:00Z".to_owned())],
        body: format!("{{\"n\":{number}}}").into_bytes(),
    }
}

async fn bus(world: &World) -> anyhow::Result<Bus> {
    let bus = Bus::connect(&world.bus_settings(), &CancellationToken::new())?;
    timeout(PATIENCE, bus.ready()).await??;
    Ok(bus)
}

async fn next(consumer: &mut BatchConsumer) -> Batch {
    timeout(PATIENCE, consumer.next_batch()).await.expect("a batch in time").expect("a batch")
}

fn ids(batch: &Batch) -> Vec<String> {
    batch.deliveries.iter().filter_map(|d| d.properties.message_id.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_arrives_in_order_and_whole() -> anyhow::Result<()> {
    let world = World::new("in_order").await?;
    let bus = bus(&world).await?;
    let sent: Vec<_> = (0..2_000).map(|n| message("submit.normal", n)).collect();
    let outcomes = bus.publisher().publish_all(sent.clone()).await;
    assert_eq!(outcomes, vec![Outcome::Confirmed; 2_000]);

    let settings = ConsumerSettings::new(names::QUEUE_INTAKE, 300);
    let mut consumer = bus.consumer(settings, CancellationToken::new());
    let mut seen = Vec::new();
    while seen.len() < 2_000 {
        let batch = next(&mut consumer).await;
        assert!(batch.len() <= 300);
        let first = &batch.deliveries[0];
        assert_eq!(first.bytes, sent[seen.len()].body);
        assert_eq!(first.properties.routing_key, "submit.normal");
        assert_eq!(first.properties.header(names::HEADER_TIME), Some("2026-01-05T01:00:00Z"));
        assert_eq!(first.properties.user_id, None);
        seen.extend(ids(&batch));
        batch.ack_all().await?;
    }
    assert_eq!(seen, sent.iter().map(|m| m.message_id.clone()).collect::<Vec<_>>());
    eventually("an empty queue", PATIENCE, async || {
        let totals = world.manage(|m| m.queue_totals()).await.ok()?;
        let intake = totals.into_iter().find(|t| t.name == names::QUEUE_INTAKE)?;
        (intake.waiting + intake.in_hand == 0).then_some(())
    })
    .await;
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_returned_message_is_told_by_its_id() -> anyhow::Result<()> {
    let world = World::new("returned").await?;
    let bus = bus(&world).await?;
    let lost: HashSet<usize> = (0..500).filter(|n| n % 50 == 7).collect();
    let messages = (0..500).map(|n| {
        let mut message = message("submit.normal", n);
        if lost.contains(&n) {
            // The default exchange, to an inbox that is not there.
            message.exchange = String::new();
            message.routing_key = "xacminh.office.vpnobody".to_owned();
        }
        message
    });
    let outcomes = bus.publisher().publish_all(messages.collect()).await;
    for (number, outcome) in outcomes.iter().enumerate() {
        if lost.contains(&number) {
            assert!(matches!(outcome, Outcome::Returned(reason) if reason == "NO_ROUTE"), "{number}");
        } else {
            assert_eq!(outcome, &Outcome::Confirmed, "{number}");
        }
    }
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_settled_and_the_rest_comes_again() -> anyhow::Result<()> {
    let world = World::new("settling").await?;
    let bus = bus(&world).await?;
    bus.publisher().publish_all((0..4).map(|n| message("answer.give", n)).collect()).await;

    let mut settings = ConsumerSettings::new(names::QUEUE_ANSWERING, 4);
    settings.linger = Duration::from_secs(5);
    let mut consumer = bus.consumer(settings, CancellationToken::new());
    let mut batch = next(&mut consumer).await;
    assert_eq!(ids(&batch), ["m0", "m1", "m2", "m3"]);
    // The last one singly: what follows must not acknowledge it a second time.
    batch.ack_one(3).await?;
    batch.ack_one(1).await?;
    batch.release().await?;

    let mut again = HashSet::new();
    let mut batches = Vec::new();
    while again.len() < 2 {
        let batch = next(&mut consumer).await;
        assert!(batch.deliveries.iter().all(|d| d.properties.redelivered));
        again.extend(ids(&batch));
        batches.push(batch);
    }
    assert_eq!(again, HashSet::from(["m0".to_owned(), "m2".to_owned()]));
    for batch in batches {
        batch.ack_all().await?;
    }
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_counts_all_that_went_through() -> anyhow::Result<()> {
    let world = World::new("counting").await?;
    assert_eq!(world.manage(|m| m.message_counts()).await?, MessageCounts::default());
    let bus = bus(&world).await?;
    let mut messages: Vec<_> = (0..700).map(|n| message("answer.give", n)).collect();
    // To an inbox that is not there.
    messages.extend((0..3).map(|n| Outgoing {
        exchange: String::new(),
        routing_key: "xacminh.office.vpnobody".to_owned(),
        ..message("", n)
    }));
    bus.publisher().publish_all(messages).await;
    let mut settings = ConsumerSettings::new(names::QUEUE_ANSWERING, 100);
    settings.linger = Duration::from_secs(5);
    let mut consumer = bus.consumer(settings, CancellationToken::new());
    // One batch comes twice.
    next(&mut consumer).await.release().await?;
    let mut left = 700;
    while left > 0 {
        let batch = next(&mut consumer).await;
        left -= batch.len();
        batch.ack_all().await?;
    }
    // Counts are handed in every five seconds: all of them come, and none is lost.
    let counts = eventually("counts at rest", PATIENCE, async || {
        let counts = world.manage(|m| m.message_counts()).await.ok()?;
        (counts.acknowledged == 700 && counts.are_at_rest()).then_some(counts)
    })
    .await;
    assert_eq!((counts.published, counts.returned, counts.dropped), (703, 3, 0));
    assert_eq!(counts.delivered, 700 + counts.redelivered);
    assert!(counts.redelivered >= 100, "{counts:?}");
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_batch_does_not_settle_an_earlier_one() -> anyhow::Result<()> {
    let world = World::new("overtaking").await?;
    let bus = bus(&world).await?;
    bus.publisher().publish_all((0..4).map(|n| message("answer.give", n)).collect()).await;
    let mut settings = ConsumerSettings::new(names::QUEUE_ANSWERING, 2);
    settings.linger = Duration::from_secs(5);
    let mut consumer = bus.consumer(settings, CancellationToken::new());
    let first = next(&mut consumer).await;
    let second = next(&mut consumer).await;
    second.ack_all().await?;
    // Never settled: its consumer hands it out again.
    drop(first);
    let again = next(&mut consumer).await;
    assert_eq!(ids(&again), ["m0", "m1"]);
    again.ack_all().await?;
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_comes_back_and_loses_nothing() -> anyhow::Result<()> {
    let world = World::new("reconnect").await?;
    let bus = bus(&world).await?;
    let publisher = bus.publisher();
    publisher.publish_all((0..10).map(|n| message("submit.urgent", n)).collect()).await;
    let mut settings = ConsumerSettings::new(names::QUEUE_INTAKE, 10);
    settings.linger = Duration::from_secs(5);
    let mut consumer = bus.consumer(settings, CancellationToken::new());
    let held = next(&mut consumer).await;
    assert_eq!(held.len(), 10);

    // RabbitMQ lists a connection for closing only some moments after it was opened.
    let mut state = bus.state();
    let user = world.broker_user().to_owned();
    eventually("both connections lost", PATIENCE, async || {
        let user = user.clone();
        world.manage(move |m| m.close_connections_of(&user)).await.ok()?;
        let now = state.borrow_and_update().clone();
        (now.publishing.losses > 0 && now.consuming.losses > 0).then_some(())
    })
    .await;
    timeout(PATIENCE, state.wait_for(|s| s.is_connected())).await??;
    let outage = state.borrow().consuming.last_outage.expect("an outage on record");
    assert!(outage.from <= outage.until);

    let error = held.ack_all().await.expect_err("its channel is gone");
    assert!(matches!(error, Error::DeliveryLost), "{error}");
    assert!(error.is_transient());

    let mut again = HashSet::new();
    while again.len() < 10 {
        let batch = next(&mut consumer).await;
        assert!(batch.deliveries.iter().all(|d| d.properties.redelivered));
        again.extend(ids(&batch));
        batch.ack_all().await?;
    }
    // The same publisher sends over the new connection.
    timeout(PATIENCE, publisher.ready()).await??;
    let outcomes = publisher.publish_all(vec![message("submit.bulk", 11)]).await;
    assert_eq!(outcomes, [Outcome::Confirmed]);
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_a_consumer_that_waits() -> anyhow::Result<()> {
    let world = World::new("stopping").await?;
    let bus = bus(&world).await?;
    let stop = CancellationToken::new();
    let mut consumer = bus.consumer(ConsumerSettings::new(names::QUEUE_BULK, 10), stop.clone());
    let waiting = tokio::spawn(async move { consumer.next_batch().await.is_none() });
    stop.cancel();
    assert!(timeout(PATIENCE, waiting).await??);
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_binding_takes_is_kept() -> anyhow::Result<()> {
    let world = World::new("unrouted").await?;
    let bus = bus(&world).await?;
    let outcomes = bus.publisher().publish_all(vec![message("no.such.key", 1)]).await;
    assert_eq!(outcomes, [Outcome::Confirmed]);
    let settings = ConsumerSettings::new(names::QUEUE_UNROUTED, 1);
    let batch = next(&mut bus.consumer(settings, CancellationToken::new())).await;
    assert_eq!(batch.deliveries[0].properties.routing_key, "no.such.key");
    assert_eq!(batch.deliveries[0].properties.exchange, names::EXCHANGE_IN);
    batch.ack_all().await?;
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_queue_deleted_under_its_consumer_is_made_again_with_its_bindings() -> anyhow::Result<()> {
    let world = World::new("deleted_queue").await?;
    let bus = bus(&world).await?;
    bus.publisher().publish_all(vec![message("answer.give", 0)]).await;
    let mut consumer = bus.consumer(ConsumerSettings::new(names::QUEUE_ANSWERING, 1), CancellationToken::new());
    let batch = next(&mut consumer).await;
    batch.ack_all().await?;
    let losses = |bus: &Bus| bus.state().borrow().consuming.losses;
    let before = losses(&bus);

    // It is waiting when its queue goes: RabbitMQ cancels it.
    let waiting = tokio::spawn(async move { next(&mut consumer).await });
    let probe = bus.inbox_probe();
    let queue = [names::QUEUE_ANSWERING.to_owned()];
    let read = async || probe.look(&queue).await.ok().is_some_and(|sights| sights[0].has_reader());
    world.manage(|m| m.delete_queue(names::QUEUE_ANSWERING)).await?;
    eventually("the queue with its reader", PATIENCE, async || read().await.then_some(())).await;
    // By its binding, and so not to the queue of what no binding takes.
    bus.publisher().publish_all(vec![message("answer.give", 1)]).await;
    let batch = timeout(PATIENCE, waiting).await??;
    assert_eq!(ids(&batch), ["m1"]);
    assert_eq!(batch.deliveries[0].properties.routing_key, "answer.give");
    batch.ack_all().await?;
    assert_eq!(losses(&bus), before, "the connection never ended");

    // One that was told to look only makes nothing.
    world.manage(|m| m.delete_queue(names::QUEUE_BULK)).await?;
    let only_looking = BusSettings { declare: false, ..world.bus_settings() };
    let looking = Bus::connect(&only_looking, &CancellationToken::new())?;
    let mut consumer = looking.consumer(ConsumerSettings::new(names::QUEUE_BULK, 1), CancellationToken::new());
    timeout(PATIENCE, looking.ready()).await??;
    assert!(timeout(Duration::from_secs(2), consumer.next_batch()).await.is_err(), "a batch of a queue that is gone");
    let sights = looking.inbox_probe().look(&[names::QUEUE_BULK.to_owned()]).await?;
    assert_eq!(sights, [InboxSight::Missing]);
    world.close().await
}
