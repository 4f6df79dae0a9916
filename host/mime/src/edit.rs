//! Edits of parts. Each becomes splices of the body: octets that nobody edits stay where they are.

mod banner;
mod encode;
mod fields;

use std::fmt;
use std::ops::Range;

use wasmail_mail::{Field, FieldError, HeaderSection};

use crate::{Encoding, Part, Tree};
pub use banner::{Banner, banner_parts};
use fields::NewFields;

/// Octets of a file's name.
pub const NAME_MAX: usize = 200;
/// Octets of decoded text that a banner is put into: it is held in memory while that is done.
pub const BANNER_TEXT_MAX: usize = 4 * 1024 * 1024;
/// Octets of a banner in one form.
pub const BANNER_MAX: usize = 64 * 1024;

/// Octets of a body that give way to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    /// What goes.
    pub range: Range<u64>,
    /// What comes in its place.
    pub with: Vec<u8>,
}

/// An edit of one part: of the body, and for the root of the message's own header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The splice of the body.
    pub splice: Splice,
    /// The message's header section as it is to be, where the part is the root.
    pub header: Option<HeaderSection>,
}

/// What a part is to be replaced with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Media type with parameters, such as `text/plain; charset=utf-8`.
    pub media_type: String,
    /// A name for a file makes it an attachment.
    pub name: Option<String>,
    /// Content before encoding.
    pub content: Vec<u8>,
}

/// Why a part cannot be edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each one's text says it")]
pub enum EditError {
    Root,
    OnlyChild,
    WholeMessage,
    MediaType,
    PartsInside,
    Name,
    Banner,
    TextTooLarge,
    HeaderTooLarge,
    Field(FieldError),
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("the message itself cannot be removed, only replaced"),
            Self::OnlyChild => f.write_str("a multipart must keep a part (RFC 2046 section 5.1): replace it instead"),
            Self::WholeMessage => f.write_str("the whole of a message in a part cannot be removed: remove that part"),
            Self::MediaType => f.write_str("the media type is none, such as text/plain; charset=utf-8"),
            Self::PartsInside => f.write_str("a part cannot be replaced with a multipart or a message"),
            Self::Name => write!(f, "the name is empty, holds a control character or exceeds {NAME_MAX} octets"),
            Self::Banner => write!(f, "the banner is empty, holds NUL or exceeds {BANNER_MAX} octets"),
            Self::TextTooLarge => write!(f, "the text to put the banner into exceeds {BANNER_TEXT_MAX} octets"),
            Self::HeaderTooLarge => f.write_str("the part's header section exceeds 64 KiB"),
            Self::Field(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EditError {}

impl From<FieldError> for EditError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

/// Removes a part with its delimiter. Its neighbours stay octet for octet.
///
/// # Errors
/// When something must stand in its place.
pub fn remove(tree: &Tree, number: usize) -> Result<Edit, EditError> {
    let part = &tree.parts[number];
    let parent = part.parent.ok_or(EditError::Root)?;
    let around = &tree.parts[parent];
    let Some(boundary) = around.boundary() else { return Err(EditError::WholeMessage) };
    if tree.children(parent).count() < 2 {
        return Err(EditError::OnlyChild);
    }
    let (range, with) = match part.place.next {
        Some(next) => (part.place.begin..next, Vec::new()),
        // The last delimiter is missing; what was removed is no longer there to be ended by anything else.
        None => (part.place.begin..around.place.content.end, close(boundary, tree, parent)),
    };
    Ok(Edit { splice: Splice { range, with }, header: None })
}

fn close(boundary: &str, tree: &Tree, parent: usize) -> Vec<u8> {
    let line_break = if tree.parts[parent].ends_body(tree) { "\r\n" } else { "" };
    format!("--{boundary}--{line_break}").into_bytes()
}

/// Replaces a part, with all that is in it. Fields of its header that don't speak of the content stay.
///
/// # Errors
/// When the replacement is none.
pub fn replace(
    tree: &Tree,
    number: usize,
    header: &HeaderSection,
    replacement: &Replacement,
) -> Result<Edit, EditError> {
    let media_type = check_media_type(&replacement.media_type)?;
    let text = media_type.starts_with("text/");
    let content = if text { encode::canonical(&replacement.content) } else { replacement.content.clone() };
    let encoding =
        if text { encode::choose(&content, &Encoding::SevenBit, &delimiters(tree, number)) } else { Encoding::Base64 };
    let disposition = replacement.name.as_deref().map(fields::attachment).transpose()?;
    let fields = NewFields { media_type: Some(&replacement.media_type), encoding: Some(&encoding), disposition };
    rewrite(tree, number, header, &fields.replacing(header)?, &encoding, &content)
}

/// A media type that may stand in a field, in lower case.
fn check_media_type(value: &str) -> Result<String, EditError> {
    let field = Field::new("Content-Type", value)?;
    let media = crate::view::media_type(&field).filter(|media| value.is_ascii() && is_type(&media.name));
    let media = media.ok_or(EditError::MediaType)?;
    let with_parts = media.name.starts_with("multipart/") || media.name.starts_with("message/");
    if with_parts { Err(EditError::PartsInside) } else { Ok(media.name) }
}

fn is_type(name: &str) -> bool {
    let token =
        |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&c));
    name.split_once('/').is_some_and(|(main, sub)| token(main) && token(sub))
}

/// Puts a header section and encoded content in the place of a part's.
fn rewrite(
    tree: &Tree,
    number: usize,
    before: &HeaderSection,
    section: &HeaderSection,
    encoding: &Encoding,
    content: &[u8],
) -> Result<Edit, EditError> {
    let part = &tree.parts[number];
    let mut encoded = encode::encode(encoding, content);
    if part.ends_body(tree) && !encoded.ends_with(b"\r\n") {
        encoded.extend_from_slice(b"\r\n");
    }
    if number == 0 {
        let splice = Splice { range: part.place.content.clone(), with: encoded };
        return Ok(Edit { splice, header: (before != section).then(|| section.clone()) });
    }
    if before == section {
        return Ok(Edit { splice: Splice { range: part.place.content.clone(), with: encoded }, header: None });
    }
    if part.place.content.start - part.place.header > crate::PART_HEADER_MAX as u64 {
        return Err(EditError::HeaderTooLarge);
    }
    let range = part.place.header..part.place.content.end;
    Ok(Edit { splice: Splice { range, with: [section.to_octets(), encoded].concat() }, header: None })
}

/// The delimiters of the parts around one.
fn delimiters(tree: &Tree, number: usize) -> Vec<Vec<u8>> {
    let around = std::iter::successors(tree.parts[number].parent, |parent| tree.parts[*parent].parent);
    let boundaries = around.filter_map(|parent| tree.parts[parent].boundary());
    boundaries.map(|boundary| [b"--", boundary.as_bytes()].concat()).collect()
}

impl Part {
    /// Whether its content ends with the last octet of the body, so that it must end a line.
    fn ends_body(&self, tree: &Tree) -> bool {
        self.place.content.end == tree.parts[0].place.content.end
    }
}

#[cfg(test)]
mod tests;
