//! What the relay writes down once RabbitMQ has confirmed a letter: that it left, what follows for its
//! request, and when it may have to be sent again.

use xacminh_domain::Timestamp;
use xacminh_domain::calendar::local_date;
use xacminh_domain::escalation;
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_domain::request::{Event, State};
use xacminh_store::ledger;
use xacminh_store::outbox::{self, Mark, Place};
use xacminh_store::reference::Reference;
use xacminh_store::timer::{self, Change};
use xacminh_store::{PgConnection, delivery, request};

use crate::confirmed::write;
use crate::core::{Core, climb, province_of};
use crate::disposition::{self, Disposition};
use crate::error::Error;
use crate::leaving::Left;

/// Writes down what RabbitMQ confirmed, and lets it go. A request whose ledger cannot be read keeps
/// no other letter: its own goes without a mark.
pub(crate) async fn mark_all(core: &Core, conn: &mut PgConnection, confirmed: &[Left]) -> Result<(), Error> {
    match mark(core, conn, confirmed).await {
        Err(error) if disposition::of(&error, confirmed.len()) != Disposition::Retry => {
            for one in confirmed {
                if let Err(error) = mark(core, conn, std::slice::from_ref(one)).await {
                    tracing::error!(%error, office.id = %one.office, "a letter left but cannot be marked");
                    match one.place {
                        Place::Outbox(id) => outbox::remove(conn, &[(id, one.message_id, one.at)]).await?,
                        Place::Delivery(id) => delivery::sent(conn, &[(id, one.at, timer::NEVER)]).await?,
                    }
                    core.confirmed.written(one.means.as_slice());
                }
            }
            Ok(())
        }
        other => other,
    }
}

/// Writes down what RabbitMQ confirmed, and lets it go.
async fn mark(core: &Core, conn: &mut PgConnection, confirmed: &[Left]) -> Result<(), Error> {
    use xacminh_store::Connection as _;
    if confirmed.is_empty() {
        return Ok(());
    }
    let now = core.clock.now();
    let reference = core.reference();
    let mut tx = conn.begin().await.map_err(xacminh_store::Error::from)?;
    let unwritten = confirmed.iter().filter(|left| core.confirmed.has(left.means));
    let marked: Vec<((RequestId, Mark), Timestamp)> =
        unwritten.filter_map(|left| Some((left.means?, left.at))).collect();
    let mut ids: Vec<RequestId> = marked.iter().map(|((id, _), _)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut requests = ledger::lock(&mut tx, &core.at_hand, &ids, false).await?;
    let mut rows = Vec::with_capacity(marked.len());
    let mut seen = Vec::with_capacity(marked.len());
    for ((id, mark), at) in &marked {
        let Some(chained) = requests.get_mut(id) else { continue };
        let Some((event, row)) = write(chained, *mark, *at) else { continue };
        rows.push(row);
        seen.push((*id, event));
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
    for left in confirmed {
        match left.place {
            Place::Outbox(id) => letters.push((id, left.message_id, left.at)),
            Place::Delivery(id) => deliveries.push((id, left.at, again_at(&reference, left.office, left.at)?)),
        }
    }
    outbox::remove(&mut tx, &letters).await?;
    delivery::sent(&mut tx, &deliveries).await?;
    tx.commit().await.map_err(xacminh_store::Error::from)?;
    core.confirmed.written(&marked.into_iter().map(|(mark, _)| mark).collect::<Vec<_>>());
    for (id, event) in &seen {
        let request = &requests[id].request;
        let home = request.opening.responder;
        core.metrics.observe(request, event, &province_of(&reference, home), reference.calendar_of(home));
    }
    // Of what was sent again nothing follows soon.
    core.at_hand.keep(seen.iter().filter_map(|(id, _)| requests.remove(id)));
    Ok(())
}

/// When what left for an office at `at` may be sent again.
fn again_at(reference: &Reference, office: OfficeId, at: Timestamp) -> Result<Timestamp, Error> {
    let minutes = reference.rules.send_again_minutes(local_date(at))?;
    Ok(reference.calendar_of(office).add_working_minutes(at, minutes))
}
