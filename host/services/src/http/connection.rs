//! From an origin to a connection: resolve, judge, connect.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Host;

use super::address::Reach;
use super::origin::Origin;
use crate::Failure;
use crate::dns::{self, Data, Query, RecordType};

/// Addresses of one name that are tried; each has its part of the time.
const ADDRESSES_MAX: usize = 4;

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Connects to an origin, within the time, at an address that may be reached.
///
/// The addresses are judged after the name was resolved, and connected to as they are: a name that leads elsewhere the
/// next time it is asked for changes nothing.
pub(super) async fn connect(
    origin: &Origin,
    reach: &Reach,
    resolver: &dns::Resolver,
    tls: &Arc<ClientConfig>,
    time: Duration,
) -> Result<Box<dyn Stream>, Failure> {
    let mut addresses = resolve(&origin.host, resolver).await?;
    if addresses.is_empty() {
        return Err(Failure::Unavailable(format!("{} has no address", origin.host)));
    }
    addresses.retain(|ip| reach.allows(*ip));
    if addresses.is_empty() {
        let host = &origin.host;
        let why = format!("{host} leads to no address that may be reached; see http.private and http.addresses");
        return Err(Failure::Invalid(why));
    }
    addresses.truncate(ADDRESSES_MAX);
    let tcp = open(&addresses, origin.port, time).await?;
    if origin.is_secure { secure(tcp, &origin.host, tls).await } else { Ok(Box::new(tcp)) }
}

async fn resolve(host: &Host, resolver: &dns::Resolver) -> Result<Vec<IpAddr>, Failure> {
    let name = match host {
        Host::Ipv4(ip) => return Ok(vec![IpAddr::V4(*ip)]),
        Host::Ipv6(ip) => return Ok(vec![IpAddr::V6(*ip)]),
        Host::Domain(name) => name,
    };
    let _slot = resolver.slots.acquire().await.map_err(|_| Failure::TimedOut)?;
    let query = |record_type| Query { name: name.clone(), record_type };
    let (a, aaaa) = (query(RecordType::A), query(RecordType::Aaaa));
    let (a, aaaa) = tokio::join!(resolver.ask(&a), resolver.ask(&aaaa));
    if let (Err(failure), Err(_)) = (&a, &aaaa) {
        return Err(failure.clone());
    }
    let records = [a, aaaa].into_iter().flatten().flat_map(|answer| answer.records);
    let address = |data| match data {
        Data::A(ip) => Some(IpAddr::V4(ip)),
        Data::Aaaa(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    };
    Ok(records.filter_map(|record| address(record.data)).collect())
}

/// The first address that answers.
async fn open(addresses: &[IpAddr], port: u16, time: Duration) -> Result<TcpStream, Failure> {
    let part = time / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let mut failure = Failure::TimedOut;
    for ip in addresses {
        match timeout(part, TcpStream::connect(SocketAddr::new(*ip, port))).await {
            Ok(Ok(tcp)) => {
                // What is sent is whole; nothing else will come that it could wait for.
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Ok(Err(error)) => failure = Failure::Unavailable(format!("failed to connect: {}", error.kind())),
            Err(_) => failure = Failure::TimedOut,
        }
    }
    Err(failure)
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
