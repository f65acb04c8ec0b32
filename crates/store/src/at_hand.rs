//! Requests as this process last had them. Most steps of a request follow each other within moments,
//! in one process: whoever locks one whose chain still ends where it ended here need not replay it.
//!
//! Nothing has to be told when another process changes a request: its chain then ends elsewhere, and
//! what is here is of no use. So what is here can be old, never wrong.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use xacminh_domain::id::RequestId;
use xacminh_domain::request::State;
use xacminh_trust::chain::Hash;

use crate::ledger::Chained;

/// How many are kept before the older half goes: with both halves some 6 MB at the most.
const HALF: usize = 2_000;

/// The requests at hand.
#[derive(Debug, Default)]
pub struct AtHand(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    newer: HashMap<RequestId, Chained>,
    older: HashMap<RequestId, Chained>,
}

impl AtHand {
    /// Keeps requests as they are now; those that have ended are let go.
    pub fn keep(&self, requests: impl IntoIterator<Item = Chained>) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chained in requests {
            let id = chained.request.id;
            if matches!(chained.request.state, State::Read | State::Withdrawn) {
                halves.newer.remove(&id);
                halves.older.remove(&id);
                continue;
            }
            if halves.newer.len() >= HALF {
                halves.older = std::mem::take(&mut halves.newer);
            }
            halves.newer.insert(id, chained);
        }
    }

    /// The request, if its chain ends there.
    pub(crate) fn get(&self, id: RequestId, seq: u32, head: Hash) -> Option<Chained> {
        let halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = halves.newer.get(&id).or_else(|| halves.older.get(&id))?;
        (found.seq == seq && found.head == head).then(|| found.clone())
    }
}
