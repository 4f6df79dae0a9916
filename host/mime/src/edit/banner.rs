//! Puts a banner into the text of a message.

use encoding_rs::{Encoding as Charset, UTF_8};
use wasmail_mail::HeaderSection;

use super::{BANNER_MAX, BANNER_TEXT_MAX, Edit, EditError, NewFields, delimiters, encode, rewrite};
use crate::{Encoding, Part, Tree};

/// A text to be put below what the author wrote, in one or both forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banner {
    /// For `text/plain`.
    pub text: Option<String>,
    /// For `text/html`: markup that may stand within `body`.
    pub html: Option<String>,
}

impl Banner {
    /// Checks it, before a message is looked at.
    ///
    /// # Errors
    /// When a form is empty, holds NUL, or is too large, or there is none.
    pub fn check(&self) -> Result<(), EditError> {
        let fits = |form: &String| !form.is_empty() && form.len() <= BANNER_MAX && !form.contains('\0');
        let mut forms = self.text.iter().chain(&self.html).peekable();
        if forms.peek().is_some() && forms.all(fits) { Ok(()) } else { Err(EditError::Banner) }
    }

    fn form(&self, part: &Part) -> Option<&str> {
        match part.media_type.as_str() {
            "text/plain" => self.text.as_deref(),
            "text/html" => self.html.as_deref(),
            _ => None,
        }
    }

    /// Whether it has something for this part.
    #[must_use]
    pub fn is_for(&self, part: &Part) -> bool {
        self.form(part).is_some() && !matches!(part.encoding, Encoding::Other(_))
    }

    /// The edit that puts it into a part with this decoded content; none where the text is signed or encrypted itself.
    ///
    /// # Errors
    /// When the text is too large.
    pub fn put_into(
        &self,
        tree: &Tree,
        number: usize,
        header: &HeaderSection,
        content: &[u8],
    ) -> Result<Option<Edit>, EditError> {
        let part = &tree.parts[number];
        let Some(form) = self.form(part).filter(|_| !content.trim_ascii_start().starts_with(b"-----BEGIN PGP ")) else {
            return Ok(None);
        };
        if content.len() > BANNER_TEXT_MAX {
            return Err(EditError::TextTooLarge);
        }
        let form = String::from_utf8_lossy(&encode::canonical(form.as_bytes())).into_owned();
        let charset = part.parameter("charset").unwrap_or("us-ascii");
        let text =
            if part.media_type == "text/html" { html(charset, content, &form) } else { plain(charset, content, &form) };
        let encoding = encode::choose(&text.octets, &part.encoding, &delimiters(tree, number));
        let media_type = text.charset.map(|charset| with_charset(part, charset));
        let fields = NewFields {
            media_type: media_type.as_deref(),
            encoding: (encoding != part.encoding).then_some(&encoding),
            disposition: None,
        };
        let changed = media_type.is_some() || fields.encoding.is_some();
        let section = if changed { fields.changing(header)? } else { header.clone() };
        rewrite(tree, number, header, &section, &encoding, &text.octets).map(Some)
    }
}

/// The parts that are what the author wrote: the text itself and its alternatives. Attachments are not, nor is
/// anything in signed, encrypted, reported or forwarded parts.
#[must_use]
pub fn banner_parts(tree: &Tree) -> Vec<usize> {
    let (mut found, mut ahead) = (Vec::new(), vec![0]);
    while let Some(number) = ahead.pop() {
        let part = &tree.parts[number];
        match part.media_type.as_str() {
            "multipart/alternative" => ahead.extend(tree.children(number)),
            "multipart/mixed" | "multipart/related" => ahead.extend(tree.children(number).next()),
            _ if part.has_parts || part.name.is_some() || part.disposition.as_deref() == Some("attachment") => {}
            "text/plain" | "text/html" => found.push(number),
            _ => {}
        }
    }
    found.sort_unstable();
    found
}

/// A text with its banner.
struct Text {
    octets: Vec<u8>,
    /// The charset that it is in now, where that is another one.
    charset: Option<&'static str>,
}

/// How the characters of a text are written down.
enum Letters {
    /// What everybody means by no charset at all.
    Ascii,
    Known(&'static Charset),
    /// Nobody knows; but line breaks and letters are where they are in US-ASCII.
    Unknown,
}

impl Letters {
    fn of(label: &str) -> Self {
        if label.eq_ignore_ascii_case("us-ascii") || label.eq_ignore_ascii_case("ascii") {
            return Self::Ascii;
        }
        Charset::for_label(label.as_bytes()).map_or(Self::Unknown, Self::Known)
    }
}

fn plain(label: &str, content: &[u8], form: &str) -> Text {
    let kept = |banner: &[u8]| Text { octets: below(content, banner), charset: None };
    match Letters::of(label) {
        _ if form.is_ascii() && is_ascii_above(label) => kept(form.as_bytes()),
        Letters::Known(charset) => match charset.encode(form) {
            (banner, used, false) if used == charset => kept(&banner),
            _ => in_utf8(charset, content, form),
        },
        Letters::Ascii if content.is_ascii() => {
            Text { octets: below(content, form.as_bytes()), charset: Some("utf-8") }
        }
        Letters::Ascii => in_utf8(encoding_rs::WINDOWS_1252, content, form),
        Letters::Unknown => kept(&form.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' }).collect::<Vec<_>>()),
    }
}

/// Whether US-ASCII text stands in a text of this charset as it is.
fn is_ascii_above(label: &str) -> bool {
    match Letters::of(label) {
        Letters::Known(charset) => charset.is_ascii_compatible(),
        Letters::Ascii | Letters::Unknown => true,
    }
}

fn in_utf8(charset: &'static Charset, content: &[u8], form: &str) -> Text {
    let (content, ..) = charset.decode(content);
    Text { octets: below(content.as_bytes(), form.as_bytes()), charset: Some("utf-8") }
}

fn html(label: &str, content: &[u8], form: &str) -> Text {
    match Letters::of(label) {
        Letters::Known(charset) if !charset.is_ascii_compatible() => {
            let (content, ..) = charset.decode(content);
            Text { octets: inside(content.as_bytes(), form.as_bytes()), charset: Some(UTF_8.name()) }
        }
        // What the charset has not becomes a numeric character reference.
        Letters::Known(charset) => Text { octets: inside(content, &charset.encode(form).0), charset: None },
        Letters::Ascii | Letters::Unknown => {
            Text { octets: inside(content, references(form).as_bytes()), charset: None }
        }
    }
}

fn references(form: &str) -> String {
    form.chars().map(|c| if c.is_ascii() { c.to_string() } else { format!("&#{};", u32::from(c)) }).collect()
}

/// The banner on lines of its own below the text.
fn below(content: &[u8], banner: &[u8]) -> Vec<u8> {
    let line_break: &[u8] = if content.is_empty() || content.ends_with(b"\n") { b"" } else { b"\r\n" };
    [content, line_break, banner].concat()
}

/// The banner before the end of the document's body, or of what there is of a document.
fn inside(content: &[u8], banner: &[u8]) -> Vec<u8> {
    let at = last(content, b"</body").or_else(|| last(content, b"</html")).unwrap_or(content.len());
    [&content[..at], banner, &content[at..]].concat()
}

/// Where a tag stands last; case means nothing.
fn last(content: &[u8], tag: &[u8]) -> Option<usize> {
    content.windows(tag.len()).rposition(|window| window.eq_ignore_ascii_case(tag))
}

/// The part's media type with another charset.
fn with_charset(part: &Part, charset: &str) -> String {
    let others = part.parameters.iter().filter(|(name, _)| name != "charset");
    let written = others.map(|(name, value)| {
        let safe: String = value.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
        format!("; {name}=\"{}\"", safe.replace('\\', "\\\\").replace('"', "\\\""))
    });
    format!("{}; charset={}{}", part.media_type, charset.to_ascii_lowercase(), written.collect::<String>())
}
