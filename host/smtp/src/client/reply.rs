//! Replies of a server that we do not trust (RFC 5321 §4.2).

use std::fmt;

use wasmail_mail::{EnhancedStatus, Severity};

/// Longest reply line that we read, in octets: four times what RFC 5321 §4.5.3.1.5 allows.
const LINE_MAX: usize = 2048;
/// Longest reply that we read, in octets. The longest honest one is that to EHLO, a few hundred.
const REPLY_MAX: usize = 32 * 1024;
/// Octets of text that [`RemoteReply`] prints: enough for a log line and an operator.
const SHOWN_MAX: usize = 900;

/// What a server said. Its text holds no control characters, whatever the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteReply {
    code: u16,
    enhanced: Option<EnhancedStatus>,
    lines: Vec<String>,
}

impl RemoteReply {
    /// The three digits.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code (RFC 2034), when the reply begins with one of the code's class.
    #[must_use]
    pub fn enhanced(&self) -> Option<EnhancedStatus> {
        self.enhanced
    }

    /// The text of each line, without the reply code.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Good or bad news, by the first digit.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self.code / 100 {
            2 => Severity::Positive,
            3 => Severity::Intermediate,
            4 => Severity::Transient,
            _ => Severity::Permanent,
        }
    }

    pub(super) fn is_positive(&self) -> bool {
        self.severity() == Severity::Positive
    }

    fn push(&mut self, line: &[u8]) {
        if self.lines.is_empty() {
            self.enhanced = leading_status(line, self.code);
        }
        self.lines.push(printable(line));
    }
}

/// The code and all text on one line.
impl fmt::Display for RemoteReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.lines.join(" ");
        write!(f, "{} {}", self.code, &text[..text.floor_char_boundary(SHOWN_MAX)])
    }
}

fn leading_status(line: &[u8], code: u16) -> Option<EnhancedStatus> {
    let word = line.split(|octet| *octet == b' ').next()?;
    let status = EnhancedStatus::parse(std::str::from_utf8(word).ok()?)?;
    (u16::from(status.class()) == code / 100).then_some(status)
}

fn printable(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Puts replies together from octets.
#[derive(Debug, Default)]
pub(super) struct ReplyReader {
    line: Vec<u8>,
    reply: Option<RemoteReply>,
    octets: usize,
}

impl ReplyReader {
    /// Consumes octets up to the end of a reply. `None` when there are too few.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<RemoteReply>, BadReply> {
        // A lone LF ends a line here: no harm can come of it, for we take orders from nobody but this server.
        while let Some(end) = memchr::memchr(b'\n', input) {
            self.take(&input[..end])?;
            *input = &input[end + 1..];
            let line = std::mem::take(&mut self.line);
            if let Some(reply) = self.read_line(line.strip_suffix(b"\r").unwrap_or(&line))? {
                self.octets = 0;
                return Ok(Some(reply));
            }
        }
        self.take(input)?;
        *input = &[];
        Ok(None)
    }

    fn take(&mut self, octets: &[u8]) -> Result<(), BadReply> {
        self.octets += octets.len();
        if self.line.len() + octets.len() > LINE_MAX || self.octets > REPLY_MAX {
            return Err(BadReply::TooLong);
        }
        self.line.extend_from_slice(octets);
        Ok(())
    }

    fn read_line(&mut self, line: &[u8]) -> Result<Option<RemoteReply>, BadReply> {
        let (code, last, text) = split(line).ok_or_else(|| BadReply::malformed(line))?;
        let reply = self.reply.get_or_insert(RemoteReply { code, enhanced: None, lines: Vec::new() });
        // One reply, one code (RFC 5321 §4.2.1).
        if reply.code != code {
            return Err(BadReply::malformed(line));
        }
        reply.push(text);
        // An empty line costs us more than its octets: count it.
        self.octets += std::mem::size_of::<String>();
        Ok(if last { self.reply.take() } else { None })
    }
}

/// `250-text` or `250 text`, or a bare `250`.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !matches!(digits[0], b'2'..=b'5') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Some((code, true, &[])),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

/// What came is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadReply {
    /// A line of more than 2,048 octets or a reply of more than 32 KiB.
    TooLong,
    /// A line that does not begin with a reply code, or with another one than the line before.
    Malformed(String),
}

impl BadReply {
    fn malformed(line: &[u8]) -> Self {
        Self::Malformed(printable(&line[..line.len().min(80)]))
    }
}

impl fmt::Display for BadReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("reply of excessive length"),
            Self::Malformed(line) => write!(f, "malformed reply {line:?}"),
        }
    }
}

impl std::error::Error for BadReply {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> Result<Option<RemoteReply>, BadReply> {
        ReplyReader::default().read(&mut &text[..])
    }

    #[test]
    fn a_reply_of_several_lines_is_one_reply() {
        let reply = read(b"550-5.1.1 no such\r\n550 5.1.1 user\r\n").unwrap().unwrap();
        assert_eq!(reply.enhanced(), EnhancedStatus::new(5, 1, 1));
        assert_eq!(reply.to_string(), "550 5.1.1 no such 5.1.1 user");
        assert_eq!(read(b"250\r\n").unwrap().unwrap().code(), 250);
    }

    #[test]
    fn octets_after_a_reply_are_left_for_the_next() {
        let mut input = &b"250 ok\r\n354 go\r\n35"[..];
        let mut reader = ReplyReader::default();
        assert_eq!(reader.read(&mut input).unwrap().unwrap().code(), 250);
        assert_eq!(reader.read(&mut input).unwrap().unwrap().code(), 354);
        assert_eq!(reader.read(&mut input), Ok(None));
        assert_eq!(reader.read(&mut &b"4 again\r\n"[..]).unwrap().unwrap().code(), 354);
    }

    #[test]
    fn what_is_no_reply_is_told_from_one() {
        for text in ["hello\r\n", "25\r\n", "250_ok\r\n", "150 go\r\n", "600 no\r\n", "250-a\r\n251 b\r\n", "\r\n"] {
            assert!(matches!(read(text.as_bytes()), Err(BadReply::Malformed(_))), "{text:?}");
        }
    }

    #[test]
    fn an_endless_line_and_an_endless_reply_are_given_up() {
        assert_eq!(read(&[b'2'; LINE_MAX + 1]), Err(BadReply::TooLong));
        assert_eq!(read(&b"250-\r\n".repeat(10_000)), Err(BadReply::TooLong));
    }

    #[test]
    fn control_octets_do_not_reach_a_log() {
        let reply = read(b"550 \x1b[31mred\0\r\n").unwrap().unwrap();
        assert_eq!(reply.to_string(), "550 \u{fffd}[31mred\u{fffd}");
    }

    proptest! {
        #[test]
        fn any_octets_are_read_in_pieces_as_in_one(octets in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
            let cut = cut.min(octets.len());
            let mut whole = ReplyReader::default();
            let expected = whole.read(&mut &octets[..]);
            let mut reader = ReplyReader::default();
            let got = match reader.read(&mut &octets[..cut]) {
                Ok(None) => reader.read(&mut &octets[cut..]),
                other => other,
            };
            prop_assert_eq!(got, expected);
        }
    }
}
