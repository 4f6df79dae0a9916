//! What a plugin answers.

use std::fmt;

use wasmail_mail::{EnhancedStatus, Reply, ReplyError};

/// The text of a reply in place of the default one. Codes that are left out are the hook's defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplyText {
    /// Reply code.
    pub code: Option<u16>,
    /// Enhanced status code.
    pub enhanced: Option<EnhancedStatus>,
    /// Lines without codes; the default text when there is none.
    pub lines: Vec<String>,
}

/// A verdict. Which ones mean something at a hook is settled by the hook's type in WIT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No opinion.
    Next,
    /// Good; no further plugin is asked.
    Accept(Option<ReplyText>),
    /// 5yz.
    Deny(Option<ReplyText>),
    /// 4yz.
    DenySoft(Option<ReplyText>),
    /// 5yz, and close.
    DenyDisconnect(Option<ReplyText>),
    /// 4yz, and close.
    DenySoftDisconnect(Option<ReplyText>),
    /// Close without a word.
    Disconnect,
    /// The command line is to be read as this one, at `unrecognized-command`.
    ReadAs(String),
}

impl Verdict {
    /// Whether no further plugin is asked.
    #[must_use]
    pub const fn is_decisive(&self) -> bool {
        !matches!(self, Self::Next)
    }

    /// The name as it stands in WIT and in logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Accept(_) => "accept",
            Self::Deny(_) => "deny",
            Self::DenySoft(_) => "deny-soft",
            Self::DenyDisconnect(_) => "deny-disconnect",
            Self::DenySoftDisconnect(_) => "deny-soft-disconnect",
            Self::Disconnect => "disconnect",
            Self::ReadAs(_) => "read-as",
        }
    }

    /// The plugin's own text, if it gave one.
    #[must_use]
    pub const fn text(&self) -> Option<&ReplyText> {
        match self {
            Self::Next | Self::Disconnect | Self::ReadAs(_) => None,
            Self::Accept(text)
            | Self::Deny(text)
            | Self::DenySoft(text)
            | Self::DenyDisconnect(text)
            | Self::DenySoftDisconnect(text) => text.as_ref(),
        }
    }

    /// Checks that the text can be written as a reply to this verdict, so that a session never meets one that cannot.
    pub(crate) fn check(&self) -> Result<(), VerdictError> {
        if let Self::ReadAs(line) = self {
            return if line.chars().any(char::is_control) { Err(VerdictError::CommandLine) } else { Ok(()) };
        }
        let Some(text) = self.text() else { return Ok(()) };
        let (class, closes) = match self {
            Self::DenySoft(_) => (4, false),
            Self::DenySoftDisconnect(_) => (4, true),
            Self::Deny(_) | Self::DenyDisconnect(_) => (5, false),
            Self::Next | Self::Accept(_) | Self::Disconnect | Self::ReadAs(_) => (2, false),
        };
        let code = text.code.unwrap_or(class * 100 + 50);
        // 421 says that the connection closes, 354 and 220 belong to the host: only what fits passes.
        if code / 100 != class || (code == 421 && !closes) || matches!(code, 220 | 221 | 235) {
            return Err(VerdictError::Code { code, verdict: self.name() });
        }
        let lines = if text.lines.is_empty() { &[String::new()][..] } else { &text.lines };
        // The default enhanced code may stand in front; its longest form is reserved.
        let enhanced = text.enhanced.or(EnhancedStatus::new(class as u8, 999, 999));
        Reply::new(code, enhanced, lines.iter().cloned()).map(|_| ()).map_err(VerdictError::Reply)
    }
}

/// Why a verdict's text is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerdictError {
    /// The code does not say what the verdict says.
    Code {
        /// The code.
        code: u16,
        /// The verdict.
        verdict: &'static str,
    },
    /// The text cannot go onto the wire.
    Reply(ReplyError),
    /// The line to be read holds control characters.
    CommandLine,
}

impl fmt::Display for VerdictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code { code, verdict } => write!(f, "reply code {code} does not fit the verdict {verdict}"),
            Self::Reply(error) => error.fmt(f),
            Self::CommandLine => f.write_str("the line to be read holds control characters"),
        }
    }
}

impl std::error::Error for VerdictError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(code: Option<u16>, line: &str) -> Option<ReplyText> {
        Some(ReplyText { code, enhanced: None, lines: vec![line.to_owned()] })
    }

    #[test]
    fn a_code_must_fit_its_verdict() {
        assert_eq!(Verdict::Deny(text(Some(554), "no")).check(), Ok(()));
        assert_eq!(
            Verdict::Deny(text(Some(250), "no")).check(),
            Err(VerdictError::Code { code: 250, verdict: "deny" })
        );
        assert!(Verdict::DenySoft(text(Some(421), "bye")).check().is_err());
        assert_eq!(Verdict::DenySoftDisconnect(text(Some(421), "bye")).check(), Ok(()));
        assert!(Verdict::Accept(text(Some(354), "go")).check().is_err());
    }

    #[test]
    fn a_text_cannot_smuggle_a_line() {
        assert_eq!(
            Verdict::Deny(text(None, "no\r\n250 yes")).check(),
            Err(VerdictError::Reply(ReplyError::ControlCharacter))
        );
    }
}
