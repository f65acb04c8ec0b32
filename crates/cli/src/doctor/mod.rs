//! `doctor`: is this installation sound, and if not, what is to be done?
//!
//! ```text
//!   settings ── config.rs                      what the files say
//!   PostgreSQL ── store/view/installation.rs ─┐
//!   RabbitMQ ──── bus/sight.rs, over AMQP ────┼─▶ facts ─▶ judged by plain functions ─▶ findings
//!   both ──────── queues, clocks, reference ──┘
//! ```
//!
//! It looks and changes nothing; what is missing is made by `migrate`, `import`, `run`, `office grant`.
//! What cannot be looked at is said to be unseen, never called sound.

mod clocks;
mod files;
pub(crate) mod finding;
mod postgresql;
mod queues;
mod rabbitmq;
mod reference;

use std::time::{Duration, SystemTime};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use xacminh_bus::WORK_QUEUES;
use xacminh_registry::Registry;

use crate::in_place::in_place;
use crate::settings::Settings;
use crate::{config, readiness, show, wiring};
use finding::{Finding, Level};

/// How long a server may take to answer one question.
const ANSWER: Duration = Duration::from_secs(10);

/// How the findings are told.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// One JSON object, for programs.
    #[arg(long)]
    json: bool,
}

/// What is told to programs.
#[derive(Debug, Serialize)]
struct Told<'a> {
    /// The exit status.
    status: i32,
    /// The last line that people read.
    sentence: String,
    findings: &'a [Finding],
}

/// `xacminh doctor`: gives the exit status.
pub(crate) async fn doctor(settings: &Settings, args: &Doctor) -> Result<i32> {
    let findings = look(settings).await?;
    let (status, sentence) = sum(&findings);
    if args.json {
        show::json(&Told { status, sentence, findings: &findings })?;
        return Ok(status);
    }
    for found in &findings {
        lines(found).iter().for_each(show::line);
    }
    show::line(sentence);
    Ok(status)
}

async fn look(settings: &Settings) -> Result<Vec<Finding>> {
    let of_files = settings.clone();
    let (found, registry) = spawn_blocking(move || config::at_rest(&of_files)).await?;
    let mut findings: Vec<Finding> = found.into_iter().map(|(what, found)| files::judge(what, found)).collect();
    // Told once, by the line of the settings: without it there is nothing to ask.
    let keys = wiring::keys(settings).ok();
    let clock = wiring::clock(settings).ok();
    let (store, rabbit) = tokio::join!(
        postgresql::look(settings, keys.as_ref(), clock.as_ref()),
        rabbitmq::look(settings, &WORK_QUEUES),
    );

    findings.extend(postgresql::judge(&store, settings.postgresql.connections));
    findings.extend(rabbitmq::judge(&rabbit));
    if let Some(sight) = &rabbit.sight {
        let offices = store.schema_there().map(|there| &there.offices);
        findings.extend(queues::judge(sight, &rabbit.login, &rabbit.vhost, offices));
    }
    if let Some(now) = clock.as_ref().map(xacminh_clock::Clock::now)
        && let Some(there) = store.schema_there()
    {
        let digest = registry.as_ref().map(|Registry { version, digest, .. }| (version.as_str(), digest.as_slice()));
        findings.extend(reference::judge(there.reference.as_ref(), digest, now));
        findings.push(postgresql::timers(&there.work, now));
        findings.extend(in_place(&there.place, now).map(Finding::strictly));
        findings.push(postgresql::parked(&there.work, now));
    }
    if let Some(sights) = &rabbit.readers {
        findings.push(readiness::readers(&WORK_QUEUES, sights).strictly());
    }
    let stepped = settings.clock.file.is_some();
    findings.extend(clocks::judge(stepped, store.clock_ahead_ms, rabbit.sight.as_ref().map(|s| s.clock_ahead_ms)));
    Ok(findings)
}

/// A question to a server, given up after a while: what it said, or why there is nothing.
async fn asked<T, E: Into<anyhow::Error>>(question: impl Future<Output = Result<T, E>>) -> Result<T> {
    match timeout(ANSWER, question).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => anyhow::bail!("no answer within {} s", ANSWER.as_secs()),
    }
}

/// Milliseconds of the machine's clock since 1970, in the middle of two instants.
fn middle_ms(from: SystemTime, to: SystemTime) -> i64 {
    let middle = from + to.duration_since(from).unwrap_or_default() / 2;
    middle.duration_since(SystemTime::UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_millis()).ok()).unwrap_or(0)
}

/// One line, and one more for what is to be done.
fn lines(found: &Finding) -> Vec<String> {
    let sign = match found.level {
        Level::Sound => "[+]",
        Level::Look => "[!]",
        Level::Fault => "[-]",
        Level::Unseen => "[?]",
    };
    // A line stays a line, whatever a cause has in it.
    let one_line = |text: &str| text.replace(['\n', '\r'], " ");
    let mut lines = vec![format!("{sign} {}: {}", found.part, one_line(&found.what))];
    lines.extend(found.remedy.as_deref().map(|remedy| format!("      do: {}", one_line(remedy))));
    lines
}

/// The exit status, and the sentence at the end.
fn sum(findings: &[Finding]) -> (i32, String) {
    let count = |level| findings.iter().filter(|found| found.level == level).count();
    let (faults, looks, unseen) = (count(Level::Fault), count(Level::Look), count(Level::Unseen));
    let parts = findings.len();
    if faults > 0 {
        return (1, format!("Not sound: {faults} faults, {looks} to look at, {unseen} not seen, of {parts} parts."));
    }
    if looks + unseen > 0 {
        return (2, format!("No fault: {looks} to look at, {unseen} not seen, of {parts} parts."));
    }
    (0, format!("Sound: all {parts} parts are as they should be."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_outweighs_a_look_and_nothing_unseen_is_sound() {
        let sound = Finding::sound("a", "well");
        let look = Finding::look("b", "odd", "look");
        let fault = Finding::fault("c", "gone", "bring it back");
        let unseen = Finding::unseen("d", "dark", "light");
        let status = |of: &[&Finding]| sum(&of.iter().map(|f| (*f).clone()).collect::<Vec<_>>()).0;
        assert_eq!(status(&[&sound]), 0);
        assert_eq!(status(&[&sound, &look]), 2);
        assert_eq!(status(&[&sound, &unseen]), 2);
        assert_eq!(status(&[&look, &fault, &unseen]), 1);
        assert_eq!(lines(&fault), ["[-] c: gone", "      do: bring it back"]);
    }
}
