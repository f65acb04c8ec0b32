//! The words of each part, from states made by hand.

use super::*;
use xacminh_bus::Error as BusError;
use xacminh_console::parts::Mark;

const AT: &str = "10.0.0.7:5671";

fn noon() -> SystemTime {
    let at: Timestamp = "2026-11-19T12:00:00+07:00".parse().unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_secs(at.as_second().unsigned_abs())
}

fn standing() -> LineState {
    LineState { connected: true, since: noon(), blocked: None, trouble: None, last_outage: None, losses: 0 }
}

fn both(line: &LineState) -> BusState {
    BusState { publishing: line.clone(), consuming: line.clone() }
}

#[test]
fn rabbitmq_that_stands_is_well() {
    let parts = rabbitmq(&both(&standing()), AT, noon() + Duration::from_secs(90)).map(Part::from);
    assert!(parts.iter().all(|part| part.mark == Mark::Good), "{parts:?}");
    assert_eq!(parts[0].words, "10.0.0.7:5671 connected, since 2026-11-19 12:00:00 +07:00 (for 90 s)");
}

#[test]
fn rabbitmq_that_is_away_is_named_with_since_when_why_and_what_to_do() {
    let away = LineState { connected: false, trouble: Some(BusError::Away), ..standing() };
    let [publishing, consuming, blocked] =
        rabbitmq(&both(&away), AT, noon() + Duration::from_secs(600)).map(Part::from);
    assert_eq!((publishing.mark, consuming.mark, blocked.mark), (Mark::Bad, Mark::Bad, Mark::Look));
    for part in
        ["10.0.0.7:5671", "12:00:00 +07:00 (for 10 min)", "not connected to RabbitMQ", "none is lost", "Start RabbitMQ"]
    {
        assert!(publishing.words.contains(part), "{part} is not in: {}", publishing.words);
    }
}

#[test]
fn a_trouble_that_waiting_does_not_mend_says_so() {
    let refused = BusError::Different { name: "xacminh.work.intake".to_owned(), found: "a classic queue".to_owned() };
    let line = LineState { connected: false, trouble: Some(refused), ..standing() };
    let [publishing, ..] = rabbitmq(&both(&line), AT, noon()).map(Part::from);
    assert!(publishing.words.contains("Waiting will not mend this"), "{}", publishing.words);
    assert!(publishing.words.contains("a classic queue"), "{}", publishing.words);
}

#[test]
fn rabbitmq_short_of_disk_is_looked_at_and_still_ready() {
    let line = LineState { blocked: Some("low on disk".to_owned()), ..standing() };
    let [publishing, _, blocked] = rabbitmq(&both(&line), AT, noon()).map(Part::from);
    assert_eq!((publishing.mark, blocked.mark), (Mark::Good, Mark::Look));
    assert!(blocked.words.contains("low on disk") && blocked.words.contains("disk space"), "{}", blocked.words);
}

#[test]
fn postgresql_away_says_what_waits_where() {
    let seen = StoreState {
        state: CheckState::Failing,
        since: noon(),
        why: Some(Away::passing("Connection refused (os error 111)")),
    };
    let part = postgresql(&seen, "10.0.0.8:5432/xacminh", noon() + Duration::from_secs(7_200));
    assert_eq!(part.mark, Mark::Bad);
    for words in ["10.0.0.8:5432/xacminh", "(for 2 h)", "Connection refused", "waits in RabbitMQ", "Start PostgreSQL"] {
        assert!(part.words.contains(words), "{words} is not in: {}", part.words);
    }
    let refused =
        StoreState { why: Some(Away { words: "password authentication failed".to_owned(), lasting: true }), ..seen };
    let part = postgresql(&refused, "10.0.0.8:5432/xacminh", noon());
    assert!(part.words.contains("Waiting will not mend this") && !part.words.contains("Start PostgreSQL"));
}

#[test]
fn a_queue_that_nobody_reads_is_named_with_the_role_it_wants() {
    let queues = ["xacminh.work.intake", "xacminh.work.answering"];
    let read = InboxSight::There { consumers: 2, waiting: 0 };
    assert_eq!(
        Part::from(readers(&queues, &[read, read])),
        Part::good("work queues", "intake 2 readers, 0 waiting; answering 2 readers, 0 waiting")
    );
    let part = Part::from(readers(&queues, &[read, InboxSight::There { consumers: 0, waiting: 7 }]));
    assert_eq!(part.mark, Mark::Look);
    assert!(part.words.contains("nobody reads answering (7 waiting)"), "{}", part.words);
}

#[test]
fn a_queue_that_is_gone_is_not_said_to_keep_anything() {
    let queues = ["xacminh.work.intake", "xacminh.work.answering"];
    let read = InboxSight::There { consumers: 2, waiting: 0 };
    let part = Part::from(readers(&queues, &[read, InboxSight::Missing]));
    assert_eq!(part.mark, Mark::Look);
    for words in ["not there: xacminh.work.answering", "goes to xacminh.work.unrouted", "makes it again within seconds"]
    {
        assert!(part.words.contains(words), "{words} is not in: {}", part.words);
    }
    assert!(!part.words.contains("waits"), "{}", part.words);
    // Both faults, each with its remedy.
    let part = Part::from(readers(&queues, &[InboxSight::There { consumers: 0, waiting: 3 }, InboxSight::Missing]));
    for words in ["not there: xacminh.work.answering", "nobody reads intake (3 waiting)", "Start a process with"] {
        assert!(part.words.contains(words), "{words} is not in: {}", part.words);
    }
    // Without the queue for what no other takes, nothing takes its place.
    let (what, _) = missing(&["xacminh.work.answering", "xacminh.work.unrouted"]).unwrap();
    assert!(what.contains("is not kept") && !what.contains("goes to"), "{what}");
}
