//! Several copies of every role at work, and one of them killed: the others go on with its share.

use std::time::Duration;

use anyhow::Result;
use sqlx::{Connection, PgConnection};
use xacminh_testkit::eventually;

use crate::office::{Seen, form, send, submit};
use crate::product::{Product, START};

const THURSDAY: &str = "2026-11-19T08:00:00+07:00";
const THE_DAY: &str = "2026-11-19";
/// By when the others have taken over what a dead copy held: its shards are asked for every three
/// seconds, and RabbitMQ and PostgreSQL notice a closed socket at once.
const TAKE_OVER: Duration = Duration::from_secs(15);

async fn one_of_so_many_dies(name: &str, copies: usize, ward: &str, homes: [(&str, &str); 2]) -> Result<()> {
    const EACH: usize = 90;
    let product = Product::new(name, Some(THURSDAY), &[ward, homes[0].0, homes[1].0]).await?;
    let mut database = PgConnection::connect(&product.world.pg_url()).await?;
    let mut ward = product.office(ward).await?;
    let mut running = Vec::new();
    for _ in 0..copies {
        running.push(product.start(&[]).await?);
    }
    let mut sent = Vec::new();
    for (number, (_, unit)) in (0_u32..).zip(homes.iter().cycle()).take(EACH * homes.len()) {
        let message = submit(&ward, product.now(), &form(number, THE_DAY, unit))?;
        send(&mut ward, &message).await?;
        sent.push(message.message_id);
        if sent.len() == EACH {
            running.remove(0).kill_9().await?;
        }
    }
    let all = i64::try_from(sent.len())?;
    eventually("all requests in their inboxes", TAKE_OVER, async || {
        let in_inboxes: i64 = sqlx::query_scalar("select count(*) from requests where state = 'sent'")
            .fetch_one(&mut database)
            .await
            .ok()?;
        (in_inboxes == all).then_some(())
    })
    .await;
    let mut receipts = Seen::default();
    receipts.receipts(&mut ward, sent.len()).await?;
    sent.sort_unstable();
    assert_eq!(receipts.about(), sent);
    let mut delivered = Vec::new();
    for (office, _) in homes {
        let (mut home, mut seen) = (product.office(office).await?, Seen::default());
        seen.delivers(&mut home, EACH).await?;
        delivered.extend(seen.about().into_iter().map(str::to_owned));
    }
    delivered.sort_unstable();
    assert_eq!(delivered, sent, "each request came to a home, once");

    // The ladder too, by the copies that are left: every rung once.
    product.jump("2026-11-26T09:00:00+07:00")?;
    eventually("all rungs", START, async || {
        let rungs: i64 = sqlx::query_scalar("select count(*) from rungs").fetch_one(&mut database).await.ok()?;
        (rungs == 6 * all).then_some(())
    })
    .await;
    let events: i64 = sqlx::query_scalar("select count(*) from events").fetch_one(&mut database).await?;
    assert_eq!(events, 9 * all, "submitted, sent, the clock and six rungs each");
    for copy in running {
        copy.stop().await?;
    }
    database.close().await?;
    product.close().await
}

#[tokio::test]
async fn one_of_two_copies_dies() -> Result<()> {
    one_of_so_many_dies("two", 2, "vpy7wexn", [("vpyacmb5", "03253"), ("vpyaddfx", "14452")]).await
}

#[tokio::test]
async fn one_of_three_copies_dies() -> Result<()> {
    one_of_so_many_dies("three", 3, "vpyaecdg", [("vpyamztp", "14161"), ("vpyaswzl", "10183")]).await
}
