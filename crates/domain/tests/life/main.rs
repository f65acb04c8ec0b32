//! Whole lives of requests: random ones that must keep to the table, and a silent one that climbs
//! the ladder to its top.
//!
//! No server and no real clock: time is an argument, so a twenty-day life takes microseconds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod ground;
mod held;
mod random;
mod recounted;
mod silence;
