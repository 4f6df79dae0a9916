//! A body that was edited: pieces of the one that came, and what plugins have put in.

use std::fmt;
use std::io;
use std::sync::Arc;

use wasmail_mime::edit::Splice;

use crate::{Body, BoxFuture};

/// Octets that plugins put into one message, in all: these are held in memory.
pub const PUT_IN_MAX: u64 = 16 * 1024 * 1024;
/// Pieces of one body. Every edit makes at most two more; reading looks them up.
pub const PIECES_MAX: usize = 4_096;

/// A body that was edited. The octets that nobody edited are read from where they came.
#[derive(Clone)]
pub struct Pieces {
    original: Arc<dyn Body>,
    pieces: Vec<Piece>,
    len: u64,
}

#[derive(Debug, Clone)]
struct Piece {
    /// Where it begins in the edited body.
    at: u64,
    len: u64,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    /// From here on in the original.
    Original(u64),
    /// In these octets, from here on.
    PutIn(Arc<[u8]>, u64),
}

impl Pieces {
    /// A body that nobody has edited yet.
    #[must_use]
    pub fn new(original: Arc<dyn Body>) -> Self {
        let len = original.len();
        Self { original, pieces: vec![Piece { at: 0, len, source: Source::Original(0) }], len }
    }

    /// The body with other octets in some places. The splices must be in order and must not overlap.
    #[must_use]
    pub fn splice(&self, splices: Vec<Splice>) -> Self {
        let mut edited = Self { original: Arc::clone(&self.original), pieces: Vec::new(), len: 0 };
        let mut done = 0;
        for Splice { range, with } in splices {
            edited.keep(self, done, range.start);
            let len = with.len() as u64;
            edited.put(len, Source::PutIn(with.into(), 0));
            done = range.end;
        }
        edited.keep(self, done, self.len);
        edited
    }

    /// Octets that plugins have put in.
    #[must_use]
    pub fn put_in(&self) -> u64 {
        let of_plugins = self.pieces.iter().filter(|piece| matches!(piece.source, Source::PutIn(..)));
        of_plugins.map(|piece| piece.len).sum()
    }

    /// Of how many pieces it is made.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pieces.len()
    }

    /// Appends a range of another.
    fn keep(&mut self, of: &Self, start: u64, end: u64) {
        for piece in &of.pieces {
            let (from, to) = (piece.at.max(start), (piece.at + piece.len).min(end));
            if from < to {
                let skipped = from - piece.at;
                let source = match &piece.source {
                    Source::Original(offset) => Source::Original(offset + skipped),
                    Source::PutIn(octets, offset) => Source::PutIn(Arc::clone(octets), offset + skipped),
                };
                self.put(to - from, source);
            }
        }
    }

    fn put(&mut self, len: u64, source: Source) {
        if len > 0 {
            self.pieces.push(Piece { at: self.len, len, source });
            self.len += len;
        }
    }

    /// Octets of one piece.
    async fn read_piece(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let after = self.pieces.partition_point(|piece| piece.at <= offset);
        let Some(piece) = after.checked_sub(1).map(|at| &self.pieces[at]) else { return Ok(Vec::new()) };
        let skipped = offset - piece.at;
        let left = piece.len.saturating_sub(skipped);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(len);
        match &piece.source {
            _ if len == 0 => Ok(Vec::new()),
            Source::Original(from) => self.original.read_at(from + skipped, len).await,
            Source::PutIn(octets, from) => {
                let from = (from + skipped) as usize;
                Ok(octets[from..from + len].to_vec())
            }
        }
    }
}

impl Body for Pieces {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            let mut read = self.read_piece(offset, len).await?;
            while read.len() < len {
                let more = self.read_piece(offset + read.len() as u64, len - read.len()).await?;
                if more.is_empty() {
                    break;
                }
                read.extend_from_slice(&more);
            }
            Ok(read)
        })
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("pieces", &self.pieces.len()).field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::{Memory, block_on};

    proptest! {
        #[test]
        fn pieces_read_like_the_octets_they_stand_for(
            edits in proptest::collection::vec((0_u64..40, 0_u64..10, "[a-z]{0,8}"), 0..12),
            offset in 0_u64..60,
            len in 0_usize..60,
        ) {
            let mut octets: Vec<u8> = (b'A'..=b'Z').collect();
            let mut pieces = Pieces::new(Arc::new(Memory(octets.clone())));
            for (start, len, with) in edits {
                let start = start.min(octets.len() as u64);
                let end = (start + len).min(octets.len() as u64);
                octets.splice(start as usize..end as usize, with.bytes());
                pieces = pieces.splice(vec![Splice { range: start..end, with: with.into_bytes() }]);
            }
            prop_assert_eq!(pieces.len(), octets.len() as u64);
            let expected: Vec<u8> = octets.iter().copied().skip(offset as usize).take(len).collect();
            prop_assert_eq!(block_on(pieces.read_at(offset, len)).unwrap(), expected);
            prop_assert_eq!(block_on(pieces.read_at(0, 1_000)).unwrap(), octets);
        }
    }
}
