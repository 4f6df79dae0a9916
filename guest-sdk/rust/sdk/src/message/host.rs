//! A message in a component: the host holds it, and every method is a call.

use crate::bindings::wasmail::policy::message as host;
use crate::{Address, DateTime, Field, Media, Structure};

/// The message of the running hook. Natively it is made from a text by `Message::example`, for unit tests.
#[derive(Debug)]
pub struct Message(());

impl Message {
    /// The message that the running hook is about.
    #[doc(hidden)]
    #[must_use]
    pub fn of_call() -> Self {
        Self(())
    }

    /// Octets of the whole message: header section, empty line, body.
    #[must_use]
    pub fn size(&self) -> u64 {
        host::size()
    }

    /// Octets of the body, without the header section and the empty line below it.
    #[must_use]
    pub fn body_size(&self) -> u64 {
        host::body_size()
    }

    /// The header fields in order, first one on top.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        host::fields()
    }

    /// The values of the fields of one name, in order; case means nothing.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<String> {
        host::values(name)
    }

    /// A field's octets, folding and final CRLF included; none past the last position.
    #[must_use]
    pub fn raw_field(&self, position: u32) -> Option<Vec<u8>> {
        host::raw_field(position)
    }

    /// A field's value with its encoded words decoded; none past the last position.
    #[must_use]
    pub fn decoded_field(&self, position: u32) -> Option<String> {
        host::decoded_field(position)
    }

    /// The addresses in a field, such as From or To.
    #[must_use]
    pub fn addresses(&self, position: u32) -> Vec<Address> {
        host::addresses(position)
    }

    /// The date in a field; none when it is no date.
    #[must_use]
    pub fn date(&self, position: u32) -> Option<DateTime> {
        host::date(position)
    }

    /// The message-ids in a field, such as References, without angle brackets.
    #[must_use]
    pub fn message_ids(&self, position: u32) -> Vec<String> {
        host::message_ids(position)
    }

    /// The media type or disposition in a field.
    #[must_use]
    pub fn media_type(&self, position: u32) -> Option<Media> {
        host::media_type(position)
    }

    /// The MIME parts. The host reads the whole body for it, once for all plugins.
    ///
    /// # Errors
    /// When the host cannot read the message back.
    pub fn structure(&self) -> Result<Structure, String> {
        host::read_structure()
    }

    /// The header fields of a part.
    ///
    /// # Errors
    /// When there is no such part, or the host cannot read the message back.
    pub fn part_fields(&self, part: u32) -> Result<Vec<Field>, String> {
        host::part_fields(part)
    }

    /// Decoded content of a leaf from an offset: at most 65 536 octets, none past its end.
    ///
    /// # Errors
    /// When there is no such leaf, or the host cannot read the message back.
    pub fn read_part(&self, part: u32, offset: u64, len: u32) -> Result<Vec<u8>, String> {
        host::read_part(part, offset, len)
    }

    /// Octets of the body from an offset: at most 65 536, none past its end.
    ///
    /// # Errors
    /// When the host cannot read the message back.
    pub fn read_body(&self, offset: u64, len: u32) -> Result<Vec<u8>, String> {
        host::read_body(offset, len)
    }
}
