//! Measuring: sets the gauges that no single event can, from the store and from RabbitMQ's queues.

use std::collections::HashMap;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, InboxProbe, InboxSight, WORK_QUEUES};
use xacminh_domain::Date;
use xacminh_domain::calendar::local_date;
use xacminh_domain::reconcile::DAYS;
use xacminh_store::view::{lag, readiness};
use xacminh_store::{reconcile, timer};

use crate::core::Core;
use crate::error::Error;
use crate::within::within;

/// Further than this nobody looks into the calendar or the partitions.
const MOST_DAYS: u16 = 800;
/// How long RabbitMQ may take to tell of its queues.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Sets the gauges every so often until told to stop.
pub async fn run(core: Core, bus: Bus, every: Duration, stop: CancellationToken) {
    let queues = bus.inbox_probe();
    while !stop.is_cancelled() {
        let (measured, ()) = tokio::join!(within(measure(&core)), look_at_queues(&core, &queues));
        match measured {
            Ok(()) => core.metrics.measurings.inc(),
            Err(error) => tracing::warn!(%error, "the gauges stand still; again later"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            // From the end of a look, so that the store rests however long looks take.
            () = tokio::time::sleep(every) => {}
        }
    }
}

async fn measure(core: &Core) -> Result<(), Error> {
    let now = core.clock.now();
    let mut conn = core.store.conn().await?;
    let open = lag::open(&mut conn, now).await?;
    let unheard = lag::unheard(&mut conn).await?;
    let (waiting, in_flight) = lag::deliveries(&mut conn).await?;
    let parked = lag::parked(&mut conn).await?;
    let today = local_date(now);
    let unhealed = reconcile::unhealed(&mut conn, today.saturating_sub(SignedDuration::from_hours(24 * DAYS))).await?;
    let next = timer::next(&mut conn).await?;
    let place = readiness::place(&mut conn).await?;
    drop(conn);
    let m = &core.metrics;
    // A province without open requests has no series, not an old one.
    for gauges in [&m.open, &m.overdue, &m.lookup_pending, &m.unheard] {
        gauges.reset();
    }
    let (mut overdue, mut pending, mut oldest) = (HashMap::new(), HashMap::new(), Vec::new());
    for row in open {
        m.open.with_label_values(&[&row.province, &row.state]).set(row.count);
        oldest.push((vec![row.province.clone(), row.state], Some(row.oldest)));
        *overdue.entry(row.province.clone()).or_insert(0) += row.overdue;
        *pending.entry(row.province).or_insert(0) += row.lookup_pending;
    }
    m.oldest.set(&core.clock, oldest);
    for (province, count) in overdue {
        m.overdue.with_label_values(&[&province]).set(count);
    }
    for (province, count) in pending {
        m.lookup_pending.with_label_values(&[&province]).set(count);
    }
    for row in unheard {
        m.unheard.with_label_values(&[&row.province, &row.cause]).set(row.offices);
    }
    m.waiting.set(waiting);
    m.in_flight.set(in_flight);
    m.parked_now.set(parked);
    m.unhealed.set(unhealed);
    m.outbox.set(place.letters);
    m.outbox_age.set(&core.clock, vec![(Vec::new(), place.oldest_letter)]);
    m.escalating_overdue.set(&core.clock, vec![(Vec::new(), next)]);
    m.shards_held.set(place.shards_held);
    m.calendar_days.set(core.reference().calendars.nation().days_ahead(today, MOST_DAYS).into());
    m.partition_days.set(place.partitions_until.map_or(0, |until| days(today, until)));
    Ok(())
}

/// The work queues, while RabbitMQ is there: nothing is known without it, so nothing is told.
async fn look_at_queues(core: &Core, probe: &InboxProbe) {
    let m = &core.metrics;
    let queues = WORK_QUEUES.map(ToOwned::to_owned);
    let sights = timeout(ANSWER_LIMIT, probe.look(&queues)).await;
    m.work_messages.reset();
    m.work_readers.reset();
    let Ok(Ok(sights)) = sights else { return };
    for (queue, sight) in WORK_QUEUES.iter().zip(sights) {
        if let InboxSight::There { consumers, waiting } = sight {
            m.work_messages.with_label_values(&[queue]).set(waiting.into());
            m.work_readers.with_label_values(&[queue]).set(consumers.into());
        }
    }
}

/// Whole days to a date; 0 for one that is over.
fn days(from: Date, to: Date) -> i64 {
    (from.duration_until(to).as_hours() / 24).max(0)
}
