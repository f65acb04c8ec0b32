//! Who said it, and was it changed since? Hash chain, sealed person fields, keyed digests.
//!
//! Keys come in, bytes go out: this crate knows no database and no queue. Every secret is wiped
//! when dropped and prints as `…`.

pub mod chain;
pub mod digest;
mod error;
pub mod key;
pub mod naming;
pub mod sealing;

pub use error::Error;
