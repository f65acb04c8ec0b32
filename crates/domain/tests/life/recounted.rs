//! A calendar that changed while requests are in life: their due dates are those of counting from scratch.

use jiff::SignedDuration;
use jiff::civil::{Date, date};
use proptest::collection::vec;
use proptest::prelude::*;
use xacminh_domain::Timestamp;
use xacminh_domain::calendar::{
    Calendar, CalendarDay, Calendars, ChangedDays, DayKind, SaturdayMode, SaturdayRule, Scope, ScopedDay,
    ScopedSaturday, local_date,
};
use xacminh_domain::escalation::{self, Trigger};
use xacminh_domain::id::OfficeId;
use xacminh_domain::recount::{Days, Facts, Recounted, recount};
use xacminh_domain::request::{Command, Event, FileForm, Request};

use crate::ground::{Ground, answer, calendar_with, november};

fn rest(day: i8) -> CalendarDay {
    CalendarDay { on: date(2026, 11, day), kind: DayKind::LocalRest, name: "Lũ".into(), provisional: false }
}

/// The same ground on another calendar, and the days on which the two are unlike.
fn changed(old: &Ground, days: Vec<CalendarDay>) -> (Ground, Vec<Date>) {
    let new = Ground::on(calendar_with(days, "test.2"));
    let unlike = new.calendar.days_unlike(&old.calendar);
    (new, unlike)
}

fn counted(request: &Request, ground: &Ground, days: &[Date], now: Timestamp) -> Recounted {
    let next_at = escalation::next_at(request, now, ground.climb(&[])).unwrap();
    let facts = Facts { next_at, ..Facts::from(request) };
    let touched = facts.touched(Days { ward: days, home: days });
    recount(&facts, &request.fired, touched, now, ground.climb(&[])).unwrap()
}

fn apply(request: &mut Request, recounted: &Recounted, now: Timestamp) -> Option<Event> {
    let event = recounted.event(|_| false);
    if let Some(event) = &event {
        request.apply(now, event);
    }
    event
}

fn delivered(ground: &Ground, at: Timestamp) -> Request {
    let (mut request, _) = ground.submit(at, None);
    for event in request.decide(ground.responder, &Command::Receive, at, ground.counting()).unwrap() {
        request.apply(at, &event);
    }
    request
}

fn look(request: &mut Request, now: Timestamp, ground: &Ground) -> Vec<(Trigger, u8)> {
    let events = escalation::fire(request, now, true, ground.climb(&[])).unwrap();
    let mut rungs = Vec::new();
    for event in &events {
        request.apply(now, event);
        if let Event::RungFired { trigger, rung, .. } = event {
            rungs.push((*trigger, *rung));
        }
    }
    rungs
}

fn dues(request: &Request) -> (Option<Date>, Option<(Date, Date)>) {
    let clock = request.clock.as_ref().map(|(_, clock)| (clock.accept.on, clock.answer.on));
    (request.file_due.as_ref().map(|due| due.on), clock)
}

#[test]
fn a_holiday_that_comes_late_moves_what_it_touches() {
    let old = Ground::new();
    // Thursday the 19th; the 24th is a holiday; now Monday the 23rd becomes one too.
    let mut request = delivered(&old, november(19, 8, 0));
    let on = |day| date(2026, 11, day);
    assert_eq!(dues(&request), (Some(on(25)), Some((on(20), on(23)))));
    let (new, days) = changed(&old, vec![rest(23)]);
    assert_eq!(days, [on(23)]);
    let now = november(20, 9, 0);
    let recounted = counted(&request, &new, &days, now);
    assert_eq!(recounted.next_at, Some(november(21, 0, 0)), "the accept due is before the change");
    let Some(Event::Recounted { file_due, reply, undue }) = apply(&mut request, &recounted, now) else {
        panic!("no event");
    };
    assert_eq!(dues(&request), (Some(on(26)), Some((on(20), on(25)))));
    assert_eq!(file_due.unwrap().calendar.as_str(), "test.2");
    assert_eq!(reply.unwrap().answer.calendar.as_str(), "test.2");
    assert_eq!(undue, []);
    // Again, and nothing is left to tell.
    assert_eq!(counted(&request, &new, &days, now).event(|_| true), None);
    // A holiday beyond the due touches nothing.
    let (newer, days) = changed(&new, vec![rest(23), rest(27)]);
    assert_eq!(counted(&request, &newer, &days, now).event(|_| true), None);
}

#[test]
fn a_rung_that_fired_before_the_moved_due_stays_fired_and_does_not_fire_again() {
    let old = Ground::new();
    let mut request = delivered(&old, november(19, 8, 0));
    // Tuesday, 00:00: the accept due, the morning of the answer due, and PC06.
    let now = november(24, 0, 0);
    let fired = [(Trigger::AcceptDue, 0), (Trigger::AnswerDueDay, 0), (Trigger::AnswerDue, 1)];
    assert_eq!(look(&mut request, now, &old), fired);
    // Late comes the word that Monday was none.
    let (new, days) = changed(&old, vec![rest(23)]);
    let recounted = counted(&request, &new, &days, now);
    // The accept due of Friday stands; the other two were for Monday, which is Wednesday now.
    let undue: Vec<_> = recounted.undue.iter().map(|p| (p.trigger, p.rung)).collect();
    assert_eq!(undue, fired[1..]);
    assert_eq!(recounted.next_at, Some(november(27, 0, 0)), "the file due and C06, nothing before");
    let Some(Event::Recounted { undue, .. }) = recounted.event(|p| p.trigger == Trigger::AnswerDue) else {
        panic!("no event");
    };
    let cancelled: Vec<_> = undue.iter().map(|u| (u.trigger, u.cancelled)).collect();
    assert_eq!(cancelled, [(Trigger::AnswerDueDay, false), (Trigger::AnswerDue, true)]);
    apply(&mut request, &recounted, now);
    assert_eq!(request.fired.len(), 3, "none is taken back");
    // The moved due passes: PC06's rung is the same rung of the same clock.
    assert_eq!(look(&mut request, november(26, 23, 59), &new), []);
    assert_eq!(look(&mut request, november(27, 0, 0), &new), [(Trigger::FileDue, 0), (Trigger::AnswerDue, 2)]);
}

#[test]
fn a_due_that_moves_to_the_past_fires_at_once() {
    let full = Ground::on(calendar_with(vec![rest(23)], "test.0"));
    let mut request = delivered(&full, november(19, 8, 0));
    let now = november(24, 10, 0);
    assert_eq!(look(&mut request, now, &full), [(Trigger::AcceptDue, 0)]);
    // Monday was worked after all.
    let (new, days) = changed(&full, vec![]);
    let recounted = counted(&request, &new, &days, now);
    assert_eq!(recounted.next_at, Some(november(23, 8, 0)), "its timer is due");
    apply(&mut request, &recounted, now);
    assert_eq!(look(&mut request, now, &new), [(Trigger::AnswerDueDay, 0), (Trigger::AnswerDue, 1)]);
    assert_eq!(look(&mut request, now, &new), []);
}

#[test]
fn what_has_an_answer_keeps_its_verdict_and_its_file_clock_runs_on_unread() {
    let old = Ground::new();
    let mut request = delivered(&old, november(19, 8, 0));
    let late = november(24, 9, 0);
    let code = xacminh_domain::answer::AnswerCode::Confirmed;
    for event in
        request.decide(old.responder, &Command::Answer(Box::new(answer(code)), [1; 32]), late, old.counting()).unwrap()
    {
        request.apply(late, &event);
    }
    assert_eq!(request.answer.map(|(_, late, _)| late), Some(true));
    let (new, days) = changed(&old, vec![rest(23)]);
    let recounted = counted(&request, &new, &days, late);
    assert!(recounted.reply.is_none() && recounted.file_due.is_some());
    let before = request.clone();
    apply(&mut request, &recounted, late);
    assert_eq!((request.answer, &request.clock), (before.answer, &before.clock));

    // Read, or its file ended: nothing is counted any more.
    let mut read = before.clone();
    read.apply(late, &Event::Read);
    assert_eq!(counted(&read, &new, &days, late).event(|_| true), None);
    let mut closed = before;
    closed.apply(late, &Event::FileClosed { form: FileForm::Ct08, on: date(2026, 11, 24) });
    assert_eq!(counted(&closed, &new, &days, late).event(|_| true), None);
}

#[test]
fn a_rest_day_after_the_due_moves_a_rung_and_no_due() {
    let old = Ground::new();
    let mut request = delivered(&old, november(19, 8, 0));
    let now = november(24, 0, 0);
    look(&mut request, now, &old);
    // C06's rung and the file were for Wednesday, 24:00.
    let (new, days) = changed(&old, vec![rest(25)]);
    let recounted = counted(&request, &new, &days, now);
    assert!(recounted.reply.is_none() && recounted.file_due.is_some());
    assert_eq!(recounted.next_at, Some(november(27, 0, 0)));
}

#[test]
fn who_has_a_calendar_of_its_own_goes_by_its_own_changes() {
    let (province, other) = ("08".parse().unwrap(), "09".parse().unwrap());
    let id = |text: &str| text.parse::<OfficeId>().unwrap();
    let (office, beside) = (id("vpa2b3c4"), id("vpb2b3c4"));
    let calendars = |days: &[(Scope, i8, DayKind)], saturdays: &[ScopedSaturday]| {
        let days: Vec<ScopedDay> = days
            .iter()
            .map(|(scope, day, kind)| ScopedDay { scope: *scope, day: CalendarDay { kind: *kind, ..rest(*day) } })
            .collect();
        let hours = "08:00-12:00;13:00-17:00".parse().unwrap();
        Calendars::new(&days, saturdays, &"v".into(), &hours, |_| Some(province))
    };
    use DayKind::{Holiday, LocalRest, LocalWork};
    let tuesday = (Scope::Nation, 24, Holiday);
    let between = |old: &Calendars, new: &Calendars| ChangedDays::between(old, new, |_| Some(province));
    let on = |day| date(2026, 11, day);

    // The nation gets a holiday; at one office that day is worked as it was.
    let old = calendars(&[tuesday, (Scope::Office(office), 25, LocalWork)], &[]);
    let new = calendars(&[tuesday, (Scope::Nation, 25, Holiday), (Scope::Office(office), 25, LocalWork)], &[]);
    let days = between(&old, &new);
    assert_eq!((days.of(office, Some(province)), days.of(beside, Some(province))), (&[][..], &[on(25)][..]));
    // Another kind of the same rest is no change; nor is the same thing again.
    let renamed =
        calendars(&[(Scope::Nation, 24, DayKind::CompensatoryRest), (Scope::Office(office), 25, LocalWork)], &[]);
    assert!(between(&old, &renamed).is_empty() && between(&old, &old).is_empty());
    // A flood in a province, and its end in the next import.
    let flood = calendars(&[tuesday, (Scope::Province(province), 26, LocalRest)], &[]);
    let dry = calendars(&[tuesday], &[]);
    for days in [between(&dry, &flood), between(&flood, &dry)] {
        assert_eq!((days.of(beside, Some(province)), days.of(beside, Some(other))), (&[on(26)][..], &[][..]));
    }
    // Saturdays that count, in a month, at one office.
    let rule = SaturdayRule { mode: SaturdayMode::Counts, valid_from: Some(on(1)), valid_to: Some(on(30)) };
    let counts = calendars(&[tuesday], &[ScopedSaturday { scope: Scope::Office(office), rule }]);
    let days = between(&dry, &counts);
    assert_eq!(days.of(office, None), [on(7), on(14), on(21), on(28)]);
    assert!(days.of(beside, None).is_empty());
    // Nothing was known of the year before.
    let empty = calendars(&[], &[]);
    assert_eq!(between(&empty, &dry).of(beside, None), [on(24)]);
}

/// Rest days in and around the weeks these lives are lived in.
fn rests() -> impl Strategy<Value = Vec<CalendarDay>> {
    vec(16..31_i8, 0..6).prop_map(|mut days| {
        days.sort_unstable();
        days.dedup();
        days.into_iter().filter(|day| *day != 24).map(rest).collect()
    })
}

/// A calendar made of the same rest days, with Saturdays or without.
fn any_calendar(version: &'static str) -> impl Strategy<Value = Calendar> {
    (rests(), prop::sample::select(SaturdayMode::ALL.to_vec())).prop_map(move |(mut days, mode)| {
        days.push(CalendarDay { kind: DayKind::Holiday, ..rest(24) });
        let rule = SaturdayRule { mode, valid_from: None, valid_to: None };
        let hours = "08:00-12:00;13:00-17:00".parse().unwrap();
        Calendar::with_saturdays(days, vec![rule], version.into(), hours)
    })
}

proptest! {
    #[test]
    fn a_recount_is_counting_from_scratch_and_a_second_one_changes_nothing(
        before in any_calendar("test.1"), after in any_calendar("test.2"),
        start in 0..10_080_i64, received in prop::option::of(0..2_880_i64), later in 0..20_160_i64,
    ) {
        let old = Ground::on(before);
        let new = Ground::on(after);
        let days = new.calendar.days_unlike(&old.calendar);
        let start = november(16, 0, 0) + SignedDuration::from_mins(start);
        let now = start + SignedDuration::from_mins(later);
        let (mut request, _) = old.submit(start, None);
        let (mut scratch, _) = new.submit(start, None);
        if let Some(minutes) = received {
            let at = start + SignedDuration::from_mins(minutes);
            for (request, ground) in [(&mut request, &old), (&mut scratch, &new)] {
                for event in request.decide(ground.responder, &Command::Receive, at, ground.counting()).unwrap() {
                    request.apply(at, &event);
                }
            }
        }
        let facts = Facts::from(&request);
        let touched = facts.touched(Days { ward: &days, home: &days });
        let stood = dues(&request);
        let recounted = recount(&facts, &request.fired, touched, now, new.climb(&[])).unwrap();
        let event = apply(&mut request, &recounted, now);
        prop_assert_eq!(dues(&request), dues(&scratch));
        prop_assert_eq!(event.is_some(), stood != dues(&request));
        prop_assert_eq!(recounted.next_at, escalation::next_at(&request, now, new.climb(&[])).unwrap());
        // What no changed day touches has not moved.
        prop_assert!(touched.file || touched.clock || event.is_none());
        let again = Facts::from(&request);
        let touched = again.touched(Days { ward: &days, home: &days });
        prop_assert_eq!(recount(&again, &request.fired, touched, now, new.climb(&[])).unwrap().event(|_| true), None);
    }

    #[test]
    fn a_timer_that_no_changed_day_touches_stands(
        before in any_calendar("test.1"), after in any_calendar("test.2"), start in 0..10_080_i64, later in 0..20_160_i64,
    ) {
        let old = Ground::on(before);
        let new = Ground::on(after);
        let days = new.calendar.days_unlike(&old.calendar);
        let start = november(16, 0, 0) + SignedDuration::from_mins(start);
        let now = start + SignedDuration::from_mins(later);
        let mut request = delivered(&old, start);
        look(&mut request, now, &old);
        let next_at = escalation::next_at(&request, now, old.climb(&[])).unwrap();
        let facts = Facts { next_at, ..Facts::from(&request) };
        let touched = facts.touched(Days { ward: &days, home: &days });
        if !touched.is_any() {
            prop_assert_eq!(escalation::next_at(&request, now, new.climb(&[])).unwrap(), next_at);
        }
        // And nothing that is looked at lies before the request.
        let early: Vec<Date> = days.iter().copied().filter(|day| *day < local_date(start)).collect();
        let touched = facts.touched(Days { ward: &early, home: &early });
        prop_assert!(!touched.is_any(), "{:?}", touched);
    }
}
