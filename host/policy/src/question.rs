//! How a plugin is asked.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    Context, Credentials, Fault, Footprint, Grant, Grants, Hook, HookSet, Mutation, Step, Subject, Verdict, outbound,
};

/// A future in a box, as every call of a plugin is.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One question: everything that a plugin may know when it answers.
pub struct Question<'a> {
    /// Where in the session we are.
    pub hook: Hook,
    /// The connection and, where there is one, the transaction.
    pub context: &'a Context,
    /// The body of the message as it stands, at the hooks that have one.
    pub body: Option<&'a Arc<dyn Body>>,
    /// The same as it came.
    pub body_as_it_came: Option<&'a Arc<dyn Body>>,
    /// What the one who is asked was granted.
    pub grants: Grants,
}

impl Question<'_> {
    /// At `auth`: the mechanism, and what the client has shown, if the one who is asked may see it.
    #[must_use]
    pub fn credentials(&self) -> Option<(&'static str, Option<&Credentials>)> {
        let Subject::Credentials(credentials) = &self.context.subject else { return None };
        let granted = self.grants.has(Grant::Credentials);
        Some((credentials.mechanism, granted.then_some(credentials)))
    }
}

/// The body of a message, readable at any place while it waits for its verdict.
pub trait Body: Send + Sync {
    /// Size in octets.
    fn len(&self) -> u64;

    /// Whether there is no octet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads at most `len` octets from `offset`; fewer near the end, none past it.
    ///
    /// # Errors
    /// When the octets cannot be read back.
    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>>;
}

/// What a plugin answers to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its verdict.
    pub verdict: Verdict,
    /// The changes that it asks for, in order.
    pub mutations: Vec<Mutation>,
}

impl Outcome {
    /// No opinion and no change.
    #[must_use]
    pub const fn next() -> Self {
        Self { verdict: Verdict::Next, mutations: Vec::new() }
    }
}

/// An answer with what it cost.
#[derive(Debug)]
pub struct Answer {
    /// The outcome, or why there is none.
    pub outcome: Result<Outcome, Fault>,
    /// How long the call took.
    pub elapsed: Duration,
}

/// Something that can be asked: in production a component in its sandbox.
pub trait Plugin: Send + Sync {
    /// The hooks at which it wants to be asked.
    fn hooks(&self) -> HookSet;

    /// What its answers depend on and what they may change, if it says so. One that does not is asked alone, after all
    /// before it and before all after it, and may change whatever its grants allow.
    fn footprint(&self) -> Option<&Footprint> {
        None
    }

    /// Whether it is to be asked as things stand, at one of its hooks.
    fn wants(&self, _: &Context) -> bool {
        true
    }

    /// Hears what became of an answer of its own: it may have been refused.
    fn heard(&self, _: &Step) {}

    /// Puts a question to it.
    fn ask<'a>(&'a self, question: &'a Question<'a>) -> BoxFuture<'a, Answer>;

    /// The hooks of delivery at which it wants to be asked.
    fn outbound_hooks(&self) -> outbound::HookSet {
        outbound::HookSet::default()
    }

    /// JSON Pointers (RFC 6901) to the notes that it wants to see when it is asked about delivery.
    fn outbound_notes(&self) -> &[String] {
        &[]
    }

    /// Puts a question about delivery to it, at one of its [`Plugin::outbound_hooks`].
    fn ask_outbound<'a>(&'a self, _: &'a outbound::Question<'a>) -> BoxFuture<'a, outbound::Answer> {
        Box::pin(async { outbound::Answer { verdict: Ok(outbound::Verdict::Next), elapsed: Duration::ZERO } })
    }
}
