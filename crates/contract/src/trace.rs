//! Trace context (W3C): which messages belong together, over offices and broker.
//!
//! ```text
//! traceparent  00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//!                 trace id: stays                  parent: a hop's   sampled
//! ```
//!
//! The trace id of what an office sends goes on in everything that follows from it. Nothing random is
//! needed: a trace that the broker begins has the message-id of what began it for an id, and a hop's
//! parent id is the second half of the message-id of the letter, so either is found by the other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// The id of a trace: 32 small hex digits, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// The trace that a message began.
    pub fn begun_by(message: Uuid) -> Self {
        Self(*message.as_bytes())
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

/// Not the id of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a trace id (32 small hex digits, not all zero)")]
pub struct NoTraceId;

impl FromStr for TraceId {
    type Err = NoTraceId;

    fn from_str(text: &str) -> Result<Self, NoTraceId> {
        hex::<16>(text).map(Self).ok_or(NoTraceId)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What goes on from message to message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// Whoever sent it records it.
    pub sampled: bool,
}

impl From<TraceId> for Trace {
    fn from(id: TraceId) -> Self {
        Self { id, sampled: false }
    }
}

impl Trace {
    /// Reads a `traceparent` header. None for what is not one: it is dropped and never passed on.
    /// A later version is read as far as this one goes, as the W3C asks.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.splitn(5, '-');
        let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = hex_byte(version).filter(|version| *version != 0xff)?;
        if version == 0 && parts.next().is_some() {
            return None;
        }
        hex::<8>(parent)?;
        let sampled = hex_byte(flags)? & 1 == 1;
        Some(Self { id: id.parse().ok()?, sampled })
    }

    /// The header of a letter with this message-id: the trace goes on, the hop is the letter's.
    pub fn traceparent(self, letter: Uuid) -> String {
        // The last half begins with the variant's bits, so it is never zero.
        let (_, hop) = letter.as_u64_pair();
        format!("00-{}-{hop:016x}-{:02x}", self.id, u8::from(self.sampled))
    }
}

fn hex_byte(text: &str) -> Option<u8> {
    digits::<1>(text).map(|[byte]| byte)
}

/// So many bytes, not all zero.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    digits::<N>(text).filter(|bytes| bytes.iter().any(|byte| *byte != 0))
}

fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    let mut out = [0; N];
    for (byte, at) in out.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    #[test]
    fn a_trace_goes_on_with_a_hop_of_its_own() {
        let trace = Trace::parse(&format!("00-{ID}-{PARENT}-01")).unwrap();
        assert_eq!((trace.id.to_string().as_str(), trace.sampled), (ID, true));
        let letter: Uuid = "019a9a3c-5800-7abc-8def-0123456789ab".parse().unwrap();
        assert_eq!(trace.traceparent(letter), format!("00-{ID}-8def0123456789ab-01"));
        let begun = Trace::from(TraceId::begun_by(letter));
        assert_eq!(begun.traceparent(letter), "00-019a9a3c58007abc8def0123456789ab-8def0123456789ab-00");
        assert_eq!(Trace::parse(&begun.traceparent(letter)), Some(begun));
        assert_eq!(serde_json::from_str::<TraceId>(&serde_json::to_string(&trace.id).unwrap()).unwrap(), trace.id);
    }

    #[test]
    fn a_later_version_is_read_and_what_is_none_is_dropped() {
        for right in
            [format!("00-{ID}-{PARENT}-00"), format!("01-{ID}-{PARENT}-03-more"), format!("cc-{ID}-{PARENT}-fe")]
        {
            assert!(Trace::parse(&right).is_some(), "{right}");
        }
        for wrong in [
            String::new(),
            ID.to_owned(),
            format!("ff-{ID}-{PARENT}-01"),
            format!("00-{ID}-{PARENT}-01-more"),
            format!("00-{ID}-{PARENT}-01-"),
            format!("00-{ID}-{PARENT}"),
            format!("00-{ID}-{PARENT}-1"),
            format!("0-{ID}-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-{ID}-{}-01", "0".repeat(16)),
            format!("00-{}-{PARENT}-01", ID.to_uppercase()),
            format!("00-{ID}x-{PARENT}-01"),
            format!("00-+{}-{PARENT}-01", &ID[1..]),
            "Nguyễn Thị Thử".to_owned(),
        ] {
            assert_eq!(Trace::parse(&wrong), None, "{wrong}");
        }
    }
}
