//! The parts of a message.

use std::ops::Range;

use crate::view::MediaType;
use crate::{ContentFields, Encoding};

/// Parts of one message. Mail has some dozen; every part costs memory and, at the hook `part`, a call of each plugin.
pub const PARTS_MAX: usize = 500;
/// How deep parts lie in parts. Forwards of forwards get to five or six.
pub const DEPTH_MAX: usize = 32;
/// Octets of one part's header section that are read for what they say.
pub const PART_HEADER_MAX: usize = 64 * 1024;

/// A message as a tree of parts. The root is the message itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The parts in the order in which they stand in the message; a part comes before those in it.
    pub parts: Vec<Part>,
    /// The first limit that was passed: then there is more in the message than the tree tells.
    pub passed: Option<Passed>,
}

/// A limit of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// More than [`PARTS_MAX`] parts: the others are not told.
    Parts,
    /// Deeper than [`DEPTH_MAX`]: what lies deeper is content of the part around it.
    Depth,
    /// A header section of more than [`PART_HEADER_MAX`] octets: the fields behind that are not heeded.
    Header,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Number of the part that it lies in; none for the root.
    pub parent: Option<usize>,
    /// Declared media type in lower case; what RFC 2045 §5.2 says where there is none.
    pub media_type: String,
    /// Parameters of the media type.
    pub parameters: Vec<(String, String)>,
    /// `attachment`, `inline` or another word, in lower case.
    pub disposition: Option<String>,
    /// The name for a file: `filename` of the disposition, else `name` of the media type.
    pub name: Option<String>,
    /// The transfer encoding.
    pub encoding: Encoding,
    /// What the content looks like by its first octets.
    pub detected: Option<&'static str>,
    /// Where it stands.
    pub place: Place,
    /// Whether it is made of parts that the tree tells.
    pub has_parts: bool,
}

/// Where a part stands in the body, in octets from the body's beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where the line with the delimiter before it begins; 0 for the root. A message in a part has none: its header.
    pub begin: u64,
    /// Where its header section begins. The root's is not in the body.
    pub header: u64,
    /// Its content as it stands there, without the line break that belongs to the delimiter after it.
    pub content: Range<u64>,
    /// Where the line with the next delimiter of the same multipart begins; none where that is missing.
    pub next: Option<u64>,
}

impl Part {
    pub(crate) fn new(fields: ContentFields, default: &str, parent: Option<usize>, place: Place) -> Self {
        let ContentFields { media_type, disposition, encoding } = fields;
        let filename = disposition.as_ref().and_then(|disposition| disposition.parameter("filename"));
        let name = filename.or_else(|| media_type.as_ref()?.parameter("name")).map(str::to_owned);
        let MediaType { name: media_type, parameters } =
            media_type.unwrap_or_else(|| MediaType { name: default.to_owned(), parameters: Vec::new() });
        Self {
            parent,
            media_type,
            parameters,
            disposition: disposition.map(|disposition| disposition.name),
            name,
            encoding,
            detected: None,
            place,
            has_parts: false,
        }
    }

    /// Whether its content is no parts but something to look at.
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        !self.has_parts
    }

    /// The first parameter of a name in lower case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The boundary of its parts, if it says that it is made of parts.
    pub(crate) fn boundary(&self) -> Option<&str> {
        let boundary = self.parameter("boundary").filter(|_| self.media_type.starts_with("multipart/"))?;
        // White space at the end of a delimiter's line is padding, so a boundary cannot end in it (RFC 2046 §5.1.1).
        Some(boundary.trim_end()).filter(|boundary| !boundary.is_empty())
    }

    pub(crate) fn is_message(&self) -> bool {
        matches!(self.media_type.as_str(), "message/rfc822" | "message/global") && self.encoding.is_identity()
    }
}

impl Tree {
    /// The numbers of the parts that are not made of parts, in order.
    pub fn leaves(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().enumerate().filter(|(_, part)| part.is_leaf()).map(|(at, _)| at)
    }

    /// The numbers of the parts directly in one, in order.
    pub fn children(&self, of: usize) -> impl Iterator<Item = usize> {
        self.parts.iter().enumerate().filter(move |(_, part)| part.parent == Some(of)).map(|(at, _)| at)
    }
}
