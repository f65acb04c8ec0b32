//! What every role stands on: store, keys, clock, reference data, metrics.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use xacminh_clock::Clock;
use xacminh_domain::calendar::local_date;
use xacminh_domain::escalation::Climb;
use xacminh_domain::id::OfficeId;
use xacminh_domain::reconcile;
use xacminh_domain::request::{Counting, Opening};
use xacminh_domain::{Date, Timestamp};
use xacminh_store::at_hand::AtHand;
use xacminh_store::reference::{self, Reference};
use xacminh_store::request::Provinces;
use xacminh_store::{Store, outage::Outage};
use xacminh_trust::key::KeyRing;

use crate::bustle::Bustle;
use crate::confirmed::Confirmed;
use crate::error::Error;
use crate::handed::Handed;
use crate::metrics::Metrics;
use crate::repeats::Repeats;
use crate::within::within;

/// How often a process looks whether other reference data came into force.
pub(crate) const LOOK_FOR_REFERENCE: Duration = Duration::from_secs(10);

/// What every role stands on. A clone is another handle to the same things.
#[derive(Clone)]
pub struct Core {
    /// The truth.
    pub store: Store,
    /// Keys for sealing and digests.
    pub keys: Arc<KeyRing>,
    /// What time it is.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    reference: watch::Sender<Arc<Reference>>,
    /// What this process last had in its hands.
    pub(crate) at_hand: Arc<AtHand>,
    /// What RabbitMQ confirmed to this process and no row tells yet.
    pub(crate) confirmed: Arc<Confirmed>,
    /// What it has just committed for its own relay.
    pub(crate) handed: Arc<Handed>,
    /// Whether commands come twice these days.
    pub(crate) repeats: Arc<Repeats>,
    /// How busy this process is with commands.
    pub(crate) bustle: Arc<Bustle>,
}

impl Core {
    /// Loads what is in force.
    pub async fn new(
        store: Store,
        keys: impl Into<Arc<KeyRing>>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let loaded = reference::load(&mut *store.conn().await?).await?;
        Ok(Self {
            store,
            keys: keys.into(),
            clock,
            metrics,
            reference: watch::Sender::new(Arc::new(loaded)),
            at_hand: Arc::default(),
            confirmed: Arc::default(),
            handed: Arc::default(),
            repeats: Arc::default(),
            bustle: Arc::default(),
        })
    }

    /// The reference data in force.
    pub fn reference(&self) -> Arc<Reference> {
        self.reference.borrow().clone()
    }

    /// Follows imports until told to stop, keeps the partitions of the coming weeks ready, and notes in
    /// the store that it is in use.
    pub async fn keep_current(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK_FOR_REFERENCE);
        let mut dropped_on = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            if let Err(error) = within(self.look()).await {
                tracing::warn!(%error, "reference data and partitions were not looked at; again later");
            }
            let today = local_date(self.clock.now());
            if dropped_on != Some(today) {
                match within(self.drop_old_letters(today)).await {
                    Ok(()) => dropped_on = Some(today),
                    Err(error) => tracing::warn!(%error, "old letters were not dropped; again later"),
                }
            }
        }
    }

    async fn look(&self) -> Result<(), Error> {
        self.ensure_partitions().await?;
        xacminh_store::epoch::alive(&mut *self.store.conn().await?, self.clock.now()).await?;
        self.follow().await
    }

    /// Takes what is in force by now.
    pub(crate) async fn follow(&self) -> Result<(), Error> {
        let mut conn = self.store.conn().await?;
        if reference::imported_at(&mut conn).await? == self.reference.borrow().imported_at {
            return Ok(());
        }
        let loaded = reference::load(&mut conn).await?;
        tracing::info!(version = loaded.version, "other reference data are in force");
        self.reference.send_replace(Arc::new(loaded));
        Ok(())
    }

    /// Sent letters whose day can no longer be reported, once a day and some at a time.
    async fn drop_old_letters(&self, today: Date) -> Result<(), Error> {
        let before = today.saturating_sub(SignedDuration::from_hours(24 * (reconcile::DAYS + 1)));
        let mut conn = self.store.conn().await?;
        while xacminh_store::reconcile::prune(&mut conn, before).await? > 0 {}
        Ok(())
    }

    /// Partitions from as far back as an id may be (90 days) to two months ahead.
    pub async fn ensure_partitions(&self) -> Result<(), Error> {
        let today = local_date(self.clock.now());
        let days = |n: i64| jiff::SignedDuration::from_hours(24 * n);
        self.store.ensure_partitions(today.saturating_sub(days(100)), today.saturating_add(days(60))).await?;
        Ok(())
    }
}

/// What counting for H needs, from reference data.
pub(crate) fn counting(reference: &Reference, responder: OfficeId) -> Counting<'_> {
    Counting { calendar: reference.calendar_of(responder), rules: &reference.rules }
}

/// What deciding about the rungs of a request needs, from reference data.
pub(crate) fn climb<'a>(reference: &'a Reference, opening: &Opening, outages: &'a [Outage]) -> Climb<'a> {
    climb_between(reference, opening.requester, opening.responder, outages)
}

/// The same by W and H.
pub(crate) fn climb_between<'a>(
    reference: &'a Reference,
    requester: OfficeId,
    responder: OfficeId,
    outages: &'a [Outage],
) -> Climb<'a> {
    Climb {
        ladder: &reference.ladder,
        counting: counting(reference, responder),
        ward_calendar: reference.calendar_of(requester),
        directory: &reference.directory,
        outages,
    }
}

/// Where the two offices of a request lie.
pub(crate) fn provinces(reference: &Reference, opening: &Opening) -> Provinces {
    Provinces {
        requester: province_of(reference, opening.requester),
        responder: province_of(reference, opening.responder),
    }
}

/// The province of an office; `VN` for the ministry's.
pub(crate) fn province_of(reference: &Reference, office: OfficeId) -> String {
    reference.directory.province_of(&office).map_or_else(|| "VN".to_owned(), |code| code.to_string())
}

/// A new id for a message of the broker's, with the time of the clock in it.
pub(crate) fn new_id(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
}
