//! The calendar, counted by hand.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::deadline::{Deadline, ReplyClock, TimeLimit};
use crate::id::OfficeId;
use crate::unit::UnitCode;

/// The days of 2026 on which handbook §5 counts, with those around them.
fn calendar() -> Calendar {
    Calendar::new(days(), "test.1".into(), hours())
}

/// The same days with a mode for Saturdays since ever.
fn on_saturdays(mode: SaturdayMode) -> Calendar {
    let rule = SaturdayRule { mode, valid_from: None, valid_to: None };
    Calendar::with_saturdays(days(), vec![rule], "test.1".into(), hours())
}

fn days() -> Vec<CalendarDay> {
    use DayKind::{CompensatoryRest as Rest, Holiday, WorkingSwap as Worked};
    let days = [
        ((1, 1), Holiday),
        ((1, 2), Rest),
        ((1, 10), Worked),
        ((4, 30), Holiday),
        ((5, 1), Holiday),
        ((8, 22), Worked),
        ((8, 31), Rest),
        ((9, 1), Holiday),
        ((9, 2), Holiday),
        ((11, 24), Holiday),
    ];
    let day = |((month, day), kind): ((i8, i8), DayKind)| CalendarDay {
        on: date(2026, month, day),
        kind,
        name: kind.as_str().into(),
        provisional: false,
    };
    days.into_iter().map(day).collect()
}

fn hours() -> OfficeHours {
    "08:00-12:00;13:00-17:00".parse().unwrap()
}

fn due(start: Date, limit: TimeLimit) -> Date {
    Deadline::count(&calendar(), start, limit).on
}

#[test]
fn the_examples_of_the_handbook() {
    let three = TimeLimit::WorkingDays(3);
    assert_eq!(due(date(2026, 11, 20), three), date(2026, 11, 26));
    assert_eq!(due(date(2026, 8, 20), three), date(2026, 8, 24));
    assert_eq!(due(date(2026, 8, 27), three), date(2026, 9, 4));
    for delivered in [date(2026, 11, 20), date(2026, 11, 21)] {
        let at = at_local(delivered, 9, 30);
        let clock = ReplyClock::start(&calendar(), at, TimeLimit::WorkingDays(1), TimeLimit::WorkingDays(2));
        assert_eq!((clock.accept.on, clock.answer.on), (date(2026, 11, 23), date(2026, 11, 25)));
        assert_eq!(clock.started_at, at);
    }
}

#[test]
fn a_day_ends_at_midnight_in_vietnam() {
    let due = Deadline::count(&calendar(), date(2026, 11, 20), TimeLimit::WorkingDays(3));
    assert_eq!(due.due_at, "2026-11-26T17:00:00Z".parse().unwrap());
    assert_eq!(due.calendar.as_str(), "test.1");
    assert!(!due.is_late("2026-11-26T16:59:59.999999Z".parse().unwrap()) && due.is_late(due.due_at));
    assert_eq!(local_date("2026-11-26T16:59:59Z".parse().unwrap()), date(2026, 11, 26));
    assert_eq!(local_date("2026-11-26T17:00:00Z".parse().unwrap()), date(2026, 11, 27));
}

#[test]
fn calendar_days_roll_over_a_rest() {
    // 30 days from 2 August end on Tuesday 1 September, the eve of National Day.
    assert_eq!(due(date(2026, 8, 2), TimeLimit::CalendarDays(30)), date(2026, 9, 3));
    assert_eq!(due(date(2026, 7, 2), TimeLimit::CalendarDays(30)), date(2026, 8, 3));
    assert_eq!(due(date(2026, 8, 21), TimeLimit::CalendarDays(1)), date(2026, 8, 22));
}

#[test]
fn working_time_passes_in_office_hours_only() {
    let calendar = calendar();
    let at = |day, hour, minute| at_local(date(2026, 11, day), hour, minute);
    // Friday 16:00 to Monday 09:30: one hour and one and a half.
    assert_eq!(calendar.working_minutes_between(at(20, 16, 0), at(23, 9, 30)), 150);
    assert_eq!(calendar.working_minutes_between(at(23, 9, 30), at(20, 16, 0)), -150);
    assert_eq!(calendar.working_minutes_between(at(20, 11, 0), at(20, 14, 0)), 120);
    assert_eq!(calendar.add_working_minutes(at(20, 8, 0), 240), at(20, 12, 0));
    assert_eq!(calendar.add_working_minutes(at(20, 8, 0), 241), at(20, 13, 1));
    assert_eq!(calendar.add_working_minutes(at(20, 15, 30), 240), at(23, 10, 30));
    // A holiday between: Monday 15:00, Tuesday off, Wednesday.
    assert_eq!(calendar.add_working_minutes(at(23, 15, 0), 240), at(25, 10, 0));
    assert_eq!(calendar.add_working_minutes(at(21, 10, 0), 0), at(21, 10, 0));
}

#[test]
fn half_days_begin_twice() {
    let calendar = calendar();
    let at = |day, hour, minute| at_local(date(2026, 11, day), hour, minute);
    assert_eq!(calendar.next_half_day_start(at(20, 8, 0)), at(20, 8, 0));
    assert_eq!(calendar.next_half_day_start(at(20, 8, 1)), at(20, 13, 0));
    assert_eq!(calendar.next_half_day_start(at(20, 13, 1)), at(23, 8, 0));
    assert_eq!(calendar.next_half_day_start(at(24, 7, 0)), at(25, 8, 0));
    assert_eq!(calendar.opening_of(date(2026, 11, 24)), at(24, 8, 0));
}

#[test]
fn outside_the_imported_years_weeks_are_plain() {
    let calendar = calendar();
    assert!(!calendar.is_provisional(date(2026, 12, 31)) && calendar.is_provisional(date(2027, 1, 1)));
    assert!(calendar.is_provisional(date(2025, 12, 31)));
    assert!(calendar.is_working_day(date(2027, 1, 1)) && !calendar.is_working_day(date(2027, 1, 2)));
    assert_eq!(calendar.nth_working_day_after(date(2026, 12, 31), 6), date(2027, 1, 8));
    assert_eq!(calendar.nth_working_day_after(date(2025, 12, 30), 2), date(2026, 1, 5));
    assert_eq!(calendar.working_days_between(date(2025, 12, 26), date(2025, 12, 31)), 3);
    assert_eq!(calendar.working_days_between(date(2026, 12, 31), date(2026, 12, 25)), -4);
}

#[test]
fn an_undecided_day_makes_its_year_provisional() {
    let day = |year, provisional| CalendarDay {
        on: date(year, 1, 1),
        kind: DayKind::Holiday,
        name: String::new(),
        provisional,
    };
    let calendar = Calendar::new([day(2026, false), day(2027, true)], "x".into(), hours());
    assert!(!calendar.is_provisional(date(2026, 6, 1)) && calendar.is_provisional(date(2027, 6, 1)));
    assert_eq!(calendar.days_ahead(date(2026, 12, 1), 400), 31);
    assert_eq!(calendar.days_ahead(date(2026, 12, 1), 30), 30);
    assert_eq!(calendar.days_ahead(date(2027, 1, 1), 400), 0);
}

#[test]
fn no_imported_day_at_all_is_a_calendar_too() {
    let calendar = Calendar::new([], "x".into(), hours());
    assert_eq!(calendar.nth_working_day_after(date(2026, 11, 20), 3), date(2026, 11, 25));
    assert_eq!(calendar.nth_working_day_after(date(1960, 1, 1), 1), date(1960, 1, 4));
}

#[test]
fn office_hours_are_read_strictly() {
    assert_eq!(hours().to_string(), "08:00-12:00;13:00-17:00");
    assert_eq!(hours().minutes_a_day(), 480);
    for bad in ["", "8:00-12:00", "12:00-08:00", "08:00-12:00;11:00-13:00", "08:60-09:00", "08:00-25:00", "+8:00-12:00"]
    {
        assert!(bad.parse::<OfficeHours>().is_err(), "{bad}");
    }
}

#[test]
fn a_saturday_counts_only_where_it_is_said_to() {
    use SaturdayMode::{Counts, Off, ReceiveOnly};
    let three = |mode, start| Deadline::count(&on_saturdays(mode), start, TimeLimit::WorkingDays(3)).on;
    let (friday, saturday) = (date(2026, 11, 20), date(2026, 11, 21));
    // Received on Friday evening or on Saturday morning, Tuesday the 24th being a holiday.
    for mode in [Off, ReceiveOnly] {
        assert_eq!((three(mode, friday), three(mode, saturday)), (date(2026, 11, 26), date(2026, 11, 26)), "{mode:?}");
    }
    assert_eq!((three(Counts, friday), three(Counts, saturday)), (date(2026, 11, 25), date(2026, 11, 26)));
    // A Saturday may be the last day itself.
    assert_eq!(three(Counts, date(2026, 11, 18)), saturday);
    let opens = SaturdayMode::ALL.map(|mode| on_saturdays(mode).receives_on(saturday));
    assert_eq!(opens, [false, true, true]);
    // A worked swap is a full day in every mode, a holiday none.
    for mode in SaturdayMode::ALL {
        let calendar = on_saturdays(mode);
        let swap = date(2026, 8, 22);
        let minutes = calendar.working_minutes_between(at_local(swap, 0, 0), at_local(swap, 23, 0));
        assert_eq!((calendar.is_working_day(swap), minutes), (true, 480), "{mode:?}");
        assert!(!calendar.receives_on(date(2026, 11, 22)));
    }
}

#[test]
fn a_saturday_that_counts_has_its_morning() {
    let calendar = on_saturdays(SaturdayMode::Counts);
    let at = |day, hour, minute| at_local(date(2026, 11, day), hour, minute);
    // Friday 16:00 to Monday 09:00: one hour, the morning, one hour.
    assert_eq!(calendar.working_minutes_between(at(20, 16, 0), at(23, 9, 0)), 360);
    assert_eq!(calendar.add_working_minutes(at(20, 16, 0), 300), at(21, 12, 0));
    assert_eq!(calendar.add_working_minutes(at(20, 16, 0), 301), at(23, 8, 1));
    assert_eq!(calendar.next_half_day_start(at(20, 17, 0)), at(21, 8, 0));
    assert_eq!(calendar.next_half_day_start(at(21, 8, 1)), at(23, 8, 0));
}

#[test]
fn the_narrower_calendar_wins_day_by_day() {
    let (province, office): (UnitCode, OfficeId) = ("08".parse().unwrap(), "vpa2b3c4".parse().unwrap());
    let other: OfficeId = "vpb2b3c4".parse().unwrap();
    let day =
        |scope, on, kind| ScopedDay { scope, day: CalendarDay { on, kind, name: "…".into(), provisional: false } };
    let flood =
        [date(2026, 11, 25), date(2026, 11, 26)].map(|on| day(Scope::Province(province), on, DayKind::LocalRest));
    let mut all: Vec<_> = days().into_iter().map(|day| ScopedDay { scope: Scope::Nation, day }).collect();
    all.extend(flood);
    // One office works on one of the province's rest days, and on Saturdays.
    all.push(day(Scope::Office(office), date(2026, 11, 26), DayKind::LocalWork));
    let counts = SaturdayRule { mode: SaturdayMode::Counts, valid_from: Some(date(2026, 11, 1)), valid_to: None };
    let saturdays = [ScopedSaturday { scope: Scope::Office(office), rule: counts }];
    let calendars = Calendars::new(&all, &saturdays, &"v.1".into(), &hours(), |_| Some(province));
    let due = |calendar: &Calendar| {
        let due = Deadline::count(calendar, date(2026, 11, 23), TimeLimit::WorkingDays(2));
        (due.on, due.calendar.to_string())
    };
    assert_eq!(due(calendars.nation()), (date(2026, 11, 26), "v.1".to_owned()));
    assert_eq!(due(calendars.of(&other, None)), due(calendars.nation()));
    assert_eq!(due(calendars.of(&other, Some(province))), (date(2026, 11, 30), "v.1/province:08".to_owned()));
    assert_eq!(due(calendars.of(&office, Some(province))), (date(2026, 11, 27), "v.1/office:vpa2b3c4".to_owned()));
    assert!(calendars.of(&office, Some(province)).is_working_day(date(2026, 11, 28)));
    assert!(!calendars.of(&office, Some(province)).is_working_day(date(2026, 10, 31)), "before the rule");
    for text in ["nation", "province:08", "office:vpa2b3c4"] {
        assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
    }
    for bad in ["", "Nation", "province", "province:", "office:08", "unit:08"] {
        assert!(bad.parse::<Scope>().is_err(), "{bad}");
    }
}

/// Calendars of every sort.
fn any_calendar() -> impl Strategy<Value = Calendar> {
    prop::sample::select(SaturdayMode::ALL.to_vec()).prop_map(on_saturdays)
}

prop_compose! {
    // Through the imported year and well out on both sides.
    fn any_day()(offset in -1500i64..1500) -> Date { plus_days(date(2026, 6, 15), offset) }
}

prop_compose! {
    fn any_instant()(day in any_day(), second in 0i64..86_400) -> Timestamp {
        at_local(day, 0, 0) + SignedDuration::from_secs(second)
    }
}

proptest! {
    #[test]
    fn a_due_date_is_never_a_rest_day(calendar in any_calendar(), start in any_day(), n in 0u32..200, working: bool) {
        let limit = if working { TimeLimit::WorkingDays(n) } else { TimeLimit::CalendarDays(n) };
        let due = Deadline::count(&calendar, start, limit);
        prop_assert!(calendar.is_working_day(due.on) && due.on >= start);
    }

    #[test]
    fn counting_n_then_m_counts_both(calendar in any_calendar(), start in any_day(), n in 0u32..200, m in 0u32..200) {
        let step = calendar.nth_working_day_after(start, n);
        prop_assert_eq!(calendar.nth_working_day_after(step, m), calendar.nth_working_day_after(start, n + m));
        prop_assert_eq!(calendar.working_days_between(start, step), i64::from(n));
    }

    #[test]
    fn counting_agrees_with_walking(calendar in any_calendar(), start in any_day(), n in 1u32..60) {
        let mut day = start;
        let mut left = n;
        while left > 0 {
            day = plus_days(day, 1);
            left -= u32::from(calendar.is_working_day(day));
        }
        prop_assert_eq!(calendar.nth_working_day_after(start, n), day);
    }

    #[test]
    fn minutes_added_are_minutes_between(calendar in any_calendar(), from in any_instant(), minutes in 0i64..20_000) {
        let to = calendar.add_working_minutes(from, minutes);
        prop_assert!(to >= from);
        prop_assert_eq!(calendar.working_minutes_between(from, to), minutes);
        let second_before = to - SignedDuration::from_secs(1);
        prop_assert!(minutes == 0 || calendar.working_minutes_between(from, second_before) < minutes);
    }

    #[test]
    fn the_next_half_day_is_no_later_than_a_working_day(calendar in any_calendar(), from in any_instant()) {
        let next = calendar.next_half_day_start(from);
        prop_assert!(next >= from && calendar.is_working_day(local_date(next)));
        prop_assert_eq!(calendar.next_half_day_start(next), next);
    }
}
