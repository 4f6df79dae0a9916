//! What the tests of the session share: a connection, a policy, and an executor for futures that never wait.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use wasmail_mail::{Connection, Counters, Domain, ForwardPath, Local, Proxy, Remote};
use wasmail_policy::{
    Answer, Binding, BoxFuture, Chain, Fault, FaultRule, Grant, Hook, HookSet, Outcome, Plugin, Question, Verdict,
};
use wasmail_smtp::{Chunking, Kind, Limits, LineEndings, Now, SessionConfig};

/// Runs a future whose plugins all answer at once.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a plugin of this test waits"),
    }
}

/// A plugin made of a function.
pub(crate) struct Native<F>(pub(crate) &'static [Hook], pub(crate) F);

impl<F: Fn(&Question<'_>) -> Outcome + Send + Sync> Plugin for Native<F> {
    fn hooks(&self) -> HookSet {
        self.0.iter().copied().collect()
    }

    fn ask<'a>(&'a self, question: &'a Question<'a>) -> BoxFuture<'a, Answer> {
        let outcome = Ok((self.1)(question));
        Box::pin(async { Answer { outcome, elapsed: Duration::ZERO } })
    }
}

/// A plugin that fails at every hook it is asked.
pub(crate) struct Broken(pub(crate) Hook);

impl Plugin for Broken {
    fn hooks(&self) -> HookSet {
        [self.0].into_iter().collect()
    }

    fn ask<'a>(&'a self, _: &'a Question<'a>) -> BoxFuture<'a, Answer> {
        Box::pin(async { Answer { outcome: Err(Fault::CpuDeadline), elapsed: Duration::ZERO } })
    }
}

/// Binds a plugin with all grants.
pub(crate) fn bind(name: &str, plugin: impl Plugin + 'static) -> Binding {
    let grants = Grant::ALL.into_iter().collect();
    Binding { name: name.into(), plugin: Arc::new(plugin), grants, on_fault: FaultRule::Defer }
}

/// What `local-domains` does with the domain `example.test`.
pub(crate) fn local_domains() -> Binding {
    let local = Domain::parse("example.test").unwrap();
    let judge = move |question: &Question<'_>| {
        let candidate = question.context.transaction.as_ref().and_then(|transaction| transaction.candidate.as_ref());
        let ours = match candidate.map(|candidate| &candidate.path) {
            Some(ForwardPath::Postmaster) => true,
            Some(ForwardPath::Mailbox(mailbox)) => *mailbox.domain() == local,
            None => false,
        };
        let verdict = if ours { Verdict::Accept(None) } else { Verdict::Next };
        Outcome { verdict, mutations: Vec::new() }
    };
    bind("local-domains", Native(&[Hook::Rcpt], judge))
}

/// The policy of all dialogues.
pub(crate) fn chain() -> Arc<Chain> {
    Arc::new(Chain::new(vec![local_domains()]))
}

/// A client on a documentation net.
pub(crate) fn connection() -> Connection {
    Connection {
        uuid: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
        remote: Remote::new([192, 0, 2, 1].into(), 40_000),
        local: Local { ip: [192, 0, 2, 25].into(), port: 25, host: "mx.example.test".into(), info: "wasmail".into() },
        proxy: Proxy::default(),
        hello: None,
        tls: None,
        auth: None,
        relaying: false,
        current_line: Vec::new(),
        last_response: String::new(),
        counters: Counters::default(),
        started: SystemTime::UNIX_EPOCH,
    }
}

/// A strict listener with default limits.
pub(crate) fn config() -> SessionConfig {
    SessionConfig {
        srs: None,
        hostname: "mx.example.test".into(),
        software: "wasmail".into(),
        limits: Limits::default(),
        starttls: false,
        auth: None,
        line_endings: LineEndings::Strict,
        kind: Kind::Smtp,
        chunking: Chunking::Off,
    }
}

/// A moment.
pub(crate) fn now() -> Now {
    Now { monotonic: Instant::now(), wall: SystemTime::UNIX_EPOCH }
}
