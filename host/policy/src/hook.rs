//! The points at which policy is asked.

use std::fmt;

/// A point at which policy is asked. The names are Haraka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Hook {
    /// A client has connected, nothing was sent yet.
    Connect,
    /// HELO.
    Helo,
    /// EHLO.
    Ehlo,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, before 354.
    Data,
    /// The end of the data.
    DataPost,
    /// The message is about to be queued.
    Queue,
    /// The connection has ended.
    Disconnect,
}

impl Hook {
    /// All hooks in the order of a session.
    pub const ALL: [Self; 9] = [
        Self::Connect,
        Self::Helo,
        Self::Ehlo,
        Self::Mail,
        Self::Rcpt,
        Self::Data,
        Self::DataPost,
        Self::Queue,
        Self::Disconnect,
    ];

    /// The name as it stands in WIT, logs and configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Helo => "helo",
            Self::Ehlo => "ehlo",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::DataPost => "data-post",
            Self::Queue => "queue",
            Self::Disconnect => "disconnect",
        }
    }

    /// Whether the message is there to be read and its own header fields may be replaced and removed.
    #[must_use]
    pub const fn has_message(self) -> bool {
        matches!(self, Self::DataPost | Self::Queue)
    }

    /// Whether every plugin hears of it, whatever another said.
    #[must_use]
    pub const fn reaches_all(self) -> bool {
        matches!(self, Self::Disconnect)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HookSet(u16);

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
