//! What travels beside a message: who sent it, who is to have it, and how it may be carried.

use std::time::SystemTime;

use crate::{ForwardPath, Parameter, ReversePath};

/// How the content is encoded: the value of `BODY=` (RFC 6152, RFC 3030).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyType {
    /// `7BIT`, and what holds when the client says nothing.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
    /// `BINARYMIME`.
    BinaryMime,
}

impl BodyType {
    /// The value as it stands in `BODY=`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
            Self::BinaryMime => "BINARYMIME",
        }
    }

    /// Reads the value of `BODY=`, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::SevenBit, Self::EightBitMime, Self::BinaryMime]
            .into_iter()
            .find(|body| body.as_str().eq_ignore_ascii_case(text))
    }
}

/// One recipient with the parameters of its RCPT command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Where the message goes.
    pub path: ForwardPath,
    /// The ESMTP parameters as the client, or a policy, gave them.
    pub parameters: Vec<Parameter>,
}

/// The envelope of an accepted message (RFC 5321 §2.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The transaction's name: `<connection uuid>.<n>`.
    pub uuid: String,
    /// Where failure notices go.
    pub reverse_path: ReversePath,
    /// The ESMTP parameters of MAIL.
    pub parameters: Vec<Parameter>,
    /// How the content is encoded.
    pub body: BodyType,
    /// Whether the client asked for SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// Who is to have the message; never empty when it is committed.
    pub recipients: Vec<Recipient>,
    /// What policy wants done with it.
    pub handling: Handling,
}

/// What policy wants done with a message, other than delivering it the usual way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handling {
    /// The configured route that takes it, by name.
    pub route: Option<String>,
    /// Why it is held for the operator to look at.
    pub quarantine: Option<String>,
    /// When it is tried first; none for at once (RFC 4865).
    pub not_before: Option<SystemTime>,
    /// Who goes first among those who wait, from -9 to 9 (RFC 6710).
    pub priority: i8,
    /// What plugins noted about it that those of delivery want to see: a JSON object, as text.
    pub notes: Option<String>,
    /// The tenant whose mail it is; none is the operator.
    pub tenant: Option<String>,
    /// Whether it came from somebody for whom we do not relay: where it goes on, it is forwarded, and its reverse-path is to be ours (SRS).
    pub forwarded: bool,
}
