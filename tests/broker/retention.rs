//! Months that are over leave with all that belongs to their requests; what is in life goes on.

use anyhow::{Context, Result};
use jiff::civil::date;
use xacminh_contract::envelope::CommandType;
use xacminh_domain::id::{MessageId, RequestId};
use xacminh_store::retention::{self, Left, Month};
use xacminh_store::{Store, ledger};
use xacminh_testkit::World;

use crate::desk::{about, give, withdrawal};
use crate::stage::{Stage, at};

const TABLES: [&str; 6] = ["requests", "events", "persons", "answers", "rungs", "inbox"];

async fn month(stage: &Stage, name: &str) -> Result<Month> {
    let months = retention::months(&mut *stage.store.conn().await?).await?;
    months.into_iter().find(|month| month.name == name).with_context(|| format!("no month {name}"))
}

async fn leave(stage: &Stage, name: &str, ended_before: &str) -> Result<Left> {
    let mut conn = stage.store.at_leisure().await?;
    Ok(retention::leave(&mut conn, &month(stage, name).await?, at(ended_before), stage.clock.now()).await?)
}

async fn in_archive(stage: &Stage, request: MessageId) -> Result<u32, xacminh_store::Error> {
    ledger::verify(&mut stage.store.archive().await?, RequestId::of(request)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_leaves_with_its_chains_and_what_is_in_life_goes_on() -> Result<()> {
    let mut stage = Stage::new("retention", "2025-09-10T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let (read, withdrawn) = (ward.submit(&home.office, 700).await?, ward.submit(&home.office, 701).await?);
    let (silent, unread) = (ward.submit(&home.office, 702).await?, ward.submit(&home.office, 703).await?);
    for request in [read, withdrawn, silent, unread] {
        home.receive(request).await?;
    }
    for request in [read, unread] {
        home.ask(CommandType::AnswerGive, &give(request, "A01")).await?;
        ward.answer(request).await?;
    }
    ward.send(CommandType::AnswerRead, &about(read)).await?;
    stage.until_state(read, "read").await;
    ward.ask(CommandType::RequestWithdraw, &withdrawal(withdrawn)).await?;
    stage.until_state(withdrawn, "withdrawn").await;
    stage.until("select count(*) from outbox", 0).await;
    let events = [stage.verify(read).await?, stage.verify(withdrawn).await?];

    stage.set("2026-11-10T08:00");
    stage.core().await?.ensure_partitions().await?;
    stage.until("select count(*) from timers where due_at <= '2026-11-10T08:00+07'", 0).await;
    assert_eq!(month(&stage, "202509").await?.in_life, 2);
    assert_eq!(leave(&stage, "202509", "2025-10-10T00:00").await?, Left { left: 2, carried: 2 });

    // What has left is whole there, and nowhere else.
    assert_eq!([in_archive(&stage, read).await?, in_archive(&stage, withdrawn).await?], events);
    assert!(stage.verify(read).await.is_err() && in_archive(&stage, silent).await.is_err());
    stage.until("select count(*) from archive.requests", 2).await;
    stage.until("select count(*) from archive.persons", 2).await;
    stage.until("select count(*) from archive.answers", 1).await;
    stage.until(&format!("select count(*) from archive.rungs where request_id in ('{silent}', '{unread}')"), 0).await;
    stage.until("select count(*) from inbox_202509", 0).await;

    let days = |from: &str, to: &str| (from.parse().unwrap(), to.parse().unwrap());
    for ((from, to), wanted) in [(days("2025-09-10", "2025-09-10"), 2), (days("2025-09-11", "2025-12-31"), 0)] {
        assert_eq!(retention::have_left(&mut *stage.store.conn().await?, from, to).await?, wanted);
    }

    // Whoever asks about it is told as of one that never was; a repeat of its submit is too old to act.
    let gone = ward.ask(CommandType::FileClose, &crate::desk::closing(read, "ct08", "2025-09-12")).await?;
    assert_eq!(gone.refusal.context("refused")?.code, "request_unknown");
    let mut repeat =
        ward.message(CommandType::RequestSubmit, &crate::desk::form(&home.office, 700, at("2025-09-10T08:00")));
    repeat.message_id = read.to_string();
    ward.publish(&repeat).await?;
    let refused = ward.receipt(read).await?;
    assert_eq!(refused.refusal.context("refused")?.code, "id_too_old");

    // What is in life goes on, new work too, and both chains are whole.
    home.ask(CommandType::AnswerGive, &give(silent, "A01")).await?;
    ward.answer(silent).await?;
    for request in [silent, unread] {
        ward.send(CommandType::AnswerRead, &about(request)).await?;
        stage.until_state(request, "read").await;
    }
    let new = ward.submit(&home.office, 704).await?;
    home.receive(new).await?;
    stage.until_state(new, "delivered").await;
    // Those above have no inbox here; their notices wait.
    stage.until("select count(*) from outbox where message_type <> 'xacminh.notice.v1'", 0).await;
    let carried = stage.verify(silent).await?;

    // Once it has ended long enough ago, it follows its month.
    assert!(month(&stage, "202509").await?.left);
    assert_eq!(leave(&stage, "202509", "2025-10-10T00:00").await?, Left { left: 0, carried: 2 });
    assert_eq!(leave(&stage, "202509", "2026-11-11T00:00").await?, Left { left: 2, carried: 0 });
    assert_eq!(in_archive(&stage, silent).await?, carried);
    in_archive(&stage, unread).await?;
    stage.until("select count(*) from requests_202509", 0).await;
    stage.until("select count(*) from system_events where stream = 'retention'", 2).await;
    stage.verify(new).await?;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_at_which_somebody_works_stays_whole_until_it_may_leave() -> Result<()> {
    let mut stage = Stage::new("retention_busy", "2025-09-10T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let request = ward.submit(&home.office, 710).await?;
    home.receive(request).await?;
    ward.ask(CommandType::RequestWithdraw, &withdrawal(request)).await?;
    stage.until_state(request, "withdrawn").await;
    stage.until("select count(*) from outbox", 0).await;
    let events = stage.verify(request).await?;
    stage.set("2026-11-10T08:00");

    let mut working = stage.store.begin().await?;
    ledger::lock(&mut working, &Default::default(), &[RequestId::of(request)], false).await?;
    let error = leave(&stage, "202509", "2025-10-10T00:00").await.expect_err("it is held");
    let error = error.downcast::<xacminh_store::Error>()?;
    assert!(error.is_transient(), "{error}");
    assert_eq!(stage.verify(request).await?, events);
    working.rollback().await?;
    assert_eq!(leave(&stage, "202509", "2025-10-10T00:00").await?, Left { left: 1, carried: 0 });
    assert_eq!(in_archive(&stage, request).await?, events);
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_there_were_months_is_one_of_them() -> Result<()> {
    let world = World::new("before_months").await?;
    let mut steps: Vec<_> = std::fs::read_dir("../crates/store/migrations")?
        .map(|file| Ok(file?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    steps.sort();
    for step in steps {
        if step.ends_with("0015_months.sql") {
            // Two requests of two months, as a release before left them.
            world.sql("select ensure_partitions('2025-09-01', '2025-12-31')").await?;
            for (day, n) in [("2025-09-10", 1), ("2025-11-20", 2)] {
                let id = format!(
                    "(select overlay(uuid_floor('{day}'::timestamptz)::text placing '7000-8000-00000000000{n}' from 15)::uuid)"
                );
                world
                    .sql(format!(
                        "insert into requests (request_id, requester, responder, requester_province, responder_province,
                             home_unit, kind, lane, lookup_pending, case_code, received_on, state, seq, head_hash,
                             submitted_at, withdrawn_at)
                         values ({id}, 'vp2a2b5o', 'vp2252zr', '01', '01', '00001', 'temp_residence', 'normal', false,
                             'TT-{n}', '{day}', 'withdrawn', 1, '\\x00', '{day}', '{day}');
                         insert into persons values ({id}, '\\x00', '\\x00');
                         insert into events values ({id}, 1, '{day}', '\\x00', '\\x00', '\\x00')"
                    ))
                    .await?;
            }
        }
        world.sql(std::fs::read_to_string(&step)?).await?;
    }
    let store = Store::connect(&world.pg_url(), 2)?;
    let months = retention::months(&mut *store.conn().await?).await?;
    let before = months.first().context("a month")?;
    assert_eq!((before.name.as_str(), before.ends_on), ("000000", date(2025, 12, 1)));
    assert_eq!(world.number("select count(*) from report_requests").await?, 2);
    let now = at("2027-01-01T00:00");
    let left = retention::leave(&mut store.at_leisure().await?, before, at("2025-10-01T00:00"), now).await?;
    assert_eq!(left, Left { left: 1, carried: 1 });
    for table in ["requests", "persons", "events"] {
        for schema in ["public", "archive"] {
            assert_eq!(world.number(format!("select count(*) from {schema}.{table}")).await?, 1, "{schema}.{table}");
        }
    }
    assert_eq!(world.number("select count(*) from requests_202511").await?, 1);
    store.close().await;
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_has_the_columns_of_what_comes_to_it() -> Result<()> {
    let world = World::new("archive_columns").await?;
    let store = Store::connect(&world.pg_url(), 1)?;
    store.migrate().await?;
    store.close().await;
    for table in TABLES {
        let columns = |schema: &str| {
            world.rows(format!(
                "select concat_ws(' ', column_name, data_type, is_nullable) from information_schema.columns
                 where table_schema = '{schema}' and table_name = '{table}' order by ordinal_position"
            ))
        };
        let (here, there) = (columns("public").await?, columns("archive").await?);
        assert!(here.len() > 1);
        assert_eq!(here, there, "{table}: a step that adds a column adds it to the archive too");
    }
    world.close().await
}
