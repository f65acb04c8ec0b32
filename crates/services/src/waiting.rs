//! What waits for the offices of a relay's shards, as far as it has read, and which of it may leave.

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

/// Of how much work a relay knows at most. If more waits, it forgets that of the offices for which most waits until
/// it knows half as much; what of theirs leaves next is asked of the store.
const MOST_WORK: usize = 10_000;

/// Work for home offices, in the order in which it leaves.
#[derive(Debug, Default)]
pub(crate) struct Work {
    waiting: BTreeMap<Order, OfficeId>,
    orders: HashMap<RequestId, Order>,
    by_office: HashMap<OfficeId, usize>,
    /// Offices of whose work nothing is known, for there is too much of it.
    deep: HashSet<OfficeId>,
}

impl Work {
    /// One waits; what was known of it before holds no longer.
    pub(crate) fn add(&mut self, order: Order, office: OfficeId) {
        self.gone(order.request);
        if !self.deep.contains(&office) {
            self.orders.insert(order.request, order);
            self.waiting.insert(order, office);
            *self.by_office.entry(office).or_default() += 1;
        }
        if self.waiting.len() > MOST_WORK {
            self.forget();
        }
    }

    /// One waits no more.
    pub(crate) fn gone(&mut self, request: RequestId) {
        let office = self.orders.remove(&request).and_then(|order| self.waiting.remove(&order));
        if let Some((office, count)) = office.and_then(|office| Some((office, self.by_office.get_mut(&office)?))) {
            *count -= 1;
            if *count == 0 {
                self.by_office.remove(&office);
            }
        }
    }

    fn forget(&mut self) {
        let mut offices: Vec<(usize, OfficeId)> = self.by_office.iter().map(|(office, n)| (*n, *office)).collect();
        offices.sort_unstable();
        let mut known = self.waiting.len();
        while known > MOST_WORK / 2
            && let Some((count, office)) = offices.pop()
        {
            known -= count;
            self.deep.insert(office);
        }
        let Self { waiting, orders, by_office, deep } = self;
        waiting.retain(|_, office| !deep.contains(office));
        orders.retain(|_, order| waiting.contains_key(order));
        by_office.retain(|office, _| !deep.contains(office));
    }

    /// Offices of whose work nothing is known.
    pub(crate) fn deep(&self) -> impl Iterator<Item = OfficeId> {
        self.deep.iter().copied()
    }

    /// Whether nothing is known of an office's work.
    pub(crate) fn is_deep(&self, office: OfficeId) -> bool {
        self.deep.contains(&office)
    }

    /// No more waits for an office than is added now.
    pub(crate) fn known_again(&mut self, office: OfficeId) {
        self.deep.remove(&office);
    }

    /// Of each office the first for which it has room, but none of `except`. Offices that are not in `rooms` have
    /// the whole cap. `others` are of offices of which nothing is known, in the order in which they leave.
    pub(crate) fn choose(
        &self,
        others: &[(Order, OfficeId)],
        rooms: &HashMap<OfficeId, i32>,
        except: &HashMap<RequestId, OfficeId>,
        limit: usize,
    ) -> Vec<RequestId> {
        let mut taken: HashMap<OfficeId, i32> = HashMap::new();
        let mut has_room = |office: OfficeId| {
            let taken = taken.entry(office).or_default();
            let room = *taken < room(rooms, office);
            *taken += i32::from(room);
            room
        };
        let mut may_leave =
            |(order, office): (&Order, &OfficeId)| !except.contains_key(&order.request) && has_room(*office);
        let others = others.iter().map(|(order, office)| (order, office));
        let others: Vec<&Order> = others.filter(|one| may_leave(*one)).map(|(order, _)| order).take(limit).collect();
        let known = self.waiting.iter().filter(|one| may_leave(*one)).map(|(order, _)| order).take(limit);
        let mut chosen: Vec<&Order> = known.chain(others).collect();
        chosen.sort_unstable();
        chosen.into_iter().take(limit).map(|order| order.request).collect()
    }
}

/// How many more may leave for an office.
pub(crate) fn room(rooms: &HashMap<OfficeId, i32>, office: OfficeId) -> i32 {
    rooms.get(&office).copied().unwrap_or(CAP)
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
        let except = HashMap::from([(ids[0], a)]);
        assert_eq!(work.choose(&[], &rooms, &except, 10), [ids[1], ids[2], ids[3], ids[4], ids[6]]);
        assert_eq!(work.choose(&[], &rooms, &except, 3), ids[1..4]);
        assert!(work.choose(&[], &HashMap::from([(a, 0), (b, 0)]), &HashMap::new(), 10).is_empty());
    }

    #[test]
    fn the_urgent_leaves_first_then_the_earliest_due_and_a_due_that_moved_counts() {
        let [a, _] = offices();
        let ids: Vec<RequestId> = requests();
        let mut work = Work::default();
        work.add(order(ids[0], Lane::Normal, "2026-11-24"), a);
        work.add(order(ids[1], Lane::Normal, "2026-11-23"), a);
        work.add(order(ids[2], Lane::Urgent, "2026-11-30"), a);
        let all = |work: &Work| work.choose(&[], &HashMap::new(), &HashMap::new(), 10);
        assert_eq!(all(&work), [ids[2], ids[1], ids[0]]);
        work.add(order(ids[0], Lane::Normal, "2026-11-20"), a);
        assert_eq!((all(&work), work.waiting.len()), (vec![ids[2], ids[0], ids[1]], 3));
        work.gone(ids[2]);
        work.gone(ids[2]);
        assert_eq!(all(&work), [ids[0], ids[1]]);
    }

    #[test]
    fn of_an_office_for_which_too_much_waits_nothing_is_known_and_the_others_are_as_before() {
        let [silent, other] = offices();
        let (now, mut work) = ("2026-11-19T08:00:00+07:00".parse().unwrap(), Work::default());
        let mut some = |office, count: usize, day: &str| -> Vec<Order> {
            let new = || order(RequestId::of(MessageId::new(new_id(now)).unwrap()), Lane::Normal, day);
            let mut orders: Vec<Order> = std::iter::repeat_with(new).take(count).collect();
            orders.sort_unstable();
            orders.iter().for_each(|order| work.add(*order, office));
            orders
        };
        let others = some(other, 3, "2026-11-23");
        let silents = some(silent, MOST_WORK, "2026-11-20");
        assert!(work.is_deep(silent) && !work.is_deep(other));
        assert_eq!((work.waiting.len(), work.orders.len(), work.by_office.len()), (3, 3, 1));

        // What the store says of it takes its place among what is known, as far as there is room.
        let first: Vec<(Order, OfficeId)> = silents[..4].iter().map(|order| (*order, silent)).collect();
        let (rooms, except) = (HashMap::from([(silent, 2)]), HashMap::from([(silents[0].request, silent)]));
        let ids = |orders: &[Order]| -> Vec<RequestId> { orders.iter().map(|order| order.request).collect() };
        assert_eq!(work.choose(&first, &rooms, &except, 10), [ids(&silents[1..3]), ids(&others)].concat());
        assert_eq!(work.choose(&first, &rooms, &except, 3), [ids(&silents[1..3]), ids(&others[..1])].concat());

        work.known_again(silent);
        first.iter().for_each(|(order, office)| work.add(*order, *office));
        assert_eq!(work.choose(&[], &HashMap::new(), &HashMap::new(), 10), [ids(&silents[..4]), ids(&others)].concat());
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
