//! The header of the PROXY protocol, versions 1 and 2 (haproxy.org, doc/proxy-protocol.txt).

use std::net::SocketAddr;

use proxy_header::{Error, ParseConfig, ProxiedAddress, ProxyHeader};

/// Octets that a header may have. Addresses need 52 at most; version 2 adds what TLS said, and may have 64 KiB.
pub const HEADER_MAX: usize = 4 * 1024;

/// Both ends of a connection to a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proxied {
    /// The client's.
    pub source: SocketAddr,
    /// The proxy's, to which the client has connected.
    pub destination: SocketAddr,
}

/// What stands at the front of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// A header, which ends before this octet. It tells of nobody when the proxy speaks for itself, as health checks do, or does
    /// not know.
    Whole(Option<Proxied>, usize),
    /// It may become one.
    Begun,
    /// It is none, or one that is too long.
    None,
}

/// Reads the header at the front of these octets.
#[must_use]
pub fn parse(octets: &[u8]) -> Header {
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let seen = &octets[..octets.len().min(HEADER_MAX)];
    match ProxyHeader::parse(seen, config) {
        Ok((header, end)) => Header::Whole(header.proxied_address().map(proxied), end),
        Err(Error::BufferTooShort) if octets.len() < HEADER_MAX => Header::Begun,
        Err(_) => Header::None,
    }
}

fn proxied(address: &ProxiedAddress) -> Proxied {
    Proxied { source: address.source, destination: address.destination }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\x02\x07\xc0\0\x02\x19\x9c\x40\0\x19\x04\0\x04abcd";

    #[test]
    fn each_beginning_of_a_header_may_become_one() {
        for header in [V2, b"PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\r\n", b"PROXY UNKNOWN\r\n"] {
            for end in 0..header.len() {
                assert_eq!(parse(&header[..end]), Header::Begun, "{:?}", &header[..end]);
            }
            let more = [header, b"EHLO client.example\r\n"].concat();
            assert!(matches!(parse(&more), Header::Whole(_, end) if end == header.len()));
        }
    }

    #[test]
    fn a_header_has_an_end() {
        let long = [&V2[..14], &[0xff, 0xff], &[0; 5_000]].concat();
        assert_eq!(parse(&long), Header::None);
        assert_eq!(parse(&long[..HEADER_MAX - 1]), Header::Begun);
        assert_eq!(parse(&[b'P'; 5_000]), Header::None);
    }

    proptest! {
        #[test]
        fn any_octets_are_a_header_or_none(octets in proptest::collection::vec(any::<u8>(), 0..120), version in 0u8..3) {
            let begin: &[u8] = match version {
                0 => b"",
                1 => b"PROXY TCP4 ",
                _ => &V2[..12],
            };
            let octets = [begin, &octets].concat();
            if let Header::Whole(_, end) = parse(&octets) {
                prop_assert!(end <= octets.len());
            }
        }
    }
}
