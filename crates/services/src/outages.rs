//! Times without RabbitMQ or PostgreSQL, as this process sees them, by the clock that all deadlines
//! go by.
//!
//! ```text
//! the bus's state ─▶ watch ─┬─▶ record: the row in `outages`, once it is over and PostgreSQL is there
//!                           └─▶ escalating: counts at once, also what is not on record yet
//! a ping a second ─▶ watch_store ─▶ record: a row in `noted_outages`, which changes no blame
//! ```
//!
//! A home office must not be charged for time in which nothing could reach it, and the row may come
//! late: PostgreSQL may be away at the same time, and the relay may be another process.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, BusState, LineState};
use xacminh_clock::Clock;
use xacminh_domain::Timestamp;
use xacminh_store::Store;
use xacminh_store::outage::{self, Outage, Server};

use crate::core::Core;
use crate::disposition::PAUSE;
use crate::within::within;

/// How often PostgreSQL is asked whether it is there.
const ASK_STORE: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const STORE_LIMIT: Duration = Duration::from_secs(2);
/// How many are kept; on record are all.
const KEPT: usize = 1_000;

/// Tells what this process saw, oldest first, until told to stop. The last one may still last.
pub(crate) async fn watch(clock: Clock, bus: Bus, told: watch::Sender<Vec<Outage>>, stop: CancellationToken) {
    let mut state = bus.state();
    loop {
        let stands = stands(&state.borrow_and_update());
        told.send_if_modified(|seen| note(seen, stands, clock.now()));
        tokio::select! {
            () = stop.cancelled() => return,
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}

/// The same of PostgreSQL, asked once a second.
pub(crate) async fn watch_store(clock: Clock, store: Store, told: watch::Sender<Vec<Outage>>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(ASK_STORE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        // A question that nobody answers was asked when the answer was already missing.
        let asked = clock.now();
        // Of a pool that is all in use a try of its own says whether the server is there.
        let stands = matches!(timeout(STORE_LIMIT, store.ping()).await, Ok(Ok(())))
            || matches!(timeout(STORE_LIMIT, store.reach()).await, Ok(Ok(())));
        told.send_if_modified(|seen| note(seen, stands, if stands { clock.now() } else { asked }));
    }
}

/// Whether messages come and go. The moment before the first connection of a process is no outage
/// unless that connection fails.
fn stands(state: &BusState) -> bool {
    let away = |line: &LineState| !line.connected && (line.losses > 0 || line.trouble.is_some());
    !away(&state.publishing) && !away(&state.consuming) && state.publishing.blocked.is_none()
}

fn note(seen: &mut Vec<Outage>, stands: bool, now: Timestamp) -> bool {
    match (stands, seen.last_mut()) {
        (false, Some((_, None))) | (true, None | Some((_, Some(_)))) => return false,
        (true, Some((_, end))) => *end = Some(now),
        (false, _) => seen.push((now, None)),
    }
    if seen.len() > KEPT {
        seen.remove(0);
    }
    true
}

/// Writes down each outage once it is over, from its beginning to its end, however long PostgreSQL
/// keeps that waiting.
pub(crate) async fn record(core: Core, of: Server, mut seen: watch::Receiver<Vec<Outage>>, stop: CancellationToken) {
    // When the last one on record began.
    let mut written: Option<Timestamp> = None;
    loop {
        let new: Vec<(Timestamp, Timestamp)> = seen
            .borrow_and_update()
            .iter()
            .filter(|(from, _)| written.is_none_or(|last| *from > last))
            .filter_map(|(from, to)| Some((*from, (*to)?)))
            .collect();
        let mut again_later = false;
        for (from, to) in new {
            let recording = async { Ok(outage::record(&mut *core.store.conn().await?, of, from, to).await?) };
            match within(recording).await {
                Ok(()) => written = Some(from),
                Err(error) => {
                    tracing::warn!(%error, "an outage could not be written down; again later");
                    again_later = true;
                    break;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = seen.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(PAUSE), if again_later => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn each_outage_is_seen_once_from_its_beginning_to_its_end() {
        let mut seen = Vec::new();
        for (stands, second) in [(true, 1), (false, 2), (false, 3), (true, 4), (true, 5), (false, 6)] {
            note(&mut seen, stands, at(second));
        }
        assert_eq!(seen, [(at(2), Some(at(4))), (at(6), None)]);
    }
}
