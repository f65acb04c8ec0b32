//! The hash chain of the ledger: each event's hash covers the one before it.
//!
//! ```text
//! GENESIS ─▶ link 1 ─▶ link 2 ─▶ … ─▶ head          one chain a stream (a request, a system stream)
//! ```
//!
//! A changed, missing or reordered event breaks the chain. Two things the chain alone cannot show,
//! and the caller has to: that its *end* is missing (compare the head and the count with those kept
//! elsewhere), and that all of it was written anew (publish or sign heads).

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The separation from every other use of SHA-256; a new encoding gets a new label.
const LABEL: &[u8] = b"xacminh ledger v1";

/// Where every chain begins.
pub const GENESIS: Hash = Hash([0; 32]);

/// The hash of one link. It prints as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Where every chain begins: zeros.
    pub const GENESIS: Self = GENESIS;

    /// Its bytes, as the ledger keeps them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// The hash of an event: number `seq` of its stream, at `at_us` microseconds of UTC, after `prev`.
///
/// Label and body carry their length and the rest has a fixed one, so two different events never
/// give the same bytes to the hash.
pub fn link(prev: &Hash, stream: &[u8; 16], seq: u32, at_us: i64, body: &[u8]) -> Hash {
    let mut sha = Sha256::new();
    sha.update((LABEL.len() as u64).to_be_bytes());
    sha.update(LABEL);
    sha.update(prev.0);
    sha.update(stream);
    sha.update(seq.to_be_bytes());
    sha.update(at_us.to_be_bytes());
    sha.update((body.len() as u64).to_be_bytes());
    sha.update(body);
    Hash(sha.finalize().into())
}

/// An event as the ledger keeps it.
#[derive(Debug, Clone, Copy)]
pub struct StoredLink<'a> {
    /// Its number in the stream, from 1.
    pub seq: u32,
    /// Its instant, microseconds of UTC.
    pub at_us: i64,
    /// The hash it says it has.
    pub hash: Hash,
    /// Its canonical bytes.
    pub body: &'a [u8],
}

/// Where a chain is broken: at the first event that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event {seq}: {why}")]
pub struct Broken {
    /// The number of that event.
    pub seq: u32,
    /// In which way.
    pub why: Why,
}

/// How an event does not fit its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Not the number that is next: events are missing, doubled or out of order.
    #[error("number {expected} was to come")]
    Gap {
        /// The number that was to come.
        expected: u32,
    },
    /// Its bytes, instant, number, stream or hash, or the hash before it, were changed after it was written.
    #[error("it is not what was hashed")]
    Content,
}

/// Walks a stream from its first event, in order, and gives its head; `GENESIS` if it has none.
pub fn verify<'a>(stream: &[u8; 16], links: impl IntoIterator<Item = StoredLink<'a>>) -> Result<Hash, Broken> {
    let mut head = GENESIS;
    let mut last = 0_u32;
    for stored in links {
        let broken = |why| Err(Broken { seq: stored.seq, why });
        let expected = last.saturating_add(1);
        if stored.seq != expected {
            return broken(Why::Gap { expected });
        }
        if link(&head, stream, stored.seq, stored.at_us, stored.body) != stored.hash {
            return broken(Why::Content);
        }
        (head, last) = (stored.hash, stored.seq);
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: [u8; 16] = *b"one request's id";

    fn chain() -> Vec<StoredLink<'static>> {
        let mut prev = GENESIS;
        [b"asked".as_slice(), b"sent", b"", b"answered"]
            .into_iter()
            .zip(1..)
            .map(|(body, seq)| {
                let at_us = 1_700_000_000_000_000 + i64::from(seq);
                let hash = link(&prev, &STREAM, seq, at_us, body);
                let stored = StoredLink { seq, at_us, hash, body };
                prev = hash;
                stored
            })
            .collect()
    }

    fn broken(seq: u32, why: Why) -> Result<Hash, Broken> {
        Err(Broken { seq, why })
    }

    #[test]
    fn a_whole_chain_ends_in_its_head() {
        let links = chain();
        assert_eq!(verify(&STREAM, links.clone()), Ok(links[3].hash));
        assert_eq!(verify(&STREAM, []), Ok(GENESIS));
    }

    #[test]
    fn the_encoding_does_not_move() {
        // Ledgers are kept for years: this value changing means they can no longer be proven.
        let hash = link(&GENESIS, &STREAM, 1, 1_700_000_000_000_001, b"asked");
        assert_eq!(hash.to_string(), "a2520f69c0e913c38c56d355a3c0635d6d5252f5c3d6127fca59881bd6c2b86e");
    }

    #[test]
    fn missing_doubled_and_swapped_events_are_gaps() {
        let mut cut = chain();
        cut.remove(1);
        assert_eq!(verify(&STREAM, cut), broken(3, Why::Gap { expected: 2 }));

        let mut headless = chain();
        headless.remove(0);
        assert_eq!(verify(&STREAM, headless), broken(2, Why::Gap { expected: 1 }));

        let mut doubled = chain();
        doubled.insert(1, doubled[0]);
        assert_eq!(verify(&STREAM, doubled), broken(1, Why::Gap { expected: 2 }));

        let mut swapped = chain();
        swapped.swap(1, 2);
        assert_eq!(verify(&STREAM, swapped), broken(3, Why::Gap { expected: 2 }));
    }

    #[test]
    fn a_changed_event_is_found() {
        let changes: [fn(&mut StoredLink<'static>); 3] =
            [|l| l.body = b"answere\x64!", |l| l.at_us -= 1, |l| l.hash.0[31] ^= 1];
        for change in changes {
            let mut links = chain();
            change(&mut links[3]);
            assert_eq!(verify(&STREAM, links), broken(4, Why::Content));
        }
        assert_eq!(verify(b"another's stream", chain()), broken(1, Why::Content));
    }

    #[test]
    fn an_event_rehashed_after_a_change_breaks_at_the_next() {
        let mut links = chain();
        links[1].body = b"lost";
        links[1].hash = link(&links[0].hash, &STREAM, 2, links[1].at_us, b"lost");
        assert_eq!(verify(&STREAM, links), broken(3, Why::Content));
    }

    #[test]
    fn a_renumbered_event_is_found() {
        let mut links = chain();
        links.remove(1);
        links[1].seq = 2;
        assert_eq!(verify(&STREAM, links), broken(2, Why::Content));
    }
}
