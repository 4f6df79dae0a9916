//! Asking at the same time decides what asking one by one decides, whatever the plugins do.

use std::collections::hash_map::DefaultHasher;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;
use wasmail_mail::{ForwardPath, Recipient, ReversePath, Transaction};

use crate::{
    Answer, Binding, BoxFuture, Chain, Context, Decision, Fact, Fault, FaultRule, Footprint, Grant, Grants, Hook,
    HookSet, Mutation, Outcome, Plugin, Question, ResultList, Scope, TransactionContext, Verdict,
};

const HOOK: Hook = Hook::DataPost;
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const NOTES: [&str; 7] = ["/x", "/x/y", "/x/z", "/list", "/list/0", "/list/1", "/other"];

/// A plugin whose answer depends on all it may read and on nothing else, and comes after a number of rounds.
#[derive(Debug, Clone)]
struct Scripted {
    footprint: Option<Footprint>,
    seed: u64,
    rounds: usize,
    /// What it may ask for; not always within its footprint.
    repertoire: Vec<Mutation>,
    on_fault: FaultRule,
}

impl Scripted {
    fn answer(&self, context: &Context) -> Answer {
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        seen(self.footprint.as_ref(), context).hash(&mut hasher);
        let chosen = hasher.finish();
        let verdict = match chosen % 11 {
            0 => Verdict::Deny(None),
            1 => Verdict::Accept(None),
            _ => Verdict::Next,
        };
        let wanted = |(at, mutation): (usize, &Mutation)| (chosen >> (8 + at) & 1 == 1).then(|| mutation.clone());
        let mutations = self.repertoire.iter().enumerate().filter_map(wanted).collect();
        let outcome =
            if chosen.is_multiple_of(23) { Err(Fault::CpuDeadline) } else { Ok(Outcome { verdict, mutations }) };
        Answer { outcome, elapsed: Duration::ZERO }
    }
}

/// All that a footprint allows to see, as text; without one, everything.
fn seen(footprint: Option<&Footprint>, context: &Context) -> String {
    let all = Footprint {
        reads_notes: NOTES.map(String::from).into(),
        reads_results: NAMES.map(String::from).into(),
        reads: Fact::ALL.into_iter().collect(),
        ..Footprint::default()
    };
    let footprint = footprint.unwrap_or(&all);
    let transaction = context.transaction.as_ref().unwrap();
    let mut text = String::new();
    for pointer in &footprint.reads_notes {
        text += &format!("{pointer} {:?} {:?};", context.notes.get(pointer), transaction.notes.get(pointer));
    }
    for name in &footprint.reads_results {
        let both = [&context.results, &transaction.results].map(|results| results.get(name).cloned());
        text += &format!("{name} {both:?};");
    }
    for fact in footprint.reads.iter() {
        text += &match fact {
            Fact::Relaying => format!("{}", context.relaying()),
            Fact::RemoteHost => format!("{:?}", context.connection.remote.host),
            Fact::ReversePath => format!("{:?}", transaction.facts.reverse_path),
            Fact::Recipients => format!("{:?}", transaction.facts.recipients),
            Fact::Message => format!("{:?}", transaction.facts.header.to_octets()),
            Fact::Delivery => format!("{:?}", transaction.facts.handling),
            Fact::Skips => String::new(),
        };
    }
    text
}

struct Asked(Scripted, Arc<AtomicUsize>);

impl Plugin for Asked {
    fn hooks(&self) -> HookSet {
        [HOOK].into_iter().collect()
    }

    fn footprint(&self) -> Option<&Footprint> {
        self.0.footprint.as_ref()
    }

    fn ask<'a>(&'a self, question: &'a Question<'a>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            self.1.fetch_add(1, Ordering::Relaxed);
            rounds(self.0.rounds).await;
            self.0.answer(question.context)
        })
    }
}

/// Waits for a number of polls.
async fn rounds(mut left: usize) {
    std::future::poll_fn(|task| {
        task.waker().wake_by_ref();
        left = left.wrapping_sub(1);
        if left == usize::MAX { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Polls to the end, and says how often.
fn run<T>(future: impl Future<Output = T>) -> (T, usize) {
    let mut future = pin!(future);
    for polls in 1..10_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
            return (value, polls);
        }
    }
    panic!("it never ends");
}

fn context() -> Context {
    let mut facts = Transaction::new("u.1".into(), ReversePath::Null, false);
    facts.recipients = vec![recipient("<a@example.test>"), recipient("<b@example.test>")];
    let mut context = Context::new(crate::fixture::connection());
    let mut transaction = TransactionContext::new(facts);
    Arc::make_mut(&mut transaction.notes).set("/list", json!([1, 2])).unwrap();
    context.transaction = Some(transaction);
    context
}

fn recipient(path: &str) -> Recipient {
    Recipient { path: ForwardPath::parse(path).unwrap(), parameters: Vec::new() }
}

fn bindings(plugins: &[Scripted], asked: &Arc<AtomicUsize>) -> Vec<Binding> {
    let grants: Grants = Grant::ALL.into_iter().collect();
    let bind = |(name, plugin): (&&str, &Scripted)| Binding {
        name: (*name).into(),
        plugin: Arc::new(Asked(plugin.clone(), Arc::clone(asked))),
        grants,
        on_fault: plugin.on_fault,
    };
    NAMES.iter().zip(plugins).map(bind).collect()
}

fn put(chain: &Chain) -> (Decision, String, usize) {
    let mut context = context();
    let (decision, polls) = run(chain.ask(HOOK, &mut context, None));
    (decision, format!("{context:?}"), polls)
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let scope = || select(vec![Scope::Connection, Scope::Transaction]);
    let note = || select(NOTES.to_vec()).prop_map(String::from);
    prop_oneof![
        (scope(), note(), 0..4).prop_map(|(scope, pointer, value)| Mutation::SetNote {
            scope,
            pointer,
            value: json!(value)
        }),
        (scope(), note()).prop_map(|(scope, pointer)| Mutation::RemoveNote { scope, pointer }),
        scope().prop_map(|scope| Mutation::AddResult { scope, list: ResultList::Fail, text: "x".into() }),
        any::<bool>().prop_map(Mutation::SetRelaying),
        "[a-z]{1,3}".prop_map(|host| Mutation::SetRemoteHost(Some(format!("{host}.example")))),
        "[A-C]".prop_map(|name| Mutation::AddHeader { name, value: "1".into() }),
        (0..3_usize).prop_map(|position| Mutation::RemoveHeader { position }),
        (0..3_usize).prop_map(|position| Mutation::RemoveRecipient { position }),
        "[a-z]".prop_map(|local| Mutation::SetReversePath(format!("{local}@example.test"))),
        "[a-z]".prop_map(Mutation::Quarantine),
        Just(Mutation::AddRecipient(recipient("<c@example.test>"))),
        select(NAMES.to_vec()).prop_map(|name| Mutation::SkipPlugin(name.into())),
        (0..9_u64).prop_map(|seconds| Mutation::Delay(Duration::from_secs(seconds))),
    ]
}

fn footprint() -> impl Strategy<Value = Footprint> {
    let notes = || subsequence(NOTES.to_vec(), 0..4).prop_map(|notes| notes.into_iter().map(String::from).collect());
    let facts = || subsequence(Fact::ALL.to_vec(), 0..4).prop_map(|facts| facts.into_iter().collect());
    let results = subsequence(NAMES.to_vec(), 0..3).prop_map(|names| names.into_iter().map(String::from).collect());
    (notes(), results, facts(), notes(), facts()).prop_map(
        |(reads_notes, reads_results, reads, writes_notes, writes)| Footprint {
            reads_notes,
            reads_results,
            reads,
            writes_notes,
            writes,
        },
    )
}

fn plugin() -> impl Strategy<Value = Scripted> {
    let on_fault = select(vec![FaultRule::Defer, FaultRule::Skip, FaultRule::Reject]);
    let footprint = proptest::option::weighted(0.9, footprint());
    (footprint, any::<u64>(), 0..5_usize, vec(mutation(), 0..5), on_fault, any::<bool>()).prop_map(
        |(footprint, seed, rounds, mut repertoire, on_fault, honest)| {
            if let (Some(footprint), true) = (&footprint, honest) {
                repertoire.retain(|mutation| footprint.covers(mutation).is_ok());
            }
            Scripted { footprint, seed, rounds, repertoire, on_fault }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn at_the_same_time_is_as_one_by_one(plugins in vec(plugin(), 1..=6)) {
        let asked = Arc::default();
        let together = put(&Chain::new(bindings(&plugins, &asked)));
        let one_by_one = put(&Chain::one_by_one(bindings(&plugins, &asked)));
        prop_assert_eq!(together.0, one_by_one.0);
        prop_assert_eq!(&together.1, &one_by_one.1);
        // An answer that cannot be applied decides only after others were waited for.
        if !together.1.contains("\"rejected\"") {
            prop_assert!(together.2 <= one_by_one.2, "{} polls instead of {}", together.2, one_by_one.2);
        }
    }
}

fn waits(rounds: usize, footprint: Option<Footprint>) -> Scripted {
    // A seed with which it says next.
    Scripted { footprint, seed: 2, rounds, repertoire: Vec::new(), on_fault: FaultRule::Defer }
}

#[test]
fn a_chain_of_waiting_plugins_costs_the_slowest() {
    let plugins: Vec<_> =
        [40, 10, 30, 20].into_iter().map(|rounds| waits(rounds, Some(Footprint::default()))).collect();
    let asked = Arc::default();
    assert_eq!(put(&Chain::new(bindings(&plugins, &asked))).2, 41);
    assert_eq!(put(&Chain::one_by_one(bindings(&plugins, &asked))).2, 101);
}

#[test]
fn who_says_nothing_of_itself_is_asked_alone() {
    let independent = || waits(10, Some(Footprint::default()));
    let plugins = [independent(), independent(), waits(10, None), independent(), independent()];
    let chain = Chain::new(bindings(&plugins, &Arc::default()));
    let groups: Vec<Vec<&str>> =
        chain.groups(HOOK).map(|group| group.map(|binding| &*binding.name).collect()).collect();
    assert_eq!(groups, [vec!["a", "b"], vec!["c"], vec!["d", "e"]]);
}

#[test]
fn after_a_decision_nobody_is_waited_for_and_nobody_is_asked_in_vain() {
    let denies = Scripted { seed: decisive_seed(), ..waits(0, Some(Footprint::default())) };
    let slow = waits(9_000, Some(Footprint::default()));
    let asked: Arc<AtomicUsize> = Arc::default();
    let (decision, _, polls) = put(&Chain::new(bindings(&[denies, slow], &asked)));
    assert!(decision.verdict.is_decisive());
    assert_eq!((polls, asked.load(Ordering::Relaxed)), (1, 1));
}

fn decisive_seed() -> u64 {
    let decides = |seed: &u64| {
        let plugin = Scripted { seed: *seed, ..waits(0, Some(Footprint::default())) };
        plugin.answer(&context()).outcome.is_ok_and(|outcome| outcome.verdict.is_decisive())
    };
    (0..1_000).find(decides).unwrap()
}
