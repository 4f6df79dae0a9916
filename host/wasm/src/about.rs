//! Who made a component, as its own custom sections say.
//!
//! The names are those of WebAssembly's tool conventions, which `wasm-tools metadata`, `cargo component` and `wkg` write, and OCI
//! annotations have: `authors`, `licenses`, `source`, `homepage`, `revision`.

use crate::text::escaped;

/// Octets of one of them.
const TEXT_MAX: usize = 500;

/// Who made a component. Nobody has checked a word of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Who is responsible, with ways to reach them.
    pub authors: Option<String>,
    /// Under which licences, by SPDX's names.
    pub licenses: Option<String>,
    /// Where its source is.
    pub source: Option<String>,
    /// Where more is said of it.
    pub homepage: Option<String>,
    /// Of which state of the source it was made.
    pub revision: Option<String>,
}

impl About {
    /// Reads a custom section of the component itself. Others than those are nothing, and what is no text is shown as far as it is.
    pub(crate) fn read(&mut self, name: &str, data: &[u8]) {
        let place = match name {
            "authors" => &mut self.authors,
            "licenses" => &mut self.licenses,
            "source" => &mut self.source,
            "homepage" => &mut self.homepage,
            "revision" => &mut self.revision,
            _ => return,
        };
        // So much is shown at most, and a character has four octets at most.
        let data = &data[..data.len().min(4 * TEXT_MAX)];
        let text = escaped(String::from_utf8_lossy(data).trim(), TEXT_MAX);
        if !text.is_empty() {
            *place = Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_is_bounded_and_harmless() {
        let mut about = About::default();
        about.read("authors", "  Ann <ann@example.org>, Zoë\n".as_bytes());
        about.read("licenses", b"MIT OR Apache-2.0");
        about.read("source", b"https://example.org/\x1b[31m\xff");
        about.read("homepage", "ü".repeat(10_000).as_bytes());
        about.read("revision", b" \n");
        about.read("name", b"whatever");
        assert_eq!(about.authors.as_deref(), Some("Ann <ann@example.org>, Zoë"));
        assert_eq!(about.licenses.as_deref(), Some("MIT OR Apache-2.0"));
        assert_eq!(about.source.as_deref(), Some("https://example.org/\\u{1b}[31m\u{fffd}"));
        assert!(about.homepage.is_some_and(|text| text.len() <= TEXT_MAX + '…'.len_utf8()));
        assert_eq!(about.revision, None);
    }
}
