//! The changes that a plugin may ask for.

use std::time::Duration;

use serde_json::Value;
use wasmail_mail::{Parameter, Recipient};
use wasmail_mime::edit::{Banner, Replacement};

/// Mutations in one answer. A plugin that wants more of a message is doing something else than policy.
pub const MUTATIONS_MAX: usize = 256;
/// Longest wait that one answer may ask for: an SMTP client waits five minutes for most replies (RFC 5321 §4.5.3.2),
/// and several plugins may ask.
pub const DELAY_MAX: Duration = Duration::from_secs(30);

/// Whether a note or result belongs to the connection or to the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Lasts as long as the connection.
    Connection,
    /// Lasts as long as the transaction.
    Transaction,
}

/// The five lists that every plugin's results have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultList {
    /// Tests that passed.
    Pass,
    /// Tests that failed.
    Fail,
    /// Remarks.
    Msg,
    /// Tests that were not run, and why.
    Skip,
    /// What went wrong in the plugin.
    Err,
}

impl ResultList {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::Pass, Self::Fail, Self::Msg, Self::Skip, Self::Err];

    /// The name, such as `pass`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Msg => "msg",
            Self::Skip => "skip",
            Self::Err => "err",
        }
    }
}

/// A change that a plugin asks for; see `wit/types.wit` for what each does.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of wit/types.wit, documented there")]
pub enum Mutation {
    SetNote {
        scope: Scope,
        pointer: String,
        value: Value,
    },
    RemoveNote {
        scope: Scope,
        pointer: String,
    },
    AddResult {
        scope: Scope,
        list: ResultList,
        text: String,
    },
    IncrResult {
        scope: Scope,
        key: String,
        by: f64,
    },
    PushResult {
        scope: Scope,
        key: String,
        value: Value,
    },
    SetResult {
        scope: Scope,
        key: String,
        value: Value,
    },
    SetRelaying(bool),
    SetRemoteHost(Option<String>),
    AddHeader {
        name: String,
        value: String,
    },
    PrependHeader {
        name: String,
        value: String,
    },
    ReplaceHeader {
        position: usize,
        name: String,
        value: String,
    },
    RemoveHeader {
        position: usize,
    },
    AddBanner(Banner),
    ReplacePart {
        part: usize,
        replacement: Replacement,
    },
    RemovePart {
        part: usize,
    },
    AddRecipient(Recipient),
    RemoveRecipient {
        position: usize,
    },
    /// Without parameters the recipient keeps its own.
    RewriteRecipient {
        position: usize,
        address: String,
        parameters: Option<Vec<Parameter>>,
    },
    SetReversePath(String),
    SetRoute(Option<String>),
    Quarantine(String),
    Delay(Duration),
    SkipPlugin(String),
    AddCapability(String),
}

impl Mutation {
    /// Whether it edits the body by its parts.
    pub(crate) const fn edits_parts(&self) -> bool {
        matches!(self, Self::AddBanner(_) | Self::ReplacePart { .. } | Self::RemovePart { .. })
    }

    /// The name as it stands in WIT.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SetNote { .. } => "set-note",
            Self::RemoveNote { .. } => "remove-note",
            Self::AddResult { .. } => "add-result",
            Self::IncrResult { .. } => "incr-result",
            Self::PushResult { .. } => "push-result",
            Self::SetResult { .. } => "set-result",
            Self::SetRelaying(_) => "set-relaying",
            Self::SetRemoteHost(_) => "set-remote-host",
            Self::AddHeader { .. } => "add-header",
            Self::PrependHeader { .. } => "prepend-header",
            Self::ReplaceHeader { .. } => "replace-header",
            Self::RemoveHeader { .. } => "remove-header",
            Self::AddBanner(_) => "add-banner",
            Self::ReplacePart { .. } => "replace-part",
            Self::RemovePart { .. } => "remove-part",
            Self::AddRecipient(_) => "add-recipient",
            Self::RemoveRecipient { .. } => "remove-recipient",
            Self::RewriteRecipient { .. } => "rewrite-recipient",
            Self::SetReversePath(_) => "set-reverse-path",
            Self::SetRoute(_) => "set-route",
            Self::Quarantine(_) => "quarantine",
            Self::Delay(_) => "delay",
            Self::SkipPlugin(_) => "skip-plugin",
            Self::AddCapability(_) => "add-capability",
        }
    }
}
