//! Collects the header section from the front of content.

use memchr::memchr;
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

impl HeaderCollector {
    /// Cuts whole lines from what is pending. True when the section has ended: what is pending then is body.
    ///
    /// # Errors
    /// When the section is larger than it may be.
    pub(crate) fn cut(&mut self, limits: &Limits) -> Result<bool, Refusal> {
        let mut begin = 0;
        let mut ended = false;
        while !ended && let Some(found) = memchr(b'\n', &self.pending[begin..]) {
            let end = begin + found + 1;
            let line = &self.pending[begin..end];
            let separator = line == b"\r\n";
            ended = separator || !self.section.push_line(line);
            // A line that is no field begins the body, and stays.
            if separator || !ended {
                self.size += line.len();
                begin = end;
            }
        }
        self.pending.drain(..begin);
        self.check(ended, limits).map(|()| ended)
    }

    fn check(&self, ended: bool, limits: &Limits) -> Result<(), Refusal> {
        let size = if ended { self.size } else { self.size + self.pending.len() };
        if size > limits.header_size {
            return Err(Refusal::HeaderTooLarge);
        }
        if self.section.fields().len() > limits.header_fields {
            return Err(Refusal::TooManyFields);
        }
        Ok(())
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
