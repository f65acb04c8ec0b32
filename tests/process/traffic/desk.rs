//! An office's system and what it keeps. It has one connection for sending and one for receiving,
//! comes back after every loss, and sends again, under the same id, what RabbitMQ did not confirm;
//! all it ever said when the broker's epoch changes; and what it said about a request when work or an
//! answer that it has had comes again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use xacminh_clock::SteppedClock;
use xacminh_testkit::{OfficeClient, OfficeMessage, Sent};

use super::{ANSWER, Habit, Home, NOTICE};
use crate::office::{DELIVER, Got, RECEIPT, form, message_id, take};

/// What a report of a day gets back.
const RESULT: &str = "xacminh.reconcile.result.v1";

/// An office's system and what it keeps.
pub(super) struct Desk {
    pub(super) office: String,
    pub(super) url: String,
    pub(super) password: String,
    pub(super) habit: Habit,
    pub(super) clock: SteppedClock,
    /// Homes whose requests it takes back, if it is a ward.
    pub(super) taken_back: BTreeSet<&'static str>,
    pub(super) outgoing: UnboundedSender<OfficeMessage>,
    pub(super) kept: Mutex<Kept>,
}

/// What an office's system has on its own disk, so to speak.
#[derive(Default)]
pub(super) struct Kept {
    /// Submits: the request, and the home that it has to reach.
    pub(super) asked: BTreeMap<String, &'static str>,
    /// How often something was to be sent that RabbitMQ has not confirmed yet.
    pub(super) unconfirmed: usize,
    /// Commands that were sent more than once.
    pub(super) resent: usize,
    /// What came, by message-id.
    pub(super) came: HashMap<String, Got>,
    /// How often something came again.
    pub(super) repeated: usize,
    /// By the command it is about: what the receipt says.
    pub(super) receipts: HashMap<String, Value>,
    /// Commands that get a receipt: submits and answers.
    pub(super) receipted: BTreeSet<String>,
    /// Requests of answers that were read.
    pub(super) read: BTreeSet<String>,
    /// Requests that it took back.
    pub(super) withdrawn: BTreeSet<String>,
    /// All commands, in the order in which they were made.
    pub(super) said: Vec<OfficeMessage>,
    /// Of each request the commands about it, as places in `said`.
    about: HashMap<String, Vec<usize>>,
    /// The broker's epochs, in the order in which they were seen.
    pub(super) epochs: Vec<String>,
    /// Commands refused after a restore because others have not sent theirs again.
    pub(super) too_early: BTreeSet<String>,
    /// What its reports of a day got back.
    pub(super) results: Vec<Value>,
    /// What must not be.
    pub(super) faults: Vec<String>,
}

impl Desk {
    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a message and queues it; it leaves when it can, under this id however often.
    pub(super) fn say(&self, command: &str, key: &str, body: &Value) -> Result<String> {
        let id = message_id(self.clock.now())?;
        self.say_as(&id, command, key, body)?;
        Ok(id)
    }

    fn say_as(&self, id: &str, command: &str, key: &str, body: &Value) -> Result<()> {
        let message = OfficeMessage {
            message_type: format!("xacminh.{command}.v1"),
            routing_key: key.to_owned(),
            message_id: id.to_owned(),
            correlation_id: None,
            body: serde_json::to_vec(body)?,
            user_id: Some(self.office.clone()),
            headers: Vec::new(),
        };
        let about = body["request_id"].as_str().unwrap_or(id).to_owned();
        let mut kept = self.kept();
        let place = kept.said.len();
        kept.about.entry(about).or_default().push(place);
        kept.said.push(message.clone());
        kept.unconfirmed += 1;
        // Under the lock, so that what is sent again never overtakes what was said before.
        self.outgoing.send(message)?;
        drop(kept);
        Ok(())
    }

    /// Sends again, under the same ids, the commands at these places.
    fn say_again(&self, kept: &mut Kept, places: &[usize]) -> Result<()> {
        for place in places {
            let message = kept.said[*place].clone();
            kept.unconfirmed += 1;
            self.outgoing.send(message)?;
        }
        Ok(())
    }

    /// Looks under which epoch something came. Another one that was never seen says that the broker
    /// was restored from a backup.
    fn look_at_epoch(&self, kept: &mut Kept, epoch: &str) -> Result<()> {
        if kept.epochs.iter().any(|seen| seen == epoch) {
            return Ok(());
        }
        kept.epochs.push(epoch.to_owned());
        if kept.epochs.len() > 1 {
            let all: Vec<usize> = (0..kept.said.len()).collect();
            self.say_again(kept, &all)?;
        }
        Ok(())
    }

    /// Connects, and again and again. As the protocol page asks, with growing waits; shorter ones,
    /// since there are a handful of offices and not three thousand.
    pub(super) async fn connect(&self) -> Result<OfficeClient> {
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
    pub(super) async fn send(&self, mut queue: UnboundedReceiver<OfficeMessage>) -> Result<()> {
        let mut line = self.connect().await?;
        while let Some(message) = queue.recv().await {
            while !matches!(line.publish(message.clone()).await, Ok(Sent::Confirmed)) {
                self.kept().resent += 1;
                line = self.connect().await?;
            }
            self.kept().unconfirmed -= 1;
        }
        Ok(())
    }

    /// Reads the inbox, each message once in effect.
    pub(super) async fn receive(&self) -> Result<()> {
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
        self.look_at_epoch(&mut kept, &got.epoch)?;
        let (id, kind, body) = (got.message_id.clone(), got.message_type.clone(), got.body.clone());
        let about = body["request_id"].as_str().unwrap_or("?").to_owned();
        if let Some(before) = kept.came.get(&id) {
            if kept.epochs.len() > 1 {
                ensure!(meaning(&before.body) == meaning(&body), "{id} came again and says something else");
            } else {
                ensure!(before.bytes == got.bytes, "{id} came again with other bytes");
            }
            kept.repeated += 1;
            if kind == DELIVER || kind == ANSWER {
                let places = kept.about.get(&about).cloned().unwrap_or_default();
                self.say_again(&mut kept, &places)?;
            }
            return Ok(());
        }
        kept.came.insert(id, got);
        match kind.as_str() {
            RECEIPT => {
                let mut accepted = Vec::new();
                for item in body["items"].as_array().context("a receipt without items")? {
                    if let Some(command) = kept.heard(item)? {
                        accepted.push(command);
                    }
                }
                drop(kept);
                accepted.iter().try_for_each(|command| self.take_back(command))
            }
            RESULT => {
                for line in body["differences"].as_array().into_iter().flatten() {
                    if line["healing"] == "send_again" {
                        let id = line["message_id"].as_str().context("a difference about nothing")?;
                        let place = kept.said.iter().position(|m| m.message_id == id).context("a foreign command")?;
                        self.say_again(&mut kept, &[place])?;
                    }
                }
                kept.results.push(body);
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

    /// A ward takes back what it asked of some homes, once it knows that it was accepted.
    fn take_back(&self, request: &str) -> Result<()> {
        let mut kept = self.kept();
        let asked = kept.asked.get(request).is_some_and(|home| self.taken_back.contains(home));
        if !asked || !kept.withdrawn.insert(request.to_owned()) {
            return Ok(());
        }
        drop(kept);
        let body = json!({ "request_id": request, "reason": "no_longer_needed" });
        let id = self.say("request.withdraw", "withdraw.normal", &body)?;
        self.kept().receipted.insert(id);
        Ok(())
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
    pub(super) async fn ask(&self, homes: Vec<Home>, numbers: std::ops::Range<u32>, pace: Duration) -> Result<()> {
        let mut tick = interval(pace);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for (number, (home, unit, _)) in numbers.zip(homes.iter().cycle()) {
            tick.tick().await;
            let id = message_id(self.clock.now())?;
            // Before it leaves, since its receipt may be fast.
            let mut kept = self.kept();
            kept.asked.insert(id.clone(), *home);
            kept.receipted.insert(id.clone());
            drop(kept);
            self.say_as(&id, "request.submit", "submit.normal", &form(number, "2026-11-19", unit))?;
        }
        Ok(())
    }
}

impl Kept {
    /// Takes in a line of a receipt; gives the command when it was accepted.
    fn heard(&mut self, item: &Value) -> Result<Option<String>> {
        let command = item["message_id"].as_str().context("a receipt about nothing")?.to_owned();
        if item["outcome"] != "accepted" {
            let code = item["refusal"]["code"].as_str().unwrap_or("?");
            ensure!(
                self.epochs.len() > 1 && ["request_unknown", "not_yet_answered"].contains(&code),
                "refused: {item}"
            );
            // Of the others nobody hears when they are taken at last; the reconciling shows it.
            if self.receipted.contains(&command) {
                self.too_early.insert(command);
            }
            return Ok(None);
        }
        self.too_early.remove(&command);
        if let Some(before) = self.receipts.insert(command.clone(), item.clone()) {
            ensure!(before == *item || self.epochs.len() > 1, "two receipts: {before} and {item}");
        }
        Ok(Some(command))
    }
}

/// What a message says, but for the instants of a broker that had to take it twice.
fn meaning(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|name, _| name != "submitted_at" && name != "answered_at");
    }
    body
}

/// Runs a part of an office's system; why it ended, if it fails, is a fault of the test.
pub(super) fn watched<F>(tasks: &mut JoinSet<()>, desk: &Arc<Desk>, part: impl FnOnce(Arc<Desk>) -> F)
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
