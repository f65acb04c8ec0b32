//! `migrate`, `import`, `office`, `keys`, `parked`: what an operator does once, or looks at.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use xacminh_bus::{Grant, Management};
use xacminh_domain::calendar::local_date;
use xacminh_domain::directory::Directory;
use xacminh_domain::id::OfficeId;
use xacminh_domain::office::OfficeKind;
use xacminh_registry::Registry;
use xacminh_store::reference::{self, Imported};
use xacminh_store::{access, parked};
use xacminh_trust::key::MasterKey;

use crate::settings::Settings;
use crate::{show, wiring};

/// `xacminh migrate`.
pub(crate) async fn migrate(settings: &Settings) -> Result<()> {
    wiring::store(settings)?.migrate().await?;
    show::line("the schema is up to date");
    Ok(())
}

/// `xacminh import`.
pub(crate) async fn import(settings: &Settings) -> Result<()> {
    let registry = Registry::load(&settings.data_dir)?;
    let store = wiring::store(settings)?;
    let mut tx = store.begin().await?;
    let done = reference::import(&mut tx, &registry, wiring::clock(settings)?.now()).await?;
    tx.commit().await?;
    let counts = reference::counts(&mut *store.conn().await?).await?;
    let counts: Vec<String> = counts.into_iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    let what = match done {
        Imported::Replaced => "is in force now",
        Imported::Unchanged => "is in force already, nothing changed",
    };
    show::line(format!("version {} {what}: {} units, {}", registry.version, registry.units.len(), counts.join(", ")));
    Ok(())
}

/// Keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Makes a master key, readable by nobody else. Never overwrites one.
    New {
        /// The file.
        file: PathBuf,
    },
}

/// `xacminh keys`.
pub(crate) fn keys(Keys::New { file }: &Keys) -> Result<()> {
    let key = MasterKey::generate()?;
    key.write_new(file)?;
    show::line(format!(
        "key {} in {}: keep a copy apart from the database; without it no person can be read",
        key.kid(),
        file.display()
    ));
    Ok(())
}

/// Offices.
#[derive(Debug, Subcommand)]
pub(crate) enum Office {
    /// Gives offices, or all, a login, rights and an inbox.
    Grant(GrantArgs),
    /// Finds an office by its id, by a unit code of today, or by words of its name.
    Show {
        /// What to look for.
        office: String,
    },
}

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
    /// Office ids, or codes of units they serve.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    office: Vec<String>,
    /// Every office there is.
    #[arg(long, requires = "out")]
    all: bool,
    /// How it is reached.
    #[arg(long, value_enum, default_value = "amqp")]
    channel: Channel,
    /// Where the credentials are written, once, readable by nobody else: office,login,password,inbox.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// `xacminh office`.
pub(crate) async fn office(settings: &Settings, command: &Office) -> Result<()> {
    if let Office::Grant(args) = command
        && args.channel != Channel::Amqp
    {
        bail!("the channel {:?} does not exist yet: grant amqp", args.channel);
    }
    let store = wiring::store(settings)?;
    let reference = reference::load(&mut *store.conn().await?).await?;
    let now = wiring::clock(settings)?.now();
    let today = local_date(now);
    match command {
        Office::Show { office } => {
            let found: Vec<_> = match find(&reference.directory, office, today) {
                Ok(id) => reference.directory.office(&id).into_iter().collect(),
                Err(_) => reference
                    .directory
                    .offices()
                    .filter(|o| o.name.to_lowercase().contains(&office.to_lowercase()))
                    .collect(),
            };
            if found.is_empty() {
                bail!("no office is called {office}");
            }
            for office in found {
                let units: Vec<String> = reference
                    .directory
                    .units_of(&office.id, today)
                    .iter()
                    .take(3)
                    .map(|u| format!("{} {}", u.code, u.name))
                    .collect();
                let phone = office.phone.as_deref().or(office.fallback_phone.as_deref()).unwrap_or("-");
                show::line(format!("{}  {}  {phone}  {}", office.id, office.name, units.join("; ")));
            }
            Ok(())
        }
        Office::Grant(args) => {
            let wanted: Vec<OfficeId> = if args.all {
                reference.directory.offices().filter(|o| o.kind != OfficeKind::DistrictPolice).map(|o| o.id).collect()
            } else {
                args.office.iter().map(|office| find(&reference.directory, office, today)).collect::<Result<_>>()?
            };
            let granted: HashSet<OfficeId> = access::granted(&mut *store.conn().await?).await?.into_iter().collect();
            let new: Vec<OfficeId> = wanted.into_iter().filter(|o| !granted.contains(o)).collect();
            if new.is_empty() {
                show::line("granted already; logins, passwords and inboxes stay as they are");
                return Ok(());
            }
            let passwords: Vec<(OfficeId, String)> =
                new.iter().map(|o| Ok((*o, password()?))).collect::<Result<_>>()?;
            // The credentials are safe before RabbitMQ knows them: a grant nobody can use is worse
            // than a file that is not used.
            match &args.out {
                Some(file) => write_credentials(file, &passwords)?,
                None => show::line(credentials(&passwords).trim_end()),
            }
            let management = Management::new(&settings.rabbitmq.management_url()?, &settings.rabbitmq.vhost()?)?;
            let grants: Vec<Grant> =
                passwords.into_iter().map(|(office, password)| Grant { office, password }).collect();
            tokio::task::spawn_blocking(move || management.grant_offices(&grants)).await??;
            access::grant(&mut *store.conn().await?, &new, "amqp", now).await?;
            show::line(format!("granted {} offices: login, rights and inbox", new.len()));
            Ok(())
        }
    }
}

/// An office by its id, or by the code of a unit that it serves today.
pub(crate) fn find(directory: &Directory, text: &str, today: jiff::civil::Date) -> Result<OfficeId> {
    if let Ok(id) = text.parse::<OfficeId>()
        && directory.office(&id).is_some()
    {
        return Ok(id);
    }
    if let Ok(code) = text.parse()
        && let Some(office) = directory.office_serving(&code, today)
    {
        return Ok(office.id);
    }
    bail!("{text} is neither the id of an office nor the code of a unit of today")
}

fn credentials(of: &[(OfficeId, String)]) -> String {
    let mut text = String::from("office,login,password,inbox\n");
    for (office, password) in of {
        text.push_str(&format!("{office},{office},{password},{}\n", xacminh_contract::names::inbox(*office)));
    }
    text
}

fn write_credentials(file: &Path, of: &[(OfficeId, String)]) -> Result<()> {
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("{} (an existing file is never overwritten)", file.display()))?;
    out.write_all(credentials(of).as_bytes())?;
    out.sync_all()?;
    Ok(())
}

/// 24 characters of a-z2-9 without the ones that look alike: 115 bits.
fn password() -> Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).context("no random bytes")?;
    Ok(bytes.iter().map(|b| char::from(LETTERS[usize::from(b % 32)])).collect())
}

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
}

/// `xacminh parked`.
pub(crate) async fn parked(settings: &Settings, command: &Parked) -> Result<()> {
    let store = wiring::store(settings)?;
    let mut conn = store.conn().await?;
    let row = |p: &parked::Parked| {
        let of = p.message_type.as_deref().unwrap_or("-");
        format!(
            "{}  {}  {}  {}  key {}  type {of}  {} bytes",
            p.parked_id,
            show::instant(p.at),
            p.reason,
            p.queue,
            p.routing_key,
            p.bytes
        )
    };
    match command {
        Parked::List { json } => {
            let found = parked::list(&mut conn, 1_000).await?;
            if *json {
                return show::json(&found);
            }
            if found.is_empty() {
                show::line("nothing is parked");
            }
            for p in &found {
                show::line(row(p));
            }
        }
        Parked::Show { parked_id, body } => {
            let keys = wiring::keys(settings)?;
            let (p, bytes) = parked::show(&mut conn, &keys, *parked_id)
                .await?
                .context("there is no parked message of this number")?;
            show::line(row(&p));
            show::line(match p.reason.as_str() {
                "no_sender" => {
                    "It came without a user-id, so nobody could be answered. Have the sender set the user-id property to its login."
                }
                "sender_unknown" => {
                    "It came under a login that is no office's. If an office should send it, grant that office; if not, find out who holds the login."
                }
                "inbox_gave_up" => {
                    "An office's system took it twenty times and never acknowledged it. Call the office: its system does not store what it takes. The request itself is safe here."
                }
                _ => "Its command could not be worked on; the log of that minute says why.",
            });
            if *body {
                show::line(String::from_utf8_lossy(&bytes));
            }
        }
    }
    Ok(())
}
