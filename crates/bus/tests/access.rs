//! What an office may and may not do, and what a topology of somebody else's leads to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use lapin::ErrorKind;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, ConsumerSettings, Error, Grant, HANDSHAKE_LIMIT, InboxSight, Outcome, Outgoing};
use xacminh_contract::names;
use xacminh_testkit::{HalfOpen, OfficeClient, OfficeLogin, OfficeMessage, PATIENCE, Sent, World, eventually};

async fn bus(world: &World) -> anyhow::Result<Bus> {
    let bus = Bus::connect(&world.bus_settings(), &CancellationToken::new())?;
    timeout(PATIENCE, bus.ready()).await??;
    Ok(bus)
}

fn to_inbox(queue: String, id: &str) -> Outgoing {
    Outgoing {
        routing_key: queue,
        message_id: id.to_owned(),
        message_type: "xacminh.receipt.v1".to_owned(),
        body: b"{}".to_vec(),
        ..Outgoing::default()
    }
}

fn submit(id: &str, user_id: Option<String>) -> OfficeMessage {
    OfficeMessage {
        message_type: "xacminh.request.submit.v1".to_owned(),
        routing_key: "submit.normal".to_owned(),
        message_id: id.to_owned(),
        body: b"{}".to_vec(),
        user_id,
        ..OfficeMessage::default()
    }
}

/// The AMQP code of a refusal.
fn code(error: &lapin::Error) -> u16 {
    let ErrorKind::ProtocolError(said) = error.kind() else { panic!("not refused but {error}") };
    said.get_id()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_reads_its_own_inbox_and_no_other() -> anyhow::Result<()> {
    let mut world = World::new("own_inbox").await?;
    let bus = bus(&world).await?;
    let mut ours = world.office().await?;
    let other = world.office().await?;
    let sent = vec![to_inbox(names::inbox(ours.office()), "m1")];
    assert_eq!(bus.publisher().publish_all(sent).await, [Outcome::Confirmed]);

    let delivery = ours.next().await?;
    assert_eq!(delivery.data, b"{}");
    ours.ack(&delivery).await?;

    let refused = other
        .new_channel()
        .await?
        .basic_consume(
            names::inbox(ours.office()).into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .expect_err("another's inbox");
    assert_eq!(code(&refused), 403);
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_cannot_speak_for_another() -> anyhow::Result<()> {
    let mut world = World::new("user_id").await?;
    let bus = bus(&world).await?;
    let mut office = world.office().await?;
    let other = world.office().await?;

    let sent = office.publish(submit("m1", Some(other.login()))).await?;
    assert!(matches!(sent, Sent::Refused(406, _)), "{sent:?}");
    assert_eq!(office.publish(submit("m2", Some(office.login()))).await?, Sent::Confirmed);
    assert_eq!(office.publish(submit("m3", None)).await?, Sent::Confirmed);

    let mut settings = ConsumerSettings::new(names::QUEUE_INTAKE, 2);
    settings.linger = Duration::from_secs(5);
    let mut consumer = bus.consumer(settings, CancellationToken::new());
    let batch = timeout(PATIENCE, consumer.next_batch()).await?.expect("a batch");
    let seen: Vec<_> =
        batch.deliveries.iter().map(|d| (d.properties.message_id.as_deref(), d.properties.user_id.clone())).collect();
    assert_eq!(seen, [(Some("m2"), Some(office.login())), (Some("m3"), None)]);
    batch.ack_all().await?;
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_declares_binds_and_writes_nothing_else() -> anyhow::Result<()> {
    let mut world = World::new("permissions").await?;
    let _bus = bus(&world).await?;
    let mut office = world.office().await?;
    let own = names::inbox(office.office());

    let declared = office
        .new_channel()
        .await?
        .queue_declare("mine".into(), QueueDeclareOptions::durable(), FieldTable::default())
        .await
        .expect_err("declaring");
    assert_eq!(code(&declared), 403);
    let bound = office
        .new_channel()
        .await?
        .queue_bind(
            own.as_str().into(),
            names::EXCHANGE_EVENT.into(),
            "#".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .expect_err("binding");
    assert_eq!(code(&bound), 403);
    let deleted =
        office.new_channel().await?.queue_delete(own.as_str().into(), Default::default()).await.expect_err("deleting");
    assert_eq!(code(&deleted), 403);

    for exchange in ["", names::EXCHANGE_EVENT, names::EXCHANGE_REJECTED, names::EXCHANGE_UNROUTED] {
        let mut message = submit("m1", Some(office.login()));
        message.routing_key = own.clone();
        let sent = office.publish_to(exchange, message).await?;
        assert!(matches!(sent, Sent::Refused(403, _)), "{exchange:?}: {sent:?}");
    }
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_is_looked_at_without_being_read() -> anyhow::Result<()> {
    let mut world = World::new("probe").await?;
    let bus = bus(&world).await?;
    let logins = world.offices(2).await?;
    let mut reading = world.connect(&logins[0]).await?;
    reading.read_inbox(10).await?;
    let full = names::inbox(logins[1].office);
    bus.publisher().publish_all(vec![to_inbox(full.clone(), "m1")]).await;

    let queues = [names::inbox(logins[0].office), "xacminh.office.vpnobody".to_owned(), full];
    let probe = bus.inbox_probe();
    let sights = eventually("the consumer's count", PATIENCE, async || {
        let sights = probe.look(&queues).await.ok()?;
        sights[0].has_reader().then_some(sights)
    })
    .await;
    assert_eq!(
        sights,
        [
            InboxSight::There { consumers: 1, waiting: 0 },
            InboxSight::Missing,
            InboxSight::There { consumers: 0, waiting: 1 },
        ]
    );
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_an_office_keeps_refusing_ends_up_with_us() -> anyhow::Result<()> {
    let mut world = World::new("rejected").await?;
    let bus = bus(&world).await?;
    let mut office = world.office().await?;
    let inbox = names::inbox(office.office());
    bus.publisher().publish_all(vec![to_inbox(inbox.clone(), "m1")]).await;
    // 20 failed deliveries are allowed; the one after gives up.
    for _ in 0..21 {
        let delivery = office.next().await?;
        delivery.nack(lapin::options::BasicNackOptions { requeue: true, multiple: false }).await?;
    }
    let settings = ConsumerSettings::new(names::QUEUE_REJECTED, 1);
    let mut consumer = bus.consumer(settings, CancellationToken::new());
    let batch = timeout(PATIENCE, consumer.next_batch()).await?.expect("a batch");
    let properties = &batch.deliveries[0].properties;
    assert_eq!(properties.message_id.as_deref(), Some("m1"));
    assert_eq!(properties.first_death_queue(), Some(inbox.as_str()));
    batch.ack_all().await?;
    world.close().await
}

/// What the product promises of open connections.
const SOON: Duration = Duration::from_secs(5);

/// Wants the consumer ended, and nothing taken from it any more.
async fn assert_out(mut office: OfficeClient) {
    assert!(timeout(SOON, office.next()).await.expect("the consumer goes on").is_err());
    let mut message = submit("m9", None);
    message.user_id = Some(office.login());
    assert!(timeout(SOON, office.publish(message)).await.expect("publishing hangs").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_login_is_out_at_once_however_new_its_connection() -> anyhow::Result<()> {
    let mut world = World::new("revoked").await?;
    let _bus = bus(&world).await?;
    for _ in 0..10 {
        let mut office = world.office().await?;
        assert_eq!(office.publish(submit("m1", Some(office.login()))).await?, Sent::Confirmed);
        office.read_inbox(10).await?;
        let login = office.login();
        world.manage(move |m| m.delete_user(&login)).await?;
        assert_out(office).await;
    }
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_deleted_while_it_opens_a_connection_does_not_get_in() -> anyhow::Result<()> {
    let mut world = World::new("revoked_half").await?;
    let _bus = bus(&world).await?;
    let login = world.offices(1).await?.remove(0);
    let mut half = HalfOpen::new(&world, &login).await?;
    world.manage(move |m| m.delete_user(login.office.as_str())).await?;
    assert_eq!(half.open(&world).await?, HalfOpen::CLOSE);
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_ends_nothing_until_the_connections_are_closed() -> anyhow::Result<()> {
    let mut world = World::new("rotated").await?;
    let bus = bus(&world).await?;
    for _ in 0..10 {
        let old = world.offices(1).await?.remove(0);
        let mut office = world.connect(&old).await?;
        office.read_inbox(10).await?;
        let new = OfficeLogin { password: "another".to_owned(), ..old.clone() };
        let grant = Grant { office: new.office, password: new.password.clone() };
        world.manage(move |m| m.set_passwords(&[grant])).await?;
        // That is why closing is a step of its own: the consumer still gets what comes.
        bus.publisher().publish_all(vec![to_inbox(names::inbox(old.office), "m1")]).await;
        let delivery = office.next().await?;
        office.ack(&delivery).await?;

        world.manage(move |m| m.close_connections_of(old.office.as_str())).await?;
        assert_out(office).await;
        assert!(world.connect(&old).await.is_err(), "the old password opens a connection");
        world.connect(&new).await?.close().await?;
    }
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_password_shown_before_the_change_ends_after_the_handshake_limit() -> anyhow::Result<()> {
    let mut world = World::new("rotated_half").await?;
    let _bus = bus(&world).await?;
    let old = world.offices(1).await?.remove(0);
    let mut half = HalfOpen::new(&world, &old).await?;
    let mut never_open = HalfOpen::new(&world, &old).await?;
    let since = Instant::now();
    let (office, grant) = (old.office, Grant { office: old.office, password: "another".to_owned() });
    world
        .manage(move |m| {
            m.set_passwords(&[grant])?;
            m.close_connections_of(office.as_str())
        })
        .await?;
    assert_eq!(half.open(&world).await?, HalfOpen::OPEN_OK, "RabbitMQ has become stricter: the second closing may go");

    // RabbitMQ hangs up on whoever has not opened by then, so nobody is left to come in later.
    assert!(timeout(PATIENCE, never_open.read()).await?.is_err());
    assert!(since.elapsed() <= HANDSHAKE_LIMIT + Duration::from_secs(1), "{:?}", since.elapsed());
    world.manage(move |m| m.close_connections_of(office.as_str())).await?;
    assert_eq!(timeout(SOON, half.read()).await??, HalfOpen::CLOSE);
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_the_wrong_type_is_reported_by_name() -> anyhow::Result<()> {
    let world = World::new("wrong_type").await?;
    let connection = Connection::connect(&world.amqp_url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.queue_declare(names::QUEUE_INTAKE.into(), QueueDeclareOptions::durable(), FieldTable::default()).await?;
    let bus = Bus::connect(&world.bus_settings(), &CancellationToken::new())?;
    let error = timeout(PATIENCE, bus.ready()).await?.expect_err("a classic queue");
    assert!(matches!(&error, Error::Different { name, .. } if name == names::QUEUE_INTAKE), "{error}");
    assert!(error.to_string().contains("a quorum queue belongs here"), "{error}");
    assert!(!error.is_transient());
    connection.close(200, "bye".into()).await?;
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_told_and_does_not_pass() -> anyhow::Result<()> {
    let world = World::new("refused_login").await?;
    let mut settings = world.bus_settings();
    settings.url = settings.url.replace(":t_", "_no:t_").replacen("//t_", "//x_", 1);
    let bus = Bus::connect(&settings, &CancellationToken::new())?;
    let error = timeout(PATIENCE, bus.ready()).await?.expect_err("a login that is none");
    assert!(!error.is_transient(), "{error:?}");
    world.close().await
}
