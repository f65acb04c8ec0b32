//! Stories on real servers. Each runs the product on a database and a virtual host of its own, and
//! talks to it as offices do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing among many")]

mod desk;
mod stage;

mod bad_input;
mod calendars;
mod crossing;
mod duplicates;
mod flight;
mod ladder;
mod lanes;
mod ledger;
mod life;
mod marks;
mod offices;
mod push_back;
mod reconcile;
mod recounts;
mod refusals;
mod repeats;
mod replay;
mod report_rules;
mod restored;
mod resubmits;
mod retention;
mod schema;
mod traces;
mod ward_pressed;
