//! When a process of the product is killed, and what the product had in hand at that moment.
//!
//! Once, in the busiest half-day, by the clients' own count of what is under way; or, as chaos, so
//! many times over the whole week, at random over its processes, each time only when the product
//! itself has enough in hand.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Serialize;

use crate::plan::KILL;
use crate::world::InHand;

/// How many commands must be under way, by the clients' count, for the one kill.
const UNDER_WAY: usize = 2_000;
/// How many messages the product must have in hand for each kill of chaos.
pub(crate) const IN_HAND: u64 = 500;
/// By which half-day all kills of chaos are allowed; before it a share of them.
const SPREAD: usize = 12;
/// How long after a look that found too little in hand the next one comes.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The longest chance pause between a process that runs again and the next kill.
const PAUSE_MS: u64 = 250;
/// The process that is left alone: nothing passes through it.
const SPARED: &str = "measuring";

/// One `kill -9`.
#[derive(Debug, Clone, Serialize)]
pub struct Kill {
    /// Which process.
    pub process: String,
    /// When, by the stepped clock.
    pub at: String,
    /// Messages ready in the work queues and rows of the outbox, counted just before. What the
    /// processes held unacknowledged comes on top.
    pub in_hand: InHand,
    /// What clients had sent, or expected to get, and not seen the end of.
    pub under_way: usize,
    /// How long it was away, in real milliseconds.
    pub away_ms: u64,
    #[serde(skip)]
    begun: Option<Instant>,
}

/// What is planned, and what was done.
#[derive(Debug)]
pub(crate) struct Killing {
    /// The names of the processes.
    processes: Vec<String>,
    /// Whom to kill, in this order. One entry, or those of chaos.
    victims: Vec<usize>,
    chaos: bool,
    kills: Vec<Kill>,
    not_before: Instant,
    /// When the half-day began, if it is a rush.
    rush_since: Option<Instant>,
}

/// How it is with the clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Which half-day it is.
    pub(crate) session: usize,
    /// How many steps it began with.
    pub(crate) planned: usize,
    /// What is under way, by the clients' count.
    pub(crate) under_way: usize,
    /// All steps of the half-day are done.
    pub(crate) all_done: bool,
}

impl Killing {
    /// One kill for `chaos` 0, else so many over all processes but one, each as often as the others.
    pub(crate) fn new(processes: &[String], chaos: u32, rng: &mut StdRng) -> Self {
        let mut victims = Vec::new();
        if chaos == 0 {
            victims.push(0);
        }
        let wanted = usize::try_from(chaos).unwrap_or(usize::MAX);
        let among: Vec<usize> = (0..processes.len()).filter(|i| processes[*i] != SPARED).collect();
        while victims.len() < wanted && !among.is_empty() {
            let mut round = among.clone();
            round.shuffle(rng);
            victims.extend(round.into_iter().take(wanted - victims.len()));
        }
        Self {
            processes: processes.to_vec(),
            victims,
            chaos: chaos > 0,
            kills: Vec::new(),
            not_before: Instant::now(),
            rush_since: None,
        }
    }

    /// Whether a half-day's steps come so fast that work piles up.
    pub(crate) fn is_rush(&self, session: usize) -> bool {
        self.chaos || session == KILL
    }

    /// A half-day begins.
    pub(crate) fn session(&mut self, session: usize) {
        self.rush_since = self.is_rush(session).then(Instant::now);
    }

    /// Since when, in this half-day, clients have had to wait: work was piled up for a kill, and
    /// then something was killed.
    pub(crate) fn disturbed_since(&self) -> Option<Instant> {
        self.rush_since
    }

    /// Whether it is worth looking at what the product has in hand.
    pub(crate) fn seeks(&self, moment: Moment) -> bool {
        if self.kills.len() >= self.victims.len() {
            return false;
        }
        if self.chaos {
            let allowed = (self.victims.len() * (moment.session + 1)).div_ceil(SPREAD);
            return self.kills.len() < allowed && Instant::now() >= self.not_before;
        }
        let thick = UNDER_WAY.min(moment.planned / 2).max(1);
        moment.session == KILL
            && moment.planned > 0
            && (moment.under_way >= thick || (moment.all_done && moment.under_way > 0))
    }

    /// Whom to kill now, if anybody.
    pub(crate) fn choose(&mut self, in_hand: InHand, moment: Moment, at: String) -> Option<usize> {
        if self.chaos && in_hand.sum() < IN_HAND {
            self.not_before = Instant::now() + LOOK_AGAIN;
            return None;
        }
        let victim = *self.victims.get(self.kills.len())?;
        let now = Instant::now();
        self.kills.push(Kill {
            process: self.processes.get(victim)?.clone(),
            at,
            in_hand,
            under_way: moment.under_way,
            away_ms: 0,
            begun: Some(now),
        });
        Some(victim)
    }

    /// The killed process runs again.
    pub(crate) fn runs_again(&mut self, rng: &mut StdRng) {
        self.not_before = Instant::now() + Duration::from_millis(rng.random_range(0..PAUSE_MS));
        if let Some(kill) = self.kills.last_mut()
            && let Some(begun) = kill.begun
        {
            kill.away_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        }
    }

    /// The last kill.
    pub(crate) fn last(&self) -> Option<&Kill> {
        self.kills.last()
    }

    /// What was done; an offence if it is less than was planned.
    pub(crate) fn end(self) -> (Vec<Kill>, Option<String>) {
        let (done, planned) = (self.kills.len(), self.victims.len());
        let offence = (done < planned).then(|| format!("only {done} of {planned} times a process was killed"));
        (self.kills, offence)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn roles() -> Vec<String> {
        ["intake", "answering", "relay", "escalating", SPARED].map(str::to_owned).to_vec()
    }

    fn moment(session: usize, under_way: usize) -> Moment {
        Moment { session, planned: 10_000, under_way, all_done: false }
    }

    #[test]
    fn chaos_kills_each_role_about_as_often_and_only_when_enough_is_in_hand() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut killing = Killing::new(&roles(), 10, &mut rng);
        let (little, much) = (InHand { ready: 499, outbox: 0 }, InHand { ready: 300, outbox: 200 });
        let mut times = [0; 5];
        for session in 0..17 {
            killing.session(session);
            while killing.seeks(moment(session, 0)) {
                assert_eq!(killing.choose(little, moment(session, 0), String::new()), None);
                assert!(!killing.seeks(moment(session, 0)), "not again at once");
                let victim = killing.choose(much, moment(session, 0), String::new()).unwrap();
                times[victim] += 1;
                killing.not_before = Instant::now();
            }
        }
        assert_eq!(times.iter().sum::<i32>(), 10);
        assert!(times[..4].iter().all(|n| (2..=3).contains(n)) && times[4] == 0, "{times:?}");
        assert!(killing.kills.iter().all(|kill| kill.in_hand.sum() >= IN_HAND));
        assert_eq!(killing.end().1, None);
    }

    #[test]
    fn the_kills_are_spread_over_the_week() {
        let killing = Killing::new(&roles(), 10, &mut StdRng::seed_from_u64(1));
        assert!(killing.seeks(moment(0, 0)));
        let mut one = killing;
        one.choose(InHand { ready: 500, outbox: 0 }, moment(0, 0), String::new()).unwrap();
        assert!(!one.seeks(moment(0, 0)), "the next half-day's turn");
        assert!(one.end().1.unwrap().contains("1 of 10"));
    }

    #[test]
    fn without_chaos_the_whole_product_is_killed_once_in_the_thick_of_it() {
        let mut killing = Killing::new(&["xacminh".to_owned()], 0, &mut StdRng::seed_from_u64(1));
        assert!(!killing.seeks(moment(0, 5_000)) && !killing.seeks(moment(KILL, 1_999)));
        assert!(killing.seeks(moment(KILL, 2_000)));
        assert_eq!(killing.choose(InHand::default(), moment(KILL, 2_000), String::new()), Some(0));
        assert!(!killing.seeks(moment(KILL, 2_000)));
    }
}
