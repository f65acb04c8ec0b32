//! What an office with a broken client can do to everybody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test fails by panicking")]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, ConsumerSettings};
use xacminh_contract::names;
use xacminh_testkit::{OfficeLogin, PATIENCE, World};

/// Publishes, byte by byte, a message with these properties, as no decent client would: the flags
/// that say which there are, and what they are.
async fn publish_raw(world: &World, login: &OfficeLogin, flags: u16, properties: &[u8]) -> anyhow::Result<()> {
    let url = world.amqp_url();
    let address = url.rsplit_once('@').unwrap().1.split_once('/').unwrap().0;
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
    read_frame(&mut stream).await?;
    let short = |text: &[u8]| [&[u8::try_from(text.len()).unwrap()], text].concat();
    let long = |text: &[u8]| [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat();
    let plain = format!("\0{}\0{}", login.office, login.password);
    let start_ok = [&[0, 10, 0, 11, 0, 0, 0, 0][..], &short(b"PLAIN"), &long(plain.as_bytes()), &short(b"en_US")];
    write_frame(&mut stream, 1, 0, &start_ok.concat()).await?;
    read_frame(&mut stream).await?; // tune
    write_frame(&mut stream, 1, 0, &[0, 10, 0, 31, 7, 255, 0, 2, 0, 0, 0, 0]).await?;
    let open = [&[0, 10, 0, 40][..], &short(world.name().as_bytes()), &[0, 0]].concat();
    write_frame(&mut stream, 1, 0, &open).await?;
    read_frame(&mut stream).await?; // open-ok
    write_frame(&mut stream, 1, 1, &[0, 20, 0, 10, 0]).await?;
    read_frame(&mut stream).await?; // channel open-ok
    write_frame(&mut stream, 1, 1, &[0, 85, 0, 10, 0]).await?;
    read_frame(&mut stream).await?; // select-ok
    let publish = [&[0, 60, 0, 40, 0, 0][..], &short(names::EXCHANGE_IN.as_bytes()), &short(b"submit.normal"), &[1]];
    write_frame(&mut stream, 1, 1, &publish.concat()).await?;
    // Class 60, weight 0, two bytes of body.
    let header = [&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2][..], &flags.to_be_bytes(), properties];
    write_frame(&mut stream, 2, 1, &header.concat()).await?;
    write_frame(&mut stream, 3, 1, b"{}").await?;
    let answer = read_frame(&mut stream).await?;
    assert_eq!(answer[..4], [0, 60, 0, 80], "a confirm, not {answer:?}");
    Ok(())
}

async fn write_frame(stream: &mut TcpStream, kind: u8, channel: u16, payload: &[u8]) -> anyhow::Result<()> {
    let length = u32::try_from(payload.len())?.to_be_bytes();
    let frame = [&[kind][..], &channel.to_be_bytes(), &length, payload, &[0xce]].concat();
    Ok(stream.write_all(&frame).await?)
}

async fn read_frame(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut head = [0; 7];
    timeout(PATIENCE, stream.read_exact(&mut head)).await??;
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    let mut payload = vec![0; usize::try_from(length)? + 1];
    timeout(PATIENCE, stream.read_exact(&mut payload)).await??;
    Ok(payload)
}

/// The queue goes on: the message itself comes out, whatever it was.
async fn survives(name: &str, flags: u16, properties: &[u8]) -> anyhow::Result<()> {
    let mut world = World::new(name).await?;
    let bus = Bus::connect(&world.bus_settings(), &CancellationToken::new())?;
    timeout(PATIENCE, bus.ready()).await??;
    let login = world.offices(1).await?.remove(0);
    publish_raw(&world, &login, flags, properties).await?;
    let settings = ConsumerSettings::new(names::QUEUE_INTAKE, 1);
    let mut consumer = bus.consumer(settings, CancellationToken::new());
    let batch = timeout(Duration::from_secs(10), consumer.next_batch()).await?.expect("a batch");
    assert_eq!(batch.deliveries[0].bytes, b"{}");
    batch.ack_all().await?;
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_id_that_is_not_utf_8_does_not_stop_the_queue() -> anyhow::Result<()> {
    survives("not_utf_8", 0x0080, b"\x03\xff\xfe\xfd").await
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_nested_without_end_do_not_end_the_process() -> anyhow::Result<()> {
    // An array in an array in an array …, as the one header "a".
    let mut value = Vec::new();
    for _ in 0..20_000 {
        let length = u32::try_from(value.len())?.to_be_bytes();
        // Collected from the inside out, and turned round below.
        value.extend(length.iter().rev());
        value.push(b'A');
    }
    value.reverse();
    let entry = [b"\x01a".as_slice(), &value].concat();
    let table = [&u32::try_from(entry.len())?.to_be_bytes()[..], &entry].concat();
    survives("nested", 0x2000, &table).await
}
