//! Why an outcome is not applied, in words for the plugin's author.

use std::fmt;

use wasmail_mail::{AddressError, FieldError};

use super::SKIPPED_MAX;
use super::envelope::{PARAMETERS_MAX, REASON_MAX, RECIPIENTS_MAX};
use super::parts::PartError;
use crate::capability::CAPABILITIES_MAX;
use crate::footprint::Undeclared;
use crate::{Grant, MUTATIONS_MAX, NoteError, ResultError, VerdictError};

/// Why an outcome was not applied. The text is written for the plugin's author.
#[derive(Debug, Clone, PartialEq)]
pub enum Rejected {
    /// The verdict's reply is no reply.
    Verdict(VerdictError),
    /// The verdict needs a grant that the binding has not.
    NotGranted(Grant),
    /// More than 256 mutations.
    TooMany,
    /// A mutation cannot be applied.
    Mutation {
        /// Its place in the list, from 0.
        at: usize,
        /// Its name in WIT.
        name: &'static str,
        /// What is wrong with it.
        why: Why,
    },
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict(why) => write!(f, "verdict: {why}"),
            Self::NotGranted(grant) => write!(f, "verdict: this needs the grant `{grant}`"),
            Self::TooMany => write!(f, "more than {MUTATIONS_MAX} mutations"),
            Self::Mutation { at, name, why } => write!(f, "mutation {at} ({name}): {why}"),
        }
    }
}

impl std::error::Error for Rejected {}

/// What is wrong with a mutation.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each one's text says it")]
pub enum Why {
    NotGranted(Grant),
    Undeclared(Undeclared),
    NoTransaction,
    NoMessage,
    NoSuchPosition,
    EightBit,
    HeaderTooLarge,
    TooManyRecipients,
    TooManyParameters,
    ParameterTwice,
    NoSuchRoute(String),
    NotOwn,
    OthersToo,
    Reason,
    TooManySkips,
    ControlCharacter,
    Delay,
    TooLate,
    NoCapabilities,
    TooManyCapabilities,
    Capability(&'static str),
    Note(NoteError),
    Result(ResultError),
    Header(FieldError),
    Address(AddressError),
    Part(PartError),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOwn => f.write_str("the recipient's domain is not the tenant's own"),
            Self::OthersToo => {
                f.write_str("the connection may bring other tenants' mail too; only the operator's plugins may do this")
            }
            Self::NotGranted(grant) => write!(f, "needs the grant `{grant}`"),
            Self::Undeclared(what) => what.fmt(f),
            Self::NoTransaction => f.write_str("there is no transaction at this hook"),
            Self::NoMessage => {
                f.write_str("the message's own header can be edited at data-post, queue and queue-outbound only")
            }
            Self::NoSuchPosition => f.write_str("there is nothing at this position"),
            Self::EightBit => f.write_str("text outside US-ASCII needs a transaction with SMTPUTF8"),
            Self::HeaderTooLarge => f.write_str("the header section would exceed 2 MiB"),
            Self::TooManyRecipients => write!(f, "more than {RECIPIENTS_MAX} recipients"),
            Self::TooManyParameters => write!(f, "more than {PARAMETERS_MAX} parameters"),
            Self::ParameterTwice => f.write_str("a parameter is there twice"),
            Self::NoSuchRoute(known) if known.is_empty() => f.write_str("no route is configured"),
            Self::NoSuchRoute(known) => write!(f, "there is no such route; there are: {known}"),
            Self::Reason => write!(f, "the reason has not 1 to {REASON_MAX} octets"),
            Self::TooManySkips => write!(f, "more than {SKIPPED_MAX} skipped plugins"),
            Self::ControlCharacter => f.write_str("the text holds a control character"),
            Self::Delay => f.write_str("more than 30 seconds of delay in one answer"),
            Self::TooLate => f.write_str("the message can be changed no more"),
            Self::NoCapabilities => f.write_str("capabilities can be added at the hook capabilities only"),
            Self::TooManyCapabilities => write!(f, "more than {CAPABILITIES_MAX} capabilities"),
            Self::Capability(why) => f.write_str(why),
            Self::Note(error) => error.fmt(f),
            Self::Result(error) => error.fmt(f),
            Self::Header(error) => error.fmt(f),
            Self::Address(error) => error.fmt(f),
            Self::Part(error) => error.fmt(f),
        }
    }
}

impl From<Undeclared> for Why {
    fn from(what: Undeclared) -> Self {
        Self::Undeclared(what)
    }
}

impl From<NoteError> for Why {
    fn from(error: NoteError) -> Self {
        Self::Note(error)
    }
}

impl From<ResultError> for Why {
    fn from(error: ResultError) -> Self {
        Self::Result(error)
    }
}

impl From<FieldError> for Why {
    fn from(error: FieldError) -> Self {
        Self::Header(error)
    }
}

impl From<AddressError> for Why {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}
