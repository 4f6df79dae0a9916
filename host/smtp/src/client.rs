//! The SMTP client without a socket or a clock: it is given octets and the time, and says what to write.
//!
//! One [`Client`] serves one connection and sends any number of messages over it, one after the other.

mod auth;
mod content;
mod extensions;
mod outcome;
mod patience;
mod reply;
mod transaction;
mod wishes;

use std::time::Instant;

use wasmail_mail::{BodyType, Parameter, Recipient, ReversePath};

pub use content::BareLineEnd;
pub use extensions::Extensions;
pub use outcome::{Fate, Phase, Reason};
pub use patience::Patience;
pub use reply::{BadReply, RemoteReply};
pub use wishes::{Credentials, StartTls, Wishes};

use auth::Exchange;
use content::Writer;
use reply::ReplyReader;
use transaction::{Progress, Transaction};

/// A message on its way out. Its content follows when the server wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where failure notices go.
    pub reverse_path: ReversePath,
    /// Who is to have it; at least one.
    pub recipients: Vec<Recipient>,
    /// The parameters that the sender gave with MAIL. What the server has use for goes with it; so do those of the recipients.
    pub parameters: Vec<Parameter>,
    /// Size of the content in octets, dots not doubled; exactly so many have to follow.
    pub size: u64,
    /// How the content is encoded. A server without 8BITMIME is sent 7-bit content only, and one without BINARYMIME none that
    /// is binary.
    pub body: BodyType,
    /// Whether an address or the header is not ASCII, so that only a server with SMTPUTF8 may have it.
    pub smtputf8: bool,
    /// Whether only servers may have it that will send it on under TLS alone (RFC 8689).
    pub require_tls: bool,
}

/// What the driver has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientStep {
    /// Write the output and read more, or wait until the deadline.
    Read,
    /// The server waits for the TLS handshake: hold it, then call [`Client::secured`].
    StartTls,
    /// The connection is open and idle: [`Client::send`] or [`Client::quit`].
    Ready,
    /// The server waits for the content: [`Client::content`] until all is said, then [`Client::end_content`].
    Content,
    /// The message is through: one fate for each recipient, in order. Step again.
    Done(Vec<Fate>),
    /// The server did not let us begin. Step again.
    Refused(Reason),
    /// Write the output and close.
    Close,
}

/// A connection to a server, seen from the client.
#[derive(Debug)]
pub struct Client {
    wishes: Wishes,
    /// Whether TLS has begun.
    secured: bool,
    state: State,
    extensions: Extensions,
    reader: ReplyReader,
    output: Vec<u8>,
    /// Since when we wait for whatever we wait for.
    since: Instant,
    /// Whether a transaction was left open, so that RSET must come before the next MAIL.
    unfinished: bool,
}

#[derive(Debug)]
enum State {
    /// Waiting for the reply to this: the greeting, EHLO, HELO, STARTTLS or QUIT.
    Waiting(Phase),
    /// The handshake is held.
    StartTls,
    Auth(Exchange),
    Ready,
    Envelope(Box<Transaction>),
    Content(Box<Transaction>, Writer),
    Done(Vec<Fate>, After),
    Refused(Reason),
    Closed,
}

/// What follows a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Ready,
    Close,
}

impl Client {
    /// A connection that has just been made.
    #[must_use]
    pub fn new(wishes: Wishes, now: Instant) -> Self {
        Self {
            wishes,
            secured: false,
            state: State::Waiting(Phase::Connect),
            extensions: Extensions::default(),
            reader: ReplyReader::default(),
            output: Vec::new(),
            since: now,
            unfinished: false,
        }
    }

    /// A connection on which TLS has just begun, before anything was said (RFC 8314 §3.3).
    #[must_use]
    pub fn over_tls(wishes: Wishes, now: Instant) -> Self {
        Self { secured: true, ..Self::new(wishes, now) }
    }

    /// TLS has begun after [`ClientStep::StartTls`]. What the server said before may have been another's words, and is
    /// forgotten (RFC 3207 §4.2).
    pub fn secured(&mut self, now: Instant) {
        self.since = now;
        if matches!(self.state, State::StartTls) {
            self.secured = true;
            self.extensions = Extensions::default();
            self.state = self.hello();
        }
    }

    /// What the server offers, known when the first [`ClientStep::Ready`] has come.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Octets to write; the driver writes and clears them at [`ClientStep::Read`], [`ClientStep::Close`] and between
    /// pieces of content.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Consumes octets from the front of `input` and says what to do next.
    pub fn step(&mut self, input: &mut &[u8], now: Instant) -> ClientStep {
        loop {
            if let Some(step) = self.offer() {
                return step;
            }
            match self.reader.read(input) {
                Ok(Some(reply)) => {
                    self.take(reply, now);
                    self.check_pace(input);
                    self.check_injection(input);
                }
                Ok(None) => return ClientStep::Read,
                Err(why) => self.fail(|to| Reason::BadReply { to, why }),
            }
        }
    }

    /// A server that says more than it was asked is out of step with us: the next message would get this one's replies.
    fn check_pace(&mut self, rest: &[u8]) {
        if let State::Done(_, after) = &mut self.state
            && !rest.is_empty()
        {
            *after = After::Close;
        }
    }

    /// What comes behind the reply to STARTTLS was put there by somebody else, to be taken for what TLS brought.
    fn check_injection(&mut self, rest: &[u8]) {
        if matches!(self.state, State::StartTls) && !rest.is_empty() {
            self.state = State::Refused(Reason::Injected);
        }
    }

    /// What the state says by itself, without more input.
    fn offer(&mut self) -> Option<ClientStep> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Done(fates, after) => {
                self.state = if after == After::Ready { State::Ready } else { State::Closed };
                Some(ClientStep::Done(fates))
            }
            State::Refused(reason) => Some(ClientStep::Refused(reason)),
            State::Closed => Some(ClientStep::Close),
            State::Ready => self.stay(State::Ready, Some(ClientStep::Ready)),
            state @ State::StartTls => self.stay(state, Some(ClientStep::StartTls)),
            state @ State::Content(..) => self.stay(state, Some(ClientStep::Content)),
            state @ (State::Waiting(_) | State::Auth(_) | State::Envelope(_)) => self.stay(state, None),
        }
    }

    fn stay(&mut self, state: State, step: Option<ClientStep>) -> Option<ClientStep> {
        self.state = state;
        step
    }

    fn take(&mut self, reply: RemoteReply, now: Instant) {
        self.since = now;
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Waiting(phase) => self.take_at(phase, reply),
            State::Auth(exchange) => self.take_at_auth(exchange, reply),
            State::Envelope(mut transaction) => {
                let progress = transaction.take(reply, &mut self.output);
                self.go_on(transaction, progress)
            }
            state => state,
        };
    }

    fn take_at(&mut self, phase: Phase, reply: RemoteReply) -> State {
        match phase {
            Phase::Connect if reply.is_positive() => self.hello(),
            Phase::Ehlo | Phase::Lhlo if reply.is_positive() => {
                self.extensions = Extensions::read(&reply);
                self.begin_tls()
            }
            // A server of old that does not know EHLO (RFC 5321 §3.2); 421 and other 4yz are no such answer.
            Phase::Ehlo if reply.code() >= 500 => self.greet(Phase::Helo),
            Phase::Helo if reply.is_positive() => self.begin_tls(),
            Phase::StartTls if reply.code() == 220 => State::StartTls,
            // 421 announces the end.
            Phase::StartTls if self.wishes.tls == StartTls::IfOffered && reply.code() != 421 => self.begin_auth(),
            Phase::Quit => State::Closed,
            to => State::Refused(Reason::Reply { to, reply }),
        }
    }

    fn begin_tls(&mut self) -> State {
        match self.wishes.tls {
            _ if self.secured => self.begin_auth(),
            StartTls::Never => self.begin_auth(),
            StartTls::IfOffered | StartTls::Required if self.extensions.starttls => {
                self.output.extend_from_slice(b"STARTTLS\r\n");
                State::Waiting(Phase::StartTls)
            }
            StartTls::IfOffered => self.begin_auth(),
            StartTls::Required => State::Refused(Reason::NoStartTls),
        }
    }

    fn begin_auth(&mut self) -> State {
        let Some(credentials) = &self.wishes.credentials else { return State::Ready };
        if !self.secured && !credentials.in_the_clear {
            return State::Refused(Reason::InTheClear);
        }
        match Exchange::begin(credentials, self.extensions, &mut self.output) {
            Some(exchange) => State::Auth(exchange),
            None => State::Refused(Reason::NoMechanism),
        }
    }

    fn take_at_auth(&mut self, mut exchange: Exchange, reply: RemoteReply) -> State {
        match exchange.take(&reply, &mut self.output) {
            auth::Progress::Waiting => State::Auth(exchange),
            auth::Progress::Accepted => State::Ready,
            auth::Progress::Refused => State::Refused(Reason::Reply { to: Phase::Auth, reply }),
        }
    }

    fn hello(&mut self) -> State {
        self.greet(if self.wishes.lmtp { Phase::Lhlo } else { Phase::Ehlo })
    }

    fn greet(&mut self, phase: Phase) -> State {
        self.output.extend_from_slice(format!("{phase} {}\r\n", self.wishes.hostname).as_bytes());
        State::Waiting(phase)
    }

    fn go_on(&mut self, transaction: Box<Transaction>, progress: Progress) -> State {
        match progress {
            Progress::Waiting => State::Envelope(transaction),
            Progress::Content(writer) => State::Content(transaction, writer),
            Progress::Through { open } => {
                self.unfinished = open;
                State::Done(transaction.into_fates(), After::Ready)
            }
            Progress::Closing(reason) => State::Done(transaction.fail(reason), After::Close),
        }
    }

    /// Begins a message. To be called at [`ClientStep::Ready`]; at any other time the message comes back deferred.
    ///
    /// A message that the server cannot take, by what it said to EHLO, is refused without asking.
    pub fn send(&mut self, message: Outgoing, now: Instant) {
        self.since = now;
        let refusal = self.refusal(&message);
        let ready = matches!(self.state, State::Ready);
        let mut transaction = Box::new(Transaction::new(message, self.extensions, self.unfinished, &self.wishes));
        self.state = match refusal {
            _ if !ready => State::Done(transaction.fail(Reason::Lost(Phase::Connect)), After::Close),
            Some(reason) => State::Done(transaction.fail(reason), After::Ready),
            None => {
                transaction.write(&mut self.output);
                State::Envelope(transaction)
            }
        };
    }

    fn refusal(&self, message: &Outgoing) -> Option<Reason> {
        let offered = &self.extensions;
        match offered.size_max {
            Some(max) if message.size > max => return Some(Reason::TooLarge { max }),
            _ => {}
        }
        if message.smtputf8 && !offered.smtputf8 {
            return Some(Reason::NeedsSmtpUtf8);
        }
        if message.require_tls && !(self.secured && offered.require_tls) {
            return Some(Reason::NeedsRequireTls);
        }
        match message.body {
            BodyType::SevenBit => None,
            BodyType::EightBitMime => (!offered.eight_bit_mime).then_some(Reason::Needs8BitMime),
            BodyType::BinaryMime => (!offered.binary_mime).then_some(Reason::NeedsBinaryMime),
        }
    }

    /// Adds a piece of the content to the output. To be called at [`ClientStep::Content`].
    ///
    /// # Errors
    /// When the content holds a bare CR or LF. The connection is then to be closed: the next step says so.
    pub fn content(&mut self, octets: &[u8], now: Instant) -> Result<(), BareLineEnd> {
        self.since = now;
        let State::Content(_, writer) = &mut self.state else { return Ok(()) };
        writer.push(octets, &mut self.output).inspect_err(|why| self.give_up(*why))
    }

    /// Ends the content: with the final dot, unless it went in a chunk. One that is not of the size that was announced ends the
    /// connection, as the next step says.
    ///
    /// # Errors
    /// When the content ends in a bare CR, as in [`Client::content`].
    pub fn end_content(&mut self, now: Instant) -> Result<(), BareLineEnd> {
        self.since = now;
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Content(mut transaction, writer) => {
                let ended = writer.end(&mut self.output);
                transaction.end_content();
                self.state = State::Envelope(transaction);
                if ended == Ok(false) {
                    self.output.clear();
                    self.fail(|_| Reason::WrongSize);
                }
                ended.map(drop).inspect_err(|why| self.give_up(*why))
            }
            state => {
                self.state = state;
                Ok(())
            }
        }
    }

    fn give_up(&mut self, why: BareLineEnd) {
        // Without the final dot the server forgets what it has (RFC 5321 §4.1.1.4).
        self.output.clear();
        self.fail(|_| Reason::BareLineEnd(why));
    }

    /// Says goodbye. To be called at [`ClientStep::Ready`].
    pub fn quit(&mut self, now: Instant) {
        self.since = now;
        self.output.extend_from_slice(b"QUIT\r\n");
        self.state = State::Waiting(Phase::Quit);
    }

    /// The connection has ended, or broken.
    pub fn peer_closed(&mut self) {
        self.fail(Reason::Lost);
    }

    /// When [`Client::timed_out`] is to be called if nothing came (RFC 5321 §4.5.3.2).
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.since + self.wishes.patience.at(self.phase())
    }

    /// The deadline has passed.
    pub fn timed_out(&mut self) {
        self.fail(Reason::TimedOut);
    }

    fn phase(&self) -> Phase {
        match &self.state {
            State::Waiting(phase) => *phase,
            State::StartTls => Phase::StartTls,
            State::Auth(_) => Phase::Auth,
            State::Envelope(transaction) => transaction.phase(),
            State::Content(..) => Phase::Content,
            State::Ready | State::Done(..) | State::Refused(_) | State::Closed => Phase::Quit,
        }
    }

    /// Ends everything. What was decided stays decided.
    fn fail(&mut self, reason: impl FnOnce(Phase) -> Reason) {
        let reason = reason(self.phase());
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Waiting(Phase::Quit) | State::Ready | State::Closed => State::Closed,
            State::Waiting(_) | State::StartTls | State::Auth(_) => State::Refused(reason),
            State::Envelope(transaction) | State::Content(transaction, _) => {
                State::Done(transaction.fail(reason), After::Close)
            }
            State::Done(fates, _) => State::Done(fates, After::Close),
            State::Refused(earlier) => State::Refused(earlier),
        };
    }
}

#[cfg(test)]
mod tests;
