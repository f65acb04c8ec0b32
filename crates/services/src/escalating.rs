//! Escalating: fires the rungs that are due and sends the digests that may leave.
//!
//! A claim, its events, the unique row of the rung, the lines for the digest and the next timer
//! share one transaction; nothing leaves the database meanwhile, so no lease is needed and a copy
//! that dies leaves nothing behind.
//!
//! While RabbitMQ is away, requests whose clock runs climb on; their notices wait in the outbox. Those
//! that nobody confirmed wait: whether their inboxes have a reader cannot be asked, and the time is
//! not H's.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, InboxProbe};
use xacminh_contract::names::inbox;
use xacminh_contract::notice::{For, Topic};
use xacminh_domain::calendar::local_date;
use xacminh_domain::escalation::{self, Trigger};
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_domain::request::{Event, Request};
use xacminh_domain::{Date, Timestamp};
use xacminh_store::at_hand::AtHand;
use xacminh_store::ledger::{self, Cause};
use xacminh_store::notice::{self, NewLine};
use xacminh_store::outage::{self, Outage};
use xacminh_store::reference::Reference;
use xacminh_store::request;
use xacminh_store::timer::{self, Change, Whose};

use crate::abort_point::AbortPoint;
use crate::bustle::Onlooker;
use crate::core::{Core, climb};
use crate::digest;
use crate::disposition::{self, Disposition};
use crate::error::Error;
use crate::outages;
use crate::within::within;

/// How many requests are claimed together.
const CLAIM: usize = 500;
/// How many such claims are under way at once: while one waits for PostgreSQL, another is worked on.
const AT_ONCE: usize = 4;
/// The same while the process is busy with commands: people wait for those, and a rung may be some seconds late.
const AT_ONCE_BUSY: usize = 2;
/// For how many claims what is due is asked at once.
const CLAIMS: usize = 8;
/// What is due next waits for company, for one of so many parts of the time between looks.
const COMPANY: u32 = 5;

/// Fires and sends until told to stop. `every` is how often it looks, at least; it looks when the next is due.
pub async fn run(core: Core, bus: Bus, every: Duration, stop: CancellationToken) {
    let (told, seen) = watch::channel(Vec::new());
    tokio::join!(
        outages::watch(core.clock.clone(), bus.clone(), told, stop.clone()),
        climb_on(&core, &bus, seen, every, &stop)
    );
}

async fn climb_on(
    core: &Core,
    bus: &Bus,
    seen: watch::Receiver<Vec<Outage>>,
    every: Duration,
    stop: &CancellationToken,
) {
    let probe = bus.inbox_probe();
    let mut onlooker = Onlooker::of(&core.bustle);
    while !stop.is_cancelled() {
        let own = seen.borrow().clone();
        let lasts = own.last().is_some_and(|(_, end)| end.is_none());
        let whose = if lasts || !bus.state().borrow().is_connected() { Whose::ClockRuns } else { Whose::All };
        let at_once = if onlooker.sees_busy(&core.bustle) { AT_ONCE_BUSY } else { AT_ONCE };
        let worked = async {
            match fire(core, &probe, &own, whose, at_once).await? {
                Some(worked_on) => Ok(worked_on),
                // Digests leave when nothing is left to fire, here or in another copy's hands:
                // else those above would be told of an office's first requests, and then again of
                // its others.
                None => digest::send(core).await,
            }
        };
        match within(worked).await {
            // There may be more.
            Ok(requests) if requests > 0 => {
                tracing::debug!(requests, "a batch of rungs and digests is done");
                continue;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "rungs and digests wait; again later"),
        }
        let rest =
            within(until_next(core)).await.ok().flatten().map_or(every, |next| next.clamp(every / COMPANY, every));
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// How long it is until something is due; none if something is by now, which waits for what it waits for, or if
/// nothing ever will be.
async fn until_next(core: &Core) -> Result<Option<Duration>, Error> {
    let next = timer::next(&mut *core.store.conn().await?).await?;
    Ok(next
        .and_then(|next| Duration::try_from(next.duration_since(core.clock.now())).ok())
        .filter(|wait| !wait.is_zero()))
}

/// Fires what is due, for some requests at a time; gives how many were worked on, and none when
/// nothing was due. `own` are the outages that this process saw itself.
async fn fire(
    core: &Core,
    probe: &InboxProbe,
    own: &[Outage],
    whose: Whose,
    at_once: usize,
) -> Result<Option<usize>, Error> {
    let most = i64::try_from(CLAIM * CLAIMS).unwrap_or(i64::MAX);
    let due = timer::due(&mut *core.store.conn().await?, core.clock.now(), whose, most).await?;
    if due.is_empty() {
        return Ok(None);
    }
    // No two have a request in common, so none waits for the other.
    let shares: Vec<_> = due.chunks(CLAIM).map(|share| fire_share(core, probe, own, share)).collect();
    // One that fails ends no other.
    let done: Vec<Result<usize, Error>> = stream::iter(shares).buffer_unordered(at_once).collect().await;
    done.into_iter().sum::<Result<usize, Error>>().map(Some)
}

async fn fire_share(core: &Core, probe: &InboxProbe, own: &[Outage], due: &[RequestId]) -> Result<usize, Error> {
    match fire_some(core, probe, own, due).await {
        Err(error) if disposition::of(&error, due.len()) != Disposition::Retry => {
            tracing::warn!(%error, requests = due.len(), "one of these cannot be worked on; each alone");
            for id in due {
                fire_alone(core, probe, own, *id).await?;
            }
            Ok(due.len())
        }
        other => other,
    }
}

/// One request. If it cannot be worked on, such as for a damaged ledger, it waits: it must not
/// keep the ladder from all others.
async fn fire_alone(core: &Core, probe: &InboxProbe, own: &[Outage], id: RequestId) -> Result<(), Error> {
    match fire_some(core, probe, own, &[id]).await {
        Err(error) if disposition::of(&error, 1) == Disposition::Park => {
            tracing::error!(%error, request.id = %id, "no rung of this request can fire; see `xacminh request verify`");
            let later = core.clock.now() + jiff::SignedDuration::from_hours(1);
            Ok(timer::set(&mut *core.store.conn().await?, &[Change::to(id).until(later)]).await?)
        }
        other => other.map(drop),
    }
}

/// Fires what is due of these requests; gives how many were worked on.
async fn fire_some(core: &Core, probe: &InboxProbe, own: &[Outage], due: &[RequestId]) -> Result<usize, Error> {
    let now = core.clock.now();
    let reference = core.reference();
    let mut conn = core.store.conn().await?;
    let mut outages = outage::since(&mut conn, now - jiff::SignedDuration::from_hours(24 * 31)).await?;
    // One that is on record by now comes twice, which changes nothing.
    outages.extend_from_slice(own);
    outages.sort_unstable();

    // Whether anybody reads an inbox is asked before the transaction, never in it.
    let unheard = timer::unheard(&mut conn, due).await?;
    drop(conn);
    let readers = look(probe, unheard).await?;

    let mut tx = core.store.begin().await?;
    // Those are claimed that nobody else holds. Their timers change under this lock alone; if another copy was first,
    // nothing of them is due any more.
    // Always from the ledger, whatever is at hand: no rung is added to one that is damaged.
    let mut requests = ledger::lock(&mut tx, &AtHand::default(), due, true).await?;
    let (mut rows, mut fired, mut lines, mut timers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut ids: Vec<RequestId> = requests.keys().copied().collect();
    ids.sort_unstable();
    for id in &ids {
        let Some(chained) = requests.get_mut(id) else { continue };
        let reader = readers.get(&chained.request.opening.responder).copied();
        if chained.request.clock.is_none() && reader.is_none() {
            continue; // It was somebody else's a moment ago; next time.
        }
        let climb = climb(&reference, &chained.request.opening, &outages);
        let events = escalation::fire(&chained.request, now, reader.unwrap_or(false), climb)?;
        for event in events {
            rows.push(chained.append(now, &event, Cause::default()));
            lines.extend(lines_of(&chained.request, &event, &reference));
            fired.push((*id, event));
        }
        let next = escalation::next_at(&chained.request, now, climb)?;
        // An outage that lasts keeps a wait open without an instant: looked at again soon.
        let next = next.or_else(|| still_waiting(&chained.request, &outages, now)).unwrap_or(timer::NEVER);
        timers.push(Change::of(&chained.request).until(next));
    }
    ledger::append(&mut tx, &rows).await?;
    let events: Vec<(RequestId, &Event)> = fired.iter().map(|(id, event)| (*id, event)).collect();
    notice::rungs(&mut tx, now, &events).await?;
    notice::add(&mut tx, &lines).await?;
    let begun: HashSet<RequestId> =
        fired.iter().filter(|(_, event)| !matches!(event, Event::RungFired { .. })).map(|(id, _)| *id).collect();
    let (changed, climbed): (Vec<_>, Vec<_>) = requests.values().partition(|c| begun.contains(&c.request.id));
    request::update(&mut tx, &changed).await?;
    request::climbed(&mut tx, &climbed).await?;
    timer::set(&mut tx, &timers).await?;
    AbortPoint::BeforeFired.reach();
    tx.commit().await.map_err(xacminh_store::Error::from)?;
    count(core, &fired);
    core.at_hand.keep(requests.into_values());
    Ok(timers.len())
}

/// Which of these offices' inboxes have a reader.
async fn look(probe: &InboxProbe, offices: Vec<OfficeId>) -> Result<HashMap<OfficeId, bool>, Error> {
    if offices.is_empty() {
        return Ok(HashMap::new());
    }
    let queues: Vec<String> = offices.iter().map(|o| inbox(*o)).collect();
    let seen = probe.look(&queues).await?;
    Ok(offices.into_iter().zip(seen.into_iter().map(xacminh_bus::InboxSight::has_reader)).collect())
}

fn still_waiting(request: &Request, outages: &[Outage], now: Timestamp) -> Option<Timestamp> {
    let lasting = outages.iter().any(|(_, end)| end.is_none());
    (request.clock.is_none() && request.state.is_open() && lasting).then(|| now + jiff::SignedDuration::from_mins(1))
}

/// What a rung tells, and whom at the office that stands on it. The operator is told by a count and a log
/// line.
pub(crate) fn tells(trigger: Trigger, rung: u8) -> &'static [(Topic, For)] {
    match trigger {
        Trigger::NotReceived => &[],
        Trigger::AcceptDue => &[(Topic::AcceptOverdue, For::Head)],
        Trigger::AnswerDueDay => &[(Topic::AnswerDueToday, For::Deputy), (Topic::AnswerDueToday, For::Handler)],
        Trigger::AnswerDue => &[(Topic::OfficeSilent, For::Head)],
        Trigger::FileDue => &[(Topic::FileOverdue, For::Handler)],
        // The first to whoever reads W's inbox, the next to the head.
        Trigger::AnswerUnread if rung == 0 => &[(Topic::AnswerUnread, For::Deputy)],
        Trigger::AnswerUnread => &[(Topic::AnswerUnread, For::Head)],
        Trigger::FileDueAnswered => &[(Topic::FileOverdueAnswered, For::Head)],
    }
}

/// The lines of a rung, which leave with the first half-day that begins at or after its due.
fn lines_of(request: &Request, event: &Event, reference: &Reference) -> Vec<NewLine> {
    let Event::RungFired { trigger, rung, due_at, target: Some(office), .. } = event else { return Vec::new() };
    let clock = request.clock.as_ref().map(|(_, clock)| clock);
    let due_on: Option<Date> = match trigger {
        Trigger::NotReceived => None,
        Trigger::AcceptDue => clock.map(|c| c.accept.on),
        Trigger::AnswerDueDay | Trigger::AnswerDue => clock.map(|c| c.answer.on),
        Trigger::FileDue | Trigger::FileDueAnswered => request.file_due.as_ref().map(|d| d.on),
        Trigger::AnswerUnread => request.at.answer_sent.map(local_date),
    };
    // On the morning of the due the handler is told beside the deputy, if one is known.
    let nobody = |for_whom| *trigger == Trigger::AnswerDueDay && for_whom == For::Handler && request.handler.is_none();
    tells(*trigger, *rung)
        .iter()
        .filter(|(_, for_whom)| !nobody(*for_whom))
        .map(|(topic, for_whom)| NewLine {
            office: *office,
            leave_at: reference.calendar_of(*office).next_half_day_start(*due_at),
            topic: *topic,
            for_whom: *for_whom,
            request: request.id,
            due_on: due_on.or_else(|| Some(local_date(*due_at))),
        })
        .collect()
}

/// One line of log a batch, not one a request.
fn count(core: &Core, fired: &[(RequestId, Event)]) {
    let mut unheard = 0;
    for (_, event) in fired {
        if let Event::RungFired { trigger, rung, .. } = event {
            core.metrics.rungs.with_label_values(&[trigger.as_str(), &rung.to_string()]).inc();
            unheard += usize::from(*trigger == Trigger::NotReceived);
        }
    }
    if unheard > 0 {
        tracing::warn!(requests = unheard, "not confirmed by their offices' systems in time; the clocks run");
    }
}
