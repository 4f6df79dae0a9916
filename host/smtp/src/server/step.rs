//! What passes between a session and its driver.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use wasmail_mail::Envelope;
use wasmail_policy::{Fate, Hook, TransactionContext};

use super::AuthConfig;
use crate::{Limits, Srs};

/// The time as the driver reads it.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For deadlines.
    pub monotonic: Instant,
    /// For trace fields.
    pub wall: SystemTime,
}

/// What becomes of octets that look like a line end and are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEndings {
    /// A bare CR, a bare LF is refused with 5yz (RFC 5321 §2.3.8).
    #[default]
    Strict,
    /// A bare LF ends a command line, and a bare CR or LF in content is carried as CRLF. Still only CRLF.CRLF ends the
    /// data, so nothing can be smuggled past this.
    Normalise,
}

/// Whom a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Other servers.
    #[default]
    Smtp,
    /// Users, who hand in their mail (RFC 6409): it is taken only of those who have authenticated or may send to anywhere, and
    /// gets the fields that it lacks.
    Submission,
    /// A server that wants each recipient answered by itself at the end of the data (RFC 2033).
    Lmtp,
}

/// Whether messages may come by BDAT (RFC 3030).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chunking {
    /// No.
    Off,
    /// CHUNKING: the content is made of lines, as with DATA.
    #[default]
    Text,
    /// CHUNKING and BINARYMIME: content may be any octets.
    Binary,
}

/// What a listener's sessions have in common.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Our name: in the greeting, in `Received`, and the authserv-id of `Authentication-Results` (RFC 8601 §2.5).
    pub hostname: String,
    /// Program and version, for `Received`.
    pub software: String,
    /// Whom it is for.
    pub kind: Kind,
    /// How much a client may send.
    pub limits: Limits,
    /// What becomes of bare CR and LF.
    pub line_endings: LineEndings,
    /// Whether messages may come by BDAT.
    pub chunking: Chunking,
    /// Whether a client may begin TLS by STARTTLS.
    pub starttls: bool,
    /// How clients may authenticate; none when they may not.
    pub auth: Option<AuthConfig>,
    /// Who knows the addresses that forwarded mail goes on from: notifications for these go back to the sender.
    pub srs: Option<Arc<Srs>>,
}

/// What the driver has to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// All input is consumed: write the output, then read more or wait until the deadline.
    Read,
    /// Ask the chain, wait as long as it wants ([`wasmail_policy::Context::delay`]), then answer.
    Ask(Hook),
    /// [`super::Session::body`] holds octets of the body: append them to the draft, step again.
    Body,
    /// Write the output, hold a TLS handshake (RFC 3207), then call [`super::Session::secured`]; when it fails, close.
    StartTls,
    /// Look up what is kept of this user's password for SCRAM (RFC 5802), then call [`super::Session::verifier`].
    Verifier(String),
    /// Write the output, let this time pass, then call [`super::Session::paused`]: a guess that failed is answered late.
    Pause(Duration),
    /// Make the message durable, then call [`super::Session::committed`].
    Commit(Box<Commit>),
    /// Drop the draft if one was begun, step again.
    Discard,
    /// Write the output, then close. A client that is still sending loses the last reply when octets stay unread, so
    /// shut down the sending half and read on for a moment.
    Close,
}

/// An accepted message, but for its body, which the draft has.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// Trace fields, the header section and the empty line.
    pub header: Vec<u8>,
    /// Who sent it and who is to have it.
    pub envelope: Envelope,
    /// It comes from one of ours, for whom we relay: its domain's keys may sign it.
    pub ours: bool,
}

/// Why a message could not be made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFailure {
    /// The disk is full: 452 4.3.1.
    Full,
    /// Anything else: 451 4.3.0.
    Io,
}

/// What forward-confirmed reverse DNS said of the client (RFC 8601 §2.7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Iprev {
    /// A name was found, and it leads back to the address.
    Pass,
    /// No name leads back to the address.
    Fail,
    /// The lookup failed and may succeed later.
    TempError,
    /// There is no name, or it makes no sense.
    PermError,
}

/// A transaction that has ended, for the log.
#[derive(Debug)]
pub struct Ended {
    /// The transaction as it was.
    pub transaction: TransactionContext,
    /// How it ended.
    pub fate: Fate,
    /// The last reply when it ended, codes and CRLF included.
    pub reply: String,
}
