//! All offices together: they connect, live, are measured, come to their last lives, and go.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use xacminh_demo::line::{Address, Line};

use crate::latency::{Took, Way};
use crate::offices::{KINDS, Life, Office, Pace, Place, Rhythm};

/// How many offices connect at a time.
const AT_A_TIME: usize = 32;
/// How long the lives that are under way at the end may take to come to theirs.
const LAST_LIVES: Duration = Duration::from_secs(60);

/// What all offices count together.
#[derive(Default)]
pub(crate) struct Figures {
    lives: AtomicU64,
    under_way: AtomicU64,
    messages: AtomicU64,
    /// How many messages of each kind came, and of how many bytes; receipts as if each was for one command.
    came: [(AtomicU64, AtomicU64); KINDS.len()],
    measuring: AtomicBool,
    durations: Mutex<Vec<Duration>>,
    over: Notify,
    /// From a ward's submit to its home, and from a home's answer to its ward. Only of lives that begin by
    /// the clock: in a closed loop it tells of the window, not of the broker.
    ways: Option<[Way; 2]>,
}

impl Figures {
    /// How many lives are over.
    pub(crate) fn lives(&self) -> u64 {
        self.lives.load(Ordering::Relaxed)
    }

    /// How many lives have begun and are not over.
    pub(crate) fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Acquire)
    }

    /// How many messages offices published and received.
    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// The mean size of the messages that came, by [`KINDS`]; of receipts, for one command.
    pub(crate) fn sizes(&self) -> [u64; KINDS.len()] {
        std::array::from_fn(|kind| {
            let (count, bytes) = &self.came[kind];
            bytes.load(Ordering::Relaxed) / count.load(Ordering::Relaxed).max(1)
        })
    }

    pub(crate) fn begun(&self) {
        self.under_way.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn over(&self, since: Instant) {
        self.lives.fetch_add(1, Ordering::Relaxed);
        if self.is_measuring() {
            self.durations().push(since.elapsed());
        }
    }

    /// After what follows a life was begun, so that the last one is the last.
    pub(crate) fn gone(&self) {
        self.under_way.fetch_sub(1, Ordering::AcqRel);
        self.over.notify_one();
    }

    pub(crate) fn message(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn came(&self, of: &str, parts: usize, bytes: usize) {
        self.message();
        if let Some(kind) = KINDS.iter().position(|kind| *kind == of) {
            let (count, sum) = &self.came[kind];
            count.fetch_add(u64::try_from(parts).unwrap_or_default(), Ordering::Relaxed);
            sum.fetch_add(u64::try_from(bytes).unwrap_or_default(), Ordering::Relaxed);
        }
    }

    /// A submit ([`SUBMIT`]) or an answer ([`ANSWER`]) is about to be published.
    pub(crate) fn leaves(&self, way: usize, request: &str) {
        if let Some(ways) = &self.ways {
            ways[way].leaves(request);
        }
    }

    /// It came to where it goes.
    pub(crate) fn arrives(&self, way: usize, request: &str) {
        if let Some(ways) = &self.ways {
            ways[way].came(request, self.is_measuring());
        }
    }

    fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    fn durations(&self) -> MutexGuard<'_, Vec<Duration>> {
        self.durations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way from W to H.
pub(crate) const SUBMIT: usize = 0;
/// The way from H to W.
pub(crate) const ANSWER: usize = 1;

/// What was seen in the measured time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stretch {
    /// Lives that came to their end in it.
    pub(crate) lives: u64,
    /// How long it was.
    pub(crate) seconds: f64,
    /// From a submit to the end of its life.
    pub(crate) life: Took,
    /// From a submit to its home, if lives begin by the clock.
    pub(crate) submit: Took,
    /// From an answer to its ward, likewise.
    pub(crate) answer: Took,
}

impl Stretch {
    /// How many came to their end a second.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn per_second(&self) -> f64 {
        self.lives as f64 / self.seconds
    }
}

/// Offices at work.
pub(crate) struct Load {
    figures: Arc<Figures>,
    offices: JoinSet<Result<()>>,
    enough: CancellationToken,
    end: CancellationToken,
}

impl Load {
    /// Connects these offices, and lets them live.
    pub(crate) async fn start(addresses: Vec<(Place, Address)>, life: Life, pace: Pace) -> Result<Self> {
        let ways = matches!(pace, Pace::Clock { .. }).then(Default::default);
        let figures = Arc::new(Figures { ways, ..Figures::default() });
        let places: Arc<[Place]> = addresses.iter().map(|(place, _)| place.clone()).collect();
        let lines = connect(addresses).await?;
        let (enough, end) = (CancellationToken::new(), CancellationToken::new());
        let mut offices = JoinSet::new();
        let (count, begin) = (lines.len(), tokio::time::Instant::now());
        for (number, line) in lines {
            let office = Office::new(number, places.clone(), line, figures.clone(), enough.clone());
            let rhythm = Rhythm::of(pace, number, count, begin);
            let end = end.clone();
            offices.spawn(async move { office.work(life, rhythm, end).await });
        }
        Ok(Self { figures, offices, enough, end })
    }

    /// What they count.
    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// The same, for whoever reads it while the load goes on.
    pub(crate) fn shared(&self) -> Arc<Figures> {
        self.figures.clone()
    }

    /// Something that goes on while they live; an error if one of them ends meanwhile.
    pub(crate) async fn alongside<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            ended = self.offices.join_next() => bail!("an office ended in the middle: {ended:?}"),
        }
    }

    /// Lets them live for so long.
    pub(crate) async fn go_on(&mut self, time: Duration) -> Result<()> {
        let passing = async {
            tokio::time::sleep(time).await;
            Ok(())
        };
        self.alongside(passing).await
    }

    /// Lets them live for so long, and looks on.
    pub(crate) async fn measure(&mut self, time: Duration) -> Result<Stretch> {
        let passing = async {
            tokio::time::sleep(time).await;
            Ok(())
        };
        Ok(self.measure_while(passing).await?.0)
    }

    /// Looks on while they live and something else goes on; gives what that came to as well.
    pub(crate) async fn measure_while<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<(Stretch, T)> {
        let figures = self.figures.clone();
        let (begun, before) = (Instant::now(), figures.lives());
        figures.measuring.store(true, Ordering::Relaxed);
        let done = self.alongside(work).await;
        figures.measuring.store(false, Ordering::Relaxed);
        let done = done?;
        let (lives, seconds) = (figures.lives() - before, begun.elapsed().as_secs_f64());
        let life = Took::of(std::mem::take(&mut *figures.durations()));
        let [submit, answer] = figures.ways.as_ref().map(|ways| ways.each_ref().map(Way::took)).unwrap_or_default();
        Ok((Stretch { lives, seconds, life, submit, answer }, done))
    }

    /// They begin no more lives; returns when the last one is over.
    pub(crate) async fn last_lives(&mut self) -> Result<()> {
        self.last_lives_within(LAST_LIVES).await
    }

    /// The same where many are under way, with the patience that this takes.
    pub(crate) async fn last_lives_within(&mut self, patience: Duration) -> Result<()> {
        self.enough.cancel();
        let figures = self.figures.clone();
        let last = async {
            while figures.under_way.load(Ordering::Acquire) > 0 {
                figures.over.notified().await;
            }
            Ok(())
        };
        match tokio::time::timeout(patience, self.alongside(last)).await {
            Ok(over) => over,
            Err(_) => bail!("{} lives did not come to their end", self.figures.under_way.load(Ordering::Relaxed)),
        }
    }

    /// They say goodbye.
    pub(crate) async fn end(mut self) -> Result<()> {
        self.end.cancel();
        while let Some(ended) = self.offices.join_next().await {
            ended??;
        }
        Ok(())
    }
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
