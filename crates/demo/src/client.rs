//! One office's system: a line, a ledger, and the manners of the protocol.
//!
//! It publishes what it is told to, keeps what comes before it acknowledges it, and after a lost
//! line sends again, under the same ids, what was not confirmed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use amqprs::channel::ConsumerMessage;
use anyhow::Result;
use jiff::Timestamp;
use jiff::tz::offset;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::{Builder, Uuid};
use xacminh_clock::SteppedClock;
use xacminh_contract::envelope::CommandType;
use xacminh_domain::id::{OfficeId, RequestId};

use crate::cut::Cut;
use crate::ledger::{Arrived, Expect, Ledger, Sent, Tally};
use crate::line::{Address, Line, Sheet, Word};

/// How long a client waits before it tries a lost line again.
const PAUSE: Duration = Duration::from_millis(200);

/// What came to which office, for whoever plays its people.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The office.
    pub(crate) office: OfficeId,
    /// What came.
    pub(crate) what: Arrived,
}

/// What all clients share.
#[derive(Debug, Clone)]
pub(crate) struct Crew {
    /// The stepped clock.
    pub(crate) clock: SteppedClock,
    /// What is under way.
    pub(crate) tally: Arc<Tally>,
    /// Where arrivals go.
    pub(crate) arrivals: UnboundedSender<Arrival>,
}

impl Crew {
    /// A crew, and where its arrivals come out.
    pub(crate) fn new(clock: SteppedClock) -> (Self, UnboundedReceiver<Arrival>) {
        let (arrivals, come) = unbounded_channel();
        (Self { clock, tally: Arc::default(), arrivals }, come)
    }
}

/// A command before it has an id.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The `type` property.
    pub(crate) message_type: String,
    /// The routing key.
    pub(crate) routing_key: String,
    /// An id instead of a new one: for repeats under a used id, and for ids that are none.
    pub(crate) message_id: Option<String>,
    /// The request it is about; a submit makes its own.
    pub(crate) request: Option<RequestId>,
    /// The office that W means, for a submit.
    pub(crate) asks: Option<OfficeId>,
    /// Whether the `user-id` is set.
    pub(crate) signed: bool,
    /// What should come back.
    pub(crate) expect: Expect,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Draft {
    /// A command that is right in form.
    pub(crate) fn new(
        of: CommandType,
        routing_key: &str,
        body: &impl serde::Serialize,
        expect: Expect,
    ) -> Result<Self> {
        Ok(Self {
            message_type: of.wire(),
            routing_key: routing_key.to_owned(),
            message_id: None,
            request: None,
            asks: None,
            signed: true,
            expect,
            body: serde_json::to_vec(body)?,
        })
    }

    /// The same, about a request.
    pub(crate) fn about(self, request: RequestId) -> Self {
        Self { request: Some(request), ..self }
    }
}

/// A connected office.
#[derive(Debug)]
pub(crate) struct Client {
    /// Which.
    pub(crate) office: OfficeId,
    crew: Crew,
    ledger: Arc<Mutex<Ledger>>,
    orders: UnboundedSender<Option<String>>,
    cut: Option<Cut>,
}

impl Client {
    /// Connects an office. With `may_lose_its_line` it goes through a relay that can be cut.
    pub(crate) async fn connect(mut address: Address, crew: &Crew, may_lose_its_line: bool) -> Result<Self> {
        let cut = if may_lose_its_line { Some(Cut::listen(&address.host, address.port).await?) } else { None };
        if let Some(cut) = &cut {
            "127.0.0.1".clone_into(&mut address.host);
            address.port = cut.port();
        }
        let line = Line::open(&address).await?;
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let (orders, taken) = unbounded_channel();
        let office = address.office;
        let system = System { address, crew: crew.clone(), ledger: ledger.clone(), tags: BTreeMap::new() };
        tokio::spawn(system.run(line, taken));
        Ok(Self { office, crew: crew.clone(), ledger, orders, cut })
    }

    /// The ledger.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a command; returns the key under which the ledger has it.
    pub(crate) fn send(&self, draft: Draft) -> String {
        let now = self.crew.clock.now();
        let mut ledger = self.ledger();
        let message_id = draft.message_id.unwrap_or_else(|| new_id(now).to_string());
        let used = ledger.sent.contains_key(&message_id);
        let key = if used { Ledger::reuse_key(&message_id) } else { message_id.clone() };
        let own: Option<RequestId> = message_id.parse().ok();
        let request = draft.request.or(own.filter(|_| draft.message_type == CommandType::RequestSubmit.wire()));
        let sent = Sent {
            sheet: Sheet {
                message_type: draft.message_type,
                routing_key: draft.routing_key,
                message_id,
                correlation_id: request.map(|id| id.to_string()),
                time: now.display_with_offset(offset(7)).to_string(),
                signed: draft.signed,
                body: draft.body,
            },
            request,
            asks: draft.asks,
            expect: draft.expect,
            at: now,
            handed_at: Instant::now(),
            confirmed: false,
            awaited: u32::from(draft.expect.owes_receipt()),
            receipt: None,
            receipt_ms: None,
            differing: 0,
            disturbed: false,
        };
        ledger.send(key.clone(), sent, &self.crew.tally);
        drop(ledger);
        self.order(Some(key.clone()));
        key
    }

    /// Sends a command once more, as it was.
    pub(crate) fn repeat(&self, key: &str) {
        if self.ledger().repeat(key, &self.crew.tally) {
            self.order(Some(key.to_owned()));
        }
    }

    /// Cuts the line, if it is one that can be cut.
    pub(crate) fn cut(&self) {
        if let Some(cut) = &self.cut {
            cut.cut();
        }
    }

    /// Says goodbye, once everything ordered before is sent.
    pub(crate) fn close(&self) {
        self.order(None);
    }

    fn order(&self, order: Option<String>) {
        // The system is gone only after a goodbye.
        let _ = self.orders.send(order);
    }
}

/// A UUID of version 7 whose time is the stepped clock's.
fn new_id(now: Timestamp) -> Uuid {
    let ms = u64::try_from(now.as_millisecond()).unwrap_or_default();
    Builder::from_unix_timestamp_millis(ms, &rand::random()).into_uuid()
}

/// The part that runs.
struct System {
    address: Address,
    crew: Crew,
    ledger: Arc<Mutex<Ledger>>,
    /// Delivery tags of this line, and the commands they stand for.
    tags: BTreeMap<u64, String>,
}

impl System {
    async fn run(mut self, mut line: Line, mut orders: UnboundedReceiver<Option<String>>) {
        loop {
            match self.work(&mut line, &mut orders).await {
                Ok(()) => return line.close().await,
                Err(why) => {
                    tracing::debug!(office.id = %self.address.office, %why, "the line is lost")
                }
            }
            while let Ok(word) = line.words.try_recv() {
                self.heard(word);
            }
            drop(line);
            line = self.reconnect().await;
        }
    }

    async fn reconnect(&mut self) -> Line {
        loop {
            tokio::time::sleep(PAUSE).await;
            match Line::open(&self.address).await {
                Ok(line) => return line,
                Err(why) => {
                    tracing::debug!(office.id = %self.address.office, %why, "the line does not open")
                }
            }
        }
    }

    /// Works until it was told to close (then `Ok`) or the line is lost.
    async fn work(&mut self, line: &mut Line, orders: &mut UnboundedReceiver<Option<String>>) -> Result<()> {
        self.tags.clear();
        let mut closing = false;
        // Whatever was ordered meanwhile is among the unconfirmed.
        while let Ok(order) = orders.try_recv() {
            closing |= order.is_none();
        }
        let open = self.lock().unconfirmed();
        for key in open {
            self.publish(line, key).await?;
        }
        if closing {
            return Ok(());
        }
        loop {
            tokio::select! {
                biased;
                word = line.words.recv() => match word {
                    Some(Word::Closed(why)) => anyhow::bail!("the broker closed it: {why}"),
                    Some(word) => self.heard(word),
                    None => anyhow::bail!("it is gone"),
                },
                message = line.inbox.recv() => match message {
                    Some(message) => self.take(line, message).await?,
                    None => anyhow::bail!("its inbox is gone"),
                },
                order = orders.recv() => match order.flatten() {
                    Some(key) => self.publish(line, key).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    async fn publish(&mut self, line: &mut Line, key: String) -> Result<()> {
        let Some(sheet) = self.lock().sent.get(&key).map(|sent| sent.sheet.clone()) else {
            return Ok(());
        };
        let tag = line.publish(&sheet).await?;
        self.tags.insert(tag, key);
        Ok(())
    }

    fn heard(&mut self, word: Word) {
        match word {
            Word::Confirm { tag, multiple, taken } => {
                let keys: Vec<String> = if multiple {
                    let rest = self.tags.split_off(&(tag + 1));
                    std::mem::replace(&mut self.tags, rest).into_values().collect()
                } else {
                    self.tags.remove(&tag).into_iter().collect()
                };
                let mut ledger = self.lock();
                for key in keys {
                    if taken {
                        ledger.confirmed(&key, &self.crew.tally);
                    } else {
                        ledger.strange.push("a command that RabbitMQ could not keep".to_owned());
                    }
                }
            }
            Word::Returned(_) => self.lock().strange.push("a command that RabbitMQ found no queue for".to_owned()),
            Word::Closed(_) => {}
        }
    }

    async fn take(&mut self, line: &Line, message: ConsumerMessage) -> Result<()> {
        let (Some(deliver), Some(properties)) = (message.deliver, message.basic_properties) else {
            return Ok(());
        };
        let id = properties.message_id().map_or("", String::as_str);
        let message_type = properties.message_type().map_or("", String::as_str);
        let body = message.content.unwrap_or_default();
        let arrived = self.lock().take(id, message_type, body, &self.crew.tally);
        if let Some(what) = arrived {
            // Nobody plays the people any more: the demo is at its end.
            let _ = self.crew.arrivals.send(Arrival { office: self.address.office, what });
        }
        line.ack(deliver.delivery_tag()).await
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
