//! A process dies at a numbered point in the middle of its work, and another takes over.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use xacminh_services::AbortPoint;
use xacminh_testkit::{OfficeClient, eventually};

use crate::office::{DELIVER, Got, RECEIPT, form, message, send, submit, take};
use crate::product::{Product, START, root};

const THURSDAY: &str = "2026-11-19T08:00:00+07:00";
const THE_DAY: &str = "2026-11-19";
/// Offices of these tests, a ward and a home for each, with a unit that they serve.
const WARDS: [(&str, &str); 14] = [
    ("vpy3356l", "26620"),
    ("vpy45bs3", "15199"),
    ("vpy5exzu", "13093"),
    ("vpy5j2zd", "18364"),
    ("vpy6cdfl", "08431"),
    ("vpy6zzvm", "15499"),
    ("vpy753lu", "28696"),
    ("vpy7audu", "05605"),
    ("vpy7jp7c", "22909"),
    ("vpy7pus5", "05482"),
    ("vpy7vm5f", "17641"),
    ("vpy7vnwm", "25666"),
    ("vpz36bsm", "03162"),
    ("vpzezn5b", "03316"),
];
const SIGABRT: i32 = 6;
const REQUESTS: u32 = 25;

async fn count(database: &mut PgConnection, statement: &'static str) -> Result<i64> {
    Ok(sqlx::query_scalar(statement).fetch_one(database).await?)
}

async fn until(database: &mut PgConnection, statement: &'static str, wanted: i64) {
    eventually(&format!("{wanted} of {statement}"), START, async || {
        (count(database, statement).await.ok()? == wanted).then_some(())
    })
    .await;
}

/// Starts all roles with the order to die at a point, and hands back a way to wait for that.
async fn doomed(product: &Product, point: AbortPoint) -> Result<crate::product::Running> {
    let number = (point as u8).to_string();
    product.spawn(&[], &[("XACMINH_ABORT_AT", &number)]).await
}

async fn dies(running: crate::product::Running) -> Result<()> {
    let status = running.child.ended(START).await?;
    ensure!(status.signal() == Some(SIGABRT), "it ended otherwise: {status}");
    Ok(())
}

/// What came to an office: by message-id, each with its bytes; the same id never with other bytes.
#[derive(Default)]
struct Came(HashMap<String, Got>);

impl Came {
    fn keep(&mut self, got: Got) -> Result<()> {
        if let Some(before) = self.0.get(&got.message_id) {
            ensure!(before.bytes == got.bytes, "{} came again with other bytes", got.message_id);
        }
        self.0.insert(got.message_id.clone(), got);
        Ok(())
    }

    async fn until(&mut self, of: &mut OfficeClient, enough: impl Fn(&Self) -> bool) -> Result<()> {
        while !enough(self) {
            self.keep(take(of).await.with_context(|| format!("after {} messages", self.0.len()))?)?;
        }
        Ok(())
    }

    /// Receipts by the command they are about; more than one about a command must say the same.
    fn receipts(&self) -> HashMap<String, String> {
        let items =
            self.0.values().filter(|got| got.message_type == RECEIPT).flat_map(|got| got.body["items"].as_array());
        let mut by_command = HashMap::new();
        for item in items.flatten() {
            let said = item.to_string();
            let before = by_command.insert(item["message_id"].as_str().unwrap_or("?").to_owned(), said.clone());
            assert!(before.is_none_or(|before| before == said), "two receipts: {said}");
        }
        by_command
    }

    /// Requests that were delivered, each under one message-id.
    fn requests(&self) -> Vec<String> {
        let delivered = self.0.values().filter(|got| got.message_type == DELIVER);
        let mut all: Vec<String> =
            delivered.map(|got| got.body["request_id"].as_str().unwrap_or("?").to_owned()).collect();
        all.sort_unstable();
        all
    }

    /// Requests whose answers came.
    fn answers(&self) -> usize {
        self.0.values().filter(|got| got.message_type == "xacminh.answer.deliver.v1").count()
    }
}

/// Work is on its way when the process dies at a point; another one brings all of it to its end.
async fn a_life_with_a_death(name: &str, point: AbortPoint, ward: &str, home: &str, unit: &str) -> Result<()> {
    let product = Product::new(name, Some(THURSDAY), &[ward, home]).await?;
    let mut database = PgConnection::connect(&product.world.pg_url()).await?;
    let (mut ward, mut home) = (product.office(ward).await?, product.office(home).await?);
    let running = doomed(&product, point).await?;
    let mut sent = Vec::new();
    for number in 0..REQUESTS {
        let message = submit(&ward, product.now(), &form(number, THE_DAY, unit))?;
        send(&mut ward, &message).await?;
        sent.push(message);
    }
    dies(running).await?;

    let running = product.start(&[]).await?;
    // A ward that is in doubt sends the same again; it need not, so every other one is left alone: the
    // first too, which was in the process's hands when it died, alone or with others.
    for message in sent.iter().skip(1).step_by(2) {
        send(&mut ward, message).await?;
    }
    let (mut at_ward, mut at_home) = (Came::default(), Came::default());
    let all = sent.len();
    at_ward.until(&mut ward, |came| came.receipts().len() == all).await?;
    at_home.until(&mut home, |came| came.requests().len() == all).await?;
    let mut ids: Vec<String> = sent.iter().map(|m| m.message_id.clone()).collect();
    ids.sort_unstable();
    assert_eq!(at_home.requests(), ids, "each request once, under one message-id");
    // The home may have had it from the process that died; only when its successor has sent it again is the
    // sending on record. An answer before that leaves nothing to send.
    until(&mut database, "select count(*) from requests where state = 'sent'", i64::from(REQUESTS)).await;
    for id in &ids {
        let body = json!({ "request_id": id, "code": "A01", "answered_by": "cb-1" });
        let answer = message(&home, "answer.give", "answer.give", product.now(), serde_json::to_vec(&body)?)?;
        send(&mut home, &answer).await?;
    }
    at_ward.until(&mut ward, |came| came.answers() == all).await?;

    let all = i64::from(REQUESTS);
    until(&mut database, "select count(*) from outbox", 0).await;
    assert_eq!(count(&mut database, "select count(*) from deliveries").await?, 0);
    assert_eq!(count(&mut database, "select count(*) from requests").await?, all);
    // Submitted, sent, delivered, clock, opened, answered, answer sent.
    until(&mut database, "select count(*) from events", 7 * all).await;
    for id in &ids {
        product.run(&["request", "verify", id]).await?;
    }
    running.stop().await?;
    database.close().await?;
    product.close().await
}

#[tokio::test]
async fn dead_before_the_commit() -> Result<()> {
    a_life_with_a_death("abort1", AbortPoint::BeforeCommit, WARDS[0].0, WARDS[1].0, WARDS[1].1).await
}

#[tokio::test]
async fn dead_between_commit_and_ack() -> Result<()> {
    a_life_with_a_death("abort2", AbortPoint::BeforeAck, WARDS[2].0, WARDS[3].0, WARDS[3].1).await
}

#[tokio::test]
async fn dead_before_the_publish() -> Result<()> {
    a_life_with_a_death("abort3", AbortPoint::BeforePublish, WARDS[4].0, WARDS[5].0, WARDS[5].1).await
}

#[tokio::test]
async fn dead_between_publish_and_mark() -> Result<()> {
    a_life_with_a_death("abort4", AbortPoint::BeforeMark, WARDS[6].0, WARDS[7].0, WARDS[7].1).await
}

/// Silence climbs through a death while rungs fire, or while digests are made.
async fn a_ladder_with_a_death(name: &str, point: AbortPoint, ward: &str, home: &str, unit: &str) -> Result<()> {
    let product = Product::new(name, Some(THURSDAY), &[ward, home]).await?;
    let mut database = PgConnection::connect(&product.world.pg_url()).await?;
    let (mut ward, mut home) = (product.office(ward).await?, product.office(home).await?);
    let running = product.start(&[]).await?;
    for number in 0..REQUESTS {
        let message = submit(&ward, product.now(), &form(number, THE_DAY, unit))?;
        send(&mut ward, &message).await?;
    }
    until(&mut database, "select count(*) from requests where state = 'sent'", REQUESTS.into()).await;
    running.stop().await?;

    let running = doomed(&product, point).await?;
    product.jump("2026-11-23T09:00:00+07:00")?;
    dies(running).await?;
    let running = product.start(&[]).await?;
    // Not confirmed, accept due, the morning of the answer due: to the operator, the head, the responder.
    until(&mut database, "select count(*) from rungs", 3 * i64::from(REQUESTS)).await;
    until(&mut database, "select count(*) from notice_lines where leave_at <= '2026-11-23T09:00+07'", 0).await;
    until(&mut database, "select count(*) from outbox", 0).await;
    let mut told: HashMap<(String, String), usize> = HashMap::new();
    let mut came = Came::default();
    let lines = 2 * usize::try_from(REQUESTS)?;
    let notices = |came: &Came| -> Vec<serde_json::Value> {
        let notices = came.0.values().filter(|got| got.message_type == "xacminh.notice.v1");
        notices.flat_map(|got| got.body["items"].as_array().cloned().unwrap_or_default()).collect()
    };
    // Submitted, sent, the clock, three rungs.
    assert_eq!(count(&mut database, "select count(*) from events").await?, 6 * i64::from(REQUESTS));
    // All that was told lies in the inbox, so that it comes before this.
    let last = submit(&ward, product.now(), &form(REQUESTS, THE_DAY, unit))?;
    send(&mut ward, &last).await?;
    came.until(&mut home, |came| came.requests().contains(&last.message_id)).await?;
    for line in notices(&came) {
        let text = |name: &str| line[name].as_str().unwrap_or("?").to_owned();
        *told.entry((text("request_id"), text("topic"))).or_default() += 1;
    }
    assert_eq!(told.len(), lines, "{told:?}");
    assert!(told.values().all(|times| *times == 1), "told twice: {told:?}");
    running.stop().await?;
    database.close().await?;
    product.close().await
}

#[tokio::test]
async fn dead_while_rungs_fire() -> Result<()> {
    a_ladder_with_a_death("abort5", AbortPoint::BeforeFired, WARDS[8].0, WARDS[9].0, WARDS[9].1).await
}

#[tokio::test]
async fn dead_while_digests_are_made() -> Result<()> {
    a_ladder_with_a_death("abort6", AbortPoint::BeforeDigest, WARDS[10].0, WARDS[11].0, WARDS[11].1).await
}

/// A day off comes late, and the process dies while it counts the due dates anew.
#[tokio::test]
async fn dead_while_due_dates_are_counted_anew() -> Result<()> {
    let (ward, (home, unit)) = (WARDS[12].0, WARDS[13]);
    let product = Product::new("abort7", Some(THURSDAY), &[ward, home]).await?;
    let mut database = PgConnection::connect(&product.world.pg_url()).await?;
    let mut ward = product.office(ward).await?;
    let running = product.start(&[]).await?;
    for number in 0..REQUESTS {
        let message = submit(&ward, product.now(), &form(number, THE_DAY, unit))?;
        send(&mut ward, &message).await?;
    }
    let all = i64::from(REQUESTS);
    until(&mut database, "select count(*) from requests where state = 'sent'", all).await;
    running.stop().await?;

    let running = doomed(&product, AbortPoint::BeforeRecounted).await?;
    let data = product.file("data");
    let copied = tokio::process::Command::new("cp").arg("-r").arg(root().join("data")).arg(&data).status().await?;
    ensure!(copied.success(), "copying the data");
    let year = data.join("calendar/vn-2026.csv");
    let days = std::fs::read_to_string(&year)? + "2026-11-23,compensatory_rest,Nghỉ hoán đổi,official\n";
    std::fs::write(&year, days)?;
    std::fs::write(data.join("VERSION"), "2026-11-27.1\n")?;
    let said = product.run_with(&["import"], &[("XACMINH_DATA_DIR", &data.display().to_string())]).await?;
    ensure!(said.contains(&format!("{all} open requests get other due dates")), "{said}");
    dies(running).await?;
    let moved = "select count(*) from requests where file_due_on = '2026-11-26'";
    assert_eq!(count(&mut database, moved).await?, 0, "what was not committed did not happen");

    let running = product.start(&[]).await?;
    until(&mut database, moved, all).await;
    until(&mut database, "select max(passes)::bigint from recounts", 1).await;
    let events = "select count(*) from events where convert_from(body, 'UTF8') like '%\"recounted\"%'";
    assert_eq!(count(&mut database, events).await?, all, "each once");
    let ids: Vec<String> = sqlx::query_scalar("select request_id::text from requests").fetch_all(&mut database).await?;
    for id in &ids {
        product.run(&["request", "verify", id]).await?;
    }
    let traced = product.run(&["request", "trace", &ids[0]]).await?;
    ensure!(traced.contains("25/11/2026 → 26/11/2026"), "{traced}");
    let (_, page) = running.page("/readyz?verbose").await?;
    ensure!(
        page.contains(&format!("[+] due dates: {all} requests were counted anew on version 2026-11-27.1")),
        "{page}"
    );
    running.stop().await?;
    database.close().await?;
    product.close().await
}
