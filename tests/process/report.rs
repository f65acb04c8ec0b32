//! One scene read in every way there is: report, SQL view, metrics, `late`, `call-list`. All tell the
//! same, and what the scene was made of.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use xacminh_domain::Timestamp;
use xacminh_testkit::{OfficeClient, PATIENCE, eventually};

use crate::office::{form, message, send, submit, take};
use crate::product::{Product, Running};

const THURSDAY: &str = "2026-11-19T08:00:00+07:00";
const WARDS: [&str; 2] = ["vpzzvcdb", "vpzylpk6"];
/// Answers, and is now and then late.
const GOOD: (&str, &str) = ("vpzzm6po", "28687");
/// Receives, opens some, answers nothing.
const SLOW: (&str, &str) = ("vpzvh3nl", "19804");
/// Never connects.
const GONE: (&str, &str) = ("vpzw2otf", "16213");

/// What became of how many, as the steps below make it.
const SUBMITTED: i64 = 40;
const IN_TIME: i64 = 9;
const LATE: i64 = 3;
const WITHDRAWN: i64 = 2;
const REFUSED: i64 = 3;

/// Rungs of the last morning that have not fired yet.
const DUE_RUNGS: &str = "select count(*) from timers where due_at <= '2026-11-26T09:00+07'";

struct Scene {
    product: Product,
    running: Running,
    wards: Vec<OfficeClient>,
    good: OfficeClient,
    slow: OfficeClient,
}

impl Scene {
    /// Submits so many from both wards in turn; gives their ids.
    async fn ask(
        &mut self,
        numbers: std::ops::Range<u32>,
        day: &str,
        unit: &str,
        change: &[(&str, Value)],
    ) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        for number in numbers {
            let mut form = form(number, day, unit);
            for (field, value) in change {
                form[*field] = value.clone();
            }
            let ward = &mut self.wards[usize::try_from(number % 2)?];
            let message = submit(ward, self.product.now(), &form)?;
            send(ward, &message).await?;
            ids.push(message.message_id);
        }
        Ok(ids)
    }

    async fn until(&self, question: &str, wanted: i64) {
        eventually(&format!("{wanted} from {question}"), PATIENCE, async || {
            (self.product.world.number(question).await.ok()? == wanted).then_some(())
        })
        .await;
    }

    async fn until_state(&self, ids: &[String], state: &str) -> Result<()> {
        let list = ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
        let question = format!("select count(*) from requests where state = '{state}' and request_id in ({list})");
        self.until(&question, i64::try_from(ids.len())?).await;
        Ok(())
    }

    /// An office says something about each of these requests.
    async fn say(&mut self, who: Who, command: &str, ids: &[String], more: Value) -> Result<()> {
        let now = self.product.now();
        for id in ids {
            let mut body = json!({ "request_id": id });
            if let Value::Object(more) = &more {
                more.iter().for_each(|(field, value)| body[field] = value.clone());
            }
            let asker: i64 = self
                .product
                .world
                .number(format!(
                    "select count(*) from requests where request_id = '{id}' and requester = '{}'",
                    WARDS[1]
                ))
                .await?;
            let office = match who {
                Who::Ward => &mut self.wards[usize::try_from(asker)?],
                Who::Good => &mut self.good,
                Who::Slow => &mut self.slow,
            };
            let key = match command {
                "request.withdraw" => "withdraw.normal",
                "file.close" => "close.normal",
                other => other,
            };
            let said = message(office, command, key, now, serde_json::to_vec(&body)?)?;
            send(office, &said).await?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Who {
    Ward,
    Good,
    Slow,
}

fn answer() -> Value {
    json!({ "code": "A01", "answered_by": "cb-017" })
}

/// Forty requests in every state: answered in time and late, read and unread, opened, received,
/// in an inbox that nobody reads, withdrawn; with files ended and refusals.
async fn play() -> Result<Scene> {
    let offices = [WARDS[0], WARDS[1], GOOD.0, SLOW.0, GONE.0];
    let product = Product::new("report", Some(THURSDAY), &offices).await?;
    let running = product.start(&[]).await?;
    let mut scene = Scene {
        wards: vec![product.office(WARDS[0]).await?, product.office(WARDS[1]).await?],
        good: product.office(GOOD.0).await?,
        slow: product.office(SLOW.0).await?,
        product,
        running,
    };
    let today = "2026-11-19";
    let good = scene.ask(0..10, today, GOOD.1, &[]).await?;
    let renewals = [("kind", json!("temp_renewal"))];
    let slow = scene.ask(10..20, today, SLOW.1, &renewals).await?;
    let gone = scene.ask(20..28, today, GONE.1, &[("received_at", json!("2026-11-19T07:10:00+07:00"))]).await?;
    scene.until_state(&[good.clone(), slow.clone(), gone].concat(), "sent").await?;

    // Readers, so that what they do not confirm is not taken for gone.
    take(&mut scene.good).await?;
    take(&mut scene.slow).await?;
    scene.say(Who::Good, "request.received", &good, Value::Null).await?;
    scene.say(Who::Slow, "request.received", &slow, Value::Null).await?;
    scene.until_state(&[good.clone(), slow.clone()].concat(), "delivered").await?;
    scene.say(Who::Good, "request.opened", &good[..5], Value::Null).await?;
    scene.say(Who::Slow, "request.opened", &slow[..4], Value::Null).await?;
    scene.until_state(&[&good[..5], &slow[..4]].concat(), "opened").await?;
    // Three at once after the opening, one without any.
    scene.say(Who::Good, "answer.give", &good[..3], answer()).await?;
    scene.say(Who::Good, "answer.give", &good[9..], answer()).await?;
    scene.until_state(&[&good[..3], &good[9..]].concat(), "answered").await?;
    scene.say(Who::Ward, "request.withdraw", &slow[8..], json!({ "reason": "no_longer_needed" })).await?;
    scene.until_state(&slow[8..], "withdrawn").await?;

    scene.product.jump("2026-11-20T09:00:00+07:00")?;
    scene.say(Who::Ward, "answer.read", &good[..2], Value::Null).await?;
    scene.until_state(&good[..2], "read").await?;
    scene.say(Who::Ward, "file.close", &good[..1], json!({ "form": "ct08", "closed_on": "2026-11-20" })).await?;
    scene.say(Who::Good, "answer.give", &good[3..8], answer()).await?;
    scene.until_state(&good[3..8], "answered").await?;
    // Of the purpose and kind that only few have.
    let few = [("kind", json!("data_correction")), ("purpose", json!("correction"))];
    let later = scene.ask(28..32, "2026-11-20", GOOD.1, &few).await?;
    scene.until_state(&later, "sent").await?;

    // No such home, a number that cannot be, a field that no message has.
    scene.ask(32..33, "2026-11-20", "99999", &[]).await?;
    let mut wrong = form(33, "2026-11-20", GOOD.1);
    wrong["person"]["person_no"] = json!("12345");
    let bad = submit(&scene.wards[0], scene.product.now(), &wrong)?;
    send(&mut scene.wards[0], &bad).await?;
    scene.ask(34..35, "2026-11-20", GOOD.1, &[("surprise", json!(1))]).await?;
    scene.until("select count(*) from refused", REFUSED).await;

    // Thursday: everything of the 19th is past its due; H answers some of it late, most is not read.
    scene.product.jump("2026-11-26T09:00:00+07:00")?;
    // Their clocks have run since four working hours after the 20th; a `received` that overtakes the
    // rung would start them today.
    scene.until(DUE_RUNGS, 0).await;
    scene.say(Who::Good, "request.received", &later, Value::Null).await?;
    scene.say(Who::Good, "answer.give", &good[8..9], answer()).await?;
    scene.say(Who::Good, "answer.give", &later[..2], answer()).await?;
    scene.until_state(&[&good[8..9], &later[..2]].concat(), "answered").await?;
    scene.say(Who::Ward, "answer.read", &good[2..3], Value::Null).await?;
    scene.until_state(&good[2..3], "read").await?;
    scene.say(Who::Ward, "file.close", &good[2..3], json!({ "form": "ct08", "closed_on": "2026-11-26" })).await?;
    scene.until("select count(*) from requests where file_closed_on is not null", 2).await;
    let today = scene.ask(40..48, "2026-11-26", SLOW.1, &[]).await?;
    scene.until_state(&today, "sent").await?;
    scene.say(Who::Slow, "request.received", &today[..5], Value::Null).await?;
    scene.until_state(&today[..5], "delivered").await?;
    // The ladder has done what is due, and the inbox without a reader is on record.
    scene.until(DUE_RUNGS, 0).await;
    scene.until(&format!("select count(*) from noted_outages where office = '{}' and to_at is null", GONE.0), 1).await;
    Ok(scene)
}

/// A row of a table of a report in JSON.
fn row<'a>(report: &'a Value, table: &str, key: &str) -> Result<&'a Value> {
    let rows = report["tables"][table].as_array().with_context(|| format!("no table {table}"))?;
    rows.iter().find(|row| row["row"] == key).with_context(|| format!("no row {key:?} in {table}: {rows:?}"))
}

fn count(of: &Value, column: &str) -> Result<i64> {
    of[column].as_i64().with_context(|| format!("no count {column} in {of}"))
}

/// The values of a metric's series with these labels, by the labels given as empty.
fn series(page: &str, name: &str, labels: &[(&str, &str)]) -> BTreeMap<Vec<String>, i64> {
    let mut found = BTreeMap::new();
    for line in page.lines() {
        let Some((inner, value)) = line.strip_prefix(name).and_then(|l| l.strip_prefix('{')?.rsplit_once("} ")) else {
            continue;
        };
        let pairs: BTreeMap<&str, &str> =
            inner.split(',').filter_map(|p| p.split_once('=')).map(|(k, v)| (k, v.trim_matches('"'))).collect();
        if labels.iter().all(|(k, v)| v.is_empty() || pairs.get(k) == Some(v)) {
            let key = labels.iter().filter(|(_, v)| v.is_empty()).map(|(k, _)| pairs[k].to_owned()).collect();
            *found.entry(key).or_insert(0) += value.parse::<i64>().unwrap_or(i64::MIN);
        }
    }
    found
}

fn total(of: &BTreeMap<Vec<String>, i64>) -> i64 {
    of.values().sum()
}

const DAYS: [&str; 4] = ["--from", "2026-11-19", "--to", "2026-11-26"];

async fn report(scene: &Scene, more: &[&str]) -> Result<Value> {
    let args: Vec<&str> = ["report"].iter().chain(&DAYS).chain(&["--format", "json"]).chain(more).copied().collect();
    Ok(serde_json::from_str(&scene.product.run(&args).await?)?)
}

#[tokio::test]
async fn report_views_metrics_late_and_call_list_tell_the_same_of_one_scene() -> Result<()> {
    let scene = play().await?;
    let nation = report(&scene, &[]).await?;

    // What the scene was made of.
    let all = row(&nation, "requests", "")?;
    for (column, wanted) in [("submitted", SUBMITTED), ("in_time", IN_TIME), ("late", LATE), ("withdrawn", WITHDRAWN)] {
        assert_eq!(count(all, column)?, wanted, "{column} in {all}");
    }
    // Three were answered at once after somebody opened them; a busy machine may be slow about it.
    let at_once = "select count(*) from requests r where answered_at < opened_at + interval '30 s' and exists (
        select from events e where e.request_id = r.request_id
            and convert_from(e.body, 'UTF8') like '%\"event\":\"opened\"%' and convert_from(e.body, 'UTF8') not like '%implied%')";
    let under_30s = scene.product.world.number(at_once).await?;
    assert_eq!(count(all, "under_30s")?, under_30s);
    assert!(under_30s <= 3, "{under_30s}: what the answer implied is no opening");
    // Of the eight that nobody received and the eight of the slow office's first day, all are due.
    assert_eq!((count(all, "overdue")?, count(all, "open")?), (8 + 8 + 2, 8));
    let files = row(&nation, "files", "")?;
    assert_eq!((count(files, "file_in_time")?, count(files, "file_late")?), (1, 1), "{files}");
    assert_eq!(count(row(&nation, "refusals", "")?, "count")?, REFUSED);
    assert_eq!(count(row(&nation, "requests_by_kind", "data_correction")?, "submitted")?, 4);
    assert_eq!(count(row(&nation, "requests_by_purpose", "correction")?, "submitted")?, 4);
    assert_eq!(count(row(&nation, "requests_by_unit_type", "phuong")?, "submitted")?, 18, "the slow office's");
    for cut in ["province", "unit_type", "purpose", "kind"] {
        let rows = nation["tables"][format!("requests_by_{cut}")].as_array().context("a cut")?;
        let sum: i64 = rows.iter().filter(|r| r["row"] != "").map(|r| count(r, "submitted")).sum::<Result<_>>()?;
        assert_eq!(sum, SUBMITTED, "by {cut}");
    }
    let outages = nation["tables"]["outages"].as_array().context("outages")?;
    assert!(outages.iter().any(|o| o["row"] == GONE.0 && o["to"].is_null()), "{outages:?}");

    views(&scene, &nation).await?;
    metrics_and_late(&scene, &nation).await?;
    forms(&scene, &nation).await?;
    publication(&scene).await?;

    // Whoever asks about one of its requests sees that nobody read the inbox, until somebody does.
    let list = scene.product.run(&["late", "--json", "--office", GONE.0]).await?;
    let list: Value = serde_json::from_str(&list)?;
    let id = list[0]["request_id"].as_str().context("a request")?;
    // Vietnamese first, the machine's word beside it.
    let page = scene.product.run(&["late", "--office", GONE.0]).await?;
    for part in [id, "máy của đơn vị chưa kết nối (not_connected) từ", " (rung ", "không còn bậc nào (no further rung)"]
    {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let page = scene.product.run(&["request", "show", id]).await?;
    for part in
        [id, "Trong hộp tin (sent)", "máy của đơn vị chưa kết nối (not_connected)", "quá hạn trả lời (answer_due)"]
    {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let trace = scene.product.run(&["request", "trace", id]).await?;
    assert!(trace.contains("đến nay (until now)"), "{trace}");
    assert!(trace.contains("(outage, still)  không ai đọc hộp tin"), "{trace}");
    let mut gone = scene.product.office(GONE.0).await?;
    take(&mut gone).await?;
    scene.until(&format!("select count(*) from noted_outages where office = '{}' and to_at is null", GONE.0), 0).await;
    let trace = scene.product.run(&["request", "trace", id]).await?;
    assert!(trace.contains("(outage)  không ai đọc hộp tin"), "{trace}");

    scene.running.stop().await?;
    scene.product.close().await
}

/// The same with SQL, as of the instant of the report.
async fn views(scene: &Scene, nation: &Value) -> Result<()> {
    let mut database = PgConnection::connect(&scene.product.world.pg_url()).await?;
    let as_of = nation["as_of"].as_str().context("as_of")?;
    sqlx::query("select set_config('xacminh.as_of', $1, false)").bind(as_of).execute(&mut database).await?;
    let mut number = async |question: String| -> Result<i64> {
        Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(question)).fetch_one(&mut database).await?)
    };
    for reply in ["in_time", "late", "withdrawn", "open", "overdue"] {
        for (table, key, and) in [
            ("requests", "", String::new()),
            ("requests_by_province", "82", " and responder_province = '82'".to_owned()),
            ("requests_by_unit_type", "xa", " and unit_type = 'xa'".to_owned()),
            ("requests_by_kind", "temp_renewal", " and kind = 'temp_renewal'".to_owned()),
        ] {
            let sql = format!("select count(*) from report_requests where reply = '{reply}'{and}");
            assert_eq!(count(row(nation, table, key)?, reply)?, number(sql).await?, "{reply} in {table}");
        }
    }
    for file in ["in_time", "late", "overdue", "running", "not_told", "no_limit"] {
        let sql = format!("select count(*) from report_requests where file = '{file}'");
        assert_eq!(count(row(nation, "files", "")?, &format!("file_{file}"))?, number(sql).await?, "{file}");
    }
    let mut sum = 0;
    for holder in ["requester", "broker", "transport", "responder_system", "responder"] {
        let sql =
            format!("select coalesce(sum(seconds) * 1000000, 0)::bigint from report_hops where holder = '{holder}'");
        let micros = number(sql).await?;
        let told = row(nation, "held", holder)?["time"].as_f64().context("time")?;
        #[expect(clippy::cast_possible_truncation, reason = "whole microseconds")]
        let told = (told * 1e6).round() as i64;
        assert_eq!(told, micros, "{holder}");
        sum += micros;
    }
    // The sum of the hops is the whole, from W's receipt or the submit to the end or to now.
    let whole = "select (sum(extract(epoch from coalesce(read_at, withdrawn_at, report_as_of())
            - least(submitted_at, coalesce(received_at, submitted_at)))) * 1000000)::bigint from report_requests";
    assert_eq!(sum, number(whole.to_owned()).await?);
    for segment in ["ask", "send", "transport", "unopened", "work", "unread"] {
        let told = row(nation, "segments", segment)?;
        let sql = format!("select count(*) from report_segments where segment = '{segment}'");
        assert_eq!(told["count"].as_i64().unwrap_or(0), number(sql).await?, "{segment}");
        let sql = format!(
            "select round(percentile_cont(0.5) within group (order by working_minutes))::bigint
             from report_segments_worked where segment = '{segment}'"
        );
        #[expect(clippy::cast_possible_truncation, reason = "whole minutes")]
        let median = told["median_working"].as_f64().context("median_working")?.round() as i64;
        assert_eq!(median, number(sql).await?, "{segment}");
    }
    for code in nation["tables"]["refusals"].as_array().context("refusals")? {
        let key = code["row"].as_str().context("row")?;
        let sql = format!("select count(*) from report_refusals where code = '{key}' or '{key}' = ''");
        assert_eq!(count(code, "count")?, number(sql).await?, "{key}");
    }
    database.close().await?;
    Ok(())
}

async fn metrics_and_late(scene: &Scene, nation: &Value) -> Result<()> {
    let provinces = report(scene, &["--level", "province"]).await?;
    let offices = report(scene, &["--level", "office"]).await?;
    let in_hand = nation["tables"]["in_hand"].as_array().context("in hand")?;
    let open: i64 = in_hand.iter().map(|row| count(row, "count")).sum::<Result<_>>()?;
    let page = eventually("gauges of what is there now", PATIENCE, async || {
        let (_, page) = scene.running.page("/metrics").await.ok()?;
        (total(&series(&page, "xacminh_requests_open", &[])) == open).then_some(page)
    })
    .await;
    let as_of: Timestamp = nation["as_of"].as_str().context("as_of")?.parse()?;
    let passed = scene.product.now().duration_since(as_of).as_secs_f64();
    let refusals = series(&page, "xacminh_refusals_total", &[("code", "")]);
    assert_eq!(total(&refusals), REFUSED);
    // A counter begins at 0 for each code; a report has no row for what did not happen.
    for (code, told) in refusals.iter().filter(|(_, told)| **told > 0) {
        assert_eq!(count(row(nation, "refusals", &code[0])?, "count")?, *told, "{code:?}");
    }
    for state in in_hand {
        let name = state["row"].as_str().context("row")?;
        let gauge = series(&page, "xacminh_requests_open", &[("state", name)]);
        assert_eq!(total(&gauge), count(state, "count")?, "{name}");
        // Ages go on: the gauge is of a moment between, at most as old as measuring lets it be.
        let oldest = series(&page, "xacminh_requests_oldest_age_seconds", &[("state", name), ("province", "")]);
        let told = state["oldest_age"].as_f64().context("oldest_age")?;
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        let gauge = *oldest.values().max().context("no age")? as f64;
        // Whatever time went by since the report: a busy machine takes its time.
        assert!((-60.0..passed + 1.0).contains(&(gauge - told)), "{name}: {gauge} and {told}, {passed} s later");
    }
    let rows = provinces["tables"]["in_hand_by_province"].as_array().context("by province")?;
    let late: Value = serde_json::from_str(&scene.product.run(&["late", "--json", "--limit", "1000"]).await?)?;
    let late = late.as_array().context("late")?;
    ensure!(late.len() > 20, "much is late: {}", late.len());
    for of in rows.iter().filter(|of| of["row"] != "") {
        let province = of["row"].as_str().context("row")?;
        assert_eq!(total(&series(&page, "xacminh_requests_open", &[("province", province)])), count(of, "count")?);
        assert_eq!(total(&series(&page, "xacminh_requests_overdue", &[("province", province)])), count(of, "overdue")?);
        let unread = series(&page, "xacminh_requests_open", &[("province", province), ("state", "answered")]);
        assert_eq!(total(&unread), count(of, "unread")?);
        let listed = late.iter().filter(|l| l["province"] == province).count();
        assert_eq!(i64::try_from(listed)?, count(of, "late")?, "late in {province}");
    }
    let overdue = late.iter().filter(|l| l["overdue"] == true).count();
    assert_eq!(i64::try_from(overdue)?, count(row(nation, "requests", "")?, "overdue")?);
    for why in nation["tables"]["late"].as_array().context("late")? {
        let key = why["row"].as_str().context("row")?;
        let listed = late.iter().filter(|l| key.is_empty() || l["why"] == key).count();
        assert_eq!(i64::try_from(listed)?, count(why, "count")?, "{key}");
    }

    let (_, by_office) = scene.running.page("/metrics/offices").await?;
    let rows = offices["tables"]["offices"].as_array().context("offices")?;
    for of in rows.iter().filter(|of| of["row"] != "") {
        let office = of["row"].as_str().context("row")?;
        for (column, gauge) in
            [("open", "xacminh_office_requests_open"), ("overdue", "xacminh_office_requests_overdue")]
        {
            let told = total(&series(&by_office, gauge, &[("office", office)]));
            assert_eq!(told, count(of, column)?, "{column} of {office}");
        }
        let only: Value = serde_json::from_str(&scene.product.run(&["late", "--json", "--office", office]).await?)?;
        let own = late.iter().filter(|l| l["holder"] == office).count();
        assert_eq!(only.as_array().context("late")?.len(), own, "late --office {office}");
    }
    let dues: Vec<&str> = rows.iter().filter_map(|of| of["next_due_on"].as_str()).collect();
    assert!(dues.len() > 2 && dues.is_sorted(), "the oldest next due first: {dues:?}");
    assert_eq!(count(row(&offices, "offices", "")?, "asked")?, SUBMITTED);

    // Whom PC06 of Thanh Hóa has to phone, and what it notes.
    let note = "Trực ban: máy hỏng, chiều có người sửa";
    scene.product.run(&["call-list", "note", GONE.0, note]).await?;
    let page = scene.product.run(&["call-list", "--province", "38"]).await?;
    for part in ["Xã Thanh Phong", "0000 016 213", "8 máy của đơn vị chưa kết nối", note] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let sealed = "select count(*) from call_notes where position('Trực ban'::bytea in sealed) > 0";
    assert_eq!(scene.product.world.number(sealed).await?, 0);
    let csv =
        scene.product.run(&["late", "--csv", "--why", "not_connected", "--province", "38", "--min-age", "3d"]).await?;
    assert_eq!(csv.lines().count(), 1 + 8, "{csv}");
    let none = scene.product.run(&["late", "--csv", "--why", "not_connected", "--min-age", "30d"]).await?;
    assert_eq!(none.lines().count(), 1, "{none}");
    let (csv, aside) = scene.product.said(&["late", "--csv", "--limit", "4"], &[]).await?;
    assert_eq!(csv.lines().count(), 1 + 4, "{csv}");
    ensure!(aside.contains(&format!("4 of {}: --limit left out {}", late.len(), late.len() - 4)), "{aside}");
    let (csv, aside) = scene.product.said(&["late", "--csv"], &[]).await?;
    assert_eq!((csv.lines().count(), aside.contains("--limit")), (1 + late.len(), false), "{aside}");
    Ok(())
}

/// Every form has the same figures, and a page fits a terminal.
async fn forms(scene: &Scene, nation: &Value) -> Result<()> {
    let args = |form: &'static str, more: &[&'static str]| -> Vec<&'static str> {
        ["report"].iter().chain(&DAYS).chain(&["--format", form]).chain(more).copied().collect()
    };
    let csv = scene.product.run(&args("csv", &[])).await?;
    for wanted in [
        format!("requests,,Cả nước (nation),submitted,{SUBMITTED},count"),
        format!("requests,,Cả nước (nation),in_time,{IN_TIME},count"),
        "definition,".to_owned(),
    ] {
        assert!(csv.contains(&wanted), "{wanted} is not in\n{csv}");
    }
    let lines = csv.lines().filter(|l| l.contains(",count") || l.contains(",share") || l.contains(",seconds")).count();
    let figures =
        nation["tables"].as_object().context("tables")?.values().flat_map(|t| t.as_array().into_iter().flatten());
    ensure!(lines > figures.count(), "a line a figure");
    for level in ["nation", "province", "office"] {
        let page = scene.product.run(&args("text", &["--level", level])).await?;
        for line in page.lines() {
            assert!(line.chars().count() <= 100, "{level}: {line}");
        }
        assert!(page.contains("Giải thích (what it means)"), "{page}");
    }
    let file = scene.product.file("report.xlsx").display().to_string();
    scene.product.run(&[&args("xlsx", &[])[..], &["--out", &file]].concat()).await?;
    let bytes = std::fs::read(&file)?;
    ensure!(bytes.starts_with(b"PK"), "a workbook is an archive");
    let sheet = |n: usize| format!("xl/worksheets/sheet{n}.xml").into_bytes();
    let sheets = (1..).take_while(|n| bytes.windows(sheet(*n).len()).any(|w| w == sheet(*n))).count();
    assert_eq!(sheets, nation["tables"].as_object().context("tables")?.len() + 1, "a sheet a table, and definitions");
    Ok(())
}

/// What is published has no count under five.
async fn publication(scene: &Scene) -> Result<()> {
    for level in ["nation", "province", "office"] {
        let public = report(scene, &["--level", level, "--public"]).await?;
        let tables = public["tables"].as_object().context("tables")?;
        assert!(!tables.keys().any(|table| table.starts_with("in_hand")), "{:?}", tables.keys());
        let mut withheld = 0;
        for (table, rows) in tables {
            for row in rows.as_array().context("rows")? {
                for (column, value) in row.as_object().context("row")? {
                    withheld += usize::from(*value == "withheld");
                    let told = value.as_i64().is_none_or(|n| n >= 5);
                    assert!(told, "{column} = {value} in {table} of {level}");
                }
            }
        }
        assert!(withheld > 0, "{level} withholds nothing of forty requests");
    }
    Ok(())
}
