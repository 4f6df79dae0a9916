//! The fields that say what a part is (RFC 2045, RFC 2183).

use wasmail_mail::Field;

use crate::view::{self, MediaType};

/// How content is written down for the way (RFC 2045 §6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Lines of US-ASCII.
    #[default]
    SevenBit,
    /// Lines of any octets.
    EightBit,
    /// Any octets.
    Binary,
    /// Text with `=` before what would not pass.
    QuotedPrintable,
    /// Anything in groups of four characters.
    Base64,
    /// Something that is not known here: shown as it is.
    Other(String),
}

impl Encoding {
    /// As it stands in the field, in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
            Self::Binary => "binary",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
            Self::Other(name) => name,
        }
    }

    /// Whether the octets stand for themselves.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        matches!(self, Self::SevenBit | Self::EightBit | Self::Binary)
    }

    fn read(field: &Field) -> Self {
        let value = field.value();
        let token = value.split(|c: char| c.is_whitespace() || matches!(c, ';' | '(')).next().unwrap_or_default();
        match token.to_ascii_lowercase().as_str() {
            "" | "7bit" => Self::SevenBit,
            "8bit" => Self::EightBit,
            "binary" => Self::Binary,
            "quoted-printable" => Self::QuotedPrintable,
            "base64" => Self::Base64,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// What the header fields of a part say of its content. Where a field stands twice, the first one counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContentFields {
    /// Media type with its parameters, as it was declared; none when it was not, or is none.
    pub media_type: Option<MediaType>,
    /// `Content-Disposition`.
    pub disposition: Option<MediaType>,
    /// `Content-Transfer-Encoding`.
    pub encoding: Encoding,
}

impl ContentFields {
    /// Reads them from a header section.
    #[must_use]
    pub fn read(fields: &[Field]) -> Self {
        let first = |name: &str| fields.iter().find(|field| field.is(name));
        // `Content-Type: text` was allowed once (RFC 1049) and means nothing any more.
        let media_type = first("Content-Type").and_then(view::media_type).filter(|media| media.name.contains('/'));
        Self {
            media_type,
            disposition: first("Content-Disposition").and_then(view::media_type),
            encoding: first("Content-Transfer-Encoding").map(Encoding::read).unwrap_or_default(),
        }
    }
}
