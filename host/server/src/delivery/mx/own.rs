//! Whether a server is ourselves: mail that goes there comes back.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Our names and addresses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Own {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    listening: Vec<SocketAddr>,
}

impl Own {
    /// Those of a server that listens here and calls itself so.
    pub(crate) fn new(hostname: &str, listening: Vec<SocketAddr>) -> Self {
        Self { names: vec![hostname.to_owned()], addresses: Vec::new(), listening }
    }

    /// With others that the operator names, such as an address that a router hands on to us.
    pub(super) fn with(mut self, more: &[String]) -> Self {
        for text in more {
            match text.parse() {
                Ok(ip) => self.addresses.push(ip),
                Err(_) => self.names.push(text.clone()),
            }
        }
        self
    }

    pub(super) fn is_name(&self, host: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether whoever connects to this address and port comes to us.
    pub(super) fn is_address(&self, ip: IpAddr, port: u16) -> bool {
        let ip = ip.to_canonical();
        let of_listener = |listener: &SocketAddr| {
            let at = listener.ip().to_canonical();
            // [::] takes IPv4 as well.
            let takes = at == ip || (at.is_unspecified() && (at.is_ipv6() || ip.is_ipv4()) && is_of_this_machine(ip));
            listener.port() == port && takes
        };
        self.addresses.contains(&ip) || self.listening.iter().any(of_listener)
    }
}

/// Only an address of the machine's own can be bound to.
fn is_of_this_machine(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_ours_at_a_port_that_we_listen_on() {
        let listening = ["0.0.0.0:25", "127.0.0.1:2525"].map(|address| address.parse().unwrap()).to_vec();
        let own = Own::new("us.example.test", listening).with(&["203.0.113.5".into(), "mx.example.test".into()]);
        let is_own = |ip: &str, port| own.is_address(ip.parse().unwrap(), port);
        assert!(is_own("127.0.0.1", 25) && is_own("127.0.0.9", 25) && is_own("::ffff:127.0.0.1", 2525));
        assert!(!is_own("127.0.0.9", 2525), "nobody listens there");
        assert!(!is_own("192.0.2.1", 25), "no address of this machine");
        assert!(is_own("203.0.113.5", 26), "the operator says so");
        assert!(own.is_name("MX.example.test") && own.is_name("us.example.test") && !own.is_name("example.test"));
    }
}
