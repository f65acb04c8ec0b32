//! The nation as it is going to be: who asks whom, when, and what becomes of it.
//!
//! The plan is drawn once from a seed. It is what people mean to do; what came of it is only in
//! the ledgers.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Result, ensure};
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use xacminh_domain::id::OfficeId;

use crate::forms::Bad;
use crate::table::A_DAY;
use crate::world::{HomeOffice, Settings};
use crate::zipf;

/// Skew of senders and of responders.
const SENDERS: f64 = 0.6;
const RESPONDERS: f64 = 0.4;
/// Sessions in which wards send, and how many of a hundred requests: Thu, Fri, Mon, Wed; mornings
/// are busy, Mondays most of all.
const BUSY: [(usize, u32); 8] = [(0, 16), (1, 8), (3, 16), (4, 8), (6, 22), (7, 8), (9, 15), (10, 7)];
/// The session in which the product is killed: Monday morning, the busiest.
pub(crate) const KILL: usize = 2 * A_DAY;
/// The sessions in which lines are lost.
pub(crate) const CUTS: [usize; 2] = [0, KILL];
/// How many offices lose their line, wards and homes half each.
const CUTTABLE: usize = 36;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Answered within two working days.
    InTime,
    /// Answered on the third.
    Late,
    /// Not answered before the demo ends, nor due by then.
    Open,
    /// Its home stores it, and nobody looks.
    Silent,
    /// Its home is not connected.
    Unplugged,
    /// Taken back half a day later.
    Withdrawn,
    /// Taken back at the very moment of the answer.
    Crossing,
    /// It cannot be right.
    Bad(Bad),
}

/// When a submit is sent a second time, as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Soon.
    Soon,
    /// In this later session.
    In(usize),
}

/// How a home is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// Today's code.
    Code,
    /// The words of an old document.
    Words,
    /// The same without tone marks.
    Plain,
}

/// A request that is going to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    /// W.
    pub(crate) ward: OfficeId,
    /// H, as a place in the list of homes.
    pub(crate) home: usize,
    /// How W names the home.
    pub(crate) written: Written,
    /// When W sends it.
    pub(crate) session: usize,
    /// What becomes of it.
    pub(crate) fate: Fate,
    /// Whether and when it is sent twice.
    pub(crate) repeat: Option<Repeat>,
}

/// Something wrong that is no submit with an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A type that does not exist.
    Type,
    /// A version that does not exist.
    Version,
    /// An id that is none.
    Id,
    /// No `user-id`: nobody can be told.
    Unsigned,
    /// About a request that does not exist.
    Request,
    /// An id used before, with another body.
    Reused,
}

impl Wrong {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Type, Self::Version, Self::Id, Self::Unsigned, Self::Request, Self::Reused];
}

/// The whole plan.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Requests, in no order.
    pub(crate) requests: Vec<Planned>,
    /// What else is wrong: by whom, in which session.
    pub(crate) wrong: Vec<(OfficeId, usize, Wrong)>,
    /// The wards that send.
    pub(crate) wards: HashSet<OfficeId>,
    /// Homes that store and stay silent.
    pub(crate) silent: HashSet<OfficeId>,
    /// Homes that never connect.
    pub(crate) unplugged: HashSet<OfficeId>,
    /// Offices that lose their line.
    pub(crate) cuttable: HashSet<OfficeId>,
}

impl Plan {
    /// Draws a plan over the offices that there are.
    pub(crate) fn draw(homes: &[HomeOffice], settings: &Settings) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(settings.seed);
        let wanted = usize::try_from(settings.wards)?;
        let mut order: Vec<usize> = (0..homes.len()).filter(|i| homes[*i].is_home()).collect();
        ensure!(wanted > 0 && order.len() > wanted, "{} homes are too few for {wanted} wards", order.len());
        order.shuffle(&mut rng);
        let wards = spread(homes, &order, wanted);
        let ward_ids: HashSet<OfficeId> = wards.iter().map(|i| homes[*i].office).collect();
        let others: Vec<OfficeId> = order.iter().map(|i| homes[*i].office).filter(|o| !ward_ids.contains(o)).collect();
        // One home in twenty is silent, half of them not even connected.
        let quiet = order.len() / 20;
        let silent: HashSet<OfficeId> = others.iter().take(quiet / 2).copied().collect();
        let unplugged: HashSet<OfficeId> = others.iter().skip(quiet / 2).take(quiet - quiet / 2).copied().collect();
        let cuttable = wards.iter().rev().map(|i| homes[*i].office).take(CUTTABLE / 2);
        let cuttable = cuttable.chain(others.iter().skip(quiet).take(CUTTABLE / 2).copied()).collect();
        let mut plan = Self { requests: Vec::new(), wrong: Vec::new(), wards: ward_ids, silent, unplugged, cuttable };
        // A new order, unrelated to the wards'.
        order.shuffle(&mut rng);
        plan.pair(homes, &wards, &order, settings.requests, &mut rng);
        plan.decide(homes, &mut rng);
        let steady: Vec<OfficeId> =
            wards.iter().map(|i| homes[*i].office).filter(|o| !plan.cuttable.contains(o)).collect();
        ensure!(!steady.is_empty(), "no ward keeps its line");
        for n in 0..(settings.requests / 400).max(6) {
            let ward = steady[rng.random_range(0..steady.len())];
            let session = BUSY[usize::try_from(n)? % BUSY.len()].0;
            plan.wrong.push((ward, session, Wrong::ALL[usize::try_from(n)? % Wrong::ALL.len()]));
        }
        Ok(plan)
    }

    /// Who asks whom, when.
    fn pair(&mut self, homes: &[HomeOffice], wards: &[usize], order: &[usize], requests: u32, rng: &mut StdRng) {
        let mut senders = dealt(&zipf::split(requests, wards.len(), SENDERS), wards);
        let mut responders = dealt(&zipf::split(requests, order.len(), RESPONDERS), order);
        senders.shuffle(rng);
        responders.shuffle(rng);
        let weights: u32 = BUSY.iter().map(|(_, weight)| weight).sum();
        for (n, ward) in senders.iter().enumerate() {
            let mut home = responders[n];
            if home == *ward {
                // Its own home: it asks the next one instead.
                home = responders[(n + 1) % responders.len()];
            }
            if home == *ward {
                home = order.iter().copied().find(|other| other != ward).unwrap_or(home);
            }
            let mut at = rng.random_range(0..weights);
            let busy = BUSY.iter().find(|(_, weight)| at.checked_sub(*weight).map(|rest| at = rest).is_none());
            let written = match (&homes[home].old_words, rng.random_range(0..10)) {
                (Some(_), 0..4) => Written::Words,
                (Some(_), 4..6) => Written::Plain,
                _ => Written::Code,
            };
            self.requests.push(Planned {
                ward: homes[*ward].office,
                home,
                written,
                session: busy.map_or(0, |(session, _)| *session),
                fate: Fate::InTime,
                repeat: None,
            });
        }
    }

    /// What becomes of each. Requests are in no order, so the first of a kind are as good as any.
    fn decide(&mut self, homes: &[HomeOffice], rng: &mut StdRng) {
        let hundredth = self.requests.len() / 100;
        let (mut bad, mut late, mut back, mut twice) = (hundredth, 3 * hundredth, hundredth, hundredth);
        for planned in &mut self.requests {
            let home = homes[planned.home].office;
            let steady = !self.cuttable.contains(&planned.ward);
            if bad > 0 && steady {
                bad -= 1;
                planned.fate = Fate::Bad(Bad::ALL[bad % Bad::ALL.len()]);
                continue;
            }
            if self.unplugged.contains(&home) {
                planned.fate = Fate::Unplugged;
            } else if self.silent.contains(&home) {
                planned.fate = Fate::Silent;
            } else if back > 0 {
                back -= 1;
                planned.fate = if back % 2 == 0 { Fate::Withdrawn } else { Fate::Crossing };
            } else if late > 0 && planned.session < 3 * A_DAY {
                late -= 1;
                planned.fate = Fate::Late;
            } else if planned.session >= 3 * A_DAY && rng.random_ratio(1, 20) {
                planned.fate = Fate::Open;
            }
            if twice > 0 && steady {
                twice -= 1;
                let after = KILL + 1 + twice % (2 * A_DAY);
                planned.repeat =
                    Some(if planned.session <= KILL && twice % 2 == 0 { Repeat::In(after) } else { Repeat::Soon });
            }
        }
        self.requests.shuffle(rng);
    }
}

/// Wards from all provinces alike.
fn spread(homes: &[HomeOffice], order: &[usize], wanted: usize) -> Vec<usize> {
    let mut by_province: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for i in order {
        by_province.entry(homes[*i].province.as_str()).or_default().push(*i);
    }
    let mut wards = Vec::with_capacity(wanted);
    while wards.len() < wanted {
        let before = wards.len();
        for communes in by_province.values_mut() {
            if wards.len() < wanted {
                wards.extend(communes.pop());
            }
        }
        if wards.len() == before {
            break;
        }
    }
    wards
}

/// Each as often as its share says.
fn dealt(shares: &[u32], among: &[usize]) -> Vec<usize> {
    let each = shares.iter().zip(among);
    each.flat_map(|(share, one)| std::iter::repeat_n(*one, usize::try_from(*share).unwrap_or_default())).collect()
}

/// Who stands above whom, by province.
pub(crate) fn superiors(homes: &[HomeOffice]) -> (HashMap<String, OfficeId>, Option<OfficeId>) {
    let province = homes.iter().filter(|h| h.kind == "province_unit").map(|h| (h.province.clone(), h.office)).collect();
    let ministry = homes.iter().find(|h| h.kind == "ministry_unit").map(|h| h.office);
    (province, ministry)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn homes(n: usize) -> Vec<HomeOffice> {
        let letters: Vec<char> = ('a'..='z').collect();
        let id = |i: usize| {
            format!(
                "vpxx{}{}{}{}",
                letters[i / 17576 % 26],
                letters[i / 676 % 26],
                letters[i / 26 % 26],
                letters[i % 26]
            )
        };
        let home = |i: usize| HomeOffice {
            office: id(i).parse().unwrap(),
            name: format!("Công an xã {i}"),
            province: format!("{:02}", i % 34),
            kind: "commune_police".into(),
            unit_code: format!("{i:05}"),
            unit_name: format!("Xã {i}"),
            province_name: "Tỉnh".into(),
            old_words: i.is_multiple_of(2).then(|| (format!("Xã {i}"), "Huyện".into(), "Tỉnh".into())),
        };
        (0..n).map(home).collect()
    }

    fn settings(requests: u32) -> Settings {
        let run_dir = std::path::PathBuf::new();
        Settings {
            amqp_host: String::new(),
            amqp_port: 0,
            run_dir,
            keep: false,
            requests,
            wards: 300,
            seed: 5,
            chaos: 0,
        }
    }

    #[test]
    fn the_plan_has_the_shares_that_were_asked_for() {
        let homes = homes(3_319);
        let plan = Plan::draw(&homes, &settings(10_000)).unwrap();
        let count = |wanted: fn(Fate) -> bool| plan.requests.iter().filter(|p| wanted(p.fate)).count();
        assert_eq!(plan.requests.len(), 10_000);
        assert_eq!(plan.wards.len(), 300);
        assert_eq!((plan.silent.len(), plan.unplugged.len()), (82, 83));
        assert_eq!(count(|f| matches!(f, Fate::Bad(_))), 100);
        assert_eq!(count(|f| f == Fate::Late), 300);
        assert_eq!(count(|f| matches!(f, Fate::Withdrawn | Fate::Crossing)), 100);
        assert!((200..900).contains(&count(|f| matches!(f, Fate::Silent | Fate::Unplugged))));
        assert_eq!(plan.requests.iter().filter(|p| p.repeat.is_some()).count(), 100);
        assert!(plan.requests.iter().all(|p| homes[p.home].office != p.ward));
        assert!(plan.wards.is_disjoint(&plan.silent) && plan.wards.is_disjoint(&plan.unplugged));
        let provinces: HashSet<&str> =
            homes.iter().filter(|h| plan.wards.contains(&h.office)).map(|h| h.province.as_str()).collect();
        assert_eq!(provinces.len(), 34);
    }

    #[test]
    fn a_small_nation_is_drawn_too() {
        let plan = Plan::draw(&homes(400), &settings(50)).unwrap();
        assert_eq!(plan.requests.len(), 50);
        assert!(Plan::draw(&homes(10), &settings(50)).is_err());
    }
}
