//! `parked`: what could not be taken, and how it is taken after all, or closed.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use xacminh_services::replaying::{self, Replay};
use xacminh_services::{Core, Metrics};
use xacminh_store::parked;

use crate::settings::Settings;
use crate::{show, wiring};

/// The longest reason, in characters.
const LONGEST_REASON: usize = 200;

/// Parked messages.
#[derive(Debug, Subcommand)]
pub(crate) enum Parked {
    /// The latest ones, without their content.
    List {
        /// For a program.
        #[arg(long)]
        json: bool,
    },
    /// One of them. Its content may be personal: it is shown only with --body.
    Show {
        /// Its number.
        parked_id: i64,
        /// Opens the sealed content.
        #[arg(long)]
        body: bool,
    },
    /// Takes parked messages again, once their cause is gone: commands as if they had just come, in
    /// the order they were parked; what an inbox gave up on is sent again under its message-id. A
    /// second replay changes nothing. What came without a user-id cannot be replayed.
    Replay(Reasoned),
    /// Says that nothing more is to be done about parked messages, as about one without a user-id
    /// that was sent anew. They stay on the list, and are no longer counted as waiting.
    Close(Reasoned),
}

/// Which ones, and why.
#[derive(Debug, Args)]
pub(crate) struct Reasoned {
    /// Their numbers.
    #[arg(required = true)]
    parked_id: Vec<i64>,
    /// Why, for whoever reads the record later. Nothing about a person.
    #[arg(long, value_name = "WORDS")]
    reason: String,
}

/// `xacminh parked`.
pub(crate) async fn parked(settings: &Settings, command: &Parked) -> Result<()> {
    match command {
        Parked::List { json } => list(settings, *json).await,
        Parked::Show { parked_id, body } => show_one(settings, *parked_id, *body).await,
        Parked::Replay(args) => replay(settings, args).await,
        Parked::Close(args) => close(settings, args).await,
    }
}

async fn list(settings: &Settings, json: bool) -> Result<()> {
    let found = parked::list(&mut *wiring::store(settings)?.conn().await?, 1_000).await?;
    if json {
        return show::json(&found);
    }
    if found.is_empty() {
        show::line("nothing is parked");
    }
    for p in &found {
        show::line(row(p));
    }
    Ok(())
}

async fn show_one(settings: &Settings, parked_id: i64, body: bool) -> Result<()> {
    let keys = wiring::keys(settings)?;
    let opened = parked::show(&mut *wiring::store(settings)?.conn().await?, &keys, parked_id)
        .await?
        .context("there is no parked message of this number")?;
    show::line(row(&opened.parked));
    show::line(match opened.parked.reason.as_str() {
        "no_sender" => {
            "It came without a user-id, so nobody could be answered. Have the sender set the user-id property to its login and send it again."
        }
        "sender_unknown" => {
            "It came under a login that is no office's. If an office should send it, import that office and replay it; if not, find out who holds the login."
        }
        "inbox_gave_up" => {
            "An office's system took it twenty times and never acknowledged it. Call the office: its system does not store what it takes. The request itself is safe here; once the system is mended, replay it."
        }
        _ => "Its command could not be worked on; the log of that minute says why. Once that is mended, replay it.",
    });
    if opened.parked.reason == "sender_unknown" {
        let login = opened.envelope.as_ref().and_then(|envelope| envelope.user_id.as_deref());
        show::line(format!("Login: {}", login.filter(|login| is_like_a_login(login)).unwrap_or("(not shown)")));
    }
    if let (Some(at), Some(reason)) = (opened.parked.replayed_at, &opened.parked.replay_reason) {
        show::line(format!("Replayed {}: {reason}", show::minute(at)));
    }
    if let (Some(at), Some(reason)) = (opened.parked.closed_at, &opened.parked.close_reason) {
        show::line(format!("Closed {}: {reason}", show::minute(at)));
    }
    if body {
        show::line(String::from_utf8_lossy(&opened.body));
    }
    Ok(())
}

/// RabbitMQ checked it, yet somebody may have made a login of a person's name.
fn is_like_a_login(login: &str) -> bool {
    (1..=64).contains(&login.len())
        && login.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@'))
}

impl Reasoned {
    fn reason(&self) -> Result<&str> {
        let reason = self.reason.trim();
        if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
            bail!("--reason wants 1 to {LONGEST_REASON} characters, for whoever reads the record later");
        }
        Ok(reason)
    }

    fn ids(&self) -> BTreeSet<i64> {
        self.parked_id.iter().copied().collect()
    }
}

async fn close(settings: &Settings, args: &Reasoned) -> Result<()> {
    let reason = args.reason()?;
    let (store, now) = (wiring::store(settings)?, wiring::clock(settings)?.now());
    let mut missing = 0;
    for id in args.ids() {
        let mut tx = store.begin().await?;
        let closed = parked::close(&mut tx, id, reason, now).await?;
        let said = if closed {
            "closed".to_owned()
        } else {
            match parked::one(&mut tx, id).await? {
                Some(parked::Parked { replayed_at: Some(at), .. }) => {
                    format!("replayed, {}: nothing to close", show::minute(at))
                }
                Some(parked::Parked { closed_at: Some(at), .. }) => {
                    format!("closed before, {}; nothing changed", show::minute(at))
                }
                _ => {
                    missing += 1;
                    "there is no parked message of this number".to_owned()
                }
            }
        };
        tx.commit().await.context("storing")?;
        show::line(format!("{id}  {said}"));
    }
    match missing {
        0 => Ok(()),
        n => bail!("{n} of {} are not there", args.ids().len()),
    }
}

async fn replay(settings: &Settings, args: &Reasoned) -> Result<()> {
    let reason = args.reason()?;
    let core =
        Core::new(wiring::store(settings)?, wiring::keys(settings)?, wiring::clock(settings)?, Metrics::new()?).await?;
    core.ensure_partitions().await?;
    let ids = args.ids();
    let mut stayed = 0;
    for id in &ids {
        let said = match replaying::replay(&core, *id, reason).await {
            Ok(Replay::Taken(sender)) => format!("taken as a command of {sender}, which gets its receipt"),
            Ok(Replay::SentAgain(office)) => format!("on its way to the inbox of {office} again"),
            Ok(Replay::Before(at)) => format!("replayed before, {}; nothing changed", show::minute(at)),
            Ok(Replay::Cannot(why)) => {
                stayed += 1;
                format!("not replayed: {why}")
            }
            // The store itself: the others would fare no better.
            Err(error) if error.is_transient() => return Err(error).with_context(|| format!("{id}")),
            Err(error) => {
                stayed += 1;
                format!("not replayed, it still cannot be worked on: {error}")
            }
        };
        show::line(format!("{id}  {said}"));
    }
    match stayed {
        0 => Ok(()),
        n => bail!("{n} of {} stay parked", ids.len()),
    }
}

fn row(p: &parked::Parked) -> String {
    let of = p.message_type.as_deref().unwrap_or("-");
    let done = match (p.replayed_at, p.closed_at) {
        (Some(at), _) => format!("  replayed {}", show::minute(at)),
        (None, Some(at)) => format!("  closed {}", show::minute(at)),
        (None, None) => String::new(),
    };
    format!(
        "{}  {}  {}  {}  key {}  type {of}  {} bytes{done}",
        p.parked_id,
        show::instant(p.at),
        p.reason,
        p.queue,
        p.routing_key,
        p.bytes
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_shown_and_nothing_else() {
        for login in ["xacminh-probe", "vpzvgv4r", "ops_2@bca.vn", &"a".repeat(64)] {
            assert!(is_like_a_login(login), "{login}");
        }
        for other in ["", "Nguyễn Thị Thử", "a b", "a\nb", "a;b", &"a".repeat(65)] {
            assert!(!is_like_a_login(other), "{other}");
        }
    }
}
