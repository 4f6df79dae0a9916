//! What the examples that measure have in common.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tokio::runtime::Runtime;
use wasmail_mail::{
    Connection, Counters, ForwardPath, HeaderSection, Hello, HelloVerb, Local, Proxy, Recipient, Remote, ReversePath,
    Transaction,
};
use wasmail_policy::{Body, BoxFuture, Context, Grants, Hook, Notes, Plugin, Question, TransactionContext};
use wasmail_wasm::Bound;

/// CPU time of one row in one round.
const SLICE: Duration = Duration::from_millis(2);

/// Microseconds of one call, averaged over a slice of CPU time.
pub(crate) fn measure(runtime: &Runtime, plugin: &Bound, hook: Hook, context: &Context) -> f64 {
    let body: Option<Arc<dyn Body>> = (hook == Hook::Queue).then(|| Arc::new(Octets::default()) as _);
    let question =
        Question { hook, context, body: body.as_ref(), body_as_it_came: body.as_ref(), grants: Grants::default() };
    let begin = cpu();
    let mut calls = 0_u32;
    runtime.block_on(async {
        while cpu() - begin < SLICE {
            for _ in 0..5 {
                plugin.ask(&question).await.outcome.expect("the plugin answers");
            }
            calls += 5;
        }
    });
    (cpu() - begin).as_secs_f64() * 1e6 / f64::from(calls)
}

pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// A body in memory, of 1 MiB.
struct Octets(Vec<u8>);

impl Default for Octets {
    fn default() -> Self {
        Self(b"A line of text as it stands in letters, of the usual length, and so on.\r\n".repeat(14_365))
    }
}

impl Body for Octets {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, std::io::Result<Vec<u8>>> {
        let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let end = begin.saturating_add(len).min(self.0.len());
        Box::pin(async move { Ok(self.0[begin..end].to_vec()) })
    }
}

/// An ordinary client in the middle of an ordinary transaction.
pub(crate) fn context(notes: usize) -> Context {
    let hello = Hello { verb: HelloVerb::Ehlo, host: "client.example.org".into() };
    let mut context = Context::new(Connection {
        uuid: "0192d4c5-0000-7000-8000-000000000000".into(),
        remote: Remote { host: Some("client.example.org".into()), ..Remote::new([203, 0, 113, 9].into(), 40_000) },
        local: Local {
            ip: [192, 0, 2, 25].into(),
            port: 25,
            host: "mx.example.test".into(),
            info: "wasmail/0.1.0".into(),
        },
        proxy: Proxy::default(),
        hello: Some(hello),
        tls: None,
        auth: None,
        relaying: false,
        current_line: b"RCPT TO:<two@example.test>".to_vec(),
        last_response: "250 2.1.0 sender ok\r\n".into(),
        counters: Counters { esmtp: true, ..Counters::default() },
        started: SystemTime::now(),
    });
    let mut kept = Notes::default();
    for number in 0..notes {
        kept.set(&format!("/note-{number}"), json!(format!("value {number}"))).expect("it fits");
    }
    context.notes = Arc::new(kept);
    context.transaction = Some(transaction());
    context
}

fn transaction() -> TransactionContext {
    let recipient = |path| Recipient { path: ForwardPath::parse(path).expect("a path"), parameters: Vec::new() };
    let reverse_path = ReversePath::parse("<sender@example.org>").expect("a path");
    let mut facts = Transaction::new("0192d4c5-0000-7000-8000-000000000000.1".into(), reverse_path, false);
    facts.recipients.push(recipient("<one@example.test>"));
    let mut header = HeaderSection::default();
    for line in [
        "MIME-Version: 1.0\r\n",
        "X-Mailer: example 1.0\r\n",
        "Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n",
        "From: Sender <sender@example.org>\r\n",
        "To: <one@example.test>\r\n",
        "Subject: hello\r\n",
        "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n",
        "Message-ID: <1@example.org>\r\n",
    ] {
        header.push_line(line.as_bytes());
    }
    facts.header = Arc::new(header);
    facts.header_complete = true;
    let mut transaction = TransactionContext::new(facts);
    transaction.candidate = Some(recipient("<two@example.test>"));
    transaction
}
