//! Takes commands, each once, and answers every one.
//!
//! ```text
//! batch ─▶ sender provable? ─▶ id, type, key, body ─▶ taken before? ─▶ judged ─▶ one transaction ─▶ ack
//!             no: parked          no: refused          yes: the first receipt again
//! ```
//!
//! Everything of a batch is stored in one transaction: keys, ledger, projection, timers, letters.
//! The caller acknowledges after the commit, never before.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use xacminh_bus::Delivery;
use xacminh_contract::envelope::CommandType;
use xacminh_contract::names::{HEADER_TIME, HEADER_TRACEPARENT, QUEUE_REJECTED};
use xacminh_contract::receipt::{Item, Refusal, Warning};
use xacminh_contract::refusal::RefusalCode;
use xacminh_contract::trace::{Trace, TraceId};
use xacminh_contract::values::{MsgId, ReqId};
use xacminh_domain::Timestamp;
use xacminh_domain::escalation;
use xacminh_domain::id::RequestId;
use xacminh_domain::request::{Event, State};
use xacminh_store::inbox::{self, Key, Seen, Taken};
use xacminh_store::ledger::Chained;
use xacminh_store::parked::{self, NewParked, Refused};
use xacminh_store::request::Provinces;
use xacminh_store::timer::{self, Change};
use xacminh_store::{delivery, epoch, ledger, outbox, person, request};

use crate::abort_point::AbortPoint;
use crate::composing::{self, Receipts};
use crate::core::{Core, climb, new_id, province_of, provinces};
use crate::duplicates;
use crate::error::Error;
use crate::handed::News;
use crate::judging::{self, Bench, Ready};
use crate::reading::{Asked, DIGEST, Read, out_of_range, read, sender, signed, wanted, whole_microseconds};
use crate::reconciling;
use crate::replaying;
use crate::restoring;
use crate::resubmitting::Kept;

pub(crate) fn new_parked(queue: &'static str, delivery: &Delivery, reason: &'static str) -> NewParked {
    NewParked { queue, reason, envelope: replaying::envelope(delivery), body: delivery.bytes.clone() }
}

/// What a command gets back.
enum Back {
    /// A receipt made just now; kept as the first one where the command has an id of its own.
    New(Option<Item>),
    /// The first receipt again.
    Again(Option<Vec<u8>>),
    /// The receipt of an earlier message of this batch, at this place.
    Same(usize),
    /// A refusal that is not kept as anybody's first receipt.
    Aside(Item),
}

impl Back {
    /// Tells a ward of which request its new one is a near-duplicate.
    fn name_first(&mut self, firsts: &HashMap<RequestId, RequestId>) {
        // A submit's own receipt: a request's id is the message-id of its submit.
        if let Self::New(Some(item)) = self
            && let (Some(ReqId(id)), Some(MsgId(message))) = (&item.request_id, &item.message_id)
            && id.message_id() == *message
            && let Some(first) = firsts.get(id)
        {
            item.warnings.push(Warning::NearDuplicate);
            item.duplicate_of = Some((*first).into());
        }
    }

    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::New(item) => item.as_ref()?.refusal.as_ref(),
            Self::Aside(item) => item.refusal.as_ref(),
            Self::Again(_) | Self::Same(_) => None,
        }
    }
}

/// Stores what a batch of deliveries means, all or nothing.
///
/// Whether a command was taken before is not asked unless there is reason to think so: hardly any was, and
/// the key of the inbox says so anyhow when the batch is written down. Then nothing of it happened, and all
/// of it is judged once more by who knows.
pub(crate) async fn take(core: &Core, queue: &'static str, deliveries: &[Delivery]) -> Result<(), Error> {
    let redelivered = deliveries.iter().filter(|d| d.properties.redelivered).count();
    core.metrics.redelivered.inc_by(u64::try_from(redelivered).unwrap_or(0));
    let ask = redelivered > 0 || core.repeats.are_likely();
    let began = Instant::now();
    let taken = match take_batch(core, queue, deliveries, ask).await {
        Err(Error::Store(xacminh_store::Error::TakenMeanwhile)) if !ask => {
            core.repeats.came();
            take_batch(core, queue, deliveries, true).await
        }
        other => other,
    };
    core.bustle.took(began.elapsed());
    taken
}

/// The same; `ask` says whether to ask what was taken before.
async fn take_batch(core: &Core, queue: &'static str, deliveries: &[Delivery], ask: bool) -> Result<(), Error> {
    let now = core.clock.now();
    let reference = core.reference();
    let mut parked_now = Vec::new();
    let mut reads = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        if queue == QUEUE_REJECTED {
            // A message of ours, which an office's system took twenty times and never acknowledged.
            parked_now.push((delivery, "inbox_gave_up"));
            continue;
        }
        match sender(delivery).filter(|office| reference.directory.office(office).is_some()) {
            Some(sender) => reads.push(read(&core.keys, delivery, sender)),
            None if delivery.properties.user_id.is_none() => parked_now.push((delivery, "no_sender")),
            None => parked_now.push((delivery, "sender_unknown")),
        }
    }

    let mut tx = core.store.begin_along_indexes().await?;
    let mut first: HashMap<Key, (usize, [u8; 32])> = HashMap::new();
    let mut keys = Vec::with_capacity(reads.len());
    for (index, read) in reads.iter().enumerate() {
        let Some(key) = read.key() else { continue };
        if let std::collections::hash_map::Entry::Vacant(slot) = first.entry(key) {
            slot.insert((index, read.digest));
            keys.push(key);
        }
    }
    // What is refused for its id's time alone is not written down, so nothing else would tell it from a repeat.
    let ask = ask || keys.iter().any(|(_, id)| !judging::is_in_range(*id, now));
    let seen = if ask { inbox::find(&mut tx, &keys).await? } else { HashMap::new() };

    let ids: Vec<RequestId> = reads.iter().filter_map(wanted).collect();
    let mut requests = ledger::lock(&mut tx, &core.at_hand, &ids, false).await?;
    let mut done = judging::Done::default();
    let along = core.confirmed.take_along(&mut requests, &mut done);
    let mut kept_bodies = Kept::read(&mut tx, &core.keys, &reads).await?;
    let mut bench = Bench { now, reference: &reference, keys: &core.keys, requests, done };
    let mut backs: Vec<Back> = Vec::with_capacity(reads.len());
    let mut bodies: HashMap<usize, Vec<u8>> = HashMap::new();
    for (index, read) in reads.iter().enumerate() {
        let back = match read.key() {
            None => Back::Aside(refused(read, RefusalCode::MessageIdMalformed.refusal(), now)),
            Some(key) => match (seen.get(&key), first.get(&key)) {
                (Some(before), _) => again(core, read, before, now),
                (None, Some((at, digest))) if *at != index => repeat_within(read, *digest, *at, now),
                (None, _) if !judging::is_in_range(key.1, now) => {
                    Back::Aside(refused(read, out_of_range(key.1, now), now))
                }
                (None, _) => Back::New(judge(&mut bench, &mut kept_bodies, read, now)?),
            },
        };
        if let Some(refusal) = back.refusal() {
            bodies.insert(index, kept_bodies.refused(read, refusal));
        }
        backs.push(back);
    }
    let mut done = bench.done;
    let requests = bench.requests;
    let firsts = duplicates::firsts(&mut tx, &done.seen).await?;
    for back in &mut backs {
        back.name_first(&firsts);
    }

    // Receipts: one message for each office, in the order of its commands.
    let since = if backs.iter().any(waits) { epoch::current(&mut tx).await?.since } else { None };
    let (mut new, mut refusals) = (Vec::new(), Vec::new());
    let mut receipts = Receipts::default();
    let mut given: Vec<Option<Vec<u8>>> = Vec::with_capacity(reads.len());
    let mut taken = Vec::with_capacity(reads.len());
    for (index, (read, back)) in reads.iter().zip(backs).enumerate() {
        let trace = trace_of(read, &requests, now);
        let (item, is_first) = match back {
            Back::New(item) => (item, true),
            Back::Aside(item) => (Some(item), false),
            Back::Again(_) | Back::Same(_) => {
                let bytes = match back {
                    Back::Same(first) => given[first].clone(),
                    Back::Again(bytes) => bytes,
                    Back::New(_) | Back::Aside(_) => None,
                };
                if let Some(bytes) = &bytes {
                    receipts.add(read.sender, bytes.clone(), wanted(read), trace);
                }
                given.push(bytes);
                taken.push((read, trace, "repeated"));
                continue;
            }
        };
        let refusal = item.as_ref().and_then(|item| item.refusal.as_ref());
        let outcome = if refusal.is_some() { "refused" } else { "accepted" };
        taken.push((read, trace, outcome));
        if let Some(refusal) = refusal {
            refusals.push(Refused {
                sender: read.sender,
                message_id: read.message_id,
                command: read.of.map(CommandType::short),
                code: refusal.code.clone(),
                pointer: refusal.pointer.clone(),
                body: bodies.remove(&index).unwrap_or_default(),
            });
        }
        let bytes = item.as_ref().map(composing::item);
        given.push(bytes.clone());
        let early = refusal.is_some_and(|refusal| restoring::comes_too_early(refusal, wanted(read), since));
        if early && !ask {
            // It is not written down either.
            return Err(xacminh_store::Error::TakenMeanwhile.into());
        }
        // What comes too early may come again under its id, as if it had not come.
        if let (true, false, Some(key)) = (is_first, early, read.key()) {
            new.push(Taken {
                key,
                digest: read.digest,
                command: read.of.map(CommandType::short),
                request: wanted(read),
                receipt: bytes.clone(),
                refused: refusal.is_some(),
            });
        }
        if let Some(bytes) = bytes {
            receipts.add(read.sender, bytes, wanted(read), trace);
        }
    }
    done.letters.extend(receipts.letters(now));

    // Store: what was taken, new requests, changed requests, timers, persons, letters, refusals.
    inbox::put(&mut tx, now, &new).await?;
    ledger::append(&mut tx, &done.rows).await?;
    let provinces: Vec<Provinces> =
        done.opened.iter().map(|id| provinces(&reference, &requests[id].request.opening)).collect();
    let opened: Vec<_> = done.opened.iter().zip(&provinces).map(|(id, p)| (&requests[id], p)).collect();
    request::insert(&mut tx, &opened).await?;
    done.changed.sort_unstable();
    done.changed.dedup();
    let changed: Vec<_> = done.changed.iter().map(|id| &requests[id]).collect();
    request::update(&mut tx, &changed).await?;
    let (mut begun, mut timers, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    let places: HashMap<RequestId, usize> = done.opened.iter().enumerate().map(|(n, id)| (*id, n)).collect();
    let mut touched = done.opened.clone();
    touched.extend(done.changed.iter().filter(|id| !places.contains_key(id)));
    touched.sort_unstable();
    for id in touched {
        let request = &requests[&id].request;
        match request.state {
            State::Read | State::Withdrawn => ended.push(id),
            State::Submitted | State::Sent | State::Delivered | State::Opened | State::Answered => {
                let next = escalation::next_at(request, now, climb(&reference, &request.opening, &[]))?;
                let next = next.unwrap_or(timer::NEVER);
                match places.get(&id) {
                    Some(place) => begun.push((request, &provinces[*place], next)),
                    None => timers.push(Change::of(request).until(next)),
                }
            }
        }
    }
    timer::begin(&mut tx, &begun).await?;
    timer::set(&mut tx, &timers).await?;
    timer::end(&mut tx, &ended).await?;
    person::put(&mut tx, &core.keys, &done.persons).await?;
    person::put_answers(&mut tx, &core.keys, &done.answers).await?;
    let (letters, differences) = reconciling::compare(&mut tx, now, &done.reports).await?;
    done.letters.extend(letters);
    parked::refuse(&mut tx, &core.keys, now, &refusals).await?;
    let parked_rows: Vec<_> = parked_now.iter().map(|(d, reason)| new_parked(queue, d, reason)).collect();
    parked::park(&mut tx, &core.keys, now, &parked_rows).await?;
    let places = outbox::put_unheard(&mut tx, &core.keys, &done.letters).await?;
    delivery::put(&mut tx, &core.keys, &done.deliveries).await?;
    let heard = heard_of(&done.seen, &requests);
    let more = delivery::end(&mut tx, &heard).await?;
    let room = heard.iter().filter(|_| more).map(|(id, _)| requests[id].request.opening.responder);
    let news = News::of(&places, done.letters, done.deliveries, room);
    if !core.handed.reaches(&news) {
        outbox::ring(&mut tx).await?;
    }
    AbortPoint::BeforeCommit.reach();
    tx.commit().await.map_err(xacminh_store::Error::from)?;
    core.confirmed.written(&along);
    core.handed.hand(news);

    for (id, event) in &done.seen {
        let request = &requests[id].request;
        let home = request.opening.responder;
        core.metrics.observe(request, event, &province_of(&reference, home), reference.calendar_of(home));
    }
    core.metrics.differ(&differences);
    for refused in &refusals {
        core.metrics.refused.with_label_values(&[&refused.code]).inc();
    }
    for (read, trace, outcome) in taken {
        count(core, read, outcome);
        tracing::trace!(
            trace.id = %trace.id,
            message.id = read.message_id.map(tracing::field::display),
            message.r#type = read.of.map_or("unknown", CommandType::short),
            office.id = %read.sender,
            queue,
            outcome,
            "taken"
        );
    }
    core.at_hand.keep(requests.into_values());
    let mut parked_by_reason: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, reason) in parked_now {
        core.metrics.parked.with_label_values(&[reason]).inc();
        *parked_by_reason.entry(reason).or_default() += 1;
    }
    // A line a batch: whoever sends thousands of such messages fills no disk.
    for (reason, messages) in parked_by_reason {
        tracing::warn!(queue, reason, messages, "parked messages");
    }
    Ok(())
}

/// The requests that need not be brought to H any more, since it has them or W took them back, and when they left.
fn heard_of(
    seen: &[(RequestId, Event)],
    requests: &HashMap<RequestId, Chained>,
) -> Vec<(RequestId, Option<Timestamp>)> {
    seen.iter()
        .filter(|(_, event)| matches!(event, Event::Delivered { .. } | Event::Withdrawn { .. }))
        .map(|(id, _)| (*id, requests[id].request.at.sent))
        .collect()
}

/// Whether it was refused for something that another message may bring.
fn waits(back: &Back) -> bool {
    match back {
        Back::New(Some(item)) => item.refusal.as_ref().is_some_and(restoring::waits_for_others),
        Back::New(None) | Back::Again(_) | Back::Same(_) | Back::Aside(_) => false,
    }
}

fn refused(read: &Read<'_>, refusal: Refusal, now: Timestamp) -> Item {
    Item { refusal: Some(refusal), ..judging::blank(read.message_id, read.of, now) }
}

fn again(core: &Core, read: &Read<'_>, before: &Seen, now: Timestamp) -> Back {
    // Digests made with an older key are recognised too.
    if core.keys.digest_matches(DIGEST, &signed(read.delivery), &before.digest.into()) {
        Back::Again(before.receipt.clone())
    } else {
        Back::Aside(refused(read, RefusalCode::IdReused.refusal(), now))
    }
}

/// A repeat in the very batch of its first.
fn repeat_within(read: &Read<'_>, digest: [u8; 32], first: usize, now: Timestamp) -> Back {
    if digest != read.digest {
        return Back::Aside(refused(read, RefusalCode::IdReused.refusal(), now));
    }
    Back::Same(first)
}

fn judge(bench: &mut Bench<'_>, kept: &mut Kept, read: &Read<'_>, now: Timestamp) -> Result<Option<Item>, Error> {
    let (Some(message_id), Some(of)) = (read.message_id, read.of) else {
        let refusal = read.asked.as_ref().err().cloned().unwrap_or_else(|| RefusalCode::TypeUnknown.refusal());
        return Ok(Some(refused(read, refusal, now)));
    };
    let command = match &read.asked {
        Ok(Asked::Command(command)) => Ok(command.clone()),
        Ok(Asked::Changes(changes)) => kept.make_whole(read, (read.sender, message_id), changes),
        Err(refusal) => Err(refusal.clone()),
    };
    let command = match command {
        Ok(command) => command,
        Err(refusal) => return Ok(Some(refused(read, refusal, now))),
    };
    let p = &read.delivery.properties;
    bench.judge(&Ready {
        sender: read.sender,
        message_id,
        of,
        command,
        client_at: p.header(HEADER_TIME).and_then(|at| at.parse().ok()).and_then(whole_microseconds),
        trace: trace_of(read, &bench.requests, now),
    })
}

/// The trace that goes on with a command: the one it came with; else, if it is about a request that is
/// the sender's affair, that request's; else one that it begins.
fn trace_of(read: &Read<'_>, requests: &HashMap<RequestId, Chained>, now: Timestamp) -> Trace {
    let came = read.delivery.properties.header(HEADER_TRACEPARENT).and_then(Trace::parse);
    let about = || {
        let chained = requests.get(&wanted(read)?)?;
        let opening = &chained.request.opening;
        [opening.requester, opening.responder].contains(&read.sender).then(|| chained.trace.into())
    };
    let begun = || TraceId::begun_by(read.message_id.map_or_else(|| new_id(now), |id| id.uuid())).into();
    came.or_else(about).unwrap_or_else(begun)
}

fn count(core: &Core, read: &Read<'_>, outcome: &str) {
    core.metrics.commands.with_label_values(&[read.of.map_or("unknown", CommandType::short), outcome]).inc();
}
