//! Does the log grow with batches, and not with messages?

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::timeout;
use xacminh_testkit::eventually;

use crate::office::{Seen, form, submit};
use crate::product::{Product, START};

/// A ward, a home and a unit that it serves; of each test its own.
const AT_INFO: [&str; 3] = ["vpzincxo", "vpzlkz5z", "24265"];
const AT_DEBUG: [&str; 3] = ["vpziwrzq", "vpzmmsdk", "18406"];
const THURSDAY: &str = "2026-11-19T08:00:00+07:00";
const THE_DAY: &str = "2026-11-19";
/// Submits at a stroke; each is taken, brought to its home (200 at once) and answered by a receipt.
const MESSAGES: usize = 400;
/// Of so many messages and letters, a log of batches has at most as many lines.
const LINES_AT_DEBUG: usize = MESSAGES / 4;
const LINES_AT_INFO: usize = 20;

/// The sum of a field over the lines of a message.
fn counted(lines: &[Value], message: &str, field: &str) -> u64 {
    lines.iter().filter(|line| line["message"] == message).filter_map(|line| line[field].as_u64()).sum()
}

/// Sends them all; gives what the process wrote until it wrote enough, a JSON object a line.
async fn lines_under_traffic(
    name: &str,
    [ward, home, unit]: [&str; 3],
    filter: &str,
    enough: impl Fn(&[Value]) -> bool,
) -> Result<Vec<Value>> {
    let product = Product::new(name, Some(THURSDAY), &[ward, home]).await?;
    let mut running = product.spawn(&[], &[("XACMINH_LOG__FILTER", filter)]).await?;
    running.child.wait_until_ready(&running.admin, "/readyz", START).await?;
    let (mut ward, mut home) = (product.office(ward).await?, product.office(home).await?);
    let mut submits = Vec::with_capacity(MESSAGES);
    for number in 0..u32::try_from(MESSAGES)? {
        submits.push(submit(&ward, product.now(), &form(number, THE_DAY, unit))?);
    }
    ward.publish_all(&submits).await?;
    // Behind the first 200 the rest waits for confirms, which are not the point here.
    let (mut receipts, mut delivers) = (Seen::default(), Seen::default());
    let both = async { tokio::try_join!(receipts.receipts(&mut ward, MESSAGES), delivers.delivers(&mut home, 200)) };
    timeout(START, both).await.context("not all receipts and deliveries came")??;
    // An office may have a letter before the process says that it has left.
    eventually("enough in the log", START, async || enough(&parsed(&running.child.said()).ok()?).then_some(())).await;
    let lines = parsed(&running.child.said())?;
    running.stop().await?;
    product.close().await?;
    Ok(lines)
}

fn parsed(said: &[String]) -> Result<Vec<Value>> {
    said.iter().map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))).collect()
}

#[tokio::test]
async fn at_info_ordinary_work_is_not_told_at_all() -> Result<()> {
    let lines = lines_under_traffic("log_info", AT_INFO, "info", |_| true).await?;
    ensure!(lines.len() <= LINES_AT_INFO, "{} lines at info for {MESSAGES} messages: {lines:#?}", lines.len());
    ensure!(lines.iter().any(|line| line["message"] == "running"), "nothing was logged at all");
    Ok(())
}

#[tokio::test]
async fn at_debug_a_line_is_a_batch_and_tells_how_many() -> Result<()> {
    let all = u64::try_from(MESSAGES)?;
    let told = |lines: &[Value]| {
        counted(lines, "a batch is stored and acknowledged", "messages") >= all
            && counted(lines, "a batch of letters has left", "letters") >= 200
    };
    let lines = lines_under_traffic("log_debug", AT_DEBUG, "info,xacminh_services=debug", told).await?;
    ensure!(lines.len() <= LINES_AT_DEBUG, "{} lines at debug for {MESSAGES} messages", lines.len());
    Ok(())
}
