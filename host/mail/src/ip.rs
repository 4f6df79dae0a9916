//! Which addresses are near.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 address mapped into IPv6 (`::ffff:192.0.2.1`) as the IPv4 address that it is.
#[must_use]
pub fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Loopback and link local, the unspecified addresses too: nobody else's network can be there.
///
/// Haraka's documentation says the same; its code says more, see ARCHITECTURE.md.
#[must_use]
pub fn is_local(ip: IpAddr) -> bool {
    match canonical(ip) {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.octets()[0] == 0,
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

/// Addresses that the public Internet does not route: local ones, RFC 1918, unique local (RFC 4193), shared space of
/// carrier NAT (RFC 6598), benchmark (RFC 2544) and documentation nets (RFC 5737, RFC 3849, RFC 9637).
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    is_local(ip)
        || match canonical(ip) {
            IpAddr::V4(ip) => is_private_v4(ip),
            IpAddr::V6(ip) => is_private_v6(ip),
        }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    ip.is_private() || ip.is_documentation() || (a == 100 && b & 0xc0 == 64) || (a == 198 && b & 0xfe == 18)
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    ip.is_unique_local() || (a == 0x2001 && b == 0xdb8) || (a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_addresses_are_told_from_far_ones() {
        for (ip, private, local) in [
            ("127.0.0.1", true, true),
            ("169.254.1.1", true, true),
            ("::1", true, true),
            ("fe80::1", true, true),
            ("::ffff:127.0.0.1", true, true),
            ("10.1.2.3", true, false),
            ("172.31.0.1", true, false),
            ("172.32.0.1", false, false),
            ("192.168.1.1", true, false),
            ("100.64.0.1", true, false),
            ("100.128.0.1", false, false),
            ("198.19.0.1", true, false),
            ("192.0.2.1", true, false),
            ("fd00::1", true, false),
            ("2001:db8::1", true, false),
            ("8.8.8.8", false, false),
            ("2606:4700::1", false, false),
        ] {
            let parsed: IpAddr = ip.parse().unwrap();
            assert_eq!((is_private(parsed), is_local(parsed)), (private, local), "{ip}");
        }
    }
}
