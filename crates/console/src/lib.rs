//! What can a person see and do? So far the health pages.

mod error;
pub mod health;
pub mod parts;

pub use error::Error;
