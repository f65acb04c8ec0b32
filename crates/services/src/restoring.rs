//! After a restore from a backup: the store begins another life, and every office is told.
//!
//! The store has forgotten what came after its backup, and nobody can say what that was but the
//! offices. So nothing is guessed: each message carries the new `xm-epoch`, each office gets one at
//! once, and sends again, under the ids of then, what it sent in the last days. What it sent before
//! the backup is recognised; the rest is taken as if for the first time, and what follows from it
//! has the ids it had (`composing::following`).

use jiff::SignedDuration;
use xacminh_contract::notice::{For, Item, Topic};
use xacminh_contract::receipt::Refusal;
use xacminh_contract::refusal::RefusalCode;
use xacminh_domain::Timestamp;
use xacminh_domain::id::RequestId;
use xacminh_store::epoch::{self, Renewed};
use xacminh_store::{access, outbox};

use crate::composing;
use crate::core::Core;
use crate::error::Error;

/// Begins another life and tells all offices that have access; gives how many.
pub async fn begin_anew(core: &Core) -> Result<(Renewed, usize), Error> {
    let now = core.clock.now();
    let mut tx = core.store.begin().await?;
    let renewed = epoch::renew(&mut tx, now).await?;
    let offices = access::granted(&mut tx).await?;
    let letters: Vec<_> = offices
        .iter()
        .map(|office| composing::notice(*office, None, vec![restored(renewed.lost_from.unwrap_or(now))], now))
        .collect();
    outbox::put(&mut tx, &core.keys, &letters).await?;
    tx.commit().await.map_err(xacminh_store::Error::from)?;
    Ok((renewed, offices.len()))
}

/// A command that was refused perhaps only because the store has lost what it is about: its request
/// was made in an earlier life, and nobody has sent that again yet. Such a refusal is not remembered,
/// so the same message may come again.
pub(crate) fn comes_too_early(refusal: &Refusal, about: Option<RequestId>, since: Option<Timestamp>) -> bool {
    // An id may be a day ahead of the broker's clock.
    let made_before = |since| about.is_some_and(|id| id.message_id().at() < since + SignedDuration::from_hours(24));
    waits_for_others(refusal) && since.is_some_and(made_before)
}

/// Refused for something that another message may bring.
pub(crate) fn waits_for_others(refusal: &Refusal) -> bool {
    [RefusalCode::RequestUnknown, RefusalCode::NotYetAnswered].iter().any(|code| refusal.code == code.as_str())
}

fn restored(from: Timestamp) -> Item {
    let from = jiff::tz::offset(7).to_datetime(from);
    Item {
        topic: Topic::Restored,
        for_whom: For::Head,
        handler: None,
        request_id: None,
        case_code: None,
        due_on: None,
        office: None,
        office_name: None,
        phone: None,
        count: None,
        oldest_due_on: None,
        why: Vec::new(),
        sentence: format!(
            "Hệ thống đã được khôi phục từ bản sao lưu lúc {}: phần mềm của đơn vị sẽ tự gửi lại những tin đã gửi, cán bộ không phải nhập lại.",
            from.strftime("%H:%M ngày %d/%m/%Y")
        ),
        sentence_en: format!(
            "The broker was restored from a backup of {}: your system sends again what it had sent, nobody types anything again.",
            from.strftime("%Y-%m-%d %H:%M")
        ),
    }
}
