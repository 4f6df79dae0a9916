//! What many plugins cost: memory of a live instance, and a start with a thousand of them.
//!
//! `cargo build --release --workspace --example many && target/release/examples/many [PLUGINS]`
//!
//! The plugins are `local-domains`, made different by a custom section each, so that each is compiled and kept in the cache on its
//! own. Memory is what the process has resident, by the kernel's count, more than before. The first start takes minutes, for it
//! compiles them all.

#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use wasmail_wasm::{Bind, Bound, Cache, Engine, EngineConfig, Life};

/// Live instances of which the memory is measured.
const INSTANCES: usize = 500;

#[tokio::main]
async fn main() {
    let plugins = std::env::args().nth(1).map_or(1_000, |number| number.parse().expect("a number of plugins"));
    let dir = tempfile::tempdir().expect("a directory can be made");
    println!("| | seconds | resident, MiB | a plugin, ms | a plugin, KiB |\n|---|---|---|---|---|");
    for start in ["first start, compiling", "start from the cache"] {
        let cache = Cache::open(dir.path()).expect("a cache can be opened");
        let engine = engine();
        let (before, begin) = (resident(), Instant::now());
        let mut bound = Vec::new();
        for number in 0..plugins {
            let component = engine.load(&variant(number), Some(&cache)).await.expect("it loads");
            bound.push(component.bind(bind(Life::Call)).await.expect("it starts"));
        }
        let (seconds, octets) = (begin.elapsed().as_secs_f64(), resident().saturating_sub(before));
        let each = |total: f64| total / plugins as f64;
        println!(
            "| {start} of {plugins} | {seconds:.2} | {:.0} | {:.2} | {:.0} |",
            octets as f64 / 1024.0 / 1024.0,
            each(seconds * 1e3),
            each(octets as f64 / 1024.0)
        );
    }
    println!("\n| | KiB |\n|---|---|");
    for (name, config) in
        [("local-domains", json!({ "domains": ["example.test"] })), ("access", json!({})), ("karma", json!({}))]
    {
        println!("| a live instance of {name} | {:.0} |", instance(name, config).await);
    }
}

fn engine() -> Engine {
    Engine::new(EngineConfig { max_instances: 1_000, ..EngineConfig::default() }).expect("the engine starts")
}

fn bind(life: Life) -> Bind {
    Bind { config: json!({ "domains": ["example.test"] }), life, ..Bind::default() }
}

/// The component with a custom section at its end: other octets, and the same plugin.
fn variant(number: usize) -> Vec<u8> {
    let text = format!("number {number:08}");
    let mut component = wasmail_shelf::get("local-domains").expect("it comes with the server").component.to_vec();
    // Section 0, its size, and its name, which has a length of its own.
    component.extend([
        0,
        u8::try_from(text.len() + 1).expect("it is short"),
        u8::try_from(text.len()).expect("it is short"),
    ]);
    component.extend(text.as_bytes());
    component
}

/// KiB that an instance holds which was started and waits.
async fn instance(name: &str, config: serde_json::Value) -> f64 {
    let engine = engine();
    let bundled = wasmail_shelf::get(name).expect("it comes with the server");
    let component = engine.load(bundled.component, None).await.expect("it loads");
    // Each binding keeps the instance that it was started with.
    let mut bound: Vec<Bound> = Vec::new();
    let bind = || Bind { config: config.clone(), ..Bind::default() };
    bound.push(component.bind(bind()).await.expect("it starts"));
    let before = resident();
    for _ in 0..INSTANCES {
        bound.push(component.bind(bind()).await.expect("it starts"));
    }
    resident().saturating_sub(before) as f64 / 1024.0 / INSTANCES as f64
}

/// Octets that the process has resident.
fn resident() -> u64 {
    let text = fs::read_to_string(Path::new("/proc/self/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() * 1024
}
