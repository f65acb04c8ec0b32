//! An office at work: what it writes, and what comes to its inbox.

use std::collections::{HashMap, VecDeque};

use anyhow::{Context, Result, bail, ensure};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;
use xacminh_clock::ManualClock;
use xacminh_contract::envelope::{self, CommandType};
use xacminh_contract::names::HEADER_TRACEPARENT;
use xacminh_contract::notice::{self, Notice, Topic};
use xacminh_contract::receipt::{Item, Outcome};
use xacminh_contract::reconcile::Reconciled;
use xacminh_contract::{answer, request};
use xacminh_domain::Timestamp;
use xacminh_domain::calendar::local_date;
use xacminh_domain::id::MessageId;
use xacminh_domain::request::Lane;
use xacminh_testkit::{OfficeClient, OfficeMessage, Sent, header, people};

use crate::stage::Office;

/// One thing that came to an inbox; the lines of a receipt or a notice apart.
#[derive(Debug, Clone)]
pub(crate) enum Heard {
    /// What became of a command, and the bytes that said so.
    Receipt(Box<Item>, String),
    /// Work.
    Request(Box<request::Deliver>),
    /// A result.
    Answer(Box<answer::Deliver>),
    /// A line of a notice.
    Notice(Box<notice::Item>),
    /// What a report of a day got back.
    Reconciled(Box<Reconciled>),
}

/// A message id of this instant.
pub(crate) fn message_id(at: Timestamp) -> MessageId {
    let seconds = u64::try_from(at.as_second()).expect("after 1970");
    let nanos = u32::try_from(at.subsec_nanosecond()).expect("after 1970");
    MessageId::new(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))).expect("version 7")
}

/// A connected office.
pub(crate) struct Desk {
    /// Which office.
    pub(crate) office: Office,
    client: OfficeClient,
    clock: ManualClock,
    heard: VecDeque<Heard>,
    traces: Vec<Traced>,
}

/// A message that came, as far as traces go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Traced {
    /// Its type.
    pub(crate) of: String,
    /// Its id.
    pub(crate) message_id: String,
    /// Its header, empty when there was none.
    pub(crate) traceparent: String,
}

impl Desk {
    /// An office's system.
    pub(crate) fn new(office: Office, client: OfficeClient, clock: ManualClock) -> Self {
        Self { office, client, clock, heard: VecDeque::new(), traces: Vec::new() }
    }

    /// A message as this office sends it, under a new id of this instant.
    pub(crate) fn message(&self, of: CommandType, body: &Value) -> OfficeMessage {
        let lane = match body["lane"].as_str() {
            Some("urgent") => Lane::Urgent,
            Some("bulk") => Lane::Bulk,
            _ => Lane::Normal,
        };
        OfficeMessage {
            message_type: of.wire(),
            routing_key: of.routing_key(lane).to_owned(),
            message_id: message_id(self.clock.now()).to_string(),
            body: body.to_string().into_bytes(),
            user_id: Some(self.client.login()),
            ..OfficeMessage::default()
        }
    }

    /// Sends a message and waits until RabbitMQ has it.
    pub(crate) async fn publish(&mut self, message: &OfficeMessage) -> Result<()> {
        let sent = self.offer(message).await?;
        ensure!(sent == Sent::Confirmed, "RabbitMQ said {sent:?}");
        Ok(())
    }

    /// Sends a message, and says what RabbitMQ did with it.
    pub(crate) async fn offer(&mut self, message: &OfficeMessage) -> Result<Sent> {
        self.client.publish(message.clone()).await
    }

    /// Sends many messages at once and waits until RabbitMQ has all.
    pub(crate) async fn publish_all(&mut self, messages: &[OfficeMessage]) -> Result<()> {
        self.client.publish_all(messages).await
    }

    /// The next work that comes: its message-id and its bytes. It is taken from the inbox and
    /// nothing is said about it.
    pub(crate) async fn take_work(&mut self) -> Result<(String, Vec<u8>)> {
        self.take_of(envelope::REQUEST_DELIVER).await
    }

    /// The same of another type; all else that comes is kept.
    pub(crate) async fn take_of(&mut self, wanted: &str) -> Result<(String, Vec<u8>)> {
        loop {
            let delivery = self.client.next().await?;
            let properties = &delivery.properties;
            if properties.kind().as_ref().is_some_and(|kind| kind.as_str() == wanted) {
                self.client.ack(&delivery).await?;
                let id = properties.message_id().as_ref().map(ToString::to_string).context("no message-id")?;
                return Ok((id, delivery.data));
            }
            self.keep(delivery).await?;
        }
    }

    /// What its clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Goes away, as a system that is switched off.
    pub(crate) async fn leave(self) -> Result<()> {
        self.client.close().await
    }

    /// Sends a command; gives its id.
    pub(crate) async fn send(&mut self, of: CommandType, body: &Value) -> Result<MessageId> {
        let message = self.message(of, body);
        self.publish(&message).await?;
        Ok(message.message_id.parse()?)
    }

    /// Sends a command and waits for its receipt.
    pub(crate) async fn ask(&mut self, of: CommandType, body: &Value) -> Result<Item> {
        let id = self.send(of, body).await?;
        self.receipt(id).await
    }

    /// Submits a request that is right about the so-manieth person; gives its id.
    pub(crate) async fn submit(&mut self, home: &Office, person: u32) -> Result<MessageId> {
        let form = form(home, person, self.clock.now());
        let item = self.ask(CommandType::RequestSubmit, &form).await?;
        ensure!(item.outcome == Outcome::Accepted, "refused: {:?}", item.refusal);
        Ok(item.message_id.context("no id")?.0)
    }

    /// Waits for a request's work to come, and confirms that it is stored.
    pub(crate) async fn receive(&mut self, request: MessageId) -> Result<request::Deliver> {
        let deliver = self.request(request).await?;
        self.send(CommandType::RequestReceived, &about(request)).await?;
        Ok(deliver)
    }

    /// The receipt of a command.
    pub(crate) async fn receipt(&mut self, of: MessageId) -> Result<Item> {
        Ok(self.receipt_bytes(of).await?.0)
    }

    /// The receipt of a command, and its bytes.
    pub(crate) async fn receipt_bytes(&mut self, of: MessageId) -> Result<(Item, String)> {
        let found = self.hear(|heard| match heard {
            Heard::Receipt(item, raw) if item.message_id == Some(of.into()) => Some((*item.clone(), raw.clone())),
            _ => None,
        });
        found.await.with_context(|| format!("the receipt of {of}"))
    }

    /// The receipt of a command whose id could not be read.
    pub(crate) async fn receipt_without_id(&mut self) -> Result<Item> {
        let found = self.hear(|heard| match heard {
            Heard::Receipt(item, _) if item.message_id.is_none() => Some(*item.clone()),
            _ => None,
        });
        found.await.context("a receipt without an id")
    }

    /// The work of a request.
    pub(crate) async fn request(&mut self, id: MessageId) -> Result<request::Deliver> {
        let found = self.hear(|heard| match heard {
            Heard::Request(work) if work.request_id.0.message_id() == id => Some(*work.clone()),
            _ => None,
        });
        found.await.with_context(|| format!("the work of {id}"))
    }

    /// The answer to a request.
    pub(crate) async fn answer(&mut self, id: MessageId) -> Result<answer::Deliver> {
        let found = self.hear(|heard| match heard {
            Heard::Answer(answer) if answer.request_id.0.message_id() == id => Some(*answer.clone()),
            _ => None,
        });
        found.await.with_context(|| format!("the answer to {id}"))
    }

    /// A line of a notice.
    pub(crate) async fn notice(&mut self, topic: Topic) -> Result<notice::Item> {
        let found = self.hear(|heard| match heard {
            Heard::Notice(line) if line.topic == topic => Some(*line.clone()),
            _ => None,
        });
        found.await.with_context(|| format!("a notice of {topic:?}"))
    }

    /// What a report of a day got back.
    pub(crate) async fn reconciled(&mut self) -> Result<Reconciled> {
        let found = self.hear(|heard| match heard {
            Heard::Reconciled(result) => Some(*result.clone()),
            _ => None,
        });
        found.await.context("the result of a report")
    }

    /// The messages that came since this was last asked for, by their traces.
    pub(crate) fn traces(&mut self) -> Vec<Traced> {
        std::mem::take(&mut self.traces)
    }

    /// What came and nobody asked for yet. An inbox keeps its order, so what was sent before the
    /// last thing heard is among it.
    pub(crate) fn left(&self) -> Vec<&Heard> {
        self.heard.iter().collect()
    }

    /// The first thing that fits, out of what came and what comes; all else is kept.
    async fn hear<T>(&mut self, pick: impl Fn(&Heard) -> Option<T>) -> Result<T> {
        let mut looked = 0;
        loop {
            while looked < self.heard.len() {
                if let Some(found) = pick(&self.heard[looked]) {
                    self.heard.remove(looked);
                    return Ok(found);
                }
                looked += 1;
            }
            self.take().await.with_context(|| format!("after {:?}", self.heard))?;
        }
    }

    async fn take(&mut self) -> Result<()> {
        let delivery = self.client.next().await?;
        self.keep(delivery).await
    }

    async fn keep(&mut self, delivery: xacminh_testkit::Delivery) -> Result<()> {
        let kind = delivery.properties.kind().as_ref().map(ToString::to_string).unwrap_or_default();
        let body = &delivery.data;
        self.traces.push(Traced {
            of: kind.clone(),
            message_id: delivery.properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default(),
            traceparent: header(&delivery, HEADER_TRACEPARENT).unwrap_or_default(),
        });
        match kind.as_str() {
            envelope::RECEIPT => {
                let raw: HashMap<String, Vec<Box<RawValue>>> = serde_json::from_slice(body)?;
                for item in raw.get("items").context("no items")? {
                    let read = serde_json::from_str(item.get())?;
                    self.heard.push_back(Heard::Receipt(Box::new(read), item.get().to_owned()));
                }
            }
            envelope::REQUEST_DELIVER => self.heard.push_back(Heard::Request(serde_json::from_slice(body)?)),
            envelope::ANSWER_DELIVER => self.heard.push_back(Heard::Answer(serde_json::from_slice(body)?)),
            envelope::NOTICE => {
                let notice: Notice = serde_json::from_slice(body)?;
                self.heard.extend(notice.items.into_iter().map(|line| Heard::Notice(Box::new(line))));
            }
            envelope::RECONCILE_RESULT => self.heard.push_back(Heard::Reconciled(serde_json::from_slice(body)?)),
            other => bail!("what is {other}?"),
        }
        self.client.ack(&delivery).await
    }
}

/// A body that only names its request.
pub(crate) fn about(request: MessageId) -> Value {
    json!({ "request_id": request.to_string() })
}

/// A submit that is right, about the so-manieth person.
pub(crate) fn form(home: &Office, number: u32, now: Timestamp) -> Value {
    let today = local_date(now).to_string();
    let person = people::person(number);
    json!({
        "kind": "temp_residence", "case_code": format!("TT-2026-{number:06}"), "received_on": today,
        "purpose": "registration", "lane": "normal", "lookup": "done",
        "home": { "code": home.unit.to_string(), "as_of": today },
        "person": {
            "full_name": person.full_name, "birth": "1990-02-03", "person_no": person.person_no,
            "address": person.address_detail, "origin": { "country": "VN", "text": "Thái Bình" },
        },
    })
}

/// A withdrawal.
pub(crate) fn withdrawal(request: MessageId) -> Value {
    json!({ "request_id": request.to_string(), "reason": "no_longer_needed" })
}

/// The end of a file.
pub(crate) fn closing(request: MessageId, form: &str, on: &str) -> Value {
    json!({ "request_id": request.to_string(), "form": form, "closed_on": on })
}

/// An answer with all that its code demands.
pub(crate) fn give(request: MessageId, code: &str) -> Value {
    let mut body = json!({ "request_id": request.to_string(), "code": code, "answered_by": "cb-017" });
    let differs = json!([{ "field": "full_name", "result": "ok" }, { "field": "birth", "result": "differs" }]);
    let head = json!({ "role": "office_head", "handler": "tr-001" });
    let with: &[(&str, Value)] = match code {
        "A02" => &[("fields", differs), ("basis", json!("birth_certificate"))],
        "A03" => &[("fields", differs)],
        "A04" | "A06" => &[("approved_by", head)],
        "A05" => &[("moved_to", json!("xã khác, tỉnh khác"))],
        "A07" => &[("dwelling_status", json!({ "status": "undetermined" }))],
        "A09" => &[("fields", differs), ("cause", json!("data_entry")), ("approved_by", head)],
        _ => &[],
    };
    for (name, value) in with {
        body[*name] = value.clone();
    }
    body
}
