//! `office`: which offices there are, and who of them has access.

use anyhow::{Result, bail};
use clap::Subcommand;
use xacminh_domain::calendar::local_date;
use xacminh_domain::directory::Directory;
use xacminh_domain::id::OfficeId;
use xacminh_store::access::{self, Granted};
use xacminh_store::reference;

use crate::access::{Given, GrantArgs, RevokeArgs, grant, revoke, rotate};
use crate::settings::Settings;
use crate::{show, wiring};

/// Offices.
#[derive(Debug, Subcommand)]
pub(crate) enum Office {
    /// Gives offices, or all, a login, rights and an inbox. One that was revoked finds its inbox as
    /// it was, with what came meanwhile. One that is granted already gets back what RabbitMQ lacks of
    /// it, such as after a lost node: a new password if its login is gone, else it keeps the one it has.
    Grant(GrantArgs),
    /// Takes offices' access away at once: the login goes, open connections are closed. The inbox
    /// stays, and work for the office goes on waiting in it.
    Revoke(RevokeArgs),
    /// Gives granted offices, or all, another password: the old one is refused, connections made
    /// with it are closed at once, and once more after eleven seconds for those that were just being
    /// opened. Killed half way it is given again, with another FILE.
    Rotate(Given),
    /// Finds an office by its id, by a unit code of today, or by words of its name; tells its
    /// access.
    Show {
        /// What to look for.
        office: String,
    },
}

/// `xacminh office`.
pub(crate) async fn office(settings: &Settings, command: &Office) -> Result<()> {
    match command {
        Office::Grant(args) => grant(settings, args).await,
        Office::Revoke(args) => revoke(settings, args).await,
        Office::Rotate(args) => rotate(settings, args).await,
        Office::Show { office } => show_offices(settings, office).await,
    }
}

async fn show_offices(settings: &Settings, wanted: &str) -> Result<()> {
    let store = wiring::store(settings)?;
    let mut conn = store.conn().await?;
    let reference = reference::load(&mut conn).await?;
    let today = local_date(wiring::clock(settings)?.now());
    let found: Vec<_> = match find(&reference.directory, wanted, today) {
        Ok(id) => reference.directory.office(&id).into_iter().collect(),
        Err(_) => {
            let words = wanted.to_lowercase();
            reference.directory.offices().filter(|o| o.name.to_lowercase().contains(&words)).collect()
        }
    };
    if found.is_empty() {
        bail!("no office is called {wanted}");
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
        let access = standing(access::latest(&mut conn, office.id).await?.as_ref());
        show::line(format!("{}  {}  {phone}  {}  [{access}]", office.id, office.name, units.join("; ")));
    }
    Ok(())
}

/// An office's access in words.
fn standing(latest: Option<&Granted>) -> String {
    match latest {
        None => "never granted".to_owned(),
        Some(Granted { granted_at, revoked_at: Some(revoked_at), .. }) => {
            format!("revoked {}, was granted {}", show::minute(*revoked_at), show::minute(*granted_at))
        }
        Some(Granted { channel, granted_at, password_at, revoked_at: None }) => {
            let password = password_at.map(|at| format!(", password of {}", show::minute(at))).unwrap_or_default();
            format!("granted {} ({channel}){password}", show::minute(*granted_at))
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
