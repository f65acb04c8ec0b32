//! Replaying: what was parked is taken again, once its cause is gone.
//!
//! ```text
//! sender_unknown, not_processed ─▶ taking, as if it had just come ─▶ marked
//! inbox_gave_up                 ─▶ outbox, under the same message-id ─▶ marked
//! no_sender                     ─▶ never: nobody could vouch for it
//! ```
//!
//! Nothing goes through RabbitMQ again: it would take a message only under the replayer's own login,
//! and a sender's word cannot be lent. The login that RabbitMQ had checked when the message came was
//! kept with it, sealed, and the services take it from there. Now is when it is judged: limits
//! count from the replay, as they would had the queue stood still so long.

use xacminh_bus::{Delivery, Incoming, WORK_QUEUES};
use xacminh_contract::names::{
    HEADER_ENC, HEADER_EPOCH, HEADER_KID, HEADER_SIG, HEADER_TIME, HEADER_TRACEPARENT, INBOX_PREFIX, QUEUE_REJECTED,
};
use xacminh_contract::trace::Trace;
use xacminh_domain::Timestamp;
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_store::outbox::{self, Letter};
use xacminh_store::parked::{self, Envelope, Opened};

use crate::core::Core;
use crate::error::Error;
use crate::reading::{sender, whole_microseconds};
use crate::taking;

/// Where RabbitMQ says which inbox gave a message up.
const HEADER_FIRST_DEATH: &str = "x-first-death-queue";
/// The headers that are kept with a parked message.
const KEPT: [&str; 7] =
    [HEADER_TIME, HEADER_EPOCH, HEADER_SIG, HEADER_ENC, HEADER_KID, HEADER_TRACEPARENT, HEADER_FIRST_DEATH];
/// No header of ours is longer; one that is says nothing.
const LONGEST_HEADER: usize = 1_024;

/// What became of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// Taken as if it had just come: its sender has a receipt under way.
    Taken(OfficeId),
    /// On its way to this office's inbox again, under the same message-id.
    SentAgain(OfficeId),
    /// It was replayed before, at this instant; nothing changed.
    Before(Timestamp),
    /// It cannot be replayed, and why.
    Cannot(Cannot),
}

/// Why a parked message cannot be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cannot {
    /// There is none.
    #[error("there is no parked message of this number")]
    Missing,
    /// Nobody vouches for it.
    #[error(
        "it came without a user-id, so any login may have sent it, and a replay would make up a sender: \
         have its sender send it again with the user-id property set"
    )]
    NoSender,
    /// It was parked by a version that kept no properties.
    #[error("it was parked before senders were kept: have its sender send it again, under the same message-id")]
    TooOld,
    /// Its login is no office's still.
    #[error("the login it came under is still no office's: import the office first, or find out who holds the login")]
    SenderUnknown,
    /// What came back from an inbox is not one of ours.
    #[error("what came back from the inbox has no message-id, type or inbox of ours, so it cannot be sent again")]
    NotOurs,
}

/// What of a delivery is kept with it when it is parked.
pub(crate) fn envelope(delivery: &Delivery) -> Envelope {
    let p = &delivery.properties;
    let kept = p.headers.iter().filter(|(name, value)| KEPT.contains(&name.as_str()) && value.len() <= LONGEST_HEADER);
    Envelope {
        user_id: p.user_id.clone(),
        message_id: p.message_id.clone(),
        message_type: p.message_type.clone(),
        correlation_id: p.correlation_id.clone(),
        routing_key: p.routing_key.clone(),
        headers: kept.cloned().collect(),
    }
}

/// Replays a parked message, once. The reason is the operator's.
pub async fn replay(core: &Core, parked_id: i64, reason: &str) -> Result<Replay, Error> {
    let Some(opened) = parked::show(&mut *core.store.conn().await?, &core.keys, parked_id).await? else {
        return Ok(Replay::Cannot(Cannot::Missing));
    };
    if let Some(at) = opened.parked.replayed_at {
        return Ok(Replay::Before(at));
    }
    let Some(envelope) = &opened.envelope else { return Ok(Replay::Cannot(Cannot::TooOld)) };
    if opened.parked.queue == QUEUE_REJECTED {
        return match letter(&opened, envelope) {
            Some(letter) => send_again(core, parked_id, reason, letter).await,
            None => Ok(Replay::Cannot(Cannot::NotOurs)),
        };
    }
    take_again(core, parked_id, reason, &opened, envelope).await
}

/// Takes it, then marks it: killed in between, the next replay is recognised by its message-id.
async fn take_again(
    core: &Core,
    parked_id: i64,
    reason: &str,
    opened: &Opened,
    envelope: &Envelope,
) -> Result<Replay, Error> {
    let Some(queue) = WORK_QUEUES.into_iter().find(|queue| *queue == opened.parked.queue) else {
        return Ok(Replay::Cannot(Cannot::TooOld));
    };
    let properties = Incoming {
        user_id: envelope.user_id.clone(),
        message_id: envelope.message_id.clone(),
        message_type: envelope.message_type.clone(),
        correlation_id: envelope.correlation_id.clone(),
        headers: envelope.headers.clone(),
        routing_key: envelope.routing_key.clone(),
        redelivered: true,
        ..Incoming::default()
    };
    let delivery = Delivery::kept(opened.body.clone(), properties);
    if delivery.properties.user_id.is_none() {
        return Ok(Replay::Cannot(Cannot::NoSender));
    }
    // Asked here, or taking would park it a second time.
    let Some(sender) = sender(&delivery).filter(|office| core.reference().directory.office(office).is_some()) else {
        return Ok(Replay::Cannot(Cannot::SenderUnknown));
    };
    taking::take(core, queue, std::slice::from_ref(&delivery)).await?;
    let mut tx = core.store.begin().await?;
    parked::replayed(&mut tx, parked_id, reason, core.clock.now()).await?;
    tx.commit().await.map_err(xacminh_store::Error::from)?;
    Ok(Replay::Taken(sender))
}

/// Puts it into the outbox and marks it, in one transaction.
async fn send_again(core: &Core, parked_id: i64, reason: &str, letter: Letter) -> Result<Replay, Error> {
    let office = letter.office;
    let now = core.clock.now();
    let mut tx = core.store.begin().await?;
    if !parked::replayed(&mut tx, parked_id, reason, now).await? {
        return Ok(Replay::Before(now)); // By somebody else, a moment ago.
    }
    outbox::put(&mut tx, &core.keys, &[letter]).await?;
    tx.commit().await.map_err(xacminh_store::Error::from)?;
    Ok(Replay::SentAgain(office))
}

/// The letter an inbox gave up on, as it first left.
fn letter(opened: &Opened, envelope: &Envelope) -> Option<Letter> {
    let header = |name: &str| envelope.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    Some(Letter {
        office: header(HEADER_FIRST_DEATH)?.strip_prefix(INBOX_PREFIX)?.parse().ok()?,
        message_id: envelope.message_id.as_deref()?.parse().ok()?,
        message_type: envelope.message_type.clone()?,
        request_id: envelope.correlation_id.as_deref().and_then(|id| id.parse().ok()).map(RequestId::of),
        // It was in the inbox once, and the ledger says so.
        mark: None,
        created_at: header(HEADER_TIME)?.parse().ok().and_then(whole_microseconds)?,
        traceparent: header(HEADER_TRACEPARENT).filter(|t| Trace::parse(t).is_some()).map(str::to_owned),
        body: opened.body.clone(),
    })
}
