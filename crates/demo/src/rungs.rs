//! Did the ladder do what the table says? Each rung once, on its instant, at its office.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use xacminh_domain::id::{OfficeId, RequestId};

use crate::check::Ended;
use crate::table::{Rung, day, row_of};
use crate::world::RungRow;

/// How late a row may be written after the instant of its rung.
const SLACK: SignedDuration = SignedDuration::from_secs(60);
/// The rungs that the table is about.
const JUDGED: [&str; 3] = ["accept_due", "answer_due_day", "answer_due"];

/// Rows that fired twice.
pub(crate) fn twice(rows: &[RungRow]) -> Vec<String> {
    let mut seen = HashSet::new();
    let again = rows.iter().filter(|row| !seen.insert((row.request, row.trigger.as_str(), row.rung)));
    again.map(|row| format!("{}: {} {} fired twice", row.request, row.trigger, row.rung)).collect()
}

/// How often each rung fired.
pub(crate) fn by_rung(rows: &[RungRow]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(format!("{}/{}", row.trigger, row.rung)).or_default() += 1;
    }
    counts
}

/// Who stands on the upper rungs of a home.
pub(crate) struct Above {
    /// PC06 by home.
    pub(crate) province: HashMap<OfficeId, OfficeId>,
    /// C06.
    pub(crate) ministry: Option<OfficeId>,
}

/// Requests whose rungs are not those of the table.
pub(crate) fn mismatches(requests: &[Ended], rows: &[RungRow], above: &Above, end: Timestamp) -> Vec<String> {
    let mut by_request: HashMap<RequestId, Vec<&RungRow>> = HashMap::new();
    for row in rows.iter().filter(|row| JUDGED.contains(&row.trigger.as_str())) {
        by_request.entry(row.request).or_default().push(row);
    }
    let mut wrong = Vec::new();
    for ended in requests {
        let mut fired = by_request.remove(&ended.request).unwrap_or_default();
        fired.sort_by_key(|row| (row.due_at, row.rung));
        if let Err(why) = agree(ended, &fired, above, end) {
            wrong.push(format!("{}: {why}", ended.request));
        }
    }
    wrong.extend(by_request.into_keys().map(|id| format!("{id}: rungs of a request that no ward sent")));
    wrong
}

fn agree(ended: &Ended, fired: &[&RungRow], above: &Above, end: Timestamp) -> Result<(), String> {
    let Some(row) = ended.start_on.and_then(row_of) else {
        return if fired.is_empty() { Ok(()) } else { Err("rungs without a clock".to_owned()) };
    };
    let expected: Vec<Rung> = row.rungs().into_iter().filter(|rung| must_fire(ended, rung, end)).collect();
    let is: Vec<Rung> = fired.iter().map(|row| (known(&row.trigger), row.rung, row.due_at)).collect();
    if is != expected {
        return Err(format!("started {}, fired {is:?}, by the table {expected:?}", row.start_on));
    }
    for rung in fired {
        if rung.fired_at < rung.due_at || rung.fired_at > rung.due_at + SLACK {
            return Err(format!("{} {} was due {} and fired {}", rung.trigger, rung.rung, rung.due_at, rung.fired_at));
        }
        if day(rung.clock_start) != row.start_on {
            return Err(format!("{} {} counts from {}", rung.trigger, rung.rung, rung.clock_start));
        }
        let target = match (rung.trigger.as_str(), rung.rung) {
            ("answer_due", 1) => above.province.get(&ended.home).copied(),
            ("answer_due", 2) => above.ministry,
            _ => continue,
        };
        if target.is_some() && rung.target != target {
            return Err(format!("{} {} pressed another office", rung.trigger, rung.rung));
        }
    }
    Ok(())
}

/// A rung fires when its instant comes before the end and before whatever makes it needless.
fn must_fire(ended: &Ended, (trigger, _, at): &Rung, end: Timestamp) -> bool {
    let before = |other: Option<Timestamp>| other.is_none_or(|other| *at <= other);
    *at <= end && before(ended.closed_at) && (*trigger != "accept_due" || before(ended.opened_at))
}

fn known(trigger: &str) -> &'static str {
    JUDGED.into_iter().find(|word| *word == trigger).unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    use crate::table::end;

    const ID: &str = "019a9a3c-5800-7abc-8def-0123456789ab";

    fn office(id: &str) -> OfficeId {
        id.parse().unwrap()
    }

    fn silent() -> Ended {
        Ended {
            request: ID.parse().unwrap(),
            home: office("vphhhhhh"),
            start_on: Some(date(2026, 11, 19)),
            opened_at: None,
            closed_at: None,
        }
    }

    fn climbed() -> Vec<RungRow> {
        let rung = |trigger: &str, rung, due: &str, target: Option<&str>| RungRow {
            request: ID.parse().unwrap(),
            trigger: trigger.into(),
            rung,
            clock_start: "2026-11-19T08:01:00+07:00".parse().unwrap(),
            due_at: due.parse().unwrap(),
            fired_at: due.parse().unwrap(),
            target: target.map(office),
        };
        vec![
            rung("accept_due", 0, "2026-11-21T00:00:00+07:00", None),
            rung("answer_due_day", 0, "2026-11-23T08:00:00+07:00", None),
            rung("answer_due", 1, "2026-11-24T00:00:00+07:00", Some("vppppppp")),
            rung("answer_due", 2, "2026-11-26T00:00:00+07:00", Some("vpcccccc")),
        ]
    }

    fn above() -> Above {
        Above {
            province: HashMap::from([(office("vphhhhhh"), office("vppppppp"))]),
            ministry: Some(office("vpcccccc")),
        }
    }

    #[test]
    fn a_silent_request_climbs_as_the_table_says() {
        assert_eq!(mismatches(&[silent()], &climbed(), &above(), end()), Vec::<String>::new());
        assert_eq!(twice(&climbed()), Vec::<String>::new());
    }

    #[test]
    fn a_rung_too_many_too_few_too_late_or_elsewhere_is_found() {
        let wrong = |change: fn(&mut Vec<RungRow>)| {
            let mut rows = climbed();
            change(&mut rows);
            mismatches(&[silent()], &rows, &above(), end()).len()
        };
        assert_eq!(wrong(|rows| rows.truncate(3)), 1);
        assert_eq!(wrong(|rows| rows[3].due_at = "2026-11-25T00:00:00+07:00".parse().unwrap()), 1);
        assert_eq!(wrong(|rows| rows[2].fired_at += SignedDuration::from_secs(61)), 1);
        assert_eq!(wrong(|rows| rows[2].target = Some(office("vpqqqqqq"))), 1);
        let again = [climbed(), climbed()].concat();
        assert_eq!(twice(&again).len(), 4);
    }

    #[test]
    fn a_late_answer_ends_the_rungs_to_come() {
        let answered = Ended {
            opened_at: "2026-11-19T08:02:00+07:00".parse().ok(),
            closed_at: "2026-11-25T08:00:05+07:00".parse().ok(),
            ..silent()
        };
        let fired: Vec<RungRow> = climbed().drain(1..3).collect();
        assert_eq!(mismatches(&[answered], &fired, &above(), end()), Vec::<String>::new());
        assert_eq!(mismatches(&[answered], &climbed(), &above(), end()).len(), 1);
    }
}
