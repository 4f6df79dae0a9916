//! Records of SPF (RFC 7208 section 4.6, 5, 6 and 12).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::SpfResult;
use super::macros::Template;

/// A record whose syntax is right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SpfRecord {
    pub(super) directives: Vec<Directive>,
    pub(super) redirect: Option<Template>,
    pub(super) explanation: Option<Template>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    /// What the client is when the mechanism matches.
    pub(super) result: SpfResult,
    pub(super) mechanism: Mechanism,
}

/// None for a domain is the domain that is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mechanism {
    All,
    Include(Template),
    A(Option<Template>, Prefixes),
    Mx(Option<Template>, Prefixes),
    Ptr(Option<Template>),
    Ip4(Ipv4Addr, u8),
    Ip6(Ipv6Addr, u8),
    Exists(Template),
}

/// Bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefixes {
    pub(super) ip4: u8,
    pub(super) ip6: u8,
}

type Syntax<T> = Result<T, &'static str>;

/// Whether a text is a record of SPF: the version, and then a space or the end (RFC 7208 section 4.5).
pub(super) fn is_record(text: &[u8]) -> bool {
    let version = b"v=spf1";
    text.len() >= version.len()
        && text[..version.len()].eq_ignore_ascii_case(version)
        && matches!(text.get(version.len()), None | Some(b' '))
}

impl SpfRecord {
    /// # Errors
    /// When any of it is malformed: then nothing of it holds.
    pub(super) fn parse(text: &[u8]) -> Syntax<Self> {
        if !text.is_ascii() {
            return Err("the record is not ASCII");
        }
        let text = std::str::from_utf8(text).map_err(|_| "the record is not ASCII")?;
        let mut record = Self::default();
        for term in text.split(' ').skip(1).filter(|term| !term.is_empty()) {
            record.take(term)?;
        }
        Ok(record)
    }

    fn take(&mut self, term: &str) -> Syntax<()> {
        let name_len = term.bytes().take_while(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(octet)).count();
        let starts_well = term.starts_with(|c: char| c.is_ascii_alphabetic());
        if starts_well && term.as_bytes().get(name_len) == Some(&b'=') {
            return self.take_modifier(&term[..name_len], &term[name_len + 1..]);
        }
        let (result, mechanism) = match term.as_bytes().first() {
            Some(b'+') => (SpfResult::Pass, &term[1..]),
            Some(b'-') => (SpfResult::Fail, &term[1..]),
            Some(b'~') => (SpfResult::SoftFail, &term[1..]),
            Some(b'?') => (SpfResult::Neutral, &term[1..]),
            _ => (SpfResult::Pass, term),
        };
        self.directives.push(Directive { result, mechanism: mechanism_of(mechanism)? });
        Ok(())
    }

    fn take_modifier(&mut self, name: &str, value: &str) -> Syntax<()> {
        let known = match name.to_ascii_lowercase().as_str() {
            "redirect" => &mut self.redirect,
            "exp" => &mut self.explanation,
            // What nobody knows is passed over, but it must look like one.
            _ => return Template::macro_string(value).map(|_| ()),
        };
        if known.is_some() {
            return Err("a modifier stands twice");
        }
        *known = Some(Template::domain(value)?);
        Ok(())
    }
}

fn mechanism_of(term: &str) -> Syntax<Mechanism> {
    let end = term.find([':', '/']).unwrap_or(term.len());
    let (name, rest) = term.split_at(end);
    let argument = rest.strip_prefix(':');
    let needed = || argument.ok_or("a mechanism lacks its argument");
    Ok(match name.to_ascii_lowercase().as_str() {
        "all" if rest.is_empty() => Mechanism::All,
        "include" => Mechanism::Include(Template::domain(needed()?)?),
        "exists" => Mechanism::Exists(Template::domain(needed()?)?),
        "a" => with_prefixes(rest).map(|(domain, prefixes)| Mechanism::A(domain, prefixes))?,
        "mx" => with_prefixes(rest).map(|(domain, prefixes)| Mechanism::Mx(domain, prefixes))?,
        "ptr" if rest.is_empty() => Mechanism::Ptr(None),
        "ptr" => Mechanism::Ptr(Some(Template::domain(needed()?)?)),
        "ip4" => {
            let (ip, bits) = network(needed()?, 32)?;
            Mechanism::Ip4(ip.parse().map_err(|_| "ip4 without an IPv4 address")?, bits)
        }
        "ip6" => {
            let (ip, bits) = network(needed()?, 128)?;
            Mechanism::Ip6(ip.parse().map_err(|_| "ip6 without an IPv6 address")?, bits)
        }
        _ => return Err("there is no such mechanism"),
    })
}

fn network(text: &str, most: u8) -> Syntax<(&str, u8)> {
    match text.split_once('/') {
        Some((ip, bits)) => Ok((ip, prefix(bits, most)?)),
        None => Ok((text, most)),
    }
}

/// What stands behind `a` and `mx`: perhaps a domain, perhaps prefix lengths for IPv4 and IPv6.
fn with_prefixes(rest: &str) -> Syntax<(Option<Template>, Prefixes)> {
    let mut prefixes = Prefixes { ip4: 32, ip6: 128 };
    let mut domain = rest;
    if let Some((before, bits)) = cut_length(domain, "//") {
        (domain, prefixes.ip6) = (before, prefix(bits, 128)?);
    }
    if let Some((before, bits)) = cut_length(domain, "/") {
        (domain, prefixes.ip4) = (before, prefix(bits, 32)?);
    }
    match domain.strip_prefix(':') {
        Some(domain) => Ok((Some(Template::domain(domain)?), prefixes)),
        None if domain.is_empty() => Ok((None, prefixes)),
        None => Err("a prefix length is no number"),
    }
}

/// Cuts a slash with digits off the end. A slash may stand in a macro, too, but then no digits alone follow.
fn cut_length<'a>(text: &'a str, slash: &str) -> Option<(&'a str, &'a str)> {
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (before, bits) = text.split_at(text.len() - digits);
    (digits > 0).then(|| Some((before.strip_suffix(slash)?, bits))).flatten()
}

fn prefix(bits: &str, most: u8) -> Syntax<u8> {
    let plain = bits.bytes().all(|octet| octet.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    let bits = bits.parse().ok().filter(|bits| plain && *bits <= most);
    bits.ok_or("a prefix length is none")
}
