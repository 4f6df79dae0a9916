//! Noise on the boundary: whatever octets a guest answers with, and whatever file is loaded, becomes a value or an error.

mod support;

use std::fs;

use support::*;
use wasmail_hostile::component;
use wasmail_policy::{Binding, Chain, Fault, FaultRule, Grant, Grants, Hook, Plugin, Question};
use wasmail_wasm::{Cache, LoadError};

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }
}

/// A line of anything, which is also all that the guest has to make its noise of.
fn line(dice: &mut Dice) -> Vec<u8> {
    (0..1 + dice.below(900)).map(|_| dice.roll().to_le_bytes()[0]).collect()
}

#[tokio::test]
async fn noise_for_an_answer_is_lifted_or_is_a_fault() {
    let engine = engine();
    let plugin = bind(&engine, "dice").await;
    let (mut dice, mut lifted, mut bad) = (Dice(0x9e37_79b9_7f4a_7c15), 0, 0);
    for _ in 0..3_000 {
        let mut context = context();
        context.connection.current_line = line(&mut dice);
        let question = Question {
            hook: Hook::Ehlo,
            context: &context,
            body: None,
            body_as_it_came: None,
            grants: Grants::default(),
        };
        match soon(plugin.ask(&question)).await.outcome {
            Ok(_) => lifted += 1,
            Err(Fault::BadAnswer(why)) => {
                assert!(why.len() < 1_200 && !why.contains(['\n', '\u{1b}']), "{why:?}");
                bad += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(lifted > 300 && bad > 300, "{lifted} were lifted, {bad} were not: the noise is too even");
    drop(plugin);
    assert_eq!(engine.free_instances(), 16);
}

#[tokio::test]
async fn noise_that_is_lifted_is_applied_or_rejected() {
    let engine = engine();
    let (plugin, mut dice) = (shared(bind(&engine, "dice").await), Dice(7));
    let grants = Grant::ALL.into_iter().collect();
    let chain = Chain::new(vec![Binding { name: "dice".into(), plugin, grants, on_fault: FaultRule::Defer }]);
    let mut faults = 0;
    for _ in 0..1_000 {
        let mut context = context();
        context.connection.current_line = line(&mut dice);
        let before = format!("{:?}{:?}", context.notes, context.results);
        let decision = soon(chain.ask(Hook::Ehlo, &mut context, None)).await;
        if decision.fault {
            assert_eq!(format!("{:?}{:?}", context.notes, context.results), before, "half an answer was applied");
            faults += 1;
        }
    }
    assert!(faults > 100 && faults < 1_000, "{faults} of 1000");
}

#[tokio::test]
async fn a_component_with_a_bit_flipped_is_a_plugin_or_is_refused() {
    let engine = engine();
    let (good, mut dice, mut plugins) = (component("good"), Dice(11), 0);
    for _ in 0..600 {
        let mut octets = good.to_vec();
        for _ in 0..1 + dice.below(3) {
            let at = dice.below(octets.len());
            octets[at] ^= 1 << dice.below(8);
        }
        match soon(engine.load(&octets, None)).await {
            Ok(_) => plugins += 1,
            Err(why) => {
                let why = why.to_string();
                assert!(!why.contains("the compiler failed"), "{why}");
            }
        }
    }
    assert!(plugins > 0, "no flip left a plugin: is the good one good?");
    assert_eq!(engine.free_instances(), 16);
}

#[tokio::test]
async fn a_component_cut_off_anywhere_is_refused_or_lacks_only_its_names() {
    let (engine, good) = (engine(), component("good"));
    let whole = engine.load(good, None).await.unwrap().info().exports.clone();
    let mut plugins = 0;
    for len in 0..good.len() {
        if let Ok(plugin) = soon(engine.load(&good[..len], None)).await {
            // Behind what counts stand sections for people: names, and who made it.
            assert_eq!(plugin.info().exports, whole, "{len} of {} octets are another plugin", good.len());
            plugins += 1;
        }
    }
    assert!(plugins < 8, "{plugins} parts are plugins");
}

#[tokio::test]
async fn machine_code_under_another_name_is_never_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(dir.path()).unwrap();
    let engine = engine();
    engine.load(component("good"), Some(&cache)).await.unwrap();
    let artifact = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    // An artifact renamed to `.wasm`: octets are all that the engine sees.
    let octets = fs::read(artifact).unwrap();
    assert_eq!(engine.load(&octets, Some(&cache)).await.err(), Some(LoadError::MachineCode));
}
