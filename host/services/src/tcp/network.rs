//! What all bindings share: the resolver, and the places for connections.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;

use super::endpoint::Endpoint;
use crate::dial::{self, Dial, Stream};
use crate::reach::Reach;
use crate::{Failure, dns};

/// The way out, for all bindings.
#[derive(Debug)]
pub struct Network {
    source: Source,
    pub(super) slots: Arc<Semaphore>,
}

#[derive(Debug)]
enum Source {
    Sockets(Option<Arc<dns::Resolver>>),
    List(HashMap<Endpoint, Result<Vec<u8>, Failure>>),
}

impl Network {
    /// Has so many connections at once, of all bindings together. Without a resolver no name leads anywhere.
    #[must_use]
    pub fn new(resolver: Option<Arc<dns::Resolver>>, concurrency: usize) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { source: Source::Sockets(resolver), slots })
    }

    /// Has services that say what a list says, whatever they hear, and hang up: for rehearsals. Who is not listed is not
    /// there.
    #[must_use]
    pub fn of_list(list: impl IntoIterator<Item = (Endpoint, Result<Vec<u8>, Failure>)>) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Arc::new(Self { source: Source::List(list.into_iter().collect()), slots })
    }

    /// Whether anybody may be asked for, because the list says who is there.
    pub(super) const fn is_list(&self) -> bool {
        matches!(self.source, Source::List(_))
    }

    pub(super) async fn connect(
        &self,
        endpoint: &Endpoint,
        reach: &Reach,
        time: Duration,
    ) -> Result<Box<dyn Stream>, Failure> {
        match (&self.source, endpoint) {
            (Source::List(list), endpoint) => {
                let nobody = || Err(Failure::Unavailable("nobody answers there".to_owned()));
                let says = list.get(endpoint).cloned().unwrap_or_else(nobody)?;
                Ok(Box::new(tokio::io::join(Cursor::new(says), tokio::io::sink())))
            }
            // The operator has listed this very address, and need not say so twice.
            (Source::Sockets(_), Endpoint::Address(address)) => {
                let tcp: TcpStream = dial::open(&[address.ip()], address.port(), time).await?;
                Ok(Box::new(tcp))
            }
            (Source::Sockets(_), Endpoint::Unix(path)) => {
                let stream = UnixStream::connect(path).await.map_err(|error| dial::unreachable(&error))?;
                Ok(Box::new(stream))
            }
            (Source::Sockets(resolver), Endpoint::Name(name, port)) => {
                let nobody = || Failure::Unavailable("there is no name server".to_owned());
                let dial = Dial { reach, resolver: resolver.as_ref().ok_or_else(nobody)?, capability: "tcp" };
                Ok(Box::new(dial.connect(&url::Host::Domain(name.clone()), *port, time).await?))
            }
        }
    }
}
