//! Who is next.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::SystemTime;

/// Things by the time they are due, and of those that are due by their rank; every operation takes logarithmic time.
///
/// It holds as much as it is given: whoever fills it bounds it, as the spool bounds its messages.
#[derive(Debug, Clone)]
pub struct Schedule<Id> {
    by_time: BTreeSet<(SystemTime, Id)>,
    /// Those whose time has come, as far as somebody has asked.
    ready: BTreeSet<(Reverse<i8>, SystemTime, Id)>,
    by_id: HashMap<Id, (SystemTime, i8)>,
}

impl<Id> Default for Schedule<Id> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), ready: BTreeSet::new(), by_id: HashMap::new() }
    }
}

impl<Id: Copy + Ord + Hash> Schedule<Id> {
    /// Puts `id` down for `due`, in place of any earlier date it had. The higher its `rank`, the sooner it goes once it is due.
    pub fn insert(&mut self, id: Id, due: SystemTime, rank: i8) {
        self.remove(id);
        self.by_id.insert(id, (due, rank));
        self.by_time.insert((due, id));
    }

    /// Takes `id` off; says when it was due.
    pub fn remove(&mut self, id: Id) -> Option<SystemTime> {
        let (due, rank) = self.by_id.remove(&id)?;
        if !self.by_time.remove(&(due, id)) {
            self.ready.remove(&(Reverse(rank), due, id));
        }
        Some(due)
    }

    /// Whether `id` is put down.
    #[must_use]
    pub fn contains(&self, id: Id) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Takes off the one of highest rank that is due, of several the one that is due longest, if any is due; the smaller id of two
    /// that are due at once.
    pub fn pop_due(&mut self, now: SystemTime) -> Option<Id> {
        while let Some((due, id)) = self.by_time.first().copied().filter(|(due, _)| *due <= now) {
            self.by_time.remove(&(due, id));
            let rank = self.by_id.get(&id).map_or(0, |(_, rank)| *rank);
            self.ready.insert((Reverse(rank), due, id));
        }
        let (_, _, id) = self.ready.pop_first()?;
        self.by_id.remove(&id);
        Some(id)
    }

    /// When the next one is due. What is due already may be said to be so since any time.
    #[must_use]
    pub fn next_due(&self) -> Option<SystemTime> {
        let ready = self.ready.first().map(|(_, due, _)| *due);
        ready.or_else(|| self.by_time.first().map(|(due, _)| *due))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::{Duration, UNIX_EPOCH};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn nobody_is_due_before_the_time() {
        let mut schedule = Schedule::default();
        schedule.insert(1, at(10), 0);
        assert_eq!(schedule.pop_due(at(9)), None);
        assert_eq!(schedule.next_due(), Some(at(10)));
        assert_eq!(schedule.pop_due(at(10)), Some(1));
        assert_eq!(schedule.pop_due(at(10)), None);
    }

    #[test]
    fn a_new_date_takes_the_place_of_the_old() {
        let mut schedule = Schedule::default();
        schedule.insert(1, at(10), 0);
        schedule.insert(1, at(20), 0);
        assert_eq!((schedule.len(), schedule.pop_due(at(15))), (1, None));
    }

    #[test]
    fn the_higher_rank_goes_first_once_it_is_due() {
        let mut schedule = Schedule::default();
        for (id, due, rank) in [(1, 10, 0), (2, 5, -9), (3, 20, 9), (4, 8, 0)] {
            schedule.insert(id, at(due), rank);
        }
        assert_eq!((schedule.pop_due(at(12)), schedule.next_due()), (Some(4), Some(at(10))));
        let rest: Vec<_> = std::iter::from_fn(|| schedule.pop_due(at(20))).collect();
        assert_eq!(rest, [3, 1, 2]);
        schedule.insert(1, at(1), 3);
        schedule.insert(2, at(1), 4);
        assert_eq!((schedule.pop_due(at(1)), schedule.remove(1), schedule.next_due()), (Some(2), Some(at(1)), None));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8, u64, i8),
        Remove(u8),
        /// Time goes on.
        Pop(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (any::<u8>(), 0u64..50, -2i8..3).prop_map(|(id, after, rank)| Step::Insert(id, after, rank)),
            any::<u8>().prop_map(Step::Remove),
            (0u64..20).prop_map(Step::Pop),
        ]
    }

    proptest! {
        #[test]
        fn it_does_what_a_plain_table_does(steps in proptest::collection::vec(step(), 0..300)) {
            let (mut schedule, mut table, mut now) = (Schedule::default(), BTreeMap::new(), 0);
            for step in steps {
                match step {
                    Step::Insert(id, after, rank) => {
                        schedule.insert(id, at(now + after), rank);
                        table.insert(id, (at(now + after), rank));
                    }
                    Step::Remove(id) => {
                        prop_assert_eq!(schedule.remove(id), table.remove(&id).map(|(due, _)| due));
                    }
                    Step::Pop(later) => {
                        now += later;
                        let due = table.iter().filter(|(_, (due, _))| *due <= at(now));
                        let first = due.map(|(id, (due, rank))| (Reverse(*rank), *due, *id)).min();
                        let expected = first.map(|(_, _, id)| id);
                        expected.map(|id| table.remove(&id));
                        prop_assert_eq!(schedule.pop_due(at(now)), expected);
                    }
                }
                prop_assert_eq!(schedule.len(), table.len());
                let next = table.values().map(|(due, _)| *due).min();
                let told = schedule.next_due();
                prop_assert!(told == next || next.is_some_and(|next| next <= at(now)) && told <= Some(at(now)));
            }
        }
    }
}
