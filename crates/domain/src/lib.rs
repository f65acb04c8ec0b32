//! What is allowed? The rules of residence verification, pure.
//!
//! Everything here decides and nothing here acts: a request, a command, the instant `now`, the
//! calendar and the directory go in; events or a refusal come out. There is no clock, SQL, AMQP
//! or serde in this crate, so a twenty-day life runs in microseconds in a test.
//!
//! | question | file |
//! | --- | --- |
//! | what may happen to a request, and what happened | [`request`], [`answer`] |
//! | when is it due | [`calendar`], [`deadline`], [`rules`]; when the calendar changed [`recount`] |
//! | who is pressed when nobody answers | [`escalation`] |
//! | who held it, and for how long | [`lag`] |
//! | which office is it | [`mod@unit`], [`office`], [`directory`] |
//! | do two ends have the same messages | [`reconcile`] |
//! | what are citizens told | [`wording`] |
//! | which counts may be published | [`publication`] |
//! | is a number or a name well formed | [`person_no`], [`person`], [`name`] |

pub mod answer;
pub mod calendar;
pub mod deadline;
pub mod directory;
pub mod escalation;
pub mod id;
pub mod lag;
pub mod name;
pub mod office;
pub mod person;
pub mod person_no;
pub mod publication;
pub mod reconcile;
pub mod recount;
pub mod request;
pub mod rules;
pub mod unit;
pub mod wording;

/// Instants are UTC; they carry whole microseconds, because the ledger does.
pub use jiff::Timestamp;
/// Dates are days in Vietnam (UTC+7, no summer time).
pub use jiff::civil::Date;
