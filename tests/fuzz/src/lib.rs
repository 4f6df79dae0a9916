//! What the targets share.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use wasmail_mail::{Connection, Counters, Local, Proxy, Remote};
use wasmail_policy::{
    Answer, Binding, BoxFuture, Chain, Credentials, FaultRule, Grant, Hook, HookSet, Outcome, Plugin, Question, Verdict,
};
use wasmail_smtp::{AuthConfig, Chunking, Limits, LineEndings, Now, Rehearsal, SessionConfig};

/// Accepts every recipient, vouches for one user, and knows commands that begin with an X as what follows that.
struct Open;

impl Plugin for Open {
    fn hooks(&self) -> HookSet {
        [Hook::Rcpt, Hook::Auth, Hook::UnrecognizedCommand, Hook::Part].into_iter().collect()
    }

    fn ask<'a>(&'a self, question: &'a Question<'a>) -> BoxFuture<'a, Answer> {
        let verdict = match (question.hook, question.credentials()) {
            (Hook::Rcpt, _) => Verdict::Accept(None),
            (Hook::Auth, Some((_, Some(Credentials { user, .. })))) if user == "tim" => Verdict::Accept(None),
            (Hook::UnrecognizedCommand, _) => read_as(&question.context.connection.current_line),
            _ => Verdict::Next,
        };
        let outcome = Outcome { verdict, mutations: Vec::new() };
        Box::pin(async { Answer { outcome: Ok(outcome), elapsed: Duration::ZERO } })
    }
}

fn read_as(line: &[u8]) -> Verdict {
    let rest = line.strip_prefix(b"X").and_then(|rest| std::str::from_utf8(rest).ok());
    rest.map_or(Verdict::Next, |rest| Verdict::ReadAs(rest.to_owned()))
}

/// A client that has just connected to a listener with small limits, so that they are met often.
pub fn rehearsal(line_endings: LineEndings) -> Rehearsal {
    let limits = Limits {
        command_line: 128,
        text_line: 200,
        message_size: 2_000,
        header_size: 400,
        header_fields: 8,
        received_hops: 2,
        drain: 1_000,
        ..Limits::default()
    };
    let config = SessionConfig {
        srs: None,
        hostname: "mx".into(),
        software: "wasmail".into(),
        limits,
        line_endings,
        kind: wasmail_smtp::Kind::Smtp,
        chunking: Chunking::Binary,
        starttls: false,
        auth: Some(AuthConfig { without_tls: true, ..AuthConfig::default() }),
    };
    let grants = Grant::ALL.into_iter().collect();
    let open = Binding { name: "open".into(), plugin: Arc::new(Open), grants, on_fault: FaultRule::Defer };
    let now = Now { monotonic: Instant::now(), wall: SystemTime::UNIX_EPOCH };
    Rehearsal::new(config, Arc::new(Chain::new(vec![open])), connection(), now)
}

fn connection() -> Connection {
    let ip = [192, 0, 2, 1].into();
    Connection {
        uuid: "u".into(),
        remote: Remote::new(ip, 1),
        local: Local { ip, port: 25, host: "mx".into(), info: "wasmail".into() },
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

/// Runs a future whose plugins all answer at once.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}
