//! When it is and when things are due, written by hand.
//!
//! The demo must not judge the product by the product's own arithmetic, so nothing here is
//! computed: these are the working days from Thu 19/11/2026 on, with Tue 24/11 a holiday, and for
//! each day on which a reply clock may start the days and instants that follow from it.

use jiff::civil::{Date, date};
use jiff::tz::offset;
use jiff::{SignedDuration, Timestamp};

/// The days that are worked: Thu, Fri, Mon, (Tue is a holiday), Wed, Thu, Fri, Mon, Tue, Wed …
const WORKED: [Date; 12] = [
    date(2026, 11, 19),
    date(2026, 11, 20),
    date(2026, 11, 23),
    date(2026, 11, 25),
    date(2026, 11, 26),
    date(2026, 11, 27),
    date(2026, 11, 30),
    date(2026, 12, 1),
    date(2026, 12, 2),
    date(2026, 12, 3),
    date(2026, 12, 4),
    date(2026, 12, 7),
];

/// What follows from the day on which a reply clock starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The day of the start.
    pub(crate) start_on: Date,
    /// The last day to open it.
    pub(crate) accept_on: Date,
    /// The last day to answer.
    pub(crate) answer_on: Date,
    /// The last day before PC06 hears of it: it does at 24:00.
    pub(crate) province_on: Date,
    /// The last day before C06 hears of it: it does at 24:00.
    pub(crate) ministry_on: Date,
}

const fn row(start: (i8, i8), accept: (i8, i8), answer: (i8, i8), ministry: (i8, i8)) -> Row {
    Row {
        start_on: date(2026, start.1, start.0),
        accept_on: date(2026, accept.1, accept.0),
        answer_on: date(2026, answer.1, answer.0),
        province_on: date(2026, answer.1, answer.0),
        ministry_on: date(2026, ministry.1, ministry.0),
    }
}

/// The hand-written table: start, accept due, answer due (at its 24:00 PC06), C06 (at 24:00).
const TABLE: [Row; 9] = [
    row((19, 11), (20, 11), (23, 11), (25, 11)), // Thu: Fri, Mon, Wed
    row((20, 11), (23, 11), (25, 11), (26, 11)), // Fri: Mon, Wed, Thu
    row((21, 11), (23, 11), (25, 11), (26, 11)), // Sat: as Fri
    row((22, 11), (23, 11), (25, 11), (26, 11)), // Sun: as Fri
    row((23, 11), (25, 11), (26, 11), (27, 11)), // Mon: Wed, Thu, Fri
    row((24, 11), (25, 11), (26, 11), (27, 11)), // Tue, a holiday: as Mon
    row((25, 11), (26, 11), (27, 11), (30, 11)), // Wed: Thu, Fri, Mon
    row((26, 11), (27, 11), (30, 11), (1, 12)),  // Thu: Fri, Mon, Tue
    row((27, 11), (30, 11), (1, 12), (2, 12)),   // Fri: Mon, Tue, Wed
];

/// What follows from a start on a day of the demo.
pub(crate) fn row_of(start_on: Date) -> Option<Row> {
    TABLE.into_iter().find(|row| row.start_on == start_on)
}

/// A rung that must fire: what makes it, its number, its instant.
pub(crate) type Rung = (&'static str, u8, Timestamp);

impl Row {
    /// The rungs of a request that nobody opens and nobody answers, in order.
    pub(crate) fn rungs(self) -> [Rung; 4] {
        [
            ("accept_due", 0, midnight_after(self.accept_on)),
            ("answer_due_day", 0, at(self.answer_on, 8)),
            ("answer_due", 1, midnight_after(self.province_on)),
            ("answer_due", 2, midnight_after(self.ministry_on)),
        ]
    }
}

/// An hour of a day in Vietnam.
pub(crate) fn at(on: Date, hour: i8) -> Timestamp {
    offset(7).to_timestamp(on.at(hour, 0, 0, 0)).unwrap_or(Timestamp::MAX)
}

/// 24:00 of a day in Vietnam.
pub(crate) fn midnight_after(on: Date) -> Timestamp {
    at(on, 0) + SignedDuration::from_hours(24)
}

/// The day in Vietnam.
pub(crate) fn day(at: Timestamp) -> Date {
    offset(7).to_datetime(at).date()
}

/// The working day with this number; 0 is Thu 19/11.
pub(crate) fn worked(number: usize) -> Date {
    WORKED[number.min(WORKED.len() - 1)]
}

/// The number of a working day; none for a day of rest.
pub(crate) fn number_of(on: Date) -> Option<usize> {
    WORKED.iter().position(|worked| *worked == on)
}

/// The day on which 4 working hours after an instant end, with hours 08–12 and 13–17: whoever sent
/// in the morning counts to the same afternoon, whoever sent in the afternoon (or later) to the
/// next working day.
pub(crate) fn day_after_four_hours(sent_at: Timestamp) -> Option<Date> {
    let on = day(sent_at);
    let next = WORKED.into_iter().find(|worked| *worked > on);
    if number_of(on).is_some() && sent_at <= at(on, 13) { Some(on) } else { next }
}

/// A stop of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    /// When.
    pub(crate) at: Timestamp,
    /// The half-day that begins here, if people work.
    pub(crate) session: Option<usize>,
}

/// Sessions a working day: morning, afternoon, evening.
pub(crate) const A_DAY: usize = 3;

/// From Thu 19/11 08:00 to Fri 27/11 17:00: 08:00, 12:00, 13:00, 17:00, 24:00 of working days,
/// 08:00 and 24:00 of the others.
pub(crate) fn stops() -> Vec<Stop> {
    let mut stops = Vec::new();
    for d in 19..=27 {
        let on = date(2026, 11, d);
        match number_of(on) {
            Some(number) => {
                for (hour, part) in [(8, Some(0)), (12, None), (13, Some(1)), (17, Some(2))] {
                    stops.push(Stop { at: at(on, hour), session: part.map(|part| number * A_DAY + part) });
                }
            }
            None => stops.push(Stop { at: at(on, 8), session: None }),
        }
        stops.push(Stop { at: midnight_after(on), session: None });
    }
    stops.retain(|stop| stop.at <= end());
    stops
}

/// When the demo begins.
pub fn start() -> Timestamp {
    at(date(2026, 11, 19), 8)
}

/// When the demo ends.
pub fn end() -> Timestamp {
    at(date(2026, 11, 27), 17)
}

/// The first session in which nobody does anything any more: Friday's evening is the end.
pub(crate) const SESSIONS: usize = 6 * A_DAY - 1;

/// An instant as people write it here: `Thu 19/11 08:00:05`.
pub(crate) fn clock_face(instant: Timestamp) -> String {
    let local = offset(7).to_datetime(instant);
    let name = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let weekday = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or_default();
    format!(
        "{} {:02}/{:02} {:02}:{:02}:{:02}",
        name[weekday.min(6)],
        local.day(),
        local.month(),
        local.hour(),
        local.minute(),
        local.second()
    )
}

/// The same for what is due: midnight is 24:00 of the day that ends.
pub(crate) fn due_face(instant: Timestamp) -> String {
    let before = instant - SignedDuration::from_secs(1);
    if midnight_after(day(before)) == instant {
        clock_face(before).replace("23:59:59", "24:00")
    } else {
        clock_face(instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_table_says_what_was_promised() {
        let row = row_of(date(2026, 11, 19)).unwrap();
        assert_eq!((row.accept_on, row.answer_on), (date(2026, 11, 20), date(2026, 11, 23)));
        let rungs = row.rungs();
        assert_eq!(rungs[2], ("answer_due", 1, instant("2026-11-24T00:00:00+07:00")));
        assert_eq!(rungs[3], ("answer_due", 2, instant("2026-11-26T00:00:00+07:00")));
        let friday = row_of(date(2026, 11, 20)).unwrap();
        for weekend in [date(2026, 11, 21), date(2026, 11, 22)] {
            assert_eq!(row_of(weekend).unwrap().rungs(), friday.rungs());
        }
        assert!(friday.rungs()[3].2 == instant("2026-11-27T00:00:00+07:00"));
        let monday = row_of(date(2026, 11, 23)).unwrap();
        assert_eq!(monday.answer_on, date(2026, 11, 26));
        assert!(monday.rungs()[3].2 > end(), "C06 hears of Monday's only after the end");
        assert!(row_of(date(2026, 11, 25)).unwrap().rungs()[2].2 > end());
    }

    #[test]
    fn every_row_keeps_its_order() {
        for row in TABLE {
            assert!(row.start_on < row.accept_on && row.accept_on < row.answer_on && row.answer_on < row.ministry_on);
            for on in [row.accept_on, row.answer_on, row.ministry_on] {
                assert!(number_of(on).is_some(), "{on} is worked");
            }
        }
    }

    #[test]
    fn four_working_hours_cross_noon_and_night() {
        let four = |text: &str| day_after_four_hours(instant(text)).unwrap();
        assert_eq!(four("2026-11-19T08:00:05+07:00"), date(2026, 11, 19));
        assert_eq!(four("2026-11-19T14:00:00+07:00"), date(2026, 11, 20));
        assert_eq!(four("2026-11-20T13:00:05+07:00"), date(2026, 11, 23));
        assert_eq!(four("2026-11-23T13:00:05+07:00"), date(2026, 11, 25), "over the holiday");
        assert_eq!(four("2026-11-21T10:00:00+07:00"), date(2026, 11, 23));
    }

    #[test]
    fn the_clock_stops_at_every_midnight_and_every_eight() {
        let stops = stops();
        assert_eq!((stops[0].at, stops[stops.len() - 1].at), (start(), end()));
        assert!(stops.windows(2).all(|pair| pair[0].at < pair[1].at));
        for d in 19..=26 {
            let on = date(2026, 11, d);
            assert!(stops.iter().any(|stop| stop.at == midnight_after(on)));
            assert!(stops.iter().any(|stop| stop.at == at(on, 8)));
        }
        assert_eq!(stops.iter().filter_map(|stop| stop.session).max(), Some(SESSIONS));
        assert_eq!(clock_face(start()), "Thu 19/11 08:00:00");
        assert_eq!(due_face(start()), "Thu 19/11 08:00:00");
        assert_eq!(due_face(midnight_after(date(2026, 11, 23))), "Mon 23/11 24:00");
    }
}
