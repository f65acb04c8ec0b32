//! When may the clock jump? Within a half-day it runs as real time does; to the next stop it jumps
//! only when nothing is left to do anywhere, so that seconds of transport never turn into working
//! hours.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use xacminh_domain::id::OfficeId;

use crate::client::{Arrival, Crew};
use crate::world::{InHand, Standing, World};

/// How often the product is asked what it still has in hand.
const POLL: Duration = Duration::from_millis(30);
/// How long nothing at all may move before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long people wait for a message that should come, once all else is quiet.
const HOPE: Duration = Duration::from_secs(5);

/// The people at all offices: what they do when something comes, and when it is time.
pub(crate) trait Cast: Send {
    /// Something came.
    fn arrived(&mut self, arrival: Arrival) -> Result<()>;
    /// Does what is due; says when the next thing of this half-day is, if there is one.
    fn act(&mut self) -> Result<Option<Instant>>;
    /// How many messages people expect that have not come.
    fn expects(&self) -> usize;
    /// They do not wait for these any longer.
    fn gives_up(&mut self);
    /// It may be the moment to kill a process of the product; asked again and again.
    fn seeks_kill(&self) -> bool {
        false
    }
    /// Which one to kill, if any, when the product has this in hand.
    fn kills(&mut self, _in_hand: InHand) -> Option<usize> {
        None
    }
    /// It was killed, or runs again.
    fn product_runs(&mut self, _runs: bool) {}
    /// A second of real time passed.
    fn second(&mut self) {}
}

/// Steps the clock, and lets the cast live in between.
pub(crate) struct Driver<'w, W> {
    /// The world it drives.
    pub(crate) world: &'w W,
    crew: Crew,
    arrivals: UnboundedReceiver<Arrival>,
    /// The offices that read their inboxes.
    readers: Vec<OfficeId>,
    seconds: tokio::time::Interval,
    moved: (u64, Standing, Instant),
}

type Restart<'w> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'w>>;

impl<'w, W: World> Driver<'w, W> {
    /// A driver for these readers.
    pub(crate) fn new(world: &'w W, crew: Crew, arrivals: UnboundedReceiver<Arrival>, readers: Vec<OfficeId>) -> Self {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self { world, crew, arrivals, readers, seconds, moved: (0, Standing::default(), Instant::now()) }
    }

    /// What the clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.crew.clock.now()
    }

    /// Jumps; only when it was quiet.
    pub(crate) fn jump(&self, to: Timestamp) -> Result<()> {
        Ok(self.crew.clock.jump(to)?)
    }

    /// Lets everybody live until nothing is left to do. With `inboxes` the readers' inboxes are
    /// looked into as well, which takes longer and is needed before people's time passes.
    pub(crate) async fn live(&mut self, cast: &mut impl Cast, inboxes: bool) -> Result<()> {
        self.moved.2 = Instant::now();
        let mut restart: Option<Restart<'w>> = None;
        let mut hope: Option<Instant> = None;
        let mut poll_at = Instant::now();
        loop {
            while let Ok(arrival) = self.arrivals.try_recv() {
                cast.arrived(arrival)?;
            }
            let next = cast.act()?;
            if restart.is_none()
                && cast.seeks_kill()
                && let Some(process) = cast.kills(self.world.in_hand().await?)
            {
                self.world.kill_9(process).await?;
                cast.product_runs(false);
                restart = Some(Box::pin(self.world.restart(process)));
            }
            let clients_rest = next.is_none() && restart.is_none() && self.under_way() == (0, 0);
            if !clients_rest {
                hope = None;
                if self.stands_still() {
                    // Fails, and says what the product has in hand.
                    self.look(false).await?;
                }
            } else if Instant::now() >= poll_at {
                match self.look(inboxes).await? {
                    Some(_) => hope = None,
                    None if cast.expects() == 0 => return Ok(()),
                    // Only now can a message that does not come be called lost; the checker will.
                    None if *hope.get_or_insert_with(Instant::now) + HOPE < Instant::now() => cast.gives_up(),
                    None => {}
                }
                poll_at = Instant::now() + POLL;
            }
            let wake = match next {
                Some(next) => next,
                None if clients_rest => poll_at,
                None => Instant::now() + Duration::from_millis(250),
            };
            tokio::select! {
                arrival = self.arrivals.recv() => match arrival {
                    Some(arrival) => cast.arrived(arrival)?,
                    None => bail!("all clients are gone"),
                },
                () = sleep_until(wake) => {}
                restarted = restarted(&mut restart) => {
                    restarted?;
                    restart = None;
                    cast.product_runs(true);
                }
                _ = self.seconds.tick() => cast.second(),
            }
        }
    }

    fn under_way(&self) -> (i64, i64) {
        let tally = &self.crew.tally;
        (tally.unconfirmed.load(Ordering::Relaxed), tally.awaited.load(Ordering::Relaxed))
    }

    /// Asks the product; says what is not empty yet, if anything.
    async fn look(&mut self, inboxes: bool) -> Result<Option<String>> {
        let before = self.crew.tally.activity.load(Ordering::Relaxed);
        let mut standing = self.world.standing(self.now(), &[]).await?;
        let mut left = self.left(standing);
        if left.is_none() && inboxes {
            standing = self.world.standing(self.now(), &self.readers).await?;
            left = self.left(standing);
        }
        if left.is_none() && self.crew.tally.activity.load(Ordering::Relaxed) != before {
            left = Some("clients were at work meanwhile".to_owned());
        }
        self.judge_progress(standing, left.as_ref())?;
        Ok(left)
    }

    fn left(&self, standing: Standing) -> Option<String> {
        let on_record = self.crew.tally.on_record.load(Ordering::Relaxed);
        let mut left = Vec::new();
        for (what, n) in [
            ("messages in the outbox", standing.outbox),
            ("timers or digests due", standing.due),
            ("messages in the work queues", standing.work_queues),
            ("messages in inboxes that are read", standing.inboxes),
        ] {
            if n > 0 {
                left.push(format!("{n} {what}"));
            }
        }
        if standing.taken < on_record {
            left.push(format!("{} commands of {on_record} on record", standing.taken));
        }
        (!left.is_empty()).then(|| left.join(", "))
    }

    /// Nothing moved at the clients for too long.
    fn stands_still(&mut self) -> bool {
        let activity = self.crew.tally.activity.load(Ordering::Relaxed);
        if activity != self.moved.0 {
            self.moved = (activity, self.moved.1, Instant::now());
        }
        self.moved.2.elapsed() >= PATIENCE
    }

    /// Fails when nothing moved anywhere for too long, and says what did not become empty.
    fn judge_progress(&mut self, standing: Standing, left: Option<&String>) -> Result<()> {
        let stands_still = self.stands_still();
        if standing != self.moved.1 {
            self.moved = (self.moved.0, standing, Instant::now());
        } else if stands_still {
            let (unconfirmed, awaited) = self.under_way();
            let product = left.map_or("nothing left to do", String::as_str);
            bail!(
                "nothing moved for {} s at {}: {unconfirmed} commands unconfirmed, {awaited} receipts awaited; the product: {product}",
                PATIENCE.as_secs(),
                self.now()
            )
        }
        Ok(())
    }
}

async fn restarted(restart: &mut Option<Restart<'_>>) -> Result<()> {
    match restart {
        Some(restart) => restart.await,
        None => pending().await,
    }
}
