//! Where a session stands, as policy sees it.

use std::sync::Arc;
use std::time::Duration;

use wasmail_mail::{Connection, Recipient, Transaction};
use wasmail_mime::Tree;

use crate::guests::{Guests, Stay};
use crate::{AsItCame, Body, Findings, Hook, Notes, Parts, Pieces, Results, Verdict};

/// Steps that a trail keeps. A transaction with a hundred recipients and eight plugins has about a thousand; the log
/// line wants the first ones and the count.
const TRAIL_MAX: usize = 128;

/// The facts of a connection with the notes, results and skips that policy hung on it.
#[derive(Debug, Clone)]
pub struct Context {
    /// The facts.
    pub connection: Connection,
    /// The connection's notes.
    pub notes: Arc<Notes>,
    /// The connection's results.
    pub results: Arc<Results>,
    /// Plugins that are not asked for the rest of the connection.
    pub skipped: Vec<String>,
    /// The transaction, while there is one.
    pub transaction: Option<TransactionContext>,
    /// What the hook is about, beside connection and transaction.
    pub subject: Subject,
    /// Lines that plugins add to the answer to EHLO.
    pub capabilities: Vec<String>,
    /// How long the next reply has to wait, because plugins asked for it.
    pub delay: Duration,
    /// Who was asked and what they said, outside transactions.
    pub trail: Trail,
    /// The tenants that it has had to do with.
    pub(crate) guests: Guests,
}

impl Context {
    /// A connection on which policy has not acted yet.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            notes: Arc::default(),
            results: Arc::default(),
            skipped: Vec::new(),
            transaction: None,
            subject: Subject::None,
            capabilities: Vec::new(),
            delay: Duration::ZERO,
            trail: Trail::default(),
            guests: Guests::default(),
        }
    }

    /// Whether the client may send to anywhere: the transaction's own answer when there is one, else the connection's.
    #[must_use]
    pub fn relaying(&self) -> bool {
        self.transaction.as_ref().map_or(self.connection.relaying, |transaction| transaction.facts.relaying)
    }

    /// Whether a plugin is to be passed over.
    #[must_use]
    pub fn skips(&self, plugin: &str) -> bool {
        let of_transaction = self.transaction.iter().flat_map(|transaction| &transaction.skipped);
        self.skipped.iter().chain(of_transaction).any(|name| name == plugin)
    }

    /// The body as it stands: as it came, or as plugins have edited it.
    #[must_use]
    pub fn body(&self, as_it_came: Option<&Arc<dyn Body>>) -> Option<Arc<dyn Body>> {
        let edited = self.transaction.as_ref().and_then(|transaction| transaction.edited.clone());
        let as_it_came = as_it_came?;
        Some(edited.map_or_else(|| Arc::clone(as_it_came), |edited| edited as Arc<dyn Body>))
    }

    /// Notes down what a plugin said, in the transaction's trail when there is one.
    pub(crate) fn record(&mut self, step: Step) {
        let trail = match &mut self.transaction {
            Some(transaction) => &mut transaction.trail,
            None => &mut self.trail,
        };
        trail.push(step);
    }
}

/// What a hook is about, beside connection and transaction.
#[derive(Debug, Clone, Default)]
pub enum Subject {
    /// Nothing more.
    #[default]
    None,
    /// `auth`: what the client has shown.
    Credentials(Credentials),
    /// `deny`: what a plugin refused.
    Denial(Denial),
    /// `vrfy`: the argument.
    Argument(String),
    /// `part`: the part.
    Part {
        /// Its number in the tree.
        number: usize,
        /// The parts of the message.
        tree: Arc<Tree>,
    },
    /// `queue-ok`: the message's name in the queue.
    QueueId(String),
    /// `reset-transaction`: how the transaction ended.
    Fate(Fate),
}

/// What a client authenticates with (RFC 4954). Only bindings with the grant `credentials` see more than the mechanism.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// SASL mechanism, such as `PLAIN`.
    pub mechanism: &'static str,
    /// Who the client says that it is: the authentication identity (RFC 4616).
    pub user: String,
    /// What it shows to prove that.
    pub secret: Secret,
}

/// What a client shows to prove who it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A password.
    Password(String),
    /// A token (RFC 6750) that somebody else has given to the user.
    Token(String),
}

/// Without the secret, as [`Credentials`].
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password",
            Self::Token(_) => "Token",
        })
    }
}

/// Without the secret: what is printed may land in a log.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

/// A refusal of a plugin's that another may overturn.
#[derive(Debug, Clone, PartialEq)]
pub struct Denial {
    /// Where it was given.
    pub hook: Hook,
    /// The plugin that gave it.
    pub by: Arc<str>,
    /// The tenant that the plugin is of; none is the operator.
    pub tenant: Option<Arc<str>>,
    /// The refusal.
    pub verdict: Verdict,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Durable in the queue, under this id.
    Queued(String),
    /// A plugin has taken the message.
    Taken,
    /// Answered 4yz.
    Deferred,
    /// Answered 5yz.
    Rejected,
    /// The client gave it up: RSET, a new greeting, QUIT, or it went away.
    Abandoned,
}

/// The facts of a transaction with what policy hung on it.
#[derive(Debug, Clone)]
pub struct TransactionContext {
    /// The facts.
    pub facts: Transaction,
    /// The recipient that RCPT asks about, until it is answered.
    pub candidate: Option<Recipient>,
    /// The transaction's notes.
    pub notes: Arc<Notes>,
    /// The transaction's results.
    pub results: Arc<Results>,
    /// Plugins that are not asked for the rest of the transaction.
    pub skipped: Vec<String>,
    /// Who was asked and what they said.
    pub trail: Trail,
    /// The parts of the message, once somebody has asked for them.
    pub parts: Parts,
    /// What plugins cannot edit.
    pub as_it_came: AsItCame,
    /// What was found out about where it comes from.
    pub findings: Findings,
    /// The body as plugins have edited it; none while nobody has.
    pub edited: Option<Arc<Pieces>>,
    /// How many parts the hook `part` is still to be asked about; none before it is asked about the first.
    pub(crate) parts_left: Option<usize>,
    /// Which of the stages is asked about parts.
    pub(crate) part_stage: usize,
    /// Whose it is.
    pub(crate) stay: Stay,
}

impl TransactionContext {
    /// A transaction on which policy has not acted yet.
    #[must_use]
    pub fn new(facts: Transaction) -> Self {
        Self {
            as_it_came: AsItCame::new(&facts),
            findings: Findings::default(),
            facts,
            candidate: None,
            notes: Arc::default(),
            results: Arc::default(),
            skipped: Vec::new(),
            trail: Trail::default(),
            parts: Parts::default(),
            edited: None,
            parts_left: None,
            part_stage: 0,
            stay: Stay::default(),
        }
    }

    /// The tenant whose mail it is; none while that is not known, and where it is the operator's own.
    #[must_use]
    pub fn tenant(&self) -> Option<&Arc<str>> {
        self.stay.owner.as_ref()
    }
}

/// One plugin's answer, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where it was asked.
    pub hook: Hook,
    /// The tenant that the binding is of; none is the operator.
    pub tenant: Option<Arc<str>>,
    /// The binding's name.
    pub plugin: Arc<str>,
    /// The verdict's name, or the fault's kind.
    pub verdict: &'static str,
    /// Whether the plugin failed.
    pub fault: bool,
    /// How long the call took.
    pub elapsed: Duration,
}

/// Who was asked and what they said, bounded.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    steps: Vec<Step>,
    dropped: usize,
}

impl Trail {
    fn push(&mut self, step: Step) {
        if self.steps.len() < TRAIL_MAX {
            self.steps.push(step);
        } else {
            self.dropped += 1;
        }
    }

    /// The steps from this one on.
    pub(crate) fn since(&mut self, first: usize) -> &mut [Step] {
        self.steps.get_mut(first..).unwrap_or_default()
    }

    /// The first steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many more there were.
    #[must_use]
    pub const fn dropped(&self) -> usize {
        self.dropped
    }
}
