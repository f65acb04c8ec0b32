//! The judgments on what is declared, from facts made by hand.

use super::*;
use crate::doctor::finding::Level;
use xacminh_bus::{Binding, Exchange, Limits, Login, Rights};
use xacminh_domain::id::OfficeId;

fn of<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn office() -> OfficeId {
    "vpa2b3c4".parse().unwrap()
}

fn offices() -> Offices {
    Offices { granted: vec![office()], revoked: Vec::new() }
}

fn queue(name: &str, delivery: Option<i64>) -> Queue {
    let dead_letters = delivery.map(|_| EXCHANGE_REJECTED.to_owned());
    let bounded = BOUNDED.contains(&name);
    let (length, overflow) = (bounded.then_some(50_000), bounded.then(|| HOLDS_BACK.to_owned()));
    Queue {
        name: name.to_owned(),
        kind: "quorum".to_owned(),
        limits: Limits { delivery, dead_letters, length, overflow },
    }
}

/// A virtual host as it should be, with one office.
fn sound() -> Sight {
    let exchange = |(name, kind, otherwise): &(&str, &str, Option<&str>)| -> Exchange {
        let arguments = otherwise.map_or(serde_json::json!({}), |to| serde_json::json!({ "alternate-exchange": to }));
        of(serde_json::json!({ "name": name, "type": kind, "arguments": arguments }))
    };
    let bound = |(queue, exchange, key): &(&str, &str, &str)| Binding {
        source: (*exchange).to_owned(),
        destination: (*queue).to_owned(),
        routing_key: (*key).to_owned(),
    };
    let all: Rights = of(serde_json::json!({ "configure": ".*", "write": ".*", "read": ".*" }));
    let login = |name: &str| -> Login { of(serde_json::json!({ "name": name, "tags": [] })) };
    let may = xacminh_bus::OfficePermissions::of(office());
    let of_office: Rights = of(serde_json::json!({ "configure": may.configure, "write": may.write, "read": may.read }));
    let mut queues: Vec<Queue> = WORK_QUEUES.iter().map(|name| queue(name, None)).collect();
    queues.push(queue("xacminh.office.vpa2b3c4", Some(20)));
    Sight {
        version: "3.10.8".to_owned(),
        vhost_there: true,
        logins: vec![login("broker"), login("vpa2b3c4")],
        rights: [("broker".to_owned(), all), ("vpa2b3c4".to_owned(), of_office)].into(),
        exchanges: EXCHANGES.iter().map(exchange).collect(),
        bindings: BINDINGS.iter().map(bound).collect(),
        queues,
        ..Sight::default()
    }
}

/// The only line that is not sound.
fn the_fault(sight: &Sight, offices: &Offices) -> Finding {
    let wrong: Vec<Finding> =
        judge(sight, "broker", "v", Some(offices)).into_iter().filter(|f| f.level != Level::Sound).collect();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    wrong[0].clone()
}

#[test]
fn a_sound_virtual_host_is_sound() {
    let found = judge(&sound(), "broker", "v", Some(&offices()));
    assert!(found.iter().all(|found| found.level == Level::Sound), "{found:?}");
}

#[test]
fn each_fault_is_told_alone() {
    let changed = |change: &dyn Fn(&mut Sight)| {
        let mut sight = sound();
        change(&mut sight);
        let found = the_fault(&sight, &offices());
        (found.part, found.level)
    };
    assert_eq!(changed(&|s| s.vhost_there = false), ("rabbitmq virtual host", Level::Fault));
    assert_eq!(changed(&|s| _ = s.rights.remove("broker")), ("rabbitmq rights", Level::Fault));
    assert_eq!(changed(&|s| _ = s.bindings.pop()), ("exchanges and bindings", Level::Fault));
    assert_eq!(changed(&|s| s.exchanges[0].kind = "topic".to_owned()), ("exchanges and bindings", Level::Fault));
    assert_eq!(changed(&|s| _ = s.queues.remove(0)), ("work queues declared", Level::Fault));
    assert_eq!(changed(&|s| s.queues[1].kind = "classic".to_owned()), ("queue types", Level::Fault));
    assert_eq!(
        changed(&|s| s.queues[1] = queue(WORK_QUEUES[1], Some(5))),
        ("delivery limit of work queues", Level::Fault)
    );
    assert_eq!(changed(&|s| s.version = "4.0.1".to_owned()), ("delivery limit of work queues", Level::Fault));
    let length = ("length of work queues", Level::Fault);
    assert_eq!(changed(&|s| s.queues[0].limits.length = None), length);
    assert_eq!(changed(&|s| s.queues[2].limits.overflow = None), length);
    assert_eq!(changed(&|s| s.queues[3].limits.length = Some(7)), length);
    assert_eq!(changed(&|s| s.queues[5].limits = Limits::default()), ("inbox policy", Level::Fault));
    assert_eq!(changed(&|s| _ = s.queues.pop()), ("inboxes of offices", Level::Fault));
    assert_eq!(
        changed(&|s| s.queues.push(queue("xacminh.office.vpzzzzzz", Some(20)))),
        ("inboxes of nobody", Level::Look)
    );
    assert_eq!(changed(&|s| _ = s.logins.pop()), ("logins of offices", Level::Fault));
    let broad = |s: &mut Sight| _ = s.rights.insert("vpa2b3c4".to_owned(), s.rights["broker"].clone());
    assert_eq!(changed(&broad), ("logins of offices", Level::Fault));
}

#[test]
fn rabbitmq_4_is_told_by_policy_that_there_is_no_limit() {
    let mut sight = Sight { version: "4.0.1".to_owned(), ..sound() };
    for queue in &mut sight.queues[..WORK_QUEUES.len()] {
        queue.limits.delivery = Some(-1);
    }
    let found = judge(&sight, "broker", "v", Some(&offices()));
    assert!(found.iter().all(|found| found.level == Level::Sound), "{found:?}");
}

#[test]
fn an_inbox_of_a_revoked_office_is_nobodys_fault() {
    let revoked = Offices { granted: Vec::new(), revoked: vec![office()] };
    let found = judge(&sound(), "broker", "v", Some(&revoked));
    assert!(found.iter().all(|found| found.level == Level::Sound), "{found:?}");
}

#[test]
fn a_long_list_is_cut() {
    let names: Vec<String> = (0..5).map(|n| n.to_string()).collect();
    assert_eq!(some(&names), "0, 1, 2 and 2 more");
    assert_eq!(some(&names[..3]), "0, 1, 2");
}

#[test]
fn a_remedy_is_a_command_that_can_be_given() {
    let of = |count: usize| (0..count).map(|n| format!("vpaaaaa{n}")).collect::<Vec<_>>();
    assert_eq!(grant(&of(2), false), "`xacminh office grant vpaaaaa0 vpaaaaa1`");
    assert_eq!(grant(&of(1), true), "`xacminh office grant vpaaaaa0 --out FILE`");
    assert!(grant(&of(11), false).starts_with("`xacminh office grant --all --out FILE`"));

    let without_login = Sight { logins: Vec::new(), ..sound() };
    let without_rights = Sight { rights: [("broker".to_owned(), sound().rights["broker"].clone())].into(), ..sound() };
    let remedy = |sight: &Sight| the_fault(sight, &offices()).remedy.unwrap();
    assert!(remedy(&without_login).contains("a new password, in FILE"), "{}", remedy(&without_login));
    assert!(remedy(&without_rights).contains("passwords stay"), "{}", remedy(&without_rights));
}
