//! Near-duplicates among the new requests of a batch, against the store and among themselves.

use std::collections::{HashMap, HashSet};

use xacminh_domain::id::RequestId;
use xacminh_domain::request::{Event, near_duplicates};
use xacminh_store::{PgConnection, request};

use crate::error::Error;

/// Of which request a new one is a near-duplicate; `happened` is what the batch did, in its order,
/// and is not stored yet.
pub(crate) async fn firsts(
    tx: &mut PgConnection,
    happened: &[(RequestId, Event)],
) -> Result<HashMap<RequestId, RequestId>, Error> {
    let mut matters = HashSet::new();
    let mut withdrawn = 0;
    for (_, event) in happened {
        if let Event::Submitted { opening, .. } = event {
            matters.insert(opening.matter());
        }
        withdrawn += usize::from(matches!(event, Event::Withdrawn { .. }));
    }
    // As many of each as this batch may have withdrawn, and one more.
    let matters: Vec<_> = matters.into_iter().collect();
    let before = request::about(tx, &matters, withdrawn + 1).await?;
    Ok(near_duplicates(&before, happened.iter().map(|(id, event)| (*id, event))).into_iter().collect())
}
