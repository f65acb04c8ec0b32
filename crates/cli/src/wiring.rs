//! From settings to running roles, and an orderly end.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, BusSettings};
use xacminh_clock::{Clock, SteppedClock};
use xacminh_console::health::{self, CheckState, Health};
use xacminh_services::{Core, Metrics, answering, escalating, intake, measuring, relay};
use xacminh_store::Store;
use xacminh_trust::key::{KeyRing, MasterKey};

use crate::settings::Settings;

/// How long a stop may take before what is left is given up (it is stored, or comes again).
const DRAIN: Duration = Duration::from_secs(20);

/// What a process may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Takes what wards ask.
    Intake,
    /// Takes everything about requests that exist.
    Answering,
    /// Sends what has to leave.
    Relay,
    /// Fires rungs and sends digests.
    Escalating,
    /// Sets the gauges.
    Measuring,
}

/// The store that the settings name.
pub(crate) fn store(settings: &Settings) -> Result<Store> {
    Ok(Store::connect(&settings.postgresql.url()?, settings.postgresql.connections)?)
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
    let mut ring = KeyRing::new(MasterKey::from_file(file)?);
    for older in &settings.keys.older_files {
        ring = ring.with_older(MasterKey::from_file(older)?)?;
    }
    Ok(ring)
}

/// Runs roles until a signal, then drains.
pub(crate) async fn run(settings: &Settings, roles: &[Role]) -> Result<()> {
    let store = store(settings)?;
    let core = Core::new(store.clone(), keys(settings)?, clock(settings)?, Metrics::new()?).await?;
    core.ensure_partitions().await?;
    let stop = CancellationToken::new();
    let bus_stop = CancellationToken::new();
    let bus = Bus::connect(&BusSettings::new(settings.rabbitmq.url()?, "xacminh"), &bus_stop)?;

    let listener = TcpListener::bind(settings.admin.listen)
        .await
        .with_context(|| format!("admin.listen {}", settings.admin.listen))?;
    tracing::info!(listen = %listener.local_addr()?, "admin port");
    let health = Health::new(core.metrics.registry().clone())
        .with_check("postgresql", watch_store(store.clone(), stop.clone()))
        .with_check("rabbitmq", watch_bus(&bus, stop.clone()));
    let admin = tokio::spawn(health::serve(listener, health, stop.clone().cancelled_owned()));

    let mut tasks = JoinSet::new();
    tasks.spawn(core.clone().keep_current(stop.clone()));
    for role in roles {
        let (core, bus, stop) = (core.clone(), bus.clone(), stop.clone());
        match role {
            Role::Intake => tasks.spawn(intake::run(core, bus, stop)),
            Role::Answering => tasks.spawn(answering::run(core, bus, stop)),
            Role::Relay => tasks.spawn(relay::run(core, bus, settings.sending_again.duration(), stop)),
            Role::Escalating => tasks.spawn(escalating::run(core, bus, settings.escalating.duration(), stop)),
            Role::Measuring => tasks.spawn(measuring::run(core, settings.measuring.duration(), stop)),
        };
    }
    let names: Vec<String> = roles.iter().map(|r| format!("{r:?}").to_lowercase()).collect();
    tracing::info!(roles = names.join(","), version = core.reference().version, "running");

    let ended_early = tokio::select! {
        signal = signal() => { signal?; None }
        Some(ended) = tasks.join_next() => Some(ended),
    };
    tracing::info!("stopping: no more is taken, what was taken is finished");
    stop.cancel();
    let drained = tokio::time::timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(seconds = DRAIN.as_secs(), "not finished in time; what is left comes again");
    }
    bus_stop.cancel();
    admin.await??;
    store.close().await;
    match ended_early {
        None => Ok(()),
        Some(Ok(())) => anyhow::bail!("a role ended without being told to"),
        Some(Err(error)) => Err(error).context("a role failed"),
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

fn watch_store(store: Store, stop: CancellationToken) -> watch::Receiver<CheckState> {
    let (state, receiver) = watch::channel(CheckState::Starting);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        while !stop.is_cancelled() {
            tick.tick().await;
            let answered = tokio::time::timeout(Duration::from_secs(2), store.ping()).await;
            let ready = matches!(answered, Ok(Ok(())));
            state.send_if_modified(|s| {
                let next = if ready { CheckState::Ready } else { CheckState::Failing };
                std::mem::replace(s, next) != next
            });
        }
    });
    receiver
}

fn watch_bus(bus: &Bus, stop: CancellationToken) -> watch::Receiver<CheckState> {
    let (state, receiver) = watch::channel(CheckState::Starting);
    let mut line = bus.state();
    tokio::spawn(async move {
        loop {
            let (connected, trouble) = {
                let now = line.borrow_and_update();
                (now.is_connected(), now.lasting_trouble().map(ToString::to_string))
            };
            if let Some(trouble) = trouble {
                tracing::error!(trouble, "RabbitMQ cannot be used until somebody changes something");
            }
            state.send_replace(if connected { CheckState::Ready } else { CheckState::Failing });
            tokio::select! {
                () = stop.cancelled() => return,
                changed = line.changed() => if changed.is_err() { return },
            }
        }
    });
    receiver
}
