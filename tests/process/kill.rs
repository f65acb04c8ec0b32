//! What holds when the program is killed or stopped in the middle of its work?

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection};
use xacminh_testkit::{OfficeClient, OfficeMessage, PATIENCE, eventually};

use crate::office::{DELIVER, Got, Seen, form, receipt_of, send, submit, take};
use crate::product::{Product, START};

const THURSDAY: &str = "2026-11-19T08:00:00+07:00";
const THE_DAY: &str = "2026-11-19";

async fn count(database: &mut PgConnection, statement: &'static str) -> Result<i64> {
    Ok(sqlx::query_scalar(statement).fetch_one(database).await?)
}

/// Waits until a count in the database is at least this; gives what it is.
async fn at_least(database: &mut PgConnection, statement: &'static str, wanted: i64) -> Result<i64> {
    let what = format!("{wanted} of {statement}");
    eventually(&what, START, async || match count(database, statement).await {
        Ok(found) if found < wanted => None,
        found => Some(found),
    })
    .await
}

/// Whether a process has a connection from this port of its own.
fn has_port(process: u32, port: i32) -> Result<bool> {
    let ending = format!(":{port:04X}");
    let tables = [fs::read_to_string("/proc/net/tcp")?, fs::read_to_string("/proc/net/tcp6").unwrap_or_default()];
    let sockets: Vec<String> = tables
        .iter()
        .flat_map(|table| table.lines())
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|cells| cells.len() > 9 && cells[1].ends_with(&ending))
        .map(|cells| format!("socket:[{}]", cells[9]))
        .collect();
    for descriptor in fs::read_dir(format!("/proc/{process}/fd"))? {
        // One that is closed by now is not the one.
        let Ok(target) = fs::read_link(descriptor?.path()) else { continue };
        if sockets.iter().any(|socket| target.as_os_str() == socket.as_str()) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test]
async fn a_rung_fires_once_with_two_copies_and_a_kill_9() -> Result<()> {
    const WARD: &str = "vpyb4e63";
    const PROVINCE_UNIT: &str = "vpzpc22j";
    const HOMES: [(&str, &str); 3] = [("vpyatb52", "20635"), ("vpysjuwn", "20827"), ("vpyyv6ql", "20944")];
    const REQUESTS: u32 = 102;
    const RUNGS: &str = "select count(*) from rungs";

    let offices = [WARD, PROVINCE_UNIT, HOMES[0].0, HOMES[1].0, HOMES[2].0];
    let product = Product::new("rungs", Some(THURSDAY), &offices).await?;
    let mut database = PgConnection::connect(&product.world.pg_url()).await?;
    let others = product.start(&["intake", "answering", "relay", "measuring"]).await?;
    let mut ward = product.office(WARD).await?;
    for (number, (_, unit)) in (0..REQUESTS).zip(HOMES.iter().cycle()) {
        let message = submit(&ward, product.now(), &form(number, THE_DAY, unit))?;
        send(&mut ward, &message).await?;
    }
    Seen::default().receipts(&mut ward, usize::try_from(REQUESTS)?).await?;
    let all = i64::from(REQUESTS);
    at_least(&mut database, "select count(*) from requests where state = 'sent'", all).await?;

    let mut copies = vec![product.start(&["escalating"]).await?, product.start(&["escalating"]).await?];

    // Nobody reads the three inboxes: after four working hours the clocks run by themselves.
    product.jump("2026-11-19T17:30:00+07:00")?;
    assert_eq!(at_least(&mut database, RUNGS, all).await?, all);

    // A row in the way of the request in the middle: a copy that fires has written about half of
    // the rungs of its transaction and waits for this one of ours when it is killed.
    let mut in_the_way = PgConnection::connect(&product.world.pg_url()).await?;
    let mut row_in_the_way = in_the_way.begin().await?;
    sqlx::query(
        "insert into rungs (request_id, trigger, rung, clock_start, due_at, fired_at)
         select request_id, 'accept_due', 0, clock_start, clock_start, clock_start
         from requests order by request_id offset $1 limit 1",
    )
    .bind(all / 2)
    .execute(&mut *row_in_the_way)
    .await?;
    product.jump("2026-11-21T09:00:00+07:00")?;
    let port: i32 = eventually("a copy in the middle of its rungs", START, async || {
        sqlx::query_scalar(
            "select client_port from pg_stat_activity where datname = current_database()
             and wait_event_type = 'Lock' and query like 'insert into rungs%'",
        )
        .fetch_optional(&mut database)
        .await
        .transpose()
    })
    .await?;
    let mut firing = None;
    for (number, copy) in copies.iter().enumerate() {
        if has_port(copy.child.id().context("a copy has ended")?, port)? {
            firing = Some(number);
        }
    }
    let killed = copies.remove(firing.context("it is neither of the two")?);
    killed.kill_9().await?;
    assert_eq!(count(&mut database, RUNGS).await?, all, "half of a transaction is nothing");
    row_in_the_way.rollback().await?;
    in_the_way.close().await?;
    assert_eq!(at_least(&mut database, RUNGS, 2 * all).await?, 2 * all);

    // Again without an arrangement: everything that is left is due, and at the first new row the
    // other copy is killed too, while a third one takes over.
    copies.push(product.start(&["escalating"]).await?);
    product.jump("2026-11-27T09:00:00+07:00")?;
    at_least(&mut database, RUNGS, 2 * all + 1).await?;
    copies.remove(0).kill_9().await?;
    at_least(&mut database, RUNGS, 6 * all).await?;
    // Nothing is left that could fire.
    at_least(&mut database, "select count(*) from timers where due_at > '2100-01-01'", all).await?;

    let fired: Vec<(String, i16, i64, i64)> = sqlx::query_as(
        "select trigger, rung, count(*), count(distinct request_id) from rungs group by 1, 2 order by min(due_at), 1, 2",
    )
    .fetch_all(&mut database)
    .await?;
    let once = [
        ("not_received", 0),
        ("accept_due", 0),
        ("answer_due_day", 0),
        ("answer_due", 1),
        ("answer_due", 2),
        ("file_due", 0),
    ];
    let found: BTreeSet<_> = fired.iter().map(|(trigger, rung, _, _)| (trigger.as_str(), *rung)).collect();
    assert_eq!(found, BTreeSet::from(once), "{fired:?}");
    assert!(fired.iter().all(|(_, _, rows, requests)| (*rows, *requests) == (all, all)), "{fired:?}");
    // The ledger tells the same, and is whole.
    let ids: Vec<String> =
        sqlx::query_scalar("select request_id::text from requests order by 1 limit 3").fetch_all(&mut database).await?;
    for id in &ids {
        let shown: serde_json::Value = serde_json::from_str(&product.run(&["request", "show", id, "--json"]).await?)?;
        assert_eq!(shown["rungs"].as_array().map(Vec::len), Some(once.len()), "{shown}");
        product.run(&["request", "verify", id]).await?;
    }

    for running in copies.into_iter().chain([others]) {
        running.stop().await?;
    }
    database.close().await?;
    product.close().await
}

#[tokio::test]
async fn a_repeat_after_a_kill_9_gets_the_first_receipt() -> Result<()> {
    const WARD: &str = "vpyatxrs";
    const HOME: &str = "vpyfwrpd";
    const HOME_UNIT: &str = "16561";

    let product = Product::new("repeat", Some(THURSDAY), &[WARD, HOME]).await?;
    let running = product.start(&[]).await?;
    let (mut ward, mut home) = (product.office(WARD).await?, product.office(HOME).await?);
    let message = submit(&ward, product.now(), &form(1, THE_DAY, HOME_UNIT))?;
    send(&mut ward, &message).await?;
    let first = receipt_of(&mut ward, &message.message_id).await?;
    let delivered = deliver_of(&mut home, &message).await?;

    running.kill_9().await?;
    let running = product.start(&[]).await?;
    send(&mut ward, &message).await?;
    let again = receipt_of(&mut ward, &message.message_id).await?;
    assert_eq!(String::from_utf8(again.bytes)?, String::from_utf8(first.bytes)?, "the first receipt, word for word");

    // Letters to an office leave in order, so what the repeat caused would be there before this.
    let marker = submit(&ward, product.now(), &form(2, THE_DAY, HOME_UNIT))?;
    send(&mut ward, &marker).await?;
    loop {
        let got = take(&mut home).await?;
        if got.message_type != DELIVER || got.body["request_id"] == marker.message_id.as_str() {
            break;
        }
        assert_eq!(got.message_id, delivered.message_id, "the same letter may come again, another one may not");
    }
    let mut database = PgConnection::connect(&product.world.pg_url()).await?;
    assert_eq!(count(&mut database, "select count(*) from requests").await?, 2);
    database.close().await?;

    running.stop().await?;
    product.close().await
}

async fn deliver_of(home: &mut OfficeClient, submit: &OfficeMessage) -> Result<Got> {
    loop {
        let got = take(home).await?;
        if got.message_type == DELIVER && got.body["request_id"] == submit.message_id.as_str() {
            return Ok(got);
        }
    }
}

#[tokio::test]
async fn kill_9_in_a_burst_loses_nothing() -> Result<()> {
    const WARD: &str = "vpyxhhxa";
    const HOMES: [(&str, &str); 3] = [("vpz4twvt", "15853"), ("vpz7a6xg", "16258"), ("vpzc7ojf", "14923")];
    const EACH: usize = 100;
    const TAKEN: &str = "select count(*) from requests";

    let product = Product::new("burst", Some(THURSDAY), &[WARD, HOMES[0].0, HOMES[1].0, HOMES[2].0]).await?;
    let mut database = PgConnection::connect(&product.world.pg_url()).await?;
    let running = product.start(&[]).await?;
    let mut ward = product.office(WARD).await?;
    let mut sent = Vec::new();
    for (number, (_, unit)) in (0_u32..).zip(HOMES.iter().cycle()).take(EACH * HOMES.len()) {
        sent.push(submit(&ward, product.now(), &form(number, THE_DAY, unit))?);
    }

    // Dead when half are confirmed, the rest is confirmed by RabbitMQ alone.
    let (before, after) = sent.split_at(sent.len() / 2);
    for message in before {
        send(&mut ward, message).await?;
    }
    running.kill_9().await?;
    for message in after {
        send(&mut ward, message).await?;
    }
    assert!(count(&mut database, TAKEN).await? < i64::try_from(sent.len())?);

    // Dead again as soon as it has taken more than before.
    let taken = count(&mut database, TAKEN).await?;
    let running = product.start(&[]).await?;
    at_least(&mut database, TAKEN, taken + 1).await?;
    running.kill_9().await?;

    let running = product.start(&[]).await?;
    let ids = each_has_its_receipt(&mut ward, &sent).await?;
    let mut delivered = Vec::new();
    for (office, _) in HOMES {
        let (mut home, mut seen) = (product.office(office).await?, Seen::default());
        seen.delivers(&mut home, EACH).await.context(office)?;
        delivered.extend(seen.about().into_iter().map(str::to_owned));
    }
    delivered.sort_unstable();
    assert_eq!(delivered, ids, "each request came to a home, once");
    assert_eq!(count(&mut database, TAKEN).await?, i64::try_from(sent.len())?);

    running.stop().await?;
    database.close().await?;
    product.close().await
}

#[tokio::test]
async fn a_clean_stop_drains() -> Result<()> {
    const WARD: &str = "vpychqmj";
    const HOME: &str = "vpydylpg";
    const HOME_UNIT: &str = "24931";
    const REQUESTS: usize = 60;

    let product = Product::new("drain", Some(THURSDAY), &[WARD, HOME]).await?;
    let mut database = PgConnection::connect(&product.world.pg_url()).await?;
    let running = product.start(&[]).await?;
    let (mut ward, mut home) = (product.office(WARD).await?, product.office(HOME).await?);
    for number in 0..u32::try_from(REQUESTS)? {
        let message = submit(&ward, product.now(), &form(number, THE_DAY, HOME_UNIT))?;
        send(&mut ward, &message).await?;
    }
    at_least(&mut database, "select count(*) from requests", 1).await?;
    let began = std::time::Instant::now();
    running.stop().await?;
    ensure!(began.elapsed() < PATIENCE, "it took {:?} to stop", began.elapsed());

    // What was begun is whole, what was not begun waits in its queue.
    let half = "select count(*) from requests r where not exists (select 1 from inbox i where i.message_id = r.request_id and i.receipt is not null)";
    assert_eq!(count(&mut database, half).await?, 0, "a request without its receipt");
    let running = product.start(&[]).await?;
    Seen::default().receipts(&mut ward, REQUESTS).await?;
    Seen::default().delivers(&mut home, REQUESTS).await?;
    running.stop().await?;
    database.close().await?;
    product.close().await
}

/// Waits for the receipts: one for each of these submits and for nothing else. Gives their ids, sorted.
async fn each_has_its_receipt<'m>(ward: &mut OfficeClient, sent: &'m [OfficeMessage]) -> Result<Vec<&'m str>> {
    let mut receipts = Seen::default();
    receipts.receipts(ward, sent.len()).await?;
    let mut ids: Vec<&str> = sent.iter().map(|m| m.message_id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(receipts.about(), ids);
    Ok(ids)
}

/// A process dies while it parks a message that it cannot work on, alone or among others of a batch.
async fn dead_while_parking(name: &str, ward: &str, home: (&str, &str), others: u32) -> Result<()> {
    let product = Product::new(name, Some(THURSDAY), &[ward, home.0]).await?;
    let mut database = PgConnection::connect(&product.world.pg_url()).await?;
    // For no reason that passes, until somebody mends it.
    let broken = "create function broken() returns trigger language plpgsql as
            $$ begin raise exception 'broken'; end $$;
        create trigger broken before insert on requests for each row when (new.case_code = 'TT-1')
            execute function broken()";
    product.world.sql(broken).await?;
    let mut ward = product.office(ward).await?;
    // They wait together and are taken together.
    let sent: Vec<OfficeMessage> = (1..=1 + others)
        .map(|number| submit(&ward, product.now(), &form(number, THE_DAY, home.1)))
        .collect::<Result<_>>()?;
    ward.publish_all(&sent).await?;

    let mut in_the_way = PgConnection::connect(&product.world.pg_url()).await?;
    let mut lock_in_the_way = in_the_way.begin().await?;
    sqlx::query("lock table parked in exclusive mode").execute(&mut *lock_in_the_way).await?;
    let running = product.start(&[]).await?;
    eventually("a message that is being parked", START, async || {
        let parking = "select count(*) from pg_stat_activity where datname = current_database()
            and wait_event_type = 'Lock' and query like 'insert into parked%'";
        (count(&mut database, parking).await.ok()? == 1).then_some(())
    })
    .await;
    running.kill_9().await?;
    // The trigger stays: taking it away would lock every month's table, against whoever reads.
    let mend = "create or replace function broken() returns trigger language plpgsql as $$ begin return new; end $$";
    product.world.sql(mend).await?;
    lock_in_the_way.rollback().await?;
    in_the_way.close().await?;

    // Mended, it is like any other: it was not stored, so it comes again.
    let running = product.start(&[]).await?;
    each_has_its_receipt(&mut ward, &sent).await?;
    assert_eq!(count(&mut database, "select count(*) from parked").await?, 0);
    running.stop().await?;
    database.close().await?;
    product.close().await
}

#[tokio::test]
async fn what_was_being_parked_at_a_kill_9_comes_again() -> Result<()> {
    dead_while_parking("parking", "vpxkc3uj", ("vpxex3jc", "00256"), 0).await
}

#[tokio::test]
async fn what_was_being_parked_among_others_at_a_kill_9_comes_again() -> Result<()> {
    dead_while_parking("parking_one", "vpxulxz5", ("vpxff6bd", "01117"), 3).await
}
