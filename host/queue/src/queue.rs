//! The messages that are under way, recipient by recipient.

use crate::{Policy, Schedule};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime};

/// Where one recipient stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// To be tried.
    Waiting {
        /// Failures so far.
        attempts: u32,
        /// When the next attempt is due.
        due: SystemTime,
    },
    /// Delivered or given up.
    Finished,
}

/// What became of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Delivered, or the next hop has taken responsibility.
    Delivered,
    /// Not now: a 4xx reply, no connection, a full disk.
    Deferred,
    /// Not before so long: policy wants it so, whatever the schedule says.
    PutOff(Duration),
    /// Never: a 5xx reply.
    Failed,
}

/// What is to be remembered of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The recipient has the message.
    Delivered,
    /// It is to be tried again.
    Retry {
        /// Failures so far.
        attempts: u32,
        /// When.
        next_attempt: SystemTime,
    },
    /// The recipient will not get the message.
    GiveUp {
        /// Whether that is because time is up, and not because somebody said so.
        expired: bool,
    },
}

/// Somebody who is to be tried now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due<Id> {
    /// The message.
    pub id: Id,
    /// The recipients that are due, by their position in the envelope; never empty.
    pub recipients: Vec<usize>,
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What to remember of each recipient that was tried, by position.
    pub decisions: Vec<(usize, Decision)>,
    /// Whether nobody is left to be tried. The queue has forgotten the message then.
    pub finished: bool,
}

/// The messages under way. A message that was handed out by [`Queue::pop_due`] is not handed out again before
/// [`Queue::report`].
///
/// It holds as much as it is given: the spool bounds its messages, and RCPT the recipients of each.
#[derive(Debug, Clone)]
pub struct Queue<Id> {
    policy: Policy,
    schedule: Schedule<Id>,
    messages: HashMap<Id, Message>,
}

#[derive(Debug, Clone)]
struct Message {
    /// Since when it may be tried: then its lifetime begins.
    accepted_at: SystemTime,
    rank: i8,
    recipients: Vec<Recipient>,
}

impl<Id: Copy + Ord + Hash> Queue<Id> {
    /// An empty queue.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, schedule: Schedule::default(), messages: HashMap::new() }
    }

    /// Takes in a message: a new one, with recipients that are due at once, or one that is found at start. Its lifetime began at
    /// `accepted_at`; of those that are due the one of the highest `rank` goes first. Says whether there is anything to do; with every
    /// recipient finished it is not kept.
    pub fn insert(&mut self, id: Id, accepted_at: SystemTime, rank: i8, recipients: Vec<Recipient>) -> bool {
        let message = Message { accepted_at, rank, recipients };
        let Some(due) = message.next_due() else { return false };
        self.messages.insert(id, message);
        self.schedule.insert(id, due, rank);
        true
    }

    /// Takes in a message that has just been accepted, for `recipients` recipients, to be tried from `start` on.
    pub fn accept(&mut self, id: Id, recipients: usize, rank: i8, start: SystemTime) -> bool {
        self.insert(id, start, rank, vec![Recipient::Waiting { attempts: 0, due: start }; recipients])
    }

    /// Hands out the message that is due longest, if one is due.
    pub fn pop_due(&mut self, now: SystemTime) -> Option<Due<Id>> {
        let id = self.schedule.pop_due(now)?;
        let recipients = self.messages.get(&id).map(|message| message.due(now)).unwrap_or_default();
        Some(Due { id, recipients })
    }

    /// When the next message is due.
    #[must_use]
    pub fn next_due(&self) -> Option<SystemTime> {
        self.schedule.next_due()
    }

    /// Takes back a message that was handed out and says what is to be remembered. A recipient of whom nothing is said
    /// stays as it was; nothing is said of a message that the queue doesn't know.
    pub fn report(&mut self, id: Id, outcomes: &[(usize, Outcome)], now: SystemTime) -> Report {
        let Some(message) = self.messages.get_mut(&id) else {
            return Report { decisions: Vec::new(), finished: true };
        };
        let decide = |(position, outcome): &(usize, Outcome)| {
            let key = key(&(id, *position));
            Some((*position, message.decide(&self.policy, *position, *outcome, key, now)?))
        };
        let decisions = outcomes.iter().filter_map(decide).collect();
        let (due, rank) = (message.next_due(), message.rank);
        match due {
            Some(due) => self.schedule.insert(id, due, rank),
            None => self.forget(id),
        }
        Report { decisions, finished: due.is_none() }
    }

    /// Puts a recipient down again who was given up, for its sender could not be told: due then, as after one failure. A message that
    /// is forgotten already is taken in anew, for this recipient alone.
    pub fn revive(&mut self, id: Id, position: usize, accepted_at: SystemTime, rank: i8, due: SystemTime) {
        let waiting = Recipient::Waiting { attempts: 1, due };
        let Some(message) = self.messages.get_mut(&id) else {
            let mut recipients = vec![Recipient::Finished; position];
            recipients.push(waiting);
            self.insert(id, accepted_at, rank, recipients);
            return;
        };
        if message.recipients.len() <= position {
            message.recipients.resize(position + 1, Recipient::Finished);
        }
        message.recipients[position] = waiting;
        // One that is handed out is put down when it comes back.
        if let (true, Some(due)) = (self.schedule.contains(id), message.next_due()) {
            self.schedule.insert(id, due, rank);
        }
    }

    /// Makes everybody who still waits for this message due now, unless it is handed out. Says whether it did.
    pub fn hurry(&mut self, id: Id, now: SystemTime) -> bool {
        let Some(message) = self.messages.get_mut(&id) else { return false };
        if self.schedule.remove(id).is_none() {
            return false;
        }
        for recipient in &mut message.recipients {
            if let Recipient::Waiting { due, .. } = recipient {
                *due = now.min(*due);
            }
        }
        self.schedule.insert(id, now, message.rank);
        true
    }

    /// Whether the message is handed out: an attempt is under way.
    #[must_use]
    pub fn is_handed_out(&self, id: Id) -> bool {
        self.messages.contains_key(&id) && !self.schedule.contains(id)
    }

    /// Forgets a message.
    pub fn forget(&mut self, id: Id) {
        self.schedule.remove(id);
        self.messages.remove(&id);
    }

    /// Messages that are under way, those handed out included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

impl Message {
    fn waiting(&self) -> impl Iterator<Item = (usize, SystemTime)> {
        self.recipients.iter().enumerate().filter_map(|(position, recipient)| match recipient {
            Recipient::Waiting { due, .. } => Some((position, *due)),
            Recipient::Finished => None,
        })
    }

    fn next_due(&self) -> Option<SystemTime> {
        self.waiting().map(|(_, due)| due).min()
    }

    fn due(&self, now: SystemTime) -> Vec<usize> {
        self.waiting().filter(|(_, due)| *due <= now).map(|(position, _)| position).collect()
    }

    fn decide(
        &mut self,
        policy: &Policy,
        position: usize,
        outcome: Outcome,
        key: u64,
        now: SystemTime,
    ) -> Option<Decision> {
        let recipient = self.recipients.get_mut(position)?;
        let Recipient::Waiting { attempts, .. } = *recipient else { return None };
        let attempts = attempts.saturating_add(1);
        let again = |at: Option<SystemTime>| match at {
            Some(next_attempt) => Decision::Retry { attempts, next_attempt },
            None => Decision::GiveUp { expired: true },
        };
        let decision = match outcome {
            Outcome::Delivered => Decision::Delivered,
            Outcome::Failed => Decision::GiveUp { expired: false },
            Outcome::Deferred => again(policy.next_attempt(self.accepted_at, attempts, key, now)),
            Outcome::PutOff(wait) => again(policy.within_life(self.accepted_at, wait, now)),
        };
        *recipient = match decision {
            Decision::Retry { attempts, next_attempt } => Recipient::Waiting { attempts, due: next_attempt },
            _ => Recipient::Finished,
        };
        Some(decision)
    }
}

/// Without a secret, so that the same recipient gets the same jitter after a restart.
pub(crate) fn key(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Backoff;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn queue() -> Queue<u32> {
        let backoff = Backoff { jitter: 0.0, first: Duration::from_secs(10), ..Backoff::default() };
        Queue::new(Policy { backoff, lifetime: Duration::from_secs(100) })
    }

    #[test]
    fn a_delivered_message_is_forgotten() {
        let mut queue = queue();
        assert!(queue.accept(1, 2, 0, at(0)));
        assert_eq!(queue.pop_due(at(0)), Some(Due { id: 1, recipients: vec![0, 1] }));
        let report = queue.report(1, &[(0, Outcome::Delivered), (1, Outcome::Failed)], at(1));
        let given_up = Decision::GiveUp { expired: false };
        assert_eq!(report, Report { decisions: vec![(0, Decision::Delivered), (1, given_up)], finished: true });
        assert!(queue.is_empty() && queue.next_due().is_none());
    }

    #[test]
    fn only_those_who_failed_are_tried_again() {
        let mut queue = queue();
        queue.accept(1, 3, 0, at(0));
        queue.pop_due(at(0));
        queue.report(1, &[(0, Outcome::Delivered), (1, Outcome::Deferred), (2, Outcome::Deferred)], at(5));
        assert_eq!(queue.pop_due(at(14)), None);
        assert_eq!(queue.pop_due(at(15)), Some(Due { id: 1, recipients: vec![1, 2] }));
        let report = queue.report(1, &[(1, Outcome::Deferred), (2, Outcome::Delivered)], at(16));
        let retry = Decision::Retry { attempts: 2, next_attempt: at(36) };
        assert_eq!(report.decisions, [(1, retry), (2, Decision::Delivered)]);
        assert_eq!(queue.next_due(), Some(at(36)));
    }

    #[test]
    fn what_is_handed_out_is_not_handed_out_again() {
        let mut queue = queue();
        queue.accept(1, 1, 0, at(0));
        queue.pop_due(at(0)).unwrap();
        assert_eq!((queue.pop_due(at(1000)), queue.next_due(), queue.len()), (None, None, 1));
        assert!(!queue.hurry(1, at(1)));
        // The carrier could not even try: it is due as it was.
        assert!(!queue.report(1, &[], at(2)).finished);
        assert_eq!(queue.pop_due(at(2)).unwrap().id, 1);
    }

    #[test]
    fn a_message_found_at_start_goes_on_where_it_was() {
        let mut queue = queue();
        let waiting = Recipient::Waiting { attempts: 3, due: at(50) };
        assert!(queue.insert(7, at(0), 0, vec![Recipient::Finished, waiting]));
        assert!(!queue.insert(8, at(0), 0, vec![Recipient::Finished]), "there is nothing to do for it");
        assert_eq!(queue.pop_due(at(50)), Some(Due { id: 7, recipients: vec![1] }));
        let report = queue.report(7, &[(1, Outcome::Deferred)], at(50));
        assert_eq!(report.decisions, [(1, Decision::Retry { attempts: 4, next_attempt: at(100) })]);
        queue.pop_due(at(100)).unwrap();
        let report = queue.report(7, &[(1, Outcome::Deferred)], at(100));
        assert_eq!((report.decisions[0].1, report.finished), (Decision::GiveUp { expired: true }, true));
    }

    #[test]
    fn what_policy_puts_off_comes_when_it_says_and_not_after_its_life() {
        let mut queue = queue();
        queue.accept(1, 1, 0, at(0));
        let mut put_off = |now, wait| {
            queue.pop_due(at(now)).unwrap();
            queue.report(1, &[(0, Outcome::PutOff(Duration::from_secs(wait)))], at(now)).decisions[0].1
        };
        let retry = |attempts, then| Decision::Retry { attempts, next_attempt: at(then) };
        assert_eq!(put_off(0, 3), retry(1, 3));
        assert_eq!(put_off(3, 1000), retry(2, 100));
        assert_eq!(put_off(100, 1), Decision::GiveUp { expired: true });
    }

    #[test]
    fn who_was_given_up_may_come_back() {
        let mut queue = queue();
        queue.accept(1, 2, 0, at(0));
        queue.pop_due(at(0));
        queue.report(1, &[(0, Outcome::Delivered), (1, Outcome::Failed)], at(1));
        queue.revive(1, 1, at(0), 0, at(7));
        assert_eq!(queue.pop_due(at(6)), None);
        assert_eq!(queue.pop_due(at(7)), Some(Due { id: 1, recipients: vec![1] }));
        queue.revive(1, 0, at(0), 0, at(9));
        assert_eq!(queue.pop_due(at(9)), None, "it is handed out");
        queue.report(1, &[(1, Outcome::Delivered)], at(10));
        assert_eq!(queue.pop_due(at(10)), Some(Due { id: 1, recipients: vec![0] }));
    }

    #[test]
    fn an_operator_may_hurry_a_message() {
        let mut queue = queue();
        queue.insert(7, at(0), 0, vec![Recipient::Waiting { attempts: 3, due: at(50) }]);
        assert!(queue.hurry(7, at(20)));
        assert_eq!(queue.pop_due(at(20)), Some(Due { id: 7, recipients: vec![0] }));
        assert!(!queue.hurry(9, at(20)), "nobody knows it");
    }

    proptest! {
        #[test]
        fn every_recipient_ends_and_each_attempt_is_decided_once(
            outcomes in proptest::collection::vec(0u8..3, 1..200), recipients in 1usize..6,
        ) {
            let mut queue = queue();
            queue.accept(1, recipients, 0, at(0));
            let mut ended = vec![0; recipients];
            let mut outcomes = outcomes.into_iter().cycle();
            let mut finished = false;
            while let Some(now) = queue.next_due() {
                let due = queue.pop_due(now).unwrap();
                prop_assert!(!due.recipients.is_empty());
                let tried: Vec<_> = due.recipients.iter().map(|position| {
                    let outcome = [Outcome::Delivered, Outcome::Deferred, Outcome::Failed];
                    (*position, outcome[outcomes.next().unwrap_or(0) as usize])
                }).collect();
                let report = queue.report(1, &tried, now);
                prop_assert_eq!(report.decisions.len(), tried.len());
                for (position, decision) in report.decisions {
                    ended[position] += usize::from(!matches!(decision, Decision::Retry { .. }));
                }
                finished = report.finished;
            }
            prop_assert!(finished && queue.is_empty());
            prop_assert_eq!(ended, vec![1; recipients]);
        }
    }
}
