//! The messages that follow from what happened, as letters for the outbox.

use uuid::Uuid;
use xacminh_contract::answer::{self, Give, Sentence};
use xacminh_contract::envelope;
use xacminh_contract::notice::{For, Item, Notice, Topic};
use xacminh_contract::receipt::Warning;
use xacminh_contract::reconcile::{Line, Reconciled};
use xacminh_contract::request::{Deliver, HomeResolved, OfficeCard, Submit};
use xacminh_contract::trace::{Trace, TraceId};
use xacminh_contract::values::{Handler, Instant};
use xacminh_domain::answer::muc;
use xacminh_domain::calendar::local_date;
use xacminh_domain::id::{MessageId, OfficeId, RequestId};
use xacminh_domain::request::Request;
use xacminh_domain::unit::UnitRef;
use xacminh_domain::wording::{Fill, WordingError};
use xacminh_domain::{Date, Timestamp};
use xacminh_store::delivery::NewDelivery;
use xacminh_store::outbox::{Letter, Mark};
use xacminh_store::reference::Reference;
use xacminh_trust::naming;

use crate::core::new_id;
use crate::error::Error;

/// How many differences a result tells a page.
const LINES: usize = 200;

/// An office as others see it. Its own number, or the one to call instead.
pub(crate) fn card(reference: &Reference, office: OfficeId) -> Result<OfficeCard, Error> {
    let found = reference.directory.office(&office).ok_or(Error::Office(office))?;
    let phone = found.phone.as_ref().or(found.fallback_phone.as_ref()).cloned().unwrap_or_default();
    Ok(OfficeCard { office: office.into(), name: found.name.clone(), phone })
}

/// Begins a trace of its own, unless [`traced`] gives it that of its cause.
pub(crate) fn letter(office: OfficeId, of: &str, about: Option<RequestId>, now: Timestamp, body: Vec<u8>) -> Letter {
    let message_id = new_id(now);
    Letter {
        office,
        message_id,
        message_type: of.to_owned(),
        request_id: about,
        mark: None,
        created_at: now,
        traceparent: Some(Trace::from(TraceId::begun_by(message_id)).traceparent(message_id)),
        body,
    }
}

/// Work or an answer has the id that follows from the command which caused it. Should the command come
/// again to a store that has lost both, the office gets its message again under the id it knows.
pub(crate) fn following(letter: Letter, sender: OfficeId, cause: MessageId) -> Letter {
    let about = letter.request_id.map_or(cause.uuid(), |id| id.uuid());
    let id = naming::following(&letter.message_type, sender.as_str(), cause.uuid().as_bytes(), about.as_bytes());
    Letter { message_id: Uuid::from_bytes(id), ..letter }
}

fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    // The contract's messages are plain structs, which always serialise.
    serde_json::to_vec(value).unwrap_or_default()
}

/// The work for H.
pub(crate) fn deliver(
    request: &Request,
    submit: &Submit,
    warnings: Vec<Warning>,
    reference: &Reference,
    now: Timestamp,
) -> Result<NewDelivery, Error> {
    let opening = &request.opening;
    let today = local_date(now);
    let home = match (&submit.home.code, submit.home.as_of, &submit.home.name) {
        (Some(code), Some(as_of), _) => {
            reference.directory.address_words(&UnitRef { code: code.0, as_of: as_of.0 }, today)
        }
        (_, _, Some(name)) => {
            let mut words = name.0.clone();
            for part in [&submit.home.district, &submit.home.province].into_iter().flatten() {
                words.push_str(", ");
                words.push_str(&part.0);
            }
            let now_called = reference.directory.address_words(&UnitRef { code: opening.home, as_of: today }, today);
            format!("{words} (nay là {now_called})")
        }
        _ => reference.directory.address_words(&UnitRef { code: opening.home, as_of: today }, today),
    };
    let body = Deliver {
        request_id: request.id.into(),
        case_code: opening.case_code.clone(),
        kind: opening.kind.into(),
        lane: opening.lane.into(),
        purpose: opening.purpose.into(),
        requester: card(reference, opening.requester)?,
        home: HomeResolved { unit: opening.home.into(), words: home },
        received_on: opening.received_on.into(),
        submitted_at: request.at.submitted.into(),
        file_due_on: request.file_due.as_ref().map(|due| due.on.into()),
        lookup: opening.lookup.into(),
        questions: opening.questions.iter().map(|q| (*q).into()).collect(),
        person: submit.person.clone(),
        note: submit.note.clone(),
        warnings,
    };
    let letter = letter(opening.responder, envelope::REQUEST_DELIVER, Some(request.id), now, json(&body));
    Ok(NewDelivery {
        request: request.id,
        letter: Letter { mark: Some(Mark::Sent), ..letter },
        lane: opening.lane,
        due_on: request.file_due.as_ref().map(|due| due.on),
    })
}

/// The result for W, with the sentence its counter reads out.
pub(crate) fn answered(
    request: &Request,
    give: &Give,
    late: bool,
    reference: &Reference,
    now: Timestamp,
) -> Result<Letter, Error> {
    let opening = &request.opening;
    let responder = card(reference, opening.responder)?;
    let body = answer::Deliver {
        request_id: request.id.into(),
        case_code: opening.case_code.clone(),
        code: give.code,
        fields: give.fields.clone(),
        basis: give.basis,
        cause: give.cause,
        dwelling_status: give.dwelling_status.clone(),
        period: give.period.clone(),
        moved_to: give.moved_to.clone(),
        answered_at: Instant(now),
        late,
        bulk: give.bulk,
        sentence: sentence(request, give, reference, now)?,
        responder,
        note: give.note.clone(),
    };
    let letter = letter(opening.requester, envelope::ANSWER_DELIVER, Some(request.id), now, json(&body));
    Ok(Letter { mark: Some(Mark::AnswerSent), ..letter })
}

fn sentence(request: &Request, give: &Give, reference: &Reference, now: Timestamp) -> Result<Sentence, Error> {
    let requester = card(reference, request.opening.requester)?;
    let responder = card(reference, request.opening.responder)?;
    let domain = give.to_domain();
    let muc = muc(&domain);
    let on = local_date(now);
    let promised: Option<Date> = request.opening.promised_on.or(request.file_due.as_ref().map(|d| d.on));
    // A day that has passed is no promise: nobody may be told to come or to hand in on it.
    let appointment = promised.filter(|day| *day >= on);
    let fill = Fill {
        requester: &requester.name,
        phone: &requester.phone,
        responder: &responder.name,
        muc: muc.as_deref(),
        can_cu: domain.basis.map(|b| b.words()),
        appointment,
        supplement_by: appointment,
    };
    let code = give.code.as_str();
    let render = |variant: &str| reference.wording.render(&format!("{code}{variant}"), on, fill);
    // Texts that name a day have one for a day that has passed, and one for no day at all: a request
    // without appointment and legal limit has none to tell.
    let rendered = match render("") {
        Err(WordingError::Unfilled(_)) if promised.is_some() => {
            render(".day_passed").or_else(|_| render(".no_date"))?
        }
        Err(WordingError::Unfilled(_)) => render(".no_date")?,
        other => other?,
    };
    Ok(Sentence { text: rendered.text, text_version: rendered.version, office: requester.name, phone: requester.phone })
}

/// What W and its officers are told at once when a request was taken back.
pub(crate) fn withdrawn(request: &Request, now: Timestamp) -> Letter {
    let case = &request.opening.case_code;
    let item = Item {
        topic: Topic::Withdrawn,
        for_whom: if request.handler.is_some() { For::Handler } else { For::Deputy },
        handler: request.handler.clone().map(Handler),
        request_id: Some(request.id.into()),
        case_code: Some(case.clone()),
        due_on: None,
        office: None,
        office_name: None,
        phone: None,
        count: None,
        oldest_due_on: None,
        why: Vec::new(),
        sentence: format!("Nơi hỏi đã rút yêu cầu của hồ sơ {case}: không cần trả lời nữa."),
        sentence_en: format!("The asking office withdrew the request of file {case}: no answer is needed."),
    };
    notice(request.opening.responder, Some(request.id), vec![item], now)
}

/// A digest.
pub(crate) fn notice(office: OfficeId, about: Option<RequestId>, items: Vec<Item>, now: Timestamp) -> Letter {
    letter(office, envelope::NOTICE, about, now, json(&Notice { items }))
}

/// What a report of a day gets back: so many pages as its differences need.
pub(crate) fn reconciled(office: OfficeId, whole: &Reconciled, now: Timestamp) -> Vec<Letter> {
    // A line has some 300 bytes at most, and a body 64 KiB.
    let chunks: Vec<&[Line]> =
        if whole.differences.is_empty() { vec![&[]] } else { whole.differences.chunks(LINES).collect() };
    let pages = u16::try_from(chunks.len()).unwrap_or(u16::MAX);
    (1..)
        .zip(chunks)
        .map(|(page, lines)| {
            let body = Reconciled { page, pages, differences: lines.to_vec(), ..whole.clone() };
            letter(office, envelope::RECONCILE_RESULT, None, now, json(&body))
        })
        .collect()
}

/// The receipts of a batch: one message for each office, in the order of its commands.
#[derive(Default)]
pub(crate) struct Receipts(Vec<(OfficeId, OfficeReceipts)>);

#[derive(Default)]
struct OfficeReceipts {
    /// The bytes they were first made of, since a repeat gets the very same.
    items: Vec<Vec<u8>>,
    about: Vec<Option<RequestId>>,
    traces: Vec<Trace>,
}

impl Receipts {
    /// Adds one, the request it is about, and the trace of its command.
    pub(crate) fn add(&mut self, office: OfficeId, item: Vec<u8>, about: Option<RequestId>, trace: Trace) {
        let index = self.0.iter().position(|(o, _)| *o == office).unwrap_or_else(|| {
            self.0.push((office, OfficeReceipts::default()));
            self.0.len() - 1
        });
        self.0[index].1.items.push(item);
        self.0[index].1.about.push(about);
        self.0[index].1.traces.push(trace);
    }

    /// The letters. One about several requests correlates with none, one about several traces
    /// begins its own.
    pub(crate) fn letters(self, now: Timestamp) -> impl Iterator<Item = Letter> {
        self.0.into_iter().map(move |(office, OfficeReceipts { items, about, traces })| {
            let same = about.first().copied().flatten().filter(|id| about.iter().all(|a| *a == Some(*id)));
            let mut body = br#"{"items":["#.to_vec();
            body.extend_from_slice(&items.join(&b','));
            body.extend_from_slice(b"]}");
            let letter = letter(office, envelope::RECEIPT, same, now, body);
            match traces.first().filter(|first| traces.iter().all(|trace| trace == *first)) {
                Some(trace) => traced(letter, *trace),
                None => letter,
            }
        })
    }
}

/// The bytes of one receipt, kept for repeats.
pub(crate) fn item(item: &xacminh_contract::receipt::Item) -> Vec<u8> {
    json(item)
}

/// A letter goes on with the trace of what caused it, as a hop of its own.
pub(crate) fn traced(letter: Letter, trace: Trace) -> Letter {
    Letter { traceparent: Some(trace.traceparent(letter.message_id)), ..letter }
}

#[cfg(test)]
mod tests {
    use xacminh_contract::receipt::Receipt;
    use xacminh_contract::schema;

    use super::*;

    #[test]
    fn kept_receipt_bytes_make_a_receipt_again() {
        let example = schema::messages().into_iter().find(|m| m.name == "receipt").unwrap().example;
        let receipt: Receipt = serde_json::from_value(example).unwrap();
        let now: Timestamp = "2026-11-19T08:00:00+07:00".parse().unwrap();
        let trace = Trace::from(TraceId::begun_by(new_id(now)));
        let mut receipts = Receipts::default();
        for one in &receipt.items {
            receipts.add("vpa2b3c4".parse().unwrap(), item(one), None, trace);
        }
        let letter = receipts.letters(now).next().unwrap();
        assert_eq!(serde_json::from_slice::<Receipt>(&letter.body).unwrap(), receipt);
        assert_eq!(letter.message_id.get_version_num(), 7);
    }
}
