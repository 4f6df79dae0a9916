//! The server's side of an SMTP session.

mod answers;
mod auth;
mod chunks;
mod commands;
mod content;
mod peer;
mod step;
mod tls;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use wasmail_mail::Connection;
use wasmail_policy::{Context, Decision, Fate, Hook, ReplyText, Subject};

use crate::command::{Chunk, CommandError};
use crate::data::{Reception, Refusal};
use crate::line::LineReader;
use crate::sasl::Exchange;
use crate::{replies, trace};

pub use auth::AuthConfig;
pub use step::{Chunking, Commit, CommitFailure, Ended, Iprev, Kind, LineEndings, Now, SessionConfig, Step};

/// One client's session: takes octets, asks policy, gives replies. Knows no socket and no clock.
///
/// The order of commands is told by the context: greeted when there is a `hello`, in a transaction when there is one.
pub struct Session {
    config: Arc<SessionConfig>,
    context: Context,
    state: State,
    lines: LineReader,
    output: Vec<u8>,
    /// Whether there is a draft that nobody wants any more.
    discard: bool,
    shutting_down: bool,
    /// Commands since the last accepted message.
    without_progress: u32,
    /// Attempts to authenticate that failed.
    failures: u32,
    /// Whether the peer may say who its client is.
    peer_is_trusted: bool,
    /// Whether a client here may send to anywhere before policy has said anything.
    relaying_at_first: bool,
    iprev: Option<Iprev>,
    /// The wall clock at the last step.
    wall: SystemTime,
    started: Instant,
    active: Instant,
    /// Whether input follows the command that is being carried out.
    more: bool,
    pending: Pending,
    /// A message between two chunks.
    chunks: Option<Box<Reception>>,
    ended: Option<Ended>,
}

/// What an open question will be told the outcome of. Each is there only while its hook is asked.
#[derive(Debug, Default)]
struct Pending {
    /// `unrecognized-command`: why the host does not know it.
    unknown: Option<CommandError>,
    /// `data`: the first chunk, when the message comes by BDAT.
    chunk: Option<Chunk>,
    /// A token was refused: the decision, while the client has the last word.
    token: Option<Decision>,
    /// `rcpt-ok`: what the plugin that accepted said.
    accepted: Option<ReplyText>,
    /// `max-data-exceeded`: what the message would be refused with.
    refusal: Option<Refusal>,
    /// `deny`: the refusal that may be overturned, and where it was given.
    denial: Option<(Hook, Decision)>,
    /// `reset-transaction`: how the transaction ends.
    ending: Option<Ending>,
}

/// A transaction that ends as soon as everybody has heard of it.
#[derive(Debug)]
struct Ending {
    fate: Fate,
    /// The last reply when it ended.
    reply: String,
    /// What the session does afterwards.
    then: State,
}

/// What the session waits for.
#[derive(Debug)]
enum State {
    /// A command.
    Ready,
    /// QUIT, for `connect` was denied.
    Unwelcome,
    /// The client's next response in an exchange that authenticates it.
    Authenticating(Exchange),
    /// What is kept of this user's password.
    LookingUp(String, Exchange),
    /// Time to pass before this reply to a guess that failed.
    Penalised(&'static str),
    /// The handshake to be over.
    Securing,
    /// The answer of policy.
    Asking(Hook),
    /// The end of the data, or of a chunk.
    Receiving(Box<Reception>),
    /// The end of a chunk that is of no use: octets to come.
    Skipping(u64),
    /// The message to be durable.
    Committing,
    /// Nothing: `disconnect` is to be asked.
    Leaving,
    /// Nothing.
    Closed,
}

impl Session {
    /// A session with a client that has just connected. Its first step asks `connect-init`.
    #[must_use]
    pub fn new(config: Arc<SessionConfig>, connection: Connection, now: Now) -> Self {
        Self {
            config,
            peer_is_trusted: false,
            relaying_at_first: connection.relaying,
            context: Context::new(connection),
            state: State::Asking(Hook::ConnectInit),
            lines: LineReader::default(),
            output: Vec::new(),
            discard: false,
            shutting_down: false,
            without_progress: 0,
            failures: 0,
            iprev: None,
            wall: now.wall,
            started: now.monotonic,
            active: now.monotonic,
            more: false,
            pending: Pending::default(),
            chunks: None,
            ended: None,
        }
    }

    /// Consumes octets from the front of `input`, which the driver keeps, and says what to do next.
    ///
    /// `input` must be all that was read and not consumed yet: what follows DATA in it was sent before 354. While a
    /// question or a commit is open nothing is consumed, and the same step is returned again.
    pub fn step(&mut self, input: &mut &[u8], now: Now) -> Step {
        self.wall = now.wall;
        if !input.is_empty() {
            self.active = now.monotonic;
        }
        loop {
            if std::mem::take(&mut self.discard) {
                return Step::Discard;
            }
            let step = match self.state {
                State::Ready | State::Unwelcome => self.next_command(input),
                State::Authenticating(_) => self.next_response(input),
                State::Receiving(_) => self.receive(input),
                State::Skipping(left) => self.skip(left, input),
                State::Asking(hook) => Some(Step::Ask(hook)),
                State::LookingUp(ref user, _) => Some(Step::Verifier(user.clone())),
                State::Penalised(_) => Some(Step::Pause(self.failure_delay())),
                State::Securing => Some(Step::StartTls),
                State::Committing => Some(self.commit(now)),
                State::Leaving => {
                    self.ask(Hook::Disconnect);
                    None
                }
                State::Closed => Some(Step::Close),
            };
            if let Some(step) = step {
                return step;
            }
        }
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

    /// The octets that [`Step::Body`] speaks of; valid until the next step.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        match &self.state {
            State::Receiving(reception) => reception.body(),
            _ => &[],
        }
    }

    /// Octets came before the greeting was written.
    pub fn early_talker(&mut self) {
        self.context.connection.counters.early_talker = true;
    }

    /// What reverse DNS said: the name, when there is one, and whether it is confirmed.
    pub fn reverse_dns(&mut self, iprev: Iprev, host: Option<String>) {
        self.iprev = Some(iprev);
        self.context.connection.remote.info.clone_from(&host);
        self.context.connection.remote.host = host;
    }

    /// The client has gone: the session ends without a reply. A message that is being committed is still accepted.
    pub fn peer_closed(&mut self, now: Now) {
        self.active = now.monotonic;
        self.context.connection.remote.closed = true;
        match self.state {
            State::Committing | State::Leaving | State::Closed | State::Asking(Hook::QueueOk | Hook::Disconnect) => {}
            _ => self.leave(Fate::Abandoned),
        }
    }

    /// When [`Session::timed_out`] is to be called if nothing has come and nobody is asked.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let limits = &self.config.limits;
        (self.active + limits.idle).min(self.started + limits.total)
    }

    /// The deadline has passed: 421 4.4.2, and the session ends. Nothing happens while policy or the spool is waited
    /// for, since that is not the client's fault.
    pub fn timed_out(&mut self, now: Now) {
        self.active = now.monotonic;
        if self.awaits_client() {
            self.say_and_leave(replies::TIMED_OUT, Fate::Abandoned);
        }
    }

    /// The server is shutting down: 421 4.3.2 as soon as no transaction is running (RFC 5321 §3.8).
    pub fn drain(&mut self, now: Now) {
        self.active = now.monotonic;
        self.shutting_down = true;
    }

    /// The server can wait no longer: 421 4.3.2 at once. A running transaction is abandoned, so its client keeps the
    /// message; one that policy or the spool is waited for ends first.
    pub fn cut_off(&mut self, now: Now) {
        self.active = now.monotonic;
        if self.awaits_client() {
            self.say_and_leave(replies::SHUTTING_DOWN, Fate::Abandoned);
        }
    }

    /// Whether it is the client's turn.
    fn awaits_client(&self) -> bool {
        use State::{Authenticating, Ready, Receiving, Skipping, Unwelcome};
        matches!(self.state, Ready | Unwelcome | Authenticating(_) | Receiving(_) | Skipping(_))
    }

    /// Replies to be written. The driver writes them in one go and empties the buffer.
    pub fn take_output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// The transaction that ended since the last call. Call it after every step, answer and commit, or lose one.
    pub fn take_ended(&mut self) -> Option<Ended> {
        self.ended.take()
    }

    fn ask(&mut self, hook: Hook) {
        self.state = State::Asking(hook);
    }

    fn ask_about(&mut self, hook: Hook, subject: Subject) {
        self.context.subject = subject;
        self.ask(hook);
    }

    fn say(&mut self, reply: &str) {
        let last = &mut self.context.connection.last_response;
        last.clear();
        last.push_str(reply);
        self.output.extend_from_slice(reply.as_bytes());
    }

    /// Answers a message: in LMTP once for each recipient that was accepted (RFC 2033 §4.2).
    fn answer_message(&mut self, reply: &str) {
        let facts = self.context.transaction.as_ref().map(|transaction| &transaction.facts);
        let recipients = facts.map_or(0, |facts| facts.recipient_counts.accepted);
        let each = facts.is_some_and(|facts| facts.parameters.iter().any(|parameter| parameter.keyword() == "PRDR"));
        let before = match self.config.kind {
            Kind::Lmtp => recipients.saturating_sub(1),
            Kind::Smtp | Kind::Submission if each => {
                self.output.extend_from_slice(replies::ANSWERS_FOLLOW.as_bytes());
                recipients
            }
            Kind::Smtp | Kind::Submission => 0,
        };
        (0..before).for_each(|_| self.output.extend_from_slice(reply.as_bytes()));
        self.say(reply);
    }

    /// Ends the transaction, if there is one: everybody hears of it, then it is gone.
    fn end_transaction(&mut self, fate: Fate, then: State) {
        self.discard |= self.chunks.take().is_some();
        if let Some(ending) = &mut self.pending.ending {
            ending.then = then;
        } else if self.context.transaction.is_some() {
            let reply = self.context.connection.last_response.clone();
            self.context.subject = Subject::Fate(fate.clone());
            self.pending.ending = Some(Ending { fate, reply, then });
            self.state = State::Asking(Hook::ResetTransaction);
        } else {
            self.state = then;
        }
    }

    /// Everybody has heard that the transaction ends.
    fn forget_transaction(&mut self) {
        let Some(Ending { fate, reply, then }) = self.pending.ending.take() else { return };
        self.ended = self.context.transaction.take().map(|transaction| Ended { transaction, fate, reply });
        self.state = then;
    }

    /// Ends the session. A transaction that is running ends like this.
    fn leave(&mut self, fate: Fate) {
        self.discard |= self.has_draft();
        self.end_transaction(fate, State::Leaving);
    }

    /// Whether there is a message that nobody has answered yet.
    fn has_draft(&self) -> bool {
        match &self.state {
            State::Receiving(_) => true,
            _ if self.chunks.is_some() => true,
            State::Asking(Hook::Deny) => self.pending.denial.as_ref().is_some_and(|(hook, _)| hook.has_message()),
            State::Asking(hook) => hook.has_message(),
            _ => false,
        }
    }

    fn say_and_leave(&mut self, reply: &str, fate: Fate) {
        self.say(reply);
        self.leave(fate);
    }

    fn commit(&self, now: Now) -> Step {
        // There is a transaction as long as a message is being committed.
        let Some(transaction) = &self.context.transaction else { return Step::Discard };
        let facts = &transaction.facts;
        let known = trace::Known { iprev: self.iprev, methods: &transaction.findings.told() };
        let mut header = trace::fields(&self.config, &self.context.connection, known, facts, now.wall);
        header.reserve(facts.header.len() + 2);
        facts.header.fields().iter().for_each(|field| header.extend_from_slice(field.raw()));
        if self.config.kind == Kind::Submission {
            header.extend(trace::missing(&facts.header, &facts.uuid, &self.config.hostname, now.wall));
        }
        header.extend_from_slice(b"\r\n");
        let mut envelope = facts.envelope();
        envelope.handling.tenant = transaction.tenant().map(|tenant| tenant.to_string());
        envelope.handling.forwarded = self.config.srs.is_some() && !facts.relaying;
        Step::Commit(Box::new(Commit { header, envelope, ours: facts.relaying }))
    }

    /// Octets of memory that are held for input and output.
    #[cfg(test)]
    fn held(&self) -> usize {
        let content = match &self.state {
            State::Receiving(reception) => reception.held(),
            _ => self.chunks.as_ref().map_or(0, |reception| reception.held()),
        };
        content + self.lines.held() + self.output.capacity()
    }
}

#[cfg(test)]
mod tests;
