//! Random lives: whatever offices send, in whatever order, the state machine keeps to its table.

use std::collections::HashSet;

use jiff::SignedDuration;
use jiff::civil::date;
use proptest::collection::vec;
use proptest::prelude::*;
use xacminh_domain::Timestamp;
use xacminh_domain::answer::{self, AnswerCode, ApprovedBy};
use xacminh_domain::calendar::local_date;
use xacminh_domain::escalation::{self, Trigger};
use xacminh_domain::id::OfficeId;
use xacminh_domain::lag::{self, Holder};
use xacminh_domain::request::{Command, Denied, Event, FileForm, Request, State, WithdrawReason};

use crate::ground::{Ground, Outages, answer, november};

/// Who sends a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Requester,
    Responder,
    Stranger,
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// An office sends a command.
    Send(By, Command),
    /// RabbitMQ confirmed the request into H's inbox.
    Sent,
    /// RabbitMQ confirmed the answer into W's inbox.
    AnswerSent,
    /// The ladder is looked at; whether anybody reads H's inbox.
    Look(bool),
}

/// A request with all that happened to it.
struct Life {
    request: Request,
    events: Vec<(Timestamp, Event)>,
}

impl Life {
    fn begin(ground: &Ground, now: Timestamp, received_at: Option<Timestamp>) -> Self {
        let (request, event) = ground.submit(now, received_at);
        Self { request, events: vec![(now, event)] }
    }

    /// Lives through a step and gives the states it went through.
    fn live(&mut self, step: &Step, now: Timestamp, ground: &Ground, outages: &Outages) -> Vec<(State, Event, State)> {
        let at = self.request.at;
        let events = match step {
            Step::Send(by, command) => self.send(*by, command, now, ground),
            // The relay writes each of the two down once, and an answer only when there is one.
            Step::Sent if at.sent.is_none() => vec![Event::Sent],
            Step::AnswerSent if at.answered.is_some() && at.answer_sent.is_none() => vec![Event::AnswerSent],
            Step::Sent | Step::AnswerSent => vec![],
            Step::Look(has_reader) => escalation::fire(&self.request, now, *has_reader, ground.climb(outages)).unwrap(),
        };
        let mut path = Vec::new();
        for event in events {
            let from = self.request.state;
            self.request.apply(now, &event);
            path.push((from, event.clone(), self.request.state));
            self.events.push((now, event));
        }
        path
    }

    fn send(&self, by: By, command: &Command, now: Timestamp, ground: &Ground) -> Vec<Event> {
        let sender: OfficeId = match by {
            By::Requester => ground.requester,
            By::Responder => ground.responder,
            By::Stranger => ground.stranger,
        };
        let decided = self.request.decide(sender, command, now, ground.counting());
        let owner = match command {
            Command::Withdraw(_) | Command::Read | Command::CloseFile(..) => By::Requester,
            Command::Receive | Command::Open(_) | Command::Answer(..) => By::Responder,
        };
        if by != owner {
            assert_eq!(decided, Err(Denied::NotYours), "{by:?} sent {command:?}");
        }
        decided.unwrap_or_default()
    }

    fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| is(event)).count()
    }
}

/// Every change of state there is; what is not listed must not happen.
fn allowed(from: State, event: &Event, to: State) -> bool {
    use State::{Answered, Delivered, Opened, Read, Sent, Submitted, Withdrawn};
    match (event, from, to) {
        // A confirm may be noted at any time, and moves only what has not moved on.
        (Event::Sent, Submitted, Sent) => true,
        (Event::Sent, from, to) => from == to && from != Submitted && from != Sent,
        (Event::Delivered { .. }, Submitted | Sent, Delivered) => true,
        // With the first `received`, or without any.
        (Event::ClockStarted { .. }, Submitted | Sent | Delivered, to) => from == to,
        // Opened again: it went to another desk.
        (Event::Opened { .. }, Delivered | Opened, Opened) => true,
        // H's while it owes the answer, W's own while the answer lies there unread.
        (Event::RungFired { trigger, .. }, from, to) => {
            let of_w = matches!(trigger, Trigger::AnswerUnread | Trigger::FileDueAnswered);
            from == to && if of_w { from == Answered } else { from.is_open() }
        }
        (Event::Answered { .. }, Opened, Answered) => true,
        (Event::AnswerSent, Answered | Read, to) => from == to,
        (Event::Read, Answered, Read) => true,
        (Event::Withdrawn { .. }, Submitted | Sent | Delivered | Opened, Withdrawn) => true,
        // The end of the file is told at any time but with an answer in hand: that is read first.
        (Event::FileClosed { .. }, from, to) => from == to && from != Answered,
        (
            Event::Submitted { .. }
            | Event::Delivered { .. }
            | Event::ClockStarted { .. }
            | Event::Opened { .. }
            | Event::Answered { .. }
            | Event::AnswerSent
            | Event::Read
            | Event::Recounted { .. }
            | Event::Withdrawn { .. },
            _,
            _,
        ) => false,
    }
}

fn command() -> impl Strategy<Value = Command> {
    let reason = prop_oneof![
        Just(WithdrawReason::FileWithdrawn),
        Just(WithdrawReason::NoLongerNeeded),
        Just(WithdrawReason::Mistake)
    ];
    let handler = prop_oneof![Just(None), Just(Some("cb-1")), Just(Some("cb-2"))];
    prop_oneof![
        1 => reason.prop_map(Command::Withdraw),
        3 => Just(Command::Receive),
        3 => handler.prop_map(|id| Command::Open(id.map(|id| id.parse().unwrap()))),
        // Some of these lack what their code demands, and a second may differ from the first.
        3 => (0..AnswerCode::ALL.len(), any::<bool>(), 0..3_u8).prop_map(|(code, approved, digest)| {
            let approved_by = approved.then(|| ApprovedBy { office_head: true, handler: "tr-1".parse().unwrap() });
            Command::Answer(Box::new(answer::Answer { approved_by, ..answer(AnswerCode::ALL[code]) }), [digest; 32])
        }),
        2 => Just(Command::Read),
        1 => (any::<bool>(), 18..25_i8).prop_map(|(refused, day)| {
            Command::CloseFile(if refused { FileForm::Ct06 } else { FileForm::Ct08 }, date(2026, 11, day))
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let by = prop_oneof![4 => Just(By::Requester), 6 => Just(By::Responder), 1 => Just(By::Stranger)];
    prop_oneof![
        6 => (by, command()).prop_map(|(by, command)| Step::Send(by, command)),
        2 => Just(Step::Sent),
        1 => Just(Step::AnswerSent),
        3 => any::<bool>().prop_map(Step::Look),
    ]
}

/// Steps with the minutes before each: seconds apart, hours, or days.
fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let gap = prop_oneof![3 => 0..3_i64, 3 => 3..600_i64, 1 => 600..5_000_i64];
    vec((gap, step()), 0..40)
}

/// Outages as the store lists them, earliest first; they may overlap, and the last may still last.
fn outages() -> impl Strategy<Value = Vec<(Timestamp, Option<Timestamp>)>> {
    let minutes = SignedDuration::from_mins;
    (vec((0..10_000_i64, 1..500_i64), 0..5), any::<bool>()).prop_map(move |(mut spans, lasts)| {
        spans.sort_unstable();
        let begin = november(19, 8, 0);
        let count = spans.len();
        let to =
            |i: usize, from: i64, length: i64| (!(lasts && i + 1 == count)).then(|| begin + minutes(from + length));
        spans.into_iter().enumerate().map(|(i, (from, length))| (begin + minutes(from), to(i, from, length))).collect()
    })
}

/// The instants at which the steps happen.
fn timed(steps: Vec<(i64, Step)>) -> impl Iterator<Item = (Timestamp, Step)> {
    let mut now = november(19, 8, 0);
    steps.into_iter().map(move |(gap, step)| {
        now += SignedDuration::from_mins(gap);
        (now, step)
    })
}

proptest! {
    #[test]
    fn the_state_machine_never_leaves_its_table(steps in steps(), outages in outages()) {
        let ground = Ground::new();
        let mut life = Life::begin(&ground, november(19, 8, 0), None);
        for (now, step) in timed(steps) {
            let clock = life.request.clock.clone();
            for (from, event, to) in life.live(&step, now, &ground, &outages) {
                prop_assert!(allowed(from, &event, to), "{from:?} ─ {event:?} ─▶ {to:?}");
            }
            prop_assert!(clock.is_none() || clock == life.request.clock, "a clock that runs is not moved");
        }
        let answered = life.count(|e| matches!(e, Event::Answered { .. }));
        let withdrawn = life.count(|e| matches!(e, Event::Withdrawn { .. }));
        prop_assert!(answered + withdrawn <= 1, "{answered} answers, {withdrawn} withdrawals");
        prop_assert_eq!(answered == 1, life.request.answer.is_some());
        let fired = &life.request.fired;
        let keys: HashSet<_> = fired.iter().map(|f| (f.trigger, f.rung, f.clock_start)).collect();
        prop_assert_eq!(keys.len(), fired.len(), "a rung fired twice: {:?}", fired);
        prop_assert!(life.count(|e| matches!(e, Event::FileClosed { .. })) <= 1, "a file ended twice");
        if let (Some((_, on)), Some(at)) = (life.request.file_closed, life.request.at.file_closed) {
            prop_assert!(on >= life.request.opening.received_on && on <= local_date(at));
            let of_the_file = |t: Trigger| matches!(t, Trigger::FileDue | Trigger::FileDueAnswered);
            prop_assert!(fired.iter().all(|f| f.at <= at || !of_the_file(f.trigger)), "a file clock ran on");
        }
    }

    #[test]
    fn replaying_the_events_gives_the_same_state(steps in steps(), outages in outages()) {
        let ground = Ground::new();
        let mut life = Life::begin(&ground, november(19, 8, 0), Some(november(19, 7, 30)));
        for (now, step) in timed(steps) {
            life.live(&step, now, &ground, &outages);
            let events = life.events.iter().map(|(at, event)| (*at, event));
            let replayed = Request::replay(life.request.id, events);
            prop_assert_eq!(replayed.as_ref(), Some(&life.request));
        }
    }

    #[test]
    fn hops_sum_to_the_total(steps in steps(), outages in outages(), asked_after in prop::option::of(0..600_i64)) {
        let ground = Ground::new();
        let begin = november(19, 8, 0);
        let received_at = asked_after.map(|minutes| begin - SignedDuration::from_mins(minutes));
        let mut life = Life::begin(&ground, begin, received_at);
        for (now, step) in timed(steps) {
            life.live(&step, now, &ground, &outages);
            let at = life.request.at;
            let hops = lag::path(&life.request, now, &outages);
            let (first, last) = (received_at.unwrap_or(begin), at.read.or(at.withdrawn).unwrap_or(now));
            prop_assert_eq!(hops.first().map(|h| h.from), Some(first));
            prop_assert_eq!(hops.last().map(|h| h.to), Some(last));
            for pair in hops.windows(2) {
                prop_assert_eq!(pair[0].to, pair[1].from, "a gap or an overlap in {:?}", hops);
            }
            let total: SignedDuration = hops.iter().map(|h| h.to.duration_since(h.from)).sum();
            prop_assert!(hops.iter().all(|h| h.from <= h.to));
            prop_assert_eq!(total, last.duration_since(first));
            // The line's time is not the home system's.
            for hop in hops.iter().filter(|h| h.holder == Holder::ResponderSystem && h.from < h.to) {
                let overlaps = |(from, to): &(Timestamp, Option<Timestamp>)| *from < hop.to && to.is_none_or(|to| to > hop.from);
                prop_assert!(!outages.iter().any(overlaps), "{:?} holds during an outage", hop);
            }
        }
    }

    #[test]
    fn an_outage_moves_time_from_the_home_system_to_the_line_and_no_other(
        steps in steps(), outages in outages(), asked_after in prop::option::of(0..600_i64), later in 0..20_000_i64,
    ) {
        let ground = Ground::new();
        let begin = november(19, 8, 0);
        let received_at = asked_after.map(|minutes| begin - SignedDuration::from_mins(minutes));
        let mut life = Life::begin(&ground, begin, received_at);
        let mut now = begin;
        for (at, step) in timed(steps) {
            life.live(&step, at, &ground, &outages);
            now = at;
        }
        now += SignedDuration::from_mins(later);
        let of = |outages: &Outages, holders: &[Holder]| -> SignedDuration {
            let hops = lag::path(&life.request, now, outages);
            hops.iter().filter(|h| holders.contains(&h.holder)).map(|h| h.to.duration_since(h.from)).sum()
        };
        for holder in [Holder::Requester, Holder::Broker, Holder::Responder] {
            prop_assert_eq!(of(&outages, &[holder]), of(&[], &[holder]), "{:?}", holder);
        }
        let both = [Holder::ResponderSystem, Holder::Transport];
        prop_assert_eq!(of(&outages, &both), of(&[], &both));
        prop_assert_eq!(of(&[], &[Holder::Transport]), SignedDuration::ZERO);
        // An end is an end: what comes after it changes nobody's time.
        if !life.request.state.is_open() && life.request.state != State::Answered {
            let hops = |now| lag::path(&life.request, now, &outages);
            prop_assert_eq!(hops(now), hops(now + SignedDuration::from_hours(1)));
        }
    }

    #[test]
    fn an_answer_judged_twice_is_judged_the_same(
        steps in steps(), code in 0..AnswerCode::ALL.len(), other in 0..AnswerCode::ALL.len(),
        digest in 3..100_u8, later in 0..20_000_i64,
    ) {
        let ground = Ground::new();
        let mut life = Life::begin(&ground, november(19, 8, 0), None);
        let mut now = november(19, 8, 0);
        for (at, step) in timed(steps) {
            life.live(&step, at, &ground, &[]);
            now = at;
        }
        let give = |code: usize, digest: u8| Command::Answer(Box::new(answer(AnswerCode::ALL[code])), [digest; 32]);
        let decide = |request: &Request, command: &Command, now| request.decide(ground.responder, command, now, ground.counting());
        let first = decide(&life.request, &give(code, digest), now);
        prop_assert_eq!(&decide(&life.request, &give(code, digest), now), &first, "the same question, another answer");
        let accepted = first.as_ref().is_ok_and(|events| events.iter().any(|e| matches!(e, Event::Answered { .. })));
        for event in first.iter().flatten() {
            life.request.apply(now, event);
        }
        let then = now + SignedDuration::from_mins(later);
        if accepted {
            // Again, also long after: nothing happens, nothing is late that was not. Another one is refused.
            prop_assert_eq!(decide(&life.request, &give(code, digest), then), Ok(vec![]));
            let given = AnswerCode::ALL[code];
            prop_assert_eq!(decide(&life.request, &give(other, digest + 1), then), Err(Denied::AlreadyAnswered(given)));
        } else {
            prop_assert_eq!(decide(&life.request, &give(code, digest), then), first, "a refusal stays one");
        }
    }
}
