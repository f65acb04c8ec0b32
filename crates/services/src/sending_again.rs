//! Sending again what a home office's system took and never confirmed.
//!
//! A message that still lies in the inbox is not lost, so nothing is sent again before the inbox is
//! empty; an office that was away for days finds each request once. Out of an empty inbox:
//!
//! * with nobody reading it, whoever took the messages is gone: they lie there again at once, for
//!   when the office reconnects;
//! * with a reader, what was not confirmed within the time of the rule `delivery.send_again`.
//!
//! What was taken a moment ago may be confirmed by a message that waits to be taken itself: so all of that goes for
//! what was sent before the inbox was seen empty, and is still not confirmed some seconds later.
//!
//! The same look notes since when an inbox with something on its way has had no reader.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, InboxProbe, InboxSight};
use xacminh_contract::names::inbox;
use xacminh_domain::Timestamp;
use xacminh_domain::id::OfficeId;
use xacminh_store::outage;
use xacminh_store::unheard::{self, Again, Unheard};

use crate::core::Core;
use crate::error::Error;
use crate::within::within;

/// For how long a request must have been in flight before the absence of a reader says anything:
/// some systems fetch, disconnect, and confirm with their next connection.
const GONE: SignedDuration = SignedDuration::from_mins(1);
/// How long after an inbox was seen empty the confirming of what was taken from it may take: through the work
/// queue and its batch.
const ON_THE_WAY: Duration = Duration::from_secs(3);
/// How many offices are looked at in one go.
const OFFICES: usize = 500;

/// An inbox that was seen empty: whatever had been sent by then was taken.
struct Emptied {
    /// By the clock of the services.
    at: Timestamp,
    seen: Instant,
    what: Again,
}

/// Looks every so often until told to stop.
pub(crate) async fn run(core: Core, bus: Bus, every: Duration, stop: CancellationToken) {
    let probe = bus.inbox_probe();
    // Where the last look ended, so that each office has its turn.
    let mut turn = 0;
    let mut emptied = HashMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        if let Err(error) = within(look(&core, &probe, &mut turn, &mut emptied)).await {
            tracing::warn!(%error, "what was not confirmed is not sent again; later");
        }
    }
}

async fn look(
    core: &Core,
    probe: &InboxProbe,
    turn: &mut usize,
    emptied: &mut HashMap<OfficeId, Emptied>,
) -> Result<(), Error> {
    let now = core.clock.now();
    let mut conn = core.store.conn().await?;
    let mut unheard = unheard::offices(&mut conn, now, now - GONE).await?;
    drop(conn);
    let still: HashSet<OfficeId> = unheard.iter().map(|u| u.office).collect();
    emptied.retain(|office, _| still.contains(office));
    if unheard.is_empty() {
        outage::inbox_read(&mut *core.store.conn().await?, &[], now).await?;
        return Ok(());
    }
    unheard.sort_unstable_by_key(|u| u.office);
    let start = *turn % unheard.len();
    unheard.rotate_left(start);
    unheard.truncate(OFFICES);
    *turn = start + unheard.len();

    let inboxes: Vec<String> = unheard.iter().map(|u| inbox(u.office)).collect();
    let sights = probe.look(&inboxes).await?;
    note(core, now, &unheard, &sights).await?;
    let (mut messages, mut offices) = (0, 0);
    for (Unheard { office, again_is_due }, sight) in unheard.into_iter().zip(sights) {
        let (at, what) = match emptied.get(&office) {
            Some(Emptied { seen, .. }) if seen.elapsed() < ON_THE_WAY => continue,
            Some(Emptied { at, what, .. }) => (*at, *what),
            None => {
                let what = match sight {
                    InboxSight::There { consumers: 0, waiting: 0 } => Again::All,
                    InboxSight::There { waiting: 0, .. } if again_is_due => Again::Due,
                    InboxSight::There { .. } | InboxSight::Missing => continue,
                };
                emptied.insert(office, Emptied { at: now, seen: Instant::now(), what });
                continue;
            }
        };
        emptied.remove(&office);
        let again = unheard::send_again(&mut *core.store.conn().await?, office, now, at - GONE, what).await?;
        messages += again;
        offices += u64::from(again > 0);
    }
    if messages > 0 {
        tracing::warn!(messages, offices, "taken from inboxes and never confirmed; sent again under the same ids");
        core.metrics.sent_again.inc_by(messages);
    }
    Ok(())
}

/// Writes down which of these inboxes, which all have something on its way, have nobody to read it,
/// and which have somebody again. It changes no clock and no blame.
async fn note(core: &Core, now: Timestamp, looked: &[Unheard], sights: &[InboxSight]) -> Result<(), Error> {
    let (read, left): (Vec<_>, Vec<_>) = looked.iter().zip(sights).partition(|(_, sight)| sight.has_reader());
    let offices = |of: Vec<(&Unheard, &InboxSight)>| of.into_iter().map(|(u, _)| u.office).collect::<Vec<_>>();
    let mut conn = core.store.conn().await?;
    outage::inbox_left(&mut conn, &offices(left), now).await?;
    outage::inbox_read(&mut conn, &offices(read), now).await?;
    Ok(())
}
