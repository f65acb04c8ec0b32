//! From settings to running roles, and an orderly end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, BusSettings, Delays};
use xacminh_clock::{Clock, SteppedClock};
use xacminh_console::health::{self, CheckState, Health};
use xacminh_registry::Registry;
use xacminh_services::recounting::{self, Pace};
use xacminh_services::{Core, FRESH_FOR, Metrics, OfficePage, answering, escalating, intake, measuring, relay};
use xacminh_store::Store;
use xacminh_trust::key::{KeyRing, MasterKey};

use crate::readiness::{self, Parts};
use crate::settings::Settings;
use crate::systemd::{Systemd, Watched};

/// How long a stop may take before what is left is given up (it is stored, or comes again).
const DRAIN: Duration = Duration::from_secs(20);
/// How long pages of the admin port may then still take.
const LAST_PAGES: Duration = Duration::from_secs(5);

/// What a process may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Takes what wards ask.
    Intake,
    /// Takes everything about requests that exist.
    Answering,
    /// Sends what has to leave.
    Relay,
    /// Fires rungs, sends digests, counts due dates anew when the calendar changed.
    Escalating,
    /// Sets the gauges.
    Measuring,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Answering => "answering",
            Self::Relay => "relay",
            Self::Escalating => "escalating",
            Self::Measuring => "measuring",
        }
    }
}

/// The store that the settings name.
pub(crate) fn store(settings: &Settings) -> Result<Store> {
    Ok(Store::connect(&settings.postgresql.url()?, settings.postgresql.connections()?)?)
}

/// The reference data that the settings name.
pub(crate) fn registry(settings: &Settings) -> Result<Registry> {
    Registry::load(&settings.data_dir)
        .with_context(|| format!("reference data in {} (data_dir, or XACMINH_DATA_DIR)", settings.data_dir.display()))
}

/// The clock that the settings name.
pub(crate) fn clock(settings: &Settings) -> Result<Clock> {
    Ok(match &settings.clock.file {
        Some(file) => Clock::Stepped(SteppedClock::open(file)?),
        None => Clock::System,
    })
}

/// The keys that the settings name.
pub(crate) fn keys(settings: &Settings) -> Result<KeyRing> {
    let file = settings.keys.master_file.as_deref().context(
        "keys.master_file is not set; `xacminh keys new FILE` makes a key, XACMINH_KEYS__MASTER_FILE names it",
    )?;
    let mut ring = KeyRing::new(key(file)?);
    for older in &settings.keys.older_files {
        ring = ring.with_older(key(older)?)?;
    }
    Ok(ring)
}

/// A key from its file, or from what systemd handed over.
fn key(file: &Path) -> Result<MasterKey> {
    let handed_over = std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|dir| file.starts_with(dir));
    Ok(if handed_over { MasterKey::from_credential(file)? } else { MasterKey::from_file(file)? })
}

/// Runs roles until a signal, then drains. Waits for PostgreSQL and RabbitMQ as long as it takes;
/// meanwhile the admin port says for what.
pub(crate) async fn run(settings: &Settings, roles: &[Role]) -> Result<()> {
    let (store, keys, clock, metrics) = (store(settings)?, keys(settings)?, clock(settings)?, Metrics::new()?);
    let rabbitmq_url = settings.rabbitmq.url()?;
    let (host, port) = crate::play::host_and_port(&rabbitmq_url)?;
    let rabbitmq_at = format!("{host}:{port}");
    let stop = CancellationToken::new();
    let bus_stop = CancellationToken::new();
    let listener = TcpListener::bind(settings.admin.listen)
        .await
        .with_context(|| format!("admin.listen {}", settings.admin.listen))?;
    tracing::info!(listen = %listener.local_addr()?, "admin port");
    let bus = Bus::connect(&BusSettings::new(rabbitmq_url, "xacminh"), &bus_stop)?;

    let store_state = readiness::watch_store(store.clone(), stop.clone());
    readiness::count(&metrics, store_state.clone(), bus.state());
    let told = metrics.clone();
    for role in roles {
        told.role(role.as_str(), false);
    }
    let (began, core_began) = watch::channel(None::<Core>);
    let (started, roles_started) = watch::channel(CheckState::Starting);
    let names = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",");
    let watched = Watched {
        store: store_state.clone(),
        store_at: store.address().to_owned(),
        bus: bus.state(),
        bus_at: rabbitmq_at.clone(),
        roles: roles_started.clone(),
        names: names.clone(),
    };
    let systemd = Systemd::tell(watched, stop.clone());
    let parts = Parts {
        store: store.clone(),
        store_state: store_state.clone(),
        bus: bus.clone(),
        rabbitmq_at: rabbitmq_at.clone(),
        core: core_began,
    };
    let offices = Arc::new(OfficePage::new(store.clone(), clock.clone(), FRESH_FOR));
    let health = Health::new(metrics.registry().clone())
        .with_check_at("postgresql", store.address().to_owned(), readiness::check(store_state, |seen| seen.state))
        .with_check_at("rabbitmq", rabbitmq_at, readiness::check(bus.state(), readiness::of_bus))
        .with_check("roles", roles_started)
        .with_parts(Arc::new(move || Box::pin(parts.clone().look())))
        .with_offices(Arc::new({
            let offices = offices.clone();
            move || {
                let offices = offices.clone();
                Box::pin(async move { offices.text().await })
            }
        }));
    let admin = tokio::spawn(health::serve(listener, health, stop.clone().cancelled_owned()));

    let core = tokio::select! {
        core = begin(&store, keys, clock, metrics) => core?,
        signal = signal() => {
            signal?;
            tracing::info!("told to stop before PostgreSQL answered");
            systemd.stopping();
            stop.cancel();
            bus_stop.cancel();
            return end_admin(admin).await;
        }
    };
    began.send_replace(Some(core.clone()));

    let mut tasks = JoinSet::new();
    tasks.spawn(core.clone().keep_current(stop.clone()));
    for role in roles {
        let (core, bus, stop) = (core.clone(), bus.clone(), stop.clone());
        match role {
            Role::Intake => tasks.spawn(intake::run(core, bus, stop)),
            Role::Answering => tasks.spawn(answering::run(core, bus, stop)),
            Role::Relay => tasks.spawn(relay::run(core, bus, settings.sending_again.duration(), stop)),
            Role::Escalating => {
                let every = settings.escalating.duration();
                tasks.spawn(recounting::run(core.clone(), Pace::every(every), stop.clone()));
                tasks.spawn(escalating::run(core, bus, every, stop))
            }
            Role::Measuring => {
                tasks.spawn(measuring::run(core, bus, offices.clone(), settings.measuring.duration(), stop))
            }
        };
    }
    for role in roles {
        told.role(role.as_str(), true);
    }
    started.send_replace(CheckState::Ready);
    tracing::info!(roles = names, version = core.reference().version, "running");

    let ended_early = tokio::select! {
        signal = signal() => { signal?; None }
        Some(ended) = tasks.join_next() => Some(ended),
    };
    tracing::info!("stopping: no more is taken, what was taken is finished");
    systemd.stopping();
    stop.cancel();
    let drained = tokio::time::timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(seconds = DRAIN.as_secs(), "not finished in time; what is left comes again");
    }
    bus_stop.cancel();
    end_admin(admin).await?;
    store.close().await;
    match ended_early {
        None => Ok(()),
        Some(Ok(())) => anyhow::bail!("a role ended without being told to"),
        Some(Err(error)) => Err(error).context("a role failed"),
    }
}

/// Waits until the pages that somebody is reading are out, but not for one that waits itself for a
/// server that keeps silent.
async fn end_admin(admin: JoinHandle<std::result::Result<(), xacminh_console::Error>>) -> Result<()> {
    match tokio::time::timeout(LAST_PAGES, admin).await {
        Ok(ended) => Ok(ended??),
        Err(_) => Ok(()),
    }
}

async fn signal() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// What all roles stand on, as soon as PostgreSQL answers. An error is one that waiting will not
/// mend: a refused login, a missing schema.
async fn begin(store: &Store, keys: KeyRing, clock: Clock, metrics: Metrics) -> Result<Core> {
    let keys = Arc::new(keys);
    let mut delays = Delays::between(Duration::from_millis(200), Duration::from_secs(10));
    let mut told = String::new();
    loop {
        let attempt = async {
            let core = Core::new(store.clone(), keys.clone(), clock.clone(), metrics.clone()).await?;
            core.ensure_partitions().await?;
            Ok::<_, xacminh_services::Error>(core)
        };
        match attempt.await {
            Ok(core) => return Ok(core),
            Err(error) if !error.is_transient() => return Err(error.into()),
            Err(error) => {
                let reason = error.to_string();
                // Once a reason, not once a try.
                if reason != told {
                    tracing::warn!(reason, "waiting for PostgreSQL");
                    told = reason;
                }
            }
        }
        tokio::time::sleep(delays.next_delay()).await;
    }
}
