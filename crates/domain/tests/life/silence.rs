//! Nobody answers: which rung fires when.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use jiff::civil::date;
use xacminh_domain::Timestamp;
use xacminh_domain::calendar::end_of_day;
use xacminh_domain::escalation::{self, Trigger};
use xacminh_domain::id::OfficeId;
use xacminh_domain::request::{ClockCause, Command, Event, Request, State};

use crate::ground::{Ground, Outages, november};

/// Fires what is due at `now` and takes it in; tells the rungs as (trigger, rung, due, whom).
fn look(
    request: &mut Request,
    now: Timestamp,
    has_reader: bool,
    ground: &Ground,
    outages: &Outages,
) -> Vec<(Trigger, u8, Timestamp, Option<OfficeId>)> {
    let events = escalation::fire(request, now, has_reader, ground.climb(outages)).unwrap();
    let mut rungs = Vec::new();
    for event in &events {
        request.apply(now, event);
        if let Event::RungFired { trigger, rung, due_at, target, .. } = event {
            rungs.push((*trigger, *rung, *due_at, *target));
        }
    }
    rungs
}

/// Handed to the home system at an instant, and nothing after.
fn delivered(ground: &Ground, at: Timestamp) -> Request {
    let (mut request, _) = ground.submit(at, None);
    request.apply(at, &Event::Sent);
    for event in request.decide(ground.responder, &Command::Receive, at, ground.counting()).unwrap() {
        request.apply(at, &event);
    }
    request
}

#[test]
fn a_twenty_day_life_with_the_whole_ladder_runs_in_under_a_second() {
    let began = Instant::now();
    let ground = Ground::new();
    // Thursday the 19th; Tuesday the 24th is a holiday.
    let start = november(19, 8, 0);
    let mut request = delivered(&ground, start);
    let mut seen = Vec::new();
    for hour in 0..=20 * 24 {
        let now = start + SignedDuration::from_hours(hour);
        for rung in look(&mut request, now, true, &ground, &[]) {
            assert_eq!(rung.2, now, "with a look each hour nothing fires late");
            seen.push(rung);
        }
    }
    let midnight_of = |day| end_of_day(date(2026, 11, day));
    let expected = vec![
        (Trigger::AcceptDue, 0, midnight_of(20), Some(ground.responder)),
        (Trigger::AnswerDueDay, 0, november(23, 8, 0), Some(ground.responder)),
        (Trigger::AnswerDue, 1, midnight_of(23), Some(ground.province)),
        (Trigger::FileDue, 0, midnight_of(25), Some(ground.requester)),
        (Trigger::AnswerDue, 2, midnight_of(25), Some(ground.ministry)),
    ];
    assert_eq!(seen, expected);
    assert_eq!(request.state, State::Delivered, "pressing answers nothing");

    // A broker that slept all twenty days fires the same, once, in the same order.
    let mut slept = delivered(&ground, start);
    let end = start + SignedDuration::from_hours(20 * 24);
    assert_eq!(look(&mut slept, end, true, &ground, &[]), expected);
    assert_eq!(look(&mut slept, end, true, &ground, &[]), []);
    assert!(began.elapsed() < Duration::from_secs(1), "took {:?}", began.elapsed());
}

#[test]
fn the_day_of_delivery_decides_the_rungs() {
    let ground = Ground::new();
    // Day of delivery, then the last days after which PC06 and C06 are told.
    let table = [
        (19, 23, 25),
        (20, 25, 26), // Friday: Monday is the first day, Tuesday is off.
        (21, 25, 26), // Saturday
        (22, 25, 26), // Sunday
        (23, 26, 27),
        (24, 26, 27), // the holiday
        (25, 27, 30),
        (26, 30, 31), // the 31st of November is the 1st of December
    ];
    for (day, province, ministry) in table {
        let mut request = delivered(&ground, november(day, 9, 30));
        let rungs = look(&mut request, november(19, 9, 30) + SignedDuration::from_hours(20 * 24), true, &ground, &[]);
        let told: Vec<_> = rungs
            .iter()
            .filter(|(trigger, ..)| *trigger == Trigger::AnswerDue)
            .map(|(_, rung, due_at, _)| (*rung, *due_at))
            .collect();
        let midnight_of = |day: i8| november(1, 0, 0) + SignedDuration::from_hours(24 * i64::from(day));
        assert_eq!(told, [(1, midnight_of(province)), (2, midnight_of(ministry))], "delivered on the {day}th");
    }
}

#[test]
fn not_received_starts_the_clock_after_four_working_hours_and_an_outage_restarts_the_wait() {
    let ground = Ground::new();
    let fires = |request: &Request, has_reader: bool, outages: &Outages| {
        escalation::next_at(request, november(19, 8, 0), ground.climb(outages)).unwrap().map(|at| {
            let before = at - SignedDuration::from_micros(1);
            assert_eq!(look(&mut request.clone(), before, has_reader, &ground, outages), []);
            let mut request = request.clone();
            let rungs = look(&mut request, at, has_reader, &ground, outages);
            assert_eq!(rungs, [(Trigger::NotReceived, 0, at, None)]);
            let (cause, clock) = request.clock.unwrap();
            assert_eq!(clock.started_at, at);
            (at, cause)
        })
    };
    let (mut request, _) = ground.submit(november(19, 8, 0), None);
    request.apply(november(19, 8, 0), &Event::Sent);

    assert_eq!(fires(&request, false, &[]), Some((november(19, 12, 0), ClockCause::NotConnected)));
    assert_eq!(fires(&request, true, &[]), Some((november(19, 12, 0), ClockCause::NotConfirmed)));

    // 90 minutes from 10:30 to noon, 150 from one o'clock on.
    let half_an_hour = [(november(19, 10, 0), Some(november(19, 10, 30)))];
    assert_eq!(fires(&request, false, &half_an_hour), Some((november(19, 15, 30), ClockCause::NotConnected)));
    // A second one within the new wait starts it once more; one after the wait changes nothing.
    let two = [half_an_hour[0], (november(19, 15, 0), Some(november(19, 16, 0)))];
    assert_eq!(fires(&request, false, &two), Some((november(20, 11, 0), ClockCause::NotConnected)));
    let after = [(november(19, 12, 0), Some(november(19, 14, 0)))];
    assert_eq!(fires(&request, false, &after), Some((november(19, 12, 0), ClockCause::NotConnected)));
    // While one lasts, only the file's own due is left to fire.
    let lasting = [(november(19, 9, 0), None)];
    let next = escalation::plan((&request).into(), november(19, 9, 0), ground.climb(&lasting)).unwrap();
    assert_eq!(next.iter().map(|p| p.trigger).collect::<Vec<_>>(), [Trigger::FileDue]);

    // Only working time counts: an hour of Friday, three of Monday.
    let (late, _) = ground.submit(november(20, 16, 0), None);
    assert_eq!(fires(&late, false, &[]), Some((november(23, 11, 0), ClockCause::NotConnected)));
}

#[test]
fn a_late_confirmation_is_kept_and_moves_no_clock() {
    let ground = Ground::new();
    let (mut request, _) = ground.submit(november(19, 8, 0), None);
    look(&mut request, november(19, 12, 0), false, &ground, &[]);
    let clock = request.clock.clone();
    assert!(clock.is_some());
    let now = november(20, 9, 0);
    let events = request.decide(ground.responder, &Command::Receive, now, ground.counting()).unwrap();
    assert_eq!(events, [Event::Delivered { implied: false }]);
    request.apply(now, &events[0]);
    assert_eq!((request.clock, request.at.delivered), (clock, Some(now)));
}
