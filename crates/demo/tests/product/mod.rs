//! A product as small as can be: it speaks the protocol and keeps everything in memory, which
//! outlives its tasks as a database outlives a process. It can be told to misbehave.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Builder;
use xacminh_bus::{Bus, BusSettings, ConsumerSettings, Delivery, Outcome, Outgoing};
use xacminh_clock::SteppedClock;
use xacminh_contract::answer::Code;
use xacminh_contract::decode::{self, Command};
use xacminh_contract::envelope::{ANSWER_DELIVER, CommandType, NOTICE, RECEIPT, REQUEST_DELIVER, TypeError};
use xacminh_contract::names;
use xacminh_contract::receipt::Refusal;
use xacminh_contract::refusal::RefusalCode as C;
use xacminh_contract::request::Submit;
use xacminh_contract::values::Instant;
use xacminh_demo::{HomeOffice, RungRow, Standing};
use xacminh_domain::calendar::{Calendar, CalendarDay, DayKind, at_local, end_of_day, local_date};
use xacminh_domain::id::{MessageId, OfficeId, RequestId};
use xacminh_domain::{Date, Timestamp};

/// The code that leads to two units.
pub const AMBIGUOUS: &str = "99998";

/// How it breaks its promises, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// One request in a hundred never leaves.
    LosesRequests,
    /// A repeat gets a receipt of its own.
    NewReceipts,
}

struct Request {
    ward: OfficeId,
    home: OfficeId,
    submitted: Timestamp,
    received: bool,
    opened: bool,
    start: Option<Timestamp>,
    answered: Option<Code>,
    withdrawn: bool,
}

#[derive(Default)]
struct State {
    taken: BTreeMap<(OfficeId, String), (Vec<u8>, Option<Value>)>,
    requests: BTreeMap<RequestId, Request>,
    outbox: Vec<Outgoing>,
    rungs: Vec<RungRow>,
    fired: HashSet<(RequestId, String, u8)>,
}

/// The product.
pub struct Product {
    settings: BusSettings,
    clock: SteppedClock,
    homes: Vec<HomeOffice>,
    fault: Fault,
    calendar: Calendar,
    state: Mutex<State>,
    running: Mutex<Option<(JoinSet<()>, CancellationToken)>>,
}

impl Product {
    pub fn new(settings: BusSettings, clock: SteppedClock, homes: Vec<HomeOffice>, fault: Fault) -> Arc<Self> {
        let on = "2026-11-24".parse().unwrap();
        let holiday = CalendarDay { on, kind: DayKind::Holiday, name: "Ngày Văn hóa".into(), provisional: false };
        let calendar = Calendar::new([holiday], "test".into(), "08:00-12:00;13:00-17:00".parse().unwrap());
        Arc::new(Self { settings, clock, homes, fault, calendar, state: Mutex::default(), running: Mutex::default() })
    }

    pub async fn start(self: &Arc<Self>) -> anyhow::Result<()> {
        let stop = CancellationToken::new();
        let bus = Bus::connect(&self.settings, &stop)?;
        bus.ready().await?;
        let mut tasks = JoinSet::new();
        for queue in [names::QUEUE_INTAKE, names::QUEUE_BULK, names::QUEUE_ANSWERING, names::QUEUE_UNROUTED] {
            let (me, mut consumer) = (self.clone(), bus.consumer(ConsumerSettings::new(queue, 100), stop.clone()));
            tasks.spawn(async move {
                while let Some(batch) = consumer.next_batch().await {
                    for delivery in &batch.deliveries {
                        me.take(delivery);
                    }
                    // After a lost line they come again.
                    let _ = batch.ack_all().await;
                }
            });
        }
        let (me, publisher) = (self.clone(), bus.publisher());
        tasks.spawn(async move {
            let mut climbed = tokio::time::Instant::now();
            loop {
                if climbed.elapsed() > Duration::from_millis(50) {
                    me.climb();
                    climbed = tokio::time::Instant::now();
                }
                let messages = me.state.lock().unwrap().outbox.clone();
                if messages.is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
                let ids: Vec<String> = messages.iter().map(|m| m.message_id.clone()).collect();
                let outcomes = publisher.publish_all(messages).await;
                let sent = ids.into_iter().zip(outcomes).filter(|(_, o)| *o == Outcome::Confirmed).map(|(id, _)| id);
                let sent: HashSet<String> = sent.collect();
                me.state.lock().unwrap().outbox.retain(|m| !sent.contains(&m.message_id));
            }
        });
        *self.running.lock().unwrap() = Some((tasks, stop));
        Ok(())
    }

    pub fn kill(&self) {
        if let Some((mut tasks, stop)) = self.running.lock().unwrap().take() {
            tasks.abort_all();
            stop.cancel();
        }
    }

    pub fn rungs(&self) -> Vec<RungRow> {
        self.state.lock().unwrap().rungs.clone()
    }

    pub fn standing(&self, now: Timestamp) -> Standing {
        let state = self.state.lock().unwrap();
        let due = state.requests.values().filter(|r| r.start.is_none() && self.confirm_due(r) <= now).count();
        Standing {
            outbox: state.outbox.len() as u64,
            due: due as u64 + self.due(&state, now).len() as u64,
            taken: state.taken.len() as u64,
            ..Standing::default()
        }
    }

    fn confirm_due(&self, r: &Request) -> Timestamp {
        if r.withdrawn || r.answered.is_some() {
            Timestamp::MAX
        } else {
            self.calendar.add_working_minutes(r.submitted, 240)
        }
    }

    fn due(&self, state: &State, now: Timestamp) -> Vec<RungRow> {
        let mut due = Vec::new();
        for (id, r) in &state.requests {
            let (Some(start), false, None) = (r.start, r.withdrawn, r.answered) else {
                continue;
            };
            let day = |n: u32| self.calendar.nth_working_day_after(local_date(start), n);
            if end_of_day(day(1)).min(at_local(day(2), 8, 0)) > now {
                continue;
            }
            let above = |kind: &str| {
                self.homes
                    .iter()
                    .find(|h| {
                        h.kind == kind
                            && (kind == "ministry_unit" || Some(&h.province) == self.home(r.home).map(|h| &h.province))
                    })
                    .map(|h| h.office)
            };
            for (trigger, rung, due_at, target) in [
                ("accept_due", 0, if r.opened { Timestamp::MAX } else { end_of_day(day(1)) }, Some(r.home)),
                ("answer_due_day", 0, at_local(day(2), 8, 0), Some(r.home)),
                ("answer_due", 1, end_of_day(day(2)), above("province_unit")),
                ("answer_due", 2, end_of_day(day(3)), above("ministry_unit")),
            ] {
                if due_at <= now && !state.fired.contains(&(*id, trigger.to_owned(), rung)) {
                    due.push(RungRow {
                        request: *id,
                        trigger: trigger.into(),
                        rung,
                        clock_start: start,
                        due_at,
                        fired_at: now,
                        target,
                    });
                }
            }
        }
        due
    }

    fn home(&self, office: OfficeId) -> Option<&HomeOffice> {
        self.homes.iter().find(|h| h.office == office)
    }

    fn climb(&self) {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let unconfirmed: Vec<RequestId> = state
            .requests
            .iter()
            .filter(|(_, r)| r.start.is_none() && self.confirm_due(r) <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in unconfirmed {
            let start = self.confirm_due(&state.requests[&id]);
            state.requests.get_mut(&id).unwrap().start = Some(start);
        }
        for row in self.due(&state, now) {
            let ward = state.requests[&row.request].ward;
            let home = state.requests[&row.request].home;
            let topic = match (row.trigger.as_str(), row.rung) {
                ("accept_due", _) => "accept_overdue",
                ("answer_due_day", _) => "answer_due_today",
                _ => "office_silent",
            };
            let mut told = vec![(row.target, topic)];
            if row.rung == 2 {
                told.push((Some(ward), "file_overdue"));
            }
            for (to, topic) in told.into_iter().filter_map(|(to, topic)| to.map(|to| (to, topic))) {
                let item = json!({ "topic": topic, "for": "head", "office": home.to_string(), "sentence": "…", "sentence_en": "…" });
                state.outbox.push(self.message(to, NOTICE, None, json!({ "items": [item] })));
            }
            state.fired.insert((row.request, row.trigger.clone(), row.rung));
            state.rungs.push(row);
        }
    }

    fn message(&self, to: OfficeId, of: &str, about: Option<RequestId>, body: Value) -> Outgoing {
        Outgoing {
            routing_key: names::inbox(to),
            message_id: Builder::from_unix_timestamp_millis(self.clock.now().as_millisecond() as u64, &rand::random())
                .into_uuid()
                .to_string(),
            message_type: of.into(),
            correlation_id: about.map(|id| id.to_string()),
            body: body.to_string().into(),
            ..Outgoing::default()
        }
    }

    fn take(&self, delivery: &Delivery) {
        let p = &delivery.properties;
        let Some(sender) = p.user_id.as_ref().and_then(|u| u.parse::<OfficeId>().ok()) else {
            return;
        };
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let id = p.message_id.as_ref().filter(|id| id.parse::<MessageId>().is_ok()).cloned();
        let Some(id) = id else {
            let item = refused(None, now, &C::MessageIdMalformed.refusal());
            state.outbox.push(self.message(sender, RECEIPT, None, json!({ "items": [item] })));
            return;
        };
        let key = (sender, id.clone());
        let digest = [p.message_type.clone().unwrap_or_default().into_bytes(), delivery.bytes.clone()].concat();
        let mut item = match state.taken.get(&key) {
            Some((first, _)) if *first != digest => Some(refused(Some(&id), now, &C::IdReused.refusal())),
            Some((_, receipt)) => receipt.clone(),
            None => {
                let receipt = match self.obey(&mut state, sender, &id, delivery, now) {
                    Ok(receipt) => receipt,
                    Err(refusal) => Some(refused(Some(&id), now, &refusal)),
                };
                state.taken.insert(key, (digest, receipt.clone()));
                receipt
            }
        };
        if let Some(item) = item.as_mut().filter(|_| self.fault == Fault::NewReceipts) {
            item["at"] = json!(Instant(now));
        }
        if let Some(item) = item {
            let receipt = self.message(sender, RECEIPT, None, json!({ "items": [item] }));
            state.outbox.push(receipt);
        }
    }

    fn obey(
        &self,
        state: &mut State,
        sender: OfficeId,
        id: &str,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<Option<Value>, Refusal> {
        let of =
            CommandType::parse(delivery.properties.message_type.as_deref().unwrap_or_default()).map_err(
                |e| match e {
                    TypeError::Unknown => C::TypeUnknown.refusal(),
                    TypeError::Version => C::VersionUnknown.refusal(),
                },
            )?;
        if !of.routing_keys().contains(&delivery.properties.routing_key.as_str()) {
            return Err(C::RoutingKeyWrong.refusal());
        }
        let command = decode::command(of, &delivery.bytes)?;
        let accepted = |more: Value| {
            let mut item = json!({ "message_id": id, "command": of.wire(), "outcome": "accepted", "at": Instant(now) });
            item.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
            Some(item)
        };
        if let Command::Submit(submit) = &command {
            let home = self.resolve(sender, submit, now)?.clone();
            let request: RequestId = id.parse().unwrap();
            let made = Request {
                ward: sender,
                home: home.office,
                submitted: now,
                received: false,
                opened: false,
                start: None,
                answered: None,
                withdrawn: false,
            };
            let card =
                |h: &HomeOffice| json!({ "office": h.office.to_string(), "name": h.name, "phone": "0000 000 000" });
            let body: Value = serde_json::from_slice(&delivery.bytes).unwrap();
            let deliver = json!({
                "request_id": id, "case_code": submit.case_code, "kind": submit.kind, "lane": submit.lane, "purpose": submit.purpose,
                "requester": card(self.home(sender).unwrap()), "home": { "unit": home.unit_code, "words": home.unit_name },
                "received_on": submit.received_on, "submitted_at": Instant(now), "lookup": submit.lookup, "questions": [],
                "person": body["person"], "warnings": [],
            });
            let lost = self.fault == Fault::LosesRequests && state.requests.len() % 100 == 50;
            state.requests.insert(request, made);
            if !lost {
                let message = self.message(home.office, REQUEST_DELIVER, Some(request), deliver);
                state.outbox.push(message);
            }
            return Ok(accepted(json!({ "request_id": id, "state": "submitted", "responder": card(&home) })));
        }
        // No office of the demo reconciles.
        let Some(about) = command.request_id() else { return Err(C::TypeUnknown.refusal()) };
        let about = about.0;
        let found = state.requests.get_mut(&about).ok_or_else(|| C::RequestUnknown.refusal())?;
        let owner = if matches!(command, Command::Withdraw(_) | Command::Read(_) | Command::CloseFile(_)) {
            found.ward
        } else {
            found.home
        };
        if owner != sender {
            return Err(C::NotYourRequest.refusal());
        }
        let (ward, home) = (found.ward, found.home);
        match command {
            Command::Received(_) => {
                found.received = true;
                found.start.get_or_insert(now);
                Ok(None)
            }
            // No ward of the demo tells the end of its file.
            Command::CloseFile(_) | Command::Reconcile(_) => Err(C::TypeUnknown.refusal()),
            Command::Opened(_) if found.withdrawn => Err(C::AlreadyWithdrawn.refusal()),
            Command::Opened(_) => {
                found.opened = true;
                Ok(None)
            }
            Command::Withdraw(_) if found.answered.is_some() => Err(C::AlreadyAnswered.refusal()),
            Command::Withdraw(_) => {
                found.withdrawn = true;
                let item = json!({ "topic": "withdrawn", "for": "handler", "request_id": about.to_string(), "sentence": "…", "sentence_en": "…" });
                let message = self.message(home, NOTICE, Some(about), json!({ "items": [item] }));
                state.outbox.push(message);
                Ok(accepted(json!({})))
            }
            Command::Give(_) if found.withdrawn => Err(C::AlreadyWithdrawn.refusal()),
            Command::Give(_) if found.answered.is_some() => Err(C::AlreadyAnswered.refusal()),
            Command::Give(give) => {
                xacminh_domain::answer::check(&give.to_domain()).map_err(|_| C::ApprovalRequired.refusal())?;
                found.answered = Some(give.code);
                let due =
                    found.start.map(|start| end_of_day(self.calendar.nth_working_day_after(local_date(start), 2)));
                let late = due.is_some_and(|due| now >= due);
                let h = self.home(home).unwrap();
                let deliver = json!({
                    "request_id": about.to_string(), "case_code": "–", "code": give.code, "answered_at": Instant(now), "late": late,
                    "responder": { "office": home.to_string(), "name": h.name, "phone": "0000 000 000" },
                    "sentence": { "text": format!("{} đã xác nhận. Nếu cần hỏi thêm, xin gọi số 0000 000 001.", h.name), "text_version": "t", "office": h.name, "phone": "0000 000 001" },
                });
                let message = self.message(ward, ANSWER_DELIVER, Some(about), deliver);
                state.outbox.push(message);
                Ok(accepted(json!({ "late": late })))
            }
            Command::Read(_) => Ok(None),
            Command::Submit(_) => unreachable!(),
        }
    }

    fn resolve(&self, sender: OfficeId, submit: &Submit, now: Timestamp) -> Result<&HomeOffice, Refusal> {
        use xacminh_domain::request::Lane;
        let today: Date = local_date(now);
        if submit.received_on.0 > today {
            return Err(C::DateImpossible.refusal());
        }
        if Lane::from(submit.lane) == Lane::Urgent && submit.lane_reason.is_none() {
            return Err(C::LaneReasonRequired.refusal());
        }
        let number = submit.person.person_no.as_ref().map(|n| serde_json::to_value(n).unwrap());
        if number.is_some_and(|n| xacminh_domain::person_no::PersonNo::parse(n.as_str().unwrap()).is_err()) {
            return Err(C::IdMalformed.refusal());
        }
        let home = serde_json::to_value(&submit.home).unwrap();
        if home["code"] == AMBIGUOUS {
            let candidate = |h: &HomeOffice| {
                let one = json!({ "unit": h.unit_code, "name": h.unit_name, "words": h.unit_name, "province": h.province_name, "office": h.office.to_string(), "office_name": h.name });
                serde_json::from_value(one).unwrap()
            };
            return Err(C::ambiguous(
                &submit.home,
                self.homes.iter().filter(|h| h.is_home()).take(2).map(candidate).collect(),
            ));
        }
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let code = home["code"].as_str().or_else(|| home["name"].as_str()).map(digits).unwrap_or_default();
        let found =
            self.homes.iter().find(|h| h.is_home() && h.unit_code == code).ok_or_else(|| C::HomeUnknown.refusal())?;
        if found.office == sender { Err(C::HomeIsOwn.refusal()) } else { Ok(found) }
    }
}

fn refused(id: Option<&str>, now: Timestamp, refusal: &Refusal) -> Value {
    let mut item = json!({ "outcome": "refused", "at": Instant(now), "refusal": refusal });
    if let Some(id) = id {
        item["message_id"] = json!(id);
    }
    item
}

/// The offices of a small nation: communes, PC06, C06.
pub fn offices(ids: &[OfficeId]) -> Vec<HomeOffice> {
    let provinces = ["01", "79", "48", "31"];
    let communes = ids.len() - provinces.len() - 1;
    let office = |i: usize, kind: &str, province: &str, unit: String| HomeOffice {
        office: ids[i],
        name: format!("Công an {kind} {i}"),
        province: province.into(),
        kind: kind.into(),
        old_words: (kind == "commune_police" && i.is_multiple_of(2))
            .then(|| (format!("Xã Cũ {unit}"), "Huyện Đồng".into(), "Tỉnh".into())),
        unit_name: format!("Xã {unit}"),
        unit_code: unit,
        province_name: "Tỉnh".into(),
    };
    let mut all: Vec<_> =
        (0..communes).map(|i| office(i, "commune_police", provinces[i % 4], format!("{i:05}"))).collect();
    all.extend(provinces.iter().enumerate().map(|(n, p)| office(communes + n, "province_unit", p, String::new())));
    all.push(office(ids.len() - 1, "ministry_unit", "", String::new()));
    all
}
