//! One client: carries octets to its session and replies back, asks the chain, fills the spool.

mod buffer;
pub(crate) mod receiving;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, SystemTime};

use tokio::net::TcpStream;
use tokio::sync::futures::Notified;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};
use wasmail_mail::{Connection, Counters, Local, Proxy, ProxyKind, Remote};
use wasmail_policy::{Credentials, Decision, Hook, Secret, Subject, Verdict};
use wasmail_smtp::{Commit, Now, Session, Step};

use crate::dns::{Lookup, Named};
use crate::limits::Place;
use crate::listener::Listener;
use crate::log;
use crate::metrics::Metrics;
use crate::proxy::{self, Proxied};
use crate::server::House;
use crate::stop::{Phase, Stop};
use crate::users::Judgment;
use crate::wire::Wire;
use crate::{ListenerTls, ReverseDns};

use buffer::Buffer;
use receiving::Receiving;
use socket::{Goodbye, Socket};

/// Serves one client until it has gone.
pub(crate) async fn serve(
    mut stream: Wire,
    peer: SocketAddr,
    listener: Arc<Listener>,
    house: Arc<House>,
    mut place: Place,
) {
    let _open = house.metrics.opened(&listener.name);
    let mut facts = facts(&stream, peer, &listener);
    if let Wire::Tcp(stream) = &mut stream
        && listener.is_proxy(peer.ip())
        && !speaks_for(stream, &mut facts, &listener, &house.metrics, &mut place).await
    {
        return;
    }
    let mut socket = Socket::new(stream);
    if let ListenerTls::Implicit(tls) = &listener.tls {
        match socket.start_tls(tls).await {
            Ok(secured) => facts.tls = Some(secured),
            Err(error) => {
                house.metrics.no_tls(&listener.name);
                return log::no_tls(&facts, &listener.name, &error);
            }
        }
    }
    let named = match listener.reverse_dns {
        ReverseDns::Off => None,
        _ => house.names.as_ref().map(|names| names.look_up(facts.remote.ip)),
    };
    let now = now();
    let mut session = Session::new(Arc::clone(&listener.session), facts, now);
    if listener.trusts(peer.ip()) {
        session.trust_peer();
    }
    let timer = pin!(sleep_until(session.deadline().into()));
    let stop = pin!(house.stop.changed());
    let client = Client {
        socket,
        session,
        listener: &listener,
        house: &house,
        receiving: Receiving::default(),
        lookup: named,
        named: None,
        timer,
        stop: StopWatch { changed: stop, registered: false, seen: Phase::Serving },
        transaction_began: now,
        now,
    };
    client.run().await;
    drop(place);
}

/// Hears from a proxy who its client is; false when there is nobody to serve.
async fn speaks_for(
    stream: &mut TcpStream,
    facts: &mut Connection,
    listener: &Listener,
    metrics: &Metrics,
    place: &mut Place,
) -> bool {
    let proxied = match proxy::read(stream).await {
        Ok(proxied) => proxied,
        Err(error) => {
            tracing::warn!(target: "wasmail::connection", listener = listener.name, peer = %facts.remote.ip, %error, "no proxy");
            return false;
        }
    };
    facts.proxy = Proxy { allowed: true, ip: Some(facts.remote.ip), kind: Some(ProxyKind::Haproxy) };
    if let Some(Proxied { source, destination }) = proxied {
        facts.remote = Remote::new(source.ip(), source.port());
        facts.local.ip = wasmail_mail::canonical(destination.ip());
        facts.local.port = destination.port();
    }
    let admitted = place.belongs_to(facts.remote.ip);
    admitted.map_err(|crowded| listener.turn_away(stream, facts.remote.ip, crowded, metrics)).is_ok()
}

fn facts(stream: &Wire, peer: SocketAddr, listener: &Listener) -> Connection {
    let local = listener.local_address(stream);
    Connection {
        uuid: uuid::Uuid::now_v7().to_string(),
        remote: Remote::new(peer.ip(), peer.port()),
        local: Local {
            ip: wasmail_mail::canonical(local.ip()),
            port: local.port(),
            host: listener.session.hostname.clone(),
            info: listener.session.software.clone(),
        },
        proxy: Proxy::default(),
        hello: None,
        tls: None,
        auth: None,
        relaying: listener.relaying,
        current_line: Vec::new(),
        last_response: String::new(),
        counters: Counters::default(),
        started: SystemTime::now(),
    }
}

fn now() -> Now {
    Now { monotonic: Instant::now().into_std(), wall: SystemTime::now() }
}

/// A client and everything that serves it.
struct Client<'p, 'h> {
    socket: Socket,
    session: Session,
    listener: &'h Listener,
    house: &'h House,
    receiving: Receiving,
    /// The client's name, when its lookup has begun and nobody has said yet whether it is wanted.
    lookup: Option<Lookup>,
    /// The client's name, while it is being looked up.
    named: Option<oneshot::Receiver<Named>>,
    timer: Pin<&'p mut Sleep>,
    stop: StopWatch<'p, 'h>,
    transaction_began: Now,
    /// Read once for everything that is done without waiting.
    now: Now,
}

/// Why a client's task goes on.
enum Event {
    Input,
    Gone,
    TimedOut,
    Stop(Phase),
}

impl Client<'_, '_> {
    async fn run(mut self) {
        let mut buffer = Buffer::default();
        loop {
            let mut input = buffer.unread();
            let step = self.session.step(&mut input, self.now);
            let left = input.len();
            buffer.keep(left);
            self.log_ended();
            match step {
                Step::Read => self.read(&mut buffer).await,
                Step::Ask(hook) => self.ask(hook).await,
                Step::Body => self.append().await,
                Step::Verifier(user) => self.look_up(&user),
                Step::Pause(time) => self.pause(time).await,
                Step::StartTls => self.start_tls().await,
                Step::Commit(commit) => self.commit(*commit).await,
                Step::Discard => self.receiving.discard(),
                Step::Close => break,
            }
        }
        self.close().await;
    }

    /// Waits for the client's name only where the listener wants it.
    async fn await_name(&mut self) {
        match self.lookup.take() {
            Some(Lookup::Known(named)) => self.take_name(named),
            Some(Lookup::Asked(answer)) if self.listener.reverse_dns == ReverseDns::Wait => {
                if let Ok(named) = answer.await {
                    self.take_name(named);
                }
                self.now = now();
            }
            Some(Lookup::Asked(answer)) => self.named = Some(answer),
            Some(Lookup::Busy) | None => {}
        }
    }

    fn take_name(&mut self, named: Named) {
        self.session.reverse_dns(named.iprev, named.host.as_deref().map(str::to_owned));
    }

    /// Shows the session a name that has arrived since.
    fn look_for_name(&mut self) {
        let Some(asked) = &mut self.named else { return };
        match asked.try_recv() {
            Ok(named) => {
                self.named = None;
                self.take_name(named);
            }
            Err(oneshot::error::TryRecvError::Empty) => {}
            Err(oneshot::error::TryRecvError::Closed) => self.named = None,
        }
    }

    /// Writes what is to be said, then waits for the client.
    async fn read(&mut self, buffer: &mut Buffer) {
        let event = match self.flush().await {
            Ok(()) => self.event(buffer).await,
            Err(event) => event,
        };
        self.now = now();
        self.look_for_name();
        match event {
            Event::Input => {}
            Event::Gone => self.session.peer_closed(self.now),
            Event::TimedOut => self.session.timed_out(self.now),
            Event::Stop(Phase::Closing) => self.session.cut_off(self.now),
            Event::Stop(_) => self.session.drain(self.now),
        }
    }

    async fn event(&mut self, buffer: &mut Buffer) -> Event {
        std::future::poll_fn(|task| self.poll_event(task, buffer)).await
    }

    fn poll_event(&mut self, task: &mut TaskContext<'_>, buffer: &mut Buffer) -> Poll<Event> {
        if let Poll::Ready(filled) = self.socket.poll_fill(task, buffer) {
            return Poll::Ready(if filled { Event::Input } else { Event::Gone });
        }
        self.poll_interruption(task)
    }

    /// The deadline, and the word that the server stops.
    fn poll_interruption(&mut self, task: &mut TaskContext<'_>) -> Poll<Event> {
        if let Some(phase) = self.stop.poll(&self.house.stop, task) {
            return Poll::Ready(Event::Stop(phase));
        }
        let deadline: Instant = self.session.deadline().into();
        // Deadlines move on with every command: the timer is left behind and set again when it fires.
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(task).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(Event::TimedOut);
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// Writes the output in one go.
    async fn flush(&mut self) -> Result<(), Event> {
        let output = self.session.take_output();
        if output.is_empty() || self.socket.send_now(output) {
            output.clear();
            return Ok(());
        }
        self.flush_slowly().await
    }

    /// The client doesn't read as fast as we write: waits for it, as long as the session is patient.
    async fn flush_slowly(&mut self) -> Result<(), Event> {
        let output = std::mem::take(self.session.take_output());
        let mut rest = &output[..];
        std::future::poll_fn(|task| {
            if let Poll::Ready(sent) = self.socket.poll_send(task, &mut rest) {
                return Poll::Ready(if sent { Ok(()) } else { Err(Event::Gone) });
            }
            match self.poll_interruption(task) {
                // What is being said is said to the end, unless time is up.
                Poll::Ready(Event::Stop(Phase::Draining)) | Poll::Pending => Poll::Pending,
                // A client that does not listen need not be told.
                Poll::Ready(_) => Poll::Ready(Err(Event::Gone)),
            }
        })
        .await
    }

    async fn ask(&mut self, hook: Hook) {
        if hook == Hook::Mail {
            self.transaction_began = self.now;
        }
        let decision = self.decide(hook).await;
        // A plugin that accepts here has named the client itself, or wants it to have no name.
        if hook == Hook::LookupRdns && decision.verdict == Verdict::Next {
            self.await_name().await;
        }
        if hook == Hook::Connect && self.socket.has_input() {
            self.session.early_talker();
        }
        self.session.answer(decision, self.now);
        self.log_ended();
    }

    async fn decide(&mut self, hook: Hook) -> Decision {
        if hook == Hook::Auth
            && let Some(decision) = self.judge_user().await
        {
            self.wait_before_reply(self.session.penalty(&decision)).await;
            self.now = now();
            return decision;
        }
        if !self.listener.policy.listens(hook, self.session.context()) {
            return Decision::next();
        }
        // A reply is not to wait for those who only want to know; least of all the one that says a message is ours.
        if hook.follows_reply() && self.flush().await.is_err() {
            self.session.take_output().clear();
        }
        let body = if hook.has_message() { self.receiving.body(self.house).await } else { None };
        let decision = self.listener.policy.ask(hook, self.session.context_mut(), body.as_ref()).await;
        let delay = std::mem::take(&mut self.session.context_mut().delay) + self.session.penalty(&decision);
        self.wait_before_reply(delay).await;
        self.now = now();
        decision
    }

    /// Whether a client has shown the password of one of the listener's own users. Who is none may be known to policy.
    async fn judge_user(&self) -> Option<Decision> {
        let users = self.listener.users.as_ref()?;
        let Subject::Credentials(credentials) = &self.session.context().subject else { return None };
        let Credentials { user, secret: Secret::Password(password), .. } = credentials else { return None };
        let verdict = match users.judge(user, password).await {
            Judgment::Right => Verdict::Accept(None),
            Judgment::Wrong => Verdict::Deny(None),
            Judgment::Unknown if self.listener.policy.listens(Hook::Auth, self.session.context()) => return None,
            Judgment::Unknown => Verdict::Next,
        };
        Some(Decision::host(verdict))
    }

    /// For who is not there, or has a hash only, another stands in: nobody learns who is there.
    fn look_up(&mut self, user: &str) {
        let verifier = self.listener.users.as_ref().map(|users| users.verifier(user));
        self.session.verifier(verifier, self.now);
    }

    async fn pause(&mut self, time: Duration) {
        self.wait_before_reply(time).await;
        self.now = now();
        self.session.paused(self.now);
    }

    /// What plugins asked for and guesses cost, ended early when the server closes.
    async fn wait_before_reply(&mut self, delay: Duration) {
        if delay.is_zero() {
            return;
        }
        // Replies to earlier commands of a group need not wait with this one.
        if self.flush().await.is_err() {
            self.session.take_output().clear();
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.house.stop.reached(Phase::Closing) => {}
        }
    }

    async fn append(&mut self) {
        if let Err(failure) = self.receiving.append(&self.house.spool, self.session.body()).await {
            self.session.body_failed(failure);
        }
    }

    /// The client has been told to begin. Nothing of what it sent before is left: the session sees to that.
    async fn start_tls(&mut self) {
        let secured = match (self.flush().await, self.listener.tls.tls()) {
            (Ok(()), Some(tls)) => self.socket.start_tls(tls).await,
            (Err(_), _) => Err(io::ErrorKind::BrokenPipe.into()),
            (_, None) => Err(io::ErrorKind::Unsupported.into()),
        };
        self.now = now();
        match secured {
            Ok(facts) => self.session.secured(facts, self.now),
            Err(error) => {
                self.house.metrics.no_tls(&self.listener.name);
                log::no_tls(&self.session.context().connection, &self.listener.name, &error);
                self.session.not_secured(self.now);
            }
        }
    }

    async fn commit(&mut self, mut commit: Commit) {
        let recipients = commit.envelope.recipients.len();
        let transaction = self.session.context().transaction.as_ref();
        commit.envelope.handling.notes = transaction.and_then(|transaction| self.house.hooks.keep(&transaction.notes));
        let handling = commit.envelope.handling.clone();
        let edited = transaction.and_then(|transaction| transaction.edited.clone());
        let outcome = self.receiving.commit(self.house, commit, edited).await;
        self.now = now();
        let outcome = match outcome {
            Ok(id) => {
                self.house.delivery.accepted(id, recipients, &handling, self.now.wall);
                Ok(id.to_string())
            }
            Err(failure) => Err(failure),
        };
        self.session.committed(outcome, self.now);
        self.log_ended();
    }

    fn log_ended(&mut self) {
        if let Some(ended) = self.session.take_ended() {
            let took = self.now.monotonic.saturating_duration_since(self.transaction_began.monotonic);
            self.house.metrics.message(&ended);
            log::message(&self.session.context().connection, &ended, took);
        }
    }

    async fn close(mut self) {
        let facts = &self.session.context().connection;
        // Who said QUIT is not sending; whoever was sent away may be, and would lose our last words.
        let goodbye = if facts.last_response.starts_with("221") { Goodbye::Quick } else { Goodbye::Patient };
        let goodbye = if facts.remote.closed { Goodbye::Quick } else { goodbye };
        self.house.metrics.connection(self.session.context(), &self.listener.name);
        log::connection(self.session.context(), &self.listener.name);
        if self.flush().await.is_ok() {
            self.socket.close(goodbye).await;
        }
    }
}

/// Hears of the server's stop without asking for it each time.
struct StopWatch<'p, 'h> {
    changed: Pin<&'p mut Notified<'h>>,
    registered: bool,
    seen: Phase,
}

impl<'h> StopWatch<'_, 'h> {
    /// The new phase, once.
    fn poll(&mut self, stop: &'h Stop, task: &mut TaskContext<'_>) -> Option<Phase> {
        // A task has one waker for its life, so one registration serves until it fires.
        if !self.registered {
            self.registered = true;
            if self.changed.as_mut().poll(task).is_ready() {
                self.again(stop, task);
            }
        }
        let phase = stop.phase();
        if phase <= self.seen {
            return None;
        }
        self.seen = phase;
        self.again(stop, task);
        Some(phase)
    }

    fn again(&mut self, stop: &'h Stop, task: &mut TaskContext<'_>) {
        self.changed.set(stop.changed());
        let _ = self.changed.as_mut().poll(task);
    }
}
