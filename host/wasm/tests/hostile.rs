//! Guests that misbehave, each in one way: the fault says what they did, and everybody else goes on.

mod support;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use support::*;
use wasmail_policy::{
    Binding, Body, BoxFuture, Chain, Decision, Fault, FaultRule, Grants, Hook, Outcome, Plugin, Question, Verdict,
};
use wasmail_wasm::{Bind, BindError, Limits, LoadError};

/// Asks a hostile plugin, then a good one on the same engine, then the hostile one again.
async fn fault(name: &str, hook: Hook) -> Fault {
    soon(async {
        let engine = engine();
        let (hostile, good) = (bind(&engine, name).await, bind(&engine, "good").await);
        let first = ask(&hostile, hook).await.expect_err(name);
        assert_eq!(ask(&good, Hook::Ehlo).await, Ok(Outcome::next()), "after {name}");
        assert_eq!(ask(&hostile, hook).await.expect_err(name), first, "{name} again");
        first
    })
    .await
}

fn trap(fault: Fault) -> String {
    match fault {
        Fault::Trap(why) => why,
        other => panic!("{other:?}"),
    }
}

fn bad_answer(fault: Fault) -> String {
    match fault {
        Fault::BadAnswer(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_guest_that_computes_without_end_is_stopped() {
    for name in ["loop", "realloc-loops", "post-return-loops"] {
        assert_eq!(fault(name, Hook::Ehlo).await, Fault::CpuDeadline, "{name}");
    }
}

#[tokio::test]
async fn a_guest_that_computes_does_not_hold_the_thread() {
    // One thread, and another task on it that has to come to its turn while the guest loops.
    let engine = engine();
    let hostile = bind(&engine, "loop").await;
    let turns = tokio::spawn(async {
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Instant::now()
    });
    assert_eq!(soon(ask(&hostile, Hook::Ehlo)).await, Err(Fault::CpuDeadline));
    assert!(turns.is_finished(), "the other task had to wait for the guest");
}

#[tokio::test]
async fn a_guest_that_traps_says_how() {
    assert_eq!(trap(fault("unreachable", Hook::Ehlo).await), "unreachable");
    assert!(trap(fault("recursion", Hook::Ehlo).await).starts_with("call stack exhausted"));
    assert!(trap(fault("realloc-traps", Hook::Ehlo).await).starts_with("unreachable"));
}

#[tokio::test]
async fn a_guest_gets_no_more_memory_than_its_share() {
    assert_eq!(fault("memory-bomb", Hook::Ehlo).await, Fault::Memory);
    let engine = engine();
    assert_eq!(ask(&bind(&engine, "memory-asked").await, Hook::Ehlo).await, Ok(Outcome::next()));
}

#[tokio::test]
async fn an_instance_that_has_grown_is_replaced() {
    let engine = engine();
    let hostile = bind(&engine, "memory-kept").await;
    for _ in 0..20 {
        // Ten megabytes a call: without replacing it, the seventh call would get no more.
        assert_eq!(ask(&hostile, Hook::Ehlo).await, Ok(Outcome::next()));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_lift_is_a_bad_answer() {
    for name in ["wild-list", "huge-list", "huge-text", "not-utf8", "no-such-case"] {
        let why = bad_answer(fault(name, Hook::Ehlo).await);
        assert!(!why.contains('\n') && why.len() < 1_100, "{name}: {why}");
    }
    assert!(bad_answer(fault("not-utf8", Hook::Ehlo).await).contains("utf-8"));
}

#[tokio::test]
async fn a_guest_that_lies_about_its_memory_is_found_out() {
    let why = fault("realloc-lies", Hook::Ehlo).await;
    assert!(matches!(why, Fault::Trap(_) | Fault::BadAnswer(_)), "{why:?}");
}

#[tokio::test]
async fn a_flood_of_host_calls_ends() {
    let why = trap(fault("call-flood", Hook::Ehlo).await);
    assert!(why.starts_with("too many calls of host functions"), "{why}");
}

/// What a chain makes of a plugin that has no grant.
async fn decide(name: &str, hook: Hook) -> (Decision, String) {
    let plugin = shared(bind(&engine(), name).await);
    let binding = Binding { name: name.into(), plugin, grants: Grants::default(), on_fault: FaultRule::Defer };
    let mut context = context();
    let before = format!("{:?}", context.transaction.as_ref().unwrap().facts);
    let decision = soon(Chain::new(vec![binding]).ask(hook, &mut context, None)).await;
    let transaction = context.transaction.unwrap();
    assert_eq!(format!("{:?}", transaction.facts), before, "{name} left a trace");
    (decision, transaction.trail.steps()[0].verdict.to_owned())
}

#[tokio::test]
async fn answers_that_lift_and_mean_harm_are_rejected() {
    for (name, hook) in [("deny-crlf", Hook::Ehlo), ("header-injection", Hook::DataPost), ("relaying", Hook::Ehlo)] {
        let (decision, step) = decide(name, hook).await;
        assert_eq!((decision.verdict, decision.fault), (Verdict::DenySoft(None), true), "{name}");
        assert_eq!(step, "rejected", "{name}");
    }
}

/// A body on a disk that does not answer.
struct Stalled;

impl Body for Stalled {
    fn len(&self) -> u64 {
        10
    }

    fn read_at(&self, _: u64, _: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_call_that_waits_too_long_is_given_up() {
    let engine = engine_with(Limits { wall_clock: Duration::from_millis(50), ..Limits::default() });
    let (waiting, good) = (bind(&engine, "stalls").await, bind(&engine, "good").await);
    let body: Arc<dyn Body> = Arc::new(Stalled);
    let context = context();
    let question = Question {
        hook: Hook::DataPost,
        context: &context,
        body: Some(&body),
        body_as_it_came: Some(&body),
        grants: Grants::default(),
    };
    assert_eq!(soon(waiting.ask(&question)).await.outcome, Err(Fault::WallClock));
    assert_eq!(ask(&good, Hook::Ehlo).await, Ok(Outcome::next()));
    // Without a body there is nothing to wait for.
    let question = Question {
        hook: Hook::DataPost,
        context: &context,
        body: None,
        body_as_it_came: None,
        grants: Grants::default(),
    };
    assert_eq!(soon(waiting.ask(&question)).await.outcome, Ok(Outcome::next()));
}

#[tokio::test]
async fn a_plugin_that_stalls_leaves_room_for_the_others() {
    let engine = engine_with(Limits { wall_clock: Duration::from_millis(200), ..Limits::default() });
    let waiting = Arc::new(bind(&engine, "stalls").await);
    let good = bind_fresh(&engine, "good").await;
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let waiting = Arc::clone(&waiting);
            tokio::spawn(async move {
                let (context, body) = (context(), Arc::new(Stalled) as Arc<dyn Body>);
                waiting
                    .ask(&Question {
                        hook: Hook::DataPost,
                        context: &context,
                        body: Some(&body),
                        body_as_it_came: Some(&body),
                        grants: Grants::default(),
                    })
                    .await
                    .outcome
            })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(ask(&good, Hook::Ehlo).await, Ok(Outcome::next()), "the other one has to wait");
    let mut faults = Vec::new();
    for call in calls {
        faults.push(soon(call).await.unwrap().unwrap_err().kind());
    }
    // Eight of sixteen instances are its share; the calls that find none wait for half the time and give up.
    assert_eq!(faults.iter().filter(|kind| **kind == "wall-clock").count(), 8, "{faults:?}");
    assert_eq!(faults.iter().filter(|kind| **kind == "instance").count(), 8, "{faults:?}");
    assert_eq!(soon(ask(&*waiting, Hook::DataPost)).await, Ok(Outcome::next()), "the places came back");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_leaves_no_instance_behind() {
    let engine = engine();
    let waiting = bind(&engine, "stalls").await;
    for _ in 0..40 {
        let (context, body) = (context(), Arc::new(Stalled) as Arc<dyn Body>);
        let question = Question {
            hook: Hook::DataPost,
            context: &context,
            body: Some(&body),
            body_as_it_came: Some(&body),
            grants: Grants::default(),
        };
        let given_up = tokio::time::timeout(Duration::from_millis(2), waiting.ask(&question)).await;
        assert!(given_up.is_err());
    }
    assert_eq!(soon(ask(&waiting, Hook::DataPost)).await, Ok(Outcome::next()));
}

#[tokio::test]
async fn what_fails_at_its_start_cannot_be_loaded() {
    let engine = engine();
    for (name, why) in [
        ("start-loops", "used up its CPU time"),
        ("describe-loops", "used up its CPU time"),
        ("start-traps", "trapped: unreachable"),
    ] {
        match soon(load(&engine, name)).await.err() {
            Some(LoadError::Describe(text)) => assert!(text.starts_with(why), "{name}: {text}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(matches!(soon(load(&engine, "memory-at-start")).await.err(), Some(LoadError::Compile(_))));
    let text = soon(load(&engine, "bad-name")).await.err().unwrap().to_string();
    assert!(text.contains("name: \"a\\nb\""), "{text}");
    let text = soon(load(&engine, "unknown-grant")).await.err().unwrap().to_string();
    assert!(text.contains("unknown grant `root`, expected one of relaying"), "{text}");
    assert_eq!(ask(&bind(&engine, "good").await, Hook::Ehlo).await, Ok(Outcome::next()));
}

#[tokio::test]
async fn a_configuration_is_refused_when_it_is_bound() {
    let engine = engine();
    let bound = |name: &'static str, config| {
        let engine = engine.clone();
        async move {
            let component = load(&engine, name).await.unwrap();
            soon(component.bind(Bind { name: name.into(), config, ..Bind::default() })).await.err()
        }
    };
    let refused = BindError::Refused("wrod: unknown key\\n\\u{1b}[2J".into());
    assert_eq!(bound("refuses", json!({"wrod": 1})).await, Some(refused));
    assert_eq!(bound("configure-loops", json!({})).await, Some(BindError::Fault(Fault::CpuDeadline)));
    assert_eq!(bound("good", json!({"a": 1})).await, Some(BindError::NotConfigurable));
    assert_eq!(bound("good", json!({})).await, None);
}

#[tokio::test]
async fn an_instance_lives_as_long_as_its_binding_says() {
    let engine = engine();
    let verdicts = |plugin: wasmail_wasm::Bound| async move {
        let mut verdicts = Vec::new();
        for _ in 0..3 {
            verdicts.push(ask(&plugin, Hook::Ehlo).await.unwrap().verdict.name());
        }
        verdicts
    };
    assert_eq!(verdicts(bind(&engine, "remembers").await).await, ["accept", "next", "next"]);
    assert_eq!(verdicts(bind_fresh(&engine, "remembers").await).await, ["accept", "accept", "accept"]);
    // Two bindings of one component share nothing.
    let other = bind(&engine, "remembers").await;
    assert_eq!(ask(&other, Hook::Ehlo).await.unwrap().verdict.name(), "accept");
}
