//! SPF: whether a domain lets a client send in its name (RFC 7208).

mod macros;
mod record;

use std::net::IpAddr;

use crate::dns::{BoxFuture, Dns, Kind, Record, Unanswered, texts};
use crate::domain;
use macros::{Template, Values};
use record::{Mechanism, Prefixes, SpfRecord, is_record};

/// Terms of one check that ask the DNS (RFC 7208 section 4.6.4); more are `permerror`.
pub const LOOKUPS_MAX: u32 = 10;
/// Terms of one check whose questions find nothing (same section); more are `permerror`.
pub const VOID_LOOKUPS_MAX: u32 = 2;
/// Exchanges of one `mx`, and names of one client, that are looked at (same section).
const NAMES_MAX: usize = 10;
/// Octets of an explanation that are kept: it may become a line of a reply.
const EXPLANATION_MAX: usize = 400;

/// The result of a check (RFC 7208 section 2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpfResult {
    /// There is no domain, or it says nothing.
    None,
    /// The domain says explicitly that it says nothing.
    Neutral,
    /// The client may send in its name.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// The DNS does not answer; later it may.
    TempError,
    /// What the domain publishes is malformed or costs too many questions.
    PermError,
}

impl SpfResult {
    /// The keyword of the RFC.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// What was found out about one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spf {
    /// The result.
    pub result: SpfResult,
    /// The domain that was checked, as it was written.
    pub domain: String,
    /// The local part and domain that were checked.
    pub sender: String,
    /// What the domain says of a failure; printable ASCII of a stranger's.
    pub explanation: Option<String>,
    /// Why it is an error.
    pub problem: Option<&'static str>,
}

/// The client that is checked.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// Its address.
    pub ip: IpAddr,
    /// What it said in HELO or EHLO.
    pub helo: &'a str,
    /// Our own name, for explanations.
    pub receiver: &'a str,
    /// Seconds since 1970, for explanations.
    pub now: u64,
}

/// Checks one identity: `check_host()` of RFC 7208 section 4. Without a mailbox it is that of HELO.
pub async fn spf(dns: &dyn Dns, client: Client<'_>, mailbox: Option<(&str, &str)>) -> Spf {
    let (local, domain) = mailbox.unwrap_or(("postmaster", client.helo));
    let local = if local.is_empty() { "postmaster" } else { local };
    // An IPv4 address mapped into IPv6 is one of IPv4 (section 5).
    let client = Client { ip: wasmail_mail::canonical(client.ip), ..client };
    let mut check = Check { dns, client, local, domain, lookups: 0, voids: 0, validated: None };
    let sender = format!("{local}@{domain}");
    let outcome = check.host(domain.to_owned()).await;
    let (result, problem, explanation) = match outcome {
        Ok(Found { result: SpfResult::Fail, explain }) => (SpfResult::Fail, None, check.explain(explain).await),
        Ok(found) => (found.result, None, None),
        Err(Problem::Temporary) => (SpfResult::TempError, Some("the DNS does not answer"), None),
        Err(Problem::Permanent(why)) => (SpfResult::PermError, Some(why), None),
    };
    Spf { result, domain: domain.to_owned(), sender, explanation, problem }
}

struct Check<'a> {
    dns: &'a dyn Dns,
    client: Client<'a>,
    local: &'a str,
    /// The sender's.
    domain: &'a str,
    lookups: u32,
    voids: u32,
    /// The names of the client that lead back to it, once they were looked up.
    validated: Option<Vec<String>>,
}

/// What a record says of the client.
struct Found {
    result: SpfResult,
    /// The explanation that goes with a failure, and the domain whose it is.
    explain: Option<(Template, String)>,
}

enum Problem {
    Temporary,
    Permanent(&'static str),
}

impl From<Unanswered> for Problem {
    fn from(_: Unanswered) -> Self {
        Self::Temporary
    }
}

const NONE: Found = Found { result: SpfResult::None, explain: None };

impl<'a> Check<'a> {
    /// Checks the record of a domain. In a box, because records include others.
    fn host(&mut self, name: String) -> BoxFuture<'_, Result<Found, Problem>> {
        Box::pin(async move {
            // Without a dot inside it is no domain of the DNS (section 4.3).
            let Some(ascii) = domain::usual(&name).filter(|name| name.contains('.')) else { return Ok(NONE) };
            let Some(record) = self.record(&ascii).await? else { return Ok(NONE) };
            for directive in &record.directives {
                if self.matches(&directive.mechanism, &ascii).await? {
                    let explain = record.explanation.map(|template| (template, ascii));
                    return Ok(Found { result: directive.result, explain });
                }
            }
            let Some(redirect) = record.redirect else { return Ok(Found { result: SpfResult::Neutral, ..NONE }) };
            self.count()?;
            let target = self.expand(&redirect, &ascii).await;
            let found = self.host(target).await?;
            if found.result == SpfResult::None {
                return Err(Problem::Permanent("redirect leads to no record"));
            }
            Ok(found)
        })
    }

    async fn record(&self, name: &str) -> Result<Option<SpfRecord>, Problem> {
        let texts = texts(self.dns, name).await?;
        let mut records = texts.iter().filter(|text| is_record(text));
        match (records.next(), records.next()) {
            (None, _) => Ok(None),
            (Some(record), None) => SpfRecord::parse(record).map(Some).map_err(Problem::Permanent),
            (Some(_), Some(_)) => Err(Problem::Permanent("the domain has two records")),
        }
    }

    async fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Problem> {
        let ip = self.client.ip;
        if !matches!(mechanism, Mechanism::All | Mechanism::Ip4(..) | Mechanism::Ip6(..)) {
            self.count()?;
        }
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4(net, bits) => Ok(in_network(ip, IpAddr::V4(*net), *bits)),
            Mechanism::Ip6(net, bits) => Ok(in_network(ip, IpAddr::V6(*net), *bits)),
            Mechanism::Include(target) => {
                let target = self.expand(target, domain).await;
                match self.host(target).await?.result {
                    SpfResult::Pass => Ok(true),
                    SpfResult::None => Err(Problem::Permanent("include leads to no record")),
                    _ => Ok(false),
                }
            }
            Mechanism::A(target, prefixes) => {
                let target = self.target(target.as_ref(), domain).await;
                let found = self.ask(&target, self.address_kind()).await?;
                self.count_void(&found)?;
                Ok(within(ip, &found, *prefixes))
            }
            Mechanism::Mx(target, prefixes) => {
                let target = self.target(target.as_ref(), domain).await;
                self.matches_exchange(&target, *prefixes).await
            }
            Mechanism::Ptr(target) => {
                let target = self.target(target.as_ref(), domain).await.to_ascii_lowercase();
                let names = self.validated_names().await;
                Ok(names.iter().any(|name| domain::is_within(name, &target)))
            }
            Mechanism::Exists(target) => {
                let target = self.expand(target, domain).await;
                // Of IPv4 for every client (section 5.7).
                let found = self.ask(&target, Kind::A).await?;
                self.count_void(&found)?;
                Ok(!found.is_empty())
            }
        }
    }

    async fn matches_exchange(&mut self, target: &str, prefixes: Prefixes) -> Result<bool, Problem> {
        let exchanges = self.ask(target, Kind::Mx).await?;
        self.count_void(&exchanges)?;
        if exchanges.len() > NAMES_MAX {
            return Err(Problem::Permanent("mx has more than ten exchanges"));
        }
        for exchange in exchanges {
            let Record::Exchange(exchange) = exchange else { continue };
            // Not counted as void: that an exchange has no IPv6 address is no mistake of anybody's.
            let found = self.ask(&exchange, self.address_kind()).await?;
            if within(self.client.ip, &found, prefixes) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The names of the client whose addresses are the client's (section 5.5). Errors of the DNS find none.
    async fn validated_names(&mut self) -> &[String] {
        if self.validated.is_none() {
            let mut validated = Vec::new();
            let ip = self.client.ip;
            let names = self.dns.ask(&ip.to_string(), Kind::Ptr).await.unwrap_or_default();
            for name in names.into_iter().take(NAMES_MAX) {
                let Record::Name(name) = name else { continue };
                let addresses = self.ask(&name, self.address_kind()).await.unwrap_or_default();
                if addresses.contains(&Record::Ip(ip)) {
                    validated.push(name.to_ascii_lowercase());
                }
            }
            self.validated = Some(validated);
        }
        self.validated.as_deref().unwrap_or_default()
    }

    async fn explain(&mut self, explain: Option<(Template, String)>) -> Option<String> {
        let (template, domain) = explain?;
        let target = self.expand(&template, &domain).await;
        let texts = texts(self.dns, &target).await.ok()?;
        let [text] = texts.as_slice() else { return None };
        let template = Template::explanation(std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?).ok()?;
        self.look_up_names_for(&template).await;
        let mut text = template.expand(&Expansion { check: self, domain: &domain });
        text.retain(|c| c.is_ascii_graphic() || c == ' ');
        text.truncate(EXPLANATION_MAX);
        Some(text)
    }

    async fn target(&mut self, target: Option<&Template>, domain: &str) -> String {
        match target {
            Some(target) => self.expand(target, domain).await,
            None => domain.to_owned(),
        }
    }

    async fn expand(&mut self, template: &Template, domain: &str) -> String {
        self.look_up_names_for(template).await;
        template.expand_domain(&Expansion { check: self, domain })
    }

    async fn look_up_names_for(&mut self, template: &Template) {
        if template.needs_validated_name() {
            self.validated_names().await;
        }
    }

    async fn ask(&self, name: &str, kind: Kind) -> Result<Vec<Record>, Problem> {
        // A name that is none is nowhere (section 4.8).
        if !domain::fits(name) {
            return Ok(Vec::new());
        }
        Ok(self.dns.ask(name, kind).await?)
    }

    fn address_kind(&self) -> Kind {
        if self.client.ip.is_ipv4() { Kind::A } else { Kind::Aaaa }
    }

    fn count(&mut self) -> Result<(), Problem> {
        self.lookups += 1;
        if self.lookups > LOOKUPS_MAX { Err(Problem::Permanent("more than ten terms ask the DNS")) } else { Ok(()) }
    }

    fn count_void(&mut self, found: &[Record]) -> Result<(), Problem> {
        self.voids += u32::from(found.is_empty());
        if self.voids > VOID_LOOKUPS_MAX {
            return Err(Problem::Permanent("more than two questions to the DNS find nothing"));
        }
        Ok(())
    }
}

/// Macros in a record of some domain.
struct Expansion<'a> {
    check: &'a Check<'a>,
    domain: &'a str,
}

impl Values for Expansion<'_> {
    fn value(&self, letter: char) -> String {
        let Check { client, local, domain, .. } = self.check;
        match letter {
            's' => format!("{local}@{domain}"),
            'l' => (*local).to_owned(),
            'o' => (*domain).to_owned(),
            'd' => self.domain.to_owned(),
            'i' => dotted(client.ip),
            'c' => client.ip.to_string(),
            'p' => self.validated_name().to_owned(),
            'v' => if client.ip.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            'h' => client.helo.to_owned(),
            'r' => client.receiver.to_owned(),
            't' => client.now.to_string(),
            _ => String::new(),
        }
    }
}

impl Expansion<'_> {
    /// The domain itself, or else a name below it, or else any (section 7.3).
    fn validated_name(&self) -> &str {
        let names = self.check.validated.as_deref().unwrap_or_default();
        let own = names.iter().find(|name| *name == self.domain);
        let below = || names.iter().find(|name| domain::is_within(name, self.domain));
        own.or_else(below).or(names.first()).map_or("unknown", String::as_str)
    }
}

/// As macros write an address: with dots, and of IPv6 every digit.
fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let digits: Vec<String> = format!("{:032X}", u128::from(ip)).chars().map(String::from).collect();
            digits.join(".")
        }
    }
}

fn within(ip: IpAddr, found: &[Record], prefixes: Prefixes) -> bool {
    let bits = if ip.is_ipv4() { prefixes.ip4 } else { prefixes.ip6 };
    found.iter().any(|record| matches!(record, Record::Ip(net) if in_network(ip, *net, bits)))
}

fn in_network(ip: IpAddr, net: IpAddr, bits: u8) -> bool {
    match (ip, net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => {
            let differ = u32::from(ip) ^ u32::from(net);
            differ.checked_shr(32 - u32::from(bits)).unwrap_or(0) == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(net)) => {
            let differ = u128::from(ip) ^ u128::from(net);
            differ.checked_shr(128 - u32::from(bits)).unwrap_or(0) == 0
        }
        _ => false,
    }
}
