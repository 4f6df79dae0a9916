//! Every reply text of the server (RFC 5321 §4.2), with enhanced codes (RFC 3463).
//!
//! Fixed replies are whole lines, so that most of them are copied to the wire and nothing else.

use std::borrow::Cow;
use std::time::SystemTime;

use jiff::Timestamp;

use wasmail_mail::{AddressError, EnhancedStatus, Reply};
use wasmail_policy::{Decision, Held, Hook, ReplyText, Verdict};

use crate::command::{CommandError, peer};
use crate::data::Refusal;
use crate::line::LineFault;
use crate::{Chunking, CommitFailure, Kind, Limits, NotOurs};

/// A whole reply, codes and CRLFs included.
pub(crate) type Text = Cow<'static, str>;

pub(crate) const OK: &str = "250 2.0.0 OK\r\n";
pub(crate) const SENDER_OK: &str = "250 2.1.0 Sender accepted\r\n";
pub(crate) const RECIPIENT_OK: &str = "250 2.1.5 Recipient accepted\r\n";
pub(crate) const START_DATA: &str = "354 Start mail input; end with <CRLF>.<CRLF>\r\n";
pub(crate) const RESET: &str = "250 2.0.0 Reset\r\n";
pub(crate) const HELP: &str =
    "214-2.0.0 Commands: EHLO HELO MAIL RCPT DATA RSET NOOP VRFY EXPN HELP QUIT\r\n214 2.0.0 See RFC 5321\r\n";
pub(crate) const CANNOT_VERIFY: &str = "252 2.1.5 Cannot verify, but will take a message and try to deliver it\r\n";
pub(crate) const NO_EXPANSION: &str = "502 5.5.1 EXPN is not offered\r\n";
pub(crate) const TAKEN: &str = "250 2.0.0 Message taken\r\n";

pub(crate) const START_TLS: &str = "220 2.0.0 Begin TLS\r\n";
pub(crate) const TLS_TWICE: &str = "503 5.5.1 TLS has begun already\r\n";
pub(crate) const TLS_IN_TRANSACTION: &str = "503 5.5.1 A transaction is running\r\n";
pub(crate) const INPUT_BEFORE_TLS: &str = "554 5.5.1 Input after STARTTLS, before TLS\r\n";
pub(crate) const PEER_IN_TRANSACTION: &str = "503 5.5.1 A transaction is running\r\n";
/// To the end of the data, when each recipient is answered after it (draft-hall-prdr).
pub(crate) const ANSWERS_FOLLOW: &str = "353 An answer for each recipient follows, and one for all\r\n";
pub(crate) const AUTHENTICATED: &str = "235 2.7.0 Authenticated\r\n";
pub(crate) const AUTH_FAILED: &str = "535 5.7.8 Authentication failed\r\n";
pub(crate) const AUTH_FOR_ANOTHER: &str = "535 5.7.8 Nobody acts for another here\r\n";
pub(crate) const AUTH_CANCELLED: &str = "501 5.7.0 Authentication cancelled\r\n";
pub(crate) const AUTH_MALFORMED: &str = "501 5.5.2 Response makes no sense\r\n";
pub(crate) const AUTH_LINE_TOO_LONG: &str = "500 5.5.6 Response too long\r\n";
pub(crate) const AUTH_NEEDS_TLS: &str = "538 5.7.11 Authentication needs TLS\r\n";
pub(crate) const AUTH_NEEDS_EHLO: &str = "503 5.5.1 Say EHLO to authenticate\r\n";
pub(crate) const AUTH_TWICE: &str = "503 5.5.1 Authenticated already\r\n";
pub(crate) const AUTH_IN_TRANSACTION: &str = "503 5.5.1 A transaction is running\r\n";
pub(crate) const UNKNOWN_MECHANISM: &str = "504 5.5.4 Mechanism is not offered\r\n";
pub(crate) const TOO_MANY_FAILURES: &str = "421 4.7.0 Too many failed authentications\r\n";

pub(crate) const GREETING_FIRST: &str = "503 5.5.1 Say EHLO or HELO first\r\n";
pub(crate) const LHLO_FIRST: &str = "503 5.5.1 Say LHLO first\r\n";
pub(crate) const THIS_IS_LMTP: &str = "500 5.5.1 This is LMTP; say LHLO\r\n";
pub(crate) const AUTH_FIRST: &str = "530 5.7.0 Authentication required\r\n";
pub(crate) const NOBODY_IS_LEFT: &str = "503 5.5.1 No valid recipients\r\n";
pub(crate) const NESTED_MAIL: &str = "503 5.5.1 A transaction is running; end it or say RSET\r\n";
pub(crate) const MAIL_FIRST: &str = "503 5.5.1 Say MAIL first\r\n";
pub(crate) const CHUNKS_HAVE_BEGUN: &str = "503 5.5.1 The message has begun; end it by BDAT LAST or say RSET\r\n";
pub(crate) const BINARY_NEEDS_CHUNKS: &str = "503 5.5.1 BINARYMIME needs BDAT\r\n";
pub(crate) const RCPT_FIRST: &str = "503 5.5.1 Say RCPT first\r\n";
pub(crate) const NO_VALID_RECIPIENTS: &str = "554 5.5.1 No valid recipients\r\n";
pub(crate) const NOT_WELCOME: &str = "503 5.5.1 No service for you; say QUIT\r\n";
pub(crate) const TOO_MANY_RECIPIENTS: &str = "452 4.5.3 Too many recipients\r\n";
pub(crate) const NO_RELAYING: &str = "550 5.7.1 Relaying is not allowed\r\n";
pub(crate) const NOTIFICATIONS_ALONE: &str = "550 5.7.1 This address takes delivery notifications alone\r\n";
pub(crate) const NO_RECIPIENT_LEFT: &str = "550 5.1.1 No recipient is left\r\n";
pub(crate) const CONTENT_TOO_EARLY: &str = "554 5.5.1 Content was sent before 354\r\n";
pub(crate) const EXTENSION_UNDER_HELO: &str = "555 5.5.4 Parameters need EHLO\r\n";
pub(crate) const RECIPIENT_NEEDS_UTF8: &str = "553 5.6.7 Address outside US-ASCII needs SMTPUTF8\r\n";
pub(crate) const TOO_MANY_ERRORS: &str = "421 4.7.0 Too many errors\r\n";
pub(crate) const NO_PROGRESS: &str = "421 4.7.0 Too many commands without a message\r\n";
pub(crate) const TIMED_OUT: &str = "421 4.4.2 Timed out\r\n";
pub(crate) const SHUTTING_DOWN: &str = "421 4.3.2 Shutting down; come back later\r\n";
/// For a client that comes when the server has no place left; said by the driver, in place of a session.
pub const TOO_MANY_CONNECTIONS: &str = "421 4.3.2 Too many connections; come back later\r\n";
/// For a client whose address has too many connections; said by the driver, in place of a session.
pub const TOO_MANY_FROM_ADDRESS: &str = "421 4.7.0 Too many connections from your address\r\n";
pub(crate) const DATA_BARE_CR: &str = "521 5.5.2 Bare CR in content; only CRLF ends a line\r\n";
pub(crate) const DATA_BARE_LF: &str = "521 5.5.2 Bare LF in content; only CRLF ends a line\r\n";

/// 220, with the text that a plugin gave after the host name.
pub(crate) fn greeting(hostname: &str, kind: Kind, text: Option<&ReplyText>) -> Text {
    let own = text.filter(|text| !text.lines.is_empty()).and_then(|text| {
        let mut lines = text.lines.clone();
        lines[0] = format!("{hostname} {}", lines[0]);
        Reply::new(220, None, lines).ok()
    });
    match own {
        Some(reply) => Cow::Owned(reply.to_string()),
        None if kind == Kind::Lmtp => Cow::Owned(format!("220 {hostname} LMTP\r\n")),
        None => Cow::Owned(format!("220 {hostname} ESMTP\r\n")),
    }
}

/// The answer to HELO. No enhanced code: the client has not asked for them (RFC 2034 §3).
pub(crate) fn helo(hostname: &str) -> Text {
    Cow::Owned(format!("250 {hostname}\r\n"))
}

/// What EHLO lists beyond what it always does.
pub(crate) struct Extensions {
    /// Whether each recipient has a reply of its own anyway.
    pub(crate) lmtp: bool,
    pub(crate) starttls: bool,
    /// Whether TLS has begun.
    pub(crate) tls: bool,
    pub(crate) chunking: Chunking,
    /// The mechanisms of AUTH.
    pub(crate) auth: Option<String>,
    /// Whether messages are held for their senders, and what time it is.
    pub(crate) future_release: Option<SystemTime>,
    /// Whether senders may choose a priority.
    pub(crate) priority: bool,
    /// Whether the peer may speak for others.
    pub(crate) trusted: bool,
    pub(crate) of_plugins: Vec<String>,
}

/// The answer to EHLO, with the extensions that are offered.
pub(crate) fn ehlo(hostname: &str, limits: &Limits, extensions: &Extensions) -> Text {
    let size = limits.message_size;
    let mut text =
        format!("250-{hostname}\r\n250-PIPELINING\r\n250-SIZE {size}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n");
    text.push_str(&format!("250-LIMITS RCPTMAX={}\r\n", limits.recipients));
    if !extensions.lmtp {
        text.push_str("250-PRDR\r\n");
    }
    if extensions.tls {
        text.push_str("250-REQUIRETLS\r\n");
    }
    text.push_str(match extensions.chunking {
        Chunking::Off => "",
        Chunking::Text => "250-CHUNKING\r\n",
        Chunking::Binary => "250-CHUNKING\r\n250-BINARYMIME\r\n",
    });
    if extensions.starttls {
        text.push_str("250-STARTTLS\r\n");
    }
    extensions.auth.iter().for_each(|mechanisms| text.extend(["250-AUTH ", mechanisms, "\r\n"]));
    if let Some(now) = extensions.future_release {
        let last = Timestamp::try_from(now + limits.future_release).unwrap_or(Timestamp::MAX);
        text.push_str(&format!("250-FUTURERELEASE {} {last:.0}\r\n", limits.future_release.as_secs()));
    }
    if extensions.priority {
        text.push_str("250-MT-PRIORITY\r\n");
    }
    if extensions.trusted {
        text.extend(["250-XCLIENT ", peer::XCLIENT, "\r\n250-XFORWARD ", peer::XFORWARD, "\r\n"]);
    }
    extensions.of_plugins.iter().for_each(|line| text.extend(["250-", line, "\r\n"]));
    text.push_str("250 ENHANCEDSTATUSCODES\r\n");
    Cow::Owned(text)
}

pub(crate) fn closing(hostname: &str) -> Text {
    Cow::Owned(format!("221 2.0.0 {hostname} closing\r\n"))
}

/// 334 with a challenge in base64.
pub(crate) fn challenge(challenge: &str) -> Text {
    Cow::Owned(format!("334 {challenge}\r\n"))
}

/// The sender wants the message held for longer than anybody may (RFC 4865 §7).
pub(crate) fn held_too_long(limits: &Limits) -> Text {
    Cow::Owned(format!("501 5.5.4 Messages are held for {} s at most\r\n", limits.future_release.as_secs()))
}

/// A chunk is there, and more are to come.
pub(crate) fn chunk_taken(size: u64) -> Text {
    Cow::Owned(format!("250 2.0.0 {size} octets received\r\n"))
}

/// The message is durable.
pub(crate) fn queued(id: &str) -> Text {
    Cow::Owned(format!("250 2.0.0 Queued as {id}\r\n"))
}

/// The message could not be made durable.
pub(crate) fn not_queued(failure: CommitFailure) -> &'static str {
    match failure {
        CommitFailure::Full => "452 4.3.1 Storage is full; try again later\r\n",
        CommitFailure::Io => "451 4.3.0 Storage failed; try again later\r\n",
    }
}

/// A line that is none, and whether the session must end: after some there is no telling where the next one begins.
pub(crate) fn line_fault(fault: LineFault) -> (&'static str, bool) {
    match fault {
        LineFault::BareLf => ("521 5.5.2 Bare LF; only CRLF ends a line\r\n", true),
        LineFault::BareCr => ("500 5.5.2 Bare CR; only CRLF ends a line\r\n", false),
        LineFault::Nul => ("500 5.5.2 NUL in a command\r\n", false),
        LineFault::TooLong => ("500 5.5.2 Line too long\r\n", false),
        LineFault::Endless => ("521 5.5.2 Line without end\r\n", true),
        LineFault::Tls => (NOT_SMTP, true),
    }
}

pub(crate) const NOT_SMTP: &str = "521 5.5.1 This is a mail server; it speaks SMTP\r\n";

/// A command that is none, and whether the session must end: what follows is not meant for us, or is content.
pub(crate) fn command_error(error: CommandError) -> (Text, bool) {
    let text = match error {
        CommandError::Http => return (Cow::Borrowed(NOT_SMTP), true),
        CommandError::Bdat => return (Cow::Borrowed("521 5.5.1 BDAT is not offered\r\n"), true),
        CommandError::BadChunk => return (Cow::Borrowed("521 5.5.4 Syntax: BDAT size [LAST]\r\n"), true),
        CommandError::ReversePath(why) => return (bad_path("5.1.7", why), false),
        CommandError::ForwardPath(why) => return (bad_path("5.1.3", why), false),
        CommandError::Parameter(why) => {
            return (Cow::Owned(format!("501 5.5.4 {}\r\n", capital(&why.to_string()))), false);
        }
        CommandError::Unknown => "500 5.5.1 Unknown command\r\n",
        CommandError::NotOffered => "502 5.5.1 Command is not offered\r\n",
        CommandError::NotUtf8 => "501 5.5.2 Argument is not UTF-8\r\n",
        CommandError::Argument => "501 5.5.4 The command takes no argument\r\n",
        CommandError::PeerAttribute => "501 5.5.4 An attribute is unknown, or makes no sense\r\n",
        CommandError::NoArgument => "501 5.5.4 The command needs an argument\r\n",
        CommandError::HelloName => "501 5.5.4 Say your domain name or address literal\r\n",
        CommandError::MailSyntax => "501 5.5.4 Syntax: MAIL FROM:<path> [parameters]\r\n",
        CommandError::RcptSyntax => "501 5.5.4 Syntax: RCPT TO:<path>\r\n",
        CommandError::NeedsUtf8 => RECIPIENT_NEEDS_UTF8,
        CommandError::UnknownParameter => "555 5.5.4 Unknown parameter\r\n",
        CommandError::TwiceTheParameter => "501 5.5.4 Parameter given twice\r\n",
        CommandError::BadSize => "501 5.5.4 SIZE needs a number of at most 20 digits\r\n",
        CommandError::BadBody => "501 5.5.4 BODY is 7BIT, 8BITMIME or BINARYMIME\r\n",
        CommandError::BinaryNotOffered => "501 5.5.4 BINARYMIME is not offered\r\n",
    };
    (Cow::Borrowed(text), false)
}

fn bad_path(enhanced: &str, why: AddressError) -> Text {
    Cow::Owned(format!("501 {enhanced} {}\r\n", capital(&why.to_string())))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// MAIL declared more than a message may have.
pub(crate) fn declared_too_large(limits: &Limits) -> Text {
    refusal(Refusal::TooLarge, limits)
}

/// A message that is refused, whatever policy says.
pub(crate) fn refusal(refusal: Refusal, limits: &Limits) -> Text {
    Cow::Owned(match refusal {
        Refusal::TooLarge => format!("552 5.3.4 Message exceeds {} octets\r\n", limits.message_size),
        Refusal::HeaderTooLarge => format!("552 5.3.4 Header section exceeds {} octets\r\n", limits.header_size),
        Refusal::TooManyFields => format!("554 5.6.0 More than {} header fields\r\n", limits.header_fields),
        Refusal::TooManyHops => format!("554 5.4.6 More than {} Received fields; mail loop\r\n", limits.received_hops),
        Refusal::LineTooLong => format!("554 5.6.0 Line of more than {} octets\r\n", limits.text_line),
        Refusal::Nul => "550 5.6.0 NUL in content\r\n".to_owned(),
        Refusal::BareCr => "550 5.6.0 Bare CR in content; only CRLF ends a line\r\n".to_owned(),
        Refusal::BareLf => "550 5.6.0 Bare LF in content; only CRLF ends a line\r\n".to_owned(),
        Refusal::Storage(failure) => not_queued(failure).to_owned(),
    })
}

/// What a hook's verdicts are answered with, when the plugin has no text of its own.
struct Defaults {
    accept: Fixed,
    deny: Fixed,
    deny_soft: Fixed,
}

struct Fixed {
    code: u16,
    enhanced: &'static str,
    text: &'static str,
}

const fn fixed(code: u16, enhanced: &'static str, text: &'static str) -> Fixed {
    Fixed { code, enhanced, text }
}

fn defaults(hook: Hook) -> Defaults {
    let (accept, deny, deny_soft) = match hook {
        // The hooks that decide nothing have no row of their own: this one is never read for them.
        Hook::ConnectInit
        | Hook::LookupRdns
        | Hook::Connect
        | Hook::Capabilities
        | Hook::Rset
        | Hook::Quit
        | Hook::QueueOk
        | Hook::Deny
        | Hook::ResetTransaction
        | Hook::Disconnect => (
            fixed(220, "", "ESMTP"),
            fixed(554, "5.7.1", "Your mail is not welcome here"),
            fixed(421, "4.7.1", "Come back later"),
        ),
        Hook::Helo | Hook::Ehlo => (
            fixed(250, "2.0.0", "OK"),
            fixed(550, "5.7.1", "Greeting denied"),
            fixed(450, "4.7.1", "Greeting denied for now"),
        ),
        Hook::Auth => (
            fixed(235, "2.7.0", "Authenticated"),
            fixed(535, "5.7.8", "Authentication failed"),
            fixed(454, "4.7.0", "Authentication failed for now"),
        ),
        Hook::UnrecognizedCommand => (
            fixed(250, "2.0.0", "OK"),
            fixed(500, "5.5.1", "Unknown command"),
            fixed(450, "4.7.1", "Command denied for now"),
        ),
        Hook::Noop => (
            fixed(250, "2.0.0", "OK"),
            fixed(550, "5.7.1", "Command denied"),
            fixed(450, "4.7.1", "Command denied for now"),
        ),
        Hook::Vrfy => (
            fixed(252, "2.1.5", "Cannot verify, but will take a message and try to deliver it"),
            fixed(550, "5.7.1", "Verification denied"),
            fixed(450, "4.7.1", "Verification denied for now"),
        ),
        Hook::Mail => (
            fixed(250, "2.1.0", "Sender accepted"),
            fixed(550, "5.7.1", "Sender denied"),
            fixed(450, "4.7.1", "Sender denied for now"),
        ),
        Hook::Rcpt | Hook::RcptOk => (
            fixed(250, "2.1.5", "Recipient accepted"),
            fixed(550, "5.7.1", "Recipient denied"),
            fixed(450, "4.7.1", "Recipient denied for now"),
        ),
        Hook::Data => (
            fixed(250, "2.0.0", "OK"),
            fixed(554, "5.7.1", "Message denied"),
            fixed(451, "4.7.1", "Message denied for now"),
        ),
        Hook::MaxDataExceeded => (
            fixed(250, "2.0.0", "OK"),
            fixed(552, "5.3.4", "Message too large"),
            fixed(452, "4.3.4", "Message too large for now"),
        ),
        Hook::Part | Hook::DataPost | Hook::Queue | Hook::QueueOutbound => (
            fixed(250, "2.0.0", "Message taken"),
            fixed(550, "5.7.1", "Message denied"),
            fixed(450, "4.7.1", "Message denied for now"),
        ),
    };
    Defaults { accept, deny, deny_soft }
}

/// A plugin's acceptance; none when it has no text of its own, for the reply is then the usual one.
pub(crate) fn accepted(hook: Hook, text: Option<&ReplyText>) -> Option<Text> {
    text.map(|text| compose(&defaults(hook).accept, Some(text)))
}

/// A plugin's denial, or the host's. None for verdicts that deny nothing, and for `disconnect`, which says nothing.
pub(crate) fn denied(hook: Hook, decision: &Decision) -> Option<Text> {
    if let Some(held) = decision.held {
        return Some(Cow::Borrowed(held_back(held)));
    }
    let (defaults, fault) = (defaults(hook), decision.fault);
    let (fixed, text) = match &decision.verdict {
        Verdict::Deny(text) | Verdict::DenyDisconnect(text) => (defaults.deny, text),
        Verdict::DenySoft(text) | Verdict::DenySoftDisconnect(text) => (defaults.deny_soft, text),
        Verdict::Next | Verdict::Accept(_) | Verdict::Disconnect | Verdict::ReadAs(_) => return None,
    };
    let soft = fixed.code < 500;
    Some(if fault { faulty(hook, soft) } else { compose(&fixed, text.as_ref()) })
}

/// Mail of a tenant that the host defers. The client learns when to come back, and nothing of who is served here.
const fn held_back(why: Held) -> &'static str {
    match why {
        Held::OtherTenant => "452 4.5.3 Send to this recipient in a transaction of its own\r\n",
        Held::Suspended => "450 4.2.1 Mail for this recipient is held back for now; come back later\r\n",
        Held::OverQuota => "450 4.7.0 More mail than this recipient's domain takes at a time; come back later\r\n",
        Held::OutOfOrder => "451 4.3.0 Policy is out of order; try again later\r\n",
    }
}

/// A plugin that failed to answer: the client learns that it is our trouble, and no more.
fn faulty(hook: Hook, soft: bool) -> Text {
    Cow::Borrowed(match (hook, soft) {
        (Hook::LookupRdns | Hook::Connect, true) => "421 4.3.0 Policy is out of order; come back later\r\n",
        (Hook::LookupRdns | Hook::Connect, false) => "554 5.3.0 Policy is out of order\r\n",
        // 535 would have people type their passwords anew.
        (Hook::Auth, true) => "454 4.3.0 Policy is out of order; try again later\r\n",
        (Hook::Auth, false) => "554 5.3.0 Policy is out of order\r\n",
        (_, true) => "451 4.3.0 Policy is out of order; try again later\r\n",
        (_, false) => "550 5.3.0 Policy is out of order\r\n",
    })
}

/// Puts a plugin's text in place of the default one, as far as it has one.
fn compose(fixed: &Fixed, text: Option<&ReplyText>) -> Text {
    let default = ReplyText::default();
    let text = text.unwrap_or(&default);
    let code = text.code.unwrap_or(fixed.code);
    let enhanced = text.enhanced.or_else(|| EnhancedStatus::parse(fixed.enhanced));
    let lines = if text.lines.is_empty() { vec![fixed.text.to_owned()] } else { text.lines.clone() };
    // The chain has checked the text; if it did not, the client still gets a reply.
    match Reply::new(code, enhanced, lines) {
        Ok(reply) => Cow::Owned(reply.to_string()),
        Err(_) => Cow::Owned(format!("{} {} {}\r\n", fixed.code, fixed.enhanced, fixed.text)),
    }
}

/// The reply to an address of SRS that is not good.
pub(crate) fn leads_nowhere(why: NotOurs) -> &'static str {
    match why {
        NotOurs::Forged => "550 5.1.1 No such address was made here\r\n",
        NotOurs::TooOld => "550 5.1.6 This address is good no more\r\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_has_a_default_for_every_denial() {
        let table: Vec<String> = Hook::ALL
            .iter()
            .filter(|hook| !hook.reaches_all() && **hook != Hook::Deny)
            .map(|hook| {
                let code = |verdict| denied(*hook, &Decision::host(verdict)).unwrap()[..3].to_owned();
                format!("{hook} {} {}", code(Verdict::Deny(None)), code(Verdict::DenySoft(None)))
            })
            .collect();
        let expected = [
            "lookup-rdns 554 421",
            "connect 554 421",
            "helo 550 450",
            "ehlo 550 450",
            "auth 535 454",
            "unrecognized-command 500 450",
            "noop 550 450",
            "vrfy 550 450",
            "mail 550 450",
            "rcpt 550 450",
            "rcpt-ok 550 450",
            "data 554 451",
            "max-data-exceeded 552 452",
            "part 550 450",
            "data-post 550 450",
            "queue 550 450",
            "queue-outbound 550 450",
        ];
        assert_eq!(table, expected);
    }

    #[test]
    fn a_fault_is_our_trouble() {
        let reply =
            |hook, verdict| denied(hook, &Decision { fault: true, ..Decision::host(verdict) }).unwrap()[..9].to_owned();
        assert_eq!(reply(Hook::Mail, Verdict::DenySoft(None)), "451 4.3.0");
        assert_eq!(reply(Hook::Mail, Verdict::Deny(None)), "550 5.3.0");
        assert_eq!(reply(Hook::Connect, Verdict::DenySoft(None)), "421 4.3.0");
        assert_eq!(reply(Hook::Connect, Verdict::Deny(None)), "554 5.3.0");
    }

    #[test]
    fn a_plugin_may_choose_its_words() {
        let text = |code, enhanced, lines: &[&str]| {
            Some(ReplyText { code, enhanced, lines: lines.iter().map(|line| (*line).to_owned()).collect() })
        };
        let deny = Verdict::Deny(text(Some(554), EnhancedStatus::new(5, 1, 8), &["one", "two"]));
        assert_eq!(denied(Hook::Mail, &Decision::host(deny)).unwrap(), "554-5.1.8 one\r\n554 5.1.8 two\r\n");
        let only_code = Verdict::DenySoft(text(Some(452), None, &[]));
        assert_eq!(denied(Hook::Rcpt, &Decision::host(only_code)).unwrap(), "452 4.7.1 Recipient denied for now\r\n");
        assert_eq!(
            greeting("mx", Kind::Smtp, text(None, None, &["hello", "there"]).as_ref()),
            "220-mx hello\r\n220 there\r\n"
        );
        assert_eq!(greeting("mx", Kind::Smtp, None), "220 mx ESMTP\r\n");
    }

    #[test]
    fn a_text_that_cannot_go_onto_the_wire_is_not_sent() {
        let text = ReplyText { code: None, enhanced: None, lines: vec!["no\r\n250 yes".to_owned()] };
        assert_eq!(
            denied(Hook::Mail, &Decision::host(Verdict::Deny(Some(text)))).unwrap(),
            "550 5.7.1 Sender denied\r\n"
        );
    }
}
