//! The people of the nation: wards that ask and read, homes that store, open and answer.
//!
//! Each acts on what came to its own office and on its own plan for the half-day; nobody looks into
//! another's ledger.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tokio::time::Instant;
use xacminh_contract::notice::Topic;
use xacminh_contract::receipt::Outcome;
use xacminh_contract::request::Home;
use xacminh_domain::id::{OfficeId, RequestId};

use crate::client::{Arrival, Client, Crew};
use crate::driver::Cast;
use crate::killing::{Killing, Moment};
use crate::ledger::Arrived;
use crate::plan::{CUTS, Plan, Repeat};
use crate::show::Show;
use crate::table::{A_DAY, SESSIONS, clock_face};
use crate::world::{HomeOffice, InHand};

/// How many submits and how many commands at all a second, in an ordinary half-day.
const SUBMITS: f64 = 250.0;
const COMMANDS: f64 = 1_000.0;
/// How much may be under way in an ordinary half-day: people ask no faster than the machine takes it.
const PACE: usize = 128;
/// How soon what is held back for that is looked at again, if nothing comes meanwhile.
const HELD_BACK: Duration = Duration::from_millis(20);
/// How much faster it goes when something is to be killed.
const RUSH: f64 = 8.0;

/// One thing that somebody is going to do. The number is the request's place in the plan.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// W asks.
    Submit(usize),
    /// W's system sends it once more.
    Repeat(usize),
    /// W takes it back.
    Withdraw(usize),
    /// H opens it.
    Open(usize),
    /// H answers.
    Answer(usize),
    /// W reads the answer.
    Read(usize),
    /// Somebody sends what nobody should.
    Wrong(usize),
    /// An office loses its line.
    Cut(OfficeId),
}

/// What the live line shows.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    submitted: u64,
    delivered: u64,
    answered: u64,
    withdrawn: u64,
    read: u64,
    refused: u64,
    /// Of these, submits.
    closed: u64,
    activity: u64,
}

/// Everybody.
pub(crate) struct Stage<'n> {
    pub(crate) homes: &'n [HomeOffice],
    pub(crate) plan: Plan,
    pub(crate) clients: HashMap<OfficeId, Client>,
    pub(crate) crew: Crew,
    pub(crate) rng: StdRng,
    /// A home that leads to several.
    pub(crate) ambiguous: Home,
    pub(crate) show: Show,
    pub(crate) counts: Counts,
    pub(crate) killing: Killing,
    /// The half-day it is.
    pub(crate) session: usize,
    /// What is to be done in half-days to come.
    agenda: Vec<Vec<Step>>,
    /// What is to be done in this one, in order.
    due: BTreeMap<(Instant, u64), Step>,
    steps: u64,
    /// How many steps this half-day began with.
    planned: usize,
    /// The ids of the requests of the plan.
    pub(crate) ids: Vec<Option<RequestId>>,
    by_id: HashMap<RequestId, usize>,
    /// Message ids of answers, and to which request.
    gives: HashMap<String, RequestId>,
    /// Requests that came to H, answers that came to W.
    came: HashSet<RequestId>,
    answers_came: HashSet<RequestId>,
    /// The same, expected and not there yet.
    awaited: HashSet<RequestId>,
    answers_awaited: HashSet<RequestId>,
    /// H was told that W took it back.
    told: HashSet<RequestId>,
    /// H forgot the approval and was refused.
    hasty: HashSet<RequestId>,
}

impl<'n> Stage<'n> {
    /// Everybody, with the plan's steps in their half-days.
    pub(crate) fn new(
        homes: &'n [HomeOffice],
        plan: Plan,
        clients: HashMap<OfficeId, Client>,
        crew: Crew,
        rng: StdRng,
        ambiguous: Home,
        killing: Killing,
    ) -> Self {
        let mut agenda: Vec<Vec<Step>> = vec![Vec::new(); SESSIONS];
        for (i, planned) in plan.requests.iter().enumerate() {
            agenda[planned.session].push(Step::Submit(i));
            if let Some(Repeat::In(session)) = planned.repeat {
                agenda[session].push(Step::Repeat(i));
            }
        }
        for (i, (_, session, _)) in plan.wrong.iter().enumerate() {
            agenda[*session].push(Step::Wrong(i));
        }
        let ids = vec![None; plan.requests.len()];
        Self {
            homes,
            plan,
            clients,
            crew,
            rng,
            ambiguous,
            show: Show::new(),
            counts: Counts::default(),
            killing,
            session: 0,
            agenda,
            due: BTreeMap::new(),
            steps: 0,
            planned: 0,
            ids,
            by_id: HashMap::new(),
            gives: HashMap::new(),
            came: HashSet::new(),
            answers_came: HashSet::new(),
            awaited: HashSet::new(),
            answers_awaited: HashSet::new(),
            told: HashSet::new(),
            hasty: HashSet::new(),
        }
    }

    /// A half-day begins: its steps are spread over as much real time as they need.
    pub(crate) fn begin(&mut self, session: usize) {
        self.session = session;
        let mut steps = self.agenda.get_mut(session).map(std::mem::take).unwrap_or_default();
        steps.shuffle(&mut self.rng);
        self.planned = steps.len();
        let submits = steps.iter().filter(|step| matches!(step, Step::Submit(_))).count();
        let rush = if self.killing.is_rush(session) { RUSH } else { 1.0 };
        self.killing.session(session);
        let seconds = (real(submits) / SUBMITS).max(real(steps.len()) / COMMANDS) / rush;
        let begin = Instant::now();
        let count = real(steps.len().max(1));
        for (n, step) in steps.into_iter().enumerate() {
            self.at(begin + Duration::from_secs_f64(seconds * real(n) / count), step);
        }
        if CUTS.contains(&session) {
            let offices: Vec<OfficeId> = self.plan.cuttable.iter().copied().collect();
            for office in offices {
                let moment = self.rng.random_range(0.2..0.7);
                self.at(begin + Duration::from_secs_f64(seconds * moment), Step::Cut(office));
            }
        }
    }

    fn at(&mut self, at: Instant, step: Step) {
        self.steps += 1;
        self.due.insert((at, self.steps), step);
    }

    /// In this half-day, after some seconds.
    pub(crate) fn soon(&mut self, seconds: f64, step: Step) {
        self.at(Instant::now() + Duration::from_secs_f64(seconds), step);
    }

    /// In a half-day to come; in this one when it has begun already.
    pub(crate) fn later(&mut self, session: usize, step: Step) {
        if session <= self.session {
            self.soon(0.2, step);
        } else if let Some(agenda) = self.agenda.get_mut(session) {
            agenda.push(step);
        }
    }

    /// The client of an office.
    pub(crate) fn client(&self, office: OfficeId) -> Result<&Client> {
        self.clients.get(&office).with_context(|| format!("{office} is not connected"))
    }

    /// Notes the id that a request of the plan got.
    pub(crate) fn is_request(&mut self, i: usize, key: &str) {
        if let Ok(id) = key.parse() {
            self.ids[i] = Some(id);
            self.by_id.insert(id, i);
        }
        self.counts.submitted += 1;
    }

    /// Notes the id that an answer got.
    pub(crate) fn is_answer(&mut self, request: RequestId, key: String) {
        self.gives.insert(key, request);
    }

    /// Notes that an answer was read.
    pub(crate) fn is_read(&mut self) {
        self.counts.read += 1;
    }

    /// H was told that this was taken back.
    pub(crate) fn was_told(&self, request: RequestId) -> bool {
        self.told.contains(&request)
    }

    /// H forgot the approval and will answer again.
    pub(crate) fn tries_again(&mut self, request: RequestId) {
        self.hasty.insert(request);
    }

    /// Whether this answer is the second try.
    pub(crate) fn is_second_try(&self, request: RequestId) -> bool {
        self.hasty.contains(&request)
    }

    fn receipt(&mut self, item: &xacminh_contract::receipt::Item) {
        let Some(message_id) = item.message_id.as_ref().map(ToString::to_string) else {
            self.counts.refused += 1;
            return;
        };
        if item.outcome == Outcome::Refused {
            self.counts.refused += 1;
            let submit = message_id.parse().is_ok_and(|id| self.by_id.contains_key(&id));
            self.counts.closed += u64::from(submit && item.refusal.as_ref().is_none_or(|r| r.code != "id_reused"));
            return;
        }
        if let Some(request) = self.gives.remove(&message_id) {
            self.counts.answered += 1;
            if !self.answers_came.contains(&request) {
                self.answers_awaited.insert(request);
            }
            return;
        }
        let submitted = message_id.parse().ok().and_then(|id: RequestId| self.by_id.get(&id).map(|i| (id, *i)));
        match submitted {
            Some((id, i)) => {
                let home = self.homes[self.plan.requests[i].home].office;
                if self.clients.contains_key(&home) && !self.came.contains(&id) {
                    self.awaited.insert(id);
                }
            }
            None => self.counts.withdrawn += 1,
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            session: self.session,
            planned: self.planned,
            under_way: self.in_flight(),
            all_done: self.due.is_empty(),
        }
    }

    /// Everything that is on its way somewhere, as far as clients know.
    fn in_flight(&self) -> usize {
        let tally = &self.crew.tally;
        let of = |n: &std::sync::atomic::AtomicI64| usize::try_from(n.load(Ordering::Relaxed)).unwrap_or_default();
        of(&tally.unconfirmed).max(of(&tally.awaited)) + self.awaited.len() + self.answers_awaited.len()
    }
}

impl Cast for Stage<'_> {
    fn arrived(&mut self, Arrival { office, what }: Arrival) -> Result<()> {
        match what {
            Arrived::Receipt(items) => items.iter().for_each(|item| self.receipt(item)),
            Arrived::Request(deliver) => {
                let id = deliver.request_id.0;
                self.awaited.remove(&id);
                if self.came.insert(id) {
                    self.counts.delivered += 1;
                    self.confirm(office, id)?;
                    if let Some(i) = self.by_id.get(&id).copied() {
                        self.intends(i);
                    }
                }
            }
            Arrived::Answer(deliver) => {
                let id = deliver.request_id.0;
                self.answers_awaited.remove(&id);
                if self.answers_came.insert(id)
                    && let Some(i) = self.by_id.get(&id).copied()
                {
                    let morning = (self.session / A_DAY + 1) * A_DAY;
                    let next = if self.session.is_multiple_of(A_DAY) { self.session + 1 } else { morning };
                    self.later(next, Step::Read(i));
                }
            }
            Arrived::Notice(items) => {
                let back = items.iter().filter(|item| item.topic == Topic::Withdrawn);
                self.told.extend(back.filter_map(|item| item.request_id.as_ref()).map(|id| id.0));
            }
            Arrived::Strange(_) => {}
        }
        Ok(())
    }

    fn act(&mut self) -> Result<Option<Instant>> {
        let now = Instant::now();
        let rush = self.killing.is_rush(self.session);
        while rush || self.in_flight() < PACE {
            let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) else { break };
            let step = first.remove();
            self.perform(step)?;
        }
        if self.due.first_key_value().is_some_and(|((at, _), _)| *at <= now) {
            return Ok(Some(now + HELD_BACK));
        }
        Ok(self.due.first_key_value().map(|((at, _), _)| *at))
    }

    fn expects(&self) -> usize {
        self.awaited.len() + self.answers_awaited.len()
    }

    fn gives_up(&mut self) {
        self.awaited.clear();
        self.answers_awaited.clear();
    }

    fn seeks_kill(&self) -> bool {
        self.killing.seeks(self.moment())
    }

    fn kills(&mut self, in_hand: InHand) -> Option<usize> {
        let at = clock_face(self.crew.clock.now());
        self.killing.choose(in_hand, self.moment(), at)
    }

    fn product_runs(&mut self, runs: bool) {
        let in_flight = self.in_flight();
        if runs {
            self.killing.runs_again(&mut self.rng);
        }
        let Some(kill) = self.killing.last() else { return };
        if runs {
            self.show.line(format_args!(
                "    {} runs again after {} ms; {in_flight} messages under way",
                kill.process, kill.away_ms
            ));
        } else {
            self.show.line(format_args!(
                "    kill -9 of {}, with {} messages under way; {} ready in the work queues, {} in the outbox",
                kill.process, kill.under_way, kill.in_hand.ready, kill.in_hand.outbox
            ));
            for client in self.clients.values() {
                client.ledger().disturb();
            }
        }
    }

    fn second(&mut self) {
        let activity = self.crew.tally.activity.load(Ordering::Relaxed);
        let (now, c) = (clock_face(self.crew.clock.now()), self.counts);
        let closed = c.answered + c.withdrawn + c.closed;
        self.show.live(format_args!(
            "  {now}  submitted {:>6}  delivered {:>6}  answered {:>6}  read {:>6}  refused {:>4}  open {:>6}  waiting {:>5}  {:>5} msgs/s",
            c.submitted,
            c.delivered,
            c.answered,
            c.read,
            c.refused,
            c.submitted.saturating_sub(closed),
            self.in_flight(),
            activity - c.activity,
        ));
        self.counts.activity = activity;
    }
}

fn real(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
