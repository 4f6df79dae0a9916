//! What one hook call through WIT costs: on a live instance, and with a fresh one.
//!
//! `cargo build --release --workspace --example hook_cost && target/release/examples/hook_cost [ROW]`
//!
//! The figure is CPU time of the calling thread, in microseconds: the median over rounds in which all rows take turns, so
//! that a busy machine troubles all alike, and in parentheses the best round, which is nearest to what a machine with
//! nothing else to do would show.

#![allow(clippy::print_stdout, reason = "it prints a table")]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{context, measure};
use tokio::runtime::Runtime;
use wasmail_policy::{Context, Hook};
use wasmail_testkit::Kit;
use wasmail_wasm::{Bind, Bound, Engine, EngineConfig, Life};

const ROUNDS: usize = 60;

/// One thing to measure.
struct Row {
    name: String,
    hook: Hook,
    context: Context,
    warm: Bound,
    fresh: Bound,
    samples: [Vec<f64>; 2],
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio starts");
    let engine = Engine::new(EngineConfig { max_instances: 64, ..EngineConfig::default() }).expect("the engine starts");
    let mut rows = rows(&runtime, &engine);
    if let Some(name) = std::env::args().nth(1) {
        // For a profiler.
        rows.retain(|row| row.name == name);
    }
    for _ in 0..ROUNDS {
        for row in &mut rows {
            row.samples[0].push(measure(&runtime, &row.warm, row.hook, &row.context));
            row.samples[1].push(measure(&runtime, &row.fresh, row.hook, &row.context));
        }
    }
    println!("| plugin | hook | live instance | fresh instance |");
    println!("|---|---|---|---|");
    for row in &mut rows {
        let [warm, fresh] = row.samples.each_mut().map(|samples| shown(samples));
        println!("| {} | {} | {warm} | {fresh} |", row.name, row.hook);
    }
}

fn rows(runtime: &Runtime, engine: &Engine) -> Vec<Row> {
    let measured = Kit::of_crate(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/measured")).component();
    let row = |name: String, component: &[u8], config: &Value, hook: Hook, notes: usize| {
        let component = runtime.block_on(engine.load(component, None)).expect("the component loads");
        let bind = |life| {
            let bind = Bind { name: name.clone(), config: config.clone(), life, ..Bind::default() };
            runtime.block_on(component.bind(bind)).expect("the plugin starts")
        };
        let (warm, fresh) = (bind(Life::Pooled), bind(Life::Call));
        Row { warm, fresh, hook, context: context(notes), samples: Default::default(), name: name.clone() }
    };
    let mut rows = Vec::new();
    for notes in [0, 3, 20, 200] {
        rows.push(row(format!("{notes} notes"), &asking_for(notes, &measured), &json!({}), Hook::Ehlo, notes));
    }
    let reading = asking_for(0, &measured);
    rows.push(row("ten header fields".to_owned(), &reading, &json!({}), Hook::DataPost, 0));
    rows.push(row("a body of 1 MiB".to_owned(), &reading, &json!({}), Hook::Queue, 0));
    for (name, config, hook) in [
        ("relay", json!({"networks": ["192.0.2.0/24"]}), Hook::Connect),
        ("helo-checks", json!({}), Hook::Ehlo),
        ("access", json!({"mail": {"deny": ["spammer@example.net"]}}), Hook::Mail),
        ("local-domains", json!({"domains": ["example.test"]}), Hook::Rcpt),
        ("headers", json!({}), Hook::DataPost),
    ] {
        let bundled = wasmail_shelf::get(name).expect("it comes with the server");
        rows.push(row(name.to_owned(), bundled.component, &config, hook, 0));
    }
    rows
}

/// The component with another number of notes in its manifest; see `measured/src/lib.rs`.
fn asking_for(notes: usize, component: &[u8]) -> Vec<u8> {
    let mark = b"notes asked: 200";
    let mut component = component.to_vec();
    let at = component.windows(mark.len()).position(|part| part == mark).expect("the component holds the mark");
    component[at..at + mark.len()].copy_from_slice(format!("notes asked: {notes:03}").as_bytes());
    component
}

fn shown(samples: &mut [f64]) -> String {
    samples.sort_by(f64::total_cmp);
    format!("{:.2} ({:.2})", samples[samples.len() / 2], samples[0])
}
