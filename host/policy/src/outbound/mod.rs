//! What policy is asked about a message after it was accepted: whether it goes, where, and what follows from an attempt.
//!
//! There is no connection here, and nothing of the message can be changed: a [`Consignment`] is shown, a [`Verdict`] comes back.

mod chain;
mod check;
mod notes;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use wasmail_mail::{EnhancedStatus, HeaderSection, Parameter, Recipient, ReversePath};

use crate::{Body, Fault, Notes};

pub use chain::{Chain, Decision};
pub use notes::{keep, recall};

/// A point at which policy is asked about delivery. The names are Haraka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Hook {
    /// A consignment is about to be tried.
    PreSend,
    /// A plugin may deliver in place of the host.
    Send,
    /// The hosts of a domain are to be found.
    GetMx,
    /// Recipients have their message; everybody hears of it.
    Delivered,
    /// Recipients could not be reached for now.
    Deferred,
    /// Recipients will not get their message.
    Bounce,
}

impl Hook {
    /// All hooks, in the order in which a consignment meets them.
    pub const ALL: [Self; 6] = [Self::PreSend, Self::Send, Self::GetMx, Self::Delivered, Self::Deferred, Self::Bounce];

    /// The name in WIT and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreSend => "pre-send",
            Self::Send => "send",
            Self::GetMx => "get-mx",
            Self::Delivered => "delivered",
            Self::Deferred => "deferred",
            Self::Bounce => "bounce",
        }
    }

    /// Whether every plugin hears of it: there is nothing to decide.
    #[must_use]
    pub const fn reaches_all(self) -> bool {
        matches!(self, Self::Delivered)
    }

    /// Whether plugins say here whether and where to deliver. Elsewhere the sender's right to be told goes before a plugin's fault.
    #[must_use]
    pub const fn decides_delivery(self) -> bool {
        matches!(self, Self::PreSend | Self::Send | Self::GetMx)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HookSet(u8);

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

    /// The hooks in the order in which a consignment meets them.
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

/// One message on its way to the recipients of one domain: those that are due.
#[derive(Clone)]
pub struct Consignment {
    /// The message's name in the queue.
    pub queue_id: String,
    /// The transaction that it came by: `<connection uuid>.<n>`.
    pub uuid: String,
    /// Where failure notices go.
    pub reverse_path: ReversePath,
    /// The parameters of MAIL.
    pub parameters: Vec<Parameter>,
    /// Whether its sender asked for SMTPUTF8.
    pub smtputf8: bool,
    /// When it was accepted.
    pub accepted: SystemTime,
    /// When it is given up.
    pub expires: SystemTime,
    /// The domain in ASCII and lower case, or the address literal; empty for the bare postmaster.
    pub destination: String,
    /// The operator's route that policy sent it by.
    pub route: Option<String>,
    /// The recipients; never empty.
    pub targets: Vec<Target>,
    /// The notes of its transaction that were kept.
    pub notes: Arc<Notes>,
    /// The header section.
    pub header: Arc<HeaderSection>,
    /// The body.
    pub body: Arc<dyn Body>,
}

impl Consignment {
    /// Octets of header section and body.
    #[must_use]
    pub fn size(&self) -> u64 {
        // The empty line is CRLF.
        self.header.len() as u64 + 2 + self.body.len()
    }
}

/// A recipient of a message in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The recipient as the envelope has it.
    pub recipient: Recipient,
    /// Attempts that were made before this one.
    pub attempts: u32,
}

/// What was said of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// Index into [`Consignment::targets`].
    pub target: usize,
    /// Reply code; none when no server said anything.
    pub code: Option<u16>,
    /// Enhanced status code.
    pub enhanced: Option<EnhancedStatus>,
    /// Lines without codes.
    pub lines: Vec<String>,
    /// The host that said it, or where it was to be reached.
    pub host: Option<String>,
}

/// Where to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Lower is tried first.
    pub preference: u16,
    /// A host name or an address, without brackets.
    pub host: String,
    /// The port, where it is not that of all exchanges.
    pub port: Option<u16>,
}

/// A verdict. Which ones mean something at a hook is settled by the hook's type in WIT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No opinion.
    Next,
    /// Not now: tried again after so long, or when the schedule says.
    Delay(Option<Duration>),
    /// Never; why.
    Bounce(Option<String>),
    /// By another of the operator's routes.
    Route(String),
    /// The plugin has tried to deliver: what came of it.
    Done(Vec<Said>),
    /// These servers, in place of those that the DNS names.
    Exchanges(Vec<Exchange>),
    /// The sender is not told.
    Silence,
}

impl Verdict {
    /// The name as it stands in WIT and in logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Delay(_) => "delay",
            Self::Bounce(_) => "bounce",
            Self::Route(_) => "route",
            Self::Done(_) => "done",
            Self::Exchanges(_) => "exchanges",
            Self::Silence => "silence",
        }
    }
}

/// One question: everything that a plugin may know when it answers.
pub struct Question<'a> {
    /// What it is asked.
    pub hook: Hook,
    /// The message and its recipients.
    pub consignment: &'a Consignment,
    /// What was said of some of them, after an attempt.
    pub said: &'a [Said],
}

/// An answer with what it cost.
#[derive(Debug)]
pub struct Answer {
    /// The verdict, or why there is none.
    pub verdict: Result<Verdict, Fault>,
    /// How long the call took.
    pub elapsed: Duration,
}
