//! Reconciling a day: in what an office's list of messages and the broker's own differ, and what
//! becomes of each difference.
//!
//! The day of a message is the day in its id. Both ends read it there, so nobody's clock, queue or
//! midnight moves a message from one day to another.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::calendar::local_date;
use crate::id::MessageId;

/// How many days back a day may be reported, today being 0.
pub const DAYS: i64 = 14;
/// For how long a message counts as under way: one that the broker took, or that left for the
/// office, less than this before the comparison is missing in no list.
pub const UNDER_WAY: SignedDuration = SignedDuration::from_mins(10);

/// In what the two ends differ about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Difference {
    /// The office sent it, the broker never took it.
    NotTaken,
    /// The broker took it, the office does not have it.
    NotSentByYou,
    /// The broker sent it, the office does not have it.
    NotReceived,
    /// The office has it from the broker, the broker does not know it.
    UnknownToBroker,
}

/// What becomes of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Healing {
    /// The office sends it again under the same id.
    SendAgain,
    /// The broker gives the command's first receipt again.
    ReceiptAgain,
    /// Telling is all there is to do.
    Told,
    /// The broker sends it again under the same id.
    SentAgain,
    /// Nothing that is sent can mend it: the operator's matter.
    Alerted,
}

/// A command that the broker took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Its id.
    pub id: MessageId,
    /// When it was taken.
    pub at: Timestamp,
    /// It got a receipt.
    pub has_receipt: bool,
    /// It was refused, so it changed nothing: an office need not have it.
    pub refused: bool,
}

/// A message to the office that the broker knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter {
    /// Its id.
    pub id: MessageId,
    /// When it left, if the broker saw it leave.
    pub left_at: Option<Timestamp>,
}

/// One difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// In what they differ.
    pub difference: Difference,
    /// About which message.
    pub id: MessageId,
    /// What becomes of it.
    pub healing: Healing,
}

/// How many each end has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// In the office's list.
    pub theirs: usize,
    /// At the broker, what is under way left out.
    pub ours: usize,
    /// At both.
    pub agreed: usize,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compared {
    /// The office's commands.
    pub sent: Counts,
    /// The broker's messages to it.
    pub received: Counts,
    /// The differences, by kind and id.
    pub lines: Vec<Line>,
}

/// Whether a day may be reported: what is older is not kept.
pub fn may_be_reported(day: Date, today: Date) -> bool {
    day <= today && day >= today.saturating_sub(SignedDuration::from_hours(24 * DAYS))
}

/// Whether a message belongs to a day.
pub fn is_of(id: MessageId, day: Date) -> bool {
    local_date(id.at()) == day
}

/// Compares an office's lists of a day with what the broker knows of it.
pub fn compare(
    sent: &BTreeSet<MessageId>,
    received: &BTreeSet<MessageId>,
    taken: &[Taken],
    letters: &[Letter],
    now: Timestamp,
) -> Compared {
    let settled = |at: Timestamp| at <= now - UNDER_WAY;
    let mut found = Compared::default();

    let known: BTreeSet<MessageId> = taken.iter().map(|t| t.id).collect();
    found.sent.theirs = sent.len();
    found.sent.agreed = sent.intersection(&known).count();
    found.sent.ours = found.sent.agreed;
    for id in sent.difference(&known) {
        found.lines.push(Line { difference: Difference::NotTaken, id: *id, healing: Healing::SendAgain });
    }
    for t in taken.iter().filter(|t| settled(t.at) && !t.refused && !sent.contains(&t.id)) {
        found.sent.ours += 1;
        let healing = if t.has_receipt { Healing::ReceiptAgain } else { Healing::Told };
        found.lines.push(Line { difference: Difference::NotSentByYou, id: t.id, healing });
    }

    let known: BTreeSet<MessageId> = letters.iter().map(|l| l.id).collect();
    found.received.theirs = received.len();
    found.received.agreed = received.intersection(&known).count();
    found.received.ours = found.received.agreed;
    for letter in letters.iter().filter(|l| l.left_at.is_some_and(settled) && !received.contains(&l.id)) {
        found.received.ours += 1;
        found.lines.push(Line { difference: Difference::NotReceived, id: letter.id, healing: Healing::SentAgain });
    }
    for id in received.difference(&known) {
        found.lines.push(Line { difference: Difference::UnknownToBroker, id: *id, healing: Healing::Alerted });
    }
    found.lines.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(hour: u8, number: u8) -> MessageId {
        let at: Timestamp = format!("2026-11-19T{hour:02}:00:00+07:00").parse().unwrap();
        let ms = u128::try_from(at.as_millisecond()).unwrap();
        let id = format!("{ms:012x}70008000000000000{number:03x}");
        let text = format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..32]);
        text.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{text}:00+07:00").parse().unwrap()
    }

    #[test]
    fn the_day_is_the_one_in_the_id_as_vietnam_counts_it() {
        let day = jiff::civil::date(2026, 11, 19);
        assert!(is_of(id(0, 1), day) && is_of(id(23, 1), day));
        assert!(!is_of(id(23, 1), jiff::civil::date(2026, 11, 20)));
        assert!(may_be_reported(day, day) && may_be_reported(day, jiff::civil::date(2026, 12, 3)));
        assert!(!may_be_reported(day, jiff::civil::date(2026, 12, 4)));
        assert!(!may_be_reported(day, jiff::civil::date(2026, 11, 18)));
    }

    #[test]
    fn each_difference_is_named_with_what_becomes_of_it() {
        let taken = [
            Taken { id: id(8, 1), at: at("19T08:00"), has_receipt: true, refused: false },
            Taken { id: id(8, 2), at: at("19T08:00"), has_receipt: true, refused: false },
            Taken { id: id(8, 3), at: at("19T08:00"), has_receipt: false, refused: false },
            Taken { id: id(8, 4), at: at("19T08:00"), has_receipt: true, refused: true },
        ];
        let letters = [
            Letter { id: id(9, 1), left_at: Some(at("19T09:00")) },
            Letter { id: id(9, 2), left_at: Some(at("19T09:00")) },
            Letter { id: id(9, 3), left_at: None },
        ];
        let sent = BTreeSet::from([id(8, 1), id(8, 9)]);
        // What the broker did not see leave it may have sent all the same.
        let received = BTreeSet::from([id(9, 1), id(9, 3), id(9, 9)]);
        let found = compare(&sent, &received, &taken, &letters, at("20T00:00"));
        assert_eq!(found.sent, Counts { theirs: 2, ours: 3, agreed: 1 });
        assert_eq!(found.received, Counts { theirs: 3, ours: 3, agreed: 2 });
        let line = |difference, id, healing| Line { difference, id, healing };
        assert_eq!(
            found.lines,
            [
                line(Difference::NotTaken, id(8, 9), Healing::SendAgain),
                line(Difference::NotSentByYou, id(8, 2), Healing::ReceiptAgain),
                line(Difference::NotSentByYou, id(8, 3), Healing::Told),
                line(Difference::NotReceived, id(9, 2), Healing::SentAgain),
                line(Difference::UnknownToBroker, id(9, 9), Healing::Alerted),
            ]
        );
    }

    #[test]
    fn what_is_under_way_is_missing_in_no_list() {
        let taken = [Taken { id: id(8, 1), at: at("19T08:00"), has_receipt: true, refused: false }];
        let letters = [Letter { id: id(8, 2), left_at: Some(at("19T08:00")) }];
        let none = BTreeSet::new();
        assert_eq!(compare(&none, &none, &taken, &letters, at("19T08:09")).lines, []);
        assert_eq!(compare(&none, &none, &taken, &letters, at("19T08:10")).lines.len(), 2);
        // An end that has it counts it, however new.
        let found = compare(&BTreeSet::from([id(8, 1)]), &BTreeSet::from([id(8, 2)]), &taken, &letters, at("19T08:01"));
        assert_eq!(
            (found.sent, found.received),
            (Counts { theirs: 1, ours: 1, agreed: 1 }, Counts { theirs: 1, ours: 1, agreed: 1 })
        );
    }
}
