//! Offices that keep at it: wards ask steadily, homes answer, and each office's system (`desk`)
//! behaves as the protocol page asks. What it has said and heard outlives its connections, so at the
//! end a balance can be drawn, and each office's day be compared with the broker's (`days`).

mod days;
mod desk;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use xacminh_testkit::{PATIENCE, eventually};

use crate::office::DELIVER;
use crate::product::Product;
use desk::{Desk, watched};

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
    /// Confirms it, and the ward takes it back as soon as it is accepted.
    TakenBack,
}

/// A home office: its id, a unit that it serves, what it does.
pub(crate) type Home = (&'static str, &'static str, Habit);

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
        let taken_back: BTreeSet<&'static str> =
            homes.iter().filter(|(.., habit)| *habit == Habit::TakenBack).map(|(home, ..)| *home).collect();
        let mut desk = |office: &str, habit: Habit| -> Result<Arc<Desk>> {
            let (outgoing, queue) = mpsc::unbounded_channel();
            let desk = Arc::new(Desk {
                office: office.to_owned(),
                url: product.world.amqp_url(),
                password: product.password(office)?.to_owned(),
                habit,
                clock: product.clock()?,
                taken_back: taken_back.clone(),
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
        self.until("what homes said confirmed", within, || self.homes.iter().all(|d| d.kept().unconfirmed == 0)).await;
        self.until("every answer with its ward", within, || self.answered() >= to_answer()).await;
        self.until("all that was said confirmed", within, || self.desks().all(|d| d.kept().unconfirmed == 0)).await;
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

    /// RabbitMQ has all that was said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.desks().all(|desk| desk.kept().unconfirmed == 0)
    }

    /// How many epochs of the broker each office has seen.
    pub(crate) fn epochs(&self) -> Vec<usize> {
        self.desks().map(|desk| desk.kept().epochs.len()).collect()
    }

    /// Requests of which a ward has read the answer.
    pub(crate) fn read(&self) -> BTreeSet<String> {
        self.wards.iter().flat_map(|ward| ward.kept().read.clone()).collect()
    }

    /// Requests that a ward took back.
    pub(crate) fn withdrawn(&self) -> BTreeSet<String> {
        self.wards.iter().flat_map(|ward| ward.kept().withdrawn.clone()).collect()
    }

    /// Commands that were refused after a restore and not accepted since.
    pub(crate) fn too_early(&self) -> Vec<String> {
        self.desks().flat_map(|desk| desk.kept().too_early.clone()).collect()
    }

    /// How many requests were asked of homes that answer, and how many are taken back.
    pub(crate) fn asked_of_habits(&self) -> (usize, usize) {
        let habit = |home: &str| self.homes.iter().find(|desk| desk.office == home).map(|desk| desk.habit);
        let asked: Vec<_> =
            self.wards.iter().flat_map(|w| w.kept().asked.values().copied().collect::<Vec<_>>()).collect();
        let count = |wanted| asked.iter().filter(|home| habit(home) == Some(wanted)).count();
        (count(Habit::Answers), count(Habit::TakenBack))
    }

    /// No request came to a home under a second message-id, nor an answer to a ward.
    pub(crate) fn each_request_came_under_one_id(&self) {
        for desk in self.desks() {
            let kept = desk.kept();
            let mut seen = BTreeSet::new();
            for got in kept.came.values().filter(|got| [DELIVER, ANSWER].contains(&got.message_type.as_str())) {
                let about = (got.message_type.as_str(), got.body["request_id"].as_str());
                assert!(seen.insert(about), "{about:?} came to {} under two ids", desk.office);
            }
        }
    }

    /// Ends all offices' systems.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}
