//! The server's side of an SMTP session.

mod step;

use std::sync::Arc;
use std::time::Instant;

use wasmail_mail::Connection;
use wasmail_policy::{Context, Decision, Hook};

pub use step::{Commit, CommitFailure, Ended, Fate, Iprev, LineEndings, Now, SessionConfig, Step};

/// One client's session: takes octets, asks policy, gives replies.
pub struct Session {
    config: Arc<SessionConfig>,
    context: Context,
    output: Vec<u8>,
    asking: Option<Hook>,
    started: Instant,
    active: Instant,
    ended: Option<Ended>,
}

impl Session {
    /// A session with a client that has just connected. Its first step asks `connect`.
    #[must_use]
    pub fn new(config: Arc<SessionConfig>, connection: Connection, now: Now) -> Self {
        Self {
            config,
            context: Context::new(connection),
            output: Vec::new(),
            asking: Some(Hook::Connect),
            started: now.monotonic,
            active: now.monotonic,
            ended: None,
        }
    }

    /// Consumes octets from the front of `input`, which the driver keeps, and says what to do next.
    ///
    /// While a question or a commit is open nothing is consumed, and the same step is returned again.
    pub fn step(&mut self, input: &mut &[u8], now: Now) -> Step {
        self.active = now.monotonic;
        *input = &[];
        self.asking.map_or(Step::Read, Step::Ask)
    }

    /// The session as policy sees it.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The session as policy changes it.
    pub fn context_mut(&mut self) -> &mut Context {
        &mut self.context
    }

    /// Answers [`Step::Ask`].
    pub fn answer(&mut self, _decision: Decision, now: Now) {
        self.active = now.monotonic;
        self.asking = None;
    }

    /// The octets that [`Step::Body`] speaks of; valid until the next step.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &[]
    }

    /// Answers [`Step::Commit`]: the queue id, or why there is none.
    pub fn committed(&mut self, _outcome: Result<String, CommitFailure>, now: Now) {
        self.active = now.monotonic;
    }

    /// The draft could not take what [`Step::Body`] gave: the rest is read and thrown away, then 452 or 451 follows.
    pub fn body_failed(&mut self, _failure: CommitFailure) {}

    /// Octets came before the greeting was written.
    pub fn early_talker(&mut self) {
        self.context.connection.counters.early_talker = true;
    }

    /// What reverse DNS said: the name, when there is one, and whether it is confirmed.
    pub fn reverse_dns(&mut self, _iprev: Iprev, host: Option<String>) {
        self.context.connection.remote.info.clone_from(&host);
        self.context.connection.remote.host = host;
    }

    /// The client has gone: the session ends without a reply.
    pub fn peer_closed(&mut self, _now: Now) {
        self.context.connection.remote.closed = true;
    }

    /// When [`Session::timed_out`] is to be called if nothing has come.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let limits = &self.config.limits;
        (self.active + limits.idle).min(self.started + limits.total)
    }

    /// The deadline has passed: 421 4.4.2, and the session ends.
    pub fn timed_out(&mut self, _now: Now) {}

    /// The server is shutting down: 421 4.3.2 as soon as no transaction is running.
    pub fn drain(&mut self, _now: Now) {}

    /// Replies to be written. The driver writes them in one go and empties the buffer.
    pub fn take_output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// The transaction that ended since the last call. Call it after every step, answer and commit, or lose one.
    pub fn take_ended(&mut self) -> Option<Ended> {
        self.ended.take()
    }
}
