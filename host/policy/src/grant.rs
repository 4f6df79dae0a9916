//! What a binding is allowed beyond judging.

use std::fmt;
use std::str::FromStr;

/// A privilege of a binding: an answer that needs it is a fault without it, and a capability answers with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Grant {
    /// May set relaying.
    Relaying,
    /// May accept at `rcpt`.
    AcceptRecipients,
    /// May add, remove and rewrite recipients.
    EditRecipients,
    /// May accept at `queue` and `queue-outbound`: the message is then the plugin's, and the host forgets it. May deliver in the host's
    /// place, and keep a sender from hearing of a failure.
    TakeMessages,
    /// May change the reverse-path.
    EditReversePath,
    /// May send a message by another of the configured routes, and name the servers of a domain.
    Route,
    /// May have a message held for the operator, whose sender is told that it was accepted.
    Quarantine,
    /// May overturn at `deny` what another plugin refused.
    OverturnDenials,
    /// May ask the DNS.
    Dns,
    /// May keep keys and values in the store.
    Kv,
    /// May put messages of its own into the queue.
    Inject,
    /// May ask the operator's listed origins over HTTP.
    Http,
    /// May speak with the operator's listed services.
    Tcp,
    /// May look up where addresses are.
    Geo,
    /// May use the keys that the operator gave it.
    Secret,
    /// May see what clients authenticate with, and vouch for them.
    Credentials,
    /// May ask where a message comes from.
    MailAuth,
}

impl Grant {
    /// All grants.
    pub const ALL: [Self; 17] = [
        Self::Relaying,
        Self::AcceptRecipients,
        Self::EditRecipients,
        Self::TakeMessages,
        Self::EditReversePath,
        Self::Route,
        Self::Quarantine,
        Self::OverturnDenials,
        Self::Dns,
        Self::Kv,
        Self::Inject,
        Self::Http,
        Self::Tcp,
        Self::Geo,
        Self::Secret,
        Self::Credentials,
        Self::MailAuth,
    ];

    /// The name in configuration and manifests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relaying => "relaying",
            Self::AcceptRecipients => "accept-recipients",
            Self::EditRecipients => "edit-recipients",
            Self::TakeMessages => "take-messages",
            Self::EditReversePath => "edit-reverse-path",
            Self::Route => "route",
            Self::Quarantine => "quarantine",
            Self::OverturnDenials => "overturn-denials",
            Self::Dns => "dns",
            Self::Kv => "kv",
            Self::Inject => "inject",
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Geo => "geo",
            Self::Secret => "secret",
            Self::Credentials => "credentials",
            Self::MailAuth => "mail-auth",
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Grant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|grant| grant.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("unknown grant `{text}`, expected one of {names}")
        })
    }
}

/// The grants of a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grants(u32);

impl Grants {
    /// Whether the grant was given.
    #[must_use]
    pub const fn has(self, grant: Grant) -> bool {
        self.0 & (1 << grant as u8) != 0
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        Self(grants.into_iter().fold(0, |bits, grant| bits | 1 << grant as u8))
    }
}
