//! Cuts command lines out of a stream of octets.

use memchr::{memchr, memchr2};

use crate::LineEndings;

/// Octets of one overlong line that are read and thrown away before the session ends: past this nobody types, and no
/// mail program errs.
const DRAIN_MAX: usize = 64 * 1024;
/// First octet of a TLS record with a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Gathers octets until a line is whole. Holds no more than the longest line.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    line: Vec<u8>,
    /// Octets beyond the longest line.
    dropped: usize,
    ends_with_cr: bool,
}

/// What is wrong with a command line, whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineFault {
    /// An LF without a CR before it: where the client thinks the line ends is anyone's guess.
    BareLf,
    /// A CR without an LF after it.
    BareCr,
    /// A NUL.
    Nul,
    /// More octets than a line may have.
    TooLong,
    /// Far more octets than a line may have, and still no end.
    Endless,
    /// A TLS handshake.
    Tls,
}

impl LineReader {
    /// Takes octets from the front of `input` until a line is whole; none when it needs more.
    pub(crate) fn read(
        &mut self,
        input: &mut &[u8],
        line_max: usize,
        endings: LineEndings,
    ) -> Option<Result<(), LineFault>> {
        if self.is_empty() && input.first() == Some(&TLS_HANDSHAKE) {
            return Some(Err(LineFault::Tls));
        }
        let end = memchr(b'\n', input);
        let (line, rest) = input.split_at(end.unwrap_or(input.len()));
        self.gather(line, line_max);
        *input = rest.get(1..).unwrap_or_default();
        if self.dropped > DRAIN_MAX {
            return Some(Err(LineFault::Endless));
        }
        end.map(|_| self.check(endings))
    }

    fn gather(&mut self, octets: &[u8], line_max: usize) {
        // The LF is never gathered, so the line with its CR has one octet less than it may have.
        let room = line_max.saturating_sub(1).saturating_sub(self.line.len());
        let taken = octets.len().min(room);
        self.line.extend_from_slice(&octets[..taken]);
        self.dropped = self.dropped.saturating_add(octets.len() - taken);
        if let Some(last) = octets.last() {
            self.ends_with_cr = *last == b'\r';
        }
    }

    fn check(&mut self, endings: LineEndings) -> Result<(), LineFault> {
        if !self.ends_with_cr && endings == LineEndings::Strict {
            return Err(LineFault::BareLf);
        }
        if self.dropped > 0 {
            return Err(LineFault::TooLong);
        }
        if self.ends_with_cr {
            self.line.pop();
        }
        match memchr2(b'\r', 0, &self.line).map(|at| self.line[at]) {
            Some(0) => Err(LineFault::Nul),
            Some(_) => Err(LineFault::BareCr),
            None => Ok(()),
        }
    }

    /// Whether no octet of a line has come.
    fn is_empty(&self) -> bool {
        self.line.is_empty() && self.dropped == 0
    }

    /// Hands the line over, without its end, and begins the next one.
    pub(crate) fn take_into(&mut self, line: &mut Vec<u8>) {
        std::mem::swap(&mut self.line, line);
        self.line.clear();
        self.dropped = 0;
        self.ends_with_cr = false;
    }

    /// Octets of memory that are held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.line.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads everything, `chunk` octets at a time.
    fn lines(octets: &[u8], chunk: usize, endings: LineEndings) -> Vec<Result<String, LineFault>> {
        let mut reader = LineReader::default();
        let mut found = Vec::new();
        for mut input in octets.chunks(chunk) {
            while !input.is_empty() {
                let Some(outcome) = reader.read(&mut input, 16, endings) else { break };
                let mut line = Vec::new();
                reader.take_into(&mut line);
                found.push(outcome.map(|()| String::from_utf8(line).unwrap()));
                if matches!(outcome, Err(LineFault::Tls)) {
                    return found;
                }
            }
        }
        found
    }

    fn text(line: &str) -> Result<String, LineFault> {
        Ok(line.to_owned())
    }

    #[test]
    fn only_crlf_ends_a_line() {
        for chunk in 1..20 {
            let strict = |octets| lines(octets, chunk, LineEndings::Strict);
            assert_eq!(strict(b"NOOP\r\n\r\nQUIT\r\nrest"), [text("NOOP"), text(""), text("QUIT")]);
            assert_eq!(strict(b"a\nb\r\n"), [Err(LineFault::BareLf), text("b")]);
            assert_eq!(strict(b"a\rb\r\n"), [Err(LineFault::BareCr)]);
            assert_eq!(strict(b"a\r\r\n"), [Err(LineFault::BareCr)]);
            assert_eq!(strict(b"a\0b\r\n"), [Err(LineFault::Nul)]);
            assert_eq!(strict(b"\x16\x03\x01"), [Err(LineFault::Tls)]);
        }
    }

    #[test]
    fn a_normalising_listener_takes_lf_for_a_line_end() {
        assert_eq!(lines(b"a\nb\r\n", 9, LineEndings::Normalise), [text("a"), text("b")]);
        assert_eq!(lines(b"a\rb\r\n", 9, LineEndings::Normalise), [Err(LineFault::BareCr)]);
    }

    #[test]
    fn the_longest_line_passes_and_one_octet_more_does_not() {
        for chunk in [1, 7, 100] {
            let found = lines(b"12345678901234\r\n123456789012345\r\nNOOP\r\n", chunk, LineEndings::Strict);
            assert_eq!(found, [text("12345678901234"), Err(LineFault::TooLong), text("NOOP")]);
        }
    }

    #[test]
    fn a_line_without_end_is_given_up_and_never_held() {
        let mut reader = LineReader::default();
        let mut outcome = None;
        for _ in 0..=DRAIN_MAX / 1024 {
            outcome = reader.read(&mut &[b'x'; 1024][..], 512, LineEndings::Strict);
        }
        assert_eq!(outcome, Some(Err(LineFault::Endless)));
        assert!(reader.held() <= 1024);
    }
}
