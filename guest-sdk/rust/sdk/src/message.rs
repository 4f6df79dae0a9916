//! The message as a plugin reads it.

use std::io::{self, Read};

#[cfg(target_family = "wasm")]
pub use crate::bindings::wasmail::policy::message::Message;
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

#[cfg(not(target_family = "wasm"))]
mod native {
    use crate::Field;

    /// A message. In a component the host holds it and every method is a call; natively it is made from a text by
    /// [`Message::example`], for unit tests.
    #[derive(Debug, Clone)]
    pub struct Message {
        fields: Vec<String>,
        body: Vec<u8>,
    }

    impl Message {
        /// Reads a message whose lines end with CRLF or LF, for unit tests.
        #[must_use]
        pub fn example(text: &str) -> Self {
            let (mut fields, mut body) = (Vec::<String>::new(), String::new());
            let mut lines = text.lines();
            for line in lines.by_ref().take_while(|line| !line.is_empty()) {
                match fields.last_mut() {
                    Some(field) if line.starts_with([' ', '\t']) => *field += &format!("{line}\r\n"),
                    _ => fields.push(format!("{line}\r\n")),
                }
            }
            lines.for_each(|line| body += &format!("{line}\r\n"));
            Self { fields, body: body.into_bytes() }
        }

        /// Octets of the body, without the header section and the empty line below it.
        #[must_use]
        pub fn body_size(&self) -> u64 {
            self.body.len() as u64
        }

        /// The header fields in order, first one on top.
        #[must_use]
        pub fn fields(&self) -> Vec<Field> {
            self.fields.iter().map(|field| split(field)).collect()
        }

        /// The values of the fields of one name, in order; case means nothing.
        #[must_use]
        pub fn values(&self, name: &str) -> Vec<String> {
            let fields = self.fields().into_iter();
            fields.filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value).collect()
        }

        /// A field's octets, folding and final CRLF included; none past the last position.
        #[must_use]
        pub fn raw_field(&self, position: u32) -> Option<Vec<u8>> {
            self.fields.get(position as usize).map(|field| field.clone().into_bytes())
        }

        /// Octets of the body from an offset: at most 65 536, fewer near the end, none past it.
        ///
        /// # Errors
        /// When the host cannot read them.
        pub fn read_body(&self, offset: u64, len: u32) -> Result<Vec<u8>, String> {
            let rest = usize::try_from(offset).ok().and_then(|offset| self.body.get(offset..)).unwrap_or_default();
            Ok(rest[..rest.len().min(len as usize).min(super::CHUNK)].to_vec())
        }
    }

    fn split(field: &str) -> Field {
        let (name, value) = field.split_once(':').unwrap_or((field, ""));
        Field { name: name.trim_end().to_owned(), value: value.replace("\r\n", "").trim().to_owned() }
    }
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
}
