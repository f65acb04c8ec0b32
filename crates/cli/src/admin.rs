//! `migrate`, `import`, `keys`: what an operator does once.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use xacminh_services::recounting;
use xacminh_store::reference::{self, Imported};
use xacminh_trust::key::MasterKey;

use crate::progress::Progress;
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
    let reading = Progress::through("reading and checking the reference data");
    let registry = wiring::registry(settings)?;
    drop(reading);
    let store = wiring::store(settings)?;
    let mut tx = store.begin().await?;
    let writing = Progress::through("putting them in force");
    let now = wiring::clock(settings)?.now();
    let done = reference::import(&mut tx, &registry, now).await?;
    let in_reach = match done {
        Imported::CalendarChanged => recounting::in_reach(&mut tx).await?,
        Imported::Replaced | Imported::Unchanged => None,
    };
    tx.commit().await?;
    drop(writing);
    let counts = reference::counts(&mut *store.conn().await?).await?;
    let counts: Vec<String> = counts.into_iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    let what = match done {
        Imported::Replaced | Imported::CalendarChanged => "is in force now",
        Imported::Unchanged => "is in force already, nothing changed",
    };
    show::line(format!(
        "version {} of {} {what}: {} units, {}",
        registry.version,
        settings.data_dir.display(),
        registry.units.len(),
        counts.join(", ")
    ));
    if let Some(requests) = in_reach {
        show::line(format!(
            "the working calendar changed: up to {requests} open requests get other due dates. A running process with \
             the role escalating counts them anew; `/readyz?verbose` says how far it is and how many moved"
        ));
    }
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
