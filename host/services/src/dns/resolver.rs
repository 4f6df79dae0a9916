//! One resolver with one cache, for all bindings.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{
    self, ConnectionConfig, NameServerConfig, ResolveHosts, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::serialize::txt::ParseError;
use tokio::sync::Semaphore;

use super::upstream::AsksForAd;
use super::{Answer, Data, Outcome, Query, RecordType, ResourceRecord};
use crate::Failure;

/// Longest that an answer is kept, whatever its TTL says: a mended zone is seen within the hour.
const KEPT_MAX: Duration = Duration::from_secs(3600);

/// Where questions go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverConfig {
    /// Name servers, tried in order; those of the system when there are none.
    pub servers: Vec<SocketAddr>,
    /// For one question to one server; it is sent again once, or to the next server.
    pub timeout: Duration,
    /// Questions under way at once, of all bindings together.
    pub concurrency: usize,
    /// Answers that are remembered, each as long as its TTL says, an hour at most.
    pub cache: u64,
    /// Whether the AD bit of these servers is believed.
    pub trust_ad: bool,
    /// Whether answers are validated here with DNSSEC (RFC 4035), which asks these servers for keys and signatures.
    pub validation: Validation,
}

/// Whether answers are validated with DNSSEC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Validation {
    /// They are not.
    #[default]
    Off,
    /// From the keys of the root zone on.
    FromRoot,
    /// From the keys in this file on: DNSKEY records as in a zone's file.
    From(PathBuf),
}

/// The DNS cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum NoNameServer {
    /// The name servers of the system cannot be read.
    #[error("failed to read the system's name servers: {0}")]
    System(NetError),
    /// The keys that validation begins with cannot be read.
    #[error("failed to read the keys in {path}: {why}")]
    Anchors {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Asks the DNS, and remembers the answers.
pub struct Resolver {
    source: Source,
    pub(crate) slots: Semaphore,
    trust_ad: bool,
    validates: bool,
}

enum Source {
    Network(Box<hickory_resolver::Resolver<AsksForAd>>),
    List(HashMap<Query, Result<Answer, Failure>>),
}

impl Resolver {
    /// # Errors
    /// When no server is given and the system's cannot be read.
    pub fn new(config: &ResolverConfig) -> Result<Arc<Self>, NoNameServer> {
        let network = network(config)?;
        let validates = config.validation != Validation::Off;
        let slots = Semaphore::new(config.concurrency.min(Semaphore::MAX_PERMITS));
        Ok(Arc::new(Self { source: Source::Network(Box::new(network)), slots, trust_ad: config.trust_ad, validates }))
    }

    /// Answers from a list instead of the network, for rehearsals. What is not listed does not exist.
    #[must_use]
    pub fn of_list(list: impl IntoIterator<Item = (Query, Result<Answer, Failure>)>) -> Arc<Self> {
        let source = Source::List(list.into_iter().collect());
        Arc::new(Self { source, slots: Semaphore::new(Semaphore::MAX_PERMITS), trust_ad: true, validates: false })
    }

    /// Asks one question of the server's own, bound by [`ResolverConfig::concurrency`] and the time alone.
    ///
    /// # Errors
    /// When the time is used up, the name servers fail, or the name is none.
    pub async fn lookup(&self, query: &Query) -> Result<Answer, Failure> {
        let _slot =
            self.slots.acquire().await.map_err(|_| Failure::Unavailable("the server is stopping".to_owned()))?;
        self.ask(query).await
    }

    pub(crate) async fn ask(&self, query: &Query) -> Result<Answer, Failure> {
        let name = query.parse()?;
        match &self.source {
            Source::Network(resolver) => match resolver.lookup(name, query.record_type.into()).await {
                Ok(lookup) => Ok(self.answer(&lookup, query.record_type)),
                Err(error) => without_records(&error),
            },
            Source::List(list) => list.get(query).cloned().unwrap_or_else(|| Ok(Answer::empty(Outcome::NoSuchName))),
        }
    }

    fn answer(&self, lookup: &Lookup, kind: RecordType) -> Answer {
        let wanted = kind.into();
        let of_kind = lookup.answers().iter().filter(|record| record.record_type() == wanted);
        let records: Vec<_> = of_kind
            .filter_map(|record| Some(ResourceRecord { data: Data::of(&record.data)?, ttl: record.ttl }))
            .collect();
        let outcome = if records.is_empty() { Outcome::NoData } else { Outcome::Found };
        // Aliases on the way count, too.
        let is_proven = self.validates && lookup.answers().iter().all(|record| record.proof.is_secure());
        let is_told = self.trust_ad && lookup.message().metadata.authentic_data;
        let validated = !records.is_empty() && (is_proven || is_told);
        Answer { outcome, records, validated }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

/// What an answer without records means, or why there is none.
fn without_records(error: &NetError) -> Result<Answer, Failure> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. })) => match *response_code {
            ResponseCode::NXDomain => Ok(Answer::empty(Outcome::NoSuchName)),
            ResponseCode::NoError => Ok(Answer::empty(Outcome::NoData)),
            code => Err(Failure::Unavailable(format!("the name servers answer {code}"))),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => {
            Err(Failure::Unavailable(format!("the name servers answer {code}")))
        }
        // A validating resolver says so in its own words.
        NetError::Dns(DnsError::Nsec { response, proof, .. }) if !proof.is_bogus() => {
            match response.metadata.response_code {
                ResponseCode::NXDomain => Ok(Answer::empty(Outcome::NoSuchName)),
                ResponseCode::NoError => Ok(Answer::empty(Outcome::NoData)),
                code => Err(Failure::Unavailable(format!("the name servers answer {code}"))),
            }
        }
        NetError::Dns(DnsError::Nsec { .. } | DnsError::DnssecBogus) => {
            Err(Failure::Unavailable("the answer does not stand up to DNSSEC".to_owned()))
        }
        NetError::Timeout => Err(Failure::TimedOut),
        other => {
            // Addresses of our name servers are none of the plugin's business.
            tracing::debug!(error = %other, "a plugin's question to the DNS failed");
            Err(Failure::Unavailable("no name server answers".to_owned()))
        }
    }
}

fn anchors(path: &Path) -> Result<TrustAnchors, NoNameServer> {
    let error = |why: String| NoNameServer::Anchors { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|why| error(why.to_string()))?;
    // The list counts keys of the root alone.
    if !text.contains("DNSKEY") {
        return Err(error("there is no DNSKEY record".to_owned()));
    }
    text.parse().map_err(|why: ParseError| error(why.to_string()))
}

fn network(config: &ResolverConfig) -> Result<hickory_resolver::Resolver<AsksForAd>, NoNameServer> {
    let mut builder = if config.servers.is_empty() {
        hickory_resolver::Resolver::builder(AsksForAd::default()).map_err(NoNameServer::System)?
    } else {
        let servers = config.servers.iter().map(|server| name_server(server.ip(), server.port())).collect();
        let servers = config::ResolverConfig::from_name_servers(servers);
        hickory_resolver::Resolver::builder_with_config(servers, AsksForAd::default())
    };
    set_options(builder.options_mut(), config);
    match &config.validation {
        Validation::Off => {}
        Validation::FromRoot => builder = builder.with_trust_anchor(Arc::new(TrustAnchors::default())),
        Validation::From(path) => builder = builder.with_trust_anchor(Arc::new(anchors(path)?)),
    }
    builder.build().map_err(NoNameServer::System)
}

fn name_server(ip: IpAddr, port: u16) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = port;
    }
    NameServerConfig::new(ip, true, connections)
}

fn set_options(options: &mut ResolverOpts, config: &ResolverConfig) {
    options.timeout = config.timeout;
    options.attempts = 1;
    options.use_hosts_file = ResolveHosts::Never;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    options.max_active_requests = config.concurrency;
    options.cache_size = config.cache;
    options.positive_max_ttl = Some(KEPT_MAX);
    options.negative_max_ttl = Some(KEPT_MAX);
}
