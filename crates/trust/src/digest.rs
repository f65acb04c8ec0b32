//! Keyed digests: the same person gives the same digest, and nobody without the key can guess who.
//!
//! A plain hash will not do: there are few names, birth dates and numbers, and all of them can be
//! tried in an afternoon.

use std::fmt;

use hmac::digest::CtOutput;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::key::{KeyRing, Subkeys, hmac};

/// HMAC-SHA256 of some bytes under a label. Compared in constant time, printed as `…`: it stands
/// for a person, so it belongs in no log.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Its bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<Digest> for [u8; 32] {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        let constant_time = |d: &Self| CtOutput::<Hmac<Sha256>>::new(d.0.into());
        constant_time(self) == constant_time(other)
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

impl KeyRing {
    /// The digest of some bytes under the current key. The label says what they are, so that equal
    /// bytes of two kinds do not look alike.
    pub fn digest(&self, label: &str, bytes: &[u8]) -> Digest {
        digest_with(self.current(), label, bytes)
    }

    /// Whether a stored digest is of these bytes, under the current key or an older one.
    pub fn digest_matches(&self, label: &str, bytes: &[u8], stored: &Digest) -> bool {
        self.keys().any(|keys| digest_with(keys, label, bytes) == *stored)
    }
}

fn digest_with(keys: &Subkeys, label: &str, bytes: &[u8]) -> Digest {
    let mac = hmac(&keys.digest)
        // The length keeps label and bytes apart: ("ab", "c") is not ("a", "bc").
        .chain_update((label.len() as u64).to_be_bytes())
        .chain_update(label)
        .chain_update(bytes);
    Digest(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::MasterKey;

    #[test]
    fn equal_only_for_the_same_key_label_and_bytes() {
        let ring = KeyRing::new(MasterKey::generate().unwrap());
        let other = KeyRing::new(MasterKey::generate().unwrap());
        let digest = ring.digest("person", b"999000000001");
        assert_eq!(digest, ring.digest("person", b"999000000001"));
        assert_ne!(digest, ring.digest("person", b"999000000002"));
        assert_ne!(digest, ring.digest("answer", b"999000000001"));
        assert_ne!(digest, ring.digest("perso", b"n999000000001"));
        assert_ne!(digest, other.digest("person", b"999000000001"));
    }

    #[test]
    fn one_changed_bit_is_seen() {
        let digest = Digest([0; 32]);
        for bit in 0..256 {
            let mut bytes = [0; 32];
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(digest, Digest(bytes));
        }
    }

    #[test]
    fn a_digest_of_before_the_key_changed_still_matches() {
        let stored = KeyRing::new(MasterKey::of(1)).digest("person", b"999000000001");
        let ring = KeyRing::new(MasterKey::of(2)).with_older(MasterKey::of(1)).unwrap();
        assert_ne!(stored, ring.digest("person", b"999000000001"));
        assert!(ring.digest_matches("person", b"999000000001", &stored));
        assert!(!ring.digest_matches("person", b"999000000002", &stored));
    }

    #[test]
    fn the_digest_does_not_move() {
        // Stored digests are compared with new ones for years.
        let digest = KeyRing::new(MasterKey::of(7)).digest("person", b"999000000001");
        let hex: String = digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "96ade46fbcd2c7036d79933ba8d7b63ee0938c3f4dfb5450ba79a79a8089efc6");
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Digest([1; 32])), "Digest(…)");
    }
}
