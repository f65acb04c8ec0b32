//! Are the reference data in force those of the files, and does the calendar reach far enough?

use jiff::SignedDuration;
use xacminh_domain::calendar::local_date;
use xacminh_domain::{Date, Timestamp};
use xacminh_store::view::installation::InForce;

use super::finding::Finding;
use crate::show;

/// The longest limit there is (Art. 19, 60 days) has to end on a day of the calendar.
const NEEDED_DAYS: i64 = 60;
/// With fewer days than these left, somebody should ask for next year's.
const LOOK_DAYS: i64 = 120;
/// Days that are not decided yet matter once a due date may fall on them.
const DECIDED_DAYS: i64 = 30;

/// `files`: version and digest of what is in `data_dir`, if that is right.
pub(crate) fn judge(in_force: Option<&InForce>, files: Option<(&str, &[u8])>, now: Timestamp) -> Vec<Finding> {
    let Some(in_force) = in_force else {
        return vec![Finding::fault(
            "reference data",
            "none are in force",
            "`xacminh import` puts those of data_dir in force",
        )];
    };
    let version = &in_force.version;
    let reference = match files {
        None => Finding::unseen(
            "reference data",
            format!("version {version} is in force; the files could not be read"),
            "See the line of data_dir",
        ),
        Some((_, digest)) if digest == in_force.digest => {
            Finding::sound("reference data", format!("version {version} is in force, the same as in data_dir"))
        }
        Some((other, _)) => Finding::look(
            "reference data",
            format!("version {version} is in force, and in data_dir lies version {other} with other content"),
            "`xacminh import` puts the files in force; if the files are the older ones, name the right data_dir",
        ),
    };
    let today = local_date(now);
    vec![reference, reach(in_force.calendar_until, today), provisional(&in_force.provisional, today)]
}

fn reach(until: Option<Date>, today: Date) -> Finding {
    const NAME: &str = "calendar";
    let remedy = "Add next year's days to data/calendar and `xacminh import`; beyond the calendar every Monday to Friday \
                  counts as a working day";
    // A calendar tells of whole years.
    let Some(until) = until.map(Date::last_of_year) else {
        return Finding::fault(NAME, "the nation's calendar is empty", remedy);
    };
    let days = days(today, until);
    let what = format!("reaches to {}, {days} days ahead", show::day(until));
    match days {
        ..NEEDED_DAYS => Finding::fault(NAME, what, remedy),
        NEEDED_DAYS..LOOK_DAYS => Finding::look(NAME, what, remedy),
        _ => Finding::sound(NAME, what),
    }
}

fn provisional(undecided: &[Date], today: Date) -> Finding {
    const NAME: &str = "calendar, provisional days";
    let Some(first) = undecided.first() else { return Finding::sound(NAME, "every day to come is decided") };
    let ahead = days(today, *first);
    let what = format!("{} days to come are not decided, the first on {}", undecided.len(), show::day(*first));
    if ahead > DECIDED_DAYS {
        return Finding::sound(NAME, format!("{what}, in {ahead} days"));
    }
    Finding::look(
        NAME,
        format!("{what}, in {ahead} days: due dates are being counted on them"),
        "Look for the decision, set those days to official in data/calendar, and `xacminh import`",
    )
}

fn days(from: Date, to: Date) -> i64 {
    from.duration_until(to).as_secs() / SignedDuration::from_hours(24).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;
    use jiff::civil::date;

    #[test]
    fn a_calendar_is_looked_at_before_it_ends() {
        let today = date(2026, 11, 19);
        let level = |until| reach(until, today).level;
        assert_eq!(level(None), Level::Fault);
        assert_eq!(level(Some(date(2026, 9, 2))), Level::Fault, "the year of its last day ends in 42 days");
        assert_eq!(level(Some(date(2027, 1, 1))), Level::Sound);
        assert_eq!(reach(Some(date(2027, 1, 1)), date(2027, 9, 15)).level, Level::Look);
    }

    #[test]
    fn a_day_not_decided_matters_when_it_is_near() {
        let level = |today| provisional(&[date(2027, 1, 1)], today).level;
        assert_eq!(level(date(2026, 12, 1)), Level::Sound);
        assert_eq!(level(date(2026, 12, 2)), Level::Look);
    }

    #[test]
    fn other_files_than_those_in_force_are_named() {
        let in_force =
            InForce { version: "7".to_owned(), digest: vec![1], calendar_until: None, provisional: Vec::new() };
        let now: Timestamp = "2026-11-19T08:00:00+07:00".parse().unwrap();
        let found = |files| judge(Some(&in_force), files, now).remove(0);
        assert_eq!(found(Some(("7", &[1][..]))).level, Level::Sound);
        assert_eq!(found(Some(("8", &[2][..]))).level, Level::Look);
        assert_eq!(found(None).level, Level::Unseen);
        assert_eq!(judge(None, None, now)[0].level, Level::Fault);
    }
}
