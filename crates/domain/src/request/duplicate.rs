//! Near-duplicates: a second request about the same file. Perhaps a slip, perhaps not, so it is
//! never refused; the ward is told which one was first.

use std::collections::{HashMap, HashSet};

use super::{Event, Opening, RequestKind};
use crate::id::{OfficeId, RequestId};

/// What two requests have in common when the second may be a slip.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Matter {
    /// W.
    pub requester: OfficeId,
    /// W's file code.
    pub case_code: String,
    /// What is asked.
    pub kind: RequestKind,
    /// H.
    pub responder: OfficeId,
}

impl Opening {
    /// What it is about, as far as duplicates go.
    pub fn matter(&self) -> Matter {
        Matter {
            requester: self.requester,
            case_code: self.case_code.clone(),
            kind: self.kind,
            responder: self.responder,
        }
    }
}

/// Which new requests are about a matter that another is about already, and which that is: the
/// first that was not withdrawn at that moment. `before` are those that stood, first ones first;
/// `happened` is what was done since, in its order.
pub fn near_duplicates<'e>(
    before: &HashMap<Matter, Vec<RequestId>>,
    happened: impl IntoIterator<Item = (RequestId, &'e Event)>,
) -> Vec<(RequestId, RequestId)> {
    let mut standing: HashMap<Matter, Vec<RequestId>> = HashMap::new();
    let mut withdrawn = HashSet::new();
    let mut found = Vec::new();
    for (id, event) in happened {
        match event {
            Event::Submitted { opening, .. } => {
                let matter = opening.matter();
                let old = before.get(&matter).into_iter().flatten();
                let new = standing.get(&matter).into_iter().flatten();
                if let Some(first) = old.chain(new).find(|other| **other != id && !withdrawn.contains(*other)) {
                    found.push((id, *first));
                }
                standing.entry(matter).or_default().push(id);
            }
            Event::Withdrawn { .. } => _ = withdrawn.insert(id),
            Event::Sent
            | Event::Delivered { .. }
            | Event::ClockStarted { .. }
            | Event::Opened { .. }
            | Event::RungFired { .. }
            | Event::Answered { .. }
            | Event::AnswerSent
            | Event::Read
            | Event::Recounted { .. }
            | Event::FileClosed { .. } => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::{Lane, Lookup, Purpose, WithdrawReason};
    use super::*;

    fn id(n: u8) -> RequestId {
        format!("019a9a3c-5800-7abc-8def-0123456789{n:02x}").parse().unwrap()
    }

    fn submitted(case_code: &str, kind: RequestKind) -> Event {
        let opening = Opening {
            requester: "vpa2b3c4".parse().unwrap(),
            responder: "vpd5e6f7".parse().unwrap(),
            home: "00097".parse().unwrap(),
            kind,
            lane: Lane::Normal,
            lane_reason: None,
            purpose: Purpose::Registration,
            lookup: Lookup::Done,
            case_code: case_code.to_owned(),
            received_on: jiff::civil::date(2026, 11, 19),
            received_at: None,
            promised_on: None,
            questions: Vec::new(),
            person_digest: [0; 32],
        };
        Event::Submitted { opening, file_due: None }
    }

    #[test]
    fn the_first_that_stands_is_named() {
        let (tt, other) =
            (submitted("TT-1", RequestKind::TempResidence), submitted("TT-2", RequestKind::TempResidence));
        let renewal = submitted("TT-1", RequestKind::TempRenewal);
        let gone = Event::Withdrawn { reason: WithdrawReason::Mistake };
        let happened = [
            (id(1), &tt),
            (id(2), &other),
            (id(3), &tt),
            (id(4), &renewal),
            (id(1), &gone),
            (id(5), &tt),
            (id(3), &gone),
            (id(5), &gone),
            (id(6), &tt),
        ];
        assert_eq!(near_duplicates(&HashMap::new(), happened), [(id(3), id(1)), (id(5), id(3))]);

        let Event::Submitted { opening, .. } = &tt else { unreachable!() };
        let before = HashMap::from([(opening.matter(), vec![id(8), id(9)])]);
        let happened = [(id(1), &tt), (id(8), &gone), (id(2), &tt), (id(9), &gone), (id(3), &tt), (id(4), &other)];
        assert_eq!(near_duplicates(&before, happened), [(id(1), id(8)), (id(2), id(9)), (id(3), id(1))]);
    }
}
