//! What can go wrong with keys and sealed bytes.

use std::io;
use std::path::PathBuf;

use crate::key::KeyId;

/// An error of this crate. Its text names keys by id and files by path, never a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key file could not be read.
    #[error("the key file {path} cannot be read: {cause}")]
    KeyUnreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The key file is open to more than its owner.
    #[error("the key file {path} is open to others than its owner (mode {mode:04o}): run chmod 600 {path}")]
    KeyExposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file holds something else.
    #[error("the key file {path} does not hold a key (base64 of 32 bytes)")]
    KeyMalformed {
        /// Which file.
        path: PathBuf,
    },
    /// The key file could not be written.
    #[error("the key file {path} cannot be written (an existing file is never replaced): {cause}")]
    KeyUnwritable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// A key ring got the same key, or two of one id.
    #[error("the key {0} is already on the ring")]
    KeyTwice(KeyId),
    /// The bytes were sealed under a key that is not on the ring.
    #[error("sealed under the key {0}, which is not at hand")]
    KeyUnknown(KeyId),
    /// Not of a form this version writes: cut short, or written by a newer one.
    #[error("not of a form this version can open")]
    Format,
    /// Changed since, or opened for something else than what it was sealed for.
    #[error("changed since it was sealed, or sealed for something else")]
    Forged,
    /// Longer than the cipher takes (256 GiB).
    #[error("too long to be sealed")]
    TooLong,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(getrandom::Error),
}
