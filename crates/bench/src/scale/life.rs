//! Lives as the product would have stored them: every event is the domain's, every link the store's.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow};
use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use rand::rngs::StdRng;
use uuid::{Builder, Uuid};
use xacminh_contract::envelope::CommandType;
use xacminh_contract::request as wire;
use xacminh_domain::answer::{Answer, AnswerCode};
use xacminh_domain::calendar::local_date;
use xacminh_domain::escalation::{self, Climb};
use xacminh_domain::id::{MessageId, OfficeId, RequestId};
use xacminh_domain::person::Person;
use xacminh_domain::request::{
    Command, Counting, Event, Lane, Lookup, OpenContext, Opening, Purpose, RequestKind, WithdrawReason, open,
};
use xacminh_store::delivery::CAP;
use xacminh_store::ledger::{Cause, Chained, LedgerRow};
use xacminh_store::reference::Reference;
use xacminh_testkit::people;
use xacminh_trust::key::KeyRing;

use super::nation::{Nation, Place};

/// How many people there are to ask about.
const PEOPLE: u32 = 5_000;

/// What a life comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Asked and taken back: two events, the shortest life that there is.
    Withdrawn,
    /// Answered and read: every event.
    Read,
    /// In life: stored by H's system, opened there, or answered and unread.
    Open(Stop),
}

/// How far an open one came. At a silent office none comes further than its inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Delivered,
    Opened,
    Answered,
}

/// Somebody who does not exist, in each form that is needed.
pub(crate) struct Somebody {
    person: Person,
    /// As it travels.
    pub(crate) wire: wire::Person,
    /// As it is sealed.
    pub(crate) plain: Vec<u8>,
    digest: [u8; 32],
}

/// What lives stand on.
pub(crate) struct Ground {
    pub(crate) reference: Reference,
    pub(crate) keys: KeyRing,
    pub(crate) nation: Nation,
    /// As of when the store is filled.
    pub(crate) now: Timestamp,
    people: Vec<Somebody>,
    /// Requests on their way, by place of their home.
    on_their_way: Vec<AtomicU32>,
}

/// A command that was taken.
pub(crate) struct Taken {
    pub(crate) id: MessageId,
    pub(crate) by: OfficeId,
    pub(crate) of: CommandType,
    pub(crate) at: Timestamp,
}

/// A life with all that is kept of it.
pub(crate) struct Life<'a> {
    pub(crate) chained: Chained,
    pub(crate) ward: &'a Place,
    pub(crate) home: &'a Place,
    pub(crate) somebody: &'a Somebody,
    pub(crate) rows: Vec<LedgerRow>,
    /// Rungs that fired, and when.
    pub(crate) fired: Vec<(Event, Timestamp)>,
    pub(crate) taken: Vec<Taken>,
    /// The instant of its timer; none when it is over.
    pub(crate) timer: Option<Timestamp>,
    /// Its work has not been confirmed by H's system; whether it was sent.
    pub(crate) on_its_way: Option<bool>,
    last: Timestamp,
}

impl Ground {
    pub(crate) fn new(reference: Reference, keys: KeyRing, nation: Nation, now: Timestamp) -> Result<Self> {
        let people = (0..PEOPLE).map(|n| somebody(&keys, n)).collect::<Result<_>>()?;
        let on_their_way = nation.places.iter().map(|_| AtomicU32::new(0)).collect();
        Ok(Self { reference, keys, nation, now, people, on_their_way })
    }

    fn counting(&self, responder: OfficeId) -> Counting<'_> {
        Counting { calendar: self.reference.calendar_of(responder), rules: &self.reference.rules }
    }

    fn climb(&self, opening: &Opening) -> Climb<'_> {
        Climb {
            ladder: &self.reference.ladder,
            counting: self.counting(opening.responder),
            ward_calendar: self.reference.calendar_of(opening.requester),
            directory: &self.reference.directory,
            outages: &[],
        }
    }

    /// The life of the `number`-th request, submitted at an instant; of this home, if one is given.
    pub(crate) fn live(
        &self,
        number: u64,
        at: Timestamp,
        fate: Fate,
        home: Option<usize>,
        rng: &mut StdRng,
    ) -> Result<Life<'_>> {
        let (ward, home) = self.nation.draw(home, rng);
        let (home, count) = (&self.nation.places[home], &self.on_their_way[home]);
        let somebody = &self.people[rng.random_range(0..self.people.len())];
        let id = new_id(at, rng)?;
        let kinds = [RequestKind::TempResidence, RequestKind::TempRenewal];
        let on = local_date(at);
        let opening = Opening {
            requester: ward.office,
            responder: home.office,
            home: home.unit,
            kind: kinds[rng.random_range(0..kinds.len())],
            lane: Lane::Normal,
            lane_reason: None,
            purpose: Purpose::Registration,
            lookup: if number.is_multiple_of(20) { Lookup::Pending } else { Lookup::Done },
            case_code: format!("TT-{number}"),
            received_on: on,
            received_at: at.checked_sub(SignedDuration::from_mins(rng.random_range(1..120))).ok(),
            promised_on: None,
            questions: Vec::new(),
            person_digest: somebody.digest,
        };
        let context = OpenContext {
            calendar: self.reference.calendar_of(ward.office),
            rules: &self.reference.rules,
            known_prefix: &|_| true,
        };
        let opened = open(opening, &somebody.person, at, context).map_err(|denied| anyhow!("{denied:?}"))?;
        let cause = Cause { by: Some(ward.office), message_id: Some(id), client_at: Some(at), ..Cause::default() };
        let (chained, row) =
            Chained::begin(RequestId::of(id), at, &opened.event, cause).context("a submit that opens nothing")?;
        let mut life = Life {
            chained,
            ward,
            home,
            somebody,
            rows: vec![row],
            fired: Vec::new(),
            taken: vec![Taken { id, by: ward.office, of: CommandType::RequestSubmit, at }],
            timer: None,
            on_its_way: None,
            last: at,
        };
        self.go_on(&mut life, count, fate, rng)?;
        Ok(life)
    }

    fn go_on(&self, life: &mut Life<'_>, count: &AtomicU32, fate: Fate, rng: &mut StdRng) -> Result<()> {
        let whole = self.now.duration_since(life.last).as_micros();
        // An instant a share of a day on, and always before now.
        let after = |rng: &mut StdRng, seconds: std::ops::Range<i64>, most: f64| {
            let us = rng.random_range(seconds) * 1_000_000;
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "thirteen months at most")]
            let most = (whole as f64 * most) as i64;
            us.min(most)
        };
        let begun = life.last;
        let at = |us: i64| begun.checked_add(SignedDuration::from_micros(us)).unwrap_or(begun);
        let open = matches!(fate, Fate::Open(_));
        if fate == Fate::Withdrawn {
            let us = after(rng, 60..14_400, 0.9);
            return self.command(life, &Command::Withdraw(WithdrawReason::FileWithdrawn), at(us), rng);
        }
        if open && life.home.silent {
            let sent = count.fetch_add(1, Ordering::Relaxed) < CAP.unsigned_abs();
            if sent {
                note(life, at(after(rng, 1..3, 0.1)), &Event::Sent);
            }
            life.on_its_way = Some(sent);
            return self.wait(life);
        }
        let (sent, received) = (after(rng, 1..2, 0.1), after(rng, 2..10, 0.2));
        note(life, at(sent), &Event::Sent);
        self.command(life, &Command::Receive, at(received), rng)?;
        let (opened, answered) = (after(rng, 900..18_000, 0.3), after(rng, 18_100..110_000, 0.6));
        let (answer_sent, read) = (answered + 1_000_000.min(after(rng, 1..2, 0.1)), after(rng, 111_000..200_000, 0.9));
        if fate == Fate::Open(Stop::Delivered) {
            return self.wait(life);
        }
        self.climb_to(life, at(opened))?;
        self.command(life, &Command::Open(Some("cb-017".parse()?)), at(opened), rng)?;
        if fate == Fate::Open(Stop::Opened) {
            return self.wait(life);
        }
        self.climb_to(life, at(answered))?;
        let answer = Answer {
            code: AnswerCode::Confirmed,
            fields: Vec::new(),
            basis: None,
            cause: None,
            dwelling_status: None,
            answered_by: "cb-017".parse()?,
            approved_by: None,
            bulk: false,
        };
        self.command(life, &Command::Answer(Box::new(answer), rng.random()), at(answered), rng)?;
        note(life, at(answer_sent), &Event::AnswerSent);
        if fate == Fate::Open(Stop::Answered) {
            return self.wait(life);
        }
        self.climb_to(life, at(read))?;
        self.command(life, &Command::Read, at(read), rng)
    }

    /// It is as it is until now.
    fn wait(&self, life: &mut Life<'_>) -> Result<()> {
        self.climb_to(life, self.now)?;
        let next = escalation::next_at(&life.chained.request, self.now, self.climb(&life.chained.request.opening))?;
        life.timer = Some(next.unwrap_or(Timestamp::MAX));
        Ok(())
    }

    /// What fires up to an instant, each at its due.
    fn climb_to(&self, life: &mut Life<'_>, until: Timestamp) -> Result<()> {
        loop {
            let request = &life.chained.request;
            let climb = self.climb(&request.opening);
            let Some(due) = escalation::next_at(request, until, climb)?.filter(|due| *due <= until) else {
                return Ok(());
            };
            let at = due.max(life.last);
            let events = escalation::fire(request, at, false, climb)?;
            if events.is_empty() {
                return Ok(()); // A row of the ladder that was not in force then.
            }
            for event in events {
                note(life, at, &event);
                if matches!(event, Event::RungFired { .. }) {
                    life.fired.push((event, at));
                }
            }
        }
    }

    /// What an office wants done.
    fn command(&self, life: &mut Life<'_>, command: &Command, at: Timestamp, rng: &mut StdRng) -> Result<()> {
        let at = at.max(life.last);
        let (by, of) = match command {
            Command::Withdraw(_) => (life.ward.office, CommandType::RequestWithdraw),
            Command::Read => (life.ward.office, CommandType::AnswerRead),
            Command::CloseFile(..) => (life.ward.office, CommandType::FileClose),
            Command::Receive => (life.home.office, CommandType::RequestReceived),
            Command::Open(_) => (life.home.office, CommandType::RequestOpened),
            Command::Answer(..) => (life.home.office, CommandType::AnswerGive),
        };
        let id = new_id(at, rng)?;
        let cause = Cause { by: Some(by), message_id: Some(id), client_at: Some(at), ..Cause::default() };
        let counting = self.counting(life.home.office);
        let events = life.chained.request.decide(by, command, at, counting).map_err(|denied| anyhow!("{denied:?}"))?;
        for event in &events {
            life.rows.push(life.chained.append(at, event, cause));
        }
        life.taken.push(Taken { id, by, of, at });
        life.last = at;
        Ok(())
    }
}

/// What the broker itself notes.
fn note(life: &mut Life<'_>, at: Timestamp, event: &Event) {
    let at = at.max(life.last);
    life.rows.push(life.chained.append(at, event, Cause::default()));
    life.last = at;
}

/// An id of this instant.
pub(crate) fn new_id(at: Timestamp, rng: &mut StdRng) -> Result<MessageId> {
    let ms = u64::try_from(at.as_millisecond())?;
    let random: [u8; 10] = rng.random();
    let id: Uuid = Builder::from_unix_timestamp_millis(ms, &random).into_uuid();
    Ok(MessageId::new(id)?)
}

fn somebody(keys: &KeyRing, number: u32) -> Result<Somebody> {
    let people::Person { full_name, person_no, birth_on, address_detail } = people::person(number);
    let body = serde_json::json!({
        "full_name": full_name, "birth": birth_on, "person_no": person_no, "address": address_detail,
    });
    let wire: wire::Person = serde_json::from_value(body)?;
    let person = Person {
        full_name: wire.full_name.0.clone(),
        birth: wire.birth.0,
        person_no: wire.person_no.as_ref().map(|text| text.0.clone()),
        address: wire.address.as_ref().map(|text| text.0.clone()),
        origin: None,
    };
    let plain = serde_json::to_vec(&serde_json::json!({ "person": wire, "note": null }))?;
    let digest = *keys.digest("person", &plain).as_bytes();
    Ok(Somebody { person, wire, plain, digest })
}
