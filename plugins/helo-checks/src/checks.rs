//! The checks themselves: pure questions about a name and an address.

use std::net::{IpAddr, Ipv4Addr};

use wasmail_guest::{Check, Connection};

use crate::Config;

/// What is wrong with a greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    BareIp,
    Invalid,
    OwnName,
    LiteralMismatch,
    Unqualified,
    Dynamic,
    RdnsMismatch,
}

impl Failure {
    /// Its name in results and notes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BareIp => "bare-ip",
            Self::Invalid => "invalid",
            Self::OwnName => "own-name",
            Self::LiteralMismatch => "literal-mismatch",
            Self::Unqualified => "unqualified",
            Self::Dynamic => "dynamic",
            Self::RdnsMismatch => "rdns-mismatch",
        }
    }

    /// What the client is told.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::BareIp => "An address in a greeting stands in brackets",
            Self::Invalid => "Your greeting is neither a domain name nor an address literal",
            Self::OwnName => "You are not me",
            Self::LiteralMismatch => "Your greeting names another address than yours",
            Self::Unqualified => "Greet with a fully qualified domain name",
            Self::Dynamic => "Your greeting looks like that of a dynamic line",
            Self::RdnsMismatch => "Your greeting and your reverse DNS disagree",
        }
    }
}

/// The checks that fail, in the order in which they matter, with what is to become of each.
pub(crate) fn failed(c: &Connection, config: &Config) -> Vec<(Failure, Check)> {
    let ip = c.ip();
    let host = c.greeting();
    let failures = match literal(host) {
        Some(literal) => literal_failures(literal, ip, c),
        None if host.parse::<IpAddr>().is_ok() => [Some(Failure::BareIp), own(host, c, config), None],
        None if !is_domain(host) => [Some(Failure::Invalid), None, None],
        None if !host.contains('.') => [own(host, c, config), Some(Failure::Unqualified), None],
        None => [own(host, c, config), dynamic(host, ip), mismatch(host, c)],
    };
    let wanted = |failure: Failure| Some((failure, wish(failure, config))).filter(|(_, check)| *check != Check::Off);
    failures.into_iter().flatten().filter_map(wanted).collect()
}

fn wish(failure: Failure, config: &Config) -> Check {
    let checks = &config.checks;
    match failure {
        Failure::BareIp => checks.bare_ip,
        Failure::Invalid => checks.invalid,
        Failure::OwnName => checks.own_name,
        Failure::LiteralMismatch => checks.literal_mismatch,
        Failure::Unqualified => checks.unqualified,
        Failure::Dynamic => checks.dynamic,
        Failure::RdnsMismatch => checks.rdns_mismatch,
    }
}

/// What stands between brackets.
fn literal(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

fn literal_failures(literal: &str, ip: Option<IpAddr>, c: &Connection) -> [Option<Failure>; 3] {
    // RFC 5321 section 4.1.3: `[192.0.2.1]` and `[IPv6:2001:db8::1]`.
    let address = match literal.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => literal[5..].parse().map(IpAddr::V6).ok(),
        _ => literal.parse().map(IpAddr::V4).ok(),
    };
    match address {
        None => [Some(Failure::Invalid), None, None],
        Some(address) if Some(address) == ip => [None; 3],
        Some(address) => {
            let own = c.local.ip.parse() == Ok(address);
            [own.then_some(Failure::OwnName), Some(Failure::LiteralMismatch), None]
        }
    }
}

fn own(host: &str, c: &Connection, config: &Config) -> Option<Failure> {
    let ours = host.eq_ignore_ascii_case(&c.local.host)
        || host == c.local.ip
        || config.own_names.iter().any(|name| host.eq_ignore_ascii_case(name));
    ours.then_some(Failure::OwnName)
}

/// RFC 5321 section 2.3.5, with underscores, which harmless hosts have, and U-labels (RFC 6531).
fn is_domain(host: &str) -> bool {
    let label = |label: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (!c.is_ascii() && !c.is_control());
        let hyphens = label.starts_with('-') || label.ends_with('-');
        (1..=63).contains(&label.len()) && !hyphens && label.chars().all(good)
    };
    // All digits in the last label is an address gone wrong, such as 300.1.2.3.
    let digits = |label: &str| label.bytes().all(|octet| octet.is_ascii_digit());
    host.len() <= 255 && host.split('.').all(label) && !host.rsplit('.').next().is_none_or(digits)
}

/// Whether the client's address is written into its name: forwards or backwards, in decimal or as one hexadecimal
/// number. `dsl-203-0-113-9.example.net`, `9.113.0.203.dyn.example.net`, `cb007109.pool.example.net`.
fn dynamic(host: &str, ip: Option<IpAddr>) -> Option<Failure> {
    let Some(IpAddr::V4(ip)) = ip else { return None };
    (holds_numbers(host, ip) || holds_hexadecimal(host, ip)).then_some(Failure::Dynamic)
}

fn holds_numbers(host: &str, ip: Ipv4Addr) -> bool {
    let forwards = ip.octets().map(u32::from);
    let [a, b, c, d] = forwards;
    let backwards = [d, c, b, a];
    let mut window = [u32::MAX; 4];
    let runs = host.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
    for number in runs.map(|run| run.parse().unwrap_or(u32::MAX)) {
        window.rotate_left(1);
        window[3] = number;
        if window == forwards || window == backwards {
            return true;
        }
    }
    false
}

fn holds_hexadecimal(host: &str, ip: Ipv4Addr) -> bool {
    let number = u32::from(ip);
    let label = |label: &str| label.len() == 8 && u32::from_str_radix(label, 16) == Ok(number);
    host.split(['.', '-']).any(label)
}

/// A name agrees with the one by reverse DNS when they share their last two labels.
fn mismatch(host: &str, c: &Connection) -> Option<Failure> {
    let rdns = c.remote.host.as_deref()?;
    let agree = tail(host).eq_ignore_ascii_case(tail(rdns));
    (!agree).then_some(Failure::RdnsMismatch)
}

/// The last two labels. Without a list of public suffixes `a.co.uk` and `b.co.uk` agree: a check that only records may
/// err on that side.
fn tail(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.rmatch_indices('.').nth(1).map_or(host, |(at, _)| &host[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(c: &Connection) -> Vec<&'static str> {
        failed(c, &Config::default()).into_iter().map(|(failure, _)| failure.name()).collect()
    }

    fn says(host: &str) -> Vec<&'static str> {
        names(&Connection::example().says(host))
    }

    #[test]
    fn every_greeting_is_told_what_is_wrong_with_it() {
        for (host, expected) in [
            ("mail.example.org", &[][..]),
            ("m\u{fc}ller.example", &[]),
            ("[203.0.113.9]", &[]),
            ("203.0.113.9", &["bare-ip"]),
            ("2001:db8::1", &["bare-ip"]),
            ("192.0.2.25", &["bare-ip", "own-name"]),
            ("mx.example.test", &["own-name"]),
            ("MX.Example.Test", &["own-name"]),
            ("[192.0.2.25]", &["own-name", "literal-mismatch"]),
            ("[127.0.0.1]", &["literal-mismatch"]),
            ("[IPv6:2001:db8::1]", &["literal-mismatch"]),
            ("[nonsense]", &["invalid"]),
            ("[]", &["invalid"]),
            ("", &["invalid"]),
            ("two words", &["invalid"]),
            ("-a.example", &["invalid"]),
            ("a..example", &["invalid"]),
            ("300.1.2.3", &["invalid"]),
            ("localhost", &["unqualified"]),
            ("dsl-203-0-113-9.example.net", &["dynamic"]),
            ("9.113.0.203.dyn.example.net", &["dynamic"]),
            ("ppp.203.000.113.009.example.net", &["dynamic"]),
            ("cb007109.pool.example.net", &["dynamic"]),
            ("mx9.dc113.example.net", &[]),
        ] {
            assert_eq!(says(host), expected, "{host}");
        }
    }

    #[test]
    fn the_name_agrees_with_reverse_dns_when_the_domain_does() {
        let c = Connection::example().from_host("out-7.example.org");
        assert_eq!(names(&c.clone().says("mail.example.org")), [""; 0]);
        assert_eq!(names(&c.clone().says("EXAMPLE.org")), [""; 0]);
        assert_eq!(names(&c.says("mail.example.net")), ["rdns-mismatch"]);
    }

    #[test]
    fn a_greeting_by_ipv6_literal_is_compared_as_an_address() {
        let c = Connection::example().from_ip("2001:db8::1").says("[ipv6:2001:DB8:0::1]");
        assert_eq!(names(&c), [""; 0]);
    }
}
