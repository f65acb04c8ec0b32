//! Intervals of days, both ends inclusive, open ends written as the first and last day there is.

use xacminh_domain::Date;

pub(crate) type Span = (Date, Date);

pub(crate) fn span(from: Option<Date>, to: Option<Date>) -> Span {
    (from.unwrap_or(Date::MIN), to.unwrap_or(Date::MAX))
}

/// The line of the first row that overlaps an earlier one of the same key.
pub(crate) fn overlapping<K: Ord>(rows: impl Iterator<Item = (K, Span, u64)>) -> Option<u64> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_unstable();
    // Within a key the spans are in order of their first day, so neighbours tell.
    rows.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[1].1.0 <= pair[0].1.1).map(|pair| pair[1].2)
}

/// Whether the pieces, in order of their first day, leave no day of the whole out.
pub(crate) fn covered(whole: Span, pieces: &[Span]) -> bool {
    let mut next = whole.0;
    for (from, to) in pieces {
        if *from > next {
            return false;
        }
        if *to >= whole.1 {
            return true;
        }
        if *to >= next {
            next = to.tomorrow().unwrap_or(Date::MAX);
        }
    }
    false
}
