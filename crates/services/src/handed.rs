//! What this process has just committed for offices whose shards its own relay holds.
//!
//! Such work and such letters need no bell of PostgreSQL's and no look into its tables: the relay is handed them and
//! where they wait. Everything else is rung for, and read by whoever holds the shard. The rows are what counts: whatever
//! was not handed on, because a process died or a shard changed hands at that moment, is found when the relay reads next,
//! after a second at most.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;
use xacminh_domain::id::OfficeId;
use xacminh_store::delivery::{NewDelivery, Order};
use xacminh_store::outbox::{Letter, shard};

/// How much is kept for a relay that does not come for it; what is more it reads.
const MOST: usize = 4_000;

/// What a transaction brought.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Letters in the outbox, by their places.
    pub(crate) letters: Vec<(i64, Letter)>,
    /// Work for home offices.
    pub(crate) work: Vec<(Order, Letter)>,
    /// Offices that have room for what waits for them.
    pub(crate) room: Vec<OfficeId>,
    /// There was more.
    pub(crate) is_cut: bool,
}

impl News {
    /// Letters and work that were put on their way, and offices for which more waits. `places` tells where which letter
    /// is.
    pub(crate) fn of(
        places: &HashMap<Uuid, i64>,
        letters: Vec<Letter>,
        work: Vec<NewDelivery>,
        room: impl Iterator<Item = OfficeId>,
    ) -> Self {
        let letters = letters.into_iter().filter_map(|letter| Some((*places.get(&letter.message_id)?, letter)));
        let work = work.into_iter().map(|new| (Order::of_new(&new), new.letter));
        Self { letters: letters.collect(), work: work.collect(), room: room.collect(), is_cut: false }
    }

    fn offices(&self) -> impl Iterator<Item = OfficeId> {
        let letters = self.letters.iter().map(|(_, letter)| letter.office);
        letters.chain(self.work.iter().map(|(_, letter)| letter.office)).chain(self.room.iter().copied())
    }

    fn len(&self) -> usize {
        self.letters.len() + self.work.len() + self.room.len()
    }
}

#[derive(Debug, Default)]
struct Inner {
    held: HashSet<i16>,
    news: News,
}

/// Between those who commit and the relay of the same process.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    inner: Mutex<Inner>,
    bell: Notify,
}

impl Handed {
    /// The relay holds these shards.
    pub(crate) fn hold(&self, shards: &[i16]) {
        self.inner().held.extend(shards);
    }

    /// The relay holds none any more, and what it has not come for it reads when it holds them again.
    pub(crate) fn let_go(&self) {
        *self.inner() = Inner::default();
    }

    /// Whether the relay of this process is all that has to hear of them.
    pub(crate) fn reaches(&self, news: &News) -> bool {
        let inner = self.inner();
        news.offices().all(|office| inner.held.contains(&shard(office)))
    }

    /// Hands on what was committed.
    pub(crate) fn hand(&self, news: News) {
        let mut inner = self.inner();
        let Inner { held, news: all } = &mut *inner;
        if all.len() + news.len() > MOST {
            *all = News { is_cut: true, ..News::default() };
        } else {
            let is_held = |office: OfficeId| held.contains(&shard(office));
            all.letters.extend(news.letters.into_iter().filter(|(_, letter)| is_held(letter.office)));
            all.work.extend(news.work.into_iter().filter(|(_, letter)| is_held(letter.office)));
            all.room.extend(news.room.into_iter().filter(|office| is_held(*office)));
        }
        if all.len() > 0 || all.is_cut {
            self.bell.notify_one();
        }
    }

    /// What was handed on since the last time.
    pub(crate) fn take(&self) -> News {
        std::mem::take(&mut self.inner().news)
    }

    /// Waits until something is handed on.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use xacminh_contract::envelope::NOTICE;

    use super::*;
    use crate::composing;

    fn letters(offices: &[OfficeId]) -> News {
        let now = "2026-11-19T08:00:00+07:00".parse().unwrap();
        let letter = |office: &OfficeId| composing::letter(*office, NOTICE, None, now, Vec::new());
        News { letters: (0..).zip(offices.iter().map(letter)).collect(), ..News::default() }
    }

    #[test]
    fn only_what_the_relay_holds_is_handed_on() {
        let [a, b]: [OfficeId; 2] = ["vpa2b3c4", "vpmwjsws"].map(|id| id.parse().unwrap());
        assert_ne!(shard(a), shard(b));
        let handed = Handed::default();
        assert!(!handed.reaches(&letters(&[a])) && handed.reaches(&News::default()));
        handed.hand(letters(&[a]));
        handed.hold(&[shard(a)]);
        assert_eq!((handed.take().len(), handed.rung().now_or_never()), (0, None));

        assert!(handed.reaches(&letters(&[a])) && !handed.reaches(&letters(&[a, b])));
        assert!(!handed.reaches(&News { room: vec![b], ..News::default() }));
        handed.hand(letters(&[b, a]));
        handed.hand(News { room: vec![a, b], ..News::default() });
        assert_eq!(handed.rung().now_or_never(), Some(()));
        let news = handed.take();
        let found: Vec<(i64, OfficeId)> = news.letters.iter().map(|(place, letter)| (*place, letter.office)).collect();
        assert_eq!((found, news.room, news.is_cut), (vec![(1, a)], vec![a], false));
        assert_eq!(handed.take().len(), 0);

        handed.hand(letters(&[a]));
        handed.let_go();
        assert!(!handed.reaches(&letters(&[a])) && handed.take().len() == 0);
    }

    #[test]
    fn a_relay_that_does_not_come_is_told_to_read() {
        let a: OfficeId = "vpa2b3c4".parse().unwrap();
        let handed = Handed::default();
        handed.hold(&[shard(a)]);
        handed.hand(letters(&vec![a; MOST]));
        assert_eq!(handed.take().len(), MOST);
        handed.hand(letters(&vec![a; MOST]));
        handed.hand(letters(&[a]));
        let news = handed.take();
        assert!(news.len() == 0 && news.is_cut);
        assert!(!handed.take().is_cut);
    }
}
