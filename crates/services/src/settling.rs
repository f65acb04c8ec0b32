//! A queue's batches, each worked on until it is stored, and only then acknowledged.
//!
//! ```text
//! batch ─▶ taken ─▶ ack
//!            ├─ a passing trouble: the same batch again
//!            └─ one message at fault: each alone; that one is parked
//! ```

use tokio_util::sync::CancellationToken;
use xacminh_bus::{Batch, BatchConsumer, Delivery};
use xacminh_store::parked;

use crate::abort_point::AbortPoint;
use crate::core::Core;
use crate::disposition::{self, Disposition, PAUSE, Told};
use crate::error::Error;
use crate::taking;
use crate::within::within;

/// Takes batches of a queue until told to stop.
pub async fn run(core: Core, queue: &'static str, mut consumer: BatchConsumer, stop: CancellationToken) {
    while let Some(batch) = consumer.next_batch().await {
        settle(&core, queue, batch, &stop).await;
    }
}

/// Works on a batch until it is stored, and only then acknowledges it.
async fn settle(core: &Core, queue: &'static str, mut batch: Batch, stop: &CancellationToken) {
    let mut told = Told::default();
    loop {
        let error = match within(taking::take(core, queue, &batch.deliveries)).await {
            Ok(()) => {
                AbortPoint::BeforeAck.reach();
                let messages = batch.len();
                acknowledge(batch.ack_all().await);
                tracing::debug!(queue, messages, "a batch is stored and acknowledged");
                return;
            }
            Err(error) => error,
        };
        match disposition::of(&error, batch.len()) {
            Disposition::Retry => {
                if told.is_news(&error) {
                    tracing::warn!(%error, queue, messages = batch.len(), "not stored; the same batch again");
                }
                tokio::select! {
                    // Unsettled, the batch is delivered again to whoever takes the queue next.
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
            Disposition::OneByOne => {
                tracing::warn!(%error, queue, messages = batch.len(), "a message of a batch cannot be worked on; each alone");
                for index in 0..batch.len() {
                    if !settle_one(core, queue, &batch.deliveries[index], stop).await {
                        return;
                    }
                    acknowledge(batch.ack_one(index).await);
                }
                return;
            }
            Disposition::Park => {
                tracing::error!(%error, queue, "a message cannot be worked on");
                if settle_one(core, queue, &batch.deliveries[0], stop).await {
                    acknowledge(batch.ack_all().await);
                }
                return;
            }
        }
    }
}

/// One message alone: stored, or parked if it cannot be worked on. False when told to stop first.
async fn settle_one(core: &Core, queue: &'static str, delivery: &Delivery, stop: &CancellationToken) -> bool {
    let mut told = Told::default();
    loop {
        let result = match within(taking::take(core, queue, std::slice::from_ref(delivery))).await {
            Err(error) if disposition::of(&error, 1) == Disposition::Park => {
                tracing::error!(%error, queue, "parked a message that cannot be worked on");
                within(park(core, queue, delivery, "not_processed")).await
            }
            other => other,
        };
        match result {
            Ok(()) => return true,
            Err(error) if told.is_news(&error) => tracing::warn!(%error, queue, "not stored; the same message again"),
            Err(_) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

fn acknowledge(result: Result<(), xacminh_bus::Error>) {
    if let Err(error) = result {
        // Stored, so a repeat changes nothing.
        tracing::debug!(%error, "not acknowledged; the messages come again and are recognised");
    }
}

async fn park(core: &Core, queue: &'static str, delivery: &Delivery, reason: &'static str) -> Result<(), Error> {
    let mut tx = core.store.begin().await?;
    parked::park(&mut tx, &core.keys, core.clock.now(), &[taking::new_parked(queue, delivery, reason)]).await?;
    tx.commit().await.map_err(xacminh_store::Error::from)?;
    core.metrics.parked.with_label_values(&[reason]).inc();
    Ok(())
}
