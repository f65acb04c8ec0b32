#![doc = include_str!("../README.md")]

pub mod answer;
pub mod decode;
pub mod envelope;
pub mod ledger;
pub mod names;
pub mod notice;
pub mod receipt;
pub mod reconcile;
pub mod refusal;
pub mod request;
pub mod resubmit;
pub mod schema;
pub mod trace;
pub mod values;
