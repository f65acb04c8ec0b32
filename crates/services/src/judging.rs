//! What becomes of one command: the events, the letters, the receipt. Nothing is stored here.

use std::collections::HashMap;

use jiff::SignedDuration;
use xacminh_contract::answer::{Code, Give};
use xacminh_contract::decode::Command;
use xacminh_contract::envelope::CommandType;
use xacminh_contract::receipt::{HomeCandidate, Item, Outcome, Refusal, Warning};
use xacminh_contract::reconcile::Report;
use xacminh_contract::refusal::{RefusalCode, not_after, of_denied};
use xacminh_contract::request::{Home, Submit};
use xacminh_contract::trace::Trace;
use xacminh_contract::values::Instant;
use xacminh_domain::calendar::local_date;
use xacminh_domain::directory::{HomeRef, HomeWords, Resolution};
use xacminh_domain::id::{MessageId, OfficeId, RequestId};
use xacminh_domain::person::{Origin, Person};
use xacminh_domain::request::{self as domain, Denied, Event, Lookup, OpenContext, Opening};
use xacminh_domain::unit::UnitRef;
use xacminh_domain::{Date, Timestamp};
use xacminh_store::delivery::NewDelivery;
use xacminh_store::ledger::{Cause, Chained, LedgerRow};
use xacminh_store::outbox::Letter;
use xacminh_store::person::NewPerson;
use xacminh_store::reference::Reference;
use xacminh_trust::key::KeyRing;

use crate::composing;
use crate::core::counting;
use crate::error::Error;
use crate::reconciling;

/// A command with a provable sender and a readable body.
pub(crate) struct Ready {
    pub(crate) sender: OfficeId,
    pub(crate) message_id: MessageId,
    pub(crate) of: CommandType,
    pub(crate) command: Command,
    pub(crate) client_at: Option<Timestamp>,
    /// The trace that goes on with it: the one it came with, or its request's.
    pub(crate) trace: Trace,
}

impl Ready {
    /// The request it is about.
    pub(crate) fn request_id(&self) -> RequestId {
        self.command.request_id().map_or(RequestId::of(self.message_id), |id| id.0)
    }
}

/// What is known and what was done, for a batch of commands.
pub(crate) struct Bench<'a> {
    pub(crate) now: Timestamp,
    pub(crate) reference: &'a Reference,
    pub(crate) keys: &'a KeyRing,
    /// Requests that exist, those of this batch included.
    pub(crate) requests: HashMap<RequestId, Chained>,
    pub(crate) done: Done,
}

/// What has to be stored.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) rows: Vec<LedgerRow>,
    pub(crate) opened: Vec<RequestId>,
    pub(crate) changed: Vec<RequestId>,
    pub(crate) persons: Vec<NewPerson>,
    pub(crate) answers: Vec<(RequestId, Vec<u8>)>,
    pub(crate) deliveries: Vec<NewDelivery>,
    pub(crate) letters: Vec<Letter>,
    pub(crate) seen: Vec<(RequestId, Event)>,
    pub(crate) reports: Vec<(OfficeId, Trace, Report)>,
}

/// The receipt of a command; none for what needs none.
pub(crate) type Judged = Result<Option<Item>, Error>;

impl Bench<'_> {
    /// Judges one command.
    pub(crate) fn judge(&mut self, ready: &Ready) -> Judged {
        match &ready.command {
            Command::Submit(submit) => self.submit(ready, submit),
            Command::Withdraw(c) => self.change(ready, domain::Command::Withdraw(c.reason.into()), None),
            Command::Received(_) => self.change(ready, domain::Command::Receive, None),
            Command::Opened(c) => self.change(ready, domain::Command::Open(c.handler.clone().map(|h| h.0)), None),
            Command::Give(give) => {
                let plain = serde_json::to_vec(give).unwrap_or_default();
                let digest = *self.keys.digest("answer", &plain).as_bytes();
                self.change(ready, domain::Command::Answer(Box::new(give.to_domain()), digest), Some((give, plain)))
            }
            Command::Read(_) => self.change(ready, domain::Command::Read, None),
            Command::CloseFile(c) => self.change(ready, domain::Command::CloseFile(c.form.into(), c.closed_on.0), None),
            Command::Reconcile(report) => Ok(match reconciling::look(report, self.now) {
                Ok(()) => {
                    self.done.reports.push((ready.sender, ready.trace, report.clone()));
                    None
                }
                Err(refusal) => Some(self.refuse(ready, refusal)),
            }),
        }
    }

    fn submit(&mut self, ready: &Ready, submit: &Submit) -> Judged {
        let id = RequestId::of(ready.message_id);
        if self.requests.contains_key(&id) {
            // The sender's own repeat was recognised before; this id belongs to another office.
            return Ok(Some(self.refuse(ready, RefusalCode::IdReused.refusal())));
        }
        let today = local_date(self.now);
        let home = match resolve(&submit.home, self.reference, today) {
            Ok(home) => home,
            Err(refusal) => return Ok(Some(self.refuse(ready, refusal))),
        };
        let person = person(submit);
        let sealed = serde_json::to_vec(&serde_json::json!({ "person": submit.person, "note": submit.note }))
            .unwrap_or_default();
        let opening = Opening {
            requester: ready.sender,
            responder: home.office,
            home: home.unit,
            kind: submit.kind.into(),
            lane: submit.lane.into(),
            lane_reason: submit.lane_reason.map(Into::into),
            purpose: submit.purpose.into(),
            lookup: submit.lookup.into(),
            case_code: submit.case_code.0.clone(),
            received_on: submit.received_on.0,
            received_at: submit.received_at.map(|at| at.0),
            promised_on: submit.promised_on.map(|on| on.0),
            questions: submit.questions.iter().map(|q| (*q).into()).collect(),
            person_digest: *self.keys.digest("person", &sealed).as_bytes(),
        };
        let known = |prefix: &str| known_prefix(self.reference, prefix);
        let context = OpenContext {
            calendar: self.reference.calendar_of(ready.sender),
            rules: &self.reference.rules,
            known_prefix: &known,
        };
        let opened = match domain::open(opening, &person, self.now, context) {
            Ok(opened) => opened,
            Err(denied) => return self.deny(ready, denied, None).map(Some),
        };
        let mut warnings: Vec<Warning> = opened.warnings.into_iter().map(Into::into).collect();
        warnings.extend(home.warnings.into_iter().map(Warning::from));
        if submit.lookup == Lookup::Pending.into() {
            warnings.push(Warning::LookupPending);
        }
        let cause = Cause { resubmits: submit.resubmits.as_ref().map(|of| of.0), ..cause(ready) };
        let Some((chained, row)) = Chained::begin(id, self.now, &opened.event, cause) else {
            return Ok(None);
        };
        let mut delivery = composing::deliver(&chained.request, submit, warnings.clone(), self.reference, self.now)?;
        let item = Item {
            warnings,
            responder: Some(composing::card(self.reference, chained.request.opening.responder)?),
            file_due_on: chained.request.file_due.as_ref().map(|due| due.on.into()),
            ..self.accept(ready, &chained)
        };
        delivery.letter = composing::following(delivery.letter, ready.sender, ready.message_id);
        delivery.letter = composing::traced(delivery.letter, ready.trace);
        self.done.deliveries.push(delivery);
        self.done.rows.push(row);
        self.done.opened.push(id);
        self.done.persons.push(NewPerson { request: id, plain: sealed });
        self.done.seen.push((id, opened.event));
        self.requests.insert(id, chained);
        Ok(Some(item))
    }

    fn change(&mut self, ready: &Ready, command: domain::Command, answer: Option<(&Give, Vec<u8>)>) -> Judged {
        let id = ready.request_id();
        let Some(chained) = self.requests.get_mut(&id) else {
            return Ok(Some(self.refuse(ready, RefusalCode::RequestUnknown.refusal())));
        };
        let events = match chained.request.decide(
            ready.sender,
            &command,
            self.now,
            counting(self.reference, chained.request.opening.responder),
        ) {
            Ok(events) => events,
            Err(denied) => return self.deny(ready, denied, Some(id)).map(Some),
        };
        for event in &events {
            self.done.rows.push(chained.append(self.now, event, cause(ready)));
        }
        let (request, nothing) = (&chained.request, events.is_empty());
        let mut letters = Vec::new();
        for event in &events {
            match (event, &answer) {
                (Event::Answered { late, .. }, Some((give, _))) => {
                    let answer = composing::answered(request, give, *late, self.reference, self.now)?;
                    letters.push(composing::following(answer, ready.sender, ready.message_id));
                }
                (Event::Withdrawn { .. }, _) => letters.push(composing::withdrawn(request, self.now)),
                _ => {}
            }
        }
        let owed = matches!(ready.of, CommandType::RequestWithdraw | CommandType::AnswerGive | CommandType::FileClose);
        let unanswered = request.state.is_open() && request.file_closed.is_some() && ready.of == CommandType::FileClose;
        let item = owed.then(|| Item {
            warnings: match (nothing, unanswered) {
                (true, _) => vec![Warning::AlreadyDone],
                (false, true) => vec![Warning::ClosedUnanswered],
                (false, false) => Vec::new(),
            },
            ..self.accept(ready, &self.requests[&id])
        });
        self.done.letters.extend(letters.into_iter().map(|l| composing::traced(l, ready.trace)));
        if let (Some((_, plain)), false) = (answer, nothing) {
            self.done.answers.push((id, plain));
        }
        if !nothing {
            self.done.changed.push(id);
            self.done.seen.extend(events.into_iter().map(|event| (id, event)));
        }
        Ok(item)
    }

    fn accept(&self, ready: &Ready, chained: &Chained) -> Item {
        let answer = chained.request.answer;
        Item {
            outcome: Outcome::Accepted,
            refusal: None,
            request_id: Some(chained.request.id.into()),
            state: Some(chained.request.state.into()),
            answered: answer.map(|(code, ..)| code.into()),
            late: answer.is_some_and(|(_, late, _)| late) && ready.of == CommandType::AnswerGive,
            ..self.blank(ready)
        }
    }

    fn deny(&self, ready: &Ready, denied: Denied, about: Option<RequestId>) -> Result<Item, Error> {
        if let Denied::Rule(missing) = denied {
            return Err(missing.into());
        }
        let Some(refusal) = of_denied(denied) else {
            return Ok(self.refuse(ready, RefusalCode::RequestUnknown.refusal()));
        };
        let mut item = self.refuse(ready, refusal);
        // The loser of a crossing is told how it ended; a stranger is told nothing.
        if denied != Denied::NotYours
            && let Some(chained) = about.and_then(|id| self.requests.get(&id))
        {
            item.state = Some(chained.request.state.into());
            item.answered = chained.request.answer.map(|(code, ..)| Code::from(code));
        }
        Ok(item)
    }

    /// The receipt of a refusal.
    pub(crate) fn refuse(&self, ready: &Ready, refusal: Refusal) -> Item {
        Item { refusal: Some(refusal), request_id: ready.command.request_id().cloned(), ..self.blank(ready) }
    }

    fn blank(&self, ready: &Ready) -> Item {
        blank(Some(ready.message_id), Some(ready.of), self.now)
    }
}

/// A refused receipt with nothing in it yet.
pub(crate) fn blank(message_id: Option<MessageId>, of: Option<CommandType>, now: Timestamp) -> Item {
    Item {
        message_id: message_id.map(Into::into),
        command: of.map(CommandType::wire),
        request_id: None,
        outcome: Outcome::Refused,
        at: Instant(now),
        refusal: None,
        warnings: Vec::new(),
        duplicate_of: None,
        state: None,
        answered: None,
        responder: None,
        file_due_on: None,
        late: false,
    }
}

fn cause(ready: &Ready) -> Cause {
    Cause {
        by: Some(ready.sender),
        message_id: Some(ready.message_id),
        client_at: ready.client_at,
        resubmits: None,
        trace: Some(ready.trace.id),
    }
}

/// The time an id may carry: from 90 days back to a day ahead.
pub(crate) fn is_in_range(id: MessageId, now: Timestamp) -> bool {
    let hours = SignedDuration::from_hours;
    id.at() <= now + hours(24) && id.at() >= now - hours(90 * 24)
}

fn resolve(home: &Home, reference: &Reference, today: Date) -> Result<xacminh_domain::directory::Home, Refusal> {
    let asked = match (&home.code, home.as_of, &home.name) {
        (Some(code), Some(as_of), None) => HomeRef::Code(UnitRef { code: code.0, as_of: as_of.0 }),
        (Some(_), None, None) => return Err(RefusalCode::HomeIncomplete.at("/home/as_of")),
        (None, as_of, Some(name)) => HomeRef::Words(HomeWords {
            name: name.0.clone(),
            district: home.district.as_ref().map(|d| d.0.clone()),
            province: home.province.as_ref().map(|p| p.0.clone()),
            as_of: as_of.map(|on| on.0),
        }),
        (None, _, None) => return Err(RefusalCode::HomeIncomplete.refusal()),
        (Some(_), _, Some(_)) => {
            return Err(Refusal {
                detail: Some("either code or name, not both".to_owned()),
                ..RefusalCode::HomeIncomplete.at("/home/name")
            });
        }
    };
    match reference.directory.resolve(&asked, today) {
        Resolution::Unique(home) => Ok(home),
        Resolution::Ambiguous(candidates) => {
            let candidates = candidates.into_iter().map(candidate).collect();
            Err(RefusalCode::ambiguous(home, candidates))
        }
        Resolution::Unknown if home.code.is_some() => Err(RefusalCode::HomeUnknown.at("/home/code")),
        Resolution::Unknown => Err(RefusalCode::HomeUnknown.refusal()),
        Resolution::AsOfInFuture => Err(not_after("/home/as_of", "today", today)),
    }
}

fn candidate(c: xacminh_domain::directory::Candidate) -> HomeCandidate {
    HomeCandidate {
        unit: c.unit.into(),
        name: c.name,
        province: c.province,
        office: c.office.into(),
        office_name: c.office_name,
        share: c.share.map(Into::into),
        words: c.words,
    }
}

fn person(submit: &Submit) -> Person {
    let p = &submit.person;
    Person {
        full_name: p.full_name.0.clone(),
        birth: p.birth.0,
        person_no: p.person_no.as_ref().map(|t| t.0.clone()),
        address: p.address.as_ref().map(|t| t.0.clone()),
        origin: p.origin.as_ref().map(|o| Origin { country: o.country.0.clone(), text: o.text.0.clone() }),
    }
}

/// The first three digits are "0" and a province of the record's first day (handbook §7).
fn known_prefix(reference: &Reference, prefix: &str) -> bool {
    prefix
        .strip_prefix('0')
        .and_then(|code| code.parse().ok())
        .is_some_and(|code| reference.directory.unit_at(&code, reference.directory.record_begins()).is_some())
}
