//! Collects the header section from the front of content.

use std::ops::Range;

use memchr::{memchr, memchr2};
use wasmail_mail::HeaderSection;

use super::Refusal;
use crate::Limits;

/// Cuts content into header lines until the section ends.
#[derive(Debug, Default)]
pub(crate) struct HeaderCollector {
    section: HeaderSection,
    /// Octets in the section.
    size: usize,
    /// Content that is not cut yet: less than a line, but while `cut` runs.
    pub(crate) pending: Vec<u8>,
}

/// What a line is.
enum Line {
    /// A field, or the continuation of one.
    Field,
    /// The empty line that ends the section.
    Separator,
    /// No field: the body begins with it (RFC 5322 knows no such message, yet they come).
    Body,
}

/// What a line of a header section may not have, whatever the body is made of: others would read it as two. Of content that is
/// made of lines it is known before.
fn fault(line: &[u8]) -> Result<(), Refusal> {
    let Some(text) = line.strip_suffix(b"\r\n") else { return Err(Refusal::BareLf) };
    match memchr2(b'\r', 0, text).map(|at| text[at]) {
        None => Ok(()),
        Some(b'\r') => Err(Refusal::BareCr),
        Some(_) => Err(Refusal::Nul),
    }
}

impl HeaderCollector {
    /// Cuts whole lines from what is pending. True when the section has ended: what is pending then is body.
    ///
    /// # Errors
    /// When the section is larger than it may be. A line counts before it is known to be one of the section, so that
    /// the outcome is the same however the octets were cut.
    pub(crate) fn cut(&mut self, limits: &Limits) -> Result<bool, Refusal> {
        let mut begin = 0;
        let mut ended = false;
        while !ended && let Some(found) = memchr(b'\n', &self.pending[begin..]) {
            let end = begin + found + 1;
            (begin, ended) = match self.take_line(begin..end, limits)? {
                Line::Field => (end, false),
                Line::Separator => (end, true),
                Line::Body => (begin, true),
            };
        }
        self.pending.drain(..begin);
        if !ended && self.size + self.pending.len() > limits.header_size {
            return Err(Refusal::HeaderTooLarge);
        }
        Ok(ended)
    }

    fn take_line(&mut self, at: Range<usize>, limits: &Limits) -> Result<Line, Refusal> {
        let line = &self.pending[at];
        if line == b"\r\n" {
            return Ok(Line::Separator);
        }
        if self.size + line.len() > limits.header_size {
            return Err(Refusal::HeaderTooLarge);
        }
        let clean = fault(line);
        if !self.section.push_line(line) {
            return Ok(Line::Body);
        }
        clean?;
        self.size += line.len();
        if self.section.fields().len() > limits.header_fields {
            return Err(Refusal::TooManyFields);
        }
        Ok(Line::Field)
    }

    /// The section, and the octets of the body that came with it.
    pub(crate) fn finish(self) -> (HeaderSection, Vec<u8>) {
        (self.section, self.pending)
    }

    /// Octets of memory that are held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.section.len() + self.pending.capacity()
    }
}
