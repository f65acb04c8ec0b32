//! An office: a ward that asks the others and a home that answers at once, with a login and a
//! connection of its own. In a closed loop its ward begins the next life when one is over; by the clock it
//! begins one when it is time, however many are under way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use jiff::tz::offset;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use xacminh_contract::envelope::{ANSWER_DELIVER, CommandType, NOTICE, RECEIPT, REQUEST_DELIVER};
use xacminh_demo::line::{Line, Message, Sheet, Word};
use xacminh_domain::id::OfficeId;
use xacminh_testkit::people::{Person, person};

use crate::load::{ANSWER, Figures, SUBMIT};

/// An office and the unit that it serves.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its id, also its login.
    pub(crate) office: OfficeId,
    /// The code of the unit.
    pub(crate) unit: String,
}

/// What a receipt is without its items.
pub(crate) const RECEIPT_OF_NOTHING: &str = r#"{"items":[]}"#;

/// What comes to offices in a life.
pub(crate) const KINDS: [&str; 3] = [RECEIPT, REQUEST_DELIVER, ANSWER_DELIVER];

/// Of what messages a life is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Submit, receipt, deliver, received, opened, answer, receipt, answer.deliver, read. Over when RabbitMQ
    /// has the last one.
    Whole,
    /// Submit, deliver, answer, answer.deliver: a round trip over a plain relay. Over when the last one came.
    Bare,
}

/// When lives begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// So many are under way, shared out over the offices: the next begins when one is over.
    Window(usize),
    /// So many begin a second, evenly, whatever becomes of them.
    Clock {
        /// All offices together.
        lives_per_second: f64,
    },
}

/// A pace, as it is one office's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rhythm {
    /// How many lives it begins at once, each followed by another.
    at_once: usize,
    /// When it begins one by the clock, and how long until the next.
    then: Option<(Instant, Duration)>,
}

impl Rhythm {
    /// That of office `number` of `count`, which begin together.
    pub(crate) fn of(pace: Pace, number: usize, count: usize, begin: Instant) -> Self {
        match pace {
            // What is left over goes to the first ones.
            Pace::Window(window) => Self { at_once: window / count + usize::from(number < window % count), then: None },
            Pace::Clock { lives_per_second } => {
                let every = |nth: usize| {
                    Duration::from_secs_f64(u32::try_from(nth).map_or(f64::MAX, f64::from) / lives_per_second)
                };
                Self { at_once: 0, then: Some((begin + every(number), every(count))) }
            }
        }
    }
}

pub(crate) struct Office {
    number: usize,
    places: Arc<[Place]>,
    line: Line,
    figures: Arc<Figures>,
    enough: CancellationToken,
    /// Of what its lives are made.
    life: Life,
    /// One that is over is followed by another.
    follows: bool,
    /// How many lives it has begun: which home comes next.
    begun: usize,
    /// When it began, in seconds: in another run over the same store its files are others, or each request would be a
    /// near-duplicate of one of the run before.
    since: i64,
    /// Its own requests, and since when.
    asked: BTreeMap<String, std::time::Instant>,
    /// What RabbitMQ has not confirmed, by delivery tag.
    said: BTreeMap<u64, Said>,
    /// What it did not take, and when that is sent again.
    held: BTreeMap<(Instant, u64), Said>,
}

/// A message that an office keeps until RabbitMQ has it.
struct Said {
    sheet: Sheet,
    /// Since when the life lasts that is over then, if one is.
    ends: Option<std::time::Instant>,
    /// How often RabbitMQ did not take it.
    refused: u32,
}

impl Said {
    /// How long it waits now, as the protocol says.
    fn pause(&self) -> Duration {
        Duration::from_secs(1 << self.refused.min(6)).min(LONGEST_PAUSE)
    }
}

/// The longest that an office waits before it sends again what was not taken.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Office {
    pub(crate) fn new(
        number: usize,
        places: Arc<[Place]>,
        line: Line,
        figures: Arc<Figures>,
        enough: CancellationToken,
    ) -> Self {
        let (asked, said, held) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (life, since) = (Life::Whole, Timestamp::now().as_second());
        Self { number, places, line, figures, enough, life, follows: true, begun: 0, since, asked, said, held }
    }

    /// Lives until the end; begins no life any more when it is enough.
    pub(crate) async fn work(mut self, life: Life, rhythm: Rhythm, end: CancellationToken) -> Result<()> {
        (self.life, self.follows) = (life, rhythm.then.is_none());
        for _ in 0..rhythm.at_once {
            self.begin().await?;
        }
        let mut clock = rhythm.then.map(|(first, every)| {
            let mut clock = interval_at(first, every);
            // Who is late makes up for it, or the load would follow the broker.
            clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
            clock
        });
        let enough = self.enough.clone();
        loop {
            let again = self.held.keys().next().map(|(at, _)| *at);
            tokio::select! {
                () = end.cancelled() => {
                    self.line.close().await;
                    return Ok(());
                }
                word = self.line.words.recv() => match word {
                    Some(Word::Confirm { tag, multiple, taken: true }) => self.confirmed(tag, multiple).await?,
                    Some(Word::Confirm { tag, multiple, taken: false }) => self.hold(tag, multiple),
                    other => bail!("{}: {other:?}", self.places[self.number].office),
                },
                message = self.line.inbox.recv() => {
                    self.take(message.context("the inbox is gone")?).await?;
                }
                // Who was told that no more is taken begins nothing new until what it has was taken.
                () = next(&mut clock), if !enough.is_cancelled() => if self.held.is_empty() { self.begin().await? },
                () = until(again) => self.send_again().await?,
            }
        }
    }

    /// Asks the next home, round and round over all others.
    async fn begin(&mut self) -> Result<()> {
        let others = self.places.len() - 1;
        let home = &self.places[(self.number + 1 + (self.begun + self.number * 7) % others) % self.places.len()];
        self.begun += 1;
        let body = form(self.since, self.number, self.begun, &home.unit);
        let id = Uuid::now_v7().to_string();
        self.asked.insert(id.clone(), std::time::Instant::now());
        self.figures.begun();
        self.figures.leaves(SUBMIT, &id);
        self.say(CommandType::RequestSubmit, "submit.normal", Some(id), None, body, None).await
    }

    async fn say(
        &mut self,
        of: CommandType,
        key: &str,
        id: Option<String>,
        about: Option<&str>,
        body: String,
        ends: Option<std::time::Instant>,
    ) -> Result<()> {
        self.figures.message();
        let sheet = Sheet {
            message_type: of.wire(),
            routing_key: key.to_owned(),
            message_id: id.unwrap_or_else(|| Uuid::now_v7().to_string()),
            correlation_id: about.map(str::to_owned),
            time: Timestamp::now().to_string(),
            signed: true,
            body: body.into_bytes(),
        };
        self.send(Said { sheet, ends, refused: 0 }).await
    }

    async fn send(&mut self, said: Said) -> Result<()> {
        let tag = self.line.publish(&said.sheet).await?;
        self.said.insert(tag, said);
        Ok(())
    }

    /// RabbitMQ did not take these: more comes than goes through.
    fn hold(&mut self, tag: u64, multiple: bool) {
        for (tag, mut said) in self.heard_of(tag, multiple) {
            let at = Instant::now() + said.pause();
            said.refused += 1;
            self.held.insert((at, tag), said);
        }
    }

    /// Sends again what is due next.
    async fn send_again(&mut self) -> Result<()> {
        match self.held.pop_first() {
            Some((_, said)) => self.send(said).await,
            None => Ok(()),
        }
    }

    async fn take(&mut self, message: Message) -> Result<()> {
        let (Some(deliver), Some(properties)) = (message.deliver, message.basic_properties) else {
            bail!("a message without properties");
        };
        let of = properties.message_type().map_or("", String::as_str);
        let body = message.content.unwrap_or_default();
        let (parts, bytes) = if of == RECEIPT { each_alone(&body) } else { (1, body.len()) };
        self.figures.came(of, parts, bytes);
        let about = properties.correlation_id().map_or("", String::as_str);
        match of {
            RECEIPT if self.life == Life::Whole => {
                ensure!(!body.windows(9).any(|w| w == b"\"refused\""), "refused: {}", text(&body));
            }
            REQUEST_DELIVER => {
                self.figures.arrives(SUBMIT, about);
                if self.life == Life::Whole {
                    let request = format!("{{\"request_id\":\"{about}\"}}");
                    self.say(
                        CommandType::RequestReceived,
                        "request.received",
                        None,
                        Some(about),
                        request.clone(),
                        None,
                    )
                    .await?;
                    self.say(CommandType::RequestOpened, "request.opened", None, Some(about), request, None).await?;
                }
                let answer = format!("{{\"request_id\":\"{about}\",\"code\":\"A01\",\"answered_by\":\"cb-017\"}}");
                self.figures.leaves(ANSWER, about);
                self.say(CommandType::AnswerGive, "answer.give", None, Some(about), answer, None).await?;
            }
            ANSWER_DELIVER => {
                self.figures.arrives(ANSWER, about);
                let since =
                    self.asked.remove(about).with_context(|| format!("an answer to {about}, not asked here"))?;
                match self.life {
                    Life::Whole => {
                        let request = format!("{{\"request_id\":\"{about}\"}}");
                        self.say(CommandType::AnswerRead, "answer.read", None, Some(about), request, Some(since))
                            .await?;
                    }
                    Life::Bare => self.over(since).await?,
                }
            }
            // Rungs of requests that nobody here asked may fire meanwhile.
            NOTICE => {}
            other => bail!("{other} came: {}", text(&body)),
        }
        self.line.ack(deliver.delivery_tag()).await
    }

    /// RabbitMQ has what was said; where that was the reading, a life is over.
    async fn confirmed(&mut self, tag: u64, multiple: bool) -> Result<()> {
        let over: Vec<_> = self.heard_of(tag, multiple).into_iter().filter_map(|(_, said)| said.ends).collect();
        for since in over {
            self.over(since).await?;
        }
        Ok(())
    }

    /// What such a word of RabbitMQ is about.
    fn heard_of(&mut self, tag: u64, multiple: bool) -> Vec<(u64, Said)> {
        if multiple {
            let rest = self.said.split_off(&(tag + 1));
            std::mem::replace(&mut self.said, rest).into_iter().collect()
        } else {
            self.said.remove_entry(&tag).into_iter().collect()
        }
    }

    /// A life is over; in a closed loop the next begins.
    async fn over(&mut self, since: std::time::Instant) -> Result<()> {
        self.figures.over(since);
        if self.follows && !self.enough.is_cancelled() {
            self.begin().await?;
        }
        self.figures.gone();
        Ok(())
    }
}

/// When the clock says so; never without one.
async fn next(clock: &mut Option<tokio::time::Interval>) {
    match clock {
        Some(clock) => drop(clock.tick().await),
        None => std::future::pending().await,
    }
}

/// At that instant; never without one.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// How many commands a receipt is for, and how long receipts would be if each of them had its own.
fn each_alone(body: &[u8]) -> (usize, usize) {
    let items = body.windows(9).filter(|w| *w == b"\"outcome\"").count().max(1);
    // All but the first share the wrapping, and have a comma instead.
    (items, body.len() + (items - 1) * (RECEIPT_OF_NOTHING.len() - 1))
}

/// A submit that is right, about somebody who does not exist.
fn form(since: i64, office: usize, life: usize, unit: &str) -> String {
    let today = offset(7).to_datetime(Timestamp::now()).date();
    let Person { full_name, person_no, birth_on, address_detail } =
        person(u32::try_from(life % 50_000).unwrap_or_default());
    format!(
        "{{\"kind\":\"temp_residence\",\"case_code\":\"TT-{since}-{office}-{life}\",\"received_on\":\"{today}\",\
         \"purpose\":\"registration\",\"lane\":\"normal\",\"lookup\":\"done\",\
         \"home\":{{\"code\":\"{unit}\",\"as_of\":\"{today}\"}},\
         \"person\":{{\"full_name\":\"{full_name}\",\"person_no\":\"{person_no}\",\"birth\":\"{birth_on}\",\
         \"address\":\"{address_detail}\"}}}}"
    )
}

/// What the broker said, for whoever looks for the fault: persons of a bench do not exist.
fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(600).collect()
}

#[cfg(test)]
mod tests {
    use xacminh_contract::decode::{self, Command};

    use super::*;

    #[test]
    fn what_it_sends_is_right() {
        for life in 0..500 {
            let body = form(1_764_000_000, 3, life, "00004");
            let read = decode::command(CommandType::RequestSubmit, body.as_bytes());
            assert!(matches!(read, Ok(Command::Submit(_))), "{read:?}");
        }
    }

    #[test]
    fn a_receipt_for_several_is_as_long_as_several() {
        let item = r#"{"message_id":"a","outcome":"accepted"}"#;
        let (one, three) = (format!(r#"{{"items":[{item}]}}"#), format!(r#"{{"items":[{item},{item},{item}]}}"#));
        assert_eq!(each_alone(one.as_bytes()), (1, one.len()));
        assert_eq!(each_alone(three.as_bytes()), (3, 3 * one.len()));
    }

    #[test]
    fn a_window_is_shared_out_whole() {
        for (window, count) in [(1_200, 600), (1_201, 32), (5, 32)] {
            let begin = Instant::now();
            let shares = (0..count).map(|number| Rhythm::of(Pace::Window(window), number, count, begin).at_once);
            assert_eq!(shares.sum::<usize>(), window);
        }
    }

    #[tokio::test]
    async fn by_the_clock_offices_begin_one_after_the_other() {
        let begin = Instant::now();
        let first = Rhythm::of(Pace::Clock { lives_per_second: 100.0 }, 0, 20, begin);
        let last = Rhythm::of(Pace::Clock { lives_per_second: 100.0 }, 19, 20, begin);
        assert_eq!((first.at_once, first.then), (0, Some((begin, Duration::from_millis(200)))));
        assert_eq!(last.then, Some((begin + Duration::from_millis(190), Duration::from_millis(200))));
    }
}
