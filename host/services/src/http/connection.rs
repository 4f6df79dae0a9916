//! From an origin to a connection, and the secure one within.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Host;

use super::origin::Origin;
use crate::dial::{Dial, Stream};
use crate::reach::Reach;
use crate::{Failure, dns};

/// Connects to an origin, within the time, at an address that may be reached.
pub(super) async fn connect(
    origin: &Origin,
    reach: &Reach,
    resolver: &dns::Resolver,
    tls: &Arc<ClientConfig>,
    time: Duration,
) -> Result<Box<dyn Stream>, Failure> {
    let dial = Dial { reach, resolver, capability: "http" };
    let tcp = dial.connect(&origin.host, origin.port, time).await?;
    if origin.is_secure { secure(tcp, &origin.host, tls).await } else { Ok(Box::new(tcp)) }
}

async fn secure(tcp: TcpStream, host: &Host, tls: &Arc<ClientConfig>) -> Result<Box<dyn Stream>, Failure> {
    let name = match host {
        Host::Ipv4(ip) => ServerName::from(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => ServerName::from(IpAddr::V6(*ip)),
        Host::Domain(name) => ServerName::try_from(name.clone())
            .map_err(|_| Failure::Invalid(format!("{name} is no name that a certificate could have")))?,
    };
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await;
    let stream = stream.map_err(|error| Failure::Unavailable(format!("no secure connection: {error}")))?;
    Ok(Box::new(stream))
}
