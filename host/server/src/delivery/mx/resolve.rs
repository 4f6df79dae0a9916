//! Asks the DNS for a domain's exchanges and their addresses; `queue::exchanges` decides what follows.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use tokio::task::JoinSet;
use wasmail_policy::outbound::Exchange as Given;
use wasmail_queue::exchanges::{
    Address, AddressAnswer, Exchange, Exchanges, Hop, MxAnswer, Nowhere, Standing, Why, exchanges, hops,
};
use wasmail_services::Failure;
use wasmail_services::dns::{Answer, Data, Outcome, Query, RecordType, Resolver, Tlsa};

use super::own::Own;
use crate::delivery::mx::in_ascii;
use crate::delivery::smtp::dane::is_usable;
use crate::{ExchangersConfig, StartError};

/// Finds the servers of a domain.
pub(super) struct Exchangers(Arc<Inner>);

/// Where a domain's mail goes.
pub(super) struct Found {
    /// The best first.
    pub(super) hops: Vec<Hop>,
    /// Whether DNSSEC proves that these are the domain's servers.
    pub(super) proven: bool,
    /// By host, where it is not that of all.
    pub(super) ports: BTreeMap<String, u16>,
}

struct Inner {
    config: ExchangersConfig,
    resolver: Arc<Resolver>,
    own: Own,
    port: u16,
}

impl Exchangers {
    pub(super) fn new(config: ExchangersConfig, own: Own, port: u16) -> Result<Self, StartError> {
        let resolver = Resolver::new(&config.resolver).map_err(StartError::NameServer)?;
        Ok(Self(Arc::new(Inner { config, resolver, own, port })))
    }

    /// Whom it asks.
    pub(super) fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.0.resolver)
    }

    /// Where mail for this destination goes, as the DNS says.
    pub(super) async fn found(&self, destination: &str) -> Result<Found, Nowhere> {
        let (own, ports) = (&self.0, BTreeMap::new());
        if let Some(literal) = destination.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return own.literal(literal).map(|hops| Found { hops, proven: false, ports });
        }
        let (answer, proven) = own.mx(destination).await;
        let found = exchanges(destination, answer, |host| own.own.is_name(host), seed())?;
        let answers = self.addresses(&found, &ports, false).await;
        Ok(Found { hops: hops(found, &answers, own.config.families, seed())?, proven, ports })
    }

    /// Where mail for this destination goes, as policy says. None at all is as a null MX (RFC 7505).
    pub(super) async fn given(&self, destination: &str, given: Vec<Given>) -> Result<Found, Nowhere> {
        let own = &self.0;
        let ports = given.iter().filter_map(|exchange| Some((in_ascii(&exchange.host), exchange.port?))).collect();
        let exchange = |given: Given| Exchange { preference: given.preference, host: in_ascii(&given.host) };
        let mut records: Vec<_> = given.into_iter().map(exchange).collect();
        if records.is_empty() {
            records.push(Exchange { preference: 0, host: String::new() });
        }
        let found = exchanges(destination, MxAnswer::Records(records), |host| own.own.is_name(host), seed())?;
        let answers = self.addresses(&found, &ports, true).await;
        Ok(Found { hops: hops(found, &answers, own.config.families, seed())?, proven: false, ports })
    }

    /// What the DNS says, proven, of the certificate of a server: those records that can be used, if there are any at all.
    pub(super) async fn dane(&self, host: &str) -> Result<Option<Arc<[Tlsa]>>, Failure> {
        let query = Query { name: format!("_{}._tcp.{host}", self.0.port), record_type: RecordType::Tlsa };
        let answer = self.0.resolver.lookup(&query).await?;
        if !answer.validated {
            return Ok(None);
        }
        let records = answer.records.into_iter().filter_map(|record| match record.data {
            Data::Tlsa(record) if is_usable(&record) => Some(record),
            _ => None,
        });
        Ok(Some(records.collect()))
    }

    /// The addresses of each host, asked for at once.
    async fn addresses(&self, exchanges: &Exchanges, ports: &BTreeMap<String, u16>, given: bool) -> Vec<AddressAnswer> {
        let mut asked = JoinSet::new();
        for (at, exchange) in exchanges.hosts.iter().enumerate() {
            let (inner, host) = (Arc::clone(&self.0), exchange.host.clone());
            let port = ports.get(&host).copied().unwrap_or(inner.port);
            asked.spawn(async move {
                // Policy may name an address; in the DNS it is a mistake, and no host has such a name.
                let answer = match host.parse() {
                    Ok(ip) if given => AddressAnswer::Found(vec![inner.judge(ip, port)]),
                    _ => inner.addresses(&host, port).await,
                };
                (at, answer)
            });
        }
        let mut answers = vec![AddressAnswer::Failed("nobody was asked".to_owned()); exchanges.hosts.len()];
        while let Some(answered) = asked.join_next().await {
            match answered {
                Ok((at, answer)) => answers[at] = answer,
                Err(error) => tracing::error!(%error, "a question to the DNS ended without an answer"),
            }
        }
        answers
    }
}

impl Inner {
    fn literal(&self, literal: &str) -> Result<Vec<Hop>, Nowhere> {
        let text = literal.strip_prefix("ipv6:").unwrap_or(literal);
        let ip: IpAddr = match text.parse() {
            Ok(ip) if self.config.literals => ip,
            _ => return Err(Nowhere { why: Why::Literal, detail: String::new() }),
        };
        let answer = AddressAnswer::Found(vec![self.judge(ip, self.port)]);
        // Who writes an address wants that one, whichever family others are preferred of.
        hops(Exchanges::only(ip.to_string()), &[answer], wasmail_queue::exchanges::Families::Ipv4First, 0)
    }

    /// The answer, and whether it is proven.
    async fn mx(&self, domain: &str) -> (MxAnswer, bool) {
        let query = Query { name: domain.to_owned(), record_type: RecordType::Mx };
        let answer = match self.resolver.lookup(&query).await {
            Ok(answer) => answer,
            // No name that the DNS could have.
            Err(Failure::Invalid(_)) => return (MxAnswer::NoSuchDomain, false),
            Err(failure) => return (MxAnswer::Failed(failure.to_string()), false),
        };
        let proven = answer.validated;
        let answer = match answer.outcome {
            Outcome::Found => {
                MxAnswer::Records(answer.records.into_iter().filter_map(|record| exchange(record.data)).collect())
            }
            Outcome::NoData => MxAnswer::NoRecords,
            Outcome::NoSuchName => MxAnswer::NoSuchDomain,
        };
        (answer, proven)
    }

    async fn addresses(&self, host: &str, port: u16) -> AddressAnswer {
        let (a, aaaa) = tokio::join!(self.ask(host, RecordType::A), self.ask(host, RecordType::Aaaa));
        let mut failed = None;
        let mut found = Vec::new();
        for answer in [a, aaaa] {
            match answer {
                Ok(answer) => found.extend(answer.records.into_iter().filter_map(|record| ip(&record.data))),
                Err(Failure::Invalid(_)) => {}
                Err(failure) => failed = Some(failure.to_string()),
            }
        }
        match failed {
            // What one question found is enough.
            _ if !found.is_empty() => AddressAnswer::Found(found.into_iter().map(|ip| self.judge(ip, port)).collect()),
            Some(why) => AddressAnswer::Failed(why),
            None => AddressAnswer::None,
        }
    }

    async fn ask(&self, host: &str, record_type: RecordType) -> Result<Answer, Failure> {
        if !self.config.families.wants(record_type == RecordType::A) {
            return Ok(Answer { outcome: Outcome::NoData, records: Vec::new(), validated: false });
        }
        self.resolver.lookup(&Query { name: host.to_owned(), record_type }).await
    }

    fn judge(&self, ip: IpAddr, port: u16) -> Address {
        let standing = match ip {
            ip if self.own.is_address(ip, port) => Standing::Own,
            ip if !self.config.reach.allows(ip) => Standing::Refused,
            _ => Standing::Good,
        };
        Address { ip, standing }
    }
}

fn exchange(data: Data) -> Option<Exchange> {
    match data {
        Data::Mx(mx) => Some(Exchange { preference: mx.preference, host: mx.exchange.to_ascii_lowercase() }),
        _ => None,
    }
}

fn ip(data: &Data) -> Option<IpAddr> {
    match data {
        Data::A(ip) => Some(IpAddr::V4(*ip)),
        Data::Aaaa(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}

/// Another one each time.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
