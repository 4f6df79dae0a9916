//! What the tests of this crate share.

use std::future::Future;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::SystemTime;

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

/// Runs a future whose plugins all answer at once.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a plugin of this test waits"),
    }
}
