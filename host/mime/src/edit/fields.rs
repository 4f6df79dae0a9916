//! Header fields of edited parts.

use wasmail_mail::{Field, HeaderSection};

use super::{EditError, NAME_MAX};
use crate::Encoding;

/// Fields that say something of the content: they go when it does.
const OF_CONTENT: [&str; 6] = [
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Content-MD5",
    "Content-Length",
    "Content-Language",
];

/// What is to be said of new content; where nothing is said, the field stays.
#[derive(Default)]
pub(super) struct NewFields<'a> {
    pub(super) media_type: Option<&'a str>,
    pub(super) encoding: Option<&'a Encoding>,
    pub(super) disposition: Option<String>,
}

impl NewFields<'_> {
    /// A header section in which all fields of the old content are replaced.
    pub(super) fn replacing(&self, section: &HeaderSection) -> Result<HeaderSection, EditError> {
        let mut section = section.clone();
        section.remove_where(|field| OF_CONTENT.iter().any(|name| field.is(name)));
        self.write(section)
    }

    /// A header section in which only these fields are replaced.
    pub(super) fn changing(&self, section: &HeaderSection) -> Result<HeaderSection, EditError> {
        let mut section = section.clone();
        section.remove_where(|field| {
            (self.media_type.is_some() && field.is("Content-Type"))
                || (self.encoding.is_some() && field.is("Content-Transfer-Encoding"))
                || field.is("Content-MD5")
        });
        self.write(section)
    }

    fn write(&self, mut section: HeaderSection) -> Result<HeaderSection, EditError> {
        let media_type = self.media_type.map(|value| ("Content-Type", value.to_owned()));
        let encoding = self.encoding.map(|encoding| ("Content-Transfer-Encoding", encoding.name().to_owned()));
        let disposition = self.disposition.clone().map(|value| ("Content-Disposition", value));
        for (name, value) in media_type.into_iter().chain(encoding).chain(disposition) {
            section.append(Field::new(name, &value)?);
        }
        Ok(section)
    }
}

/// `Content-Disposition` of a file (RFC 2183), with a name in any script (RFC 2231).
pub(super) fn attachment(name: &str) -> Result<String, EditError> {
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(EditError::Name);
    }
    if name.is_ascii() {
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        return Ok(format!("attachment; filename=\"{quoted}\""));
    }
    let encoded: String = name
        .bytes()
        .map(|octet| match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(octet).to_string(),
            _ => format!("%{octet:02X}"),
        })
        .collect();
    Ok(format!("attachment; filename*=utf-8''{encoded}"))
}
