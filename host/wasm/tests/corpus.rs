//! The corpus of `tests/hostile` beside `hostile.rs`: guests that cheat with handles, memory and the canonical ABI, and a
//! guest in Rust that tries its luck with the standard library and with mutations.
//!
//! Every guest here also leaves the engine as it was: a good guest answers at once, and all instances are free again.

mod support;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use support::*;
use tracing_subscriber::fmt::MakeWriter;
use wasmail_policy::{
    Binding, Chain, Context, Decision, Fault, FaultRule, Grant, Grants, Hook, Mutation, Outcome, Question, Verdict,
};
use wasmail_wasm::{Bind, Bound, Budget, Engine, Limits, LoadError};

/// What must become of a guest.
enum Must {
    /// A trap of which the text says this.
    Trap(&'static str),
    /// An answer that the host cannot read; its text says this.
    BadAnswer(&'static str),
    /// Its CPU time is used up.
    Cpu,
    /// It was refused memory.
    Memory,
}

const AT_THE_ABI: &[(&str, Hook, Must)] = &[
    ("drop-twice", Hook::Ehlo, Must::Trap("handle")),
    ("use-after-drop", Hook::Ehlo, Must::Trap("handle")),
    ("forged-handle", Hook::Ehlo, Must::Trap("handle")),
    ("handle-flood", Hook::Ehlo, Must::Trap("no free keys")),
    ("table-bomb", Hook::Ehlo, Must::Memory),
    ("realloc-odd", Hook::Ehlo, Must::BadAnswer("aligned")),
    ("realloc-calls", Hook::Ehlo, Must::Trap("cannot leave")),
    ("post-return-calls", Hook::Ehlo, Must::Trap("cannot leave")),
    ("fill-flood", Hook::Ehlo, Must::Cpu),
    ("name-flood", Hook::DataPost, Must::Cpu),
    ("amplifier", Hook::Ehlo, Must::BadAnswer("fuel")),
    ("log-wild", Hook::Ehlo, Must::Trap("out of bounds")),
    ("log-huge", Hook::Ehlo, Must::Trap("fuel")),
    ("log-level", Hook::Ehlo, Must::Trap("discriminant")),
    ("mutual-recursion", Hook::Ehlo, Must::Trap("call stack exhausted")),
];

/// Asks, and sees that nothing is left behind.
async fn ask_and_look(engine: &Engine, plugin: Bound, hook: Hook, name: &str) -> Result<Outcome, Fault> {
    let outcome = soon(ask(&plugin, hook)).await;
    let good = bind(engine, "good").await;
    assert_eq!(ask(&good, Hook::Ehlo).await, Ok(Outcome::next()), "after {name}");
    drop((plugin, good));
    assert_eq!(engine.free_instances(), engine.config().max_instances as usize, "{name} holds an instance");
    outcome
}

#[tokio::test]
async fn whoever_cheats_at_the_boundary_is_found_out() {
    // Time enough to fill sixty megabytes on a busy machine.
    let engine = engine_with(Limits { cpu: Duration::from_millis(300), ..Limits::default() });
    for (name, hook, must) in AT_THE_ABI {
        let plugin = bind(&engine, name).await;
        let fault = ask_and_look(&engine, plugin, *hook, name).await.expect_err(name);
        let as_it_must = match (must, &fault) {
            (Must::Trap(text), Fault::Trap(why)) | (Must::BadAnswer(text), Fault::BadAnswer(why)) => why.contains(text),
            (Must::Cpu, Fault::CpuDeadline) | (Must::Memory, Fault::Memory) => true,
            _ => false,
        };
        assert!(as_it_must, "{name}: {fault:?}");
        assert!(fault.to_string().len() < 1_200, "{name}: {fault}");
    }
}

#[tokio::test]
async fn the_message_can_be_read_where_there_is_one() {
    let engine = engine();
    let plugin = bind(&engine, "no-message").await;
    assert_eq!(ask(&plugin, Hook::DataPost).await, Ok(Outcome::next()));
    // That it was there before is no help.
    let fault = ask_and_look(&engine, plugin, Hook::Ehlo, "no-message").await.expect_err("there is no message");
    assert!(matches!(&fault, Fault::Trap(why) if why.contains("where there is none")), "{fault:?}");
}

#[tokio::test]
async fn what_asks_for_too_much_is_not_loaded() {
    let engine = engine();
    for (name, text) in [
        ("two-memories", "memories"),
        ("huge-table", "table"),
        ("memory-at-start", "memory"),
        ("describe-traps", "trapped: unreachable"),
        ("describe-bomb", "fuel"),
    ] {
        let error = soon(load(&engine, name)).await.err().unwrap_or_else(|| panic!("{name} is loaded")).to_string();
        assert!(error.contains(text), "{name}: {error}");
    }
    assert_eq!(engine.free_instances(), 16);
}

#[tokio::test]
async fn many_instances_that_grow_at_once_get_their_share_and_give_it_back() {
    let engine = engine();
    let plugin = Arc::new(bind_fresh(&engine, "memory-asked").await);
    let before = resident();
    for _ in 0..8 {
        let calls: Vec<_> = (0..24)
            .map(|_| {
                let plugin = Arc::clone(&plugin);
                tokio::spawn(async move { ask(&*plugin, Hook::Ehlo).await })
            })
            .collect();
        for call in calls {
            assert_eq!(soon(call).await.unwrap(), Ok(Outcome::next()));
        }
    }
    drop(plugin);
    assert_eq!(engine.free_instances(), 16);
    let grown = resident().saturating_sub(before);
    assert!(grown < 100 << 20, "{grown} octets stay behind");
}

/// Resident set of this process, in octets. Other tests run beside; they are small.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

async fn probing(engine: &Engine, attempt: &str) -> Bound {
    let component = load_probe(engine).await;
    let config = json!({ "attempt": attempt });
    component.bind(Bind { name: "probe".into(), config, ..Bind::default() }).await.unwrap()
}

/// What the guest says of its attempt.
async fn told(attempt: &str) -> Vec<String> {
    let engine = engine();
    let plugin = probing(&engine, attempt).await;
    let outcome = ask_and_look(&engine, plugin, Hook::Ehlo, attempt).await.unwrap();
    let lines = outcome.mutations.into_iter().map(|mutation| match mutation {
        Mutation::AddResult { text, .. } => text,
        other => panic!("{other:?}"),
    });
    lines.collect()
}

#[tokio::test]
async fn the_standard_library_finds_no_file_no_socket_and_no_process() {
    for attempt in ["files", "sockets", "processes"] {
        let lines = told(attempt).await;
        assert!(!lines.is_empty() && lines.iter().all(|line| !line.contains("SUCCESS")), "{attempt}: {lines:#?}");
    }
    let lines = told("environment").await;
    assert!(lines.contains(&"variables: 0".to_owned()) && lines.contains(&"arguments: 0".to_owned()), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("SUCCESS")), "{lines:?}");
}

#[tokio::test]
async fn clocks_are_too_coarse_to_time_the_processor() {
    for line in told("clocks").await {
        let step: u128 = line.rsplit_once(": ").unwrap().1.parse().unwrap();
        assert!(step >= 1_000_000 && step.is_multiple_of(1_000_000), "{line}");
    }
}

#[tokio::test]
async fn a_panic_reaches_the_operator_in_one_line() {
    let engine = engine();
    let fault = ask_and_look(&engine, probing(&engine, "panic").await, Hook::Ehlo, "panic").await.unwrap_err();
    let Fault::Trap(why) = &fault else { panic!("{fault:?}") };
    assert!(why.contains("the list of \\u{1b}[2J customers is empty"), "{why}");
    assert!(why.contains("probe/src/lib.rs:") && !why.contains('\n'), "{why}");
    let fault = ask_and_look(&engine, probing(&engine, "overflow").await, Hook::Ehlo, "overflow").await.unwrap_err();
    assert!(fault.to_string().contains("index out of bounds: the len is 3"), "{fault}");
    let fault = ask_and_look(&engine, probing(&engine, "exit").await, Hook::Ehlo, "exit").await.unwrap_err();
    assert!(fault.to_string().contains("exit"), "{fault}");
}

#[tokio::test]
async fn sleeping_ends_by_the_wall_clock_and_holds_no_thread() {
    let engine = engine_with(Limits { wall_clock: Duration::from_millis(300), ..Limits::default() });
    let (sleeping, good) = (probing(&engine, "sleep").await, bind(&engine, "good").await);
    let began = Instant::now();
    let (slept, (answer, after)) =
        tokio::join!(soon(ask(&sleeping, Hook::Ehlo)), async { (ask(&good, Hook::Ehlo).await, began.elapsed()) });
    assert_eq!((slept, answer), (Err(Fault::WallClock), Ok(Outcome::next())));
    assert!(began.elapsed() >= Duration::from_millis(300) && after < Duration::from_millis(300), "{after:?}");
    drop((sleeping, good));
    // Sleeps of a nanosecond each never end either.
    let fault = soon(ask(&probing(&engine, "spin").await, Hook::Ehlo)).await.unwrap_err();
    assert!(matches!(fault, Fault::WallClock | Fault::CpuDeadline), "{fault:?}");
    assert_eq!(engine.free_instances(), 16);
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_flood_on_standard_output_is_a_handful_of_plain_lines() {
    let kept = Kept::default();
    let subscriber = tracing_subscriber::fmt().with_writer(kept.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let engine = engine_with(Limits { cpu: Duration::from_secs(10), ..Limits::default() });
    let plugin = probing(&engine, "output").await;
    assert_eq!(ask_and_look(&engine, plugin, Hook::Ehlo, "output").await, Ok(Outcome::next()));
    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    assert!(log.lines().count() < 100 && log.len() < 200_000, "{} lines, {} octets", log.lines().count(), log.len());
    assert!(log.contains("out 0 \\u{1b}]0;title\\u{7}") && !log.contains('\u{7}'), "{log}");
    assert!(log.contains("dropped="), "{log}");
}

#[tokio::test]
async fn what_leaks_is_recycled() {
    let engine = engine();
    let plugin = probing(&engine, "leak").await;
    for _ in 0..200 {
        assert_eq!(ask(&plugin, Hook::Ehlo).await, Ok(Outcome::next()));
    }
    assert_eq!(ask_and_look(&engine, plugin, Hook::Ehlo, "leak").await, Ok(Outcome::next()));
}

/// Everything that a plugin may change, for comparison.
fn state(context: &Context) -> String {
    let transaction = context.transaction.as_ref().unwrap();
    let of_transaction = (&transaction.facts, &transaction.notes, &transaction.results, &transaction.skipped);
    let of_connection =
        (&context.connection, &context.notes, &context.results, &context.skipped, &context.capabilities);
    format!("{of_transaction:?} {of_connection:?} {:?}", context.delay)
}

/// What a chain makes of the probe's lie, with all grants.
async fn lied(engine: &Engine, lie: &str) -> (Decision, &'static str, bool) {
    let plugin = shared(probing(engine, lie).await);
    let grants = Grant::ALL.into_iter().collect();
    let binding = Binding { name: "probe".into(), plugin, grants, on_fault: FaultRule::Defer };
    let mut context = context();
    let before = state(&context);
    let decision = soon(Chain::new(vec![binding]).ask(Hook::DataPost, &mut context, None)).await;
    let step = context.transaction.as_ref().unwrap().trail.steps()[0].verdict;
    (decision, step, state(&context) == before)
}

const LIES: [&str; 40] = [
    "note bomb",
    "note of many",
    "note of depth",
    "note of no JSON",
    "note of two values",
    "pointer bomb",
    "pointer of depth",
    "pointer far away",
    "pointer without slash",
    "pointer escape",
    "pointer to all",
    "removal bomb",
    "result flood",
    "result key",
    "result list as key",
    "result depth",
    "not a number",
    "no number ends",
    "header name",
    "header name with space",
    "header name of nothing",
    "header value",
    "header value bare LF",
    "header value NUL",
    "header bomb",
    "header flood",
    "header far away",
    "header replaced far away",
    "remote host",
    "delay for ever",
    "recipient with CRLF",
    "recipient of nothing",
    "recipient flood",
    "recipient far away",
    "recipient rewritten",
    "reverse-path with CRLF",
    "route with CRLF",
    "quarantine bomb",
    "skip flood",
    "capability elsewhere",
];

#[tokio::test]
async fn a_lie_among_mutations_leaves_no_trace() {
    let engine = engine_with(Limits::default());
    let mut believed = Vec::new();
    for lie in LIES {
        let (decision, step, untouched) = lied(&engine, lie).await;
        if (decision.verdict, decision.fault, untouched) != (Verdict::DenySoft(None), true, true) {
            believed.push((lie, step, untouched));
        }
    }
    assert!(believed.is_empty(), "{believed:#?}");
    assert_eq!(engine.free_instances(), 16);
}

#[tokio::test]
async fn a_plugin_writes_its_own_results_and_nobody_elses() {
    let engine = engine();
    let binding = |name: &'static str, engine: Engine| async move {
        let plugin = shared(probing(&engine, "environment").await);
        Binding { name: name.into(), plugin, grants: Default::default(), on_fault: FaultRule::Defer }
    };
    let chain = Chain::new(vec![binding("one", engine.clone()).await, binding("two", engine.clone()).await]);
    let mut context = context();
    soon(chain.ask(Hook::Ehlo, &mut context, None)).await;
    let written: Vec<_> = ["one", "two", "probe"].map(|name| context.results.get(name).map(|own| own.msg.len())).into();
    // Both name themselves `probe`; it is the binding's name that counts.
    assert_eq!(written, [Some(4), Some(4), None]);
}

#[tokio::test]
async fn a_hook_that_is_not_exported_is_not_asked_for() {
    let engine = engine();
    let good = bind(&engine, "good").await;
    let context = context();
    let question =
        Question { hook: Hook::Vrfy, context: &context, body: None, body_as_it_came: None, grants: Grants::default() };
    let fault = soon(wasmail_policy::Plugin::ask(&good, &question)).await.outcome.unwrap_err();
    assert!(matches!(&fault, Fault::BadAnswer(_) | Fault::Instance(_)), "{fault:?}");
    assert!(matches!(load(&engine, "bad-name").await.err(), Some(LoadError::Manifest(_))));
}

#[tokio::test]
async fn a_binding_has_a_budget_of_its_own() {
    let engine = engine_with(Limits { cpu: Duration::from_secs(20), ..Limits::default() });
    let bound = |name: &'static str, budget| {
        let engine = engine.clone();
        async move { load(&engine, name).await.unwrap().bind(Bind { name: name.into(), budget, ..Bind::default() }).await }
    };
    let (cpu, memory) = (Some(Duration::from_millis(20)), Some(1 << 20));
    let looping = bound("loop", Budget { cpu, ..Budget::default() }).await.unwrap();
    let began = Instant::now();
    assert_eq!(soon(ask(&looping, Hook::Ehlo)).await, Err(Fault::CpuDeadline));
    assert!(began.elapsed() < Duration::from_secs(20), "it had the engine's time");
    let bombing = bound("memory-bomb", Budget { memory, ..Budget::default() }).await.unwrap();
    assert_eq!(soon(ask(&bombing, Hook::Ehlo)).await, Err(Fault::Memory));
    let wall_clock = Some(Duration::from_millis(50));
    let config = json!({ "attempt": "sleep" });
    let bind =
        Bind { name: "probe".into(), config, budget: Budget { wall_clock, ..Budget::default() }, ..Bind::default() };
    let sleeping = load_probe(&engine).await.bind(bind).await.unwrap();
    assert_eq!(soon(ask(&sleeping, Hook::Ehlo)).await, Err(Fault::WallClock));
}
