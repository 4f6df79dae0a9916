//! What the tests of this crate share.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::task::{Context, Poll, Waker};

use crate::dkim::Body;
use crate::dns::{Answer, BoxFuture, Dns, Kind, Record, Unanswered};

/// A DNS that answers from a list. A name that is listed without records does not answer.
#[derive(Default)]
pub(crate) struct Zone(pub(crate) HashMap<(String, Kind), Vec<Record>>);

impl Zone {
    pub(crate) fn with_text(mut self, name: &str, text: &str) -> Self {
        self.add(name, Kind::Txt, Record::Txt(text.as_bytes().to_vec()));
        self
    }

    pub(crate) fn add(&mut self, name: &str, kind: Kind, record: Record) {
        self.0.entry((name.to_ascii_lowercase(), kind)).or_default().push(record);
    }

    pub(crate) fn silent(&mut self, name: &str, kind: Kind) {
        self.0.insert((name.to_ascii_lowercase(), kind), Vec::new());
    }
}

impl Dns for Zone {
    fn ask<'a>(&'a self, name: &'a str, kind: Kind) -> BoxFuture<'a, Answer> {
        let known = self.0.get(&(name.to_ascii_lowercase(), kind)).cloned();
        Box::pin(async move {
            match known {
                None => Ok(Vec::new()),
                Some(records) if records.is_empty() => Err(Unanswered),
                Some(records) => Ok(records),
            }
        })
    }
}

/// A body in memory.
pub(crate) struct Memory(pub(crate) Vec<u8>);

impl Body for Memory {
    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.0.get(at..)).unwrap_or_default();
        let octets = rest[..rest.len().min(len)].to_vec();
        Box::pin(async { Ok(octets) })
    }
}

/// Runs a future that waits for nothing but its next turn.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut task = Context::from_waker(Waker::noop());
    for _ in 0..100_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut task) {
            return value;
        }
    }
    panic!("this test waits for ever");
}
