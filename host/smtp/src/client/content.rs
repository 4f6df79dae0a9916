//! Content on its way out: dots are doubled, and no bare CR or LF passes (RFC 5321 §4.5.2, §2.3.8).

use std::fmt;

/// Writes content as the server takes it.
#[derive(Debug)]
pub(super) enum Writer {
    /// After DATA.
    Dots(ContentWriter),
    /// After BDAT.
    Chunk(ChunkWriter),
}

impl Writer {
    pub(super) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        match self {
            Self::Dots(writer) => writer.push(octets, out),
            Self::Chunk(writer) => writer.push(octets, out),
        }
    }

    /// Ends the content. Says whether all of it is there.
    pub(super) fn end(self, out: &mut Vec<u8>) -> Result<bool, BareLineEnd> {
        match self {
            Self::Dots(writer) => writer.end(out).map(|()| true),
            Self::Chunk(writer) => writer.end(),
        }
    }
}

/// Writes content for one `BDAT ... LAST`, in any number of pieces.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    /// Octets to come.
    left: u64,
    /// What came does not fit.
    overfull: bool,
    /// Looks at the lines of text; any octets pass in binary content.
    text: Option<ContentWriter>,
}

impl ChunkWriter {
    pub(super) fn new(size: u64, binary: bool) -> Self {
        Self { left: size, overfull: false, text: (!binary).then(ContentWriter::unstuffed) }
    }

    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        let fits = usize::try_from(self.left).map_or(octets.len(), |left| left.min(octets.len()));
        self.overfull |= fits < octets.len();
        self.left -= fits as u64;
        let octets = &octets[..fits];
        match &mut self.text {
            Some(text) => text.push(octets, out)?,
            None => out.extend_from_slice(octets),
        }
        Ok(())
    }

    fn end(self) -> Result<bool, BareLineEnd> {
        if self.text.is_some_and(|text| text.after_cr) {
            return Err(BareLineEnd);
        }
        Ok(self.left == 0 && !self.overfull)
    }
}

/// Writes content for DATA, in any number of pieces.
#[derive(Debug)]
pub(super) struct ContentWriter {
    line_start: bool,
    after_cr: bool,
    /// Whether dots are doubled.
    stuffs: bool,
}

impl ContentWriter {
    pub(super) fn new() -> Self {
        Self { line_start: true, after_cr: false, stuffs: true }
    }

    /// Looks at line ends alone.
    fn unstuffed() -> Self {
        Self { stuffs: false, ..Self::new() }
    }

    /// Appends a piece to `out` with every dot that begins a line doubled.
    pub(super) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        out.reserve(octets.len() + 16);
        let mut copied = 0;
        self.stuff(octets, 0, out);
        for at in memchr::memchr2_iter(b'\r', b'\n', octets) {
            let adjacent = if at == 0 { self.after_cr } else { octets[at - 1] == b'\r' };
            let is_lf = octets[at] == b'\n';
            // A CR is followed by an LF, an LF follows a CR; anything else some server might read as an end of line.
            if is_lf != adjacent {
                return Err(BareLineEnd);
            }
            if !is_lf && octets.get(at + 1).is_some_and(|next| *next != b'\n') {
                return Err(BareLineEnd);
            }
            if is_lf {
                out.extend_from_slice(&octets[copied..=at]);
                copied = at + 1;
                self.line_start = true;
                self.stuff(octets, copied, out);
            }
        }
        self.finish_piece(octets, copied, out)
    }

    /// Doubles the dot at `at` if it begins a line.
    fn stuff(&mut self, octets: &[u8], at: usize, out: &mut Vec<u8>) {
        if self.stuffs && self.line_start && octets.get(at) == Some(&b'.') {
            out.push(b'.');
        }
    }

    fn finish_piece(&mut self, octets: &[u8], copied: usize, out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        // The CR that ended the piece before this one needs its LF first.
        if self.after_cr && octets.first().is_some_and(|first| *first != b'\n') {
            return Err(BareLineEnd);
        }
        if let Some(last) = octets.last() {
            out.extend_from_slice(&octets[copied..]);
            self.line_start = *last == b'\n';
            self.after_cr = *last == b'\r';
        }
        Ok(())
    }

    /// Ends the content: the last line gets its CRLF if it has none, then the final dot.
    pub(super) fn end(self, out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        if self.after_cr {
            return Err(BareLineEnd);
        }
        if !self.line_start {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
        Ok(())
    }
}

/// The content holds a CR or an LF that is not part of a CRLF: to send it would be to smuggle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BareLineEnd;

impl fmt::Display for BareLineEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("content holds a bare CR or LF")
    }
}

impl std::error::Error for BareLineEnd {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write(pieces: &[&[u8]]) -> Result<Vec<u8>, BareLineEnd> {
        let (mut writer, mut out) = (ContentWriter::new(), Vec::new());
        for piece in pieces {
            writer.push(piece, &mut out)?;
        }
        writer.end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn a_dot_that_begins_a_line_is_doubled() {
        assert_eq!(write(&[b".\r\n..\r\na.b\r\n.c"]).unwrap(), b"..\r\n...\r\na.b\r\n..c\r\n.\r\n");
        assert_eq!(write(&[b"a\r\n", b".b\r", b"\n", b".\r\n"]).unwrap(), b"a\r\n..b\r\n..\r\n.\r\n");
        assert_eq!(write(&[b"a", b".b"]).unwrap(), b"a.b\r\n.\r\n");
        assert_eq!(write(&[]).unwrap(), b".\r\n");
    }

    #[test]
    fn a_bare_cr_or_lf_never_passes() {
        for pieces in [
            &[&b"a\nb"[..]] as &[&[u8]],
            &[b"a\rb"],
            &[b"a\r", b"b"],
            &[b"a", b"\nb"],
            &[b"a\r"],
            &[b"\n.\r\n"],
            &[b"a\r\r\n"],
            &[b"a\r", b"\r\n"],
            &[b"a\r\n\n"],
        ] {
            assert_eq!(write(pieces), Err(BareLineEnd), "{pieces:?}");
        }
    }

    /// What a server makes of it: lines until the lone dot, with one dot less where a line begins with one.
    fn received(wire: &[u8]) -> (Vec<u8>, &[u8]) {
        let (mut content, mut rest) = (Vec::new(), wire);
        while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
            let (line, after) = rest.split_at(at + 2);
            rest = after;
            if line == b".\r\n" {
                return (content, rest);
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        panic!("no final dot in {wire:?}")
    }

    #[test]
    fn a_chunk_is_as_long_as_it_says_and_doubles_nothing() {
        let chunk = |size, binary, pieces: &[&[u8]]| {
            let (mut writer, mut out) = (Writer::Chunk(ChunkWriter::new(size, binary)), Vec::new());
            for piece in pieces {
                writer.push(piece, &mut out)?;
            }
            writer.end(&mut out).map(|whole| (whole, out))
        };
        assert_eq!(chunk(7, false, &[b".\r\n.b\r\n", b"more"]), Ok((false, b".\r\n.b\r\n".to_vec())));
        assert_eq!(chunk(8, false, &[b".a\r\n", b".b", b"\r\n"]), Ok((true, b".a\r\n.b\r\n".to_vec())));
        assert_eq!(chunk(9, false, &[b".a\r\n"]).map(|(whole, _)| whole), Ok(false));
        assert_eq!(chunk(3, false, &[b"a\nb"]), Err(BareLineEnd));
        assert_eq!(chunk(2, false, &[b"a\r"]), Err(BareLineEnd));
        assert_eq!(chunk(4, true, &[b"a\nb", b"\r"]), Ok((true, b"a\nb\r".to_vec())));
    }

    proptest! {
        #[test]
        fn the_server_gets_what_was_sent(lines in prop::collection::vec("[.a\\PC]{0,6}", 0..8), cuts in prop::collection::vec(0usize..60, 0..4)) {
            let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let (mut writer, mut out, mut from) = (ContentWriter::new(), Vec::new(), 0);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            cuts.push(text.len());
            for cut in cuts {
                writer.push(&text.as_bytes()[from..cut], &mut out).unwrap();
                from = cut;
            }
            writer.end(&mut out).unwrap();
            let (content, rest) = received(&out);
            prop_assert_eq!((content.as_slice(), rest), (text.as_bytes(), &[][..]));
        }

        #[test]
        fn what_passes_holds_no_bare_line_end(pieces in prop::collection::vec("[.a\r\n]{0,5}", 0..5)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
            let whole = pieces.concat();
            let clean = !String::from_utf8(whole).unwrap().replace("\r\n", "").contains(['\r', '\n']);
            let written = write(&pieces);
            prop_assert_eq!(written.is_ok(), clean);
            if let Ok(wire) = written {
                prop_assert!(!String::from_utf8(wire).unwrap().replace("\r\n", "").contains(['\r', '\n']));
            }
        }
    }
}
