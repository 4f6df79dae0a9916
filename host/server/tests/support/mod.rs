//! A server on loopback, a small client, and plugins that say what the test wants.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(unreachable_pub, reason = "a module of each test program")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wasmail_policy::{
    Answer, Binding, BoxFuture, Chain, FaultRule, Grant, Grants, Hook, HookSet, Mutation, Outcome, Plugin, Question,
    Verdict, outbound,
};
use wasmail_queue::{Backoff, Policy};
use wasmail_server::Signer;
use wasmail_server::{
    AcmeConfig, AcmeRetry, ConnectionLimits, DeliveryConfig, Destination, DnsConfig, LaneConfig, ListenerConfig,
    ListenerTls, MaildirConfig, MaildirLayout, NextHopConfig, ReportsConfig, ReverseDns, RouteConfig, Server,
    ServerConfig, SpoolConfig, StartError, Stopped, Tls,
};
use wasmail_smtp::{Limits, LineEndings, SessionConfig};
use wasmail_spool::{Durability, Options};

/// Longest that anything in a test may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a test wants of its server.
pub struct Wanted {
    pub limits: Limits,
    pub connections: ConnectionLimits,
    pub plugins: Vec<Binding>,
    /// Who is asked about delivery.
    pub judges: Vec<Binding>,
    pub reverse_dns: ReverseDns,
    pub dns: DnsConfig,
    pub options: Options,
    pub destination: Option<Destination>,
    pub routes: Vec<(String, Destination)>,
    /// Domains whose mail goes by a route, by the route's name.
    pub route_domains: Vec<(String, Vec<String>)>,
    pub retry: Policy,
    pub srs: Option<Arc<wasmail_smtp::Srs>>,
    pub reports: ReportsConfig,
    pub drain_timeout: Duration,
    /// Offered after STARTTLS.
    pub tls: Option<Arc<Tls>>,
    pub acme: Option<AcmeConfig>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            connections: ConnectionLimits::default(),
            plugins: Vec::new(),
            judges: Vec::new(),
            reverse_dns: ReverseDns::Off,
            dns: DnsConfig::default(),
            options: Options { durability: Durability::Unsynced, min_free: 0, ..Options::default() },
            destination: None,
            routes: Vec::new(),
            route_domains: Vec::new(),
            retry: quick_retry(),
            srs: None,
            reports: silent(),
            drain_timeout: PATIENCE,
            tls: None,
            acme: None,
        }
    }
}

/// Nobody is told anything: what failed stays in the queue.
pub fn silent() -> ReportsConfig {
    ReportsConfig {
        hostname: "mx.example".into(),
        failures: false,
        warn_after: None,
        return_max: ReportsConfig::RETURN_MAX,
    }
}

pub fn quick_retry() -> Policy {
    let first = Duration::from_millis(20);
    Policy { backoff: Backoff { first, max: first, jitter: 0.0, factor: 1.0 }, lifetime: Duration::from_secs(600) }
}

/// A directory in which servers may follow one another.
pub struct Home(tempfile::TempDir);

impl Home {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn spool(&self) -> PathBuf {
        self.0.path().join("spool")
    }

    pub fn orders(&self) -> PathBuf {
        self.0.path().join("orders")
    }

    pub fn maildir(&self) -> PathBuf {
        self.0.path().join("maildir")
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn start(&self, wanted: Wanted) -> Running {
        Running::new(self.bind("127.0.0.1:0".parse().unwrap(), wanted).unwrap())
    }

    pub fn bind_at(&self, address: SocketAddr) -> Result<Server, StartError> {
        self.bind(address, Wanted::default())
    }

    fn bind(&self, address: SocketAddr, wanted: Wanted) -> Result<Server, StartError> {
        let Wanted {
            limits,
            connections,
            mut plugins,
            judges,
            reverse_dns,
            dns,
            options,
            destination,
            routes,
            route_domains,
            retry,
            srs,
            reports,
            drain_timeout,
            tls,
            acme,
        } = wanted;
        let names: Vec<String> = routes.iter().map(|(name, _)| name.clone()).collect();
        let judges = outbound::Chain::new(judges, names.clone());
        plugins.push(accept_recipients());
        let session = Arc::new(SessionConfig {
            srs,
            starttls: tls.is_some(),
            auth: None,
            hostname: "mx.example".into(),
            software: "wasmail/test".into(),
            limits,
            line_endings: LineEndings::Strict,
            kind: wasmail_smtp::Kind::Smtp,
            chunking: wasmail_smtp::Chunking::Text,
        });
        let listener = ListenerConfig {
            name: "test".into(),
            address: address.into(),
            socket_mode: 0o660,
            session,
            policy: Arc::new(Chain::new(plugins).with_routes(names).into()),
            reverse_dns,
            tls: tls.map_or(ListenerTls::Off, ListenerTls::StartTls),
            users: None,
            proxies: Vec::new(),
            xclient: Vec::new(),
            relaying: false,
        };
        let destination = destination.unwrap_or_else(|| self.to_maildir(MaildirLayout::PerRecipient));
        let lane = |destination| LaneConfig { destination, concurrency: 4, retry: retry.clone() };
        let route = |(name, destination): (String, Destination)| {
            let of_route = route_domains.iter().filter(|(of, _)| *of == name);
            let domains = of_route.flat_map(|(_, domains)| domains.clone()).collect();
            (name, RouteConfig { lane: lane(destination), domains })
        };
        Server::bind(ServerConfig {
            listeners: vec![listener],
            connections,
            dns,
            spool: SpoolConfig { dir: self.spool(), options },
            delivery: DeliveryConfig {
                usual: lane(destination),
                routes: routes.into_iter().map(route).collect(),
                orders: self.orders(),
                reports,
                chain: Arc::new(judges),
            },
            signer: Signer::default(),
            acme,
            metrics: Arc::default(),
            drain_timeout,
        })
    }

    pub fn to_maildir(&self, layout: MaildirLayout) -> Destination {
        Destination::Maildir(MaildirConfig { root: self.maildir(), layout, hostname: "mx.example".into(), sync: true })
    }
}

pub fn to_next_hop(address: SocketAddr) -> Destination {
    Destination::NextHop(Box::new(NextHopConfig::new(address.ip().to_string(), address.port(), "mx.example")))
}

pub struct Running {
    pub address: SocketAddr,
    /// Has certificates asked for again at once.
    pub acme: Option<AcmeRetry>,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<Stopped>,
}

impl Running {
    fn new(server: Server) -> Self {
        let address = server.addresses()[0].tcp().expect("it listens on a port");
        let acme = server.acme_retry();
        let (shutdown, told) = oneshot::channel();
        let task = tokio::spawn(server.run(async move {
            let _ = told.await;
        }));
        Self { address, acme, shutdown: Some(shutdown), task }
    }

    pub async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Says that it is to stop, and returns at once.
    pub fn tell_to_stop(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }

    pub async fn stopped(self) -> Stopped {
        tokio::time::timeout(PATIENCE, self.task).await.expect("the server stops").unwrap()
    }

    pub async fn stop(mut self) -> Stopped {
        self.tell_to_stop();
        self.stopped().await
    }
}

/// A client that says and hears lines.
pub struct Client {
    pub stream: TcpStream,
    heard: Vec<u8>,
}

impl From<TcpStream> for Client {
    fn from(stream: TcpStream) -> Self {
        Self { stream, heard: Vec::new() }
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        TcpStream::connect(address).await.unwrap().into()
    }

    pub async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next reply, whole.
    pub async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let line = self.line().await;
            let last = line.as_bytes().get(3) != Some(&b'-');
            reply.push_str(&line);
            if last {
                return reply;
            }
        }
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.heard.iter().position(|octet| *octet == b'\n') {
                return String::from_utf8(self.heard.drain(..=end).collect()).unwrap();
            }
            assert!(self.hear().await > 0, "the server closed; unread: {:?}", String::from_utf8_lossy(&self.heard));
        }
    }

    async fn hear(&mut self) -> usize {
        let mut octets = [0; 4096];
        let read = self.stream.read(&mut octets);
        let len = tokio::time::timeout(PATIENCE, read).await.expect("the server says something").unwrap();
        self.heard.extend_from_slice(&octets[..len]);
        len
    }

    /// What one read brings.
    pub async fn one_read(&mut self) -> String {
        assert!(self.heard.is_empty());
        self.hear().await;
        String::from_utf8(std::mem::take(&mut self.heard)).unwrap()
    }

    pub async fn closed(&mut self) -> bool {
        self.heard.is_empty() && self.hear().await == 0
    }

    /// Says a line and checks how the reply begins.
    pub async fn ask(&mut self, line: &str, reply: &str) -> String {
        self.say(&format!("{line}\r\n")).await;
        self.expect(reply).await
    }

    pub async fn expect(&mut self, begin: &str) -> String {
        let reply = self.reply().await;
        assert!(reply.starts_with(begin), "expected {begin}, got {reply}");
        reply
    }

    /// Greets and is greeted.
    pub async fn hello(&mut self) {
        self.expect("220").await;
        self.ask("EHLO client.example", "250").await;
    }

    /// Sends a message and returns the queue's answer.
    pub async fn send(&mut self, to: &[&str], content: &str, reply: &str) -> String {
        self.ask("MAIL FROM:<a@example.org>", "250").await;
        for to in to {
            self.ask(&format!("RCPT TO:<{to}>"), "250").await;
        }
        self.ask("DATA", "354").await;
        self.ask(&format!("{content}."), reply).await
    }
}

/// Accepts every recipient, so that mail goes through.
pub fn accept_recipients() -> Binding {
    says("accept", Hook::Rcpt, Verdict::Accept(None), Vec::new())
}

/// A plugin that always says the same at one hook.
pub fn says(name: &str, hook: Hook, verdict: Verdict, mutations: Vec<Mutation>) -> Binding {
    binding(name, &[hook], move |_| Outcome { verdict: verdict.clone(), mutations: mutations.clone() })
}

pub fn binding(
    name: &str,
    hooks: &[Hook],
    answer: impl Fn(&Question<'_>) -> Outcome + Send + Sync + 'static,
) -> Binding {
    let plugin = Arc::new(Says { hooks: hooks.iter().copied().collect(), answer: Box::new(answer) });
    Binding {
        name: name.into(),
        plugin,
        grants: Grant::ALL.into_iter().collect::<Grants>(),
        on_fault: FaultRule::Defer,
    }
}

struct Says {
    hooks: HookSet,
    answer: Box<dyn Fn(&Question<'_>) -> Outcome + Send + Sync>,
}

impl Plugin for Says {
    fn hooks(&self) -> HookSet {
        self.hooks
    }

    fn ask<'a>(&'a self, question: &'a Question<'a>) -> BoxFuture<'a, Answer> {
        let outcome = Ok((self.answer)(question));
        Box::pin(async { Answer { outcome, elapsed: Duration::ZERO } })
    }
}

/// The messages in a Maildir's `new/`, by name, once there are this many.
pub async fn delivered(maildir: &Path, count: usize) -> Vec<Vec<u8>> {
    let new = maildir.join("new");
    until(|| std::fs::read_dir(&new).map_or(0, Iterator::count) >= count).await;
    let mut files: Vec<_> = std::fs::read_dir(&new).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), count, "{files:?}");
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Looks again and again until it is so.
pub async fn until(mut is_so: impl FnMut() -> bool) {
    let look = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("it comes to be");
}
