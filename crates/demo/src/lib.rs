//! Plays ward systems and home offices, which only speak the protocol, and checks the ledgers they keep.
//!
//! Every simulated office is a client of its own: its login, its connection, its inbox, its own
//! ledger of what it sent and what came back. One driver steps the clock from half-day to half-day
//! whenever nothing is left to do, and at the end a checker that knows only those ledgers says what
//! became of each request, what was lost and what happened twice.
//!
//! | question | file |
//! | --- | --- |
//! | what does the demo need from the product | `world` |
//! | how does an office speak AMQP, and what does it remember | `line`, `cut`, `client`, `ledger` |
//! | who asks whom about whom, and what becomes of it | `people`, `plan`, `zipf` |
//! | when is it, and when is it due, by hand | `table` |
//! | when may the clock jump | `driver` |
//! | who does what next | `cast`, `nation`, `stories` |
//! | what came out | `check`, `report` |

mod cast;
mod check;
mod client;
mod cut;
mod deeds;
mod driver;
mod forms;
mod ledger;
pub mod line;
mod nation;
mod people;
mod plan;
mod report;
mod rungs;
mod scene;
mod show;
mod stories;
mod table;
mod world;
mod zipf;

pub use check::Sum;
pub use nation::nation;
pub use report::{Notices, Report};
pub use stories::stories;
pub use table::{end, start};
pub use world::{HomeOffice, OperatorView, RungRow, Settings, Standing, World};
