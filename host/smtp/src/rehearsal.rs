//! Drives a session and a chain in memory.

use std::sync::Arc;

use wasmail_mail::{Connection, Envelope};
use wasmail_policy::Chain;

use crate::{Now, Session, SessionConfig};

/// A message that a rehearsal accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who sent it and who is to have it.
    pub envelope: Envelope,
    /// Trace fields, the header section and the empty line.
    pub header: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

/// A session and a chain in memory, with a clock that stands still until it is moved.
pub struct Rehearsal {
    session: Session,
    chain: Arc<Chain>,
    messages: Vec<Message>,
    now: Now,
}

impl Rehearsal {
    /// A client that has just connected.
    #[must_use]
    pub fn new(config: SessionConfig, chain: Arc<Chain>, connection: Connection, now: Now) -> Self {
        let session = Session::new(Arc::new(config), connection, now);
        Self { session, chain, messages: Vec::new(), now }
    }

    /// Sends octets and returns what the server answers; the greeting comes with the first call.
    pub async fn send(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut input = octets;
        while let crate::Step::Ask(hook) = self.session.step(&mut input, self.now) {
            let decision = self.chain.ask(hook, self.session.context_mut(), None).await;
            self.session.answer(decision, self.now);
        }
        std::mem::take(self.session.take_output())
    }

    /// The messages that were accepted so far.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }
}
