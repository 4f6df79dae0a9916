//! Which servers take a domain's mail, and in which order they are tried (RFC 5321 §5.1); no resolver.
//!
//! Two steps, since addresses are asked for only when it is known of which hosts: [`exchanges`] turns the answer about MX
//! records into hosts, [`hops`] turns the answers about their addresses into the places to connect to. Either may find that
//! there is nowhere to go, for now or for good.

use std::fmt;
use std::net::IpAddr;

use crate::Outcome;
use crate::draw::Draw;

/// Hosts of one domain that are tried. A domain with more of them has them for show.
pub const EXCHANGES_MAX: usize = 10;
/// Addresses of one host that are tried, so that the next host has its turn.
pub const ADDRESSES_MAX: usize = 4;

/// Places that are tried in one attempt: each may take its time, and may be sent most of the message.
pub const HOPS_MAX: usize = 12;

/// One MX record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Lower is better.
    pub preference: u16,
    /// The host in ASCII, without a final dot; empty in a null MX (RFC 7505).
    pub host: String,
}

/// What the DNS says of a domain's MX records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MxAnswer {
    /// There are some.
    Records(Vec<Exchange>),
    /// The domain exists and has none.
    NoRecords,
    /// There is no such domain.
    NoSuchDomain,
    /// Nobody could say; why.
    Failed(String),
}

/// What the DNS says of a host's addresses, both families together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressAnswer {
    /// There are some.
    Found(Vec<Address>),
    /// There is none, or no such host.
    None,
    /// Nobody could say; why.
    Failed(String),
}

/// An address, as the driver judges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Whose it is.
    pub standing: Standing,
}

/// Whose an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Somebody's whom we may connect to.
    Good,
    /// Ours: mail that goes there comes back.
    Own,
    /// Of a network that we do not connect to.
    Refused,
}

/// Which kind of address is tried, and which one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Families {
    /// IPv4 addresses of a host before its IPv6 addresses: few networks lack IPv4, and large receivers want more of IPv6
    /// senders than of others.
    #[default]
    Ipv4First,
    /// IPv6 addresses of a host before its IPv4 addresses.
    Ipv6First,
    /// IPv4 alone.
    Ipv4Only,
    /// IPv6 alone.
    Ipv6Only,
}

impl Families {
    /// Whether addresses of this family are tried at all; true asks about IPv4.
    #[must_use]
    pub fn wants(self, ipv4: bool) -> bool {
        match self {
            Self::Ipv4First | Self::Ipv6First => true,
            Self::Ipv4Only => ipv4,
            Self::Ipv6Only => !ipv4,
        }
    }

    fn is_first(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == matches!(self, Self::Ipv4First | Self::Ipv4Only)
    }
}

/// The hosts to ask addresses of, the best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanges {
    /// At most [`EXCHANGES_MAX`].
    pub hosts: Vec<Exchange>,
    /// Whether the domain has no MX record and stands for itself.
    pub implicit: bool,
    /// Whether we are one of them ourselves, so that equal and worse ones were left out.
    loops: bool,
}

/// One place to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The host that has the address.
    pub host: String,
    /// The address.
    pub ip: IpAddr,
}

/// Why there is nowhere to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// There is no such domain.
    NoSuchDomain,
    /// The domain takes no mail (RFC 7505).
    NullMx,
    /// The domain has neither MX record nor address.
    NoAddress,
    /// None of its exchanges has an address.
    NoExchange,
    /// Its exchanges have only addresses that we do not connect to.
    Refused,
    /// We are its best exchange, and do not know it as ours.
    Loops,
    /// It is an address literal, and those are not delivered to.
    Literal,
    /// The DNS did not answer.
    Dns,
}

/// There is nowhere to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nowhere {
    /// Why.
    pub why: Why,
    /// What the resolver said, if anything.
    pub detail: String,
}

impl Nowhere {
    fn new(why: Why) -> Self {
        Self { why, detail: String::new() }
    }

    /// The DNS did not answer; why.
    #[must_use]
    pub fn dns(detail: impl Into<String>) -> Self {
        Self { why: Why::Dns, detail: detail.into() }
    }

    /// Whether it is worth trying again.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.why == Why::Dns { Outcome::Deferred } else { Outcome::Failed }
    }
}

impl fmt::Display for Nowhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.why {
            Why::NoSuchDomain => "5.1.2 there is no such domain",
            Why::NullMx => "5.1.10 the domain takes no mail (null MX)",
            Why::NoAddress => "5.1.2 the domain has neither an MX record nor an address",
            Why::NoExchange => "5.4.4 none of the domain's exchanges has an address",
            Why::Refused => "5.4.4 the domain's exchanges have only addresses that mail may not go to",
            Why::Loops => "5.4.6 the domain's mail comes back to this server, which does not know it as its own",
            Why::Literal => "5.1.2 mail to address literals is not delivered",
            Why::Dns => "4.4.3 the DNS does not say where the domain's mail goes",
        })?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// The hosts that take the mail of `domain`, the best first, those of one preference shuffled by `seed`.
///
/// Where one of them is called as we are, it and all that are no better are left out: we are the one they would hand the
/// mail to.
///
/// # Errors
/// When it is clear already that there is nowhere to go.
pub fn exchanges(
    domain: &str,
    answer: MxAnswer,
    is_own: impl Fn(&str) -> bool,
    seed: u64,
) -> Result<Exchanges, Nowhere> {
    let (mut hosts, implicit) = match answer {
        MxAnswer::Records(records) => (records, false),
        MxAnswer::NoRecords => (vec![Exchange { preference: 0, host: domain.to_owned() }], true),
        MxAnswer::NoSuchDomain => return Err(Nowhere::new(Why::NoSuchDomain)),
        MxAnswer::Failed(why) => return Err(Nowhere::dns(why)),
    };
    if hosts.iter().all(|exchange| exchange.host.is_empty()) {
        return Err(Nowhere::new(Why::NullMx));
    }
    // Beside others it means nothing (RFC 7505 §3).
    hosts.retain(|exchange| !exchange.host.is_empty());
    Draw::new(seed).shuffle(&mut hosts);
    hosts.sort_by_key(|exchange| exchange.preference);
    let own = hosts.iter().filter(|exchange| is_own(&exchange.host)).map(|exchange| exchange.preference).min();
    let mut exchanges = Exchanges { hosts, implicit, loops: false };
    exchanges.leave_out(own);
    if exchanges.hosts.is_empty() {
        return Err(Nowhere::new(Why::Loops));
    }
    exchanges.hosts.truncate(EXCHANGES_MAX);
    Ok(exchanges)
}

impl Exchanges {
    /// A single host, as an address literal or an operator names it.
    #[must_use]
    pub fn only(host: impl Into<String>) -> Self {
        Self { hosts: vec![Exchange { preference: 0, host: host.into() }], implicit: true, loops: false }
    }

    /// Leaves out what is no better than ours.
    fn leave_out(&mut self, own: Option<u16>) {
        if let Some(own) = own {
            self.loops = true;
            self.hosts.retain(|exchange| exchange.preference < own);
        }
    }
}

/// The places to connect to, the best first: the addresses of each host, shuffled by `seed` within their family.
///
/// `answers` has one for each host, in order.
///
/// # Errors
/// When there is nowhere to go. It is for now where an address that the DNS did not tell might have been a way.
pub fn hops(
    mut exchanges: Exchanges,
    answers: &[AddressAnswer],
    families: Families,
    seed: u64,
) -> Result<Vec<Hop>, Nowhere> {
    let told: Vec<_> = exchanges.hosts.iter().zip(answers).collect();
    let own = told.iter().filter(|(_, answer)| has(answer, Standing::Own)).map(|(exchange, _)| exchange.preference);
    let own = own.min();
    let kept: Vec<_> =
        told.into_iter().filter(|(exchange, _)| own.is_none_or(|own| exchange.preference < own)).collect();
    let mut draw = Draw::new(seed);
    let of_each = kept.iter().flat_map(|(exchange, answer)| of_host(exchange, answer, families, &mut draw));
    let hops: Vec<_> = of_each.take(HOPS_MAX).collect();
    if !hops.is_empty() {
        return Ok(hops);
    }
    let refused = kept.iter().any(|(_, answer)| has(answer, Standing::Refused));
    let failed = kept.iter().find_map(|(exchange, answer)| match answer {
        AddressAnswer::Failed(why) => Some(format!("{}: {why}", exchange.host)),
        _ => None,
    });
    exchanges.loops |= own.is_some();
    Err(match failed {
        Some(detail) => Nowhere::dns(detail),
        None if exchanges.loops => Nowhere::new(Why::Loops),
        None if refused => Nowhere::new(Why::Refused),
        None if exchanges.implicit => Nowhere::new(Why::NoAddress),
        None => Nowhere::new(Why::NoExchange),
    })
}

fn has(answer: &AddressAnswer, standing: Standing) -> bool {
    matches!(answer, AddressAnswer::Found(all) if all.iter().any(|address| address.standing == standing))
}

fn of_host(exchange: &Exchange, answer: &AddressAnswer, families: Families, draw: &mut Draw) -> Vec<Hop> {
    let AddressAnswer::Found(all) = answer else { return Vec::new() };
    let wanted =
        all.iter().filter(|address| address.standing == Standing::Good && families.wants(address.ip.is_ipv4()));
    let mut ips: Vec<_> = wanted.map(|address| address.ip).collect();
    draw.shuffle(&mut ips);
    ips.sort_by_key(|ip| !families.is_first(*ip));
    // Of many addresses of the first family, one gives way to the other family: that network may be the one that works.
    if let Some(other) = ips.iter().position(|ip| !families.is_first(*ip)).filter(|at| *at >= ADDRESSES_MAX) {
        ips.swap(ADDRESSES_MAX - 1, other);
    }
    ips.truncate(ADDRESSES_MAX);
    ips.into_iter().map(|ip| Hop { host: exchange.host.clone(), ip }).collect()
}

#[cfg(test)]
mod tests;
