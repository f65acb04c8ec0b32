//! Measuring: sets the gauges that no single event can, from the store.

use std::collections::HashMap;
use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use xacminh_domain::Timestamp;
use xacminh_domain::calendar::local_date;
use xacminh_domain::reconcile::DAYS;
use xacminh_store::reconcile;
use xacminh_store::view::lag;

use crate::core::Core;
use crate::error::Error;
use crate::within::within;

/// Sets the gauges every so often until told to stop.
pub async fn run(core: Core, every: Duration, stop: CancellationToken) {
    let mut tick = tokio::time::interval(every);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = within(measure(&core)).await {
            tracing::warn!(%error, "the gauges stand still; again later");
        }
    }
}

async fn measure(core: &Core) -> Result<(), Error> {
    let now = core.clock.now();
    let mut conn = core.store.conn().await?;
    let open = lag::open(&mut conn, now).await?;
    let (letters, oldest) = lag::outbox(&mut conn).await?;
    let (waiting, in_flight) = lag::deliveries(&mut conn).await?;
    let parked = lag::parked(&mut conn).await?;
    let today = local_date(now);
    let unhealed = reconcile::unhealed(&mut conn, today.saturating_sub(SignedDuration::from_hours(24 * DAYS))).await?;
    drop(conn);
    let m = &core.metrics;
    // A province without open requests has no series, not an old one.
    for gauges in [&m.open, &m.overdue, &m.oldest, &m.lookup_pending] {
        gauges.reset();
    }
    let (mut overdue, mut pending) = (HashMap::new(), HashMap::new());
    for row in open {
        m.open.with_label_values(&[&row.province, &row.state]).set(row.count);
        m.oldest.with_label_values(&[&row.province, &row.state]).set(age(now, Some(row.oldest)));
        *overdue.entry(row.province.clone()).or_insert(0) += row.overdue;
        *pending.entry(row.province).or_insert(0) += row.lookup_pending;
    }
    for (province, count) in overdue {
        m.overdue.with_label_values(&[&province]).set(count);
    }
    for (province, count) in pending {
        m.lookup_pending.with_label_values(&[&province]).set(count);
    }
    m.outbox.set(letters);
    m.waiting.set(waiting);
    m.in_flight.set(in_flight);
    m.outbox_age.set(age(now, oldest));
    m.parked_now.set(parked);
    m.unhealed.set(unhealed);
    Ok(())
}

/// Whole seconds since an instant; 0 for none and for one ahead.
fn age(now: Timestamp, since: Option<Timestamp>) -> i64 {
    since.map_or(0, |since| now.duration_since(since).as_secs().max(0))
}
