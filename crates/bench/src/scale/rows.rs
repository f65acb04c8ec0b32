//! What the tables hold of a life: the columns that the store's own statements write, for COPY.

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use rand::rngs::StdRng;
use uuid::Uuid;
use xacminh_contract::answer::{self, Sentence};
use xacminh_contract::envelope::{ANSWER_DELIVER, CommandType, REQUEST_DELIVER};
use xacminh_contract::ledger::{ClockCause, Trigger};
use xacminh_contract::receipt::{Item, Outcome};
use xacminh_contract::request::{Deliver, HomeResolved, Kind, Purpose};
use xacminh_contract::trace::{Trace, TraceId};
use xacminh_contract::values::Instant;
use xacminh_domain::answer::AnswerCode;
use xacminh_domain::request::{Event, Lookup, State};
use xacminh_store::outbox;
use xacminh_trust::naming;

use super::copy::{Rows, Table};
use super::life::{Ground, Life, Taken};

/// How long sent letters are kept: as long as their day may be reported.
const LETTERS: SignedDuration = SignedDuration::from_hours(24 * 14);

/// Writes all rows of a life.
pub(crate) fn write(ground: &Ground, life: &Life<'_>, rows: &mut Rows, rng: &mut StdRng) -> Result<()> {
    let id = life.chained.request.id.uuid();
    let begun = life.chained.request.at.submitted;
    for row in &life.rows {
        rows.row(Table::Events, begun).uuid(id).int(row.seq).at(row.at).bytes(row.hash.as_bytes()).bytes(&row.body);
    }
    projection(life, rows);
    for taken in &life.taken {
        rows.row(Table::Inbox, taken.at)
            .uuid(taken.id.uuid())
            .text(taken.by.as_str())
            // Of a body that nobody kept.
            .bytes(&rng.random::<[u8; 32]>())
            .at(taken.at)
            .text(taken.of.short())
            .uuid(id)
            .opt(receipt(life, taken)?, |row, bytes| row.bytes(&bytes))
            .flag(false);
    }
    for (event, at) in &life.fired {
        let Event::RungFired { trigger, rung, clock_start, due_at, target } = event else { continue };
        rows.row(Table::Rungs, begun)
            .uuid(id)
            .text(Trigger::from(*trigger).as_str())
            .small(i16::from(*rung))
            .at(*clock_start)
            .at(*due_at)
            .at(*at)
            .opt(*target, |row, office| row.text(office.as_str()));
    }
    if let Some(due) = life.timer {
        timer(life, due, rows);
        sealed(ground, life, rows)?;
    }
    letters(ground, life, rows)
}

/// As `store/src/request.rs` inserts and updates it.
fn projection(life: &Life<'_>, rows: &mut Rows) {
    let (chained, request) = (&life.chained, &life.chained.request);
    let (opening, at) = (&request.opening, &request.at);
    let clock = request.clock.as_ref();
    rows.row(Table::Requests, at.submitted)
        .uuid(request.id.uuid())
        .text(opening.requester.as_str())
        .text(opening.responder.as_str())
        .text(&life.ward.province)
        .text(&life.home.province)
        .text(&opening.home.to_string())
        .text(Kind::from(opening.kind).as_str())
        .text(opening.lane.as_str())
        .flag(opening.lookup == Lookup::Pending)
        .text(&opening.case_code)
        .on(opening.received_on)
        .text(request.state.as_str())
        .int(chained.seq)
        .bytes(chained.head.as_bytes())
        .at(at.submitted)
        .opt(at.sent, |row, at| row.at(at))
        .opt(at.delivered, |row, at| row.at(at))
        .opt(at.opened, |row, at| row.at(at))
        .opt(at.answered, |row, at| row.at(at))
        .opt(at.answer_sent, |row, at| row.at(at))
        .opt(at.read, |row, at| row.at(at))
        .opt(at.withdrawn, |row, at| row.at(at))
        .opt(request.file_due.as_ref(), |row, due| row.on(due.on))
        .opt(clock, |row, (cause, _)| row.text(ClockCause::from(*cause).as_str()))
        .opt(clock, |row, (_, clock)| row.at(clock.started_at))
        .opt(clock, |row, (_, clock)| row.on(clock.accept.on))
        .opt(clock, |row, (_, clock)| row.on(clock.answer.on))
        .opt(clock, |row, (_, clock)| row.at(clock.answer.due_at))
        .opt(clock, |row, (_, clock)| row.text(&clock.answer.calendar.to_string()))
        .opt(request.answer, |row, (code, ..)| row.text(code.code()))
        .opt(request.answer, |row, (_, late, _)| row.flag(late))
        .opt(request.handler.as_ref(), |row, handler| row.text(handler.as_str()))
        .small(request.fired.iter().map(|fired| i16::from(fired.rung)).max().unwrap_or(0))
        .opt(opening.received_at, |row, at| row.at(at))
        .text(Purpose::from(opening.purpose).as_str());
}

/// As `store/src/timer.rs` begins and sets it.
fn timer(life: &Life<'_>, due: Timestamp, rows: &mut Rows) {
    let request = &life.chained.request;
    let clock = request.clock.as_ref();
    rows.row(Table::Timers, request.at.submitted)
        .uuid(request.id.uuid())
        .at(due)
        .text(request.opening.requester.as_str())
        .text(request.opening.responder.as_str())
        .text(&life.ward.province)
        .text(&life.home.province)
        .at(request.at.submitted)
        .flag(request.opening.lookup == Lookup::Pending)
        .text(request.state.as_str())
        .opt(clock, |row, (cause, _)| row.text(ClockCause::from(*cause).as_str()))
        .opt(clock, |row, (_, clock)| row.at(clock.answer.due_at));
}

/// The first receipt of what gets one, as `services/src/judging.rs` gives it.
fn receipt(life: &Life<'_>, taken: &Taken) -> Result<Option<Vec<u8>>> {
    let request = &life.chained.request;
    let submit = taken.of == CommandType::RequestSubmit;
    let state = match taken.of {
        CommandType::RequestSubmit => State::Submitted,
        CommandType::RequestWithdraw => State::Withdrawn,
        CommandType::AnswerGive => State::Answered,
        CommandType::RequestReceived
        | CommandType::RequestOpened
        | CommandType::AnswerRead
        | CommandType::FileClose
        | CommandType::ReconcileReport => return Ok(None),
    };
    let item = Item {
        message_id: Some(taken.id.into()),
        command: Some(taken.of.wire()),
        request_id: Some(request.id.into()),
        outcome: Outcome::Accepted,
        at: taken.at.into(),
        refusal: None,
        warnings: Vec::new(),
        duplicate_of: None,
        state: Some(state.into()),
        answered: request.answer.filter(|_| state == State::Answered).map(|(code, ..)| code.into()),
        responder: submit.then(|| life.home.card.clone()),
        file_due_on: request.file_due.as_ref().filter(|_| submit).map(|due| due.on.into()),
        late: state == State::Answered && request.answer.is_some_and(|(_, late, _)| late),
    };
    Ok(Some(serde_json::to_vec(&item)?))
}

/// The person, and the answer if there is one. Of what is over they were erased.
fn sealed(ground: &Ground, life: &Life<'_>, rows: &mut Rows) -> Result<()> {
    let request = &life.chained.request;
    let (id, begun) = (request.id.uuid(), request.at.submitted);
    let (key, wrapped) = ground.keys.new_data_key()?;
    rows.row(Table::Persons, begun)
        .uuid(id)
        .bytes(wrapped.as_ref())
        .bytes(&key.seal(id.as_bytes(), &life.somebody.plain)?);
    if request.answer.is_some() {
        let plain = format!("{{\"request_id\":\"{id}\",\"code\":\"A01\",\"answered_by\":\"cb-017\"}}");
        rows.row(Table::Answers, begun).uuid(id).bytes(&key.seal(id.as_bytes(), plain.as_bytes())?);
    }
    Ok(())
}

/// Work on its way, and letters whose day may still be reported.
fn letters(ground: &Ground, life: &Life<'_>, rows: &mut Rows) -> Result<()> {
    let request = &life.chained.request;
    let at = &request.at;
    let (id, begun) = (request.id.uuid(), at.submitted);
    let since = ground.now - LETTERS;
    let trace = |letter: Uuid| Trace::from(TraceId::begun_by(id)).traceparent(letter);
    let named = |kind: &str, taken: &Taken| {
        Uuid::from_bytes(naming::following(kind, taken.by.as_str(), taken.id.uuid().as_bytes(), id.as_bytes()))
    };
    let Some(submit) = life.taken.first() else { return Ok(()) };
    if life.on_its_way.is_some() || begun > since {
        let letter = named(REQUEST_DELIVER, submit);
        let body = ground.keys.seal(letter.as_bytes(), &serde_json::to_vec(&work(life))?)?;
        if let Some(sent) = life.on_its_way {
            rows.row(Table::Deliveries, begun)
                .uuid(id)
                .small(outbox::shard(life.home.office))
                .text(life.home.office.as_str())
                .uuid(letter)
                .small(1) // of the normal lane
                .day_or_never(request.file_due.as_ref().map(|due| due.on))
                .at(begun)
                .text(&trace(letter))
                .bytes(&body)
                .opt(at.sent.filter(|_| sent), |row, at| row.at(at))
                .opt(at.sent.filter(|_| sent), |row, at| row.at(at));
        } else if at.delivered.is_some() || at.withdrawn.is_some() {
            rows.row(Table::SentLetters, begun)
                .text(life.home.office.as_str())
                .uuid(letter)
                .text(REQUEST_DELIVER)
                .uuid(id)
                .at(begun)
                .text(&trace(letter))
                .bytes(&body)
                .opt(at.sent, |row, at| row.at(at));
        }
    }
    let given = life.taken.iter().find(|taken| taken.of == CommandType::AnswerGive);
    if let (Some(given), Some(answered)) = (given, at.answered.filter(|at| *at > since)) {
        let letter = named(ANSWER_DELIVER, given);
        let body = serde_json::to_vec(&result(life, answered))?;
        rows.row(Table::SentLetters, begun)
            .text(life.ward.office.as_str())
            .uuid(letter)
            .text(ANSWER_DELIVER)
            .uuid(id)
            .at(answered)
            .text(&trace(letter))
            .bytes(&ground.keys.seal(letter.as_bytes(), &body)?)
            .opt(at.answer_sent, |row, at| row.at(at));
    }
    Ok(())
}

fn work(life: &Life<'_>) -> Deliver {
    let request = &life.chained.request;
    let opening = &request.opening;
    Deliver {
        request_id: request.id.into(),
        case_code: opening.case_code.clone(),
        kind: opening.kind.into(),
        lane: opening.lane.into(),
        purpose: opening.purpose.into(),
        requester: life.ward.card.clone(),
        home: HomeResolved { unit: opening.home.into(), words: life.home.words.clone() },
        received_on: opening.received_on.into(),
        submitted_at: request.at.submitted.into(),
        file_due_on: request.file_due.as_ref().map(|due| due.on.into()),
        lookup: opening.lookup.into(),
        questions: opening.questions.iter().map(|question| (*question).into()).collect(),
        person: life.somebody.wire.clone(),
        note: None,
        warnings: Vec::new(),
    }
}

fn result(life: &Life<'_>, answered: Timestamp) -> answer::Deliver {
    let request = &life.chained.request;
    answer::Deliver {
        request_id: request.id.into(),
        case_code: request.opening.case_code.clone(),
        code: AnswerCode::Confirmed.into(),
        fields: Vec::new(),
        basis: None,
        cause: None,
        dwelling_status: None,
        period: None,
        moved_to: None,
        responder: life.home.card.clone(),
        answered_at: Instant(answered),
        late: request.answer.is_some_and(|(_, late, _)| late),
        bulk: false,
        sentence: Sentence {
            // About as long as the citizen's text of this answer.
            text: life.home.words.repeat(3),
            text_version: "bench".to_owned(),
            office: life.ward.card.name.clone(),
            phone: life.ward.card.phone.clone(),
        },
        note: None,
    }
}
