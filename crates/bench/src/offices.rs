//! The offices: each a ward that asks the others and a home that answers at once, with a login and a
//! connection of its own. A closed loop: when a life is over, its ward begins the next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use jiff::tz::offset;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use xacminh_contract::envelope::{ANSWER_DELIVER, CommandType, NOTICE, RECEIPT, REQUEST_DELIVER};
use xacminh_demo::line::{Address, Line, Message, Sheet, Word};
use xacminh_domain::id::OfficeId;
use xacminh_testkit::people::{Person, person};

use crate::report::Run;

/// How many offices connect at a time.
const AT_A_TIME: usize = 32;
/// How long the lives that are under way at the end may take to come to theirs.
const LAST_LIVES: Duration = Duration::from_secs(60);

/// An office and the unit that it serves.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its id, also its login.
    pub(crate) office: OfficeId,
    /// The code of the unit.
    pub(crate) unit: String,
}

/// What all offices count together.
#[derive(Default)]
pub(crate) struct Figures {
    lives: AtomicU64,
    under_way: AtomicU64,
    messages: AtomicU64,
    /// How many messages of each kind came, and of how many bytes.
    came: [(AtomicU64, AtomicU64); KINDS.len()],
    measuring: AtomicBool,
    durations: Mutex<Vec<Duration>>,
    over: Notify,
}

/// What comes to offices in a life.
pub(crate) const KINDS: [&str; 3] = [RECEIPT, REQUEST_DELIVER, ANSWER_DELIVER];

impl Figures {
    fn durations(&self) -> MutexGuard<'_, Vec<Duration>> {
        self.durations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mean size of the messages that came, by [`KINDS`].
    pub(crate) fn sizes(&self) -> [u64; KINDS.len()] {
        std::array::from_fn(|kind| {
            let (count, bytes) = &self.came[kind];
            bytes.load(Ordering::Relaxed) / count.load(Ordering::Relaxed).max(1)
        })
    }
}

/// Lets these offices live, warms up, and measures.
pub(crate) async fn live(
    addresses: Vec<(Place, Address)>,
    window: usize,
    warm_up: Duration,
    measured: Duration,
) -> Result<(Run, [u64; KINDS.len()])> {
    let figures = Arc::new(Figures::default());
    let places: Arc<[Place]> = addresses.iter().map(|(place, _)| place.clone()).collect();
    let lines = connect(addresses).await?;
    let (enough, end) = (CancellationToken::new(), CancellationToken::new());
    let mut offices = JoinSet::new();
    let count = lines.len();
    for (number, line) in lines {
        // The window is shared out evenly; what is left over goes to the first ones.
        let share = window / count + usize::from(number < window % count);
        let office = Office::new(number, places.clone(), line, figures.clone(), enough.clone());
        let end = end.clone();
        offices.spawn(async move { office.work(share, end).await });
    }
    let run = tokio::select! {
        run = measure(&figures, warm_up, measured) => run,
        ended = offices.join_next() => bail!("an office ended in the middle: {ended:?}"),
    };
    enough.cancel();
    let last = async {
        while figures.under_way.load(Ordering::Acquire) > 0 {
            figures.over.notified().await;
        }
    };
    tokio::select! {
        () = last => {}
        ended = offices.join_next() => bail!("an office ended before its lives: {ended:?}"),
        () = tokio::time::sleep(LAST_LIVES) => bail!(
            "{} lives did not come to their end", figures.under_way.load(Ordering::Relaxed)
        ),
    }
    end.cancel();
    while let Some(ended) = offices.join_next().await {
        ended??;
    }
    Ok((run, figures.sizes()))
}

async fn measure(figures: &Figures, warm_up: Duration, measured: Duration) -> Run {
    tokio::time::sleep(warm_up).await;
    let seen = || (figures.lives.load(Ordering::Relaxed), figures.messages.load(Ordering::Relaxed));
    let (begun, (lives_before, messages_before)) = (Instant::now(), seen());
    figures.measuring.store(true, Ordering::Relaxed);
    tokio::time::sleep(measured).await;
    figures.measuring.store(false, Ordering::Relaxed);
    let ((lives, messages), seconds) = (seen(), begun.elapsed().as_secs_f64());
    let lives = lives - lives_before;
    let mut durations = std::mem::take(&mut *figures.durations());
    durations.sort_unstable();
    Run {
        lives_per_second: real(lives) / seconds,
        lives,
        life_p50_ms: percentile(&durations, 50),
        life_p99_ms: percentile(&durations, 99),
        messages_per_life: real(messages - messages_before) / real(lives.max(1)),
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted.get(sorted.len() * percent / 100).map_or(0.0, |d| d.as_secs_f64() * 1_000.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn real(n: u64) -> f64 {
    n as f64
}

async fn connect(addresses: Vec<(Place, Address)>) -> Result<Vec<(usize, Line)>> {
    let (mut opening, mut lines) = (JoinSet::new(), Vec::new());
    for (number, (place, address)) in addresses.into_iter().enumerate() {
        if opening.len() == AT_A_TIME
            && let Some(line) = opening.join_next().await
        {
            lines.push(line??);
        }
        opening.spawn(async move {
            let line = Line::open(&address).await.with_context(|| format!("{} does not get through", place.office))?;
            anyhow::Ok((number, line))
        });
    }
    while let Some(line) = opening.join_next().await {
        lines.push(line??);
    }
    Ok(lines)
}

struct Office {
    number: usize,
    places: Arc<[Place]>,
    line: Line,
    figures: Arc<Figures>,
    enough: CancellationToken,
    /// How many lives it has begun: which home comes next.
    begun: usize,
    /// Its own requests, and since when.
    asked: BTreeMap<String, Instant>,
    /// Readings that RabbitMQ has not confirmed, by delivery tag.
    reading: BTreeMap<u64, Instant>,
}

impl Office {
    fn new(number: usize, places: Arc<[Place]>, line: Line, figures: Arc<Figures>, enough: CancellationToken) -> Self {
        Self { number, places, line, figures, enough, begun: 0, asked: BTreeMap::new(), reading: BTreeMap::new() }
    }

    async fn work(mut self, share: usize, end: CancellationToken) -> Result<()> {
        for _ in 0..share {
            self.begin().await?;
        }
        loop {
            tokio::select! {
                () = end.cancelled() => {
                    self.line.close().await;
                    return Ok(());
                }
                word = self.line.words.recv() => match word {
                    Some(Word::Confirm { tag, multiple, taken: true }) => self.confirmed(tag, multiple).await?,
                    other => bail!("{}: {other:?}", self.places[self.number].office),
                },
                message = self.line.inbox.recv() => {
                    self.take(message.context("the inbox is gone")?).await?;
                }
            }
        }
    }

    /// Asks the next home, round and round over all others.
    async fn begin(&mut self) -> Result<()> {
        let others = self.places.len() - 1;
        let home = &self.places[(self.number + 1 + (self.begun + self.number * 7) % others) % self.places.len()];
        self.begun += 1;
        let body = form(self.number, self.begun, &home.unit);
        let id = Uuid::now_v7().to_string();
        self.asked.insert(id.clone(), Instant::now());
        self.figures.under_way.fetch_add(1, Ordering::AcqRel);
        self.say(CommandType::RequestSubmit, "submit.normal", Some(id), None, body).await.map(drop)
    }

    async fn say(
        &mut self,
        of: CommandType,
        key: &str,
        id: Option<String>,
        about: Option<&str>,
        body: String,
    ) -> Result<u64> {
        self.figures.messages.fetch_add(1, Ordering::Relaxed);
        let sheet = Sheet {
            message_type: of.wire(),
            routing_key: key.to_owned(),
            message_id: id.unwrap_or_else(|| Uuid::now_v7().to_string()),
            correlation_id: about.map(str::to_owned),
            time: Timestamp::now().to_string(),
            signed: true,
            body: body.into_bytes(),
        };
        self.line.publish(&sheet).await
    }

    async fn take(&mut self, message: Message) -> Result<()> {
        let (Some(deliver), Some(properties)) = (message.deliver, message.basic_properties) else {
            bail!("a message without properties");
        };
        let of = properties.message_type().map_or("", String::as_str);
        let body = message.content.unwrap_or_default();
        self.figures.messages.fetch_add(1, Ordering::Relaxed);
        if let Some(kind) = KINDS.iter().position(|kind| *kind == of) {
            let (count, bytes) = &self.figures.came[kind];
            count.fetch_add(1, Ordering::Relaxed);
            bytes.fetch_add(u64::try_from(body.len())?, Ordering::Relaxed);
        }
        let about = properties.correlation_id().map_or("", String::as_str);
        match of {
            RECEIPT => ensure!(!body.windows(9).any(|w| w == b"\"refused\""), "refused: {}", text(&body)),
            REQUEST_DELIVER => {
                let request = format!("{{\"request_id\":\"{about}\"}}");
                self.say(CommandType::RequestReceived, "request.received", None, Some(about), request.clone()).await?;
                self.say(CommandType::RequestOpened, "request.opened", None, Some(about), request).await?;
                let answer = format!("{{\"request_id\":\"{about}\",\"code\":\"A01\",\"answered_by\":\"cb-017\"}}");
                self.say(CommandType::AnswerGive, "answer.give", None, Some(about), answer).await?;
            }
            ANSWER_DELIVER => {
                let since =
                    self.asked.remove(about).with_context(|| format!("an answer to {about}, not asked here"))?;
                let request = format!("{{\"request_id\":\"{about}\"}}");
                let tag = self.say(CommandType::AnswerRead, "answer.read", None, Some(about), request).await?;
                self.reading.insert(tag, since);
            }
            // Rungs of requests that nobody here asked may fire meanwhile.
            NOTICE => {}
            other => bail!("{other} came: {}", text(&body)),
        }
        self.line.ack(deliver.delivery_tag()).await
    }

    /// RabbitMQ has what was said; where that was the reading, a life is over.
    async fn confirmed(&mut self, tag: u64, multiple: bool) -> Result<()> {
        let over: Vec<Instant> = if multiple {
            let rest = self.reading.split_off(&(tag + 1));
            std::mem::replace(&mut self.reading, rest).into_values().collect()
        } else {
            self.reading.remove(&tag).into_iter().collect()
        };
        for since in over {
            self.figures.lives.fetch_add(1, Ordering::Relaxed);
            if self.figures.measuring.load(Ordering::Relaxed) {
                self.figures.durations().push(since.elapsed());
            }
            if !self.enough.is_cancelled() {
                self.begin().await?;
            }
            self.figures.under_way.fetch_sub(1, Ordering::AcqRel);
            self.figures.over.notify_one();
        }
        Ok(())
    }
}

/// A submit that is right, about somebody who does not exist.
fn form(office: usize, life: usize, unit: &str) -> String {
    let today = offset(7).to_datetime(Timestamp::now()).date();
    let Person { full_name, person_no, birth_on, address_detail } =
        person(u32::try_from(life % 50_000).unwrap_or_default());
    format!(
        "{{\"kind\":\"temp_residence\",\"case_code\":\"TT-{office}-{life}\",\"received_on\":\"{today}\",\
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
            let body = form(3, life, "00004");
            let read = decode::command(CommandType::RequestSubmit, body.as_bytes());
            assert!(matches!(read, Ok(Command::Submit(_))), "{read:?}");
        }
    }

    #[test]
    fn percentiles_are_of_what_is_there() {
        let ms: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert!((percentile(&ms, 50) - 51.0).abs() < 1e-9);
        assert!((percentile(&ms, 99) - 100.0).abs() < 1e-9);
        assert!(percentile(&[], 99).abs() < 1e-9);
    }
}
