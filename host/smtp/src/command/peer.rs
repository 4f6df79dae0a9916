//! What a trusted peer says of its client: XCLIENT and XFORWARD, as Postfix has them (XCLIENT_README, XFORWARD_README).

use std::net::{IpAddr, Ipv6Addr};

use wasmail_mail::{Hello, HelloVerb};

use super::{CommandError, hello};

/// Attributes of XCLIENT, as EHLO lists them.
pub(crate) const XCLIENT: &str = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";
/// Attributes of XFORWARD, as EHLO lists them.
pub(crate) const XFORWARD: &str = "NAME ADDR PORT PROTO HELO IDENT SOURCE";
/// Octets of a value once it is decoded: those of a domain, and of a user.
const VALUE_MAX: usize = 255;

/// An attribute: none where the peer says that it does not know.
type Said<T> = Option<Option<T>>;

/// What the peer says; what it does not speak of stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientFacts {
    /// The client's name by reverse DNS, confirmed.
    pub name: Said<String>,
    /// Its address.
    pub address: Said<IpAddr>,
    /// Its port.
    pub port: Said<u16>,
    /// Its greeting.
    pub hello: Said<Hello>,
    /// Who it has authenticated as.
    pub login: Said<String>,
    /// The address to which it has connected.
    pub local_address: Said<IpAddr>,
    /// And the port.
    pub local_port: Said<u16>,
}

impl ClientFacts {
    /// Reads `NAME=value ...`, where `known` are the names.
    pub(super) fn parse(argument: &str, known: &str) -> Result<Self, CommandError> {
        let mut facts = Self::default();
        let (mut verb, mut host) = (HelloVerb::Ehlo, None);
        if argument.is_empty() {
            return Err(CommandError::NoArgument);
        }
        for word in argument.split(' ').filter(|word| !word.is_empty()) {
            let (name, value) = word.split_once('=').ok_or(CommandError::PeerAttribute)?;
            let name = name.to_ascii_uppercase();
            if !known.split(' ').any(|other| other == name) {
                return Err(CommandError::PeerAttribute);
            }
            let value = decoded(value)?;
            let is_known = !["[UNAVAILABLE]", "[TEMPUNAVAIL]"].iter().any(|none| value.eq_ignore_ascii_case(none));
            let value = is_known.then_some(value);
            match name.as_str() {
                "NAME" => facts.name = Some(value.map(|text| plain(text, ".-_")).transpose()?),
                "ADDR" => facts.address = Some(value.map(address).transpose()?),
                "PORT" => facts.port = Some(value.map(port).transpose()?),
                "DESTADDR" => facts.local_address = Some(value.map(address).transpose()?),
                "DESTPORT" => facts.local_port = Some(value.map(port).transpose()?),
                "LOGIN" => facts.login = Some(value),
                "HELO" => host = Some(value),
                "PROTO" if value.as_deref().is_some_and(|proto| proto.eq_ignore_ascii_case("SMTP")) => {
                    verb = HelloVerb::Helo;
                }
                // IDENT and SOURCE are for others' logs.
                _ => {}
            }
        }
        facts.hello = match host {
            Some(Some(host)) => Some(Some(hello(verb, &host).map_err(|_| CommandError::PeerAttribute)?)),
            Some(None) => Some(None),
            None => None,
        };
        Ok(facts)
    }
}

/// A value as xtext (RFC 3461 §4).
fn decoded(value: &str) -> Result<String, CommandError> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = (digit(), digit());
                let octet = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                octet.ok_or(CommandError::PeerAttribute)?
            }
            _ => octet,
        });
    }
    let text = String::from_utf8(octets).map_err(|_| CommandError::PeerAttribute)?;
    let good = !text.is_empty() && text.len() <= VALUE_MAX && !text.chars().any(char::is_control);
    if good { Ok(text) } else { Err(CommandError::PeerAttribute) }
}

/// Letters, digits and these.
fn plain(text: String, more: &str) -> Result<String, CommandError> {
    let good = text.chars().all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter));
    if good { Ok(text) } else { Err(CommandError::PeerAttribute) }
}

fn address(text: String) -> Result<IpAddr, CommandError> {
    let ip = match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPV6:") => text[5..].parse::<Ipv6Addr>().map(IpAddr::V6),
        _ => text.parse(),
    };
    ip.map_err(|_| CommandError::PeerAttribute)
}

fn port(text: String) -> Result<u16, CommandError> {
    text.parse().map_err(|_| CommandError::PeerAttribute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn xclient(argument: &str) -> Result<ClientFacts, CommandError> {
        ClientFacts::parse(argument, XCLIENT)
    }

    #[test]
    fn what_a_peer_says_is_understood() {
        let facts = xclient(
            "name=spike.porcupine.org ADDR=IPv6:2001:db8::7 PORT=4711 PROTO=SMTP HELO=spike LOGIN=tim+40x DESTPORT=25",
        )
        .unwrap();
        assert_eq!(facts.name, Some(Some("spike.porcupine.org".into())));
        assert_eq!((facts.address, facts.port), (Some("2001:db8::7".parse().ok()), Some(Some(4711))));
        assert_eq!(facts.hello, Some(Some(Hello { verb: HelloVerb::Helo, host: "spike".into() })));
        assert_eq!((facts.login, facts.local_port), (Some(Some("tim@x".into())), Some(Some(25))));
        assert_eq!(facts.local_address, None);
        let facts = xclient("NAME=[UNAVAILABLE] LOGIN=[unavailable] HELO=[TEMPUNAVAIL]").unwrap();
        assert_eq!((facts.name, facts.login, facts.hello), (Some(None), Some(None), Some(None)));
        let facts = ClientFacts::parse("IDENT=4711 SOURCE=REMOTE ADDR=192.0.2.7", XFORWARD).unwrap();
        assert_eq!(facts.address, Some("192.0.2.7".parse().ok()));
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        assert_eq!(xclient(""), Err(CommandError::NoArgument));
        for argument in [
            "NAME",
            "NAME=",
            "X=1",
            "ADDR=x",
            "ADDR=1.2.3",
            "ADDR=IPV6:x",
            "PORT=65536",
            "PORT=-1",
            "NAME=a+0Ab",
            "NAME=a+4",
            "NAME=a+ZZ",
            "NAME=a(b)",
            "LOGIN=+00",
            "HELO=a+20b",
            "IDENT=1",
            "LOGIN=+FF",
        ] {
            assert_eq!(xclient(argument), Err(CommandError::PeerAttribute), "{argument}");
        }
        assert!(xclient(&format!("LOGIN={}", "x".repeat(256))).is_err());
    }

    proptest! {
        #[test]
        fn nothing_is_too_odd(argument in ".{0,80}", name in "(NAME|ADDR|PORT|HELO|LOGIN|PROTO)") {
            let _ = xclient(&argument);
            if let Ok(facts) = xclient(&format!("{name}={argument}")) {
                let texts = [facts.name.flatten(), facts.login.flatten()];
                prop_assert!(texts.iter().flatten().all(|text| !text.chars().any(char::is_control)));
            }
        }
    }
}
