//! Which addresses may be connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// What may be connected to beside the addresses of the public internet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    /// Loopback, link-local, private, unique-local and shared addresses, too.
    pub private: bool,
    /// These, whatever they are.
    pub addresses: Vec<IpNet>,
}

impl Reach {
    /// Whether an address may be connected to. An IPv4 address in the clothes of IPv6 is judged as what it is.
    #[must_use]
    pub fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.addresses.iter().any(|net| net.contains(&ip))
            || match ip {
                IpAddr::V4(ip) => self.allows_v4(ip),
                IpAddr::V6(ip) => self.allows_v6(ip),
            }
    }

    fn allows_v4(&self, ip: Ipv4Addr) -> bool {
        let is_shared = matches!(ip.octets(), [100, 64..=127, ..]);
        if ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared {
            return self.private;
        }
        // RFC 6890: what is never anybody's on the internet.
        match ip.octets() {
            // "This network", of which Linux takes 0.0.0.0 for itself.
            [0, ..] => false,
            // IETF protocol assignments, and documentation.
            [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => false,
            // 6to4 relays, benchmarks.
            [192, 88, 99, _] | [198, 18..=19, ..] => false,
            // Multicast, reserved, broadcast.
            [224..=255, ..] => false,
            _ => true,
        }
    }

    fn allows_v6(&self, ip: Ipv6Addr) -> bool {
        if ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() {
            return self.private;
        }
        let [a, b, c, d, _, _, high, low] = ip.segments();
        let embedded = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
        match (a, b) {
            // NAT64 (RFC 6052): it arrives at the IPv4 address within.
            (0x64, 0xff9b) if (c, d) == (0, 0) => self.allows_v4(embedded(high, low)),
            // 6to4 (RFC 3056), likewise.
            (0x2002, high) => self.allows_v4(embedded(high, c)),
            // Teredo, ORCHID and other assignments (RFC 2928), and documentation.
            (0x2001, 0..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => false,
            // Global unicast is 2000::/3, and nothing else (RFC 4291).
            _ => a & 0xe000 == 0x2000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: [&str; 12] = [
        "127.0.0.1",
        "127.9.9.9",
        "10.0.0.1",
        "172.31.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
    ];
    const NOBODYS: [&str; 17] = [
        "0.0.0.0",
        "0.1.2.3",
        "192.0.0.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::7f00:1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "3fff::1",
        "::ffff:0.0.0.0",
        "2002:c000:0201::1",
    ];
    const PUBLIC: [&str; 6] =
        ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"];

    fn allowed<'a>(reach: &Reach, list: &[&'a str]) -> Vec<&'a str> {
        list.iter().copied().filter(|ip| reach.allows(ip.parse().unwrap())).collect()
    }

    #[test]
    fn the_public_internet_may_be_reached_and_nothing_else() {
        let reach = Reach::default();
        assert_eq!(allowed(&reach, &PRIVATE), [""; 0]);
        assert_eq!(allowed(&reach, &NOBODYS), [""; 0]);
        assert_eq!(allowed(&reach, &PUBLIC), PUBLIC);
        assert!(!reach.allows("2002:7f00:1::".parse().unwrap()), "loopback by 6to4");
    }

    #[test]
    fn private_addresses_are_reached_where_the_operator_says_so() {
        let reach = Reach { private: true, ..Reach::default() };
        assert_eq!(allowed(&reach, &PRIVATE), PRIVATE);
        assert_eq!(allowed(&reach, &NOBODYS), [""; 0]);
        let reach = Reach { addresses: vec!["10.0.0.0/8".parse().unwrap()], ..Reach::default() };
        assert_eq!(allowed(&reach, &PRIVATE), ["10.0.0.1"]);
        assert!(reach.allows("::ffff:10.1.2.3".parse().unwrap()));
    }
}
