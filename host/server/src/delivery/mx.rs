//! Delivery to the world: mail of our domains stays here, the rest goes to the servers that its domains name in the DNS.

mod gates;
mod own;
mod resolve;
mod sts;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;
use wasmail_mail::{Envelope, ForwardPath};
use wasmail_queue::Outcome;
use wasmail_queue::exchanges::Hop;
use wasmail_services::dns::Tlsa;
use wasmail_spool::{Message, Spool, SpoolId};

use super::attempt::{Carried, Delivered, Due};
use super::maildir::Maildir;
use super::smtp::report::{PolicyType, Report, Reports};
use super::smtp::{Address, Place, Smtp};
use super::ways::remember;
use crate::{DestinationConfig, MxConfig, Security, StartError};

pub(crate) use own::Own;

use gates::{Gates, Pass};
use resolve::Exchangers;
use sts::{Enforced, Sts};

/// Carries each recipient's mail to where it belongs.
pub(crate) struct Mx {
    local: Option<Local>,
    exchangers: Exchangers,
    sts: Option<Sts>,
    /// Where sessions are counted.
    reports: Option<Arc<Reports>>,
    /// Whether records about certificates are looked for.
    dane: bool,
    smtp: Smtp,
    port: u16,
    gates: Gates,
    default: DestinationConfig,
    destinations: BTreeMap<String, DestinationConfig>,
}

/// The recipients of a message whose mail goes the same way.
struct Part {
    id: SpoolId,
    destination: String,
    recipients: Vec<usize>,
}

/// Where a part goes.
enum Way {
    Here(Arc<Maildir>),
    /// The pass is held until the part is through.
    Out(Pass),
}

/// Mail that stays here.
struct Local {
    domains: Vec<String>,
    maildir: Arc<Maildir>,
}

impl Mx {
    /// `own` tells our names and addresses from others'.
    pub(crate) fn new(config: MxConfig, own: Own, last_recovered: Option<SpoolId>) -> Result<Arc<Self>, StartError> {
        let local = match config.local {
            Some(local) => {
                let domains = local.domains.iter().map(|domain| in_ascii(domain)).collect();
                let maildir = Arc::new(Maildir::open(local.maildir, last_recovered)?);
                Some(Local { domains, maildir })
            }
            None => None,
        };
        let reach = config.exchangers.reach.clone();
        let exchangers = Exchangers::new(config.exchangers, own.with(&config.own), config.port)?;
        let sts = config.sts.map(|sts| Sts::new(sts, exchangers.resolver(), reach)).transpose()?;
        let organization = config.client.hostname.clone();
        let reports = config.tls_reports.map(|dir| Reports::new(dir, organization));
        let smtp = Smtp::new(config.client).map_err(StartError::Tls)?;
        let (gates, default, destinations) = (Gates::new(config.concurrency), config.default, config.destinations);
        Ok(Arc::new(Self {
            local,
            exchangers,
            sts,
            reports,
            dane: config.dane,
            smtp,
            port: config.port,
            gates,
            default,
            destinations,
        }))
    }

    /// Delivers to those who are due, each destination beside the others.
    pub(crate) async fn carry(self: &Arc<Self>, spool: &Spool, due: Due) -> Carried {
        let message = match spool.message(due.id).await {
            Ok(message) => Arc::new(message),
            Err(error) => return Carried::unread(&due, &error),
        };
        let (mut parts, mut waits) = (JoinSet::new(), false);
        for (destination, recipients) in by_destination(message.envelope(), &due.recipients) {
            let part = Part { id: due.id, destination, recipients };
            let now = self.way(&part).map(|way| (way, Arc::clone(&message)));
            waits |= now.is_none();
            let (mx, spool) = (Arc::clone(self), spool.clone());
            parts.spawn(async move { mx.carry_part(&spool, part, now).await });
        }
        // Whoever waits for a way must not hold a message in memory meanwhile.
        let message = Some(message).filter(|_| !waits);
        let (mut delivered, mut broken) = (Vec::with_capacity(due.recipients.len()), false);
        while let Some(part) = parts.join_next().await {
            match part {
                Ok(part) => {
                    remember(spool, due.id, &part, !parts.is_empty()).await;
                    delivered.extend(part);
                }
                Err(error) => {
                    tracing::error!(queue_id = %due.id, %error, "a delivery broke off");
                    broken = true;
                }
            }
        }
        let message = match message.and_then(Arc::into_inner) {
            Some(message) => Ok(message),
            None => spool.message(due.id).await,
        };
        let message = message.inspect_err(|error| {
            tracing::error!(queue_id = %due.id, %error, "failed to read a message of the spool");
        });
        let mut carried = Carried { id: due.id, message: message.ok(), delivered };
        if broken {
            carried.defer_missing(&due);
        }
        carried
    }

    /// The way to the part's destination, if nobody has to wait for it.
    fn way(&self, part: &Part) -> Option<Way> {
        match self.maildir_of(&part.destination) {
            Some(maildir) => Some(Way::Here(Arc::clone(maildir))),
            None => self.gates.try_enter(&part.destination, self.settings(&part.destination).pace).map(Way::Out),
        }
    }

    /// Lets nobody wait any more: who has no way yet stays as they are, for the next start.
    pub(crate) fn close(&self) {
        self.gates.close();
        if let Some(reports) = &self.reports {
            reports.write_today();
        }
    }

    /// Carries a part, now or when there is a way.
    async fn carry_part(&self, spool: &Spool, part: Part, now: Option<(Way, Arc<Message>)>) -> Vec<Delivered> {
        let (way, message) = match now {
            Some(now) => now,
            None => match self.wait(spool, &part).await {
                Ok(later) => later,
                Err(delivered) => return delivered,
            },
        };
        match way {
            Way::Here(maildir) => {
                let due = Due { id: part.id, recipients: part.recipients };
                let carried = maildir.carry(spool, vec![due]).await;
                carried.into_iter().flat_map(|carried| carried.delivered).collect()
            }
            Way::Out(_pass) => self.send(&message, &part).await,
        }
    }

    async fn wait(&self, spool: &Spool, part: &Part) -> Result<(Way, Arc<Message>), Vec<Delivered>> {
        let deferred = |why: &str| Delivered::all(&part.recipients, Outcome::Deferred, why);
        let pass = self.gates.enter(&part.destination, self.settings(&part.destination).pace).await;
        // Of whom nothing is said, nothing changes.
        let pass = pass.ok_or_else(Vec::new)?;
        let message = spool.message(part.id).await;
        let message = message.map_err(|error| deferred(&format!("4.3.0 failed to read the message: {error}")))?;
        Ok((Way::Out(pass), Arc::new(message)))
    }

    async fn send(&self, message: &Message, part: &Part) -> Vec<Delivered> {
        let nowhere = |outcome, why: &dyn std::fmt::Display| {
            Delivered::all(&part.recipients, outcome, &format!("{}: {why}", part.destination))
        };
        let (mut hops, proven) = match self.exchangers.hops(&part.destination).await {
            Ok(found) => found,
            Err(why) => return nowhere(why.outcome(), &why),
        };
        let mut security = self.settings(&part.destination).security;
        let mut policy_type = PolicyType::NoPolicyFound;
        if let Some(policy) = self.policy(&part.destination, security).await {
            policy_type = PolicyType::Sts;
            security = Security::Verified;
            hops.retain(|hop| policy.permits(&hop.host));
            if hops.is_empty() {
                let why = "4.7.5 the domain's MTA-STS policy permits none of its servers";
                return nowhere(Outcome::Deferred, &why);
            }
        }
        match self.places(hops, security, proven).await {
            Ok(places) => {
                let report = |reports| Report { reports, domain: &part.destination, policy: policy_type };
                let report = self.reports.as_ref().map(report);
                self.smtp.carry(&places, message, &part.recipients, report).await
            }
            Err(why) => nowhere(Outcome::Deferred, &why),
        }
    }

    /// The places, with what the DNS proves of their certificates. A server of which it cannot be had is left out: without it
    /// nobody knows whether the server is the right one (RFC 7672 §2.1.2).
    async fn places(&self, hops: Vec<Hop>, security: Security, proven: bool) -> Result<Vec<Place>, String> {
        let mut known: BTreeMap<String, Option<Option<Arc<[Tlsa]>>>> = BTreeMap::new();
        let mut failed = None;
        for hop in hops.iter().filter(|_| self.dane && proven && security != Security::Off) {
            if known.contains_key(&hop.host) {
                continue;
            }
            let records = self.exchangers.dane(&hop.host).await;
            let records =
                records.map_err(|why| failed = Some(format!("4.7.5 the TLSA records of {}: {why}", hop.host)));
            known.insert(hop.host.clone(), records.ok());
        }
        let place = |hop: Hop| {
            let address = Address::Tcp((hop.ip, self.port).into());
            let dane = known.get(&hop.host).map_or(Some(None), Clone::clone)?;
            Some(Place { host: hop.host, address, security, dane })
        };
        let places: Vec<_> = hops.into_iter().filter_map(place).collect();
        failed.filter(|_| places.is_empty()).map_or(Ok(places), Err)
    }

    /// What the domain wants for its mail, unless the operator wants none of it.
    async fn policy(&self, destination: &str, security: Security) -> Option<Enforced> {
        if security == Security::Off || destination.starts_with('[') {
            return None;
        }
        self.sts.as_ref()?.enforced(destination).await
    }

    /// What the operator says of a destination: by its name, or by that of a domain above it.
    fn settings(&self, destination: &str) -> DestinationConfig {
        let above = destination.match_indices('.').map(|(at, _)| &destination[at..]);
        let named = std::iter::once(destination).chain(above).find_map(|name| self.destinations.get(name));
        named.copied().unwrap_or(self.default)
    }

    fn maildir_of(&self, destination: &str) -> Option<&Arc<Maildir>> {
        let local = self.local.as_ref()?;
        // The bare postmaster has no domain, and is ours.
        let is_local = destination.is_empty() || local.domains.iter().any(|domain| domain == destination);
        is_local.then_some(&local.maildir)
    }
}

/// Puts recipients together, given by their positions, whose mail goes the same way.
fn by_destination(envelope: &Envelope, recipients: &[usize]) -> BTreeMap<String, Vec<usize>> {
    let mut parts: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for at in recipients {
        if let Some(recipient) = envelope.recipients.get(*at) {
            parts.entry(destination(&recipient.path)).or_default().push(*at);
        }
    }
    parts
}

/// Where a recipient's mail goes, as text: the domain in ASCII and lower case, or the address literal; empty for the bare
/// postmaster. What is equal goes the same way.
pub(crate) fn destination(path: &ForwardPath) -> String {
    path.mailbox().map(|mailbox| in_ascii(mailbox.domain().as_str())).unwrap_or_default()
}

/// A domain as the DNS knows it (RFC 5890 §2.3.2.1). One that no A-label can be made of stays as it is: the DNS has none
/// such.
pub(crate) fn in_ascii(domain: &str) -> String {
    let lower = domain.to_ascii_lowercase();
    if lower.is_ascii() {
        return lower;
    }
    idna::domain_to_ascii(&lower).unwrap_or(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_domains_are_one_destination() {
        let of = |path: &str| destination(&ForwardPath::parse(path).unwrap());
        assert_eq!(of("<a@Example.ORG>"), "example.org");
        assert_eq!(of("<a@b\u{fc}cher.example>"), of("<b@XN--BCHER-KVA.example>"));
        assert_eq!(of("<a@[IPv6:2001:DB8::1]>"), "[ipv6:2001:db8::1]");
        assert_eq!(of("<Postmaster>"), "");
    }
}
