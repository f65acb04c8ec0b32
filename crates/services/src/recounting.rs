//! Recounting: after an import changed the working calendar, the due dates of what is in life are counted
//! anew, some thousands at a time, while traffic flows.
//!
//! ```text
//! import notes it ─▶ pass: pages ─▶ each: what moves? ─▶ lock those ─▶ event, row, timer: one commit ─▶ watermark ─┐
//!                            ▲                                                                                  │
//!                            └──────────────────────────── the next pages ◀───────────────────────────────────────┘
//! ```
//!
//! A copy does it at a time: an advisory lock, held while some pages are worked on at once. How far it is is written
//! down behind them, so that whoever goes on after a death looks at those once more, and finds nothing that moves in
//! what was committed. Nothing is skipped: a row that somebody holds is waited for, in the order of ids as everywhere,
//! and looked at anew if it changed.
//!
//! Other processes learn of an import within ten seconds; until then they may start a clock on the
//! calendar of before, behind the place that was reached. So the work ends with a pass that began when all
//! had time to look ([`SETTLE`]); a pass that finds nothing only reads.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use xacminh_contract::notice::Topic;
use xacminh_domain::calendar::ChangedDays;
use xacminh_domain::escalation::Planned;
use xacminh_domain::id::RequestId;
use xacminh_domain::recount::{self as domain, Days, Recounted};
use xacminh_domain::request::Fired;
use xacminh_domain::rules::MissingRule;
use xacminh_domain::{Date, Timestamp};
use xacminh_store::PgConnection;
use xacminh_store::in_life::{self, FiredFor, Hold, InLife, Line, Page, Timer};
use xacminh_store::outage::{self, Outage};
use xacminh_store::recount::{self, Job};
use xacminh_store::reference::Reference;
use xacminh_store::timer::{self, Change};

use crate::abort_point::AbortPoint;
use crate::core::{Core, LOOK_FOR_REFERENCE, climb_between};
use crate::disposition::Told;
use crate::error::Error;
use crate::escalating::tells;
use crate::within::within;

/// How long after an import every process has looked at what is in force: three looks.
pub const SETTLE: Duration = LOOK_FOR_REFERENCE.saturating_mul(3);
/// How many requests share a transaction: traffic waits no longer than one takes.
pub const BATCH: usize = 1_000;
/// How many such transactions are under way at once: while one waits for PostgreSQL, another is decided about.
pub const AT_ONCE: usize = 6;

/// How the work is paced.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How many requests are looked at in a transaction.
    pub batch: usize,
    /// How many such transactions are under way at once.
    pub at_once: usize,
    /// After which time no process works on the calendar of before.
    pub settle: Duration,
    /// How often to look whether there is something to do.
    pub every: Duration,
}

impl Pace {
    /// As in production, with this often a look.
    pub fn every(every: Duration) -> Self {
        Self { batch: BATCH, at_once: AT_ONCE, settle: SETTLE, every }
    }
}

/// Counts anew whatever an import makes necessary, until told to stop.
pub async fn run(core: Core, pace: Pace, stop: CancellationToken) {
    let mut walk = Walk::new(pace);
    let mut told = Told::default();
    while !stop.is_cancelled() {
        match within(walk.step(&core)).await {
            Ok(Step::More) => continue,
            Ok(Step::Idle) => {}
            Err(error) if told.is_news(&error) => {
                tracing::warn!(%error, "due dates are not counted anew yet; again later");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pace.every) => {}
        }
    }
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is more to do.
    More,
    /// There is nothing to do now, or another copy does it.
    Idle,
}

/// The way through what is in life, as this process goes it.
#[derive(Debug)]
pub struct Walk {
    pace: Pace,
    at: Option<Seen>,
}

/// A changed calendar that is being worked off.
#[derive(Debug)]
struct Seen {
    job: i64,
    days: ChangedDays,
    /// When this process first saw it, which is no earlier than the import.
    since: Instant,
    /// When this process began the pass that is under way; none if another did.
    pass: Option<Instant>,
}

impl Walk {
    /// Stands at the beginning.
    pub fn new(pace: Pace) -> Self {
        Self { pace, at: None }
    }

    /// Takes the next batch, if there is one.
    pub async fn step(&mut self, core: &Core) -> Result<Step, Error> {
        let mut conn = core.store.conn().await?;
        let Some(job) = recount::job(&mut conn).await? else {
            self.at = None;
            return Ok(Step::Idle);
        };
        let seen = match self.at.take() {
            Some(seen) if seen.job == job.id => seen,
            _ => {
                let days = recount::days(&mut conn, job.id).await?;
                tracing::info!(version = job.to, "the calendar changed; open due dates are counted anew");
                Seen { job: job.id, days, since: Instant::now(), pass: None }
            }
        };
        drop(conn);
        let seen = self.at.insert(seen);
        if job.reached.is_none() && job.passes > 0 && seen.since.elapsed() < self.pace.settle {
            return Ok(Step::Idle);
        }
        core.follow().await?;
        let mut tx = core.store.begin().await?;
        if !recount::alone(&mut tx).await? {
            return Ok(Step::Idle);
        }
        // Another copy may have gone on since.
        let Some(job) = recount::job(&mut tx).await?.filter(|now| now.id == seen.job) else {
            return Ok(Step::More);
        };
        if job.reached.is_none() {
            seen.pass = Some(Instant::now());
        }
        let most = i64::try_from(self.pace.batch * self.pace.at_once).unwrap_or(i64::MAX);
        let timers = in_life::timers(&mut tx, job.reached, most).await?;
        let (last, is_end) = (timers.last().map(|timer| timer.id), timers.is_empty());
        let now = core.clock.now();
        let pages = (0..).zip(timers.chunks(self.pace.batch));
        let pages = pages.map(|(share, timers)| count_page(core, &seen.days, (job.id, share), timers, now));
        let recounted: usize = try_join_all(pages).await?.into_iter().sum();
        recount::reached(&mut tx, job.id, last, is_end).await?;
        let settled = seen.pass.is_some_and(|began| began.duration_since(seen.since) >= self.pace.settle);
        if is_end && settled {
            recount::finish(&mut tx, &job, now).await?;
        }
        tx.commit().await.map_err(xacminh_store::Error::from)?;
        tell(&job, recounted, is_end && settled);
        Ok(Step::More)
    }
}

fn tell(job: &Job, recounted: usize, finished: bool) {
    if finished {
        tracing::info!(version = job.to, requests = job.recounted, "all open due dates are on the calendar in force");
    } else if recounted > 0 {
        tracing::debug!(requests = recounted, "a batch of due dates is counted anew");
    }
}

/// What a changed calendar makes of a request.
struct Decided {
    request: InLife,
    fired: Vec<FiredFor>,
    recounted: Recounted,
}

impl Decided {
    /// Something has to be written, or may have to.
    fn changes(&self) -> bool {
        let Recounted { file_due, reply, undue, next_at } = &self.recounted;
        file_due.is_some() || reply.is_some() || !undue.is_empty() || *next_at != self.request.facts.next_at
    }

    /// The days that lines of it tell, if some may wait and the days moved.
    fn redated(&self) -> Vec<(RequestId, Topic, Date)> {
        if self.fired.is_empty() {
            return Vec::new();
        }
        let mut days: Vec<(Topic, Date)> = Vec::new();
        if let Some(dues) = &self.recounted.reply {
            days.push((Topic::AcceptOverdue, dues.accept.on));
            days.extend([Topic::AnswerDueToday, Topic::OfficeSilent].map(|topic| (topic, dues.answer.on)));
        }
        if let Some(due) = &self.recounted.file_due {
            days.extend([Topic::FileOverdue, Topic::FileOverdueAnswered].map(|topic| (topic, due.on)));
        }
        days.into_iter().map(|(topic, on)| (self.request.id, topic, on)).collect()
    }

    /// The lines of a rung, while they have not left.
    fn lines(&self, rung: &Planned) -> Vec<Line> {
        let fired = self.fired.iter().find(|f| {
            (f.fired.trigger, f.fired.rung, f.fired.clock_start) == (rung.trigger, rung.rung, rung.clock_start)
        });
        let Some(office) = fired.and_then(|f| f.target) else { return Vec::new() };
        tells(rung.trigger, rung.rung).iter().map(|(topic, whom)| (self.request.id, office, *topic, *whom)).collect()
    }
}

/// Counts some requests anew, in a transaction of their own; gives how many got an event. `share` is which of those
/// pages it is that are under way at once.
async fn count_page(
    core: &Core,
    days: &ChangedDays,
    (job, share): (i64, i16),
    timers: &[Timer],
    now: Timestamp,
) -> Result<usize, Error> {
    let mut tx = core.store.begin().await?;
    let recounted = count(&mut tx, &core.reference(), days, timers, now).await?;
    if recounted > 0 {
        recount::counted(&mut tx, job, share, recounted).await?;
        AbortPoint::BeforeRecounted.reach();
    }
    tx.commit().await.map_err(xacminh_store::Error::from)?;
    Ok(recounted)
}

/// Counts a page anew and writes what changed; gives how many requests got an event.
async fn count(
    tx: &mut PgConnection,
    reference: &Reference,
    days: &ChangedDays,
    timers: &[Timer],
    now: Timestamp,
) -> Result<usize, Error> {
    let outages = outage::since(tx, now - SignedDuration::from_hours(24 * 31)).await?;
    let ground = Ground { reference, days, outages: &outages, now };
    // A day of the nation touches nearly all: those are locked as they are read. Of a province's day most pages hold
    // nothing: first without a lock.
    let hold = if days.is_everywhere() { Hold::Requests } else { Hold::Nothing };
    let page = in_life::read(tx, timers, hold).await?;
    let mut decided = ground.decide(tx, page).await?;
    decided.retain(Decided::changes);
    if hold == Hold::Nothing {
        let read: Vec<&InLife> = decided.iter().map(|d| &d.request).collect();
        let (same, other) = in_life::lock(tx, &read).await?;
        decided.retain(|d| same.contains(&d.request.id));
        decided.extend(ground.decide(tx, other).await?.into_iter().filter(Decided::changes));
        decided.sort_by_key(|d| d.request.id);
    }

    let lines: Vec<Line> = decided.iter().flat_map(|d| d.recounted.undue.iter().flat_map(|p| d.lines(p))).collect();
    let gone = in_life::cancel(tx, &lines).await?;
    let waiting: Vec<(RequestId, Topic, Date)> = decided.iter().flat_map(Decided::redated).collect();
    in_life::redate(tx, &waiting).await?;
    let (mut counted, mut timers) = (Vec::new(), Vec::new());
    for d in &decided {
        let cancelled = |rung: &Planned| d.lines(rung).iter().any(|line| gone.contains(line));
        if let Some(event) = d.recounted.event(cancelled) {
            counted.push(d.request.counted(now, &event));
        }
        let facts = &d.request.facts;
        // While an outage lasts the wait for a confirm has no instant; its timer is looked at all the same.
        let waits = facts.clock.is_none() && facts.state.is_open() && d.recounted.next_at.is_none();
        let moved = (hold == Hold::Requests || d.recounted.next_at != facts.next_at) && !waits;
        let next = moved.then(|| d.recounted.next_at.unwrap_or(timer::NEVER));
        let answer_due_at = d.recounted.reply.as_ref().map(|dues| dues.answer.due_at);
        if next.is_some() || answer_due_at.is_some() {
            timers.push(Change::to(d.request.id).until(next).answer_by(answer_due_at));
        }
    }
    in_life::write(tx, &counted).await?;
    timer::set(tx, &timers).await?;
    Ok(counted.len())
}

/// What counting stands on.
#[derive(Clone, Copy)]
struct Ground<'a> {
    reference: &'a Reference,
    days: &'a ChangedDays,
    outages: &'a [Outage],
    now: Timestamp,
}

impl Ground<'_> {
    fn touched(&self, request: &InLife) -> domain::Touched {
        let days_of = |office| self.days.of(office, self.reference.directory.province_of(&office));
        request.facts.touched(Days { ward: days_of(request.requester), home: days_of(request.responder) })
    }

    fn recount(&self, request: &InLife, fired: &[Fired]) -> Result<Recounted, MissingRule> {
        let climb = climb_between(self.reference, request.requester, request.responder, self.outages);
        domain::recount(&request.facts, fired, self.touched(request), self.now, climb)
    }

    /// Decides about what is touched.
    async fn decide(&self, conn: &mut PgConnection, page: Page) -> Result<Vec<Decided>, Error> {
        for id in &page.unreadable {
            tracing::error!(request.id = %id, "its row cannot be read, so its due dates stay as they are");
        }
        let touched: Vec<InLife> = page.requests.into_iter().filter(|r| self.touched(r).is_any()).collect();
        if touched.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<RequestId> = touched.iter().map(|r| r.id).collect();
        let mut fired: HashMap<RequestId, Vec<FiredFor>> = in_life::fired(conn, &ids).await?;
        let mut decided = Vec::with_capacity(touched.len());
        for request in touched {
            let fired = fired.remove(&request.id).unwrap_or_default();
            let rungs: Vec<Fired> = fired.iter().map(|f| f.fired).collect();
            match self.recount(&request, &rungs) {
                Ok(recounted) => decided.push(Decided { request, fired, recounted }),
                // A gap in the rules is the operator's matter; it must not keep the others.
                Err(error) => {
                    tracing::error!(%error, request.id = %request.id, "its due dates stay as they are");
                }
            }
        }
        Ok(decided)
    }
}

/// How many open requests may get other due dates by the calendar in force; none when nothing is to be counted anew.
/// For whoever imports one: in the transaction of the import nobody has begun yet. Which of them move is known when
/// they are counted.
pub async fn in_reach(conn: &mut PgConnection) -> Result<Option<u64>, Error> {
    let Some(job) = recount::newest(conn).await? else { return Ok(None) };
    let days = recount::days(conn, job).await?;
    Ok(Some(recount::in_reach(conn, &days).await?))
}
