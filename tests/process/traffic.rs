//! Offices that keep at it: wards ask steadily, homes answer, and each office's system behaves as the
//! protocol page asks. It has one connection for sending and one for receiving, comes back after every
//! loss, and sends again, under the same id, what RabbitMQ did not confirm. What it has said and heard
//! outlives its connections, so at the end a balance can be drawn.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use xacminh_clock::SteppedClock;
use xacminh_testkit::{OfficeClient, OfficeMessage, PATIENCE, Sent, eventually};

use crate::office::{DELIVER, Got, RECEIPT, form, message_id, take};
use crate::product::Product;

const ANSWER: &str = "xacminh.answer.deliver.v1";
const NOTICE: &str = "xacminh.notice.v1";

/// What a home office's system does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Confirms it, a person opens it, and answers.
    Answers,
    /// Confirms it; then nothing.
    Receives,
    /// Takes it out of the inbox and says nothing.
    Silent,
}

/// A home office: its id, a unit that it serves, what it does.
pub(crate) type Home = (&'static str, &'static str, Habit);

/// An office's system and what it keeps.
struct Desk {
    office: String,
    url: String,
    password: String,
    habit: Habit,
    clock: SteppedClock,
    outgoing: UnboundedSender<OfficeMessage>,
    kept: Mutex<Kept>,
}

/// What an office's system has on its own disk, so to speak.
#[derive(Default)]
struct Kept {
    /// Submits: the request, and the home that it has to reach.
    asked: BTreeMap<String, &'static str>,
    /// Commands that RabbitMQ has not confirmed yet.
    unconfirmed: BTreeSet<String>,
    /// Commands that were sent more than once.
    resent: usize,
    /// What came, by message-id.
    came: HashMap<String, Got>,
    /// How often something came again.
    repeated: usize,
    /// By the command it is about: what the receipt says.
    receipts: HashMap<String, Value>,
    /// Commands that get a receipt: submits and answers.
    receipted: BTreeSet<String>,
    /// Requests of answers that were read.
    read: BTreeSet<String>,
    /// What must not be.
    faults: Vec<String>,
}

impl Desk {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a message and queues it; it leaves when it can, under this id however often.
    fn say(&self, command: &str, key: &str, body: &Value) -> Result<String> {
        let id = message_id(self.clock.now())?;
        self.kept().unconfirmed.insert(id.clone());
        self.outgoing.send(OfficeMessage {
            message_type: format!("xacminh.{command}.v1"),
            routing_key: key.to_owned(),
            message_id: id.clone(),
            correlation_id: None,
            body: serde_json::to_vec(body)?,
            user_id: Some(self.office.clone()),
            headers: Vec::new(),
        })?;
        Ok(id)
    }

    /// Connects, and again and again. As the protocol page asks, with growing waits; shorter ones,
    /// since there are a handful of offices and not three thousand.
    async fn connect(&self) -> Result<OfficeClient> {
        let mut wait = Duration::from_millis(50);
        loop {
            match OfficeClient::connect(&self.url, self.office.parse()?, &self.password).await {
                Ok(client) => return Ok(client),
                Err(_) => sleep(wait).await,
            }
            wait = (wait * 2).min(Duration::from_secs(1));
        }
    }

    /// Sends what is queued, each until RabbitMQ has confirmed it.
    async fn send(&self, mut queue: UnboundedReceiver<OfficeMessage>) -> Result<()> {
        let mut line = self.connect().await?;
        while let Some(message) = queue.recv().await {
            while !matches!(line.publish(message.clone()).await, Ok(Sent::Confirmed)) {
                self.kept().resent += 1;
                line = self.connect().await?;
            }
            self.kept().unconfirmed.remove(&message.message_id);
        }
        Ok(())
    }

    /// Reads the inbox, each message once in effect.
    async fn receive(&self) -> Result<()> {
        loop {
            let mut line = self.connect().await?;
            // Until the connection is lost, or nothing has come for long: then it connects anew.
            while let Ok(got) = take(&mut line).await {
                self.work_on(got)?;
            }
        }
    }

    fn work_on(&self, got: Got) -> Result<()> {
        let mut kept = self.kept();
        if let Some(before) = kept.came.get(&got.message_id) {
            ensure!(before.bytes == got.bytes, "{} came again with other bytes", got.message_id);
            kept.repeated += 1;
            return Ok(());
        }
        let (id, kind, body) = (got.message_id.clone(), got.message_type.clone(), got.body.clone());
        kept.came.insert(id, got);
        let about = body["request_id"].as_str().unwrap_or("?").to_owned();
        match kind.as_str() {
            RECEIPT => {
                for item in body["items"].as_array().context("a receipt without items")? {
                    ensure!(item["outcome"] == "accepted", "refused: {item}");
                    let command = item["message_id"].as_str().context("a receipt about nothing")?;
                    if let Some(before) = kept.receipts.insert(command.to_owned(), item.clone()) {
                        ensure!(before == *item, "two receipts: {before} and {item}");
                    }
                }
                Ok(())
            }
            DELIVER => {
                drop(kept);
                self.deal_with(&about)
            }
            ANSWER => {
                ensure!(kept.read.insert(about.clone()), "a second answer about {about}");
                drop(kept);
                self.say("answer.read", "answer.read", &json!({ "request_id": about })).map(drop)
            }
            NOTICE => Ok(()),
            other => Err(anyhow::anyhow!("{other} came")),
        }
    }

    fn deal_with(&self, request: &str) -> Result<()> {
        if self.habit == Habit::Silent {
            return Ok(());
        }
        let about = json!({ "request_id": request });
        self.say("request.received", "request.received", &about)?;
        if self.habit == Habit::Answers {
            self.say("request.opened", "request.opened", &about)?;
            let answer = json!({ "request_id": request, "code": "A01", "answered_by": "cb-1" });
            let id = self.say("answer.give", "answer.give", &answer)?;
            self.kept().receipted.insert(id);
        }
        Ok(())
    }

    /// Asks steadily, home after home, until told to stop or that often.
    async fn ask(&self, homes: Vec<Home>, numbers: std::ops::Range<u32>, pace: Duration) -> Result<()> {
        let mut tick = interval(pace);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for (number, (home, unit, _)) in numbers.zip(homes.iter().cycle()) {
            tick.tick().await;
            let id = self.say("request.submit", "submit.normal", &form(number, "2026-11-19", unit))?;
            let mut kept = self.kept();
            kept.asked.insert(id.clone(), *home);
            kept.receipted.insert(id);
        }
        Ok(())
    }
}

/// The offices of a test, all at work.
pub(crate) struct Traffic {
    wards: Vec<Arc<Desk>>,
    homes: Vec<Arc<Desk>>,
    /// Ends the asking.
    asked_enough: CancellationToken,
    tasks: JoinSet<()>,
}

/// What a test may say about its traffic at the end.
#[derive(Debug)]
pub(crate) struct Balance {
    /// Requests.
    pub(crate) asked: usize,
    /// Commands that were sent again.
    pub(crate) resent: usize,
    /// Messages that came again.
    pub(crate) repeated: usize,
}

impl Traffic {
    /// Connects all offices and has each ward ask, so often at most, at this pace.
    pub(crate) fn begin(product: &Product, wards: &[&str], homes: &[Home], each: u32, pace: Duration) -> Result<Self> {
        let mut tasks = JoinSet::new();
        let mut desk = |office: &str, habit: Habit| -> Result<Arc<Desk>> {
            let (outgoing, queue) = mpsc::unbounded_channel();
            let desk = Arc::new(Desk {
                office: office.to_owned(),
                url: product.world.amqp_url(),
                password: product.password(office)?.to_owned(),
                habit,
                clock: product.clock()?,
                outgoing,
                kept: Mutex::default(),
            });
            watched(&mut tasks, &desk, |desk| async move { desk.send(queue).await });
            watched(&mut tasks, &desk, |desk| async move { desk.receive().await });
            Ok(desk)
        };
        let wards: Vec<_> = wards.iter().map(|ward| desk(ward, Habit::Silent)).collect::<Result<_>>()?;
        let homes_at_work = homes.iter().map(|(home, _, habit)| desk(home, *habit)).collect::<Result<_>>()?;
        let asked_enough = CancellationToken::new();
        for (number, ward) in (0..).zip(&wards) {
            let (homes, enough, numbers) =
                (homes.to_vec(), asked_enough.clone(), number * 100_000..number * 100_000 + each);
            watched(&mut tasks, ward, |desk| async move {
                tokio::select! {
                    () = enough.cancelled() => Ok(()),
                    ended = desk.ask(homes, numbers, pace) => ended,
                }
            });
        }
        Ok(Self { wards, homes: homes_at_work, asked_enough, tasks })
    }

    fn desks(&self) -> impl Iterator<Item = &Arc<Desk>> {
        self.wards.iter().chain(&self.homes)
    }

    /// How many requests were asked for so far.
    pub(crate) fn asked(&self) -> usize {
        self.wards.iter().map(|ward| ward.kept().asked.len()).sum()
    }

    /// How many answers came to their wards so far.
    pub(crate) fn answered(&self) -> usize {
        self.wards.iter().map(|ward| ward.kept().read.len()).sum()
    }

    /// Waits until so many more answers have come than now, of whichever requests.
    pub(crate) async fn until_answered(&self, more: usize, within: Duration) {
        let wanted = self.answered() + more;
        self.until(&format!("{wanted} answers"), within, || self.answered() >= wanted).await;
    }

    /// Waits until so many more requests were asked for than now.
    pub(crate) async fn until_asked(&self, more: usize) {
        let wanted = self.asked() + more;
        self.until(&format!("{wanted} requests"), PATIENCE, || self.asked() >= wanted).await;
    }

    /// Waits for something about what the offices keep; an office's fault ends the wait.
    pub(crate) async fn until(&self, what: &str, within: Duration, holds: impl Fn() -> bool) {
        eventually(what, within, async || {
            let faults: Vec<String> = self.desks().flat_map(|desk| desk.kept().faults.clone()).collect();
            assert!(faults.is_empty(), "{faults:#?}");
            holds().then_some(())
        })
        .await;
    }

    /// No more is asked; what was begun goes on.
    pub(crate) fn stop_asking(&self) {
        self.asked_enough.cancel();
    }

    /// Notices that came to a home, by request and topic.
    pub(crate) fn notices(&self, home: &str) -> Vec<(String, String)> {
        let Some(desk) = self.homes.iter().find(|desk| desk.office == home) else { return Vec::new() };
        let kept = desk.kept();
        let items =
            kept.came.values().filter(|got| got.message_type == NOTICE).flat_map(|got| got.body["items"].as_array());
        let text = |item: &Value, name: &str| item[name].as_str().unwrap_or("?").to_owned();
        let mut all: Vec<_> = items.flatten().map(|item| (text(item, "request_id"), text(item, "topic"))).collect();
        all.sort();
        all
    }

    /// Waits until RabbitMQ has all that was said, and every submit and answer has its receipt, every
    /// request its home, every answer its ward; then looks that nothing came in two ways.
    pub(crate) async fn balance(&self, within: Duration) -> Balance {
        self.stop_asking();
        let answering = |desk: &Arc<Desk>| desk.habit == Habit::Answers;
        let to_answer = || {
            let answered_by: BTreeSet<String> =
                self.homes.iter().filter(|d| answering(d)).map(|d| d.office.clone()).collect();
            self.wards
                .iter()
                .map(|w| w.kept().asked.values().filter(|h| answered_by.contains(**h)).count())
                .sum::<usize>()
        };
        self.until("every request with its home", within, || self.delivered().len() >= self.asked()).await;
        self.until("every answer with its ward", within, || self.answered() >= to_answer()).await;
        self.until("all that was said confirmed", within, || self.desks().all(|d| d.kept().unconfirmed.is_empty()))
            .await;
        self.until("a receipt for every submit and answer", within, || {
            self.desks().map(|desk| desk.kept()).all(|kept| kept.receipts.len() >= kept.receipted.len())
        })
        .await;

        let mut asked: Vec<(String, String)> = Vec::new();
        for ward in &self.wards {
            asked.extend(ward.kept().asked.iter().map(|(id, home)| (id.clone(), (*home).to_owned())));
        }
        asked.sort();
        assert_eq!(self.delivered(), asked, "each request came to its home, under one message-id");
        for desk in self.desks() {
            let kept = desk.kept();
            let about: BTreeSet<&String> = kept.receipts.keys().collect();
            assert_eq!(
                about,
                kept.receipted.iter().collect(),
                "a receipt for each command of {}, no other",
                desk.office
            );
        }
        for ward in &self.wards {
            let kept = ward.kept();
            assert!(kept.read.iter().all(|request| kept.asked.contains_key(request)), "a foreign answer");
        }
        assert_eq!(self.answered(), to_answer(), "one answer for each request of a home that answers");
        Balance {
            asked: asked.len(),
            resent: self.desks().map(|desk| desk.kept().resent).sum(),
            repeated: self.desks().map(|desk| desk.kept().repeated).sum(),
        }
    }

    /// What came to homes: request and home, once for each message-id.
    fn delivered(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for home in &self.homes {
            let kept = home.kept();
            let delivers = kept.came.values().filter(|got| got.message_type == DELIVER);
            all.extend(
                delivers.map(|got| (got.body["request_id"].as_str().unwrap_or("?").to_owned(), home.office.clone())),
            );
        }
        all.sort();
        all
    }

    /// Ends all offices' systems.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Runs a part of an office's system; why it ended, if it fails, is a fault of the test.
fn watched<F>(tasks: &mut JoinSet<()>, desk: &Arc<Desk>, part: impl FnOnce(Arc<Desk>) -> F)
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (running, desk) = (part(desk.clone()), desk.clone());
    tasks.spawn(async move {
        if let Err(error) = running.await {
            desk.kept().faults.push(format!("{}: {error:#}", desk.office));
        }
    });
}
