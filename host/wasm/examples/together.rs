//! What it saves to ask plugins at the same time that wait for something: blocklists, on a name server that takes its time.
//!
//! `cargo build --release --workspace --example together && target/release/examples/together`
//!
//! Chains of one to ten `dnsbl`, real guests with the real resolver, each with a list of its own; each question is answered after
//! 20 ms. Wall-clock time of the hook `connect`, the median over rounds in which both ways take turns.

#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use tokio::net::UdpSocket;
use wasmail_mail::{Connection, Counters, Local, Proxy, Remote};
use wasmail_policy::{Binding, Chain, Context, FaultRule, Grants, Hook};
use wasmail_services::Capabilities;
use wasmail_services::dns::{Client, Quota, Resolver, ResolverConfig, Validation};
use wasmail_wasm::{Bind, Component, Engine, EngineConfig};

const LISTS: [usize; 4] = [1, 2, 5, 10];
const ROUNDS: usize = 15;
const ANSWER_AFTER: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    let name_server = socket.local_addr().expect("it has an address");
    tokio::spawn(answer(Arc::new(socket)));
    let engine = Engine::new(EngineConfig { max_instances: 64, ..EngineConfig::default() }).expect("the engine starts");
    let dnsbl = wasmail_shelf::get("dnsbl").expect("it comes with the server");
    let component = engine.load(dnsbl.component, None).await.expect("it loads");
    println!("| lists | one by one, ms | at the same time, ms | ratio |\n|---|---|---|---|");
    let mut client = 0;
    for lists in LISTS {
        let one_by_one = Chain::one_by_one(bindings(&component, name_server, lists).await);
        let together = Chain::new(bindings(&component, name_server, lists).await);
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (chain, samples) in [&one_by_one, &together].into_iter().zip(&mut samples) {
                // Another client each time: no answer comes from the cache.
                client += 1;
                samples.push(connect(chain, client).await);
            }
        }
        let [apart, together] = samples.map(|mut samples| {
            samples.sort_by(f64::total_cmp);
            samples[ROUNDS / 2]
        });
        println!("| {lists} | {apart:.1} | {together:.1} | {:.1} |", apart / together);
    }
}

/// Bindings of one component, as an operator lists them.
async fn bindings(component: &Component, name_server: SocketAddr, lists: usize) -> Vec<Binding> {
    let config = ResolverConfig {
        servers: vec![name_server],
        timeout: Duration::from_secs(2),
        concurrency: 100,
        cache: 1_000,
        trust_ad: false,
        validation: Validation::Off,
    };
    let resolver = Resolver::new(&config).expect("there is a name server");
    let mut bindings = Vec::new();
    for list in 0..lists {
        let name = format!("list-{list}");
        let dns = Some(Client::new(Arc::clone(&resolver), Quota::default()));
        let bind = Bind {
            name: name.clone(),
            config: json!({ "exempt": "nobody", "zones": [{ "zone": format!("bl{list}.example") }] }),
            capabilities: Capabilities { dns, ..Capabilities::none() },
            ..Bind::default()
        };
        let plugin = Arc::new(component.bind(bind).await.expect("it starts"));
        bindings.push(Binding { name: name.into(), plugin, grants: Grants::default(), on_fault: FaultRule::Defer });
    }
    bindings
}

/// Milliseconds of the hook `connect` for a client of this number.
async fn connect(chain: &Chain, client: u32) -> f64 {
    let ip = Ipv4Addr::from_bits(0xcb00_7100 + client);
    let mut context = Context::new(Connection {
        uuid: "0192d4c5-0000-7000-8000-000000000000".into(),
        remote: Remote::new(ip.into(), 40_000),
        local: Local {
            ip: [192, 0, 2, 25].into(),
            port: 25,
            host: "mx.example.test".into(),
            info: "wasmail/0.1.0".into(),
        },
        proxy: Proxy::default(),
        hello: None,
        tls: None,
        auth: None,
        relaying: false,
        current_line: Vec::new(),
        last_response: String::new(),
        counters: Counters::default(),
        started: SystemTime::now(),
    });
    let begin = Instant::now();
    let decision = chain.ask(Hook::Connect, &mut context, None).await;
    assert!(!context.trail.steps().iter().any(|step| step.fault), "{decision:?}");
    begin.elapsed().as_secs_f64() * 1e3
}

/// Answers every question with NXDOMAIN, after a while.
async fn answer(socket: Arc<UdpSocket>) {
    let mut octets = [0; 512];
    while let Ok((len, from)) = socket.recv_from(&mut octets).await {
        // RFC 1035 section 4.1: a header of 12 octets, then name, type and class.
        let Some(name_end) = octets[12..len].iter().position(|octet| *octet == 0) else { continue };
        let mut reply = octets[..12 + name_end + 5].to_vec();
        reply[2..12].copy_from_slice(&[0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0]);
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            tokio::time::sleep(ANSWER_AFTER).await;
            socket.send_to(&reply, from).await
        });
    }
}
