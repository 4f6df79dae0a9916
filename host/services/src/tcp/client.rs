//! Whom one binding may speak with, and how much.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use super::connection::Connection;
use super::conversations::{Conversations, Used};
use super::endpoint::Endpoint;
use super::network::Network;
use crate::Failure;
use crate::rate::Rate;
use crate::reach::Reach;

/// Octets that one call of [`Client::receive`] or [`Client::receive_until`] gives at most: as one read of a message.
const RECEIVE_MAX: usize = 64 << 10;
/// Octets of a delimiter: lines, and the boundaries of RFC 2046.
const DELIMITER_MAX: usize = 128;
/// Octets of a chunk in front of which its length stands.
const CHUNK: usize = 64 << 10;

/// How much one binding may say and hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Connections in one hook call, failed ones counted.
    pub connections: u32,
    /// Connections in a second.
    pub rate: u32,
    /// Connections at once; more wait, and their time runs.
    pub concurrency: usize,
    /// Octets sent in one hook call, framing included.
    pub sent: u64,
    /// Octets received in one hook call.
    pub received: u64,
    /// Until a connection stands, from waiting for a place on.
    pub connect_timeout: Duration,
    /// For all that one hook call says and hears, from its first connection on.
    pub timeout: Duration,
}

impl Default for Quota {
    fn default() -> Self {
        // A service and those that stand in for it; a large message, and a verdict.
        Self {
            connections: 5,
            rate: 100,
            concurrency: 20,
            sent: 64 << 20,
            received: 1 << 20,
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(8),
        }
    }
}

/// How octets of a [`Source`] are marked off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Not at all.
    None,
    /// Chunks of 64 KiB at most, in front of each its length as four octets, the most significant first. The empty chunk
    /// that is an end for some is not sent.
    LengthPrefixedChunks,
}

/// The next octets of a source.
pub type Octets<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<u8>>> + Send + 'a>>;

/// Octets that lie elsewhere and are read as they are sent.
pub trait Source: Send {
    /// How many there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `max` octets from `offset` on; none at the end only.
    fn read(&mut self, offset: u64, max: usize) -> Octets<'_>;
}

/// A binding's way out. Clones share the quotas.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    network: Arc<Network>,
    endpoints: Vec<Endpoint>,
    reach: Reach,
    quota: Quota,
    rate: Rate,
    slots: Arc<Semaphore>,
}

impl Client {
    /// A way to these endpoints, with quotas of its own.
    #[must_use]
    pub fn new(network: Arc<Network>, endpoints: Vec<Endpoint>, reach: Reach, quota: Quota) -> Self {
        let rate = Rate::new(quota.rate, Instant::now());
        let slots = Arc::new(Semaphore::new(quota.concurrency.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Inner { network, endpoints, reach, quota, rate, slots }))
    }

    /// Connects to one of the endpoints; the connection's number.
    ///
    /// # Errors
    /// When it is none of them, leads where it may not, a quota or the time is used up, or nobody takes the connection.
    pub async fn connect(&self, all: &mut Conversations, endpoint: &str) -> Result<u32, Failure> {
        let own = &*self.0;
        own.count(&mut all.used)?;
        let endpoint: Endpoint = endpoint.parse().map_err(|error| Failure::Invalid(format!("{error}")))?;
        if !own.network.is_list() && !own.endpoints.contains(&endpoint) {
            return Err(Failure::Invalid(format!("{endpoint} is not among tcp.endpoints")));
        }
        let now = Instant::now();
        let until = *all.used.until.get_or_insert(now + own.quota.timeout);
        if now >= until {
            return Err(Failure::TimedOut);
        }
        let connecting = timeout_at(until.min(now + own.quota.connect_timeout).into(), own.connect(&endpoint));
        let connection = connecting.await.unwrap_or(Err(Failure::TimedOut))?;
        Ok(all.add(connection))
    }

    /// Sends all octets.
    ///
    /// # Errors
    /// When there is no such connection, nothing can be sent on it any more, a quota or the time is used up.
    pub async fn send(&self, all: &mut Conversations, number: u32, octets: &[u8]) -> Result<(), Failure> {
        let (connection, used, until) = all.get(number)?;
        self.spend(used, octets.len() as u64)?;
        connection.send(octets, until).await
    }

    /// Sends all octets of a source; how many these were, without their framing. A quota that is too small is known
    /// before the first one is sent.
    ///
    /// # Errors
    /// As [`Client::send`], and when the source cannot be read.
    pub async fn send_source(
        &self,
        all: &mut Conversations,
        number: u32,
        source: &mut dyn Source,
        framing: Framing,
    ) -> Result<u64, Failure> {
        let (connection, used, until) = all.get(number)?;
        let len = source.len();
        let framed = match framing {
            Framing::None => 0,
            Framing::LengthPrefixedChunks => 4 * len.div_ceil(CHUNK as u64),
        };
        self.spend(used, len + framed)?;
        let mut offset = 0;
        while offset < len {
            let size = usize::try_from(len - offset).unwrap_or(CHUNK).min(CHUNK);
            let read = timeout_at(until.into(), chunk(source, offset, size, framing)).await;
            let chunk = read.unwrap_or(Err(Failure::TimedOut));
            let chunk = chunk.inspect_err(|why| connection.give_up(why))?;
            connection.send(&chunk, until).await?;
            offset += size as u64;
        }
        Ok(len)
    }

    /// What has come, or comes next: at most so many octets, and 64 KiB; none at the end only.
    ///
    /// # Errors
    /// When there is no such connection, it was lost, a quota or the time is used up.
    pub async fn receive(&self, all: &mut Conversations, number: u32, max: usize) -> Result<Vec<u8>, Failure> {
        let (connection, used, until) = all.get(number)?;
        let max = limited(max)?;
        if connection.come.is_empty() {
            self.more(connection, used, max, until).await?;
        }
        let len = connection.come.len().min(max);
        Ok(connection.come.drain(..len).collect())
    }

    /// What comes, up to a delimiter and with it; without it what there was before the end, so nothing at the end only.
    ///
    /// # Errors
    /// As [`Client::receive`], and when it does not come within so many octets, or 64 KiB. What has come is then still to be
    /// received.
    pub async fn receive_until(
        &self,
        all: &mut Conversations,
        number: u32,
        delimiter: &[u8],
        max: usize,
    ) -> Result<Vec<u8>, Failure> {
        let (connection, used, until) = all.get(number)?;
        let max = limited(max)?;
        if delimiter.is_empty() || delimiter.len() > DELIMITER_MAX.min(max) {
            return Err(Failure::Invalid(format!("a delimiter has 1 to {} octets", DELIMITER_MAX.min(max))));
        }
        let mut looked = 0;
        loop {
            let come = &mut connection.come;
            if let Some(at) = find(&come[..come.len().min(max)], delimiter, looked) {
                return Ok(come.drain(..at + delimiter.len()).collect());
            }
            if come.len() >= max {
                return Err(Failure::Unavailable(format!("there is no delimiter in the first {max} octets")));
            }
            looked = come.len().saturating_sub(delimiter.len() - 1);
            let room = max - come.len();
            if self.more(connection, used, room, until).await? == 0 {
                return Ok(std::mem::take(&mut connection.come));
            }
        }
    }

    /// Nothing more will be sent: the peer hears the end, and can still answer.
    ///
    /// # Errors
    /// When there is no such connection, it was lost, or nothing could be sent on it any more.
    pub async fn finish(&self, all: &mut Conversations, number: u32) -> Result<(), Failure> {
        let (connection, _, until) = all.get(number)?;
        connection.finish(until).await
    }

    fn spend(&self, used: &mut Used, octets: u64) -> Result<(), Failure> {
        let sent = used.sent.saturating_add(octets);
        if sent > self.0.quota.sent {
            return Err(Failure::QuotaExceeded("tcp.sent"));
        }
        used.sent = sent;
        Ok(())
    }

    /// Waits for more; one octet beyond the quota shows that it is used up.
    async fn more(
        &self,
        connection: &mut Connection,
        used: &mut Used,
        room: usize,
        until: Instant,
    ) -> Result<usize, Failure> {
        let left = self.0.quota.received.saturating_sub(used.received);
        let room = room.min(usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX));
        let come = connection.more(room, until).await?;
        used.received = used.received.saturating_add(come as u64);
        if used.received > self.0.quota.received {
            return Err(Failure::QuotaExceeded("tcp.received"));
        }
        Ok(come)
    }
}

impl Inner {
    fn count(&self, used: &mut Used) -> Result<(), Failure> {
        if used.connections >= self.quota.connections {
            return Err(Failure::QuotaExceeded("tcp.connections"));
        }
        used.connections += 1;
        if self.rate.take(Instant::now()) { Ok(()) } else { Err(Failure::QuotaExceeded("tcp.rate")) }
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, Failure> {
        let places = [place(&self.slots).await?, place(&self.network.slots).await?];
        let stream = self.network.connect(endpoint, &self.reach, self.quota.connect_timeout).await?;
        Ok(Connection::new(stream, places))
    }
}

async fn place(slots: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    let closed = |_| Failure::Unavailable("the server is stopping".to_owned());
    Arc::clone(slots).acquire_owned().await.map_err(closed)
}

/// So many octets of a source, with what marks them off.
async fn chunk(source: &mut dyn Source, offset: u64, len: usize, framing: Framing) -> Result<Vec<u8>, Failure> {
    let mark = match framing {
        Framing::None => Vec::new(),
        Framing::LengthPrefixedChunks => (len as u32).to_be_bytes().to_vec(),
    };
    let (mut octets, whole) = (mark.clone(), mark.len() + len);
    while octets.len() < whole {
        let done = octets.len() - mark.len();
        let more = source.read(offset + done as u64, len - done).await;
        let more = more.ok().filter(|more| !more.is_empty() && more.len() <= len - done);
        // The guest need not know our paths.
        octets.extend(more.ok_or_else(|| Failure::Unavailable("the message cannot be read back".to_owned()))?);
    }
    Ok(octets)
}

fn limited(max: usize) -> Result<usize, Failure> {
    if max == 0 {
        // It could not be told from the end.
        return Err(Failure::Invalid("nothing can be received into no octet".to_owned()));
    }
    Ok(max.min(RECEIVE_MAX))
}

/// Where the delimiter begins, no sooner than at `from`.
fn find(octets: &[u8], delimiter: &[u8], from: usize) -> Option<usize> {
    let rest = octets.get(from..)?;
    rest.windows(delimiter.len()).position(|window| window == delimiter).map(|at| from + at)
}
