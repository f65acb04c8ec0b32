//! Answering: everything about a request that exists, from `received` to `read`.

use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, ConsumerSettings};
use xacminh_contract::names::QUEUE_ANSWERING;

use crate::core::Core;
use crate::settling;

/// How many commands share a transaction.
const BATCH: u16 = 500;

/// Takes commands about requests until told to stop.
pub async fn run(core: Core, bus: Bus, stop: CancellationToken) {
    let consumer = bus.consumer(ConsumerSettings::new(QUEUE_ANSWERING, BATCH), stop.clone());
    settling::run(core, QUEUE_ANSWERING, consumer, stop).await;
}
