//! Intake: what wards ask and take back. The bulk lane has a consumer of its own, so that it can
//! never stand in the way of single files.

use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, ConsumerSettings};
use xacminh_contract::names::{QUEUE_BULK, QUEUE_INTAKE, QUEUE_REJECTED, QUEUE_UNROUTED};

use crate::core::Core;
use crate::settling;

/// How many commands share a transaction.
const BATCH: u16 = 500;

/// Takes submits and withdrawals, and what came with a routing key nobody knows, until told to
/// stop.
pub async fn run(core: Core, bus: Bus, stop: CancellationToken) {
    let take = |queue: &'static str| {
        let consumer = bus.consumer(ConsumerSettings::new(queue, BATCH), stop.clone());
        settling::run(core.clone(), queue, consumer, stop.clone())
    };
    tokio::join!(take(QUEUE_INTAKE), take(QUEUE_BULK), take(QUEUE_UNROUTED), take(QUEUE_REJECTED));
}
