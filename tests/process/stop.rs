//! A clean stop gives nothing back; after a stop of days everything overdue fires at once, in order.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sqlx::{Connection, PgConnection};
use xacminh_testkit::eventually;

use crate::office::{Seen, form, submit, take};
use crate::product::{Product, START};

const THURSDAY: &str = "2026-11-19T08:00:00+07:00";
const THE_DAY: &str = "2026-11-19";

async fn count(database: &mut PgConnection, statement: &'static str) -> Result<i64> {
    Ok(sqlx::query_scalar(statement).fetch_one(database).await?)
}

async fn at_least(database: &mut PgConnection, statement: &'static str, wanted: i64, within: Duration) {
    eventually(&format!("{wanted} of {statement}"), within, async || {
        (count(database, statement).await.ok()? >= wanted).then_some(())
    })
    .await;
}

/// A counter of the metrics page.
fn counter(page: &str, name: &str) -> Result<u64> {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no {name}"))?.parse()?)
}

#[tokio::test]
async fn a_clean_stop_under_traffic_gives_nothing_back_and_a_kill_9_does() -> Result<()> {
    const WARD: &str = "vpybwxzx";
    const HOME: (&str, &str) = ("vpyeckuw", "12313");
    const WAVE: u32 = 400;
    let product = Product::new("redelivered", Some(THURSDAY), &[WARD, HOME.0]).await?;
    let mut database = PgConnection::connect(&product.world.pg_url()).await?;
    let mut ward = product.office(WARD).await?;
    let wave = |from: u32| -> Result<Vec<_>> {
        (from..from + WAVE).map(|n| submit(&ward, product.now(), &form(n, THE_DAY, HOME.1))).collect()
    };
    let (first, second) = (wave(0)?, wave(WAVE)?);
    // All wait at once, so that RabbitMQ sends ahead as much as it may.
    ward.publish_all(&first).await?;
    let running = product.start(&[]).await?;
    at_least(&mut database, "select count(*) from requests", 1, START).await;
    running.stop().await?;
    let taken = count(&mut database, "select count(*) from requests").await?;

    let running = product.start(&[]).await?;
    at_least(&mut database, "select count(*) from requests", WAVE.into(), START).await;
    let again = counter(&running.page("/metrics").await?.1, "xacminh_redelivered_total")?;
    assert_eq!(again, 0, "given back by the stop, which had taken {taken} of {WAVE}");
    running.stop().await?;

    // The same with a death is seen, so the counter can count.
    ward.publish_all(&second).await?;
    let running = product.start(&[]).await?;
    at_least(&mut database, "select count(*) from requests", i64::from(WAVE) + 1, START).await;
    running.kill_9().await?;
    let taken = count(&mut database, "select count(*) from requests").await?;
    let running = product.start(&[]).await?;
    Seen::default().receipts(&mut ward, 2 * usize::try_from(WAVE)?).await?;
    let again = counter(&running.page("/metrics").await?.1, "xacminh_redelivered_total")?;
    assert!(again > 0 || taken == 2 * i64::from(WAVE), "nothing came again, although {taken} were taken at the death");
    assert_eq!(count(&mut database, "select count(*) from requests").await?, 2 * i64::from(WAVE));
    running.stop().await?;
    database.close().await?;
    product.close().await
}

#[tokio::test]
async fn after_three_days_everything_overdue_fires_within_a_minute_in_order_and_in_digests() -> Result<()> {
    const WARD: &str = "vpyeoyee";
    const PROVINCE_UNIT: &str = "vpnjwqv2";
    const HOMES: [(&str, &str); 4] =
        [("vpyom7eg", "24841"), ("vpyrzxmj", "23134"), ("vpyupoko", "24751"), ("vpyxyrmn", "24985")];
    const EACH: usize = 200;
    let product =
        Product::new("days", Some(THURSDAY), &[WARD, PROVINCE_UNIT, HOMES[0].0, HOMES[1].0, HOMES[2].0, HOMES[3].0])
            .await?;
    let mut database = PgConnection::connect(&product.world.pg_url()).await?;
    let running = product.start(&[]).await?;
    let mut ward = product.office(WARD).await?;
    let messages: Vec<_> = (0_u32..)
        .zip(HOMES.iter().cycle())
        .take(EACH * HOMES.len())
        .map(|(n, (_, unit))| submit(&ward, product.now(), &form(n, THE_DAY, unit)))
        .collect::<Result<_>>()?;
    let all = i64::try_from(messages.len())?;
    ward.publish_all(&messages).await?;
    at_least(&mut database, "select count(*) from requests where state = 'sent'", all, START).await;
    running.stop().await?;

    // Thursday morning to Monday noon; the clocks of all start in between, with three more days to Thursday.
    product.jump("2026-11-23T07:00:00+07:00")?;
    let running = product.start(&[]).await?;
    at_least(&mut database, "select count(*) from rungs", 2 * all, START).await;
    at_least(&mut database, "select (count(*) = 0)::int::bigint from outbox", 1, START).await;
    running.stop().await?;
    product.jump("2026-11-26T09:00:00+07:00")?;
    let began = Instant::now();
    let running = product.start(&[]).await?;
    // The morning of the due day, PC06, C06, the file.
    at_least(&mut database, "select count(*) from rungs", 6 * all, Duration::from_secs(60)).await;
    at_least(
        &mut database,
        "select (count(*) = 0)::int::bigint from notice_lines where leave_at <= '2026-11-26T09:00+07'",
        1,
        Duration::from_secs(60).saturating_sub(began.elapsed()),
    )
    .await;
    println!("{} rungs of {all} requests and their digests: {:?}", 4 * all, began.elapsed());

    let out_of_order = "with fired as (
             select request_id, seq, (convert_from(body, 'UTF8')::jsonb ->> 'due_at')::timestamptz as due
             from events where convert_from(body, 'UTF8')::jsonb ->> 'event' = 'rung_fired')
         select count(*) from (select due < lag(due) over (partition by request_id order by seq) as back from fired) f
         where back";
    assert_eq!(count(&mut database, out_of_order).await?, 0);
    // PC06 hears of each silent office in one line, with the number of its requests.
    let mut province = product.office(PROVINCE_UNIT).await?;
    let mut told: HashMap<String, u64> = HashMap::new();
    while told.len() < HOMES.len() {
        let got = take(&mut province).await?;
        for item in got.body["items"].as_array().context("no items")? {
            let office = item["office"].as_str().context("a line about no office")?;
            let before = told.insert(office.to_owned(), item["count"].as_u64().context("no count")?);
            assert_eq!(before, None, "{office} was told of twice");
        }
    }
    assert!(told.values().all(|count| usize::try_from(*count).is_ok_and(|n| n == EACH)), "{told:?}");
    running.stop().await?;
    database.close().await?;
    product.close().await
}
