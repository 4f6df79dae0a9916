//! Reads content that comes in chunks of declared sizes (RFC 3030 §2). Nothing in it ends anything.

use memchr::memchr3;

use super::content::Content;
use crate::LineEndings;

/// Takes one chunk after the other.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    endings: LineEndings,
    /// Whether the client has declared BINARYMIME: then octets are octets, but for the header section, whose lines the
    /// collector looks at.
    binary: bool,
    /// Octets of the chunk that are still to come.
    left: u64,
    last: bool,
    /// Whether a CR waits for its LF, perhaps in the next chunk.
    after_cr: bool,
    /// Octets of the line so far.
    line: usize,
    longest_line: usize,
    nul: bool,
    bare_cr: bool,
    bare_lf: bool,
}

impl ChunkReader {
    /// A reader of the first chunk.
    pub(crate) fn new(endings: LineEndings, binary: bool, size: u64, last: bool) -> Self {
        Self {
            endings,
            binary,
            left: size,
            last,
            after_cr: false,
            line: 0,
            longest_line: 0,
            nul: false,
            bare_cr: false,
            bare_lf: false,
        }
    }

    /// Goes on with another chunk.
    pub(crate) fn next(&mut self, size: u64, last: bool) {
        (self.left, self.last) = (size, last);
    }

    /// Whether nothing of the chunk is to come, so that [`ChunkReader::read`] needs no input.
    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Longest line so far, in octets with its CRLF; 0 of what is not made of lines.
    pub(crate) fn longest_line(&self) -> usize {
        self.longest_line
    }

    /// Whether a NUL has come where none may.
    pub(crate) fn nul(&self) -> bool {
        self.nul
    }

    /// Whether a CR has come without an LF, where that may not be.
    pub(crate) fn bare_cr(&self) -> bool {
        self.bare_cr
    }

    /// Whether an LF has come without a CR, where that may not be.
    pub(crate) fn bare_lf(&self) -> bool {
        self.bare_lf
    }

    /// Takes octets from the front of `input` and appends content to `out`: about `room` octets at most.
    pub(crate) fn read(&mut self, input: &mut &[u8], out: &mut Vec<u8>, room: usize) -> Content {
        let full = out.len() + room;
        while self.left > 0 && !input.is_empty() && out.len() < full {
            let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(full - out.len());
            let window = &input[..input.len().min(most)];
            let consumed = if self.binary { verbatim(window, out) } else { self.pass(window, out) };
            *input = &input[consumed..];
            self.left -= consumed as u64;
        }
        match (self.left, self.last) {
            (0, true) => {
                if std::mem::take(&mut self.after_cr) {
                    self.take_bare_cr(out);
                }
                Content::End
            }
            (0, false) => Content::Chunk,
            _ => Content::More,
        }
    }

    /// Passes on whole lines in one piece, up to a line end that is none. Returns how many octets it consumed; at least one.
    fn pass(&mut self, window: &[u8], out: &mut Vec<u8>) -> usize {
        if std::mem::take(&mut self.after_cr) {
            if window[0] == b'\n' {
                self.end_line(out);
                return 1;
            }
            self.take_bare_cr(out);
        }
        let mut at = 0;
        let mut line_at = 0;
        while let Some(found) = memchr3(b'\r', b'\n', 0, &window[at..]).map(|found| at + found) {
            match (window[found], window.get(found + 1)) {
                (b'\r', Some(b'\n')) => {
                    at = found + 2;
                    self.longest_line = self.longest_line.max(self.line + at - line_at);
                    (self.line, line_at) = (0, at);
                }
                (0, _) => {
                    self.nul = true;
                    at = found + 1;
                }
                (octet, _) => {
                    self.take(&window[..found], line_at, out);
                    match octet {
                        b'\r' => self.after_cr = true,
                        _ => self.take_bare_lf(out),
                    }
                    return found + 1;
                }
            }
        }
        self.take(window, line_at, out);
        window.len()
    }

    fn take(&mut self, octets: &[u8], line_at: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(octets);
        self.line += octets.len() - line_at;
        self.longest_line = self.longest_line.max(self.line);
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.longest_line = self.longest_line.max(self.line + 2);
        self.line = 0;
    }

    fn take_bare_cr(&mut self, out: &mut Vec<u8>) {
        self.bare_cr |= self.endings == LineEndings::Strict;
        self.end_line(out);
    }

    fn take_bare_lf(&mut self, out: &mut Vec<u8>) {
        self.bare_lf |= self.endings == LineEndings::Strict;
        self.end_line(out);
    }
}

fn verbatim(window: &[u8], out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(window);
    window.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads content that is cut into chunks of this size, and the chunks into pieces of that.
    fn read(octets: &[u8], chunk: usize, piece: usize, endings: LineEndings, binary: bool) -> (Vec<u8>, ChunkReader) {
        let mut out = Vec::new();
        let mut reader = ChunkReader::new(endings, binary, 0, octets.is_empty());
        let count = octets.chunks(chunk).count();
        for (number, chunk) in octets.chunks(chunk).enumerate() {
            reader.next(chunk.len() as u64, number + 1 == count);
            let mut ended = Content::More;
            for mut piece in chunk.chunks(piece) {
                while !piece.is_empty() {
                    ended = reader.read(&mut piece, &mut out, 5);
                }
            }
            if ended == Content::More {
                ended = reader.read(&mut &[][..], &mut out, 5);
            }
            assert_eq!(ended, if number + 1 == count { Content::End } else { Content::Chunk });
        }
        (out, reader)
    }

    #[test]
    fn what_follows_a_chunk_stays_where_it_is() {
        let mut reader = ChunkReader::new(LineEndings::Strict, false, 3, false);
        let (mut input, mut out) = (&b"abcQUIT"[..], Vec::new());
        assert_eq!(reader.read(&mut input, &mut out, 100), Content::Chunk);
        assert_eq!((out.as_slice(), input), (&b"abc"[..], &b"QUIT"[..]));
        reader.next(0, true);
        assert_eq!(reader.read(&mut input, &mut out, 100), Content::End);
        assert_eq!(input, b"QUIT");
    }

    #[test]
    fn a_dot_is_a_dot_and_lines_are_measured_across_chunks() {
        for chunk in 1..20 {
            let (out, reader) = read(b"..\r\n.\r\n1234567890\r\nx", chunk, 3, LineEndings::Strict, false);
            assert_eq!(out, b"..\r\n.\r\n1234567890\r\nx");
            assert_eq!(
                (reader.longest_line(), reader.bare_cr(), reader.bare_lf(), reader.nul()),
                (12, false, false, false)
            );
        }
    }

    #[test]
    fn bare_line_ends_are_noticed_or_mended() {
        for chunk in 1..9 {
            let at = |octets: &[u8]| {
                let (_, reader) = read(octets, chunk, 2, LineEndings::Strict, false);
                (reader.bare_cr(), reader.bare_lf())
            };
            assert_eq!(at(b"ab\ncd\r\n"), (false, true));
            assert_eq!(at(b"ab\rcd\r\n"), (true, false));
            assert_eq!(at(b"ab\r\r\n"), (true, false));
            assert_eq!(at(b"ab\r"), (true, false));
            let (out, reader) = read(b"a\nb\rc\r\nd\r\r\n\n\r", chunk, 2, LineEndings::Normalise, false);
            assert_eq!(out, b"a\r\nb\r\nc\r\nd\r\n\r\n\r\n\r\n");
            assert!(!reader.bare_cr() && !reader.bare_lf());
        }
    }

    proptest! {
        #[test]
        fn binary_content_is_not_touched(
            octets in proptest::collection::vec(any::<u8>(), 1..80), chunk in 1usize..20, piece in 1usize..9,
        ) {
            prop_assert_eq!(&read(&octets, chunk, piece, LineEndings::Strict, true).0, &octets);
        }

        #[test]
        fn how_it_is_cut_makes_no_difference(
            octets in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(0u8), Just(b'x')], 1..60),
            chunk in 1usize..20, piece in 1usize..9, normalise: bool,
        ) {
            let endings = if normalise { LineEndings::Normalise } else { LineEndings::Strict };
            let facts = |(out, reader): (Vec<u8>, ChunkReader)| {
                (out, reader.longest_line(), reader.nul(), reader.bare_cr(), reader.bare_lf())
            };
            let whole = facts(read(&octets, octets.len(), octets.len(), endings, false));
            prop_assert_eq!(whole, facts(read(&octets, chunk, piece, endings, false)));
        }
    }
}
