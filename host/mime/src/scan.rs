//! Reads a body once, from its beginning to its end, and makes the tree.
//!
//! What is held of the body is one line, at most [`PART_HEADER_MAX`] octets of it, one part's header section, and the
//! first octets of the part that is being read.

mod sniff;

use wasmail_mail::{Field, HeaderSection};

use crate::tree::{DEPTH_MAX, PART_HEADER_MAX, PARTS_MAX};
use crate::{ContentFields, Part, Passed, Place, Tree};
use sniff::Sniffer;

/// Reads a body in pieces of any size.
pub struct Scanner {
    tree: Tree,
    /// The parts that have not ended yet, the root first.
    open: Vec<Open>,
    /// The header section that is being read, and the octets of it so far.
    header: Option<(HeaderSection, usize)>,
    sniffer: Option<Sniffer>,
    /// The line that is being read, as far as it has come.
    line: Vec<u8>,
    /// The line is too long to be a delimiter or a header field: it is passed by.
    long: bool,
    line_start: u64,
    offset: u64,
    /// Octets of the line break before this line.
    line_break: u64,
    /// There are more parts than the tree tells: what follows is not looked at.
    full: bool,
}

/// A part that has not ended.
struct Open {
    part: usize,
    /// What parts its own parts, with `--` before it.
    delimiter: Option<Vec<u8>>,
    /// Its last delimiter was there: what follows belongs to nobody.
    closed: bool,
}

/// A delimiter line of an open part.
struct Delimiter {
    level: usize,
    last: bool,
}

impl Scanner {
    /// A scanner for the body of a message with this header section.
    #[must_use]
    pub fn new(header: &[Field]) -> Self {
        let mut scanner = Self {
            tree: Tree { parts: Vec::new(), passed: None },
            open: Vec::new(),
            header: None,
            sniffer: None,
            line: Vec::new(),
            long: false,
            line_start: 0,
            offset: 0,
            line_break: 0,
            full: false,
        };
        scanner.open_part(None, 0, 0);
        scanner.read_fields(header, 0);
        scanner
    }

    /// Takes the next octets of the body.
    pub fn push(&mut self, octets: &[u8]) {
        for piece in octets.split_inclusive(|octet| *octet == b'\n') {
            let whole = piece.ends_with(b"\n");
            self.offset += piece.len() as u64;
            if self.full {
                continue;
            }
            if self.long {
                self.sniff(piece);
            } else if whole && self.line.is_empty() {
                self.line(piece);
            } else {
                self.gather(piece, whole);
            }
            if whole {
                self.next_line(piece);
            }
        }
    }

    /// The body ends.
    #[must_use]
    pub fn finish(mut self) -> Tree {
        let rest = std::mem::take(&mut self.line);
        if !rest.is_empty() {
            self.line(&rest);
        }
        let end = self.offset;
        self.end_headers(end);
        self.close_to(0, end);
        self.tree
    }

    /// A line that comes in pieces.
    fn gather(&mut self, piece: &[u8], whole: bool) {
        self.line.extend_from_slice(piece);
        if self.line.len() > PART_HEADER_MAX {
            self.long = true;
            let line = std::mem::take(&mut self.line);
            self.long_line(&line);
        } else if whole {
            let mut line = std::mem::take(&mut self.line);
            self.line(&line);
            line.clear();
            self.line = line;
        }
    }

    fn next_line(&mut self, end: &[u8]) {
        self.long = false;
        self.line_start = self.offset;
        // Nothing but CRLF ends a line of a body that the session has let in; where its octets came in two pieces, both
        // are there all the same.
        self.line_break = if end.ends_with(b"\r\n") || end == b"\n" { 2 } else { 1 };
    }

    fn long_line(&mut self, begin: &[u8]) {
        if self.header.is_some() {
            self.tree.passed.get_or_insert(Passed::Header);
            self.end_headers(self.line_start);
        }
        self.sniff(begin);
    }

    fn line(&mut self, line: &[u8]) {
        if let Some(delimiter) = self.delimiter(line) {
            self.delimited(&delimiter);
        } else if self.header.is_some() {
            self.header_line(line);
        } else {
            self.sniff(line);
        }
    }

    fn sniff(&mut self, content: &[u8]) {
        if let Some(sniffer) = &mut self.sniffer {
            sniffer.push(content);
        }
    }

    /// Whether the line parts an open multipart. The innermost one has the first word; an outer one's delimiter ends
    /// those inside, whose last one is missing.
    fn delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        if !line.starts_with(b"--") {
            return None;
        }
        let line = line.trim_ascii_end();
        let open = self.open.iter().enumerate().rev().filter(|(_, open)| !open.closed);
        open.filter_map(|(level, open)| Some((level, line.strip_prefix(open.delimiter.as_deref()?)?)))
            .find(|(_, rest)| rest.is_empty() || *rest == b"--")
            .map(|(level, rest)| Delimiter { level, last: !rest.is_empty() })
    }

    fn delimited(&mut self, delimiter: &Delimiter) {
        let (begin, after) = (self.line_start, self.offset);
        // The line break before a delimiter belongs to it (RFC 2046 §5.1.1), unless it ends the delimiter before.
        let innermost = self.open.last().map_or(0, |open| self.tree.parts[open.part].place.header);
        let end = begin.saturating_sub(self.line_break).max(innermost);
        self.end_headers(end);
        let child = self.open.get(delimiter.level + 1).map(|open| open.part);
        self.close_to(delimiter.level + 1, end);
        if let Some(child) = child {
            self.tree.parts[child].place.next = Some(begin);
        }
        let parent = self.open[delimiter.level].part;
        if delimiter.last {
            self.open[delimiter.level].closed = true;
        } else if self.tree.parts.len() < PARTS_MAX {
            self.open_part(Some(parent), begin, after);
        } else {
            self.tree.passed = Some(Passed::Parts);
            self.full = true;
        }
    }

    fn open_part(&mut self, parent: Option<usize>, begin: u64, header: u64) {
        if let Some(parent) = parent {
            self.tree.parts[parent].has_parts = true;
        }
        let place = Place { begin, header, content: header..header, next: None };
        self.open.push(Open { part: self.tree.parts.len(), delimiter: None, closed: false });
        self.tree.parts.push(Part::new(ContentFields::default(), "", parent, place));
        self.header = Some((HeaderSection::default(), 0));
        self.sniffer = None;
    }

    fn header_line(&mut self, line: &[u8]) {
        let Some((section, octets)) = &mut self.header else { return };
        if matches!(line, b"\r\n" | b"\n") {
            let after = self.offset;
            return self.end_header(after);
        }
        *octets += line.len();
        if *octets > PART_HEADER_MAX {
            self.tree.passed.get_or_insert(Passed::Header);
            return;
        }
        if !section.push_line(line) {
            // No field, and no empty line before it: the content begins all the same, and this is its first line.
            self.end_header(self.line_start);
            self.line(line);
        }
    }

    /// The header section of the innermost part is complete, and its content begins.
    fn end_header(&mut self, content: u64) {
        if let Some((section, _)) = self.header.take() {
            self.read_fields(section.fields(), content);
        }
    }

    /// There is no more of the innermost part. In it a message may begin that is as empty.
    fn end_headers(&mut self, content: u64) {
        while self.header.is_some() {
            self.end_header(content);
        }
    }

    fn read_fields(&mut self, fields: &[Field], content: u64) {
        self.header = None;
        let Some(at) = self.open.last().map(|open| open.part) else { return };
        let (parent, place) = (self.tree.parts[at].parent, self.tree.parts[at].place.clone());
        let in_digest = parent.is_some_and(|parent| self.tree.parts[parent].media_type == "multipart/digest");
        let default = if in_digest { "message/rfc822" } else { "text/plain" };
        let place = Place { content: content..content, ..place };
        let part = Part::new(ContentFields::read(fields), default, parent, place);
        let deep = self.open.len() >= DEPTH_MAX;
        let delimiter = part.boundary().map(|boundary| [b"--", boundary.as_bytes()].concat());
        let message = part.is_message();
        if deep && (delimiter.is_some() || message) {
            self.tree.passed.get_or_insert(Passed::Depth);
        }
        self.sniffer = Some(Sniffer::new(&part.encoding));
        self.tree.parts[at] = part;
        if deep {
            return;
        }
        if let Some(open) = self.open.last_mut().filter(|_| delimiter.is_some()) {
            open.delimiter = delimiter;
            self.sniffer = None;
        } else if message && self.tree.parts.len() < PARTS_MAX {
            self.open_part(Some(at), content, content);
        } else if message {
            self.tree.passed.get_or_insert(Passed::Parts);
        }
    }

    /// Ends the open parts from a level on.
    fn close_to(&mut self, level: usize, end: u64) {
        for open in self.open.drain(level.min(self.open.len())..) {
            let part = &mut self.tree.parts[open.part];
            part.place.content = part.place.content.start.min(end)..end;
        }
        if let (Some(sniffer), Some(part)) = (self.sniffer.take(), self.innermost_closed(level)) {
            self.tree.parts[part].detected = sniffer.detected();
        }
    }

    /// The part that was read last, if it has just ended.
    fn innermost_closed(&self, level: usize) -> Option<usize> {
        let last = self.tree.parts.len().checked_sub(1)?;
        (self.open.len() <= level && self.tree.parts[last].is_leaf()).then_some(last)
    }
}

#[cfg(test)]
mod tests;
