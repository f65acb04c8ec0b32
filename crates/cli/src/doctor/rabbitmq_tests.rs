//! The judgments on RabbitMQ, from facts made by hand.

use super::*;
use crate::doctor::finding::Level;
use xacminh_bus::{Expiring, Limits, Node, Queue};

fn node() -> Node {
    Node { name: "a@b".to_owned(), running: true, fd_total: 65_536, mem_alarm: false, disk_free_alarm: false }
}

#[test]
fn a_login_is_told_without_its_password() {
    assert_eq!(login_of("amqp://a:geheim@h:1/v"), "a");
    assert_eq!(login_of("amqps://a:ge@heim@h/v"), "a");
    assert_eq!(login_of("geheim"), "");
}

#[test]
fn versions_are_compared_as_numbers() {
    for (of, level, limits) in
        [("3.9.29", Level::Fault, false), ("3.10.8", Level::Sound, false), ("4.1.0", Level::Sound, true)]
    {
        assert_eq!((version(of).level, limits_by_itself(of)), (level, limits), "{of}");
    }
}

#[test]
fn an_alarm_and_a_node_that_is_down_are_faults() {
    let with = |node| alarms(&Sight { nodes: vec![node], ..Sight::default() });
    assert_eq!(with(node()).level, Level::Sound);
    assert!(with(Node { mem_alarm: true, ..node() }).what.contains("short of memory"));
    assert!(with(Node { disk_free_alarm: true, ..node() }).what.contains("short of disk"));
    assert_eq!(with(Node { running: false, ..node() }).level, Level::Fault);
}

#[test]
fn the_nation_needs_more_files_than_a_login_shell_gives() {
    let queue = |n: usize| Queue {
        name: format!("xacminh.office.vp{n:06}"),
        kind: "quorum".to_owned(),
        limits: Limits::default(),
    };
    let sight = |inboxes: usize, fd_total| Sight {
        nodes: vec![Node { fd_total, ..node() }],
        queues_of_all: u64::try_from(inboxes).unwrap_or(0),
        queues: (0..inboxes).map(queue).collect(),
        ..Sight::default()
    };
    assert_eq!(files(&sight(0, 1_024)).level, Level::Sound);
    assert_eq!(files(&sight(5, 1_024)).level, Level::Fault);
    assert_eq!(files(&sight(3_354, 17_000)).level, Level::Fault);
    assert_eq!(files(&sight(3_354, 65_536)).level, Level::Sound);
}

#[test]
fn a_size_that_could_not_be_tried_is_not_called_sound() {
    assert_eq!(longest(Some(&Ok(false))).level, Level::Sound);
    assert_eq!(longest(Some(&Ok(true))).level, Level::Fault);
    assert_eq!(longest(None).level, Level::Unseen);
}

#[test]
fn a_certificate_is_told_a_month_ahead() {
    let with = |days| {
        let expiring = vec![Expiring { days, said: "server.pem".to_owned() }];
        certificates(&Sight { expiring, ..Sight::default() }).remove(0).level
    };
    assert_eq!((with(7), with(30)), (Level::Fault, Level::Look));
    assert_eq!(certificates(&Sight::default())[0].level, Level::Sound);
}
