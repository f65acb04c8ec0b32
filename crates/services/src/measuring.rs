//! Measuring: sets the gauges that no single event can, from the store and from RabbitMQ's queues.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, InboxProbe, InboxSight, WORK_QUEUES};
use xacminh_domain::Date;
use xacminh_domain::calendar::local_date;
use xacminh_domain::reconcile::DAYS;
use xacminh_store::view::{lag, office, readiness};
use xacminh_store::{reconcile, timer};

use crate::core::Core;
use crate::error::Error;
use crate::offices::OfficePage;
use crate::within::within;

/// Further than this nobody looks into the calendar or the partitions.
const MOST_DAYS: u16 = 800;
/// So many times as long as a look took nothing is looked at, though never longer than twice what is set: a million in
/// life take half a second to count, and meanwhile no page is tidied up.
const RESTS: u32 = 20;
/// How long RabbitMQ may take to tell of its queues.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Sets the gauges every so often until told to stop, and tells `offices` what it counted.
pub async fn run(core: Core, bus: Bus, offices: Arc<OfficePage>, every: Duration, stop: CancellationToken) {
    let queues = bus.inbox_probe();
    while !stop.is_cancelled() {
        let began = Instant::now();
        let (measured, ()) = tokio::join!(within(measure(&core, &offices)), look_at_queues(&core, &queues));
        let rest = match measured {
            Ok(()) => {
                core.metrics.measurings.inc();
                (RESTS * began.elapsed()).clamp(every, 2 * every)
            }
            Err(error) => {
                offices.untell();
                tracing::warn!(%error, "the gauges stand still; again later");
                every
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            // From the end of a look, so that the store rests however long looks take.
            () = tokio::time::sleep(rest) => {}
        }
    }
}

async fn measure(core: &Core, offices: &OfficePage) -> Result<(), Error> {
    let now = core.clock.now();
    let mut conn = core.store.conn().await?;
    let in_life = lag::in_life(&mut conn, now).await?;
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
    let mut oldest = Vec::new();
    for ((province, state), open) in lag::open(&in_life) {
        m.open.with_label_values(&[province, state]).set(open.count);
        oldest.push((vec![province.to_owned(), state.to_owned()], Some(open.oldest)));
        m.overdue.with_label_values(&[province]).add(open.overdue);
        m.lookup_pending.with_label_values(&[province]).add(open.lookup_pending);
    }
    m.oldest.set(&core.clock, oldest);
    for ((province, cause), offices) in lag::unheard(&in_life) {
        m.unheard.with_label_values(&[province, cause]).set(i64::try_from(offices).unwrap_or(i64::MAX));
    }
    offices.tell(office::in_hand(&in_life));
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
