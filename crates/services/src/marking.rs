//! What the relay writes down once RabbitMQ has confirmed a letter: that it left, what follows for its
//! request, and when it may have to be sent again.

use xacminh_domain::Timestamp;
use xacminh_domain::calendar::local_date;
use xacminh_domain::escalation;
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_domain::request::{Event, State};
use xacminh_store::ledger::{self, Cause};
use xacminh_store::outbox::{self, Mark, Place, Waiting};
use xacminh_store::reference::Reference;
use xacminh_store::timer::{self, Change};
use xacminh_store::{PgConnection, delivery, request};

use crate::core::{Core, climb};
use crate::disposition::{self, Disposition};
use crate::error::Error;
use crate::taking::province_of;

/// Writes down what RabbitMQ confirmed, and lets it go. A request whose ledger cannot be read keeps
/// no other letter: its own goes without a mark.
pub(crate) async fn mark_all(core: &Core, conn: &mut PgConnection, confirmed: &[Waiting]) -> Result<(), Error> {
    match mark(core, conn, confirmed).await {
        Err(error) if disposition::of(&error, confirmed.len()) != Disposition::Retry => {
            for one in confirmed {
                if let Err(error) = mark(core, conn, std::slice::from_ref(one)).await {
                    tracing::error!(%error, office.id = %one.letter.office, "a letter left but cannot be marked");
                    match one.place {
                        Place::Outbox(id) => {
                            outbox::remove(conn, core.clock.now(), &[(id, one.letter.message_id)]).await?
                        }
                        Place::Delivery(id) => delivery::sent(conn, core.clock.now(), &[(id, timer::NEVER)]).await?,
                    }
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
    let mut requests = ledger::lock(&mut tx, &core.at_hand, &ids, false).await?;
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
    // From now on W can read the answer, and is pressed if nobody does.
    let mut timers = Vec::new();
    for (id, event) in &seen {
        let request = &requests[id].request;
        let change = Change::of(request);
        timers.push(if *event == Event::AnswerSent && request.state == State::Answered {
            let next = escalation::next_at(request, now, climb(&reference, &request.opening, &[]))?;
            change.until(next.unwrap_or(timer::NEVER))
        } else {
            change
        });
    }
    timer::set(&mut tx, &timers).await?;
    let (mut letters, mut deliveries) = (Vec::new(), Vec::new());
    for waiting in confirmed {
        match waiting.place {
            Place::Outbox(id) => letters.push((id, waiting.letter.message_id)),
            Place::Delivery(id) => deliveries.push((id, again_at(&reference, waiting.letter.office, now)?)),
        }
    }
    outbox::remove(&mut tx, now, &letters).await?;
    delivery::sent(&mut tx, now, &deliveries).await?;
    tx.commit().await.map_err(xacminh_store::Error::from)?;
    for (id, event) in seen {
        let request = &requests[&id].request;
        let home = request.opening.responder;
        core.metrics.observe(request, &event, &province_of(&reference, home), reference.calendar_of(home));
    }
    core.at_hand.keep(requests.into_values());
    Ok(())
}

/// When what leaves for an office at `now` may be sent again.
fn again_at(reference: &Reference, office: OfficeId, now: Timestamp) -> Result<Timestamp, Error> {
    let minutes = reference.rules.send_again_minutes(local_date(now))?;
    Ok(reference.calendar_of(office).add_working_minutes(now, minutes))
}
