//! Where a service is: what the operator lists.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use url::Host;

/// Octets of a socket's path, with the NUL behind it (`sun_path` of Linux).
const PATH_MAX: usize = 108;

/// Where a service is. Two that are written differently and mean the same are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `ADDRESS:PORT`, `[ADDRESS]:PORT` for IPv6.
    Address(SocketAddr),
    /// `NAME:PORT`.
    Name(String, u16),
    /// `unix:PATH`.
    Unix(PathBuf),
}

/// It is no endpoint; why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no endpoint such as 127.0.0.1:3310, clamd.example.com:3310 or unix:/run/clamav/clamd.ctl: {why}")]
pub struct EndpointError {
    text: String,
    why: String,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let parsed = match text.strip_prefix("unix:") {
            Some(path) => socket(path),
            None => host_and_port(text),
        };
        parsed.map_err(|why| EndpointError { text: text.escape_default().to_string(), why })
    }
}

fn socket(path: &str) -> Result<Endpoint, String> {
    if !path.starts_with('/') {
        return Err("the path does not begin with a slash".to_owned());
    }
    if path.contains('\0') || path.len() >= PATH_MAX {
        return Err(format!("a socket's path has at most {} octets, and no NUL", PATH_MAX - 1));
    }
    Ok(Endpoint::Unix(PathBuf::from(path)))
}

fn host_and_port(text: &str) -> Result<Endpoint, String> {
    let (host, port) = text.rsplit_once(':').ok_or("there is no port")?;
    let is_number = port.bytes().all(|octet| octet.is_ascii_digit());
    let port = port.parse::<u16>().ok().filter(|port| is_number && *port != 0);
    let port = port.ok_or("the port is no number from 1 to 65535")?;
    let host = Host::parse(host.strip_suffix('.').unwrap_or(host)).map_err(|error| error.to_string())?;
    Ok(match host {
        Host::Domain(name) => Endpoint::Name(name, port),
        Host::Ipv4(ip) => Endpoint::Address(SocketAddr::new(IpAddr::V4(ip), port)),
        Host::Ipv6(ip) => Endpoint::Address(SocketAddr::new(IpAddr::V6(ip), port)),
    })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_host_and_port_or_a_socket() {
        let endpoint = |text: &str| text.parse::<Endpoint>().map(|endpoint| endpoint.to_string());
        for (text, told) in [
            ("127.0.0.1:3310", "127.0.0.1:3310"),
            ("[::1]:3310", "[::1]:3310"),
            ("[0:0::1]:3310", "[::1]:3310"),
            ("Clamd.Example.com.:3310", "clamd.example.com:3310"),
            ("localhost:783", "localhost:783"),
            ("unix:/run/clamav/clamd.ctl", "unix:/run/clamav/clamd.ctl"),
        ] {
            assert_eq!(endpoint(text).unwrap(), told, "{text}");
        }
        let long = format!("unix:/{}", "x".repeat(107));
        for bad in [
            "",
            "clamd",
            "clamd:",
            "clamd:0",
            "clamd:65536",
            "clamd:+1",
            ":3310",
            "::1:3310",
            "a b:1",
            "a/b:1",
            "u@a:1",
            "http://a:1",
            "unix:",
            "unix:run/x",
            "unix:/a\0b",
            &long,
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
        let told = endpoint("a\r\nb:1").unwrap_err().to_string();
        assert!(!told.contains('\n'), "{told}");
    }
}
