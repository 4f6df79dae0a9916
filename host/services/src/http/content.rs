//! What is sent with a request.

use std::future::Future;
use std::io;
use std::pin::Pin;

/// What a piece of content comes in.
pub type Piece<'a> = Pin<Box<dyn Future<Output = io::Result<Option<Vec<u8>>>> + Send + 'a>>;

/// What is sent with a request and is in nobody's memory as a whole.
pub trait Content: Send {
    /// Octets in all.
    fn size(&self) -> u64;

    /// The next of them; none at the end.
    fn next(&mut self) -> Piece<'_>;
}

/// What is in memory.
pub(super) struct InMemory(pub(super) Vec<u8>);

impl Content for InMemory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn next(&mut self) -> Piece<'_> {
        let octets = std::mem::take(&mut self.0);
        Box::pin(async { Ok(Some(octets).filter(|octets| !octets.is_empty())) })
    }
}
