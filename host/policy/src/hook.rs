//! The points at which policy is asked.

use std::fmt;

/// A point at which policy is asked. The names are Haraka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Hook {
    /// A client has connected; everybody hears of it.
    ConnectInit,
    /// The client's name is about to be looked up.
    LookupRdns,
    /// A client has connected, nothing was sent yet.
    Connect,
    /// HELO.
    Helo,
    /// EHLO.
    Ehlo,
    /// EHLO is about to be answered with the extensions that are offered.
    Capabilities,
    /// The client has shown credentials.
    Auth,
    /// A command that the host does not know.
    UnrecognizedCommand,
    /// NOOP.
    Noop,
    /// RSET.
    Rset,
    /// VRFY.
    Vrfy,
    /// QUIT.
    Quit,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// A recipient was accepted, by a plugin or because the client is relaying.
    RcptOk,
    /// DATA, before 354.
    Data,
    /// The message is larger than it may be.
    MaxDataExceeded,
    /// The message has come whole: asked about each part of it that is not made of parts.
    Part,
    /// The end of the data.
    DataPost,
    /// The message is about to be queued.
    Queue,
    /// The message of a relaying client is about to be queued.
    QueueOutbound,
    /// The message is in the queue.
    QueueOk,
    /// A plugin has refused something.
    Deny,
    /// A transaction ends.
    ResetTransaction,
    /// The connection has ended.
    Disconnect,
}

impl Hook {
    /// All hooks in the order of a session.
    pub const ALL: [Self; 25] = [
        Self::ConnectInit,
        Self::LookupRdns,
        Self::Connect,
        Self::Helo,
        Self::Ehlo,
        Self::Capabilities,
        Self::Auth,
        Self::UnrecognizedCommand,
        Self::Noop,
        Self::Rset,
        Self::Vrfy,
        Self::Quit,
        Self::Mail,
        Self::Rcpt,
        Self::RcptOk,
        Self::Data,
        Self::MaxDataExceeded,
        Self::Part,
        Self::DataPost,
        Self::Queue,
        Self::QueueOutbound,
        Self::QueueOk,
        Self::Deny,
        Self::ResetTransaction,
        Self::Disconnect,
    ];

    /// The name as it stands in WIT, logs and configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectInit => "connect-init",
            Self::LookupRdns => "lookup-rdns",
            Self::Connect => "connect",
            Self::Helo => "helo",
            Self::Ehlo => "ehlo",
            Self::Capabilities => "capabilities",
            Self::Auth => "auth",
            Self::UnrecognizedCommand => "unrecognized-command",
            Self::Noop => "noop",
            Self::Rset => "rset",
            Self::Vrfy => "vrfy",
            Self::Quit => "quit",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::RcptOk => "rcpt-ok",
            Self::Data => "data",
            Self::MaxDataExceeded => "max-data-exceeded",
            Self::Part => "part",
            Self::DataPost => "data-post",
            Self::Queue => "queue",
            Self::QueueOutbound => "queue-outbound",
            Self::QueueOk => "queue-ok",
            Self::Deny => "deny",
            Self::ResetTransaction => "reset-transaction",
            Self::Disconnect => "disconnect",
        }
    }

    /// Whether the message is there to be read and its own header fields may be replaced and removed.
    #[must_use]
    pub const fn has_message(self) -> bool {
        matches!(self, Self::Part | Self::DataPost | Self::Queue | Self::QueueOutbound)
    }

    /// Whether every plugin hears of it, whatever another said: there is nothing to decide.
    #[must_use]
    pub const fn reaches_all(self) -> bool {
        matches!(
            self,
            Self::ConnectInit
                | Self::Capabilities
                | Self::Rset
                | Self::Quit
                | Self::QueueOk
                | Self::ResetTransaction
                | Self::Disconnect
        )
    }

    /// Whether the client has been answered already, so that nobody's answer may hold the reply up.
    #[must_use]
    pub const fn follows_reply(self) -> bool {
        matches!(self, Self::QueueOk | Self::ResetTransaction | Self::Disconnect)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HookSet(u32);

impl HookSet {
    /// Whether the hook is in the set.
    #[must_use]
    pub const fn contains(self, hook: Hook) -> bool {
        self.0 & (1 << hook as u8) != 0
    }

    /// Adds a hook.
    pub const fn insert(&mut self, hook: Hook) {
        self.0 |= 1 << hook as u8;
    }

    /// The hooks in the order of a session.
    pub fn iter(self) -> impl Iterator<Item = Hook> {
        Hook::ALL.into_iter().filter(move |hook| self.contains(*hook))
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Hook> for HookSet {
    fn from_iter<I: IntoIterator<Item = Hook>>(hooks: I) -> Self {
        let mut set = Self::default();
        hooks.into_iter().for_each(|hook| set.insert(hook));
        set
    }
}
