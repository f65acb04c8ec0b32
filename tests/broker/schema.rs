//! Does a program of the release before find on today's schema what it expects? In an upgrade the schema
//! goes first, so for a while such programs write to it.
//!
//! `schema_of_the_release_before.txt` is what that release was built on, a line a column. Each must still
//! be there with its type; what came since must not ask such a program for anything. A release replaces
//! the file: run this test with `XACMINH_TEST_WRITE_SCHEMA` set, and take what contracts out of it with
//! the reason in the step (`crates/store/tests/migrations.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, ensure};
use xacminh_store::Store;
use xacminh_testkit::World;

/// A column: its type, and whether a row that does not name it is refused.
const COLUMNS: &str = "select concat_ws(' ', 'column', table_name, column_name, replace(data_type, ' ', '_'),
        case when is_nullable = 'NO' and column_default is null and is_identity = 'NO' then 'needed' else 'may_be_left' end)
    from information_schema.columns join information_schema.tables using (table_schema, table_name)
    where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> '_sqlx_migrations'
        and table_name !~ '_[0-9]{6}$'
    order by table_name, column_name";
/// What else a row must satisfy: checks, keys, references, unique indexes.
const DEMANDS: &str = "select concat_ws(' ', 'demand', of, said) from (
        select conrelid::regclass::text as of, pg_get_constraintdef(oid) as said from pg_constraint
            where connamespace = 'public'::regnamespace and contype in ('c', 'f', 'x')
        union all select indrelid::regclass::text, regexp_replace(pg_get_indexdef(indexrelid), '^.* USING ', 'unique ')
            from pg_index join pg_class c on c.oid = indexrelid
            where indisunique and c.relnamespace = 'public'::regnamespace) d
    where of <> '_sqlx_migrations' and of !~ '_[0-9]{6}$' order by 1";

/// Table and column, then type and need.
fn columns(lines: &[String]) -> BTreeMap<(&str, &str), (&str, &str)> {
    let mut columns = BTreeMap::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["column", table, column, kind, need] = words[..] {
            columns.insert((table, column), (kind, need));
        }
    }
    columns
}

/// What a program of before would stumble over.
fn stumbles(before: &[String], now: &[String]) -> Vec<String> {
    let (old, new) = (columns(before), columns(now));
    let tables: BTreeSet<&str> = old.keys().map(|(table, _)| *table).collect();
    let mut found = Vec::new();
    for ((table, column), (kind, need)) in &old {
        match new.get(&(*table, *column)) {
            None => found.push(format!("{table}.{column} is gone")),
            Some((other, _)) if other != kind => found.push(format!("{table}.{column} was {kind} and is {other}")),
            Some((_, "needed")) if *need != "needed" => found.push(format!("{table}.{column} is needed now")),
            Some(_) => {}
        }
    }
    for ((table, column), (_, need)) in &new {
        if tables.contains(table) && !old.contains_key(&(*table, *column)) && *need == "needed" {
            found.push(format!("{table}.{column} is new and needed"));
        }
    }
    // A demand on a table of before that was not made then.
    let is_demand = |line: &&String| line.starts_with("demand ");
    let made: Vec<&String> = before.iter().filter(is_demand).collect();
    let is_made = |demand: &str| made.iter().any(|made| *made == demand || implies(made, demand));
    for demand in now.iter().filter(is_demand).filter(|demand| !is_made(demand)) {
        if demand.split(' ').nth(1).is_some_and(|table| tables.contains(table)) {
            found.push(format!("new: {demand}"));
        }
    }
    found
}

/// Of two plain unique indexes: what is unique by some columns is so by more of them, in whichever order.
fn implies(made: &str, demand: &str) -> bool {
    let (Some((of, made)), Some((table, demand))) = (unique(made), unique(demand)) else { return false };
    of == table && made.iter().all(|column| demand.contains(column))
}

fn unique(demand: &str) -> Option<(&str, Vec<&str>)> {
    let (table, columns) = demand.split_once(" unique btree (")?;
    let columns = columns.strip_suffix(')').filter(|columns| !columns.contains('('))?;
    Some((table, columns.split(", ").collect()))
}

#[test]
fn a_key_with_more_columns_demands_nothing_new_and_one_with_fewer_does() {
    let line = "demand lines unique btree (line_id)";
    let more = "demand lines unique btree (leave_at, line_id)";
    assert!(implies(line, more) && implies(line, line) && !implies(more, line));
    assert!(!implies("demand others unique btree (line_id)", more));
    assert!(!implies("demand lines unique btree (line_id) WHERE (leave_at IS NULL)", more));
}

#[tokio::test]
async fn the_schema_has_all_that_the_release_before_expects() -> Result<()> {
    let world = World::new("schema").await?;
    let store = Store::connect(&world.pg_url(), 1)?;
    store.migrate().await?;
    store.close().await;
    let mut now = world.rows(COLUMNS).await?;
    now.extend(world.rows(DEMANDS).await?);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("broker/schema_of_the_release_before.txt");
    if std::env::var_os("XACMINH_TEST_WRITE_SCHEMA").is_some() {
        std::fs::write(&file, now.join("\n") + "\n")?;
    }
    let before: Vec<String> = std::fs::read_to_string(&file)?.lines().map(ToOwned::to_owned).collect();
    ensure!(before.len() > 100, "{} is not a schema", file.display());
    let found = stumbles(&before, &now);
    ensure!(found.is_empty(), "a program of the release before would stumble over: {found:#?}");
    world.close().await
}

/// A request with its timer, as a binary wrote them that did not know the timers' narrow columns.
const WRITTEN_BEFORE: &str = "
    insert into requests (request_id, requester, responder, requester_province, responder_province, home_unit, kind,
        lane, lookup_pending, case_code, received_on, state, seq, head_hash, submitted_at)
    values (ID, 'w', 'h', '01', '15', '00001', 'moved_here', 'normal', true, 'A', '2026-11-19', 'submitted', 1, '',
        '2026-11-19T08:00:00+07:00');
    insert into timers (request_id, due_at) values (ID, '2026-11-20T08:00:00+07:00')
        on conflict (request_id) do update set due_at = excluded.due_at";
const NARROW: &str =
    "select concat_ws(' ', requester, responder, requester_province, responder_province, lookup_pending,
    state, coalesce(clock_cause, 'none'), coalesce((answer_due_at at time zone interval '07:00')::date::text, 'none'))
    from timers";

#[tokio::test]
async fn the_database_keeps_the_narrow_rows_for_a_binary_that_does_not_know_them() -> Result<()> {
    let world = World::new("narrow").await?;
    let store = Store::connect(&world.pg_url(), 1)?;
    store.migrate().await?;
    store.ensure_partitions("2026-11-19".parse()?, "2026-11-19".parse()?).await?;
    let narrow = || world.rows(NARROW);
    // A connection that says nothing, as such a binary's.
    let id = "uuid_floor('2026-11-19T08:00:00+07:00')";
    world.sql(WRITTEN_BEFORE.replace("ID", id)).await?;
    ensure!(narrow().await? == ["w h 01 15 t submitted none none"], "{:?}", narrow().await?);
    world
        .sql(
            "update requests set state = 'delivered', clock_cause = 'received', answer_due_at = '2026-11-25T12:00:00Z'",
        )
        .await?;
    ensure!(narrow().await? == ["w h 01 15 t delivered received 2026-11-25"], "{:?}", narrow().await?);
    // Whoever keeps them itself is not meddled with.
    world.sql("set xacminh.keeps_timers = on; update requests set state = 'opened'").await?;
    ensure!(narrow().await? == ["w h 01 15 t delivered received 2026-11-25"], "{:?}", narrow().await?);
    store.close().await;
    world.close().await
}

#[test]
fn what_is_taken_away_or_asked_for_is_seen() {
    let lines = |of: &[&str]| of.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let before = lines(&[
        "column parked at timestamptz needed",
        "column parked reason text may_be_left",
        "demand parked CHECK ((at > 0))",
    ]);
    let seen = |now: &[&str]| stumbles(&before, &lines(now)).len();
    let (at, reason, check) = (
        "column parked at timestamptz needed",
        "column parked reason text may_be_left",
        "demand parked CHECK ((at > 0))",
    );
    assert_eq!(seen(&[at, reason, check]), 0);
    let unique = |columns: &str| format!("demand parked unique btree ({columns})");
    let stumbled = |now: &str| stumbles(&[at.to_owned(), unique("at, reason")], &[at.to_owned(), unique(now)]).len();
    assert_eq!((stumbled("reason, at"), stumbled("reason")), (0, 1));
    assert_eq!(
        seen(&[
            at,
            reason,
            check,
            "column parked new text may_be_left",
            "column other id uuid needed",
            "demand other CHECK ((a b))"
        ]),
        0
    );
    assert_eq!(seen(&["column parked at timestamptz may_be_left", reason]), 0, "asking for less");
    assert_eq!(seen(&[at, check]), 1);
    assert_eq!(seen(&["column parked at bigint needed", reason]), 1);
    assert_eq!(seen(&[at, "column parked reason text needed"]), 1);
    assert_eq!(seen(&[at, reason, "column parked new text needed"]), 1);
    assert_eq!(seen(&[at, reason, "demand parked unique btree (at, reason)"]), 1);
}
