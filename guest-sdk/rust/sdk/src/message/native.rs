//! A message outside of the sandbox, for unit tests: read by the same code as in the host.

use wasmail_mail::{Field as HeaderField, HeaderSection};
use wasmail_mime::{Decoder, Part as MimePart, Passed, Scanner, Tree, view};

use crate::{Address, DateTime, Field, Media, MediaParameter, Part, PassedLimit, Structure};

/// A message. In a component the host holds it and every method is a call; natively it is made from a text by
/// [`Message::example`], for unit tests.
#[derive(Debug, Clone)]
pub struct Message {
    header: HeaderSection,
    body: Vec<u8>,
}

impl Message {
    /// Reads a message whose lines end with CRLF or LF, for unit tests.
    #[must_use]
    pub fn example(text: &str) -> Self {
        let (mut header, mut body) = (HeaderSection::default(), String::new());
        let mut lines = text.lines();
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            // What is no field is left out: a message that has none of it reads the same.
            header.push_line(format!("{line}\r\n").as_bytes());
        }
        lines.for_each(|line| body += &format!("{line}\r\n"));
        Self { header, body: body.into_bytes() }
    }

    /// Octets of the whole message: header section, empty line, body.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.whole().len() as u64
    }

    /// All octets.
    pub(crate) fn whole(&self) -> Vec<u8> {
        [self.header.to_octets(), self.body.clone()].concat()
    }

    /// Octets of the body, without the header section and the empty line below it.
    #[must_use]
    pub fn body_size(&self) -> u64 {
        self.body.len() as u64
    }

    /// The header fields in order, first one on top.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        self.header.fields().iter().map(field).collect()
    }

    /// The values of the fields of one name, in order; case means nothing.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<String> {
        self.header.named(name).map(|field| field.value().into_owned()).collect()
    }

    /// A field's octets, folding and final CRLF included; none past the last position.
    #[must_use]
    pub fn raw_field(&self, position: u32) -> Option<Vec<u8>> {
        self.field(position).map(|field| field.raw().to_vec())
    }

    /// A field's value with its encoded words decoded; none past the last position.
    #[must_use]
    pub fn decoded_field(&self, position: u32) -> Option<String> {
        self.field(position).map(view::text)
    }

    /// The addresses in a field, such as From or To.
    #[must_use]
    pub fn addresses(&self, position: u32) -> Vec<Address> {
        let addresses = self.field(position).map(view::addresses).unwrap_or_default().into_iter();
        addresses.map(|a| Address { group: a.group, name: a.name, address: a.address }).collect()
    }

    /// The date in a field; none when it is no date.
    #[must_use]
    pub fn date(&self, position: u32) -> Option<DateTime> {
        self.field(position).and_then(view::date).map(|date| DateTime { seconds: date.seconds, zone: date.zone })
    }

    /// The message-ids in a field, such as References, without angle brackets.
    #[must_use]
    pub fn message_ids(&self, position: u32) -> Vec<String> {
        self.field(position).map(view::message_ids).unwrap_or_default()
    }

    /// The media type or disposition in a field.
    #[must_use]
    pub fn media_type(&self, position: u32) -> Option<Media> {
        self.field(position).and_then(view::media_type).map(|known| media(known.name, known.parameters))
    }

    /// The MIME parts.
    ///
    /// # Errors
    /// Never outside of the sandbox.
    pub fn structure(&self) -> Result<Structure, String> {
        let tree = self.tree();
        let passed = tree.passed.map(|passed| match passed {
            Passed::Parts => PassedLimit::Parts,
            Passed::Depth => PassedLimit::Depth,
            Passed::Header => PassedLimit::Header,
        });
        Ok(Structure { parts: tree.parts.iter().enumerate().map(|(at, known)| part(at, known)).collect(), passed })
    }

    /// The header fields of a part, in order. Those of the root are the message's.
    ///
    /// # Errors
    /// When there is no such part.
    pub fn part_fields(&self, part: u32) -> Result<Vec<Field>, String> {
        if part == 0 {
            return Ok(self.fields());
        }
        let place = self.part(part)?.place;
        let mut section = HeaderSection::default();
        let octets = self.octets(place.header, place.content.start);
        let _all = octets.split_inclusive(|octet| *octet == b'\n').all(|line| section.push_line(line));
        Ok(section.fields().iter().map(field).collect())
    }

    /// Decoded content of a leaf from an offset: at most 65 536 octets, fewer only near the end, none past it.
    ///
    /// # Errors
    /// When there is no such part, or it is made of parts.
    pub fn read_part(&self, part: u32, offset: u64, len: u32) -> Result<Vec<u8>, String> {
        let known = self.part(part)?;
        if known.has_parts {
            return Err(format!("part {part} is made of parts"));
        }
        let (mut decoder, mut decoded) = (Decoder::new(&known.encoding), Vec::new());
        decoder.push(self.octets(known.place.content.start, known.place.content.end), &mut decoded);
        decoder.finish(&mut decoded);
        Ok(range(&decoded, offset, len))
    }

    /// Octets of the body from an offset: at most 65 536, fewer near the end, none past it.
    ///
    /// # Errors
    /// When the host cannot read them.
    pub fn read_body(&self, offset: u64, len: u32) -> Result<Vec<u8>, String> {
        Ok(range(&self.body, offset, len))
    }

    fn field(&self, position: u32) -> Option<&HeaderField> {
        self.header.fields().get(position as usize)
    }

    fn tree(&self) -> Tree {
        let mut scanner = Scanner::new(self.header.fields());
        scanner.push(&self.body);
        scanner.finish()
    }

    fn part(&self, part: u32) -> Result<MimePart, String> {
        self.tree().parts.into_iter().nth(part as usize).ok_or_else(|| format!("there is no part {part}"))
    }

    fn octets(&self, start: u64, end: u64) -> &[u8] {
        self.body.get(start as usize..end as usize).unwrap_or_default()
    }
}

fn range(octets: &[u8], offset: u64, len: u32) -> Vec<u8> {
    let rest = usize::try_from(offset).ok().and_then(|offset| octets.get(offset..)).unwrap_or_default();
    rest[..rest.len().min(len as usize).min(super::CHUNK)].to_vec()
}

fn field(field: &HeaderField) -> Field {
    Field { name: field.name().to_owned(), value: field.value().into_owned() }
}

fn media(name: String, parameters: Vec<(String, String)>) -> Media {
    let parameters = parameters.into_iter().map(|(name, value)| MediaParameter { name, value });
    Media { name, parameters: parameters.collect() }
}

fn part(index: usize, part: &MimePart) -> Part {
    let content = &part.place.content;
    Part {
        index: index as u32,
        parent: part.parent.map(|parent| parent as u32),
        has_parts: part.has_parts,
        media_type: media(part.media_type.clone(), part.parameters.clone()),
        detected_type: part.detected.map(str::to_owned),
        disposition: part.disposition.clone(),
        name: part.name.clone(),
        encoding: part.encoding.name().to_owned(),
        offset: content.start,
        size: content.end - content.start,
    }
}
