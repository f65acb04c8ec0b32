//! `office grant`, `office revoke`, `office rotate`: who may come in.
//!
//! ```text
//! grant   credentials on disk ─▶ RabbitMQ: login, rights, inbox ─▶ office_access
//! rotate  credentials on disk ─▶ RabbitMQ: password, connections closed ─▶ office_access ─▶ closed again
//! revoke                         RabbitMQ: login deleted, connections with it ─▶ office_access
//! ```
//!
//! Killed between two steps, each is repaired by giving the same command again (with another file
//! for the credentials). Inboxes are never deleted: what waits in them is somebody's answer.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use tokio::task::spawn_blocking;
use xacminh_bus::{Grant, HANDSHAKE_LIMIT, Management};
use xacminh_clock::Clock;
use xacminh_domain::calendar::local_date;
use xacminh_domain::directory::Directory;
use xacminh_domain::id::OfficeId;
use xacminh_domain::office::OfficeKind;
use xacminh_store::{PgConnection, Store, access, reference};

use crate::office::find;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::{show, wiring};

/// How many offices are changed together on RabbitMQ and then written down: few enough that old
/// passwords end within a second or two of the change, and that a bar moves.
const AT_ONCE: usize = 100;

/// How an office is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Channel {
    /// Its own system, over AMQP.
    Amqp,
    /// The desk in the browser.
    Desk,
    /// The agent for weak lines.
    Agent,
}

/// Who is granted.
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    #[command(flatten)]
    given: Given,
    /// How it is reached.
    #[arg(long, value_enum, default_value = "amqp")]
    channel: Channel,
}

/// Who gets a password.
#[derive(Debug, Args)]
pub(crate) struct Given {
    /// Office ids, or codes of units they serve.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    office: Vec<String>,
    /// Every office there is (`rotate`: every one that is granted).
    #[arg(long, requires = "out")]
    all: bool,
    /// Where the credentials are written, once, readable by nobody else: office,login,password,inbox.
    /// Without it they are printed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Whose access ends.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Office ids, or codes of units they serve.
    #[arg(required = true)]
    office: Vec<String>,
}

/// What every change of access stands on.
struct Desk {
    store: Store,
    /// Holds the right to change access.
    holding: PgConnection,
    management: Management,
    clock: Clock,
    directory: Directory,
}

impl Desk {
    async fn open(settings: &Settings) -> Result<Self> {
        let store = wiring::store(settings)?;
        let mut holding = store.conn().await?.detach();
        if !access::hold(&mut holding).await? {
            bail!("another command is changing access just now: wait until it has ended");
        }
        Ok(Self {
            directory: reference::load(&mut holding).await?.directory,
            management: Management::new(&settings.rabbitmq.management_url()?, &settings.rabbitmq.vhost()?)?,
            clock: wiring::clock(settings)?,
            store,
            holding,
        })
    }

    fn named(&self, offices: &[String]) -> Result<Vec<OfficeId>> {
        let today = local_date(self.clock.now());
        let mut seen = HashSet::new();
        let found: Vec<OfficeId> =
            offices.iter().map(|office| find(&self.directory, office, today)).collect::<Result<_>>()?;
        Ok(found.into_iter().filter(|office| seen.insert(*office)).collect())
    }

    async fn granted(&mut self) -> Result<Vec<OfficeId>> {
        Ok(access::granted(&mut self.holding).await?)
    }

    /// Works through the management API, off the async threads.
    async fn manage(
        &self,
        work: impl FnOnce(&Management) -> Result<(), xacminh_bus::Error> + Send + 'static,
    ) -> Result<()> {
        let management = self.management.clone();
        Ok(spawn_blocking(move || work(&management)).await??)
    }
}

/// `xacminh office grant`.
pub(crate) async fn grant(settings: &Settings, args: &GrantArgs) -> Result<()> {
    if args.channel != Channel::Amqp {
        bail!("the channel {} does not exist yet: grant amqp", format!("{:?}", args.channel).to_lowercase());
    }
    let mut desk = Desk::open(settings).await?;
    let wanted: Vec<OfficeId> = if args.given.all {
        desk.directory.offices().filter(|o| o.kind != OfficeKind::DistrictPolice).map(|o| o.id).collect()
    } else {
        desk.named(&args.given.office)?
    };
    let granted: HashSet<OfficeId> = desk.granted().await?.into_iter().collect();
    let new: Vec<OfficeId> = wanted.into_iter().filter(|o| !granted.contains(o)).collect();
    if new.is_empty() {
        show::line("granted already; logins, passwords and inboxes stay as they are");
        return Ok(());
    }
    let grants = hand_out(&new, args.given.out.as_deref())?;
    let mut progress = Progress::over("granting", grants.len());
    for some in grants.chunks(AT_ONCE) {
        let (offices, some) = (offices_of(some), some.to_vec());
        desk.manage(move |m| m.grant_offices(&some)).await?;
        let mut tx = desk.store.begin().await?;
        access::grant(&mut tx, &offices, "amqp", desk.clock.now()).await?;
        tx.commit().await?;
        progress.add(offices.len());
    }
    drop(progress);
    show::line(format!("granted {} offices: login, rights and inbox", new.len()));
    Ok(())
}

/// `xacminh office rotate`.
pub(crate) async fn rotate(settings: &Settings, args: &Given) -> Result<()> {
    let mut desk = Desk::open(settings).await?;
    let granted = desk.granted().await?;
    let wanted = if args.all { granted } else { only(desk.named(&args.office)?, &granted)? };
    if wanted.is_empty() {
        show::line("no office is granted, so there is no password to change");
        return Ok(());
    }
    let grants = hand_out(&wanted, args.out.as_deref())?;
    let mut progress = Progress::over("rotating", grants.len());
    for some in grants.chunks(AT_ONCE) {
        let (offices, some) = (offices_of(some), some.to_vec());
        desk.manage(move |m| {
            m.set_passwords(&some)?;
            some.iter().try_for_each(|grant| m.close_connections_of(grant.office.as_str()))
        })
        .await?;
        let mut tx = desk.store.begin().await?;
        access::rotated(&mut tx, &offices, desk.clock.now()).await?;
        tx.commit().await?;
        progress.add(offices.len());
    }
    drop(progress);
    // Whoever had shown the old password and not opened the connection yet.
    let waiting = Progress::through("waiting for connections that were just being opened");
    tokio::time::sleep(HANDSHAKE_LIMIT + Duration::from_secs(1)).await;
    desk.manage(move |m| grants.iter().try_for_each(|grant| m.close_connections_of(grant.office.as_str()))).await?;
    drop(waiting);
    show::line(format!("rotated {} offices: the old passwords are refused, their connections closed", wanted.len()));
    Ok(())
}

/// `xacminh office revoke`.
pub(crate) async fn revoke(settings: &Settings, args: &RevokeArgs) -> Result<()> {
    let desk = Desk::open(settings).await?;
    let wanted = desk.named(&args.office)?;
    let mut progress = Progress::over("revoking", wanted.len());
    let mut ended = 0;
    for some in wanted.chunks(AT_ONCE) {
        // Whatever is on record: a grant that was killed half way has left a login.
        let logins = some.to_vec();
        desk.manage(move |m| logins.iter().try_for_each(|office| m.delete_user(office.as_str()))).await?;
        let mut tx = desk.store.begin().await?;
        ended += access::revoke(&mut tx, some, desk.clock.now()).await?.len();
        tx.commit().await?;
        progress.add(some.len());
    }
    drop(progress);
    show::line(format!(
        "revoked {} offices ({ended} had a grant): logins gone, connections closed; inboxes stay with what is in them",
        wanted.len()
    ));
    Ok(())
}

/// All of these, or an error that names one without a grant.
fn only(wanted: Vec<OfficeId>, granted: &[OfficeId]) -> Result<Vec<OfficeId>> {
    match wanted.iter().find(|office| !granted.contains(office)) {
        Some(office) => bail!("{office} is not granted, so it has no password to change: `office grant` gives it one"),
        None => Ok(wanted),
    }
}

fn offices_of(grants: &[Grant]) -> Vec<OfficeId> {
    grants.iter().map(|grant| grant.office).collect()
}

/// New passwords, safe on disk or shown before RabbitMQ knows them: a login nobody can use is worse
/// than a file that is not used.
fn hand_out(offices: &[OfficeId], out: Option<&Path>) -> Result<Vec<Grant>> {
    let grants: Vec<Grant> =
        offices.iter().map(|office| Ok(Grant { office: *office, password: password()? })).collect::<Result<_>>()?;
    match out {
        Some(file) => write_credentials(file, &grants)?,
        None => show::line(credentials(&grants).trim_end()),
    }
    Ok(grants)
}

fn credentials(of: &[Grant]) -> String {
    let mut text = String::from("office,login,password,inbox\n");
    for Grant { office, password } in of {
        text.push_str(&format!("{office},{office},{password},{}\n", xacminh_contract::names::inbox(*office)));
    }
    text
}

fn write_credentials(file: &Path, of: &[Grant]) -> Result<()> {
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("{} (an existing file is never overwritten)", file.display()))?;
    out.write_all(credentials(of).as_bytes())?;
    out.sync_all()?;
    // The file is safe when its name is.
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(|| format!("{}", dir.display()))?;
    Ok(())
}

/// 24 characters of a-z2-9 without the ones that look alike: 115 bits.
fn password() -> Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).context("no random bytes")?;
    Ok(bytes.iter().map(|b| char::from(LETTERS[usize::from(b % 32)])).collect())
}
