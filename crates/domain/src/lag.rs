//! Who held a request, and for how long (handbook §4.2).
//!
//! [`path`] cuts the time of a request into hops that follow each other without gap or overlap,
//! so the sum of the hops is the total, always. Only the broker's own instants count.

use jiff::Timestamp;

use crate::request::{ClockCause, Request};

/// A measured part of the way, as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// t0→t1: W's own delay before asking.
    Ask,
    /// t1→t2: in the broker.
    Send,
    /// t2→t3: until H's system stored it.
    Transport,
    /// t3→t4: until a person opened it.
    Unopened,
    /// t4→t5: the work.
    Work,
    /// t5→t6: until the answer was read.
    Unread,
}

impl Segment {
    /// All segments, in order.
    pub const ALL: [Self; 6] = [Self::Ask, Self::Send, Self::Transport, Self::Unopened, Self::Work, Self::Unread];

    /// The label used in metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Send => "send",
            Self::Transport => "transport",
            Self::Unopened => "unopened",
            Self::Work => "work",
            Self::Unread => "unread",
        }
    }
}

/// The ends of a segment, once both are known. A negative one is cut to nothing; the caller may
/// flag it as `clock_skew` by comparing the two.
pub fn segment(request: &Request, segment: Segment) -> Option<(Timestamp, Timestamp)> {
    let at = &request.at;
    let (from, to) = match segment {
        Segment::Ask => (request.opening.received_at?, at.submitted),
        Segment::Send => (at.submitted, at.sent?),
        Segment::Transport => (at.sent?, at.delivered?),
        Segment::Unopened => (at.delivered?, at.opened?),
        Segment::Work => (at.opened?, at.answered?),
        Segment::Unread => (at.answered?, at.read?),
    };
    Some((from, to.max(from)))
}

/// Who holds a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// The asking ward.
    Requester,
    /// The broker.
    Broker,
    /// The line, while an outage is on record.
    Transport,
    /// The home office's system: it did not take or not confirm what lay in its inbox.
    ResponderSystem,
    /// The home office.
    Responder,
}

impl Holder {
    /// All holders, in the order of a request's way.
    pub const ALL: [Self; 5] = [Self::Requester, Self::Broker, Self::Transport, Self::ResponderSystem, Self::Responder];

    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::Broker => "broker",
            Self::Transport => "transport",
            Self::ResponderSystem => "responder_system",
            Self::Responder => "responder",
        }
    }
}

/// A stretch of time with one holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// Who held it.
    pub holder: Holder,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// What ended it, or that it still lasts.
    pub until: &'static str,
}

/// The whole way of a request up to `now`, hop by hop. `outages` are the broker's, as (from, to).
pub fn path(request: &Request, now: Timestamp, outages: &[(Timestamp, Option<Timestamp>)]) -> Vec<Hop> {
    let at = &request.at;
    // What the broker could not send while H's clock ran already, waited for H's system to confirm
    // what it had been sent before (the cap of requests in flight).
    let unsent = if waited_for_room(request) { Holder::ResponderSystem } else { Holder::Broker };
    let ends = [
        (Holder::Requester, Some(at.submitted), "submitted"),
        (unsent, at.sent, "sent"),
        (Holder::ResponderSystem, at.delivered, "delivered"),
        (Holder::Responder, at.opened, "opened"),
        (Holder::Responder, at.answered, "answered"),
        (Holder::Broker, at.answer_sent, "answer_sent"),
        (Holder::Requester, at.read, "read"),
    ];
    let last = at.read.or(at.withdrawn).unwrap_or(now).max(at.submitted);
    let mut from = request.opening.received_at.unwrap_or(at.submitted).min(at.submitted);
    let mut hops = Vec::new();
    for (index, (holder, end, until)) in ends.iter().enumerate() {
        // A step that was overtaken lasted until what overtook it, whether it is noted by now or
        // not: a confirm that is noted late moves no time from one holder to another.
        let known_later = ends[index + 1..].iter().filter_map(|(_, end, _)| *end).min();
        let end = match (*end, known_later) {
            (Some(end), later) => later.map_or(end, |later| end.min(later)),
            (None, Some(later)) => later,
            (None, None) => {
                let until = if at.withdrawn.is_some() { "withdrawn" } else { "open" };
                push(&mut hops, *holder, from, last, until, outages);
                return hops;
            }
        };
        let to = end.clamp(from, last.max(from));
        push(&mut hops, *holder, from, to, until, outages);
        from = to;
    }
    hops
}

/// H's clock started, for silence, before the request could leave.
fn waited_for_room(request: &Request) -> bool {
    request.clock.as_ref().is_some_and(|(cause, clock)| match cause {
        ClockCause::Delivered => false,
        ClockCause::NotConnected | ClockCause::NotConfirmed => {
            request.at.sent.is_none_or(|sent| sent > clock.started_at)
        }
    })
}

/// Adds a hop; the home system's time during an outage of the broker is the line's.
fn push(
    hops: &mut Vec<Hop>,
    holder: Holder,
    mut from: Timestamp,
    to: Timestamp,
    until: &'static str,
    outages: &[(Timestamp, Option<Timestamp>)],
) {
    if holder == Holder::ResponderSystem {
        for (begin, end) in outages {
            let (begin, end) = ((*begin).max(from), end.unwrap_or(to).min(to));
            if begin < end {
                if from < begin {
                    hops.push(Hop { holder, from, to: begin, until: "outage" });
                }
                hops.push(Hop { holder: Holder::Transport, from: begin, to: end, until: "outage_end" });
                from = end;
            }
        }
    }
    hops.push(Hop { holder, from, to, until });
}
