//! The offices of the nation, how unevenly work falls on them, and when on a day it comes.

use anyhow::{Result, ensure};
use jiff::Timestamp;
use jiff::civil::Date;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use xacminh_contract::request::OfficeCard;
use xacminh_domain::calendar::{at_local, local_date};
use xacminh_domain::id::OfficeId;
use xacminh_domain::office::OfficeKind;
use xacminh_domain::unit::{UnitCode, UnitRef};
use xacminh_store::reference::Reference;

/// How unevenly requests are sent and asked: handbook of the work, §10, as the demo has it.
const SENDERS: f64 = 0.6;
const RESPONDERS: f64 = 0.4;
/// Offices that live on no line: one in so many, beyond the first ones that a bench connects.
const SILENT_ONE_IN: usize = 40;

/// Minutes of a day and how much falls into them: the counters' mornings and afternoons.
const DAY: [(u32, u32, f64); 6] =
    [(450, 480, 0.5), (480, 570, 2.5), (570, 690, 1.2), (810, 840, 0.8), (840, 900, 2.2), (900, 1_020, 1.0)];

/// A commune's office.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its id.
    pub(crate) office: OfficeId,
    /// The unit it serves.
    pub(crate) unit: UnitCode,
    /// That unit's words.
    pub(crate) words: String,
    /// Its province, as the projection has it.
    pub(crate) province: String,
    /// As others see it.
    pub(crate) card: OfficeCard,
    /// Nobody reads its inbox.
    pub(crate) silent: bool,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Nation {
    /// In the order of their ids.
    pub(crate) places: Vec<Place>,
    /// One that is silent, and that a trial may let come back: the first beyond those that a bench connects.
    pub(crate) silent_one: usize,
    senders: Falling,
    responders: Falling,
}

/// Cumulated weights of places in an order of their own.
#[derive(Debug)]
struct Falling {
    order: Vec<usize>,
    upto: Vec<f64>,
}

impl Falling {
    fn new(count: usize, s: f64, rng: &mut StdRng) -> Self {
        let mut order: Vec<usize> = (0..count).collect();
        order.shuffle(rng);
        let mut sum = 0.0;
        let upto = (1..=count)
            .map(|k| {
                sum += f64::from(u32::try_from(k).unwrap_or(u32::MAX)).powf(-s);
                sum
            })
            .collect();
        Self { order, upto }
    }

    fn draw(&self, rng: &mut StdRng) -> usize {
        let at = rng.random::<f64>() * self.upto.last().copied().unwrap_or_default();
        self.order[self.upto.partition_point(|upto| *upto <= at).min(self.order.len() - 1)]
    }
}

impl Nation {
    /// Of the reference data in force. The first `connected` offices are never silent.
    pub(crate) fn new(reference: &Reference, now: Timestamp, connected: usize, seed: u64) -> Result<Self> {
        let today = local_date(now);
        let directory = &reference.directory;
        let mut places: Vec<Place> = directory
            .offices()
            .filter(|office| office.kind == OfficeKind::CommunePolice)
            .filter_map(|office| {
                let unit = directory.units_of(&office.id, today).into_iter().next()?.code;
                let phone = office.phone.as_ref().or(office.fallback_phone.as_ref()).cloned().unwrap_or_default();
                Some(Place {
                    office: office.id,
                    unit,
                    words: directory.address_words(&UnitRef { code: unit, as_of: today }, today),
                    province: directory.province_of(&office.id).map_or_else(|| "VN".to_owned(), |p| p.to_string()),
                    card: OfficeCard { office: office.id.into(), name: office.name.clone(), phone },
                    silent: false,
                })
            })
            .collect();
        places.sort_by_key(|place| place.office);
        ensure!(places.len() > connected, "the registry has {} offices of communes", places.len());
        for place in places.iter_mut().skip(connected).step_by(SILENT_ONE_IN) {
            place.silent = true;
        }
        let mut rng = StdRng::seed_from_u64(seed);
        let senders = Falling::new(places.len(), SENDERS, &mut rng);
        let responders = Falling::new(places.len(), RESPONDERS, &mut rng);
        Ok(Self { places, silent_one: connected, senders, responders })
    }

    /// A ward and another office that it asks: this one, if it is given.
    pub(crate) fn draw(&self, asked: Option<usize>, rng: &mut StdRng) -> (&Place, usize) {
        let mut ward = self.senders.draw(rng);
        let mut home = asked.unwrap_or_else(|| self.responders.draw(rng));
        if asked == Some(ward) {
            ward = (ward + 1) % self.places.len();
        }
        if home == ward {
            home = (home + 1) % self.places.len();
        }
        (&self.places[ward], home)
    }
}

/// The instant at which a share (0 to 1) of a day's requests has come, in whole microseconds.
pub(crate) fn instant(on: Date, share: f64) -> Timestamp {
    let whole: f64 = DAY.iter().map(|(_, _, weight)| weight).sum();
    let mut left = share.clamp(0.0, 1.0) * whole;
    let midnight = at_local(on, 0, 0).as_microsecond();
    for (from, to, weight) in DAY {
        if left <= weight {
            let minutes = f64::from(from) + f64::from(to - from) * left / weight;
            #[expect(clippy::cast_possible_truncation, reason = "microseconds of one day")]
            let us = (minutes * 60e6).round() as i64;
            return Timestamp::from_microsecond(midnight + us).unwrap_or(Timestamp::MAX);
        }
        left -= weight;
    }
    at_local(on, 17, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_falls_as_the_handbook_says() {
        let mut rng = StdRng::seed_from_u64(1);
        let falling = Falling::new(3_319, SENDERS, &mut rng);
        let mut counts = vec![0_u32; 3_319];
        for _ in 0..1_000_000 {
            counts[falling.draw(&mut rng)] += 1;
        }
        counts.sort_unstable_by(|a, b| b.cmp(a));
        // The busiest about 640 of 40,000 a day; the first tenth 38 %.
        assert!((12_000..20_000).contains(&counts[0]), "{}", counts[0]);
        let tenth: u32 = counts[..332].iter().sum();
        assert!((360_000..410_000).contains(&tenth), "{tenth}");
    }

    #[test]
    fn a_day_runs_from_half_past_seven_to_five_without_noon() {
        let on = jiff::civil::date(2026, 11, 26);
        assert_eq!(instant(on, 0.0).to_string(), "2026-11-26T00:30:00Z");
        assert_eq!(instant(on, 1.0).to_string(), "2026-11-26T10:00:00Z");
        let mut last = instant(on, 0.0);
        for share in 1..=1_000 {
            let at = instant(on, f64::from(share) / 1_000.0);
            assert!(at > last);
            let hour = jiff::tz::offset(7).to_datetime(at).hour();
            assert!(!(12..13).contains(&hour), "{at}");
            last = at;
        }
    }
}
