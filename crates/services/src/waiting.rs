//! What waits for the offices of a lane's shards, as far as the lane has read, and which of it may leave.

use std::collections::{BTreeMap, HashMap, HashSet};

use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_store::delivery::{CAP, Order};

/// Letters in the outbox, by their places.
#[derive(Debug, Default)]
pub(crate) struct Letters(BTreeMap<i64, OfficeId>);

impl Letters {
    /// One waits.
    pub(crate) fn add(&mut self, place: i64, office: OfficeId) {
        self.0.insert(place, office);
    }

    /// One waits no more.
    pub(crate) fn gone(&mut self, place: i64) {
        self.0.remove(&place);
    }

    /// For whom one is that waits.
    pub(crate) fn office(&self, place: i64) -> Option<OfficeId> {
        self.0.get(&place).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The oldest, but none of `except`, and none for an office that is `busy`.
    pub(crate) fn choose(&self, busy: &HashSet<OfficeId>, except: &HashSet<i64>, limit: usize) -> Vec<i64> {
        let may_leave =
            |(place, office): (&i64, &OfficeId)| (!except.contains(place) && !busy.contains(office)).then_some(*place);
        self.0.iter().filter_map(may_leave).take(limit).collect()
    }
}

/// Work for home offices, in the order in which it leaves.
#[derive(Debug, Default)]
pub(crate) struct Work {
    waiting: BTreeMap<Order, OfficeId>,
    orders: HashMap<RequestId, Order>,
}

impl Work {
    /// One waits; what was known of it before holds no longer.
    pub(crate) fn add(&mut self, order: Order, office: OfficeId) {
        self.gone(order.request);
        self.orders.insert(order.request, order);
        self.waiting.insert(order, office);
    }

    /// One waits no more.
    pub(crate) fn gone(&mut self, request: RequestId) {
        if let Some(order) = self.orders.remove(&request) {
            self.waiting.remove(&order);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Of each office the first for which it has room, but none of `except`. Offices that are not in `rooms` have
    /// the whole cap.
    pub(crate) fn choose(
        &self,
        rooms: &HashMap<OfficeId, i32>,
        except: &HashSet<RequestId>,
        limit: usize,
    ) -> Vec<RequestId> {
        let mut taken: HashMap<OfficeId, i32> = HashMap::new();
        let mut has_room = |office: OfficeId| {
            let taken = taken.entry(office).or_default();
            let room = *taken < rooms.get(&office).copied().unwrap_or(CAP);
            *taken += i32::from(room);
            room
        };
        let may_leave = |(order, office): (&Order, &OfficeId)| {
            (!except.contains(&order.request) && has_room(*office)).then_some(order.request)
        };
        self.waiting.iter().filter_map(may_leave).take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use xacminh_domain::id::MessageId;
    use xacminh_domain::request::Lane;

    use super::*;
    use crate::core::new_id;

    fn offices() -> [OfficeId; 2] {
        ["vpa2b3c4", "vpmwjsws"].map(|id| id.parse().unwrap())
    }

    fn requests() -> Vec<RequestId> {
        let now = "2026-11-19T08:00:00+07:00".parse().unwrap();
        let mut ids: Vec<RequestId> = (0..7).map(|_| RequestId::of(MessageId::new(new_id(now)).unwrap())).collect();
        ids.sort_unstable();
        ids
    }

    fn order(id: RequestId, lane: Lane, due_on: &str) -> Order {
        Order::of(id, lane, due_on.parse().unwrap(), "2026-11-19T08:00:00+07:00".parse().unwrap())
    }

    #[test]
    fn each_office_gets_the_first_for_which_it_has_room() {
        let [a, b] = offices();
        let ids: Vec<RequestId> = requests();
        let mut work = Work::default();
        for (id, office) in ids.iter().zip([a, b, a, a, b, a, b]) {
            work.add(order(*id, Lane::Normal, "2026-11-20"), office);
        }
        let rooms = HashMap::from([(a, 2)]);
        // One that is in hand takes no room: it was counted when it was read.
        let except = HashSet::from([ids[0]]);
        assert_eq!(work.choose(&rooms, &except, 10), [ids[1], ids[2], ids[3], ids[4], ids[6]]);
        assert_eq!(work.choose(&rooms, &except, 3), ids[1..4]);
        assert!(work.choose(&HashMap::from([(a, 0), (b, 0)]), &HashSet::new(), 10).is_empty());
    }

    #[test]
    fn the_urgent_leaves_first_then_the_earliest_due_and_a_due_that_moved_counts() {
        let [a, _] = offices();
        let ids: Vec<RequestId> = requests();
        let mut work = Work::default();
        work.add(order(ids[0], Lane::Normal, "2026-11-24"), a);
        work.add(order(ids[1], Lane::Normal, "2026-11-23"), a);
        work.add(order(ids[2], Lane::Urgent, "2026-11-30"), a);
        let all = |work: &Work| work.choose(&HashMap::new(), &HashSet::new(), 10);
        assert_eq!(all(&work), [ids[2], ids[1], ids[0]]);
        work.add(order(ids[0], Lane::Normal, "2026-11-20"), a);
        assert_eq!((all(&work), work.len()), (vec![ids[2], ids[0], ids[1]], 3));
        work.gone(ids[2]);
        work.gone(ids[2]);
        assert_eq!(all(&work), [ids[0], ids[1]]);
    }

    #[test]
    fn letters_leave_oldest_first_and_none_for_a_busy_office() {
        let [a, b] = offices();
        let mut letters = Letters::default();
        for (place, office) in [(3, a), (1, b), (2, a), (4, b)] {
            letters.add(place, office);
        }
        assert_eq!(letters.choose(&HashSet::new(), &HashSet::from([2]), 10), [1, 3, 4]);
        assert_eq!(letters.choose(&HashSet::from([b]), &HashSet::new(), 10), [2, 3]);
        assert_eq!(letters.choose(&HashSet::new(), &HashSet::new(), 1), [1]);
        letters.gone(1);
        assert_eq!((letters.choose(&HashSet::new(), &HashSet::new(), 1), letters.len()), (vec![2], 3));
    }
}
