//! The client's name: PTR, then back to the address, so that nobody can claim a name that is not theirs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;
use wasmail_mail::Domain;
use wasmail_smtp::Iprev;

use crate::DnsConfig;

/// Names of one address that are led back. An honest host has one.
const NAMES_MAX: usize = 5;
/// How long an answer is remembered, whatever it was: long enough to spare a busy sender's queries, short enough that
/// a mended zone is seen at once.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What is known of a client's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) iprev: Iprev,
    /// The confirmed name.
    pub(crate) host: Option<Arc<str>>,
}

impl Named {
    const fn nameless(iprev: Iprev) -> Self {
        Self { iprev, host: None }
    }
}

/// Looks names up, a bounded number at once, and remembers them for a while.
pub(crate) struct Names {
    resolver: TokioResolver,
    timeout: Duration,
    slots: Arc<Semaphore>,
    cache: Mutex<HashMap<IpAddr, (Instant, Named)>>,
    cache_max: usize,
}

/// A name that is known, or will be.
pub(crate) enum Lookup {
    Known(Named),
    Asked(oneshot::Receiver<Named>),
    /// Too many are being asked for.
    Busy,
}

impl Names {
    /// # Errors
    /// When no name server is given and the system's cannot be read.
    pub(crate) fn new(config: &DnsConfig) -> Result<Arc<Self>, NetError> {
        Ok(Arc::new(Self {
            resolver: resolver(config)?,
            timeout: config.timeout,
            slots: Arc::new(Semaphore::new(config.concurrency)),
            cache: Mutex::default(),
            cache_max: config.cache,
        }))
    }

    /// Begins to look a client's name up, unless it is known.
    pub(crate) fn look_up(self: &Arc<Self>, ip: IpAddr) -> Lookup {
        if let Some(named) = self.remembered(ip) {
            return Lookup::Known(named);
        }
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return Lookup::Busy };
        let (answer, asked) = oneshot::channel();
        tokio::spawn(Arc::clone(self).ask(ip, slot, answer));
        Lookup::Asked(asked)
    }

    fn remembered(&self, ip: IpAddr) -> Option<Named> {
        let cache = self.cache.lock();
        let (since, named) = cache.get(&ip)?;
        (since.elapsed() < REMEMBERED).then(|| named.clone())
    }

    async fn ask(self: Arc<Self>, ip: IpAddr, _slot: OwnedSemaphorePermit, answer: oneshot::Sender<Named>) {
        let asked = tokio::time::timeout(self.timeout, self.confirmed_name(ip)).await;
        let named = asked.unwrap_or(Named::nameless(Iprev::TempError));
        self.remember(ip, named.clone());
        // The client may have gone.
        let _ = answer.send(named);
    }

    fn remember(&self, ip: IpAddr, named: Named) {
        let mut cache = self.cache.lock();
        if cache.len() >= self.cache_max {
            cache.retain(|_, (since, _)| since.elapsed() < REMEMBERED);
        }
        if cache.len() < self.cache_max {
            cache.insert(ip, (Instant::now(), named));
        }
    }

    /// The `iprev` method of RFC 8601 §3.
    async fn confirmed_name(&self, ip: IpAddr) -> Named {
        let names = match self.names(ip).await {
            Ok(names) => names,
            Err(error) if error.is_no_records_found() => return Named::nameless(Iprev::PermError),
            Err(error) => {
                tracing::debug!(%ip, %error, "reverse lookup failed");
                return Named::nameless(Iprev::TempError);
            }
        };
        let mut iprev = Iprev::Fail;
        for name in &names {
            match self.leads_to(name, ip).await {
                Ok(true) => return host(name).map_or(Named::nameless(Iprev::PermError), confirmed),
                Ok(false) => {}
                Err(_) => iprev = Iprev::TempError,
            }
        }
        Named::nameless(if names.is_empty() { Iprev::PermError } else { iprev })
    }

    async fn names(&self, ip: IpAddr) -> Result<Vec<Name>, NetError> {
        let answer = self.resolver.lookup(Name::from(ip), RecordType::PTR).await?;
        let names = answer.answers().iter().filter_map(|record| match &record.data {
            RData::PTR(name) => Some(name.0.clone()),
            _ => None,
        });
        Ok(names.take(NAMES_MAX).collect())
    }

    async fn leads_to(&self, name: &Name, ip: IpAddr) -> Result<bool, NetError> {
        let kind = if ip.is_ipv4() { RecordType::A } else { RecordType::AAAA };
        match self.resolver.lookup(name.clone(), kind).await {
            Ok(answer) => Ok(answer.answers().iter().any(|record| record.data.ip_addr() == Some(ip))),
            Err(error) if error.is_no_records_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn confirmed(host: Arc<str>) -> Named {
    Named { iprev: Iprev::Pass, host: Some(host) }
}

/// The name without its final dot, if it is one that a host may have: it goes into trace fields and to guests.
fn host(name: &Name) -> Option<Arc<str>> {
    let text = name.to_ascii();
    let text = text.strip_suffix('.').unwrap_or(&text);
    Domain::parse(text).ok().filter(|domain| !domain.is_literal()).map(|_| text.into())
}

fn resolver(config: &DnsConfig) -> Result<TokioResolver, NetError> {
    let mut builder = if config.servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = config.servers.iter().map(|server| name_server(server.ip(), server.port())).collect();
        let servers = ResolverConfig::from_name_servers(servers);
        TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
    };
    set_options(builder.options_mut(), config);
    builder.build()
}

fn name_server(ip: IpAddr, port: u16) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = port;
    }
    NameServerConfig::new(ip, true, connections)
}

fn set_options(options: &mut ResolverOpts, config: &DnsConfig) {
    // A lost packet is sent for again once before time is up.
    options.timeout = config.timeout / 3;
    options.attempts = 1;
    options.use_hosts_file = ResolveHosts::Never;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    options.max_active_requests = config.concurrency;
    // Ours remembers outcomes, which is less to hold and to compute.
    options.cache_size = 32;
}

#[cfg(test)]
mod tests;
