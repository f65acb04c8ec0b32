//! What each office has in hand: for a page of figures that names offices, never a request.

use std::collections::BTreeMap;

use xacminh_domain::Timestamp;
use xacminh_domain::request::State;

use super::lag::InLife;

/// What one office is asked and has in hand. An office that has nothing has no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InHand {
    /// The office's id.
    pub office: String,
    /// Its province code, as it was when the requests were made.
    pub province: String,
    /// Requests that it is asked and has not answered, wherever they are on their way.
    pub open: i64,
    /// Those of them that are beyond their answer due.
    pub overdue: i64,
    /// When the oldest of them was submitted.
    pub oldest: Timestamp,
    /// Those of them that were sent, and not yet received by its system.
    pub in_flight: i64,
}

/// What every office has in hand, in the order of their ids.
pub fn in_hand(in_life: &[InLife]) -> Vec<InHand> {
    let mut offices: BTreeMap<(&str, &str), InHand> = BTreeMap::new();
    for row in in_life {
        let Some(office) = &row.office else { continue };
        let sum = offices.entry((office, &row.province)).or_insert_with(|| InHand {
            office: office.clone(),
            province: row.province.clone(),
            open: 0,
            overdue: 0,
            oldest: row.oldest,
            in_flight: 0,
        });
        sum.open += row.count;
        sum.overdue += row.overdue;
        sum.oldest = sum.oldest.min(row.oldest);
        sum.in_flight += if row.state == State::Sent.as_str() { row.count } else { 0 };
    }
    offices.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::lag::{open, unheard};

    fn row(office: Option<&str>, province: &str, state: &str, unheard: Option<&str>, counts: [i64; 2]) -> InLife {
        InLife {
            office: office.map(str::to_owned),
            province: province.to_owned(),
            state: state.to_owned(),
            unheard: unheard.map(str::to_owned),
            count: counts[0],
            overdue: counts[1],
            oldest: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(counts[0]),
            lookup_pending: 1,
        }
    }

    #[test]
    fn one_walk_gives_the_figures_of_provinces_and_of_offices() {
        let in_life = [
            row(Some("vpa2b3c4"), "01", "sent", None, [7, 0]),
            row(Some("vpa2b3c4"), "01", "sent", Some("not_confirmed"), [2, 1]),
            row(Some("vpa2b3c4"), "01", "submitted", Some("not_confirmed"), [3, 3]),
            row(Some("vpmwjsws"), "01", "opened", None, [5, 0]),
            row(None, "79", "answered", None, [11, 0]),
        ];
        let hands: Vec<_> = in_hand(&in_life).into_iter().map(|h| (h.office, h.open, h.overdue, h.in_flight)).collect();
        assert_eq!(hands, [("vpa2b3c4".to_owned(), 12, 4, 9), ("vpmwjsws".to_owned(), 5, 0, 0)]);
        assert_eq!(in_hand(&in_life)[0].oldest, in_life[1].oldest);
        let open = open(&in_life);
        assert_eq!((open[&("01", "sent")].count, open[&("79", "answered")].count, open.len()), (9, 11, 4));
        assert_eq!(open[&("01", "sent")].lookup_pending, 2);
        assert_eq!(unheard(&in_life), BTreeMap::from([(("01", "not_confirmed"), 1)]));
    }
}
