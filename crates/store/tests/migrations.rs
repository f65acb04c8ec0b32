//! Steps of the schema expand before they contract, and never change once they were released.
//!
//! An upgrade runs `migrate` first and replaces the programs afterwards, one by one: for a while programs
//! of the release before work on the new schema. So a step may add what they do not know; it may take
//! away, rename or tighten only what no program that may still run needs. Whoever writes such a step says
//! so, right above the statement:
//!
//! ```sql
//! -- contracts: safe after 0.3.0, because nothing reads it since then.
//! alter table parked drop column reason;
//! ```
//!
//! The release named must be older than this one. Beside it, `tests/broker/schema.rs` holds the schema
//! against what the release before expects to find.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

const MARKER: &str = "-- contracts: safe after ";

/// A statement, the comments right above it, and where it begins.
#[derive(Debug, Default)]
struct Statement {
    /// In small letters, one space between words, without comments.
    text: String,
    comments: Vec<String>,
    line: usize,
}

/// Cuts a file into statements. Knows comments to the end of a line, `'…'` and `$$ … $$`, which is what
/// the steps are written with.
fn statements(sql: &str) -> Vec<Statement> {
    let mut found = Vec::new();
    let mut at = Statement::default();
    let (mut quoted, mut dollars) = (false, false);
    for (number, line) in sql.lines().enumerate() {
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let begun = !at.text.trim().is_empty();
            if !quoted && !dollars && rest.starts_with("--") {
                if !begun {
                    at.comments.push(rest.to_owned());
                }
                break;
            }
            let two = !quoted && rest.starts_with("$$");
            let (now, then) = rest.split_at(if two { 2 } else { first.len_utf8() });
            rest = then;
            match now {
                "$$" => dollars = !dollars,
                "'" if !dollars => quoted = !quoted,
                ";" if !quoted && !dollars => {
                    found.push(std::mem::take(&mut at));
                    continue;
                }
                _ => {}
            }
            if !begun && !first.is_whitespace() {
                at.line = number + 1;
            }
            at.text.push_str(now);
        }
        at.text.push(' ');
    }
    assert!(at.text.trim().is_empty(), "a statement without an end: {}", at.text);
    for statement in &mut found {
        statement.text = statement.text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    }
    found
}

/// The table a statement is about, after these words.
fn table_after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let rest = text.split_once(words)?.1.trim_start();
    let rest = rest.strip_prefix("if not exists ").or_else(|| rest.strip_prefix("only ")).unwrap_or(rest);
    rest.split([' ', '(']).next()
}

/// What in a statement would take something away from a program of the release before. `new`: tables
/// that this very step makes, so that nobody knows them yet.
fn contracts(text: &str, new: &HashSet<String>) -> Option<&'static str> {
    let padded = format!(" {text} ");
    let has = |words: &str| padded.contains(words);
    let is_new = |table: Option<&str>| table.is_some_and(|table| new.contains(table));
    let begins = |words: &[&str]| words.iter().any(|begin| text.starts_with(begin));
    if begins(&["drop "]) && !begins(&["drop index "]) {
        return Some("drops something");
    }
    if begins(&["truncate ", "delete from "]) {
        return Some("takes rows away");
    }
    if begins(&["update "]) {
        return Some("changes rows that a program may be working on");
    }
    if begins(&["revoke "]) {
        return Some("takes rights away");
    }
    if begins(&["create unique index "]) && !is_new(table_after(text, " on ")) {
        return Some("makes unique what was not");
    }
    if !begins(&["alter "]) || is_new(table_after(text, "alter table ")) {
        return None;
    }
    // These drop a demand, not a thing.
    if padded.replace(" drop not null", "").replace(" drop constraint", "").contains(" drop ") {
        return Some("drops something");
    }
    if has(" rename ") {
        return Some("renames something");
    }
    if has(" set not null") {
        return Some("demands a value");
    }
    if has(" set data type ") || has(" alter column ") && has(" type ") {
        return Some("changes a type");
    }
    let demands = ["constraint", "check", "unique", "primary key", "foreign key", "exclude"];
    if demands.iter().any(|demand| has(&format!(" add {demand}"))) {
        return Some("demands what was not demanded");
    }
    let filled = |column: &str| column.contains(" default ") || column.contains(" generated ");
    let asks = |column: &str| column.contains(" not null") && !filled(column) || column.contains(" unique");
    if padded.split(" add column ").skip(1).any(asks) {
        return Some("adds a column that a program of before does not fill");
    }
    None
}

/// The release that a statement says it is safe after.
fn safe_after(statement: &Statement) -> Option<(u32, u32, u32)> {
    let said = statement.comments.iter().find_map(|comment| comment.trim().strip_prefix(MARKER))?;
    let (release, because) = said.split_once(", because ")?;
    if because.trim().is_empty() { None } else { version(release) }
}

fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

fn wrong_in(name: &str, sql: &str, this: (u32, u32, u32)) -> Vec<String> {
    let statements = statements(sql);
    let new: HashSet<String> =
        statements.iter().filter_map(|s| table_after(&s.text, "create table ")).map(ToOwned::to_owned).collect();
    let mut wrong = Vec::new();
    for statement in &statements {
        let Some(how) = contracts(&statement.text, &new) else { continue };
        let place = format!("{name}, line {}", statement.line);
        match safe_after(statement) {
            None => wrong.push(format!("{place}: {how}, and no line above says `{MARKER}RELEASE, because …`")),
            Some(release) if release >= this => {
                wrong.push(format!("{place}: {how}, and is safe only after a release that is not out yet"));
            }
            Some(_) => {}
        }
    }
    wrong
}

fn steps() -> BTreeMap<String, String> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("migrations");
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "sql"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect()
}

#[test]
fn no_step_takes_away_what_the_release_before_needs() {
    let this = version(env!("CARGO_PKG_VERSION")).unwrap();
    let steps = steps();
    assert!(steps.len() >= 6, "no steps found");
    let wrong: Vec<String> = steps.iter().flat_map(|(name, sql)| wrong_in(name, sql, this)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn released_steps_are_as_they_were_released() {
    let steps = steps();
    for line in include_str!("released_migrations.txt").lines().filter(|line| !line.starts_with('#')) {
        let (digest, name) = line.split_once("  ").unwrap_or_else(|| panic!("not `DIGEST  FILE`: {line}"));
        let sql = steps.get(name).unwrap_or_else(|| panic!("{name} was released and is gone"));
        let now: String = Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(now, digest, "{name} was released; add a step instead of changing it");
    }
}

#[test]
fn what_contracts_is_seen_and_what_expands_is_not() {
    let this = (0, 4, 0);
    for sql in [
        "drop table parked;",
        "alter table parked drop column reason;",
        "alter table parked rename column reason to why;",
        "alter table parked\n    add column a text,\n    alter column b type bigint;",
        "ALTER TABLE parked ALTER COLUMN reason SET NOT NULL;",
        "alter table parked add column why text not null;",
        "alter table parked add column a text default 'x;', add column b text not null;",
        "alter table parked add constraint c check (bytes > 0);",
        "alter table parked alter column bytes drop default;",
        "create unique index parked_once on parked (at);",
        "delete from parked;",
        "update parked set reason = '';",
        "revoke select on parked from public;",
        "-- contracts: safe after 0.3.0\ndrop table parked;",
        "-- contracts: safe after 0.4.0, because it is new.\ndrop table parked;",
        "-- contracts: safe after 0.3.0, because of the other.\ndrop index a;\ndrop table parked;",
    ] {
        assert_eq!(wrong_in("x", sql, this).len(), 1, "{sql}: {:?}", wrong_in("x", sql, this));
    }
    for sql in [
        "create table a (b text not null unique); create unique index c on a (b); alter table a add constraint d check (b <> '');",
        "alter table parked add column a text, add column b bigint not null default 0;",
        "alter table parked alter column reason drop not null; alter table parked drop constraint c;",
        "create index i on parked (at); drop index i;",
        "create function f() returns void language sql as $$ delete from parked; drop table parked; $$;",
        "insert into a values ('drop table parked;'); -- drop table parked;",
        "-- contracts: safe after 0.3.0, because nothing reads it.\ndrop table parked;",
    ] {
        assert_eq!(wrong_in("x", sql, this), Vec::<String>::new(), "{sql}");
    }
}
