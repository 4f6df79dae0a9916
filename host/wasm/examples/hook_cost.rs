//! What one hook call through WIT costs: on a live instance, and with a fresh one.
//!
//! `cargo build --release --workspace --example hook_cost && target/release/examples/hook_cost [ROW]`
//!
//! The figure is CPU time of the calling thread, in microseconds: the median over rounds in which all rows take turns, so
//! that a busy machine troubles all alike, and in parentheses the best round, which is nearest to what a machine with
//! nothing else to do would show.

#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use wasmail_mail::{
    Connection, Counters, ForwardPath, HeaderSection, Hello, HelloVerb, Local, Proxy, Recipient, Remote, ReversePath,
    Transaction,
};
use wasmail_policy::{Body, BoxFuture, Context, Hook, Notes, Plugin, Question, TransactionContext};
use wasmail_testkit::Kit;
use wasmail_wasm::{Bind, Bound, Engine, EngineConfig, Life};

const ROUNDS: usize = 60;
/// CPU time of one row in one round.
const SLICE: Duration = Duration::from_millis(2);

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

/// Microseconds of one call, averaged over a slice of CPU time.
fn measure(runtime: &Runtime, plugin: &Bound, hook: Hook, context: &Context) -> f64 {
    let body: Option<Arc<dyn Body>> = (hook == Hook::Queue).then(|| Arc::new(Octets::default()) as _);
    let question = Question { hook, context, body: body.as_ref() };
    let begin = cpu();
    let mut calls = 0_u32;
    runtime.block_on(async {
        while cpu() - begin < SLICE {
            for _ in 0..5 {
                plugin.ask(&question).await.outcome.expect("the plugin answers");
            }
            calls += 5;
        }
    });
    (cpu() - begin).as_secs_f64() * 1e6 / f64::from(calls)
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn shown(samples: &mut [f64]) -> String {
    samples.sort_by(f64::total_cmp);
    format!("{:.2} ({:.2})", samples[samples.len() / 2], samples[0])
}

/// A body in memory.
struct Octets(Vec<u8>);

impl Default for Octets {
    fn default() -> Self {
        Self(b"A line of text as it stands in letters, of the usual length, and so on.\r\n".repeat(14_365))
    }
}

impl Body for Octets {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, std::io::Result<Vec<u8>>> {
        let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let end = begin.saturating_add(len).min(self.0.len());
        Box::pin(async move { Ok(self.0[begin..end].to_vec()) })
    }
}

/// An ordinary client in the middle of an ordinary transaction.
fn context(notes: usize) -> Context {
    let hello = Hello { verb: HelloVerb::Ehlo, host: "client.example.org".into() };
    let mut context = Context::new(Connection {
        uuid: "0192d4c5-0000-7000-8000-000000000000".into(),
        remote: Remote { host: Some("client.example.org".into()), ..Remote::new([203, 0, 113, 9].into(), 40_000) },
        local: Local {
            ip: [192, 0, 2, 25].into(),
            port: 25,
            host: "mx.example.test".into(),
            info: "wasmail/0.1.0".into(),
        },
        proxy: Proxy::default(),
        hello: Some(hello),
        tls: None,
        auth: None,
        relaying: false,
        current_line: b"RCPT TO:<two@example.test>".to_vec(),
        last_response: "250 2.1.0 sender ok\r\n".into(),
        counters: Counters { esmtp: true, ..Counters::default() },
        started: SystemTime::now(),
    });
    let mut kept = Notes::default();
    for number in 0..notes {
        kept.set(&format!("/note-{number}"), json!(format!("value {number}"))).expect("it fits");
    }
    context.notes = Arc::new(kept);
    context.transaction = Some(transaction());
    context
}

fn transaction() -> TransactionContext {
    let recipient = |path| Recipient { path: ForwardPath::parse(path).expect("a path"), parameters: Vec::new() };
    let reverse_path = ReversePath::parse("<sender@example.org>").expect("a path");
    let mut facts = Transaction::new("0192d4c5-0000-7000-8000-000000000000.1".into(), reverse_path, false);
    facts.recipients.push(recipient("<one@example.test>"));
    let mut header = HeaderSection::default();
    for line in [
        "MIME-Version: 1.0\r\n",
        "X-Mailer: example 1.0\r\n",
        "Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n",
        "From: Sender <sender@example.org>\r\n",
        "To: <one@example.test>\r\n",
        "Subject: hello\r\n",
        "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n",
        "Message-ID: <1@example.org>\r\n",
    ] {
        header.push_line(line.as_bytes());
    }
    facts.header = Arc::new(header);
    facts.header_complete = true;
    let mut transaction = TransactionContext::new(facts);
    transaction.candidate = Some(recipient("<two@example.test>"));
    transaction
}
