//! New versions of a plugin, tried beside the old one: asked and compared, or asked for a part of the senders.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use wasmail_mail::ReversePath;

use crate::{Answer, BoxFuture, Context, Footprint, Hook, HookSet, Plugin, Question, Step};

/// Differences that are kept to be looked at: the newest.
const DIFFERENCES_MAX: usize = 50;
/// Characters of a difference's description.
const DESCRIPTION_MAX: usize = 500;

/// The part of the senders, always the same ones, for whom a version is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// 0 to 100.
    pub percent: u8,
    /// Whether it is the others that are meant.
    pub others: bool,
}

impl Share {
    /// Whether this transaction is meant. Outside of transactions, and for notifications, which have no sender, the client's
    /// address stands for one.
    #[must_use]
    pub fn has(self, context: &Context) -> bool {
        let sender = context.transaction.as_ref().map(|transaction| &transaction.facts.reverse_path);
        let number = match sender {
            Some(path @ ReversePath::Mailbox(_)) => number(path.address().to_ascii_lowercase().as_bytes()),
            _ => number(context.connection.remote.ip.to_string().as_bytes()),
        };
        (number % 100 < u64::from(self.percent)) != self.others
    }
}

/// FNV-1a of 64 bits, with its upper half folded in: the same in every version of this program, or senders would change sides.
fn number(octets: &[u8]) -> u64 {
    let hash = octets
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3));
    hash ^ (hash >> 32)
}

/// A plugin that is asked for a part of the senders only.
pub struct Sampled {
    /// Whom to ask.
    pub plugin: Arc<dyn Plugin>,
    /// For whom.
    pub share: Share,
}

impl Plugin for Sampled {
    fn hooks(&self) -> HookSet {
        self.plugin.hooks()
    }

    fn footprint(&self) -> Option<&Footprint> {
        self.plugin.footprint()
    }

    fn wants(&self, context: &Context) -> bool {
        self.share.has(context) && self.plugin.wants(context)
    }

    fn ask<'a>(&'a self, question: &'a Question<'a>) -> BoxFuture<'a, Answer> {
        self.plugin.ask(question)
    }

    fn heard(&self, step: &Step) {
        self.plugin.heard(step);
    }
}

/// A plugin with a newer version in its shadow: that is asked the same, and what it says is compared and forgotten.
///
/// Both are asked at the same time, and the longer one is waited for. What the newer one does by capabilities is done: it is to be
/// bound with none that others could notice.
pub struct Shadowed {
    active: Arc<dyn Plugin>,
    candidate: Arc<dyn Plugin>,
    comparison: Arc<Comparison>,
}

impl Shadowed {
    /// Puts the candidate into the active one's shadow.
    #[must_use]
    pub fn new(active: Arc<dyn Plugin>, candidate: Arc<dyn Plugin>, comparison: Arc<Comparison>) -> Self {
        Self { active, candidate, comparison }
    }
}

impl Plugin for Shadowed {
    /// Those of both: where only the candidate wants to be asked, the active one has no opinion.
    fn hooks(&self) -> HookSet {
        self.active.hooks().iter().chain(self.candidate.hooks().iter()).collect()
    }

    fn ask<'a>(&'a self, question: &'a Question<'a>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let (active, candidate) = both(asked(&*self.active, question), asked(&*self.candidate, question)).await;
            self.comparison.compare(question, &active, &candidate);
            active
        })
    }

    fn heard(&self, step: &Step) {
        self.active.heard(step);
    }
}

async fn asked<'a>(plugin: &'a dyn Plugin, question: &'a Question<'a>) -> Answer {
    if plugin.hooks().contains(question.hook) && plugin.wants(question.context) {
        plugin.ask(question).await
    } else {
        Answer { outcome: Ok(crate::Outcome::next()), elapsed: std::time::Duration::ZERO }
    }
}

/// Waits for both at the same time.
async fn both<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    fn poll<T>(future: Pin<&mut impl Future<Output = T>>, done: &mut Option<T>, task: &mut std::task::Context<'_>) {
        if done.is_none()
            && let Poll::Ready(value) = future.poll(task)
        {
            *done = Some(value);
        }
    }
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut other) = (None, None);
    std::future::poll_fn(|task| {
        poll(first.as_mut(), &mut one, task);
        poll(second.as_mut(), &mut other, task);
        match (one.take(), other.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            (first, second) => {
                (one, other) = (first, second);
                Poll::Pending
            }
        }
    })
    .await
}

/// How a candidate compares.
#[derive(Debug, Default)]
pub struct Comparison(Mutex<Compared>);

/// Counts of answers, and the newest differences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Questions that both were asked.
    pub asked: u64,
    /// Both said the same and changed the same.
    pub same: u64,
    /// Their verdicts differ.
    pub verdicts: u64,
    /// The verdicts are the same, what they change is not.
    pub mutations: u64,
    /// Questions that the active one failed to answer.
    pub faults_of_active: u64,
    /// Questions that the candidate failed to answer.
    pub faults_of_candidate: u64,
    /// The newest differences, the oldest first.
    pub differences: VecDeque<Difference>,
}

/// One question that was answered in two ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The transaction's name, or the connection's.
    pub uuid: String,
    /// Where they were asked.
    pub hook: Hook,
    /// What the active one answered, in short.
    pub active: String,
    /// What the candidate answered.
    pub candidate: String,
}

impl Comparison {
    /// The counts as they stand.
    #[must_use]
    pub fn so_far(&self) -> Compared {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn compare(&self, question: &Question<'_>, active: &Answer, candidate: &Answer) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.asked += 1;
        counts.faults_of_active += u64::from(active.outcome.is_err());
        counts.faults_of_candidate += u64::from(candidate.outcome.is_err());
        match (&active.outcome, &candidate.outcome) {
            (Ok(one), Ok(other)) if one == other => return counts.same += 1,
            (Ok(one), Ok(other)) if one.verdict == other.verdict => counts.mutations += 1,
            _ => counts.verdicts += 1,
        }
        let context = question.context;
        let uuid = context.transaction.as_ref().map_or(&context.connection.uuid, |transaction| &transaction.facts.uuid);
        if counts.differences.len() >= DIFFERENCES_MAX {
            counts.differences.pop_front();
        }
        counts.differences.push_back(Difference {
            uuid: uuid.clone(),
            hook: question.hook,
            active: Described(active).to_string(),
            candidate: Described(candidate).to_string(),
        });
    }
}

/// An answer in short.
struct Described<'a>(&'a Answer);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match &self.0.outcome {
            Ok(outcome) if outcome.mutations.is_empty() => format!("{:?}", outcome.verdict),
            Ok(outcome) => format!("{:?}, {:?}", outcome.verdict, outcome.mutations),
            Err(fault) => format!("fault: {fault}"),
        };
        f.write_str(&text.chars().take(DESCRIPTION_MAX).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wasmail_mail::Transaction;

    use super::*;
    use crate::fixture::{block_on, connection};
    use crate::{Binding, Chain, Decision, Fault, FaultRule, Grants, Outcome, TransactionContext, Verdict};

    struct Says(Result<Outcome, Fault>);

    impl Plugin for Says {
        fn hooks(&self) -> HookSet {
            [Hook::Rcpt].into_iter().collect()
        }

        fn ask<'a>(&'a self, _: &'a Question<'a>) -> BoxFuture<'a, Answer> {
            Box::pin(async { Answer { outcome: self.0.clone(), elapsed: Duration::ZERO } })
        }
    }

    fn says(verdict: Verdict) -> Arc<dyn Plugin> {
        Arc::new(Says(Ok(Outcome { verdict, mutations: Vec::new() })))
    }

    fn from(sender: &str) -> Context {
        let mut context = Context::new(connection());
        let path = ReversePath::parse(&format!("<{sender}>")).unwrap();
        context.transaction = Some(TransactionContext::new(Transaction::new("u.1".into(), path, false)));
        context
    }

    fn ask(plugin: impl Plugin + 'static, context: &mut Context) -> Decision {
        let (name, grants) = ("p".into(), Grants::default());
        let binding = Binding { name, plugin: Arc::new(plugin), grants, on_fault: FaultRule::Defer };
        block_on(Chain::new(vec![binding]).ask(Hook::Rcpt, context, None))
    }

    #[test]
    fn a_share_is_of_its_size_and_always_has_the_same_senders() {
        let has = |percent, others, number: u32| {
            Share { percent, others }.has(&from(&format!("sender{number}@client{}.example", number % 7)))
        };
        for percent in [0, 1, 10, 50, 99, 100] {
            let inside: Vec<bool> = (0..5_000).map(|number| has(percent, false, number)).collect();
            let count = inside.iter().filter(|inside| **inside).count();
            assert!(count.abs_diff(usize::from(percent) * 50) < 150, "{count} of 5000 for {percent} %");
            assert!((0..5_000).all(|number| has(percent, true, number) != inside[number as usize]));
        }
        let small = Share { percent: 40, others: false };
        let both = |one: &str, other: &str| small.has(&from(one)) == small.has(&from(other));
        assert!((0..100).all(|n| both(&format!("A{n}@Client.example"), &format!("a{n}@client.example"))));
    }

    #[test]
    fn who_has_no_share_is_not_asked() {
        let denies = |percent| {
            let plugin = Sampled { plugin: says(Verdict::Deny(None)), share: Share { percent, others: false } };
            let mut context = from("a@client.example");
            let decision = ask(plugin, &mut context);
            (decision.verdict, context.transaction.unwrap().trail.steps().len())
        };
        assert_eq!(denies(0), (Verdict::Next, 0));
        assert_eq!(denies(100), (Verdict::Deny(None), 1));
    }

    #[test]
    fn what_stands_in_the_shadow_changes_nothing_and_is_counted() {
        let comparison = Arc::new(Comparison::default());
        let shadowed = |active, candidate| Shadowed::new(active, candidate, Arc::clone(&comparison));
        let fails: Arc<dyn Plugin> = Arc::new(Says(Err(Fault::CpuDeadline)));
        let next = || says(Verdict::Next);
        assert_eq!(ask(shadowed(next(), says(Verdict::Deny(None))), &mut from("")).verdict, Verdict::Next);
        assert_eq!(ask(shadowed(next(), next()), &mut from("")).verdict, Verdict::Next);
        assert_eq!(ask(shadowed(next(), Arc::clone(&fails)), &mut from("")).verdict, Verdict::Next);
        assert!(ask(shadowed(fails, next()), &mut from("")).fault);
        let found = comparison.so_far();
        assert_eq!((found.asked, found.same, found.verdicts), (4, 1, 3));
        assert_eq!((found.faults_of_active, found.faults_of_candidate), (1, 1));
        let first = &found.differences[0];
        assert_eq!((&*first.uuid, &*first.active, &*first.candidate), ("u.1", "Next", "Deny(None)"));
    }

    #[test]
    fn only_the_newest_differences_are_kept() {
        let comparison = Arc::new(Comparison::default());
        for _ in 0..200 {
            ask(Shadowed::new(says(Verdict::Next), says(Verdict::Deny(None)), Arc::clone(&comparison)), &mut from(""));
        }
        let found = comparison.so_far();
        assert_eq!((found.verdicts, found.differences.len()), (200, DIFFERENCES_MAX));
    }
}
