//! Stories of the program itself: killed, stopped, searched for what it must not say, and spoken to
//! by a client that only knows the protocol.
//!
//! Each test has offices of the registry for itself, of the last two hundred of `offices.csv`,
//! because the virtual hosts of a RabbitMQ share their logins; `servers`, `restore`, `alerts` and `doctor`
//! have servers of their own.

mod abort;
mod access;
mod admin;
mod alerts;
mod copies;
mod doctor;
mod figures;
mod kill;
mod leak;
mod logging;
mod office;
mod product;
mod python;
mod report;
mod restore;
mod servers;
mod shown;
mod stop;
mod systemd;
mod traffic;
