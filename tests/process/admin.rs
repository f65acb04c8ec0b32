//! What does an operator see who looks at the admin port, and when something is not there?

use anyhow::{Context, Result, ensure};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;
use xacminh_testkit::{PATIENCE, eventually};

use crate::product::{Product, START, binary};

#[tokio::test]
async fn the_admin_port_tells_that_it_lives_that_it_is_ready_and_what_it_counts() -> Result<()> {
    let product = Product::without_offices("admin", None).await?;
    let running = product.start(&[]).await?;

    let (status, text) = running.page("/livez").await?;
    assert_eq!((status, text.as_str()), (200, "ok\n"));
    let (status, text) = running.page("/readyz").await?;
    assert!(status == 200 && text.contains("Ready."), "{status} {text}");
    let (status, text) = running.page("/metrics").await?;
    assert!(status == 200 && text.contains("# TYPE xacminh_"), "{status} {text}");
    let (status, text) = running.page("/secrets").await?;
    assert!(status == 404 && text.contains("No such page."), "{status} {text}");

    running.stop().await?;
    product.close().await
}

#[tokio::test]
async fn readiness_names_a_rabbitmq_that_is_not_there() -> Result<()> {
    let product = Product::without_offices("no_rabbitmq", None).await?;
    // Port 1 of this machine: nobody listens there.
    let nowhere = [("XACMINH_RABBITMQ__URL", "amqp://somebody:geheim@127.0.0.1:1/v")];
    let running = product.spawn(&[], &nowhere).await?;

    let text = eventually("503 that names RabbitMQ", PATIENCE, async || match running.page("/readyz").await {
        Ok((503, text)) if text.contains("RabbitMQ cannot be reached") && !text.contains("PostgreSQL") => Some(text),
        _ => None,
    })
    .await;
    assert!(text.contains("không kết nối được RabbitMQ"), "in Vietnamese too: {text}");
    assert!(text.contains("rabbitmq (127.0.0.1:1)"), "with its address: {text}");
    let parts = eventually("PostgreSQL well", PATIENCE, async || match running.page("/readyz?verbose").await {
        Ok((503, parts)) if parts.contains("[+] postgresql: ") => Some(parts),
        _ => None,
    })
    .await;
    for part in ["[-] rabbitmq publish: 127.0.0.1:1 cannot be used since", "refused", "none is lost"] {
        assert!(parts.contains(part), "{part} is not in: {parts}");
    }
    assert!(!parts.contains("geheim") && !parts.contains("somebody"), "no login on the page: {parts}");
    assert_eq!(running.page("/livez").await?.0, 200, "it lives, and tries again");
    let said = running.child.said().join("\n");
    assert!(!said.contains("geheim"), "no password in the log: {said}");

    running.stop().await?;
    product.close().await
}

#[tokio::test]
async fn a_command_without_postgresql_ends_with_the_address_and_the_cause() -> Result<()> {
    let product = Product::without_offices("no_postgresql", None).await?;
    let run = Command::new(binary()?)
        .args(["late"])
        .env("XACMINH_POSTGRESQL__URL", "postgres://somebody:geheim@127.0.0.1:1/nothing")
        .kill_on_drop(true)
        .output();
    let ended = timeout(START, run).await??;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(!ended.status.success(), "it ended well");
    for part in ["PostgreSQL at 127.0.0.1:1/nothing", "refused"] {
        ensure!(said.contains(part), "{part} is not in: {said}");
    }
    ensure!(!said.contains("geheim") && !said.contains("somebody"), "it repeats the login: {said}");
    product.close().await
}

#[tokio::test]
async fn it_waits_for_postgresql_says_for_what_and_begins_when_it_comes() -> Result<()> {
    let product = Product::without_offices("late_postgresql", None).await?;
    let real = product.world.pg_url();
    let (login, rest) = real.rsplit_once('@').context("no login in the address")?;
    let (there, database) = rest.split_once('/').context("no database in the address")?;
    // A port of our own where nobody listens yet: bound, so that nobody else gets it.
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let door = socket.local_addr()?;
    let url = format!("{login}@{door}/{database}");
    let mut running = product.spawn(&[], &[("XACMINH_POSTGRESQL__URL", &url)]).await?;

    running.child.wait_for_line("waiting for PostgreSQL", START).await?;
    let text =
        eventually("503 that names the address", PATIENCE, async || match running.page("/readyz?verbose").await {
            Ok((503, text)) if text.contains("[-] postgresql") && text.contains("refused") => Some(text),
            _ => None,
        })
        .await;
    for part in [
        format!("- postgresql ({door}/{database}): PostgreSQL cannot be reached"),
        "- roles: starting.".to_owned(),
        format!("[-] postgresql: {door}/{database} cannot be used since"),
        "Start PostgreSQL".to_owned(),
    ] {
        ensure!(text.contains(&part), "{part} is not in: {text}");
    }
    let (status, _) = running.page("/metrics/offices").await?;
    ensure!(status == 503, "figures that nobody could ask for");

    let listener = socket.listen(64)?;
    let there = there.to_owned();
    let forwarding = tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let there = there.clone();
            tokio::spawn(async move {
                let mut to = TcpStream::connect(there).await?;
                tokio::io::copy_bidirectional(&mut from, &mut to).await
            });
        }
    });
    running.child.wait_until_ready(&running.admin, "/readyz", START).await?;
    let text = eventually("all parts well", PATIENCE, async || match running.page("/readyz?verbose").await {
        Ok((200, text)) if !text.contains("[!]") => Some(text),
        _ => None,
    })
    .await;
    for part in ["postgresql", "rabbitmq publish", "rabbitmq consume", "rabbitmq blocked", "reference data", "shards"]
        .into_iter()
        .chain(["outbox", "partitions", "due dates", "work queues"])
    {
        ensure!(text.contains(&format!("[+] {part}: ")), "{part} is not well: {text}");
    }
    let said = running.child.said().join("\n");
    let password = login.rsplit_once(':').context("no password in the address")?.1;
    ensure!(!said.contains(password) && !text.contains(password), "it repeats the password");

    running.stop().await?;
    forwarding.abort();
    product.close().await
}

#[tokio::test]
async fn it_can_be_stopped_while_it_waits() -> Result<()> {
    let product = Product::without_offices("stop_waiting", None).await?;
    let nowhere = [("XACMINH_POSTGRESQL__URL", "postgres://somebody:geheim@127.0.0.1:1/nothing")];
    let mut running = product.spawn(&[], &nowhere).await?;
    running.child.wait_for_line("waiting for PostgreSQL", START).await?;
    running.stop().await?;
    product.close().await
}
