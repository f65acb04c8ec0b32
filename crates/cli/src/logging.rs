//! Logs: to standard error, for machines or for people. Never a person's data.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::settings::{Log, LogFormat};

/// The libraries to RabbitMQ and PostgreSQL are silent unless the filter names them: what they report
/// comes back as an error and is told where it is handled, once; they call an orderly end an error.
const QUIET: &str = "lapin=off,sqlx=off";

/// Starts logging. Returned messages are silenced in the library that would print their bodies.
pub(crate) fn start(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{},{}", log.filter, xacminh_bus::LOG_FILTER))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let ansi = std::io::stderr().is_terminal();
    match log.format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Human => builder.with_target(false).with_ansi(ansi).init(),
    }
    Ok(())
}
