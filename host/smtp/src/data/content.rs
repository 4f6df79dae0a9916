//! Reads content up to the end of the data, CRLF.CRLF and nothing else (RFC 5321 §4.5.2).

use memchr::memchr3;

use crate::LineEndings;

/// Takes the transparency dots out of content and finds its end.
///
/// Whatever the octets, only `.CRLF` right after a CRLF ends the data: the five octets must stand in the input just so
/// (the CRLF of the DATA line counts as the first one).
#[derive(Debug)]
pub(crate) struct ContentReader {
    at: At,
    endings: LineEndings,
    /// Octets of the line so far.
    line: usize,
    longest_line: usize,
    nul: bool,
}

/// Where in a line the next octet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// After a CRLF.
    LineStart,
    /// After a dot that begins a line.
    Dot,
    /// After a dot that begins a line, and a CR.
    DotCr,
    /// Within a line.
    InLine,
    /// After a CR that is not passed on yet.
    Cr,
}

/// How far the content was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// There is more to come.
    More,
    /// The data have ended.
    End,
    /// A chunk has ended, and it is not the last one.
    Chunk,
    /// A CR without an LF after it.
    BareCr,
    /// An LF without a CR before it.
    BareLf,
}

impl ContentReader {
    /// A reader right after the DATA line.
    pub(crate) fn new(endings: LineEndings) -> Self {
        Self { at: At::LineStart, endings, line: 0, longest_line: 0, nul: false }
    }

    /// Longest line so far, in octets with its CRLF.
    pub(crate) fn longest_line(&self) -> usize {
        self.longest_line
    }

    /// Whether a NUL has come.
    pub(crate) fn nul(&self) -> bool {
        self.nul
    }

    /// Takes octets from the front of `input` and appends content to `out`: about `room` octets at most.
    pub(crate) fn read(&mut self, input: &mut &[u8], out: &mut Vec<u8>, room: usize) -> Content {
        let full = out.len() + room;
        while out.len() < full
            && let Some(first) = input.first().copied()
        {
            match (self.at, first) {
                (At::LineStart, b'.') => self.consume(input, At::Dot),
                (At::Dot, b'\r') => self.consume(input, At::DotCr),
                (At::DotCr, b'\n') => {
                    self.consume(input, At::LineStart);
                    return Content::End;
                }
                (At::Cr, b'\n') => {
                    self.consume(input, At::LineStart);
                    self.end_line(out);
                }
                (At::DotCr | At::Cr, _) if self.endings == LineEndings::Strict => return Content::BareCr,
                (At::DotCr | At::Cr, _) => {
                    self.at = At::InLine;
                    self.end_line(out);
                }
                (At::LineStart | At::Dot | At::InLine, _) => {
                    let window = &input[..input.len().min(full - out.len())];
                    let (consumed, fault) = self.pass(window, out);
                    *input = &input[consumed..];
                    if let Some(fault) = fault {
                        return fault;
                    }
                }
            }
        }
        Content::More
    }

    fn consume(&mut self, input: &mut &[u8], at: At) {
        *input = &input[1..];
        self.at = at;
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.longest_line = self.longest_line.max(self.line + 2);
        self.line = 0;
    }

    /// Passes on, in one piece, what needs no thought: lines up to one that begins with a dot, or up to a line end that
    /// is none. Returns how many octets it consumed.
    fn pass(&mut self, window: &[u8], out: &mut Vec<u8>) -> (usize, Option<Content>) {
        let mut at = 0;
        let mut line_at = 0;
        let (passed, octet) = loop {
            let found = memchr3(b'\r', b'\n', 0, &window[at..]).map(|found| at + found);
            let Some(found) = found else {
                self.at = At::InLine;
                break (window.len(), None);
            };
            match (window[found], window.get(found + 1)) {
                (b'\r', Some(b'\n')) => {
                    at = found + 2;
                    self.longest_line = self.longest_line.max(self.line + at - line_at);
                    (self.line, line_at) = (0, at);
                    if matches!(window.get(at), None | Some(b'.')) {
                        self.at = At::LineStart;
                        break (at, None);
                    }
                }
                (0, _) => {
                    self.nul = true;
                    at = found + 1;
                }
                (octet, _) => break (found, Some(octet)),
            }
        };
        out.extend_from_slice(&window[..passed]);
        self.line += passed - line_at;
        self.longest_line = self.longest_line.max(self.line);
        match octet {
            None => (passed, None),
            Some(b'\r') => {
                self.at = At::Cr;
                (passed + 1, None)
            }
            Some(_) if self.endings == LineEndings::Strict => (passed, Some(Content::BareLf)),
            Some(_) => {
                // Not the start of a line for dots: the client stuffed them after CRLF only, if at all.
                self.at = At::InLine;
                self.end_line(out);
                (passed + 1, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads everything in chunks; returns the content, how it ended, and what was left.
    fn read(octets: &[u8], chunk: usize, endings: LineEndings) -> (Vec<u8>, Content, usize) {
        let mut reader = ContentReader::new(endings);
        let mut out = Vec::new();
        let mut consumed = 0;
        for part in octets.chunks(chunk.max(1)) {
            let mut input = part;
            while !input.is_empty() {
                let ended = reader.read(&mut input, &mut out, 7);
                if ended != Content::More {
                    return (out, ended, octets.len() - consumed - (part.len() - input.len()));
                }
            }
            consumed += part.len();
        }
        (out, Content::More, 0)
    }

    fn stuffed(content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in content.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b".") {
                out.push(b'.');
            }
            out.extend_from_slice(line);
        }
        out.extend_from_slice(b".\r\n");
        out
    }

    #[test]
    fn dots_are_taken_out_and_the_end_is_found() {
        for chunk in 1..30 {
            let (out, ended, left) = read(b"a\r\n..b\r\n.c\r\n...\r\n.\r\nMAIL", chunk, LineEndings::Strict);
            assert_eq!((out.as_slice(), ended, left), (&b"a\r\n.b\r\nc\r\n..\r\n"[..], Content::End, 4));
        }
        assert_eq!(read(b".\r\n", 9, LineEndings::Strict), (Vec::new(), Content::End, 0));
    }

    #[test]
    fn published_smuggling_forms_end_nothing() {
        for (form, strict) in [
            (&b"\n.\n"[..], Content::BareLf),
            (b"\n.\r\n", Content::BareLf),
            (b"\r\n.\n", Content::BareLf),
            (b"\r.\r", Content::BareCr),
            (b"\r.\n", Content::BareCr),
            (b"\n.\r", Content::BareLf),
            (b"\r.\r\n", Content::BareCr),
            (b"\r\n.\r", Content::BareCr),
            (b"\r\r\n.\r\r\n", Content::BareCr),
            (b"\r\n.\r\r\n", Content::BareCr),
            (b"\r\n\0.\r\n", Content::More),
            (b"\r\n.\0\r\n", Content::More),
        ] {
            let octets = [b"body", form, b"MAIL FROM:<a@b>\r\n"].concat();
            for chunk in 1..octets.len() {
                assert_eq!(read(&octets, chunk, LineEndings::Strict).1, strict, "{form:?}");
                assert_eq!(read(&octets, chunk, LineEndings::Normalise).1, Content::More, "{form:?}");
            }
        }
    }

    #[test]
    fn a_normalising_reader_carries_every_line_end_as_crlf() {
        let (out, ended, _) = read(b"a\nb\rc\r\nd\r\r\n\n.e\n.\r\n.\r\n", 3, LineEndings::Normalise);
        assert_eq!((out.as_slice(), ended), (&b"a\r\nb\r\nc\r\nd\r\n\r\n\r\n.e\r\n.\r\n"[..], Content::End));
    }

    #[test]
    fn lines_are_measured_across_chunks() {
        for chunk in 1..20 {
            let mut reader = ContentReader::new(LineEndings::Strict);
            for mut part in b"12345\r\n1234567890\r\n123".chunks(chunk) {
                reader.read(&mut part, &mut Vec::new(), 100);
            }
            assert_eq!(reader.longest_line(), 12);
        }
    }

    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(0u8), Just(b'x')];
        proptest::collection::vec(octet, 0..60)
    }

    proptest! {
        #[test]
        fn stuffing_and_unstuffing_give_the_content_back(
            lines in proptest::collection::vec("[.a-z]{0,6}", 0..12), chunk in 1usize..40,
        ) {
            let content: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
            let (out, ended, left) = read(&stuffed(&content), chunk, LineEndings::Strict);
            prop_assert_eq!((out, ended, left), (content, Content::End, 0));
        }

        #[test]
        fn chunks_make_no_difference(octets in hostile(), chunk in 1usize..20, normalise: bool) {
            let endings = if normalise { LineEndings::Normalise } else { LineEndings::Strict };
            let (whole, ended, left) = read(&octets, octets.len(), endings);
            let (parts, ended_too, left_too) = read(&octets, chunk, endings);
            prop_assert_eq!(ended, ended_too);
            if ended == Content::End {
                prop_assert_eq!((whole, left), (parts, left_too));
            }
        }

        #[test]
        fn nothing_but_crlf_dot_crlf_ends_the_data(octets in hostile(), chunk in 1usize..20, normalise: bool) {
            let endings = if normalise { LineEndings::Normalise } else { LineEndings::Strict };
            let (_, ended, left) = read(&octets, chunk, endings);
            let line = [b"\r\n", octets.as_slice()].concat();
            let real = line.windows(5).position(|window| window == b"\r\n.\r\n").map(|at| line.len() - at - 5);
            match ended {
                Content::End => prop_assert_eq!(real, Some(left)),
                Content::More | Content::Chunk => prop_assert_eq!(real, None),
                Content::BareCr | Content::BareLf => prop_assert_eq!(endings, LineEndings::Strict),
            }
        }
    }
}
