//! Delivery to the world: mail of our domains stays here, the rest goes to the servers that its domains name in the DNS.

mod gates;
mod own;
mod resolve;
mod sts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::task::JoinSet;
use wasmail_mail::{Envelope, ForwardPath, ReversePath};
use wasmail_policy::outbound::Verdict;
use wasmail_queue::exchanges::Hop;
use wasmail_queue::{Backoff, Outcome, Suspensions};
use wasmail_services::dns::Tlsa;
use wasmail_smtp::Srs;
use wasmail_spool::{Message, Spool, SpoolId};

use super::attempt::{Carried, Delivered, Due};
use super::hooks::{Hooks, PUT_OFF, put_off, refusal};
use super::maildir::Maildir;
use super::smtp::report::{PolicyType, Report, Reports};
use super::smtp::{Address, Carriage, Place, Smtp};
use super::ways::{Circumstances, remember};
use crate::log::Escaped;
use crate::{DestinationConfig, MxConfig, Security, StartError};

pub(crate) use own::Own;

use gates::{Gates, Pass};
use resolve::{Exchangers, Found};
use sts::{Enforced, Sts};

/// How long a destination is left alone at first where nobody was reached: less than mail waits that was tried.
const SUSPENDED_FIRST: Duration = Duration::from_secs(60);

/// Carries each recipient's mail to where it belongs.
pub(crate) struct Mx {
    hooks: Arc<Hooks>,
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
    suspensions: Mutex<Suspensions>,
    /// Who makes reverse-paths for mail of others.
    srs: Option<Arc<Srs>>,
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
    pub(crate) fn new(config: MxConfig, now: &Circumstances<'_>) -> Result<Arc<Self>, StartError> {
        let local = match config.local {
            Some(local) => {
                let domains = local.domains.iter().map(|domain| in_ascii(domain)).collect();
                let maildir = Arc::new(Maildir::open(local.maildir, now.last_recovered)?);
                Some(Local { domains, maildir })
            }
            None => None,
        };
        let reach = config.exchangers.reach.clone();
        let exchangers = Exchangers::new(config.exchangers, now.own.clone().with(&config.own), config.port)?;
        let sts = config.sts.map(|sts| Sts::new(sts, exchangers.resolver(), reach)).transpose()?;
        let organization = config.client.hostname.clone();
        let reports = config.tls_reports.map(|dir| Reports::new(dir, organization));
        let smtp = Smtp::new(config.client).map_err(StartError::Tls)?;
        let suspension = Backoff { first: SUSPENDED_FIRST, max: config.suspend_longest, ..Backoff::default() };
        let (gates, default, destinations) = (Gates::new(config.concurrency), config.default, config.destinations);
        Ok(Arc::new(Self {
            hooks: Arc::clone(now.hooks),
            local,
            exchangers,
            sts,
            reports,
            dane: config.dane,
            smtp,
            port: config.port,
            gates,
            srs: config.srs,
            suspensions: Mutex::new(Suspensions::new(suspension)),
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
        let (mut delivered, mut broken) = (Vec::with_capacity(due.recipients.len()), false);
        for (destination, recipients) in by_destination(message.envelope(), &due.recipients) {
            let part = Part { id: due.id, destination, recipients };
            if let Some(left_alone) = self.left_alone(&part) {
                delivered.extend(left_alone);
                continue;
            }
            let now = self.way(&part).map(|way| (way, Arc::clone(&message)));
            waits |= now.is_none();
            let (mx, spool) = (Arc::clone(self), spool.clone());
            parts.spawn(async move { mx.carry_part(&spool, part, now).await });
        }
        // Whoever waits for a way must not hold a message in memory meanwhile.
        let message = Some(message).filter(|_| !waits);
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
            Way::Out(_pass) => {
                // Others may have found out while this one waited.
                if let Some(left_alone) = self.left_alone(&part) {
                    return left_alone;
                }
                let delivered = self.send(&message, &part).await;
                self.take_note(&part, &delivered);
                delivered
            }
        }
    }

    /// What is said of a part that is not tried, because nobody was reached there a moment ago.
    fn left_alone(&self, part: &Part) -> Option<Vec<Delivered>> {
        let (suspensions, now) = (self.suspensions.lock(), SystemTime::now());
        let (until, why) = suspensions.of(&part.destination, now)?;
        let wait = until.duration_since(now).unwrap_or_default();
        let reply = format!("4.4.1 not tried, for nobody was reached there; last: {why}");
        Some(Delivered::all(&part.recipients, Outcome::PutOff(wait), &reply))
    }

    /// Remembers whether anybody was reached.
    fn take_note(&self, part: &Part, delivered: &[Delivered]) {
        let mut suspensions = self.suspensions.lock();
        match delivered.iter().find(|done| done.unreached && done.outcome == Outcome::Deferred) {
            None => suspensions.reached(&part.destination),
            Some(done) => {
                let why = &done.reply;
                if let Some(until) = suspensions.failed(&part.destination, why, SystemTime::now()) {
                    let seconds = until.duration_since(SystemTime::now()).unwrap_or_default().as_secs();
                    let (destination, why) = (Escaped(&part.destination), Escaped(why));
                    tracing::warn!(target: "wasmail::delivery", %destination, %why, seconds, "nobody is reached; left alone");
                }
            }
        }
    }

    /// The operator wants this destination tried, whoever was reached there.
    pub(crate) fn try_again(&self, destination: &str) {
        self.suspensions.lock().reached(destination);
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
            let all = Delivered::all(&part.recipients, outcome, &format!("{}: {why}", part.destination));
            all.into_iter().map(|done| Delivered { unreached: true, ..done }).collect()
        };
        let verdict = self.hooks.exchanges(message, &part.recipients).await;
        let (found, is_given) = match verdict {
            Verdict::Exchanges(given) => (self.exchangers.given(&part.destination, given).await, true),
            Verdict::Delay(wait) => return Delivered::all(&part.recipients, put_off(wait), PUT_OFF),
            Verdict::Bounce(text) => return nowhere(Outcome::Failed, &refusal(text.as_deref())),
            _ => (self.exchangers.found(&part.destination).await, false),
        };
        let mut found = match found {
            Ok(found) => found,
            Err(why) => return nowhere(why.outcome(), &why),
        };
        let mut security = self.settings(&part.destination).security;
        let mut policy_type = PolicyType::NoPolicyFound;
        // What the domain says of its servers does not hold for others.
        let policy = if is_given { None } else { self.policy(&part.destination, security).await };
        if let Some(policy) = policy {
            policy_type = PolicyType::Sts;
            security = Security::Verified;
            found.hops.retain(|hop| policy.permits(&hop.host));
            if found.hops.is_empty() {
                let why = "4.7.5 the domain's MTA-STS policy permits none of its servers";
                return nowhere(Outcome::Deferred, &why);
            }
        }
        match self.places(found, security).await {
            Ok(places) => {
                let report = |reports| Report { reports, domain: &part.destination, policy: policy_type };
                let report = self.reports.as_ref().map(report);
                let reverse_path = self.reverse_path(message);
                let terms = Carriage { report, reverse_path: reverse_path.as_ref() };
                self.smtp.carry(&places, message, &part.recipients, terms).await
            }
            Err(why) => nowhere(Outcome::Deferred, &why),
        }
    }

    /// The reverse-path with which mail of others goes on.
    fn reverse_path(&self, message: &Message) -> Option<ReversePath> {
        let (srs, envelope) = (self.srs.as_ref()?, message.envelope());
        let mailbox = envelope.reverse_path.mailbox().filter(|_| envelope.handling.forwarded)?;
        // Ours may say that it comes from us.
        if self.maildir_of(&in_ascii(mailbox.domain().as_str())).is_some() {
            return None;
        }
        srs.forward(&envelope.reverse_path, SystemTime::now())
    }

    /// The places, with what the DNS proves of their certificates. A server of which it cannot be had is left out: without it
    /// nobody knows whether the server is the right one (RFC 7672 §2.1.2).
    async fn places(&self, found: Found, security: Security) -> Result<Vec<Place>, String> {
        let Found { hops, proven, ports } = found;
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
            let port = ports.get(&hop.host).copied().unwrap_or(self.port);
            let address = Address::Tcp((hop.ip, port).into());
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
pub(super) fn by_destination(envelope: &Envelope, recipients: &[usize]) -> BTreeMap<String, Vec<usize>> {
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
