//! What the tests of this crate share.

use std::future::Future;
use std::io;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::SystemTime;

use crate::{Body, BoxFuture};
use wasmail_mail::{Connection, Counters, Local, Proxy, Remote};

/// A connection from a documentation net.
pub(crate) fn connection() -> Connection {
    let ip = [192, 0, 2, 1].into();
    Connection {
        uuid: "u".into(),
        remote: Remote::new(ip, 1),
        local: Local { ip, port: 25, host: "mx.example.test".into(), info: "wasmail".into() },
        proxy: Proxy::default(),
        hello: None,
        tls: None,
        auth: None,
        relaying: false,
        current_line: Vec::new(),
        last_response: String::new(),
        counters: Counters::default(),
        started: SystemTime::UNIX_EPOCH,
    }
}

/// A body in memory.
pub(crate) struct Memory(pub(crate) Vec<u8>);

impl Body for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.0.get(at..)).unwrap_or_default();
        let octets = rest[..rest.len().min(len)].to_vec();
        Box::pin(async { Ok(octets) })
    }
}

/// Runs a future whose plugins all answer at once.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a plugin of this test waits"),
    }
}
