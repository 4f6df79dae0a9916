//! The header section of a message, octet for octet (RFC 5322 §2.2).

use std::borrow::Cow;
use std::fmt;

/// Longest line of a message, in octets without CRLF (RFC 5322 §2.1.1).
const LINE_MAX: usize = 998;
/// Where we fold the fields that we write, in octets without CRLF (RFC 5322 §2.1.1).
const FOLD_AT: usize = 78;

/// One header field with its octets as they came, folding and final CRLF included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    raw: Vec<u8>,
    name_len: usize,
}

impl Field {
    /// Makes a field from a name and a value without line breaks, and folds it at white space.
    ///
    /// # Errors
    /// When the name has a character that no field name has, the value has a control character other than a tab, or a
    /// line cannot be folded to 998 octets.
    pub fn new(name: &str, value: &str) -> Result<Self, FieldError> {
        if !valid_field_name(name) {
            return Err(FieldError::Name);
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(FieldError::ControlCharacter);
        }
        let raw = fold(name, value.trim());
        if raw.split(|octet| *octet == b'\n').any(|line| line.len() > LINE_MAX + 1) {
            return Err(FieldError::LineTooLong);
        }
        Ok(Self { raw, name_len: name.len() })
    }

    /// The name as it was written, without white space before the colon.
    #[must_use]
    pub fn name(&self) -> &str {
        // A field is made only from octets whose name is printable US-ASCII.
        std::str::from_utf8(&self.raw[..self.name_len]).unwrap_or_default()
    }

    /// Whether the name is this one; case means nothing in names (RFC 5322 §1.2.2).
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.raw[..self.name_len].eq_ignore_ascii_case(name.as_bytes())
    }

    /// All octets, CRLF included.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The octets between the colon and the final CRLF, folding included.
    #[must_use]
    pub fn raw_value(&self) -> &[u8] {
        let colon = self.raw.iter().position(|octet| *octet == b':').map_or(self.raw.len(), |at| at + 1);
        let value = &self.raw[colon..];
        value.strip_suffix(b"\r\n").unwrap_or(value)
    }

    /// The value unfolded (RFC 5322 §2.2.3) and without white space around it; octets that are no UTF-8 are replaced.
    #[must_use]
    pub fn value(&self) -> Cow<'_, str> {
        let raw = self.raw_value().trim_ascii();
        if !raw.contains(&b'\n') {
            return String::from_utf8_lossy(raw);
        }
        let unfolded: Vec<u8> = raw.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
        Cow::Owned(String::from_utf8_lossy(&unfolded).into_owned())
    }

    /// Reads the first line of a field, CRLF included; none if it does not begin with a field name and a colon.
    fn begin(line: &[u8]) -> Option<Self> {
        let colon = line.iter().position(|octet| *octet == b':')?;
        // White space before the colon is obsolete (RFC 5322 §4.5.8) yet still seen; inside a name it is not.
        let name = line[..colon].trim_ascii_end();
        let valid = std::str::from_utf8(name).is_ok_and(valid_field_name);
        valid.then(|| Self { raw: line.to_vec(), name_len: name.len() })
    }
}

/// Whether `name` is a field name: printable US-ASCII without space and colon (RFC 5322 §2.2).
#[must_use]
pub fn valid_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':')
}

/// Writes `name: value`, and breaks the line before white space where it would pass 78 octets.
fn fold(name: &str, value: &str) -> Vec<u8> {
    let mut raw = Vec::with_capacity(name.len() + value.len() + 8);
    raw.extend_from_slice(name.as_bytes());
    raw.push(b':');
    let mut column = raw.len();
    for word in value.split([' ', '\t']).filter(|word| !word.is_empty()) {
        // The first word stays with its name: a line of white space only would be an obsolete fold.
        if column + 1 + word.len() > FOLD_AT && column > name.len() + 1 {
            raw.extend_from_slice(b"\r\n");
            column = 0;
        }
        raw.push(b' ');
        raw.extend_from_slice(word.as_bytes());
        column += 1 + word.len();
    }
    raw.extend_from_slice(b"\r\n");
    raw
}

/// The header section: fields in order, first one on top.
///
/// Octets that nobody edits stay as they came, so signatures over them still verify.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderSection {
    fields: Vec<Field>,
    /// How many fields were put on top.
    above: usize,
}

impl HeaderSection {
    /// Takes the next line of a message, CRLF included, as part of the section.
    ///
    /// Returns false when the line is none of it: the empty line, or one that no header field looks like. The caller
    /// then stops calling: an empty line ends the section, any other line begins the body.
    pub fn push_line(&mut self, line: &[u8]) -> bool {
        let folded = matches!(line.first(), Some(b' ' | b'\t'));
        match self.fields.last_mut() {
            Some(field) if folded => field.raw.extend_from_slice(line),
            _ => match Field::begin(line) {
                Some(field) => self.fields.push(field),
                None => return false,
            },
        }
        true
    }

    /// The fields, first one on top.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The fields of one name, in order.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Field> {
        self.fields.iter().filter(move |field| field.is(name))
    }

    /// Puts a field on top.
    pub fn prepend(&mut self, field: Field) {
        self.fields.insert(0, field);
        self.above += 1;
    }

    /// Puts a field below all others.
    pub fn append(&mut self, field: Field) {
        self.fields.push(field);
    }

    /// Replaces the field at a position, counted from 0 at the top. Returns false when there is none.
    pub fn replace(&mut self, position: usize, field: Field) -> bool {
        match self.fields.get_mut(position) {
            Some(old) => {
                *old = field;
                true
            }
            None => false,
        }
    }

    /// Removes the field at a position, counted from 0 at the top. Returns false when there is none.
    pub fn remove(&mut self, position: usize) -> bool {
        let there = position < self.fields.len();
        if there {
            self.fields.remove(position);
            self.above -= usize::from(position < self.above);
        }
        there
    }

    /// Removes every field that the test names.
    pub fn remove_where(&mut self, mut test: impl FnMut(&Field) -> bool) {
        let mut at = 0;
        let above = self.above;
        self.fields.retain(|field| {
            let goes = test(field);
            self.above -= usize::from(goes && at < above);
            at += 1;
            !goes
        });
    }

    /// Puts this section around another: what was prepended above it, the rest below it.
    ///
    /// So the fields that policy adds before the message has come find their places when it comes.
    #[must_use]
    pub fn around(mut self, inner: Self) -> Self {
        let above = self.above;
        self.fields.splice(above..above, inner.fields);
        self
    }

    /// Size in octets, without the empty line that ends it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.iter().map(|field| field.raw.len()).sum()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// All octets with the empty line that ends the section.
    #[must_use]
    pub fn to_octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.len() + 2);
        for field in &self.fields {
            octets.extend_from_slice(&field.raw);
        }
        octets.extend_from_slice(b"\r\n");
        octets
    }
}

/// Why a text is no header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldError {
    /// The name is empty or has a space, a colon, a control character or 8-bit octets.
    Name,
    /// The value has CR, LF, NUL or another control character.
    ControlCharacter,
    /// A word of more than 998 octets cannot be folded (RFC 5322 §2.1.1).
    LineTooLong,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "malformed header field name",
            Self::ControlCharacter => "header field value holds a control character",
            Self::LineTooLong => "header field line exceeds 998 octets",
        })
    }
}

impl std::error::Error for FieldError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn section(text: impl AsRef<[u8]>) -> (HeaderSection, usize) {
        let mut section = HeaderSection::default();
        let mut taken = 0;
        for line in text.as_ref().split_inclusive(|octet| *octet == b'\n') {
            if !section.push_line(line) {
                break;
            }
            taken += line.len();
        }
        (section, taken)
    }

    #[test]
    fn octets_nobody_edits_stay_as_they_came() {
        let text = b"From:  a\r\n\tb\r\nX-Odd : \xfc\r\nto:c\r\n";
        let (header, taken) = section(text);
        assert_eq!(taken, text.len());
        assert_eq!(header.to_octets(), [text.as_slice(), b"\r\n"].concat());
        assert_eq!(header.fields()[0].value(), "a\tb");
        assert_eq!(header.fields()[1].name(), "X-Odd");
        assert!(header.fields()[2].is("TO"));
    }

    #[test]
    fn a_line_that_is_no_field_begins_the_body() {
        for (text, taken) in [
            ("From: a\r\nFr om: b\r\n", 9),
            ("From: a\r\n: b\r\n", 9),
            ("From: a\r\nhello\r\n", 9),
            (" folded first\r\n", 0),
            ("\r\nbody\r\n", 0),
            ("Fr\u{f6}m: b\r\n", 0),
        ] {
            assert_eq!(section(text).1, taken, "{text:?}");
        }
    }

    #[test]
    fn positions_count_from_the_top() {
        let (mut header, _) = section("A: 1\r\nB: 2\r\nA: 3\r\n");
        header.prepend(Field::new("Top", "0").unwrap());
        assert!(header.replace(2, Field::new("B", "two").unwrap()));
        assert!(header.remove(1));
        assert!(!header.remove(3));
        header.append(Field::new("End", "9").unwrap());
        assert_eq!(header.to_octets(), b"Top: 0\r\nB: two\r\nA: 3\r\nEnd: 9\r\n\r\n");
    }

    #[test]
    fn fields_that_came_early_stand_around_the_message() {
        let field = |name| Field::new(name, "x").unwrap();
        let mut early = HeaderSection::default();
        early.append(field("Below"));
        early.prepend(field("Second"));
        early.prepend(field("Gone"));
        early.prepend(field("First"));
        early.remove_where(|field| field.is("Gone"));
        let (message, _) = section("A: 1\r\nB: 2\r\n");
        let whole = early.around(message);
        let names: Vec<_> = whole.fields().iter().map(Field::name).collect();
        assert_eq!(names, ["First", "Second", "A", "B", "Below"]);
    }

    #[test]
    fn a_value_cannot_smuggle_a_line() {
        assert_eq!(Field::new("X", "a\r\nBcc: b"), Err(FieldError::ControlCharacter));
        assert_eq!(Field::new("X", "a\0"), Err(FieldError::ControlCharacter));
        assert_eq!(Field::new("X Y", "a"), Err(FieldError::Name));
        assert_eq!(Field::new("X:", "a"), Err(FieldError::Name));
        assert_eq!(Field::new("X", &"a".repeat(999)), Err(FieldError::LineTooLong));
    }

    #[test]
    fn long_values_are_folded_at_white_space() {
        let field = Field::new("X-Words", &"word ".repeat(40)).unwrap();
        assert!(field.raw().split(|octet| *octet == b'\n').all(|line| line.len() <= FOLD_AT + 1));
        assert_eq!(field.value(), "word ".repeat(40).trim());
    }

    proptest! {
        #[test]
        fn any_lines_keep_their_octets(lines in proptest::collection::vec("[ -~\t]{0,20}", 0..12)) {
            let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let (header, taken) = section(&text);
            prop_assert_eq!(&header.to_octets()[..header.len()], &text.as_bytes()[..taken]);
        }

        #[test]
        fn what_new_makes_is_one_field(name in "[!-~]{1,10}", value in "\\PC{0,200}") {
            if let Ok(field) = Field::new(&name, &value) {
                let text = String::from_utf8(field.raw().to_vec()).unwrap();
                let (header, taken) = section(&text);
                prop_assert_eq!((header.fields().len(), taken), (1, text.len()));
            }
        }
    }
}
