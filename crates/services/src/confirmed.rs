//! What RabbitMQ confirmed and no row tells yet, for whoever writes about the same requests.
//!
//! A mark of its own costs a request its lock, its row and its timer once more, as much as a command does. But most
//! systems of offices say `received` or `read` some hundred milliseconds after the letter lay in their inbox. Whoever
//! takes that command writes down with it that the letter had left, and nothing is left to mark; so marking is in no
//! hurry while much leaves (`leaving.rs`). A process that takes no commands marks all of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use xacminh_domain::Timestamp;
use xacminh_domain::id::RequestId;
use xacminh_domain::request::Event;
use xacminh_store::ledger::{Cause, Chained, LedgerRow};
use xacminh_store::outbox::{Letter, Mark};

use crate::judging::Done;

/// When which letter was confirmed; none lasts longer than until it is marked.
#[derive(Debug, Default)]
pub(crate) struct Confirmed(Mutex<HashMap<(RequestId, Mark), Timestamp>>);

impl Confirmed {
    /// RabbitMQ confirmed a letter.
    pub(crate) fn note(&self, letter: &Letter, at: Timestamp) {
        if let Some(means) = means(letter) {
            self.all().entry(means).or_insert(at);
        }
    }

    /// Whether no row tells yet what a letter means for its request. If it means nothing for one, none has to.
    pub(crate) fn has(&self, means: Option<(RequestId, Mark)>) -> bool {
        means.is_some_and(|means| self.all().contains_key(&means))
    }

    /// Has `done` tell what is known of these requests. Gives what there will be to forget once that is committed.
    pub(crate) fn take_along(
        &self,
        requests: &mut HashMap<RequestId, Chained>,
        done: &mut Done,
    ) -> Vec<(RequestId, Mark)> {
        let all = self.all();
        if all.is_empty() {
            return Vec::new();
        }
        let mut taken = Vec::new();
        for (id, chained) in requests {
            for mark in [Mark::Sent, Mark::AnswerSent] {
                let Some(at) = all.get(&(*id, mark)) else { continue };
                taken.push((*id, mark));
                if let Some((event, row)) = write(chained, mark, *at) {
                    done.rows.push(row);
                    done.changed.push(*id);
                    done.seen.push((*id, event));
                }
            }
        }
        taken
    }

    /// Rows tell of these now.
    pub(crate) fn written(&self, marks: &[(RequestId, Mark)]) {
        let mut all = self.all();
        for mark in marks {
            all.remove(mark);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<(RequestId, Mark), Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a letter means for which request once it has left.
pub(crate) fn means(letter: &Letter) -> Option<(RequestId, Mark)> {
    Some((letter.request_id?, letter.mark?))
}

/// Has a request tell that its letter left at `at`. None if it does already: a re-send after a death between
/// publish and mark is no second sending.
pub(crate) fn write(chained: &mut Chained, mark: Mark, at: Timestamp) -> Option<(Event, LedgerRow)> {
    let instants = chained.request.at;
    let event = match mark {
        Mark::Sent if instants.sent.is_none() => Event::Sent,
        Mark::AnswerSent if instants.answer_sent.is_none() => Event::AnswerSent,
        Mark::Sent | Mark::AnswerSent => return None,
    };
    let row = chained.append(at, &event, Cause::default());
    Some((event, row))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use xacminh_contract::envelope::REQUEST_DELIVER;
    use xacminh_domain::id::MessageId;
    use xacminh_domain::request::{Lane, Lookup, Opening, Purpose, RequestKind};

    use super::*;
    use crate::core::new_id;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn submitted(now: Timestamp) -> Chained {
        let opening = Opening {
            requester: "vpzzvcdb".parse().unwrap(),
            responder: "vpzzm6po".parse().unwrap(),
            home: "28687".parse().unwrap(),
            kind: RequestKind::ALL[0],
            lane: Lane::Normal,
            lane_reason: None,
            purpose: Purpose::Registration,
            lookup: Lookup::Done,
            case_code: "TT-1".to_owned(),
            received_on: "2026-11-19".parse().unwrap(),
            received_at: None,
            promised_on: None,
            questions: vec![],
            person_digest: [7; 32],
        };
        let id = RequestId::of(MessageId::new(new_id(now)).unwrap());
        let event = Event::Submitted { opening, file_due: None };
        Chained::begin(id, now, &event, Cause::default()).unwrap().0
    }

    fn letter(chained: &Chained, mark: Option<Mark>) -> Letter {
        Letter {
            office: chained.request.opening.responder,
            message_id: Uuid::from_u128(1),
            message_type: REQUEST_DELIVER.to_owned(),
            request_id: Some(chained.request.id),
            mark,
            created_at: chained.request.at.submitted,
            traceparent: None,
            body: Vec::new(),
        }
    }

    #[test]
    fn whoever_writes_about_a_request_writes_that_its_letter_left_and_when() {
        let chained = submitted(at("2026-11-19T08:00:00+07:00"));
        let (id, sent) = (chained.request.id, letter(&chained, Some(Mark::Sent)));
        let confirmed = Confirmed::default();
        confirmed.note(&sent, at("2026-11-19T08:00:01+07:00"));
        // A second confirm, of a letter that left again, is no second sending.
        confirmed.note(&sent, at("2026-11-19T08:00:09+07:00"));
        assert!(confirmed.has(means(&sent)));

        let mut requests = HashMap::from([(id, chained)]);
        let mut done = Done::default();
        let along = confirmed.take_along(&mut requests, &mut done);
        assert_eq!(requests[&id].request.at.sent, Some(at("2026-11-19T08:00:01+07:00")));
        assert_eq!((done.rows.len(), requests[&id].seq), (1, 2));
        assert_eq!((done.changed.as_slice(), done.seen.as_slice()), (&[id][..], &[(id, Event::Sent)][..]));
        // It counts as written once that is committed; until then another may have to write it.
        assert!(confirmed.has(means(&sent)));
        confirmed.written(&along);
        assert!(!confirmed.has(means(&sent)));
    }

    #[test]
    fn what_is_on_record_is_not_written_twice() {
        let mut chained = submitted(at("2026-11-19T08:00:00+07:00"));
        let sent = letter(&chained, Some(Mark::Sent));
        chained.append(at("2026-11-19T08:00:01+07:00"), &Event::Sent, Cause::default());
        let confirmed = Confirmed::default();
        confirmed.note(&sent, at("2026-11-19T08:00:02+07:00"));
        let mut done = Done::default();
        let along = confirmed.take_along(&mut HashMap::from([(chained.request.id, chained)]), &mut done);
        assert!(done.rows.is_empty() && done.changed.is_empty() && done.seen.is_empty());
        confirmed.written(&along);
        assert!(!confirmed.has(means(&sent)));
    }

    #[test]
    fn a_receipt_means_nothing_for_its_request() {
        let chained = submitted(at("2026-11-19T08:00:00+07:00"));
        let receipt = letter(&chained, None);
        let confirmed = Confirmed::default();
        confirmed.note(&receipt, at("2026-11-19T08:00:01+07:00"));
        assert!(!confirmed.has(means(&receipt)));
        assert!(
            confirmed.take_along(&mut HashMap::from([(chained.request.id, chained)]), &mut Done::default()).is_empty()
        );
    }
}
