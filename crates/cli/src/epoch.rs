//! `epoch`: which life of the store this is, and beginning another after a restore.

use anyhow::{Result, bail};
use clap::Subcommand;
use xacminh_services::{Core, Metrics, restoring};
use xacminh_store::epoch;
use xacminh_store::outbox::SHARDS;
use xacminh_store::view::readiness;

use crate::settings::Settings;
use crate::{show, wiring};

/// The store's lives.
#[derive(Debug, Subcommand)]
pub(crate) enum Epoch {
    /// Which life this is, and since when.
    Show,
    /// Begins another: to be given once, on a database that was restored from a backup, before any
    /// process works on it. Tells all offices, which then send again what they sent; work that was
    /// on its way leaves again.
    New,
}

/// `xacminh epoch`.
pub(crate) async fn epoch(settings: &Settings, command: &Epoch) -> Result<()> {
    let store = wiring::store(settings)?;
    match command {
        Epoch::Show => {
            let now = epoch::current(&mut *store.conn().await?).await?;
            let since = now.since.map_or_else(|| "its beginning".to_owned(), show::minute);
            show::line(format!("epoch {} since {since}", now.id));
        }
        Epoch::New => {
            let place = readiness::place(&mut *store.conn().await?).await?;
            if place.shards_held > 0 {
                bail!(
                    "a process works on this store ({} of {SHARDS} shards are held by a relay): stop every `xacminh run` \
                     first, give this, then start them again",
                    place.shards_held
                );
            }
            let core = Core::new(store, wiring::keys(settings)?, wiring::clock(settings)?, Metrics::new()?).await?;
            core.ensure_partitions().await?;
            let (renewed, offices) = restoring::begin_anew(&core).await?;
            show::line(format!("epoch {} from now on; {offices} offices are told", renewed.id));
            show::line(match renewed.lost_from {
                Some(at) => format!("lost: what came after {}", show::minute(at)),
                None => "nobody had worked on this store".to_owned(),
            });
            show::line(format!("{} requests leave again for their home offices", renewed.again));
        }
    }
    Ok(())
}
