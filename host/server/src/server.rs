//! The whole: starts everything, runs it, ends it in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use wasmail_authentication::Signer;
use wasmail_spool::Spool;

use crate::acme::{Acme, AcmeRetry};
use crate::body::SpooledBody;
use crate::delivery::{Asks, Deliveries, Delivery, Hooks, Own, Reporter};
use crate::dns::Names;
use crate::inject::Injector;
use crate::limits::Census;
use crate::listener::{self, Bound};
use crate::metrics::Metrics;
use crate::signing;
use crate::stop::{Phase, Stop};
use crate::tls::Tls;
use crate::{Address, DnsConfig, ListenerConfig, ReverseDns, ServerConfig, StartError};

/// How long the last words may take when time is up: each client is told 421 and closed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A server whose sockets are open and whose spool has been read. It serves once it is [run](Server::run).
pub struct Server {
    bound: Vec<Bound>,
    house: Arc<House>,
    delivery: Delivery,
    injector: Injector,
    acme: Option<Acme>,
    drain_timeout: Duration,
}

/// What all connections share.
pub(crate) struct House {
    pub(crate) spool: Spool,
    /// Longest body that the spool keeps in memory while it is judged.
    pub(crate) inline_max: u64,
    pub(crate) delivery: Deliveries,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) names: Option<Arc<Names>>,
    pub(crate) census: Arc<Census>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: Arc<Stop>,
}

impl House {
    /// Signs a message of ours, whose header section this is.
    ///
    /// # Errors
    /// When the body cannot be read back.
    pub(crate) async fn sign(&self, header: &mut Vec<u8>, body: &wasmail_spool::Body) -> io::Result<()> {
        let body = SpooledBody::new(body.clone(), self.inline_max);
        signing::sign(&self.signer, header, &body, SystemTime::now()).await
    }
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were cut off because their transactions did not end in time; their clients were told 421.
    pub cut_off: usize,
    /// Messages that are still to be delivered, after the next start.
    pub waiting: usize,
}

impl Server {
    /// Opens sockets and spool. To be called within a tokio runtime. What the spool still held is put down for delivery.
    ///
    /// # Errors
    /// Names the address that cannot be listened on, or the directory that cannot be used.
    pub fn bind(config: ServerConfig) -> Result<Self, StartError> {
        if config.listeners.is_empty() {
            return Err(StartError::NoListener);
        }
        let mut limits = config.connections;
        limits.total = listener::files_allow(limits.total);
        let names = names(&config.dns, &config.listeners);
        let session = Arc::clone(&config.listeners[0].session);
        let bound = listener::bind_all(config.listeners)?;
        let acme = config.acme.map(|acme| Acme::bind(acme, shown_by(&bound), &addresses(&bound))).transpose()?;
        let inline_max = config.spool.options.inline_max as u64;
        let (spool, recovered) = Spool::open(&config.spool.dir, config.spool.options).map_err(StartError::Spool)?;
        let own = Own::new(&session.hostname, addresses(&bound));
        let signer = Arc::new(config.signer);
        let reports = config.delivery.reports.clone();
        let reporter = Arc::new(Reporter::new(reports, spool.clone(), Arc::clone(&signer), inline_max));
        let lifetime = config.delivery.usual.retry.lifetime;
        let hooks = Arc::new(Hooks::new(Arc::clone(&config.delivery.chain), inline_max, lifetime));
        let metrics = config.metrics;
        let (asks, now) = (Asks { reporter: &reporter, hooks: &hooks, metrics: &metrics }, SystemTime::now());
        let (deliveries, delivery) = Delivery::new(config.delivery, &own, asks, spool.clone(), recovered, now)?;
        let (census, stop) = (Census::new(limits), Arc::new(Stop::default()));
        let house =
            Arc::new(House { spool, inline_max, delivery: deliveries, hooks, signer, names, census, metrics, stop });
        let injector = Injector::new(Arc::clone(&house), session);
        Ok(Self { bound, house, delivery, injector, acme, drain_timeout: config.drain_timeout })
    }

    /// The addresses that are listened on, in the order of the listeners, with the ports that were free.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        self.bound.iter().map(Bound::address).cloned().collect()
    }

    /// Where challenges of an ACME server are answered, with the port that was free.
    #[must_use]
    pub fn acme_address(&self) -> Option<SocketAddr> {
        self.acme.as_ref().map(Acme::address)
    }

    /// What has certificates asked for again at once.
    #[must_use]
    pub fn acme_retry(&self) -> Option<AcmeRetry> {
        self.acme.as_ref().map(Acme::retry)
    }

    /// What takes the messages of plugins.
    #[must_use]
    pub fn injector(&self) -> Injector {
        self.injector.clone()
    }

    /// Serves until `shutdown` ends, then drains: nobody is let in any more, running transactions and deliveries end,
    /// or are cut off after [`ServerConfig::drain_timeout`]. When it returns everything is on disk.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Stopped {
        let Self { bound, house, delivery, acme, drain_timeout, .. } = self;
        let delivering = tokio::spawn(delivery.run(Arc::clone(&house.stop)));
        // Ended when it is dropped.
        let mut watching = JoinSet::new();
        for tls in shown_by(&bound) {
            watching.spawn(tls.watch());
        }
        if let Some(acme) = acme {
            watching.spawn(acme.run());
        }
        let mut accepting = JoinSet::new();
        for bound in bound {
            accepting.spawn(bound.accept_all(Arc::clone(&house)));
        }
        shutdown.await;
        tracing::info!(connections = house.census.len(), "draining");
        house.stop.advance(Phase::Draining);
        accepting.join_all().await;
        let cut_off = drain(&house, drain_timeout).await;
        house.stop.advance(Phase::Closing);
        let waiting = delivering.await.unwrap_or_default();
        tracing::info!(cut_off, waiting, "stopped");
        Stopped { cut_off, waiting }
    }
}

/// The ports that are listened on.
fn addresses(bound: &[Bound]) -> Vec<SocketAddr> {
    bound.iter().filter_map(|bound| bound.address().tcp()).collect()
}

/// Who shows certificates, each of them once.
fn shown_by(bound: &[Bound]) -> Vec<Arc<Tls>> {
    let mut once: Vec<Arc<Tls>> = Vec::new();
    for tls in bound.iter().filter_map(|bound| bound.listener.tls.tls()) {
        if !once.iter().any(|other| Arc::ptr_eq(other, tls)) {
            once.push(Arc::clone(tls));
        }
    }
    once
}

/// Waits for the connections to end; says how many had to be cut off.
async fn drain(house: &House, patience: Duration) -> usize {
    if tokio::time::timeout(patience, house.census.emptied()).await.is_ok() {
        return 0;
    }
    let cut_off = house.census.len();
    house.stop.advance(Phase::Closing);
    if tokio::time::timeout(LAST_WORDS, house.census.emptied()).await.is_err() {
        tracing::warn!(connections = house.census.len(), "some connections did not end");
    }
    cut_off
}

/// Names are looked up if any listener wants it. A machine without name servers can still receive mail.
fn names(config: &DnsConfig, listeners: &[ListenerConfig]) -> Option<Arc<Names>> {
    if listeners.iter().all(|listener| listener.reverse_dns == ReverseDns::Off) {
        return None;
    }
    Names::new(config)
        .inspect_err(|error| tracing::warn!(%error, "no name server can be found: clients' names are not looked up"))
        .ok()
}
