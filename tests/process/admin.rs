//! What does an operator see who looks at the admin port, and when something is not there?

use anyhow::{Result, ensure};
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
    assert_eq!(running.page("/livez").await?.0, 200, "it lives, and tries again");
    let said = running.child.said().join("\n");
    assert!(!said.contains("geheim"), "no password in the log: {said}");

    running.stop().await?;
    product.close().await
}

#[tokio::test]
async fn without_postgresql_it_ends_and_says_so() -> Result<()> {
    let product = Product::without_offices("no_postgresql", None).await?;
    let run = Command::new(binary()?)
        .arg("run")
        .env("XACMINH_POSTGRESQL__URL", "postgres://somebody:geheim@127.0.0.1:1/nothing")
        .env("XACMINH_RABBITMQ__URL", product.world.amqp_url())
        .env("XACMINH_KEYS__MASTER_FILE", product.key())
        .kill_on_drop(true)
        .output();
    let ended = timeout(START, run).await??;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(!ended.status.success(), "it ended well");
    ensure!(said.contains("PostgreSQL") || said.contains("postgresql"), "it does not name what is missing: {said}");
    ensure!(!said.contains("geheim"), "it repeats the password: {said}");
    product.close().await
}
