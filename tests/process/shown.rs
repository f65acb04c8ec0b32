//! What a command shows of a message while nobody asks for its content.

use anyhow::{Context, Result, ensure};
use xacminh_testkit::{PATIENCE, eventually};

use crate::office::{DELIVER, form, receipt_of, send, submit};
use crate::product::Product;

const THURSDAY: &str = "2026-11-19T08:00:00+07:00";

#[tokio::test]
async fn an_inbox_shows_persons_only_with_body() -> Result<()> {
    const WARD: &str = "vpyepd3k";
    const HOME: (&str, &str) = ("vpyfmu4t", "05212");

    let product = Product::new("shown", Some(THURSDAY), &[WARD, HOME.0]).await?;
    let running = product.start(&[]).await?;
    let mut ward = product.office(WARD).await?;
    let form = form(7, "2026-11-19", HOME.1);
    let asked = submit(&ward, product.now(), &form)?;
    send(&mut ward, &asked).await?;
    receipt_of(&mut ward, &asked.message_id).await?;
    let sent = format!("select count(*) from requests where state = 'sent' and request_id = '{}'", asked.message_id);
    eventually("a request in the inbox", PATIENCE, async || {
        (product.world.number(sent.clone()).await.ok()? == 1).then_some(())
    })
    .await;

    let credentials = product.file("credentials.csv").display().to_string();
    let look = ["inbox", HOME.0, "--credentials", &credentials];
    // A look ends when the inbox was quiet for a moment, and a busy RabbitMQ may be quiet that long.
    let looked = async |more: &[&str]| {
        eventually("the request in a look", PATIENCE, async || {
            product.run(&[&look[..], more].concat()).await.ok().filter(|page| page.contains(DELIVER))
        })
        .await
    };
    let without = looked(&[]).await;
    for part in [DELIVER, &asked.message_id, "hồ sơ (file) TT-7", "(temp_residence)", "hẹn trả (file due) 2"] {
        ensure!(without.contains(part), "{part} is not in\n{without}");
    }
    let with = looked(&["--body"]).await;
    let person = form["person"].as_object().context("a person")?;
    ensure!(person.len() > 3, "name, number, birth and address");
    for (field, value) in person {
        let value = value.as_str().context("a text")?;
        ensure!(with.contains(value), "{field} is not shown with --body");
        ensure!(!without.contains(value), "{field} is shown without --body");
    }

    running.stop().await?;
    product.close().await
}

#[tokio::test]
async fn a_parked_message_of_no_office_names_its_login() -> Result<()> {
    let mut product = Product::without_offices("login", Some(THURSDAY)).await?;
    let running = product.start(&[]).await?;
    let mut stranger = product.world.office().await?;
    let early = submit(&stranger, product.now(), &form(8, "2026-11-19", "00004"))?;
    send(&mut stranger, &early).await?;
    let parked = "select coalesce(max(parked_id), 0) from parked where reason = 'sender_unknown'";
    let id =
        eventually("a parked message", PATIENCE, async || product.world.number(parked).await.ok().filter(|id| *id > 0))
            .await;
    let shown = product.run(&["parked", "show", &id.to_string()]).await?;
    ensure!(shown.contains(&format!("Login: {}", stranger.login())), "{shown}");
    ensure!(!shown.contains("full_name"), "{shown}");

    running.stop().await?;
    product.close().await
}
