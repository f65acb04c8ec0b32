//! Reconciling: an office's list of a day against the store, and what is sent again for it.
//!
//! A report is a command like others, taken once and in the transaction of its batch. What was
//! lost comes again under the ids it had: work and answers from what is kept of the last days,
//! receipts as they were first written. What nothing can mend stays in a row for the operator.

use std::collections::{HashMap, HashSet};

use xacminh_contract::receipt::{Refusal, State};
use xacminh_contract::reconcile::{Counts, Difference, Healing, Line, MOST_PAGES, Reconciled, Report};
use xacminh_contract::refusal::RefusalCode;
use xacminh_contract::trace::Trace;
use xacminh_domain::Timestamp;
use xacminh_domain::calendar::local_date;
use xacminh_domain::id::{MessageId, OfficeId, RequestId};
use xacminh_domain::reconcile as domain;
use xacminh_store::outbox::Letter;
use xacminh_store::reconcile::{self as store, NewDifference, Whole};
use xacminh_store::{PgConnection, ledger};

use crate::composing::{self, Receipts};
use crate::error::Error;

/// How many receipts come again in one message.
const RECEIPTS: usize = 50;

/// Whether a page can be compared at all.
pub(crate) fn look(report: &Report, now: Timestamp) -> Result<(), Refusal> {
    let day = report.day.0;
    if !domain::may_be_reported(day, local_date(now)) {
        let detail = Some(format!("expected today or one of the {} days before", domain::DAYS));
        return Err(Refusal { detail, ..RefusalCode::DateImpossible.at("/day") });
    }
    for (number, name) in [(report.pages, "/pages"), (report.page, "/page")] {
        if number == 0 || number > MOST_PAGES || (name == "/page" && number > report.pages) {
            let detail = Some(format!("expected 1 to pages, and at most {MOST_PAGES}"));
            return Err(Refusal { detail, ..RefusalCode::FieldInvalid.at(name) });
        }
    }
    for (list, name) in [(&report.sent, "sent"), (&report.received, "received")] {
        if let Some(index) = list.iter().position(|id| !domain::is_of(id.0, day)) {
            let detail = Some("expected a message-id of this day".to_owned());
            return Err(Refusal { detail, ..RefusalCode::FieldInvalid.at(format!("/{name}/{index}")) });
        }
    }
    Ok(())
}

/// Compares what is whole; gives the letters that follow, and each difference.
pub(crate) async fn compare(
    tx: &mut PgConnection,
    now: Timestamp,
    reports: &[(OfficeId, Trace, Report)],
) -> Result<(Vec<Letter>, Vec<(Difference, Healing)>), Error> {
    let (mut letters, mut differences) = (Vec::new(), Vec::new());
    // In one order everywhere, since pages of an office meet under a lock.
    let mut reports: Vec<_> = reports.iter().collect();
    reports.sort_by_key(|(office, _, report)| (*office, report.day));
    for (office, trace, report) in reports {
        let Some(whole) = store::take_page(tx, *office, report).await? else { continue };
        let found = compare_one(tx, now, *office, *trace, &whole).await?;
        differences.extend(found.differences.iter().map(|line| (line.difference, line.healing)));
        letters.extend(found.letters.into_iter().map(|letter| composing::traced(letter, *trace)));
    }
    Ok((letters, differences))
}

struct Found {
    differences: Vec<Line>,
    letters: Vec<Letter>,
}

async fn compare_one(
    tx: &mut PgConnection,
    now: Timestamp,
    office: OfficeId,
    trace: Trace,
    whole: &Whole,
) -> Result<Found, Error> {
    let taken = store::taken(tx, office, whole.day).await?;
    let sent = store::letters(tx, office, whole.day).await?;
    let compared = domain::compare(
        &whole.sent,
        &whole.received,
        &taken.iter().map(|(row, _)| row.taken).collect::<Vec<_>>(),
        &sent.iter().map(|(letter, ..)| *letter).collect::<Vec<_>>(),
        now,
    );

    // What is known about the messages that differ.
    let mut known: HashMap<MessageId, (Option<String>, Option<RequestId>)> = HashMap::new();
    for (row, name) in taken {
        known.insert(row.taken.id, (name, row.request));
    }
    for (letter, name, request) in sent {
        known.insert(letter.id, (Some(name), Some(request)));
    }
    let of = |id: &MessageId| known.get(id).cloned().unwrap_or_default();
    let requests: Vec<RequestId> = compared.lines.iter().filter_map(|line| of(&line.id).1).collect();
    let states = store::states(tx, &requests).await?;
    let differences: Vec<Line> = compared
        .lines
        .iter()
        .map(|line| {
            let (message_type, request) = of(&line.id);
            let state = request.and_then(|id| states.get(&id));
            Line {
                message_id: line.id.into(),
                difference: line.difference.into(),
                healing: line.healing.into(),
                message_type,
                request_id: request.map(Into::into),
                state: state.map(|(state, _)| *state),
                answered: state.and_then(|(_, code)| *code),
            }
        })
        .collect();

    let kept: Vec<NewDifference> = differences
        .iter()
        .map(|line| NewDifference {
            id: line.message_id.0,
            difference: line.difference,
            healing: line.healing,
            message_type: line.message_type.clone(),
            request: line.request_id.as_ref().map(|id| id.0),
        })
        .collect();
    store::keep(tx, office, whole, now, &compared, &kept).await?;

    let counts = |c: &domain::Counts| {
        let n = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Counts { yours: n(c.theirs), ours: n(c.ours), agreed: n(c.agreed) }
    };
    let result = Reconciled {
        day: whole.day.into(),
        made_at: whole.made_at.into(),
        at: now.into(),
        page: 1,
        pages: 1,
        sent: counts(&compared.sent),
        received: counts(&compared.received),
        differences,
    };
    let mut letters = composing::reconciled(office, &result, now);
    letters.extend(heal(tx, now, office, trace, &result.differences).await?);
    Ok(Found { differences: result.differences, letters })
}

/// Sends again what the office lost.
async fn heal(
    tx: &mut PgConnection,
    now: Timestamp,
    office: OfficeId,
    trace: Trace,
    differences: &[Line],
) -> Result<Vec<Letter>, Error> {
    let with = |healing| differences.iter().filter(move |line| line.healing == healing);
    let lost: Vec<MessageId> = with(Healing::SentAgain).map(|line| line.message_id.0).collect();
    let again = store::send_again(tx, office, &lost).await?;
    if again > 0 {
        tracing::info!(office.id = %office, messages = again, "lost by an office; sent again under the same ids");
    }
    let mut letters = Vec::new();
    let commands: Vec<MessageId> = with(Healing::ReceiptAgain).map(|line| line.message_id.0).collect();
    for some in store::receipts(tx, office, &commands).await?.chunks(RECEIPTS) {
        let mut receipts = Receipts::default();
        for (bytes, request) in some {
            receipts.add(office, bytes.clone(), *request, trace);
        }
        letters.extend(receipts.letters(now));
    }
    // Work that was taken back comes with the word that nothing is to be done.
    let withdrawn: HashSet<RequestId> = with(Healing::SentAgain)
        .filter(|line| line.state == Some(State::Withdrawn))
        .filter_map(|line| line.request_id.as_ref().map(|id| id.0))
        .collect();
    let ids: Vec<RequestId> = withdrawn.into_iter().collect();
    if !ids.is_empty() {
        let requests = ledger::read(tx, &ids).await?;
        letters.extend(requests.values().map(|chained| composing::withdrawn(&chained.request, now)));
    }
    Ok(letters)
}
