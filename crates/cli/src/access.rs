//! `office grant`, `office revoke`, `office rotate`: who may come in.
//!
//! ```text
//! grant   what lacks? ─▶ credentials on disk ─▶ RabbitMQ: login, rights, inbox ─▶ office_access
//! rotate  may we? ─▶ credentials on disk ─▶ RabbitMQ: password, connections closed ─▶ office_access ─▶ closed again
//! revoke                             RabbitMQ: login deleted, connections with it ─▶ office_access
//! ```
//!
//! Killed between two steps, each is repaired by giving the same command again (with another file
//! for the credentials). A grant of what is on record looks at RabbitMQ and brings back what lacks
//! there, so that giving it again mends a deleted inbox and a lost node as well. Only a login that is
//! gone costs a new password. Inboxes are never deleted: what waits in them is somebody's answer.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use tokio::task::spawn_blocking;
use xacminh_bus::{Grant, HANDSHAKE_LIMIT, Lacking, Management};
use xacminh_clock::Clock;
use xacminh_domain::calendar::local_date;
use xacminh_domain::directory::Directory;
use xacminh_domain::id::OfficeId;
use xacminh_domain::office::OfficeKind;
use xacminh_store::{PgConnection, Store, access, reference};

use crate::credentials::HandedOut;
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
    /// Every office there is, granted before or not (`rotate`: every one that is granted).
    #[arg(long, requires = "out")]
    all: bool,
    /// Where the credentials are written, once, readable by nobody else: office,login,password,inbox.
    /// Without it they are printed. `grant` writes it only if a password is needed.
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
    async fn manage<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Management) -> Result<T, xacminh_bus::Error> + Send + 'static,
    ) -> Result<T> {
        let management = self.management.clone();
        Ok(spawn_blocking(move || work(&management)).await??)
    }

    /// What RabbitMQ lacks of the access of these offices. It wants the same login as every change
    /// does, and so it comes before a password is written anywhere.
    async fn lacking(&self, offices: Vec<OfficeId>) -> Result<Lacking> {
        self.manage(move |m| m.lacking(&offices)).await.map_err(|error| {
            let refused = error.downcast_ref::<xacminh_bus::Error>().is_some_and(xacminh_bus::Error::is_unauthorized);
            error.context(if refused {
                "no password was made and nothing changed: correct the login in rabbitmq.management_url, or give it \
                 the tag administrator"
            } else {
                "no password was made and nothing changed"
            })
        })
    }

    /// Gives these offices a login with this password, rights and an inbox, and writes that down: of
    /// those in `gone`, which lost their login, as a new password.
    async fn let_in(&self, some: &[Grant], gone: &HashSet<OfficeId>) -> Result<()> {
        let (again, new): (Vec<OfficeId>, Vec<OfficeId>) =
            some.iter().map(|grant| grant.office).partition(|office| gone.contains(office));
        let grants = some.to_vec();
        let done = async {
            self.manage(move |m| m.grant_offices(&grants)).await?;
            let mut tx = self.store.begin().await?;
            access::grant(&mut tx, &new, "amqp", self.clock.now()).await?;
            access::rotated(&mut tx, &again, self.clock.now()).await?;
            Ok(tx.commit().await?)
        };
        let done: Result<()> = done.await;
        if done.is_err() {
            // As it was before, or the next grant would find the login and give no password. Those that
            // are new are not on record, and get one.
            let taken_back = self.manage(move |m| again.iter().try_for_each(|o| m.delete_user(o.as_str()))).await;
            if let Err(error) = taken_back {
                return done.context(format!(
                    "logins that were made again could not be taken back ({error}): `xacminh office rotate` gives \
                     those offices passwords that are sure"
                ));
            }
        }
        done
    }
}

/// `xacminh office grant`.
pub(crate) async fn grant(settings: &Settings, args: &GrantArgs) -> Result<()> {
    if args.channel != Channel::Amqp {
        bail!("the channel {} does not exist yet: grant amqp", format!("{:?}", args.channel).to_lowercase());
    }
    let mut desk = Desk::open(settings).await?;
    let on_record = desk.granted().await?;
    let granted: HashSet<OfficeId> = on_record.iter().copied().collect();
    let wanted: Vec<OfficeId> = if args.given.all {
        let current = desk.directory.offices().filter(|o| o.kind != OfficeKind::DistrictPolice).map(|o| o.id);
        current.filter(|o| !granted.contains(o)).chain(on_record.iter().copied()).collect()
    } else {
        desk.named(&args.given.office)?
    };
    let (on_record, new): (Vec<OfficeId>, Vec<OfficeId>) = wanted.into_iter().partition(|o| granted.contains(o));
    let lacking = desk.lacking(on_record).await?;
    if new.is_empty() && lacking.is_nothing() {
        show::line("granted already; logins, passwords and inboxes stay as they are");
        return Ok(());
    }
    mend(&desk, &lacking).await?;
    let gone: HashSet<OfficeId> = lacking.logins.iter().copied().collect();
    let wanted: Vec<OfficeId> = lacking.logins.iter().chain(&new).copied().collect();
    if wanted.is_empty() {
        if let Some(file) = &args.given.out {
            show::line(format!("no password was needed: {} was not written", file.display()));
        }
        return Ok(());
    }
    let handed = HandedOut::new(&wanted, args.given.out.as_deref())?;
    let mut progress = Progress::over("granting", wanted.len());
    let mut done = 0;
    for some in handed.grants.chunks(AT_ONCE) {
        desk.let_in(some, &gone).await.with_context(|| handed.half_way(done))?;
        done += some.len();
        progress.add(some.len());
    }
    drop(progress);
    if !gone.is_empty() {
        show::line(format!(
            "mended {} offices whose login was gone: a new password, rights, and the inbox as it was or a new one",
            gone.len()
        ));
    }
    if !new.is_empty() {
        show::line(format!("granted {} offices: login, rights and inbox", new.len()));
    }
    Ok(())
}

/// Brings back what lacks and needs no password.
async fn mend(desk: &Desk, lacking: &Lacking) -> Result<()> {
    let offices = lacking.keep_passwords();
    if offices.is_empty() && !lacking.policies {
        return Ok(());
    }
    if lacking.policies {
        desk.manage(Management::put_policies).await?;
    }
    let mut progress = Progress::over("mending", offices.len());
    for some in offices.chunks(AT_ONCE) {
        let some = some.to_vec();
        let count = some.len();
        desk.manage(move |m| m.restore_offices(&some)).await?;
        progress.add(count);
    }
    drop(progress);
    if lacking.policies {
        show::line("the policies of inboxes and work queues are set again");
    }
    if !offices.is_empty() {
        show::line(format!(
            "mended {} offices: rights of {} set again, inboxes of {} made again; passwords stay as they are",
            offices.len(),
            lacking.rights.len(),
            lacking.inboxes.len()
        ));
    }
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
    // Asked for the sake of being let in; what lacks is for `grant`.
    desk.lacking(Vec::new()).await?;
    let handed = HandedOut::new(&wanted, args.out.as_deref())?;
    let mut progress = Progress::over("rotating", wanted.len());
    let mut done = 0;
    for some in handed.grants.chunks(AT_ONCE) {
        exchange(&desk, some).await.with_context(|| handed.half_way_again(done))?;
        done += some.len();
        progress.add(some.len());
    }
    drop(progress);
    // Whoever had shown the old password and not opened the connection yet.
    let waiting = Progress::through("waiting for connections that were just being opened");
    tokio::time::sleep(HANDSHAKE_LIMIT + Duration::from_secs(1)).await;
    let of = wanted.clone();
    let closing = desk.manage(move |m| of.iter().try_for_each(|office| m.close_connections_of(office.as_str())));
    closing.await.with_context(|| handed.half_way_again(done))?;
    drop(waiting);
    show::line(format!("rotated {} offices: the old passwords are refused, their connections closed", wanted.len()));
    Ok(())
}

/// Puts new passwords in force, ends what the old ones opened, and writes that down.
async fn exchange(desk: &Desk, some: &[Grant]) -> Result<()> {
    let (offices, some) = (some.iter().map(|grant| grant.office).collect::<Vec<_>>(), some.to_vec());
    desk.manage(move |m| {
        m.set_passwords(&some)?;
        some.iter().try_for_each(|grant| m.close_connections_of(grant.office.as_str()))
    })
    .await?;
    let mut tx = desk.store.begin().await?;
    access::rotated(&mut tx, &offices, desk.clock.now()).await?;
    Ok(tx.commit().await?)
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
