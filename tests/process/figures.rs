//! The figures of a nation's usual backlog, 20,000 open requests over all offices: are they what the
//! store says at that moment, and what does it cost to ask?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use xacminh_testkit::eventually;

use crate::product::{Product, START};

const OPEN: i64 = 20_000;
/// What a page of the nation's figures may take.
const QUICK: Duration = Duration::from_millis(100);
/// More series than this on both pages, and a Prometheus of the usual size begins to feel it.
const MOST_SERIES: usize = 20_000;

/// In every state, over the last twenty days, from every office to every other. Nothing is due, so no
/// ledger is asked for that is not there.
const FILL: &str = "
    with numbered as (
        select office_id, coalesce(province_code, 'VN') as province, row_number() over (order by office_id) - 1 as n,
            count(*) over () as offices
        from offices),
    filled as (
        insert into requests (request_id, requester, responder, requester_province, responder_province, home_unit, kind,
            lane, lookup_pending, case_code, received_on, state, seq, head_hash, submitted_at, answer_due_at)
        select (left(uuid_floor(now())::text, 14) || '7' || substr(gen_random_uuid()::text, 16))::uuid, w.office_id, h.office_id, w.province, h.province, '00004', 'temp_residence', 'normal',
            i % 50 = 0, 'TT-' || i, current_date,
            (array['submitted', 'sent', 'delivered', 'opened', 'answered'])[1 + i % 5], 1, '\\x00',
            now() - make_interval(secs => 1 + (i * 7919) % 1728000),
            case when i % 5 > 1 then now() - make_interval(hours => i % 72 - 36) end
        from generate_series(1, 20000) i
            join numbered h on h.n = i % h.offices
            join numbered w on w.n = (i * 31) % w.offices
        returning request_id)
    insert into timers (request_id, due_at) select request_id, 'infinity' from filled";

/// The series of a metric on a page, by its labels.
fn series(page: &str, metric: &str) -> BTreeMap<String, f64> {
    let start = format!("{metric}{{");
    page.lines()
        .filter_map(|line| line.strip_prefix(&start)?.split_once("} "))
        .filter_map(|(labels, value)| Some((labels.to_owned(), value.parse().ok()?)))
        .collect()
}

/// The same from the store: seconds since the oldest, by labels.
async fn ages(product: &Product, question: &str) -> Result<BTreeMap<String, f64>> {
    let rows = product.world.rows(question).await?;
    rows.iter()
        .map(|row| {
            let (labels, age) = row.split_once(' ').context("labels and an age")?;
            Ok((labels.to_owned(), age.parse()?))
        })
        .collect()
}

/// Each age of a page is within a second of what the store said before and after it.
fn within_a_second(page: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) {
    assert!(page.keys().eq(before.keys()), "the same rows: {page:?} and {before:?}");
    for (labels, age) in page {
        let (from, to) = (before[labels] - 1.0, after[labels] + 1.0);
        assert!((from..=to).contains(age), "{labels}: {age} is not in {from} to {to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_20_000_open_requests_ages_are_those_of_the_store_and_a_page_is_quick() -> Result<()> {
    let product = Product::without_offices("figures", None).await?;
    // As a process at work makes them.
    product.world.sql("select ensure_partitions(current_date - 40, current_date + 40)").await?;
    product.world.sql(FILL).await?;
    product.world.sql("analyze requests; analyze timers").await?;
    // With the usual rhythm of five seconds: ages are right between two looks as well.
    let running = product.start(&["measuring"]).await?;
    eventually("all of them counted", START, async || {
        let (_, page) = running.page("/metrics").await.ok()?;
        let open: f64 = series(&page, "xacminh_requests_open").values().sum();
        (open == OPEN as f64).then_some(())
    })
    .await;

    let question =
        "select format('province=\"%s\",state=\"%s\" %s', province, state, extract(epoch from now() - oldest)) from (
            select case state when 'answered' then requester_province else responder_province end as province, state,
                min(submitted_at) as oldest
            from requests group by 1, 2) r";
    let mut took = Vec::new();
    let (mut first, mut of_the_nation) = (None, 0);
    // From one look of measuring to the next and the one after that.
    eventually("two more looks", START, async || {
        let before = ages(&product, question).await.ok()?;
        let asked = Instant::now();
        let (_, page) = running.page("/metrics").await.ok()?;
        took.push(asked.elapsed());
        let after = ages(&product, question).await.ok()?;
        let shown = series(&page, "xacminh_requests_oldest_age_seconds");
        assert!(shown.len() > 150, "every province in every state, not {}", shown.len());
        within_a_second(&shown, &before, &after);
        of_the_nation = page.lines().filter(|line| !line.starts_with('#')).count();
        let line = page.lines().find_map(|line| line.strip_prefix("xacminh_measurings_total "))?;
        let looks: u64 = line.parse().ok()?;
        (looks >= *first.get_or_insert(looks) + 2).then_some(())
    })
    .await;
    took.sort_unstable();
    eprintln!(
        "/metrics at {OPEN} open: {:?} at best, {:?} the median of {}",
        took[0],
        took[took.len() / 2],
        took.len()
    );
    // The best of them says what it costs; the others also what else the machine does.
    ensure!(took[0] < QUICK, "{took:?}");

    let by_office = "select format('office=\"%s\",province=\"%s\" %s', responder, responder_province,
            extract(epoch from now() - min(submitted_at)))
        from requests where state <> 'answered' group by responder, responder_province";
    let before = ages(&product, by_office).await?;
    let asked = Instant::now();
    let (status, page) = running.page("/metrics/offices").await?;
    let took = asked.elapsed();
    let after = ages(&product, by_office).await?;
    ensure!(status == 200, "{status}");
    within_a_second(&series(&page, "xacminh_office_requests_oldest_age_seconds"), &before, &after);
    let all = page.lines().filter(|line| !line.starts_with('#')).count();
    eprintln!("/metrics/offices at {OPEN} open: {took:?}, {all} series of {} offices", before.len());
    ensure!(of_the_nation + all < MOST_SERIES, "{of_the_nation} and {all}");
    running.stop().await?;
    product.close().await
}
