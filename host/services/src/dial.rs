//! From a host to a connection: resolve, judge, connect.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Host;

use crate::Failure;
use crate::dns::{self, Data, Query, RecordType};
use crate::reach::Reach;

/// Addresses of one name that are tried; each has its part of the time.
const ADDRESSES_MAX: usize = 4;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// How one binding connects.
#[derive(Clone, Copy)]
pub(crate) struct Dial<'a> {
    pub(crate) reach: &'a Reach,
    pub(crate) resolver: &'a dns::Resolver,
    /// Whose settings a refusal names.
    pub(crate) capability: &'static str,
}

impl Dial<'_> {
    /// Connects, within the time, at an address that may be reached.
    ///
    /// The addresses are judged after the name was resolved, and connected to as they are: a name that leads elsewhere
    /// the next time it is asked for changes nothing.
    pub(crate) async fn connect(&self, host: &Host, port: u16, time: Duration) -> Result<TcpStream, Failure> {
        let mut addresses = resolve(host, self.resolver).await?;
        if addresses.is_empty() {
            return Err(Failure::Unavailable(format!("{host} has no address")));
        }
        addresses.retain(|ip| self.reach.allows(*ip));
        if addresses.is_empty() {
            let own = self.capability;
            let why = format!("{host} leads to no address that may be reached; see {own}.private and {own}.addresses");
            return Err(Failure::Invalid(why));
        }
        addresses.truncate(ADDRESSES_MAX);
        open(&addresses, port, time).await
    }
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
pub(crate) async fn open(addresses: &[IpAddr], port: u16, time: Duration) -> Result<TcpStream, Failure> {
    let part = time / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let mut failure = Failure::TimedOut;
    for ip in addresses {
        match timeout(part, TcpStream::connect(SocketAddr::new(*ip, port))).await {
            Ok(Ok(tcp)) => {
                // What is sent is whole; nothing else will come that it could wait for.
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Ok(Err(error)) => failure = unreachable(&error),
            Err(_) => failure = Failure::TimedOut,
        }
    }
    Err(failure)
}

/// Nobody takes the connection.
pub(crate) fn unreachable(error: &std::io::Error) -> Failure {
    Failure::Unavailable(format!("failed to connect: {}", error.kind()))
}
