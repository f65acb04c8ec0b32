//! The judgments on RabbitMQ, from facts made by hand.

use super::*;
use crate::doctor::finding::Level;
use xacminh_bus::{Expiring, Limits, Queue};

fn node() -> Node {
    Node {
        name: "a@b".to_owned(),
        running: true,
        fd_total: Some(65_536),
        mem_alarm: Some(false),
        disk_free_alarm: Some(false),
    }
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
        assert_eq!((version(of).level, xacminh_bus::limits_deliveries(of)), (level, limits), "{of}");
    }
}

#[test]
fn an_alarm_and_a_node_that_is_down_are_faults() {
    let with = |node| alarms(&Sight { nodes: vec![node], ..Sight::default() });
    assert_eq!(with(node()).level, Level::Sound);
    assert!(with(Node { mem_alarm: Some(true), ..node() }).what.contains("short of memory"));
    assert!(with(Node { disk_free_alarm: Some(true), ..node() }).what.contains("short of disk"));
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
        nodes: vec![Node { fd_total: Some(fd_total), ..node() }],
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
fn a_node_that_has_just_started_tells_no_figures_and_no_figure_is_made_up() {
    let silent = Node { fd_total: None, mem_alarm: None, disk_free_alarm: None, ..node() };
    let sight = Sight { nodes: vec![node(), silent.clone()], ..Sight::default() };
    for found in [files(&sight), alarms(&sight)] {
        assert_eq!(found.level, Level::Unseen);
        assert!(found.what.contains("does not tell") && !found.what.contains('0'), "{}", found.what);
    }
    // What one tells is a fault all the same.
    let few = Node { fd_total: Some(900), mem_alarm: Some(true), ..node() };
    let sight = Sight { nodes: vec![silent, few], ..Sight::default() };
    assert_eq!((files(&sight).level, alarms(&sight).level), (Level::Fault, Level::Fault));
    assert!(files(&sight).what.contains("may have 900 open"));
}

#[test]
fn a_refused_login_is_not_taken_for_a_server_that_does_not_run() {
    assert!(management_remedy(true).starts_with("Correct login and password"));
    assert!(management_remedy(false).starts_with("Start RabbitMQ"));
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
