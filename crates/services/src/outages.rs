//! Times without RabbitMQ, as this process sees them, by the clock that all deadlines go by.
//!
//! ```text
//! the bus's state ─▶ watch ─┬─▶ record: the row in `outages`, once it is over and PostgreSQL is there
//!                           └─▶ escalating: counts at once, also what is not on record yet
//! ```
//!
//! A home office must not be charged for time in which nothing could reach it, and the row may come
//! late: PostgreSQL may be away at the same time, and the relay may be another process.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, BusState, LineState};
use xacminh_clock::Clock;
use xacminh_domain::Timestamp;
use xacminh_store::outage::{self, Outage};

use crate::core::Core;
use crate::disposition::PAUSE;
use crate::within::within;

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
pub(crate) async fn record(core: Core, mut seen: watch::Receiver<Vec<Outage>>, stop: CancellationToken) {
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
            let recording = async { Ok(outage::record(&mut *core.store.conn().await?, "rabbitmq", from, to).await?) };
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
