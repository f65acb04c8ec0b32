//! Whether all is in place in the store for the work to go on: shards, outbox, partitions, due dates. Told by
//! `/readyz?verbose` and by `doctor`.

use jiff::{SignedDuration, Timestamp};
use xacminh_domain::Date;
use xacminh_domain::calendar::local_date;
use xacminh_store::outbox::SHARDS;
use xacminh_store::view::readiness::{Place, Recounting};

use crate::doctor::finding::Finding;
use crate::readiness::{age, local};

/// A letter that has waited longer than this is worth a look.
const LETTER_PATIENCE: SignedDuration = SignedDuration::from_secs(60);
/// A million due dates are counted anew in a minute; what takes so much longer stands still.
const RECOUNT_PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// Partitions are made two months ahead; with fewer days than these left, nobody makes them.
const PARTITION_DAYS: i64 = 14;

/// The shards, the outbox, the partitions and the due dates.
pub(crate) fn in_place(place: &Place, now: Timestamp) -> [Finding; 4] {
    let all = i64::from(SHARDS);
    let shards = if place.shards_held >= all {
        Finding::sound("shards", format!("all {all} are held by a relay"))
    } else {
        Finding::look(
            "shards",
            format!("{} of {all} are held by a relay; the letters of the others wait, none is lost", place.shards_held),
            "A relay that has just started takes them within some seconds; if this stays, start a process with the \
             role relay",
        )
    };
    let letters = match place.oldest_letter {
        None => Finding::sound("outbox", "no letter waits"),
        Some(oldest) if now.duration_since(oldest) <= LETTER_PATIENCE => Finding::sound(
            "outbox",
            format!("{} letters wait, the oldest for {}", place.letters, age(now.duration_since(oldest))),
        ),
        Some(oldest) => Finding::look(
            "outbox",
            format!(
                "{} letters wait, the oldest since {} (for {}). None is lost",
                place.letters,
                local(oldest),
                age(now.duration_since(oldest)),
            ),
            "See the lines of RabbitMQ and the shards; if those are well, an office has no inbox or its letter cannot \
             be opened: the log names it",
        ),
    };
    let due_dates = due_dates(place.recount.as_ref(), now);
    [shards, letters, partitions(place.partitions_until, local_date(now)), due_dates]
}

/// Whether due dates are being counted anew after the calendar changed.
fn due_dates(recount: Option<&Recounting>, now: Timestamp) -> Finding {
    const NAME: &str = "due dates";
    let Some(Recounting { version, imported_at, recounted, is_through }) = recount else {
        return Finding::sound(NAME, "counted on the calendar in force");
    };
    let lasts = now.duration_since(*imported_at);
    if *is_through {
        return Finding::sound(
            NAME,
            format!("{recounted} requests were counted anew on version {version}; a last look follows"),
        );
    }
    let what = format!("{recounted} requests are counted anew on version {version} so far, for {}", age(lasts));
    if lasts <= RECOUNT_PATIENCE {
        Finding::sound(NAME, what)
    } else {
        Finding::look(
            NAME,
            format!("{what}. Until it is done, others keep the dates of the calendar before"),
            "Start a process with the role escalating if none runs; if one does, its log says why it cannot",
        )
    }
}

fn partitions(until: Option<Date>, today: Date) -> Finding {
    const NAME: &str = "partitions";
    let todo = "A running process makes them two months ahead: look in its log for why it cannot";
    match until {
        Some(until) if until > today.saturating_add(SignedDuration::from_hours(24 * PARTITION_DAYS)) => {
            Finding::sound(NAME, format!("there for messages of the days before {until}"))
        }
        Some(until) => {
            let what = format!("there only for messages of the days before {until}; later ones could not be stored");
            Finding::look(NAME, what, todo)
        }
        None => Finding::look(NAME, "there are none, so no message can be stored", todo),
    }
}

#[cfg(test)]
mod tests {
    use xacminh_console::parts::{Mark, Part};

    use super::*;

    #[test]
    fn what_the_store_holds_is_judged() {
        let now: Timestamp = "2026-11-19T12:00:00+07:00".parse().unwrap();
        let well = Place {
            shards_held: 16,
            letters: 2,
            oldest_letter: Some(now - SignedDuration::from_secs(60)),
            partitions_until: Some(jiff::civil::date(2027, 2, 1)),
            recount: None,
        };
        assert_eq!(in_place(&well, now).map(|found| Part::from(found).mark), [Mark::Good; 4]);
        let since = |minutes| Recounting {
            version: "2026-11-20.1".to_owned(),
            imported_at: now - SignedDuration::from_mins(minutes),
            recounted: 3_000,
            is_through: false,
        };
        for (recount, mark) in [
            (since(10), Mark::Good),
            (since(11), Mark::Look),
            (Recounting { is_through: true, ..since(11) }, Mark::Good),
        ] {
            let part = Part::from(due_dates(Some(&recount), now));
            assert_eq!(part.mark, mark);
            assert!(part.words.starts_with("3000 requests"), "{}", part.words);
        }
        let ill = Place {
            shards_held: 12,
            letters: 2,
            oldest_letter: Some(now - SignedDuration::from_secs(61)),
            partitions_until: Some(jiff::civil::date(2026, 12, 1)),
            recount: Some(since(11)),
        };
        let parts = in_place(&ill, now).map(Part::from);
        assert_eq!(parts.clone().map(|part| part.mark), [Mark::Look; 4]);
        assert!(parts[0].words.starts_with("12 of 16"), "{}", parts[0].words);
        assert!(parts[1].words.contains("since 2026-11-19 11:58:59 +07:00 (for 61 s)"), "{}", parts[1].words);
        assert_eq!(Part::from(partitions(None, local_date(now))).mark, Mark::Look);
    }
}
