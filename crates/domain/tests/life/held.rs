//! Who held it: lives whose hops can be counted by hand.

use jiff::SignedDuration;
use xacminh_domain::Timestamp;
use xacminh_domain::answer::AnswerCode;
use xacminh_domain::lag::{self, Holder};
use xacminh_domain::request::{Command, Event, Request, WithdrawReason};

use crate::ground::{Ground, Outages, answer, november};

fn command(request: &mut Request, ground: &Ground, command: &Command, at: Timestamp) {
    let by = match command {
        Command::Withdraw(_) | Command::Read | Command::CloseFile(..) => ground.requester,
        Command::Receive | Command::Open(_) | Command::Answer(..) => ground.responder,
    };
    for event in request.decide(by, command, at, ground.counting()).unwrap() {
        request.apply(at, &event);
    }
}

fn give() -> Command {
    Command::Answer(Box::new(answer(AnswerCode::Confirmed)), [1; 32])
}

/// Who held it for how many minutes, and until what; nothing of what took no time.
fn hops(request: &Request, now: Timestamp, outages: &Outages) -> Vec<(Holder, i64, &'static str)> {
    lag::path(request, now, outages)
        .iter()
        .map(|hop| (hop.holder, hop.to.duration_since(hop.from).as_mins(), hop.until))
        .filter(|(_, minutes, _)| *minutes != 0)
        .collect()
}

#[test]
fn each_hop_of_a_whole_life_has_its_holder() {
    let ground = Ground::new();
    let (mut request, _) = ground.submit(november(19, 8, 0), Some(november(19, 7, 50)));
    request.apply(november(19, 8, 1), &Event::Sent);
    command(&mut request, &ground, &Command::Receive, november(19, 8, 3));
    command(&mut request, &ground, &Command::Open(None), november(19, 9, 0));
    command(&mut request, &ground, &give(), november(19, 10, 0));
    request.apply(november(19, 10, 2), &Event::AnswerSent);
    let so_far = hops(&request, november(19, 10, 30), &[]);
    assert_eq!(so_far.last(), Some(&(Holder::Requester, 28, "open")));
    command(&mut request, &ground, &Command::Read, november(19, 11, 0));
    let expected = [
        (Holder::Requester, 10, "submitted"),
        (Holder::Broker, 1, "sent"),
        (Holder::ResponderSystem, 2, "delivered"),
        (Holder::Responder, 57, "opened"),
        (Holder::Responder, 60, "answered"),
        (Holder::Broker, 2, "answer_sent"),
        (Holder::Requester, 58, "read"),
    ];
    assert_eq!(hops(&request, november(27, 17, 0), &[]), expected, "it ended with the reading");
}

#[test]
fn a_confirm_that_is_noted_late_moves_no_time_to_another_holder() {
    let ground = Ground::new();
    let (mut request, _) = ground.submit(november(19, 8, 0), None);
    // H has it and answers, W reads, before the broker has noted its own confirms.
    command(&mut request, &ground, &Command::Receive, november(19, 8, 5));
    command(&mut request, &ground, &give(), november(19, 9, 0));
    command(&mut request, &ground, &Command::Read, november(19, 9, 10));
    let now = november(19, 12, 0);
    let before = hops(&request, now, &[]);
    let minutes = |holder| before.iter().filter(|(h, ..)| *h == holder).map(|(_, m, _)| m).sum::<i64>();
    assert_eq!((minutes(Holder::Broker), minutes(Holder::ResponderSystem)), (5 + 10, 0));
    request.apply(november(19, 11, 0), &Event::Sent);
    request.apply(november(19, 11, 0), &Event::AnswerSent);
    assert_eq!(hops(&request, now, &[]), before);
}

#[test]
fn the_line_has_the_time_of_an_outage_and_nobody_else() {
    let ground = Ground::new();
    let (mut request, _) = ground.submit(november(19, 8, 0), None);
    request.apply(november(19, 8, 10), &Event::Sent);
    let outages = [
        (november(19, 7, 0), Some(november(19, 8, 20))),
        (november(19, 9, 0), Some(november(19, 9, 30))),
        (november(19, 9, 15), None),
    ];
    let expected = [
        (Holder::Broker, 10, "sent"),
        (Holder::Transport, 10, "outage_end"),
        (Holder::ResponderSystem, 40, "outage"),
        (Holder::Transport, 30, "outage_end"),
        (Holder::Transport, 30, "outage_end"),
    ];
    assert_eq!(hops(&request, november(19, 10, 0), &outages), expected);
}

#[test]
fn a_withdrawal_ends_the_path() {
    let ground = Ground::new();
    let (mut request, _) = ground.submit(november(19, 8, 0), None);
    request.apply(november(19, 8, 1), &Event::Sent);
    command(&mut request, &ground, &Command::Withdraw(WithdrawReason::FileWithdrawn), november(19, 9, 1));
    // Its letter may still be confirmed once more.
    let later = november(19, 9, 1) + SignedDuration::from_hours(48);
    let expected = [(Holder::Broker, 1, "sent"), (Holder::ResponderSystem, 60, "withdrawn")];
    assert_eq!(hops(&request, later, &[]), expected);
}
