//! The office's book, from messages made by hand.

use super::*;
use serde_json::json;

const ID: &str = "019a9a3c-5800-7abc-8def-0123456789ab";

fn sent(expect: Expect) -> Sent {
    Sent {
        sheet: Sheet {
            message_type: "xacminh.request.submit.v1".into(),
            routing_key: "submit.normal".into(),
            message_id: ID.into(),
            correlation_id: None,
            time: String::new(),
            signed: true,
            body: Vec::new(),
        },
        request: None,
        asks: None,
        expect,
        at: Timestamp::UNIX_EPOCH,
        handed_at: Instant::now(),
        confirmed: false,
        awaited: u32::from(expect.owes_receipt()),
        receipt: None,
        receipt_ms: None,
        differing: 0,
        disturbed: false,
    }
}

fn accepted(at: &str) -> Vec<u8> {
    json!({ "items": [{ "message_id": ID, "command": "request.submit", "outcome": "accepted", "at": at }] })
        .to_string()
        .into()
}

#[test]
fn a_repeat_awaits_the_first_receipt_again() {
    let (tally, mut ledger) = (Tally::default(), Ledger::default());
    ledger.send(ID.into(), sent(Expect::Accepted), &tally);
    ledger.confirmed(ID, &tally);
    ledger.take("a", RECEIPT, accepted("2026-11-19T08:05:02+07:00"), &tally);
    assert_eq!(tally.awaited.load(Ordering::Relaxed), 0);
    assert!(ledger.repeat(ID, &tally));
    assert_eq!((tally.awaited.load(Ordering::Relaxed), tally.unconfirmed.load(Ordering::Relaxed)), (1, 1));
    ledger.take("b", RECEIPT, accepted("2026-11-19T08:05:02+07:00"), &tally);
    assert_eq!(ledger.sent[ID].differing, 0);
    ledger.take("c", RECEIPT, accepted("2026-11-19T08:05:03+07:00"), &tally);
    assert_eq!(ledger.sent[ID].differing, 1, "another instant is another receipt");
}

#[test]
fn a_refusal_without_an_id_may_come_again_but_only_to_who_sent_such_a_thing() {
    let refused = |at: &str| -> Vec<u8> {
        let refusal = json!({ "code": "message_id_malformed", "pointer": "", "sentence": "", "sentence_en": "" });
        json!({ "items": [{ "outcome": "refused", "at": at, "refusal": refusal }] }).to_string().into()
    };
    let (tally, mut ledger) = (Tally::default(), Ledger::default());
    ledger.take("a", RECEIPT, refused("2026-11-19T08:05:02+07:00"), &tally);
    assert_eq!(ledger.strange.len(), 1, "nothing like it was sent: {:?}", ledger.strange);
    for key in ["so-1", "so-2"] {
        let mut sent = sent(Expect::Refused("message_id_malformed"));
        key.clone_into(&mut sent.sheet.message_id);
        ledger.send(key.into(), sent, &tally);
    }
    for (id, second) in [("b", 3), ("c", 4), ("d", 5)] {
        ledger.take(id, RECEIPT, refused(&format!("2026-11-19T08:05:0{second}+07:00")), &tally);
    }
    assert_eq!(tally.awaited.load(Ordering::Relaxed), 0, "one for each of the two");
    assert_eq!((ledger.sent["so-1"].differing, ledger.strange.len()), (0, 1));
}

#[test]
fn the_same_message_twice_is_one_message() {
    let (tally, mut ledger) = (Tally::default(), Ledger::default());
    assert!(ledger.take("a", NOTICE, b"{}".to_vec(), &tally).is_some());
    assert!(ledger.take("a", NOTICE, b"{}".to_vec(), &tally).is_none());
    assert_eq!((ledger.came["a"].times, ledger.came["a"].altered), (2, false));
    assert!(ledger.take("a", NOTICE, b"{ }".to_vec(), &tally).is_none());
    assert!(ledger.came["a"].altered);
    assert_eq!(ledger.strange.len(), 1, "it could not be read");
}
