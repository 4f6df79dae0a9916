//! Who is next.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::SystemTime;

/// Things by the time they are due; every operation takes logarithmic time.
///
/// It holds as much as it is given: whoever fills it bounds it, as the spool bounds its messages.
#[derive(Debug, Clone)]
pub struct Schedule<Id> {
    by_time: BTreeSet<(SystemTime, Id)>,
    by_id: HashMap<Id, SystemTime>,
}

impl<Id> Default for Schedule<Id> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), by_id: HashMap::new() }
    }
}

impl<Id: Copy + Ord + Hash> Schedule<Id> {
    /// Puts `id` down for `due`, in place of any earlier date it had.
    pub fn insert(&mut self, id: Id, due: SystemTime) {
        if let Some(before) = self.by_id.insert(id, due) {
            self.by_time.remove(&(before, id));
        }
        self.by_time.insert((due, id));
    }

    /// Takes `id` off; says when it was due.
    pub fn remove(&mut self, id: Id) -> Option<SystemTime> {
        let due = self.by_id.remove(&id)?;
        self.by_time.remove(&(due, id));
        Some(due)
    }

    /// Whether `id` is put down.
    #[must_use]
    pub fn contains(&self, id: Id) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Takes off the one that is due longest, if any is due; the smaller id of two that are due at once.
    pub fn pop_due(&mut self, now: SystemTime) -> Option<Id> {
        let (due, id) = *self.by_time.first()?;
        if due > now {
            return None;
        }
        self.remove(id);
        Some(id)
    }

    /// When the next one is due.
    #[must_use]
    pub fn next_due(&self) -> Option<SystemTime> {
        self.by_time.first().map(|(due, _)| *due)
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
        schedule.insert(1, at(10));
        assert_eq!(schedule.pop_due(at(9)), None);
        assert_eq!(schedule.next_due(), Some(at(10)));
        assert_eq!(schedule.pop_due(at(10)), Some(1));
        assert_eq!(schedule.pop_due(at(10)), None);
    }

    #[test]
    fn a_new_date_takes_the_place_of_the_old() {
        let mut schedule = Schedule::default();
        schedule.insert(1, at(10));
        schedule.insert(1, at(20));
        assert_eq!((schedule.len(), schedule.pop_due(at(15))), (1, None));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8, u64),
        Remove(u8),
        Pop(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (any::<u8>(), 0u64..50).prop_map(|(id, due)| Step::Insert(id, due)),
            any::<u8>().prop_map(Step::Remove),
            (0u64..50).prop_map(Step::Pop),
        ]
    }

    proptest! {
        #[test]
        fn it_does_what_a_plain_table_does(steps in proptest::collection::vec(step(), 0..300)) {
            let (mut schedule, mut table) = (Schedule::default(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Insert(id, due) => {
                        schedule.insert(id, at(due));
                        table.insert(id, at(due));
                    }
                    Step::Remove(id) => prop_assert_eq!(schedule.remove(id), table.remove(&id)),
                    Step::Pop(now) => {
                        let first = table.iter().map(|(id, due)| (*due, *id)).min().filter(|(due, _)| *due <= at(now));
                        let expected = first.map(|(_, id)| id);
                        expected.map(|id| table.remove(&id));
                        prop_assert_eq!(schedule.pop_due(at(now)), expected);
                    }
                }
                prop_assert_eq!(schedule.len(), table.len());
                prop_assert_eq!(schedule.next_due(), table.values().min().copied());
            }
        }
    }
}
