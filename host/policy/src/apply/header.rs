//! Edits of the header section.

use wasmail_mail::{Field, HeaderSection};

use super::{Draft, Why};

/// Octets of a header section after edits: the session's own limit is lower, edits get a margin above it.
const HEADER_MAX: usize = 2 * 1024 * 1024;

impl Draft<'_> {
    fn header(&mut self) -> Result<&mut HeaderSection, Why> {
        self.needs_time()?;
        let transaction = self.context.transaction.as_ref().ok_or(Why::NoTransaction)?;
        Ok(self.changes.header.get_or_insert_with(|| HeaderSection::clone(&transaction.facts.header)))
    }

    /// Makes a field; one with 8-bit octets needs a message that may carry them (RFC 6532 §3.2).
    fn field(&self, name: &str, value: &str) -> Result<Field, Why> {
        if !value.is_ascii() && !self.transaction()?.facts.smtputf8 {
            return Err(Why::EightBit);
        }
        Ok(Field::new(name, value)?)
    }

    pub(super) fn add_header(
        &mut self,
        name: &str,
        value: &str,
        add: fn(&mut HeaderSection, Field),
    ) -> Result<(), Why> {
        let field = self.field(name, value)?;
        let header = self.header()?;
        add(header, field);
        if header.len() > HEADER_MAX { Err(Why::HeaderTooLarge) } else { Ok(()) }
    }

    pub(super) fn replace_header(&mut self, position: usize, name: &str, value: &str) -> Result<(), Why> {
        self.needs_message()?;
        let field = self.field(name, value)?;
        let header = self.header()?;
        if !header.replace(position, field) {
            return Err(Why::NoSuchPosition);
        }
        if header.len() > HEADER_MAX { Err(Why::HeaderTooLarge) } else { Ok(()) }
    }

    pub(super) fn remove_header(&mut self, position: usize) -> Result<(), Why> {
        self.needs_message()?;
        if self.header()?.remove(position) { Ok(()) } else { Err(Why::NoSuchPosition) }
    }

    pub(super) fn needs_message(&self) -> Result<(), Why> {
        if self.hook.has_message() { Ok(()) } else { Err(Why::NoMessage) }
    }
}
