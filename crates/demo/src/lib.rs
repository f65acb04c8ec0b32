#![doc = include_str!("../README.md")]

mod cast;
mod check;
mod client;
mod cut;
mod deeds;
mod driver;
mod forms;
mod killing;
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
pub use killing::Kill;
pub use nation::nation;
pub use report::{Notices, Report};
pub use stories::stories;
pub use table::{end, start};
pub use world::{HomeOffice, InHand, OperatorView, RungRow, Settings, Standing, World};
