//! Guests that ask for more than they may: they are answered, not ended, and what stands behind is spared.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use support::*;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use wasmail_policy::{Fault, Hook, Mutation, Outcome};
use wasmail_services::kv::{Space, Store, StoreConfig};
use wasmail_services::{Capabilities, dns, kv, tcp};
use wasmail_wasm::{Bind, Bound, Engine, Limits};

async fn bound(engine: &Engine, guest: &str, capabilities: Capabilities) -> Bound {
    let component = load(engine, guest).await.unwrap_or_else(|error| panic!("{guest}: {error}"));
    component.bind(Bind { name: guest.into(), capabilities, ..Bind::default() }).await.unwrap()
}

async fn ehlo(guest: &str, capabilities: Capabilities) {
    let bound = bound(&engine(), guest, capabilities).await;
    assert_eq!(soon(ask(&bound, Hook::Ehlo)).await, Ok(Outcome::next()), "{guest}");
}

fn store() -> Arc<Store> {
    let config = StoreConfig { path: None, sync_interval: Duration::from_secs(1), cache: 1 << 20 };
    Store::open(&config).unwrap()
}

fn space(store: &Arc<Store>, tenant: &str, binding: &str, quota: kv::Quota) -> Space {
    Space::new(Arc::clone(store), tenant, binding, quota)
}

fn with_kv(space: Space) -> Capabilities {
    Capabilities { kv: Some(space), ..Capabilities::none() }
}

#[tokio::test]
async fn what_is_not_granted_is_an_answer() {
    for guest in ["dns-flood", "dns-batch", "kv-flood", "kv-bomb", "tcp-flood"] {
        ehlo(guest, Capabilities::none()).await;
    }
}

#[tokio::test]
async fn a_flood_of_questions_ends_at_its_quota() {
    // Whom it would ask takes every question and answers none; the quota lets three through.
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let config = dns::ResolverConfig {
        servers: vec![silent.local_addr().unwrap()],
        timeout: Duration::from_millis(50),
        concurrency: 10,
        cache: 10,
        trust_ad: false,
        validation: dns::Validation::Off,
    };
    let quota = dns::Quota { queries: 3, timeout: Duration::from_millis(50), ..dns::Quota::default() };
    let client = dns::Client::new(dns::Resolver::new(&config).unwrap(), quota);
    let capabilities = Capabilities { dns: Some(client), ..Capabilities::none() };
    let began = Instant::now();
    ehlo("dns-flood", capabilities.clone()).await;
    ehlo("dns-batch", capabilities).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let mut questions = 0;
    while silent.try_recv(&mut [0; 512]).is_ok() {
        questions += 1;
    }
    // Each is sent again once at most.
    assert!((1..=6).contains(&questions), "{questions} questions were sent");
}

#[tokio::test]
async fn while_a_guest_waits_the_thread_is_free() {
    // One thread, and another task on it that has to come to its turn while the guest waits for the DNS.
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let config = dns::ResolverConfig {
        servers: vec![silent.local_addr().unwrap()],
        timeout: Duration::from_secs(1),
        concurrency: 10,
        cache: 10,
        trust_ad: false,
        validation: dns::Validation::Off,
    };
    let quota = dns::Quota { queries: 1, timeout: Duration::from_millis(500), ..dns::Quota::default() };
    let client = dns::Client::new(dns::Resolver::new(&config).unwrap(), quota);
    let turns = tokio::spawn(async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    ehlo("dns-flood", Capabilities { dns: Some(client), ..Capabilities::none() }).await;
    assert!(turns.is_finished(), "the other task had to wait for the guest");
}

#[tokio::test]
async fn a_flood_of_changes_ends_at_its_quota_and_touches_nobody_else() {
    let store = store();
    // Names that run into each other.
    let places = [("a", "b"), ("ab", ""), ("", "ab")];
    let quota = |n: usize| kv::Quota { calls: 10 * (n as u32 + 1), ..kv::Quota::default() };
    for (n, (tenant, binding)) in places.into_iter().enumerate() {
        ehlo("kv-flood", with_kv(space(&store, tenant, binding, quota(n)))).await;
    }
    for (n, (tenant, binding)) in places.into_iter().enumerate() {
        let number = space(&store, tenant, binding, quota(n)).get(&mut 0, "flood").await.unwrap().unwrap();
        assert_eq!(String::from_utf8(number).unwrap(), (10 * (n + 1)).to_string(), "{tenant}/{binding}");
    }
}

#[tokio::test]
async fn a_guest_that_fills_the_store_fills_its_own_part() {
    let store = store();
    let quota = kv::Quota { size: 200_000, calls: 1_000, ..kv::Quota::default() };
    let full = space(&store, "default", "full", quota.clone());
    ehlo("kv-bomb", with_kv(full.clone())).await;
    let page = full.scan(&mut 0, "", None, 1_000).await.unwrap();
    assert_eq!(page.entries.len(), 3, "three times 60 000 octets fit into 200 000");
    let other = space(&store, "default", "other", quota);
    assert_eq!(other.set(&mut 0, "k", vec![0; 60_000], None).await, Ok(()));
}

/// A service that takes connections, and may speak with whom.
async fn service() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    (listener, endpoint)
}

fn with_tcp(endpoint: &str, quota: tcp::Quota) -> Capabilities {
    let endpoints = vec![endpoint.parse().unwrap()];
    let client = tcp::Client::new(tcp::Network::new(None, 100), endpoints, tcp::Reach::default(), quota);
    Capabilities { tcp: Some(client), ..Capabilities::none() }
}

/// The guest in Rust, which tries this with a service.
async fn trying(engine: &Engine, what: &str, endpoint: &str, quota: tcp::Quota) -> Bound {
    let config = json!({ "attempt": format!("tcp {what} {endpoint}") });
    let bind = Bind { name: "probe".into(), config, capabilities: with_tcp(endpoint, quota), ..Bind::default() };
    load_probe(engine).await.bind(bind).await.unwrap()
}

async fn told(plugin: &Bound) -> Vec<String> {
    let outcome = soon(ask(plugin, Hook::Ehlo)).await.unwrap();
    let line = |mutation| match mutation {
        Mutation::AddResult { text, .. } => text,
        other => panic!("{other:?}"),
    };
    outcome.mutations.into_iter().map(line).collect()
}

/// What somebody has heard who was left.
async fn heard(listener: &TcpListener) -> Vec<u8> {
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    let mut heard = Vec::new();
    soon(stream.read_to_end(&mut heard)).await.unwrap();
    heard
}

#[tokio::test]
async fn a_connection_s_number_is_worth_nothing_in_the_next_call() {
    let (listener, endpoint) = service().await;
    let plugin = trying(&engine(), "keep", &endpoint, tcp::Quota::default()).await;
    assert_eq!(told(&plugin).await, ["connected: true"]);
    // It has returned and keeps its instance, and its connection is closed.
    assert_eq!(heard(&listener).await, b"");
    let lines = told(&plugin).await;
    let (own, kept) = lines.split_last().unwrap();
    assert!(
        kept.len() == 8 && kept.iter().all(|line| line.contains("call has no conn") || line.contains("no message")),
        "{lines:#?}"
    );
    assert!(own.contains("there is no message at this hook"), "{own}");
    assert_eq!(heard(&listener).await, b"");
}

#[tokio::test]
async fn a_flood_of_connections_ends_at_its_quota() {
    let (listener, endpoint) = service().await;
    let engine = engine_with(Limits { cpu: Duration::from_secs(10), ..Limits::default() });
    let plugin = trying(&engine, "flood", &endpoint, tcp::Quota { connections: 3, ..tcp::Quota::default() }).await;
    let lines = told(&plugin).await;
    assert!(lines[0] == "connected: 3" && lines[1].contains("tcp.connections"), "{lines:?}");
    for _ in 0..3 {
        assert_eq!(heard(&listener).await, b"");
    }
    let fourth = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(fourth.is_err(), "a fourth connection came");
}

#[tokio::test]
async fn a_fault_closes_the_connections_too() {
    let (listener, endpoint) = service().await;
    let limits = Limits { wall_clock: Duration::from_millis(500), ..Limits::default() };
    for what in ["panic", "hang"] {
        let engine = engine_with(limits.clone());
        let plugin = trying(&engine, what, &endpoint, tcp::Quota::default()).await;
        let fault = soon(ask(&plugin, Hook::Ehlo)).await.unwrap_err();
        assert!(matches!(fault, Fault::Trap(_) | Fault::WallClock), "{what}: {fault:?}");
        assert_eq!(heard(&listener).await, b"", "{what}");
        drop(plugin);
        assert_eq!(engine.free_instances(), 16);
    }
}
