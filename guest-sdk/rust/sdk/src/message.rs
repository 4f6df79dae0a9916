//! The message as a plugin reads it.

use std::io::{self, Read};

use crate::{Address, DateTime, Media, Part};

#[cfg(target_family = "wasm")]
mod host;
#[cfg(not(target_family = "wasm"))]
mod native;

#[cfg(target_family = "wasm")]
pub use host::Message;
#[cfg(not(target_family = "wasm"))]
pub use native::Message;

/// Octets in one call of the host: what the contract allows.
const CHUNK: usize = 65_536;

impl Message {
    /// The value of the first field of a name; case means nothing.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<String> {
        self.values(name).into_iter().next()
    }

    /// Where the fields of a name stand, counted from 0 at the top; case means nothing.
    #[must_use]
    pub fn positions(&self, name: &str) -> Vec<usize> {
        // Mostly there is none, and to ask that is cheaper than to take the whole header.
        if self.values(name).is_empty() {
            return Vec::new();
        }
        let fields = self.fields().into_iter().enumerate();
        fields.filter(|(_, field)| field.name.eq_ignore_ascii_case(name)).map(|(at, _)| at).collect()
    }

    /// The value of the first field of a name with its encoded words decoded; case means nothing in names.
    #[must_use]
    pub fn decoded(&self, name: &str) -> Option<String> {
        self.decoded_field(at(*self.positions(name).first()?))
    }

    /// The addresses in all fields of a name, in order.
    #[must_use]
    pub fn addresses_of(&self, name: &str) -> Vec<Address> {
        self.positions(name).into_iter().flat_map(|position| self.addresses(at(position))).collect()
    }

    /// The date in the first field of a name, if it is one.
    #[must_use]
    pub fn date_of(&self, name: &str) -> Option<DateTime> {
        self.date(at(*self.positions(name).first()?))
    }

    /// The message-ids in all fields of a name, in order.
    #[must_use]
    pub fn message_ids_of(&self, name: &str) -> Vec<String> {
        self.positions(name).into_iter().flat_map(|position| self.message_ids(at(position))).collect()
    }

    /// Reads the decoded content of a part from its start, as it is asked for. Give `read` large buffers, or wrap it into
    /// a `BufReader`.
    #[must_use]
    pub fn content(&self, part: &Part) -> Content<'_> {
        Content { message: self, part: part.index, offset: 0 }
    }

    /// Reads the body from its start, as it is asked for. Give `read` large buffers, or wrap it into a `BufReader`.
    #[must_use]
    pub fn body(&self) -> Body<'_> {
        Body { message: self, offset: 0 }
    }
}

/// Reads a body. Made by [`Message::body`].
pub struct Body<'a> {
    message: &'a Message,
    offset: u64,
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(CHUNK) as u32;
        let octets = self.message.read_body(self.offset, len).map_err(io::Error::other)?;
        buffer[..octets.len()].copy_from_slice(&octets);
        self.offset += octets.len() as u64;
        Ok(octets.len())
    }
}

/// Reads the decoded content of a part. Made by [`Message::content`].
pub struct Content<'a> {
    message: &'a Message,
    part: u32,
    offset: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(CHUNK) as u32;
        let octets = self.message.read_part(self.part, self.offset, len).map_err(io::Error::other)?;
        buffer[..octets.len()].copy_from_slice(&octets);
        self.offset += octets.len() as u64;
        Ok(octets.len())
    }
}

impl Part {
    /// Whether it is to be kept apart from the text: it says so, or it has a name for a file.
    #[must_use]
    pub fn is_attachment(&self) -> bool {
        self.disposition.as_deref() == Some("attachment") || self.name.is_some()
    }

    /// The end of its name behind the last dot, in lower case.
    #[must_use]
    pub fn extension(&self) -> Option<String> {
        let (_, extension) = self.name.as_deref()?.rsplit_once('.')?;
        Some(extension.trim_end().to_lowercase())
    }
}

impl Media {
    /// The first parameter of a name in lower case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.value.as_str())
    }
}

/// Header fields are counted in 32 bits; no header section has as many.
fn at(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_field_by_field_and_body_by_chunks() {
        let m = Message::example("Subject: one\n two\nX: 1\nx: 2\n\nbody\n");
        assert_eq!(m.value("subject").as_deref(), Some("one two"));
        assert_eq!((m.values("X"), m.positions("X")), (vec!["1".to_owned(), "2".to_owned()], vec![1, 2]));
        assert_eq!(m.raw_field(0).as_deref(), Some(&b"Subject: one\r\n two\r\n"[..]));
        let mut body = String::new();
        m.body().read_to_string(&mut body).unwrap();
        assert_eq!((body.as_str(), m.body_size()), ("body\r\n", 6));
    }

    #[test]
    fn fields_are_read_for_what_they_mean() {
        let m = Message::example(
            "From: =?utf-8?q?J=C3=B6rg?= <j@example.com>\nTo: a@example.com, b@example.com\nDate: 1 Jan 1970 00:00:05 +0000\nReferences: <1@x> <2@x>\nSubject: =?utf-8?q?=C3=A4?=\n\n",
        );
        assert_eq!(m.addresses_of("from")[0].name.as_deref(), Some("Jörg"));
        assert_eq!(m.addresses_of("to").len(), 2);
        assert_eq!(m.date_of("date").map(|date| date.seconds), Some(5));
        assert_eq!(m.message_ids_of("references"), ["1@x", "2@x"]);
        assert_eq!((m.decoded("subject").as_deref(), m.decoded("x")), (Some("ä"), None));
    }

    #[test]
    fn parts_are_told_and_their_content_is_read() {
        let m = Message::example(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n--b\nContent-Type: text/plain; name=A.EXE\nContent-Transfer-Encoding: base64\n\nTVqQAAMAAAAEAAAA//8AALgAAAA=\n--b--\n",
        );
        let structure = m.structure().unwrap();
        let file = &structure.parts[2];
        assert_eq!((file.extension().as_deref(), file.is_attachment()), (Some("exe"), true));
        assert_eq!(file.detected_type.as_deref(), Some("application/vnd.microsoft.portable-executable"));
        let mut content = Vec::new();
        m.content(file).read_to_end(&mut content).unwrap();
        assert_eq!((content.len(), &content[..2]), (20, &b"MZ"[..]));
        assert_eq!(m.part_fields(2).unwrap()[0].name, "Content-Type");
        assert!(m.read_part(0, 0, 1).is_err() && m.read_part(3, 0, 1).is_err());
    }
}
