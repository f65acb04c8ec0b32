//! Small ledgers, made by hand, in which something is wrong.

use std::time::Instant;

use serde_json::json;
use xacminh_contract::envelope::{CommandType, RECEIPT};

use super::*;
use crate::ledger::{Expect, Tally};
use crate::line::Sheet;
use crate::table::end;

const REQUEST: &str = "019a9a3c-5800-7abc-8def-0123456789ab";
const OTHER: &str = "019a9a3c-5801-7abc-8def-0123456789ab";
const ANSWER: &str = "019a9a3c-5802-7abc-8def-0123456789ab";

fn office(id: &str) -> OfficeId {
    id.parse().unwrap()
}

fn ward() -> OfficeId {
    office("vpwwwwww")
}

fn home() -> OfficeId {
    office("vphhhhhh")
}

/// Notes a command as sent and confirmed.
fn send(ledger: &mut Ledger, of: CommandType, id: &str, at: &str, body: Value) {
    let tally = Tally::default();
    let submit = of == CommandType::RequestSubmit;
    let expect = match of {
        CommandType::RequestSubmit
        | CommandType::AnswerGive
        | CommandType::RequestWithdraw
        | CommandType::FileClose => Expect::Accepted,
        CommandType::RequestReceived
        | CommandType::RequestOpened
        | CommandType::AnswerRead
        | CommandType::ReconcileReport => Expect::Silence(&[]),
    };
    let sheet = Sheet {
        message_type: of.wire(),
        routing_key: String::new(),
        message_id: id.into(),
        correlation_id: None,
        time: String::new(),
        signed: true,
        body: serde_json::to_vec(&body).unwrap(),
    };
    let sent = Sent {
        sheet,
        request: REQUEST.parse().ok(),
        asks: submit.then(home),
        expect,
        at: at.parse().unwrap(),
        handed_at: Instant::now(),
        confirmed: true,
        awaited: u32::from(expect.owes_receipt()),
        receipt: None,
        receipt_ms: None,
        differing: 0,
        disturbed: false,
    };
    ledger.send(id.into(), sent, &tally);
}

fn receipt(ledger: &mut Ledger, under: &str, item: Value) {
    ledger.take(under, RECEIPT, json!({ "items": [item] }).to_string().into(), &Tally::default());
}

fn accepted(id: &str, at: &str) -> Value {
    let card = json!({ "office": home().to_string(), "name": "H", "phone": "0" });
    json!({ "message_id": id, "outcome": "accepted", "at": at, "responder": card })
}

/// A life in time: asked, received, answered.
fn life() -> HashMap<OfficeId, Ledger> {
    let (mut w, mut h) = (Ledger::default(), Ledger::default());
    let person = json!({ "person": { "full_name": "Siu" } });
    send(&mut w, CommandType::RequestSubmit, REQUEST, "2026-11-19T08:00:00+07:00", person.clone());
    receipt(&mut w, "r1", accepted(REQUEST, "2026-11-19T08:00:01+07:00"));
    came(&mut h, "d1", &person);
    h.requests.insert(REQUEST.parse().unwrap(), vec!["d1".into()]);
    send(&mut h, CommandType::RequestReceived, OTHER, "2026-11-19T08:00:02+07:00", json!({}));
    send(&mut h, CommandType::AnswerGive, ANSWER, "2026-11-20T08:00:00+07:00", json!({ "code": "A01" }));
    receipt(&mut h, "r2", accepted(ANSWER, "2026-11-20T08:00:01+07:00"));
    came(&mut w, "a1", &json!({}));
    w.answers.insert(REQUEST.parse().unwrap(), vec![("a1".into(), xacminh_contract::answer::Code::Confirmed)]);
    HashMap::from([(ward(), w), (home(), h)])
}

fn came(ledger: &mut Ledger, id: &str, body: &Value) {
    let came = crate::ledger::Came { body: body.to_string().into(), times: 1, altered: false, came_at: Instant::now() };
    ledger.came.insert(id.into(), came);
}

#[test]
fn a_whole_life_adds_up() {
    let findings = check(&life(), end());
    assert_eq!(findings.sum, Sum { submitted: 1, answered_on_time: 1, ..Sum::default() });
    assert!(findings.sum.is_exact());
    assert_eq!(findings.lost, Vec::<String>::new());
    assert_eq!(findings.twice, Vec::<String>::new());
    assert_eq!(findings.surprises, Vec::<String>::new());
}

#[test]
fn a_lost_message_is_found() {
    let mut books = life();
    books.get_mut(&home()).unwrap().requests.clear();
    assert_eq!(check(&books, end()).lost.len(), 1, "accepted, never delivered");
    let mut books = life();
    books.get_mut(&ward()).unwrap().answers.clear();
    assert_eq!(check(&books, end()).lost.len(), 1, "answered, never delivered");
    let mut books = life();
    let submit = books.get_mut(&ward()).unwrap().sent.get_mut(REQUEST).unwrap();
    (submit.receipt, submit.awaited) = (None, 1);
    let findings = check(&books, end());
    assert_eq!(findings.lost.len(), 1, "confirmed, no receipt");
    assert!(!findings.sum.is_exact());
}

#[test]
fn a_second_effect_is_found() {
    let mut books = life();
    books.get_mut(&home()).unwrap().requests.values_mut().for_each(|under| under.push("d2".into()));
    assert_eq!(check(&books, end()).twice.len(), 1, "delivered under two ids");
    let mut books = life();
    books.get_mut(&home()).unwrap().came.get_mut("d1").unwrap().altered = true;
    assert_eq!(check(&books, end()).twice.len(), 1, "the same id with other bytes");
    let mut books = life();
    receipt(books.get_mut(&ward()).unwrap(), "r3", accepted(REQUEST, "2026-11-19T08:00:09+07:00"));
    assert_eq!(check(&books, end()).twice.len(), 1, "a repeat with another receipt");
    let mut books = life();
    let w = books.get_mut(&ward()).unwrap();
    send(w, CommandType::RequestWithdraw, OTHER, "2026-11-20T08:00:00+07:00", json!({}));
    receipt(w, "r3", accepted(OTHER, "2026-11-20T08:00:00+07:00"));
    assert_eq!(check(&books, end()).twice.len(), 1, "taken back and answered");
}

#[test]
fn a_person_must_arrive_as_written() {
    let mut books = life();
    came(books.get_mut(&home()).unwrap(), "d1", &json!({ "person": { "full_name": "SIU" } }));
    assert_eq!(check(&books, end()).surprises.len(), 1);
}

#[test]
fn what_stays_open_is_judged_by_hand() {
    let open = |received: Option<&str>, submitted: &str| {
        let mut books = life();
        let w = books.get_mut(&ward()).unwrap();
        w.answers.clear();
        w.sent.get_mut(REQUEST).unwrap().receipt.as_mut().unwrap().at.0 = submitted.parse().unwrap();
        let h = books.get_mut(&home()).unwrap();
        h.sent.remove(ANSWER);
        match received {
            Some(at) => h.sent.get_mut(OTHER).unwrap().at = at.parse().unwrap(),
            None => drop(books.remove(&home())),
        }
        let sum = check(&books, end()).sum;
        assert!(sum.is_exact());
        (sum.open_in_time, sum.open_silent)
    };
    let at = "2026-11-23T08:00:00+07:00";
    assert_eq!(open(Some("2026-11-23T08:00:05+07:00"), at), (0, 1), "due Thu 26");
    assert_eq!(open(Some("2026-11-25T08:00:05+07:00"), at), (1, 0), "due Fri 27 at 24:00");
    assert_eq!(open(None, "2026-11-23T13:00:05+07:00"), (1, 0), "counts from Wed 25");
    assert_eq!(open(None, "2026-11-23T08:00:05+07:00"), (0, 1), "counts from Mon 23");
}

#[test]
fn the_percentile_is_by_nearest_rank() {
    assert_eq!(p99((1..=100).collect()), Some(99));
    assert_eq!(p99(vec![7]), Some(7));
    assert_eq!(p99(Vec::new()), None);
}
