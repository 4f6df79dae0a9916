//! What a plugin costs by the language that it is written in: the same one, built from each.
//!
//! `cargo build --release --workspace --example languages && target/release/examples/languages [COMPONENT...]`
//!
//! Without names it takes what is built of the guest SDK's examples, `guest-sdk/*/example/build/example.wasm`. The first is
//! the measure of the others, in parentheses. Times are CPU time: that of the whole process for compiling, which takes as
//! many threads as there are cores, that of the calling thread for calls, the median over rounds in which all take turns.

#![allow(clippy::print_stdout, reason = "it prints a table")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use support::{context, measure};
use tokio::runtime::Runtime;
use wasmail_policy::{Context, Grants, Hook, Plugin, Question};
use wasmail_wasm::{Bind, Bound, Budget, Cache, Component, Engine, EngineConfig, Life};

const ROUNDS: usize = 40;
const KIB: usize = 1024;
/// A page of WebAssembly, by which memories grow.
const PAGE: usize = 64 * KIB;

/// One component.
struct Row {
    name: String,
    octets: usize,
    compile: Duration,
    cached: Duration,
    /// Octets without which it does not start and answer.
    memory: usize,
    kept: Bound,
    fresh: Bound,
    samples: [Vec<f64>; 2],
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio starts");
    let engine = Engine::new(EngineConfig { max_instances: 64, ..EngineConfig::default() }).expect("the engine starts");
    let mut rows: Vec<_> = components().iter().map(|path| row(&runtime, &engine, path)).collect();
    let asked = context(0);
    for _ in 0..ROUNDS {
        for row in &mut rows {
            row.samples[0].push(measure(&runtime, &row.kept, Hook::Rcpt, &asked));
            row.samples[1].push(measure(&runtime, &row.fresh, Hook::Rcpt, &asked));
        }
    }
    println!("| component | size | compile, s | from the cache, ms | memory | call, kept, µs | call, fresh, µs |");
    println!("|---|---|---|---|---|---|---|");
    let first = rows.first_mut().map(|row| row.samples.each_mut().map(|samples| median(samples)));
    for row in &mut rows {
        let mut of_first = first.unwrap_or([1.0; 2]).into_iter();
        let [kept, fresh] = row.samples.each_mut().map(|samples| {
            let time = median(samples);
            format!("{time:.1} ({:.1})", time / of_first.next().unwrap_or(1.0))
        });
        println!(
            "| {} | {} KB | {:.1} | {:.1} | {} KiB | {kept} | {fresh} |",
            row.name,
            row.octets / 1000,
            row.compile.as_secs_f64(),
            row.cached.as_secs_f64() * 1e3,
            row.memory / KIB,
        );
    }
}

/// Those that are named, or those of the SDK; Rust's first, for the others are measured by it.
fn components() -> Vec<PathBuf> {
    let named: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if !named.is_empty() {
        return named;
    }
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-sdk");
    let of = |language: &&str| sdk.join(language).join("example/build/example.wasm");
    ["rust", "c", "js", "go", "python"].iter().map(of).filter(|path| path.exists()).collect()
}

fn row(runtime: &Runtime, engine: &Engine, path: &Path) -> Row {
    let octets = fs::read(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let cached = tempfile::tempdir().expect("a temporary directory can be made");
    let cache = Cache::open(cached.path()).expect("a cache can be made");
    let load = || {
        let begin = process_cpu();
        let component = runtime.block_on(engine.load(&octets, Some(&cache)));
        (component.unwrap_or_else(|why| panic!("{}: {why}", path.display())), process_cpu() - begin)
    };
    let ((_, compile), (component, cached)) = (load(), load());
    let bind = |life| bind(runtime, &component, life, None).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let (kept, fresh) = (bind(Life::Pooled), bind(Life::Call));
    let memory = memory(runtime, &component, engine.config().limits.memory);
    let name = name(path);
    Row { name, octets: octets.len(), compile, cached, memory, kept, fresh, samples: Default::default() }
}

/// The language, where the path is the SDK's.
fn name(path: &Path) -> String {
    let example = path.parent().and_then(Path::parent).filter(|folder| folder.ends_with("example"));
    let language = example.and_then(Path::parent).and_then(Path::file_name);
    language.or(path.file_stem()).unwrap_or_default().to_string_lossy().into_owned()
}

fn bind(runtime: &Runtime, component: &Component, life: Life, memory: Option<usize>) -> Result<Bound, String> {
    let budget = Budget { memory, ..Budget::default() };
    let config = if component.info().configurable { json!({ "domains": ["example.test"] }) } else { json!({}) };
    let bind = Bind { name: "measured".into(), config, life, budget, ..Bind::default() };
    runtime.block_on(component.bind(bind)).map_err(|why| why.to_string())
}

/// The smallest budget, in pages, with which it starts and answers a hundred times.
fn memory(runtime: &Runtime, component: &Component, most: usize) -> usize {
    let asked = context(0);
    let does = |pages: usize| {
        bind(runtime, component, Life::Pooled, Some(pages * PAGE)).is_ok_and(|it| answers(runtime, &it, &asked))
    };
    let (mut too_few, mut enough) = (0, most / PAGE);
    while enough - too_few > 1 {
        let pages = usize::midpoint(too_few, enough);
        if does(pages) { enough = pages } else { too_few = pages }
    }
    enough * PAGE
}

fn answers(runtime: &Runtime, plugin: &Bound, context: &Context) -> bool {
    let question = Question { hook: Hook::Rcpt, context, body: None, body_as_it_came: None, grants: Grants::default() };
    (0..100).all(|_| runtime.block_on(plugin.ask(&question)).outcome.is_ok())
}

fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
