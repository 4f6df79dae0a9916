//! What becomes of a message that was sent, recipient by recipient.

use std::fmt;
use std::sync::Arc;

use wasmail_mail::Severity;

use super::{BadReply, BareLineEnd, RemoteReply};

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The server has taken responsibility: 2yz to RCPT and to the final dot.
    Delivered(Arc<Reason>),
    /// Not now; to be tried again.
    Deferred(Arc<Reason>),
    /// Never.
    Failed(Arc<Reason>),
}

impl Fate {
    /// What the server said, or why it could not be asked.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Delivered(reason) | Self::Deferred(reason) | Self::Failed(reason) => reason,
        }
    }

    /// The bad news that a reason is: for now, or for good.
    #[must_use]
    pub fn refused(reason: Reason) -> Self {
        let permanent = match &reason {
            // 552 to RCPT once meant "too many recipients" and is to be read as 452 (RFC 5321 §4.5.3.1.10).
            Reason::Reply { to: Phase::Rcpt, reply } if reply.code() == 552 => false,
            // Said of the connection, not of this message.
            Reason::Reply {
                to:
                    Phase::Connect | Phase::Ehlo | Phase::Helo | Phase::Lhlo | Phase::StartTls | Phase::Auth | Phase::Rset,
                ..
            } => false,
            Reason::Reply { reply, .. } => reply.severity() == Severity::Permanent,
            Reason::Lost(_) | Reason::TimedOut(_) | Reason::BadReply { .. } => false,
            Reason::NoStartTls | Reason::Injected | Reason::InTheClear | Reason::NoMechanism | Reason::WrongSize => {
                false
            }
            Reason::TooLarge { .. }
            | Reason::Needs8BitMime
            | Reason::NeedsBinaryMime
            | Reason::NeedsRequireTls
            | Reason::NeedsSmtpUtf8
            | Reason::BareLineEnd(_) => true,
        };
        let reason = Arc::new(reason);
        if permanent { Self::Failed(reason) } else { Self::Deferred(reason) }
    }
}

/// Where in the dialogue something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before the greeting.
    Connect,
    /// EHLO.
    Ehlo,
    /// HELO, after EHLO was refused.
    Helo,
    /// LHLO, in its place in LMTP.
    Lhlo,
    /// STARTTLS and the handshake.
    StartTls,
    /// AUTH.
    Auth,
    /// RSET.
    Rset,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// While the content was sent.
    Content,
    /// The final dot, or the last chunk.
    FinalDot,
    /// QUIT.
    Quit,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "the greeting",
            Self::Ehlo => "EHLO",
            Self::Helo => "HELO",
            Self::Lhlo => "LHLO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Rset => "RSET",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Content => "the content",
            Self::FinalDot => "the final dot",
            Self::Quit => "QUIT",
        })
    }
}

/// Why something became what it became. Printed, it is fit for a log line and for the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The server said so.
    Reply {
        /// To what.
        to: Phase,
        /// What it said.
        reply: RemoteReply,
    },
    /// The connection ended.
    Lost(Phase),
    /// The server took longer than RFC 5321 §4.5.3.2 gives it.
    TimedOut(Phase),
    /// What it sent is no reply.
    BadReply {
        /// To what.
        to: Phase,
        /// What is wrong with it.
        why: BadReply,
    },
    /// TLS is required, and the server does not offer STARTTLS.
    NoStartTls,
    /// Something was said behind the reply to STARTTLS, before TLS began.
    Injected,
    /// We were to authenticate, and there is no TLS.
    InTheClear,
    /// We were to authenticate, and the server offers no mechanism that we know.
    NoMechanism,
    /// The message is larger than the server takes.
    TooLarge {
        /// The server's limit in octets.
        max: u64,
    },
    /// The content has 8-bit octets, and the server does not offer 8BITMIME (RFC 6152 §3).
    Needs8BitMime,
    /// Content of any octets, and the server does not offer CHUNKING and BINARYMIME (RFC 3030 §3).
    NeedsBinaryMime,
    /// It may be sent on under TLS alone, which the server does not promise (RFC 8689 §5).
    NeedsRequireTls,
    /// An address or the header is not ASCII, and the server does not offer SMTPUTF8 (RFC 6531 §3.5).
    NeedsSmtpUtf8,
    /// The content is shorter or longer than was announced.
    WrongSize,
    /// The content cannot be sent as it is.
    BareLineEnd(BareLineEnd),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply { to, reply } => write!(f, "{reply} (to {to})"),
            Self::Lost(phase) => write!(f, "connection lost at {phase}"),
            Self::TimedOut(phase) => write!(f, "no answer in time at {phase}"),
            Self::BadReply { to, why } => write!(f, "{why} (to {to})"),
            Self::NoStartTls => f.write_str("4.7.4 TLS is required, and the server does not offer STARTTLS"),
            Self::Injected => f.write_str("4.7.5 octets came behind the reply to STARTTLS, before TLS began"),
            Self::InTheClear => f.write_str("4.7.11 the password is not shown without TLS"),
            Self::NoMechanism => f.write_str("4.7.4 the server offers no mechanism of AUTH that is known here"),
            Self::TooLarge { max } => write!(f, "5.3.4 the next hop takes no more than {max} octets"),
            Self::NeedsRequireTls => {
                f.write_str("5.7.30 the sender requires TLS all the way, which the server does not offer")
            }
            Self::NeedsBinaryMime => f.write_str("5.6.3 binary content, and the next hop does not offer BINARYMIME"),
            Self::Needs8BitMime => f.write_str("5.6.3 8-bit content, and the next hop does not offer 8BITMIME"),
            Self::NeedsSmtpUtf8 => f.write_str("5.6.7 the next hop does not offer SMTPUTF8"),
            Self::WrongSize => f.write_str("4.3.0 the message has not the size that was announced"),
            Self::BareLineEnd(why) => write!(f, "5.6.0 {why}"),
        }
    }
}
