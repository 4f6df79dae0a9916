//! One connection: what it can still do, and what came and was not yet handed over.

use std::future::Future;
use std::io;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout_at;

use crate::Failure;
use crate::dial::Stream;

/// Octets that are read at once.
const READ: usize = 16 << 10;

/// One connection of a hook call.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// Why nothing can be sent any more.
    silent: Option<Failure>,
    /// Whether the peer has ended, or why nothing more can come.
    ended: Option<Result<(), Failure>>,
    /// What has come and was not yet handed over.
    pub(super) come: Vec<u8>,
    /// Its places among the binding's and among all connections.
    _places: [OwnedSemaphorePermit; 2],
}

impl Connection {
    pub(super) fn new(stream: Box<dyn Stream>, places: [OwnedSemaphorePermit; 2]) -> Self {
        Self { stream, silent: None, ended: None, come: Vec::new(), _places: places }
    }

    /// Sends all of it. After a failure nobody knows how much was sent, so nothing more is; what the peer has said can
    /// still be heard.
    pub(super) async fn send(&mut self, octets: &[u8], until: Instant) -> Result<(), Failure> {
        if let Some(why) = &self.silent {
            return Err(why.clone());
        }
        let sent = within(until, async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        });
        let sent = sent.await;
        self.silent = sent.as_ref().err().cloned();
        sent
    }

    /// Sends nothing more, for half of something was sent.
    pub(super) fn give_up(&mut self, why: &Failure) {
        self.silent = Some(why.clone());
    }

    /// Nothing more will be sent; the peer is told.
    pub(super) async fn finish(&mut self, until: Instant) -> Result<(), Failure> {
        if let Some(why) = &self.silent {
            return Err(why.clone());
        }
        let finished = within(until, self.stream.shutdown()).await;
        let done = Failure::Invalid("nothing can be sent on a connection after `finish`".to_owned());
        self.silent = Some(finished.as_ref().err().cloned().unwrap_or(done));
        finished
    }

    /// Waits for more; how many octets have come, none at the end. `room` is how many may, one at least.
    pub(super) async fn more(&mut self, room: usize, until: Instant) -> Result<usize, Failure> {
        if let Some(ended) = &self.ended {
            return ended.clone().map(|()| 0);
        }
        let len = self.come.len();
        self.come.resize(len + room.clamp(1, READ), 0);
        let read = within(until, self.stream.read(&mut self.come[len..])).await;
        self.come.truncate(len + read.as_ref().copied().unwrap_or(0));
        match &read {
            Ok(0) => self.ended = Some(Ok(())),
            // A read after a reset looks like the end, which it is not.
            Err(why) => self.ended = Some(Err(why.clone())),
            Ok(_) => {}
        }
        read
    }
}

/// Waits, but not longer than until then; what begins later than that fails, however quick it would be.
async fn within<T>(until: Instant, doing: impl Future<Output = io::Result<T>>) -> Result<T, Failure> {
    if Instant::now() >= until {
        return Err(Failure::TimedOut);
    }
    match timeout_at(until.into(), doing).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Failure::Unavailable(format!("the connection was lost: {}", error.kind()))),
        Err(_) => Err(Failure::TimedOut),
    }
}
