//! Drives a session and a chain in memory.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use wasmail_mail::{Connection, Envelope, Tls};
use wasmail_policy::{Body, BoxFuture, Chain, Context, Hook, Stages};

use crate::{Commit, CommitFailure, Ended, Now, Session, SessionConfig, Step};

/// TLS of which only the facts are there.
fn pretended() -> Tls {
    let (version, cipher) = ("TLSv1.3".to_owned(), "TLS_AES_128_GCM_SHA256".to_owned());
    Tls { version, cipher, sni: None, peer_certificate: None, names: Vec::new(), exporter: None }
}

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
///
/// Its futures wait for nothing but the chain, so any executor will do.
pub struct Rehearsal {
    session: Session,
    policy: Arc<Stages>,
    now: Now,
    body: Vec<u8>,
    /// The body when it is whole, shared with the plugins that read it.
    whole: Option<Arc<Memory>>,
    messages: Vec<Message>,
    ended: Vec<Ended>,
    storage: Option<CommitFailure>,
    delayed: Duration,
    closed: bool,
}

impl Rehearsal {
    /// A client that has just connected, at this moment.
    #[must_use]
    pub fn new(config: SessionConfig, chain: Arc<Chain>, connection: Connection, now: Now) -> Self {
        Self::staged(config, Arc::new(chain.into()), connection, now)
    }

    /// The same where tenants are asked too.
    #[must_use]
    pub fn staged(config: SessionConfig, policy: Arc<Stages>, connection: Connection, now: Now) -> Self {
        Self {
            session: Session::new(Arc::new(config), connection, now),
            policy,
            now,
            body: Vec::new(),
            whole: None,
            messages: Vec::new(),
            ended: Vec::new(),
            storage: None,
            delayed: Duration::ZERO,
            closed: false,
        }
    }

    /// Connects: returns the greeting. [`Rehearsal::send`] does it too, but there the client talks early.
    pub async fn greeting(&mut self) -> Vec<u8> {
        self.run(&[]).await
    }

    /// Sends octets in one piece and returns all that the server answers.
    pub async fn send(&mut self, octets: &[u8]) -> Vec<u8> {
        if self.session.context().connection.last_response.is_empty() {
            self.session.early_talker();
        }
        self.run(octets).await
    }

    /// Lets time pass without a word from the client.
    pub async fn wait(&mut self, time: Duration) -> Vec<u8> {
        self.pass(time);
        if self.now.monotonic >= self.session.deadline() {
            self.session.timed_out(self.now);
        }
        self.run(&[]).await
    }

    /// The client goes away without QUIT.
    pub async fn hang_up(&mut self) {
        self.session.peer_closed(self.now);
        self.run(&[]).await;
    }

    /// The server begins to shut down.
    pub async fn drain(&mut self) -> Vec<u8> {
        self.session.drain(self.now);
        self.run(&[]).await
    }

    /// From now on storage fails like this, or works again.
    pub fn fail_storage(&mut self, failure: Option<CommitFailure>) {
        self.storage = failure;
    }

    /// The messages that were accepted so far.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The transactions that have ended so far, with what each plugin said.
    #[must_use]
    pub fn ended(&self) -> &[Ended] {
        &self.ended
    }

    /// The session as policy sees it.
    #[must_use]
    pub fn context(&self) -> &Context {
        self.session.context()
    }

    /// The session itself.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Whether the server has closed the connection.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// How long plugins have made the client wait in all.
    #[must_use]
    pub fn delayed(&self) -> Duration {
        self.delayed
    }

    async fn run(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut input = octets;
        loop {
            let step = self.session.step(&mut input, self.now);
            self.ended.extend(self.session.take_ended());
            match step {
                Step::Read => break,
                Step::Close => {
                    self.closed = true;
                    break;
                }
                Step::Ask(hook) => self.ask(hook).await,
                Step::Body => self.store(),
                // Nobody is known here by more than what a chain judges.
                Step::Verifier(_) => self.session.verifier(None, self.now),
                Step::Pause(time) => {
                    self.delayed += time;
                    self.pass(time);
                    self.session.paused(self.now);
                }
                Step::StartTls => self.session.secured(pretended(), self.now),
                Step::Commit(commit) => self.commit(*commit).await,
                Step::Discard => self.forget(),
            }
            self.ended.extend(self.session.take_ended());
        }
        std::mem::take(self.session.take_output())
    }

    async fn ask(&mut self, hook: Hook) {
        if hook.has_message() && self.whole.is_none() {
            self.whole = Some(Arc::new(Memory(std::mem::take(&mut self.body))));
        }
        let body = self.whole.clone().filter(|_| hook.has_message()).map(|body| body as Arc<dyn Body>);
        let decision = self.policy.ask(hook, self.session.context_mut(), body.as_ref()).await;
        let delay = std::mem::take(&mut self.session.context_mut().delay) + self.session.penalty(&decision);
        self.delayed += delay;
        self.pass(delay);
        self.session.answer(decision, self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.now.wall += time;
    }

    fn store(&mut self) {
        match self.storage {
            None => self.body.extend_from_slice(self.session.body()),
            Some(failure) => self.session.body_failed(failure),
        }
    }

    async fn commit(&mut self, commit: Commit) {
        let body = self.body_to_commit().await;
        self.forget();
        let outcome = match self.storage {
            Some(failure) => Err(failure),
            None => {
                self.messages.push(Message { envelope: commit.envelope, header: commit.header, body });
                Ok(self.messages.len().to_string())
            }
        };
        self.session.committed(outcome, self.now);
    }

    /// The body as plugins have left it.
    async fn body_to_commit(&self) -> Vec<u8> {
        let edited = self.session.context().transaction.as_ref().and_then(|transaction| transaction.edited.clone());
        let as_it_came = self.whole.as_ref().map(|body| &body.0);
        match edited {
            // It stands on a body in memory, which can always be read.
            Some(edited) => edited.read_at(0, usize::MAX).await.unwrap_or_default(),
            None => as_it_came.cloned().unwrap_or(self.body.clone()),
        }
    }

    fn forget(&mut self) {
        self.body = Vec::new();
        self.whole = None;
    }
}

/// A body in memory.
struct Memory(Vec<u8>);

impl Body for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let begin = usize::try_from(offset).map_or(self.0.len(), |offset| offset.min(self.0.len()));
        let end = begin.saturating_add(len).min(self.0.len());
        let octets = self.0[begin..end].to_vec();
        Box::pin(async { Ok(octets) })
    }
}
