//! The judgments on PostgreSQL, from facts made by hand.

use super::*;
use crate::doctor::finding::Level;

fn sound() -> Server {
    Server {
        version: 150_018,
        in_recovery: false,
        read_only: false,
        syncs: true,
        synchronous_commit: "on".to_owned(),
        room: 197,
        taken: 20,
        encrypted: false,
        remote: false,
        now: Timestamp::UNIX_EPOCH,
    }
}

fn levels(server: &Server) -> Vec<Level> {
    let mut found = vec![version("h:1/d", server)];
    found.extend(of_server(server, 20));
    found.into_iter().map(|found| found.level).collect()
}

#[test]
fn a_sound_server_is_sound() {
    assert_eq!(levels(&sound()), [Level::Sound; 5]);
}

#[test]
fn each_fault_of_a_server_is_one() {
    let cases: [(Server, usize, Level); 8] = [
        (Server { version: 140_009, ..sound() }, 0, Level::Fault),
        (Server { in_recovery: true, ..sound() }, 1, Level::Fault),
        (Server { read_only: true, ..sound() }, 1, Level::Fault),
        (Server { syncs: false, ..sound() }, 2, Level::Fault),
        (Server { synchronous_commit: "off".to_owned(), ..sound() }, 2, Level::Fault),
        (Server { room: 20, ..sound() }, 3, Level::Fault),
        (Server { room: 104, ..sound() }, 3, Level::Look),
        (Server { remote: true, ..sound() }, 4, Level::Look),
    ];
    for (server, at, level) in cases {
        let mut expected = vec![Level::Sound; 5];
        expected[at] = level;
        assert_eq!(levels(&server), expected, "{server:?}");
    }
    assert_eq!(levels(&Server { taken: 178, ..sound() })[3], Level::Look, "nine tenths are taken");
    assert_eq!(levels(&Server { remote: true, encrypted: true, ..sound() })[4], Level::Sound);
}

#[test]
fn a_schema_is_judged_by_what_is_missing_first() {
    let at = |missing: &[i64], unknown: &[i64], changed: &[i64], half: &[i64]| {
        schema(&Schema {
            wanted: 6,
            missing: missing.to_vec(),
            unknown: unknown.to_vec(),
            changed: changed.to_vec(),
            half: half.to_vec(),
        })
    };
    assert_eq!(at(&[], &[], &[], &[]).level, Level::Sound);
    assert_eq!(at(&[], &[7], &[], &[]).level, Level::Look);
    let behind = at(&[5, 6], &[7], &[], &[]);
    assert_eq!(behind.level, Level::Fault);
    assert!(behind.what.contains("missing 5, 6"), "{}", behind.what);
    assert_eq!(at(&[], &[], &[3], &[]).level, Level::Fault);
    assert!(at(&[6], &[], &[], &[6]).remedy.is_some_and(|remedy| remedy.contains("backup")));
}

#[test]
fn rights_that_are_missing_are_named() {
    let all = Rights { login: "x".to_owned(), may_create: true, ..Rights::default() };
    assert_eq!(rights(&all).level, Level::Sound);
    assert!(rights(&Rights { shut: vec!["outbox".to_owned()], ..all.clone() }).what.contains("outbox"));
    assert_eq!(rights(&Rights { may_create: false, ..all.clone() }).level, Level::Fault);
    assert_eq!(rights(&Rights { foreign: vec!["events".to_owned()], ..all }).level, Level::Fault);
}

#[test]
fn what_lies_too_long_is_told() {
    let now: Timestamp = "2026-11-19T12:00:00+07:00".parse().unwrap();
    let due = |seconds| Work { oldest_due: Some(now - SignedDuration::from_secs(seconds)), ..Work::default() };
    assert_eq!(timers(&Work::default(), now).level, Level::Sound);
    assert_eq!(timers(&due(60), now).level, Level::Sound);
    assert_eq!(timers(&due(61), now).level, Level::Fault);
    assert_eq!(parked(&Work::default(), now).level, Level::Sound);
    let lying = Work { parked: 2, oldest_parked: Some(now - SignedDuration::from_hours(3)), ..Work::default() };
    assert!(parked(&lying, now).what.contains("2, the oldest since 2026-11-19 09:00:00 +07:00 (for 3 h)"));
}
