#![doc = include_str!("../README.md")]

mod abort_point;
mod ages;
pub mod answering;
mod composing;
mod core;
mod digest;
pub mod disposition;
mod duplicates;
mod error;
pub mod escalating;
pub mod intake;
mod judging;
mod leaving;
mod marking;
pub mod measuring;
mod metrics;
mod offices;
mod outages;
mod reading;
mod reconciling;
pub mod recounting;
pub mod relay;
mod repeats;
pub mod replaying;
pub mod restoring;
mod resubmitting;
mod rooms;
mod sending_again;
pub mod settling;
pub mod taking;
mod within;

pub use abort_point::AbortPoint;
pub use core::Core;
pub use error::Error;
pub use metrics::{Dependency, Metrics};
pub use offices::{FRESH_FOR, OfficePage};
