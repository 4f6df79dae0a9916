//! Bodies in the spool, as those read them who judge and sign.

use std::io;

/// A body of the spool.
pub(crate) struct SpooledBody {
    body: wasmail_spool::Body,
    in_memory: bool,
}

impl SpooledBody {
    /// A body; up to `inline_max` octets the spool keeps them in memory.
    pub(crate) fn new(body: wasmail_spool::Body, inline_max: u64) -> Self {
        let in_memory = body.len() <= inline_max;
        Self { body, in_memory }
    }

    /// All of it, for short ones.
    pub(crate) async fn whole(&self) -> io::Result<Vec<u8>> {
        self.read(0, usize::try_from(self.body.len()).unwrap_or(usize::MAX)).await
    }

    async fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        if self.in_memory {
            return self.body.read_at(offset, len).map(Into::into);
        }
        let body = self.body.clone();
        let read = tokio::task::spawn_blocking(move || body.read_at(offset, len));
        read.await.map_err(io::Error::other)?.map(Into::into)
    }
}

impl wasmail_policy::Body for SpooledBody {
    fn len(&self) -> u64 {
        self.body.len()
    }

    fn read_at(&self, offset: u64, len: usize) -> wasmail_policy::BoxFuture<'_, io::Result<Vec<u8>>> {
        Box::pin(self.read(offset, len))
    }
}

impl wasmail_authentication::Body for SpooledBody {
    fn read_at(&self, offset: u64, len: usize) -> wasmail_authentication::BoxFuture<'_, io::Result<Vec<u8>>> {
        Box::pin(self.read(offset, len))
    }
}
