//! `config`: are the settings right, and which are in effect.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, BusSettings, Management};
use xacminh_registry::Registry;

use crate::settings::Settings;
use crate::{show, wiring};

/// How long a server may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Settings.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Reads the settings as `run` does: every file they name, the keys, the reference data. Says
    /// each fault; needs no server.
    Check {
        /// Asks the servers too, with the logins of the settings.
        #[arg(long)]
        connect: bool,
    },
    /// The settings in effect, as TOML. Logins, passwords and keys are never shown.
    Show {
        /// Says what is always done, for scripts that want to be read.
        #[arg(long)]
        redacted: bool,
    },
}

/// `xacminh config`.
pub(crate) async fn config(settings: &Settings, command: &Config) -> Result<()> {
    match command {
        Config::Show { redacted: _ } => {
            show::line(toml::to_string(&settings.clone().redacted())?.trim_end());
            Ok(())
        }
        Config::Check { connect } => {
            let (mut found, _) = at_rest(settings);
            if *connect {
                found.extend(over_the_line(settings).await);
            }
            let faults = found.iter().filter(|(_, found)| found.is_err()).count();
            for (what, found) in found {
                match found {
                    Ok(said) => show::line(format!("ok     {what}: {said}")),
                    Err(error) => show::line(format!("FAULT  {what}: {}", crate::said_once(&error))),
                }
            }
            if faults > 0 {
                bail!("the settings are not right yet; faults: {faults}");
            }
            Ok(())
        }
    }
}

pub(crate) type Found = Vec<(&'static str, Result<String>)>;

/// All that can be seen without a server; and the reference data, if they are right.
pub(crate) fn at_rest(settings: &Settings) -> (Found, Option<Registry>) {
    let formed = |()| "well formed".to_owned();
    let store = || wiring::store(settings).map(drop);
    let rabbitmq = || Ok(BusSettings::new(settings.rabbitmq.url()?, "xacminh").check()?);
    let management = || {
        if !settings.rabbitmq.has_management() {
            return Ok("not set; only `office grant`, `revoke`, `rotate` and `doctor` need it".to_owned());
        }
        Management::new(&settings.rabbitmq.management_url()?, "/")?;
        Ok("well formed".to_owned())
    };
    let keys = || {
        wiring::keys(settings)?;
        Ok(format!("opens, with {} older ones", settings.keys.older_files.len()))
    };
    let (data, registry) = match wiring::registry(settings) {
        Ok(registry) => (Ok(format!("version {}", registry.version)), Some(registry)),
        Err(error) => (Err(error), None),
    };
    let clock = || {
        wiring::clock(settings)?;
        Ok(settings.clock.file.as_ref().map_or_else(|| "the machine's".to_owned(), |f| f.display().to_string()))
    };
    let found = vec![
        ("postgresql.url", store().map(formed)),
        ("rabbitmq.url", rabbitmq().map(formed)),
        ("rabbitmq.management_url", management()),
        ("keys", keys()),
        ("data_dir", data),
        ("clock", clock()),
    ];
    (found, registry)
}

/// What the servers say.
async fn over_the_line(settings: &Settings) -> Found {
    let postgresql = async {
        let store = wiring::store(settings)?;
        timeout(ANSWER, store.ping()).await.context("PostgreSQL does not answer")??;
        Ok("PostgreSQL answers".to_owned())
    };
    let rabbitmq = async {
        let stop = CancellationToken::new();
        let _stopped = stop.clone().drop_guard();
        // Looks only: what is missing is declared by `run`.
        let only_looking =
            BusSettings { declare: false, ..BusSettings::new(settings.rabbitmq.url()?, "xacminh check") };
        timeout(ANSWER, Bus::connect(&only_looking, &stop)?.ready()).await.context("RabbitMQ does not answer")??;
        Ok("RabbitMQ answers".to_owned())
    };
    let (postgresql, rabbitmq) = tokio::join!(postgresql, rabbitmq);
    let mut found = vec![("postgresql", postgresql), ("rabbitmq", rabbitmq)];
    if settings.rabbitmq.has_management() {
        let management = async {
            let management = Management::new(&settings.rabbitmq.management_url()?, &settings.rabbitmq.vhost()?)?;
            let queues = tokio::task::spawn_blocking(move || management.queue_totals()).await??;
            Ok(format!("the management API answers: {} queues", queues.len()))
        };
        found.push(("rabbitmq management", management.await));
    }
    found
}
