//! The relay: letters leave the outbox for offices' inboxes, and go only when RabbitMQ confirmed.
//!
//! ```text
//! shards held ─▶ read ─▶ publish all, await confirms ─▶ one transaction: mark sent, remove
//!                              └─ not confirmed: they stay and leave again with the same id
//! ```
//!
//! Offices are spread over shards; a relay holds a shard by an advisory lock of its connection, so
//! when a copy dies another has its shards at once, and one office's letters never leave in two
//! orders.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, Outcome, Outgoing, Publisher};
use xacminh_contract::names::{HEADER_EPOCH, HEADER_TIME, HEADER_TRACEPARENT, inbox};
use xacminh_contract::values;
use xacminh_domain::id::RequestId;
use xacminh_domain::request::Event;
use xacminh_store::ledger::{self, Cause};
use xacminh_store::outbox::{self, Mark, SHARDS, Waiting};
use xacminh_store::{PgConnection, outage, request};

use crate::core::Core;
use crate::disposition::{self, Disposition, PAUSE};
use crate::error::Error;
use crate::taking::province_of;

/// How many loops share the shards of a process: while one waits for confirms, another marks.
const LANES: i16 = 4;
/// How many letters leave together.
const BATCH: i64 = 500;
/// How often the outbox is swept for what no bell was rung for.
const SWEEP: Duration = Duration::from_secs(1);
/// How often a relay asks for shards that another copy may have let go.
const ASK_FOR_SHARDS: Duration = Duration::from_secs(3);
/// How long a letter waits that cannot leave: no inbox, or no key to open it.
const ASIDE: Duration = Duration::from_secs(30);

/// Sends letters until told to stop.
pub async fn run(core: Core, bus: Bus, stop: CancellationToken) {
    let lane = |lane| send_lane(&core, bus.publisher(), lane, &stop);
    tokio::join!(watch_outages(core.clone(), bus.clone(), stop.clone()), lane(0), lane(1), lane(2), lane(3));
}

async fn send_lane(core: &Core, publisher: Publisher, lane: i16, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = hold_and_send(core, &publisher, lane, stop).await {
            tracing::warn!(%error, "the relay lost its place; it starts anew");
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

/// One life of the connection that holds the shards.
async fn hold_and_send(core: &Core, publisher: &Publisher, lane: i16, stop: &CancellationToken) -> Result<(), Error> {
    // Out of the pool: closing it, whichever way, lets the shards go.
    let mut conn = core.store.conn().await?.detach();
    let mut bell = core.store.listen().await?;
    let ours: Vec<i16> = (0..SHARDS).filter(|shard| shard % LANES == lane).collect();
    let mut held: Vec<i16> = Vec::new();
    let mut asked: Option<Instant> = None;
    let mut aside: HashMap<i64, Instant> = HashMap::new();
    while !stop.is_cancelled() {
        if held.len() < ours.len() && asked.is_none_or(|at| at.elapsed() > ASK_FOR_SHARDS) {
            held = outbox::hold_shards(&mut conn, &held, &ours).await?;
            asked = Some(Instant::now());
        }
        aside.retain(|_, until| *until > Instant::now());
        let except: Vec<i64> = aside.keys().copied().collect();
        let outbox::Batch { waiting, sealed_shut } = outbox::read(&mut conn, &core.keys, &held, &except, BATCH).await?;
        if !sealed_shut.is_empty() {
            tracing::error!(letters = sealed_shut.len(), "letters cannot be opened with the keys at hand; they wait");
            aside.extend(sealed_shut.into_iter().map(|id| (id, Instant::now() + ASIDE)));
        }
        if waiting.is_empty() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = core.outbox.notified() => {}
                heard = bell.recv() => { heard.map_err(xacminh_store::Error::from)?; }
                () = tokio::time::sleep(SWEEP) => {}
            }
            continue;
        }
        let outgoing = waiting.iter().map(|w| letter(core, w)).collect();
        let outcomes = publisher.publish_all(outgoing).await;
        let mut confirmed = Vec::with_capacity(waiting.len());
        let mut unknown = false;
        for (waiting, outcome) in waiting.into_iter().zip(outcomes) {
            let word = match outcome {
                Outcome::Confirmed => {
                    core.metrics.letters.with_label_values(&[&waiting.letter.message_type, "confirmed"]).inc();
                    confirmed.push(waiting);
                    continue;
                }
                Outcome::Returned(_) | Outcome::Unfit => {
                    tracing::warn!(office.id = %waiting.letter.office, "an office has no inbox; its letter waits");
                    aside.insert(waiting.outbox_id, Instant::now() + ASIDE);
                    "no_inbox"
                }
                Outcome::Unknown | Outcome::Nacked => {
                    unknown = true;
                    "unknown"
                }
            };
            core.metrics.letters.with_label_values(&[&waiting.letter.message_type, word]).inc();
        }
        mark_all(core, &mut conn, &confirmed).await?;
        if unknown {
            tokio::select! {
                () = stop.cancelled() => {}
                ready = publisher.ready() => { ready?; }
            }
        }
    }
    Ok(())
}

fn letter(core: &Core, waiting: &Waiting) -> Outgoing {
    let letter = &waiting.letter;
    let mut headers = vec![
        (HEADER_TIME.to_owned(), values::Instant(letter.created_at).to_string()),
        (HEADER_EPOCH.to_owned(), core.epoch.to_string()),
    ];
    if let Some(trace) = &letter.traceparent {
        headers.push((HEADER_TRACEPARENT.to_owned(), trace.clone()));
    }
    Outgoing {
        exchange: String::new(),
        routing_key: inbox(letter.office),
        message_id: letter.message_id.to_string(),
        message_type: letter.message_type.clone(),
        correlation_id: letter.request_id.map(|id| id.to_string()),
        headers,
        body: letter.body.clone(),
    }
}

/// Writes down what RabbitMQ confirmed, and lets it go. A request whose ledger cannot be read keeps
/// no other letter: its own goes without a mark.
async fn mark_all(core: &Core, conn: &mut PgConnection, confirmed: &[Waiting]) -> Result<(), Error> {
    match mark(core, conn, confirmed).await {
        Err(error) if disposition::of(&error, confirmed.len()) != Disposition::Retry => {
            for one in confirmed {
                if let Err(error) = mark(core, conn, std::slice::from_ref(one)).await {
                    tracing::error!(%error, office.id = %one.letter.office, "a letter left but cannot be marked");
                    outbox::remove(conn, &[one.outbox_id]).await?;
                }
            }
            Ok(())
        }
        other => other,
    }
}

/// Writes down what RabbitMQ confirmed, and lets it go.
async fn mark(core: &Core, conn: &mut PgConnection, confirmed: &[Waiting]) -> Result<(), Error> {
    use xacminh_store::Connection as _;
    if confirmed.is_empty() {
        return Ok(());
    }
    let now = core.clock.now();
    let reference = core.reference();
    let mut tx = conn.begin().await.map_err(xacminh_store::Error::from)?;
    let marked: Vec<(RequestId, Mark)> =
        confirmed.iter().filter_map(|w| Some((w.letter.request_id?, w.letter.mark?))).collect();
    let mut ids: Vec<RequestId> = marked.iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut requests = ledger::lock(&mut tx, &ids, false).await?;
    let mut rows = Vec::with_capacity(marked.len());
    let mut seen = Vec::with_capacity(marked.len());
    for (id, mark) in marked {
        let Some(chained) = requests.get_mut(&id) else { continue };
        let at = chained.request.at;
        let event = match mark {
            // A re-send after a death between publish and mark is no second sending.
            Mark::Sent if at.sent.is_none() => Event::Sent,
            Mark::AnswerSent if at.answer_sent.is_none() => Event::AnswerSent,
            Mark::Sent | Mark::AnswerSent => continue,
        };
        rows.push(chained.append(now, &event, Cause::default()));
        seen.push((id, event));
    }
    ledger::append(&mut tx, &rows).await?;
    let changed: Vec<_> = requests.values().collect();
    request::update(&mut tx, &changed).await?;
    outbox::remove(&mut tx, &confirmed.iter().map(|w| w.outbox_id).collect::<Vec<_>>()).await?;
    tx.commit().await.map_err(xacminh_store::Error::from)?;
    for (id, event) in seen {
        let request = &requests[&id].request;
        core.metrics.observe(request, &event, &province_of(&reference, request.opening.responder), &reference.calendar);
    }
    Ok(())
}

/// Writes down each time without RabbitMQ, once it is over.
async fn watch_outages(core: Core, bus: Bus, stop: CancellationToken) {
    let mut state = bus.state();
    let mut lost_at = None;
    loop {
        let standing = {
            let now = state.borrow_and_update();
            now.publishing.connected && now.publishing.blocked.is_none()
        };
        match (standing, lost_at) {
            (false, None) => lost_at = Some(core.clock.now()),
            (true, Some(from)) => {
                let recorded =
                    async { outage::record(&mut *core.store.conn().await?, "rabbitmq", from, core.clock.now()).await };
                match recorded.await {
                    Ok(()) => lost_at = None,
                    Err(error) => tracing::warn!(%error, "an outage could not be written down; again later"),
                }
            }
            (false, Some(_)) | (true, None) => {}
        }
        let again_later = standing && lost_at.is_some();
        tokio::select! {
            () = stop.cancelled() => return,
            changed = state.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(PAUSE), if again_later => {}
        }
    }
}
