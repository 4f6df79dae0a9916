//! Replies and enhanced status codes (RFC 5321 §4.2, RFC 3463).

use std::fmt;

/// Longest reply line we write, in octets, CRLF included (RFC 5321 §4.5.3.1.5).
const LINE_MAX: usize = 512;
/// Lines in one reply. Longer ones serve nobody, and some clients stop reading.
const LINES_MAX: usize = 32;

/// Whether a reply is good news: its first digit (RFC 5321 §4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// 2yz.
    Positive,
    /// 3yz.
    Intermediate,
    /// 4yz: try again later.
    Transient,
    /// 5yz: do not try again.
    Permanent,
}

/// An enhanced status code, `class.subject.detail` (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnhancedStatus {
    class: u8,
    subject: u16,
    detail: u16,
}

impl EnhancedStatus {
    /// Makes a code; none if the class is not 2, 4 or 5, or a number has more than three digits.
    #[must_use]
    pub const fn new(class: u8, subject: u16, detail: u16) -> Option<Self> {
        if matches!(class, 2 | 4 | 5) && subject < 1000 && detail < 1000 {
            Some(Self { class, subject, detail })
        } else {
            None
        }
    }

    /// Reads `5.7.1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse::<u16>().ok());
        let class = u8::try_from(parts.next()??).ok()?;
        let code = Self::new(class, parts.next()??, parts.next()??)?;
        if parts.next().is_none() { Some(code) } else { None }
    }

    /// The first digit: 2, 4 or 5.
    #[must_use]
    pub const fn class(self) -> u8 {
        self.class
    }

    /// The second part.
    #[must_use]
    pub const fn subject(self) -> u16 {
        self.subject
    }

    /// The third part.
    #[must_use]
    pub const fn detail(self) -> u16 {
        self.detail
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// What the server answers: a code, perhaps an enhanced code, and text of one or more lines.
///
/// A reply that exists can go onto the wire: no line has a control character, all fit, and the enhanced code's class
/// agrees with the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedStatus>,
    lines: Vec<String>,
}

impl Reply {
    /// Makes a reply.
    ///
    /// # Errors
    /// Says what cannot be written to the wire.
    pub fn new(
        code: u16,
        enhanced: Option<EnhancedStatus>,
        lines: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, ReplyError> {
        let reply = Self { code, enhanced, lines: lines.into_iter().map(Into::into).collect() };
        reply.check()?;
        Ok(reply)
    }

    fn check(&self) -> Result<(), ReplyError> {
        if !(200..600).contains(&self.code) {
            return Err(ReplyError::Code);
        }
        if self.enhanced.is_some_and(|enhanced| u16::from(enhanced.class) != self.code / 100) {
            return Err(ReplyError::Class);
        }
        if self.lines.is_empty() || self.lines.len() > LINES_MAX {
            return Err(ReplyError::Lines);
        }
        let overhead = "250-\r\n".len() + self.enhanced.map_or(0, |enhanced| enhanced.to_string().len() + 1);
        for line in &self.lines {
            if line.len() + overhead > LINE_MAX {
                return Err(ReplyError::LineTooLong);
            }
            if line.chars().any(char::is_control) {
                return Err(ReplyError::ControlCharacter);
            }
        }
        Ok(())
    }

    /// The three digits.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code.
    #[must_use]
    pub fn enhanced(&self) -> Option<EnhancedStatus> {
        self.enhanced
    }

    /// The text, without codes.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Good or bad news.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self.code / 100 {
            2 => Severity::Positive,
            3 => Severity::Intermediate,
            4 => Severity::Transient,
            _ => Severity::Permanent,
        }
    }

    /// Appends the reply as it goes onto the wire, CRLF included; the enhanced code stands on every line
    /// (RFC 2034 §4).
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_string().as_bytes());
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.lines.len() - 1;
        for (at, line) in self.lines.iter().enumerate() {
            write!(f, "{}{}", self.code, if at == last { ' ' } else { '-' })?;
            if let Some(enhanced) = self.enhanced {
                write!(f, "{enhanced} ")?;
            }
            write!(f, "{line}\r\n")?;
        }
        Ok(())
    }
}

/// Why a text is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyError {
    /// The code is not between 200 and 599.
    Code,
    /// The enhanced code's class differs from the code's first digit.
    Class,
    /// No line, or more than 32.
    Lines,
    /// A line of more than 512 octets with its codes and CRLF.
    LineTooLong,
    /// CR, LF, NUL or another control character.
    ControlCharacter,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Code => "reply code is not between 200 and 599",
            Self::Class => "class of the enhanced status code differs from the reply code",
            Self::Lines => "a reply has between 1 and 32 lines",
            Self::LineTooLong => "reply line exceeds 512 octets",
            Self::ControlCharacter => "reply line holds a control character",
        })
    }
}

impl std::error::Error for ReplyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enhanced_code_stands_on_every_line() {
        let reply = Reply::new(550, EnhancedStatus::new(5, 7, 1), ["no", "never"]).unwrap();
        assert_eq!(reply.to_string(), "550-5.7.1 no\r\n550 5.7.1 never\r\n");
    }

    #[test]
    fn what_would_break_the_wire_is_no_reply() {
        let text = |line: &str| Reply::new(250, None, [line]).map(|_| ());
        assert_eq!(text("a\r\n250 b"), Err(ReplyError::ControlCharacter));
        assert_eq!(text("a\0"), Err(ReplyError::ControlCharacter));
        assert_eq!(text(&"x".repeat(507)), Err(ReplyError::LineTooLong));
        assert_eq!(text(&"x".repeat(506)), Ok(()));
        assert_eq!(Reply::new(199, None, ["a"]), Err(ReplyError::Code));
        assert_eq!(Reply::new(450, EnhancedStatus::new(5, 0, 0), ["a"]), Err(ReplyError::Class));
        assert_eq!(Reply::new(250, None, Vec::<String>::new()), Err(ReplyError::Lines));
    }

    #[test]
    fn enhanced_codes_are_read_and_printed() {
        assert_eq!(EnhancedStatus::parse("5.7.1").unwrap().to_string(), "5.7.1");
        assert_eq!(EnhancedStatus::parse("3.0.0"), None);
        assert_eq!(EnhancedStatus::parse("5.7"), None);
        assert_eq!(EnhancedStatus::parse("5.7.1.1"), None);
    }
}
