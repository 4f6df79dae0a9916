//! Components made of the hostile sources in `tests/hostile`, and sessions to ask them about.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use wasmail_mail::{Connection, Counters, Hello, HelloVerb, Local, Proxy, Recipient, Remote, ReversePath, Transaction};
use wasmail_policy::{Context, Fault, Grants, Hook, Outcome, Plugin, Question, TransactionContext};
use wasmail_testkit::Kit;
use wasmail_wasm::{Bind, Bound, Cache, Component, Engine, EngineConfig, Life, Limits, LoadError};

/// An engine that is quick to lose patience, for few instances.
pub(crate) fn engine() -> Engine {
    engine_with(Limits { cpu: Duration::from_millis(40), wall_clock: Duration::from_secs(5), ..Limits::default() })
}

pub(crate) fn engine_with(limits: Limits) -> Engine {
    let tick = Duration::from_millis(2);
    Engine::new(EngineConfig { limits, max_instances: 16, tick, ..EngineConfig::default() }).unwrap()
}

pub(crate) async fn load(engine: &Engine, name: &str) -> Result<Component, LoadError> {
    engine.load(wasmail_hostile::component(name), None).await
}

pub(crate) async fn bind(engine: &Engine, name: &str) -> Bound {
    let component = load(engine, name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    component
        .bind(Bind { name: name.into(), ..Bind::default() })
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(crate) async fn bind_fresh(engine: &Engine, name: &str) -> Bound {
    let component = load(engine, name).await.unwrap();
    component.bind(Bind { name: name.into(), life: Life::Call, ..Bind::default() }).await.unwrap()
}

/// The guest in Rust, compiled once.
pub(crate) fn probe() -> &'static [u8] {
    static COMPONENT: OnceLock<Vec<u8>> = OnceLock::new();
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/hostile/probe");
    COMPONENT.get_or_init(|| Kit::of_crate(dir).component())
}

/// It is loaded often, and compiled once.
pub(crate) async fn load_probe(engine: &Engine) -> Component {
    static CACHE: OnceLock<(tempfile::TempDir, Cache)> = OnceLock::new();
    let (_, cache) = CACHE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        (dir, cache)
    });
    engine.load(probe(), Some(cache)).await.unwrap()
}

/// Asks a plugin outside a chain.
pub(crate) async fn ask(plugin: &dyn Plugin, hook: Hook) -> Result<Outcome, Fault> {
    plugin
        .ask(&Question { hook, context: &context(), body: None, body_as_it_came: None, grants: Grants::default() })
        .await
        .outcome
}

/// A client in the middle of a transaction, to whom RCPT is not answered yet.
pub(crate) fn context() -> Context {
    let ip = [192, 0, 2, 1].into();
    let hello = Hello { verb: HelloVerb::Ehlo, host: "client.example.org".into() };
    let mut context = Context::new(Connection {
        uuid: "0192d4c5-0000-7000-8000-000000000000".into(),
        remote: Remote::new(ip, 40_000),
        local: Local { ip, port: 25, host: "mx.example.test".into(), info: "wasmail/0.1.0".into() },
        proxy: Proxy::default(),
        hello: Some(hello),
        tls: None,
        auth: None,
        relaying: false,
        current_line: b"EHLO client.example.org".to_vec(),
        last_response: "220 mx.example.test ESMTP\r\n".into(),
        counters: Counters::default(),
        started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000),
    });
    let uuid = format!("{}.1", context.connection.uuid);
    let reverse_path = ReversePath::parse("<sender@example.org>").unwrap();
    context.transaction = Some(TransactionContext::new(Transaction::new(uuid, reverse_path, false)));
    if let Some(transaction) = &mut context.transaction {
        let path = |text| wasmail_mail::ForwardPath::parse(text).unwrap();
        transaction.facts.recipients.push(Recipient { path: path("<one@example.test>"), parameters: vec![] });
        transaction.candidate = Some(Recipient { path: path("<two@example.test>"), parameters: vec![] });
    }
    context
}

/// Lets a future wait no longer than a test may.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("the test hangs")
}

/// A plugin in a place of its own, for chains.
pub(crate) fn shared(bound: Bound) -> Arc<dyn Plugin> {
    Arc::new(bound)
}
