//! A plugin among sample connections, in memory, before any mail meets it.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use wasmail_mail::{Connection, Counters, Local, Proxy, Remote};
use wasmail_policy::{Binding, Chain, FaultRule, Grants, Plugin, Step};
use wasmail_smtp::{Chunking, Kind, Limits, LineEndings, Now, Rehearsal, SessionConfig};

/// What clients say: a plain message, a notification of several parts, one that is given up. None of it is anybody's.
const SAMPLES: [&[&str]; 3] = [
    &[
        "EHLO client.example",
        "MAIL FROM:<sender@client.example> SIZE=200",
        "RCPT TO:<somebody@trial.invalid>",
        "DATA",
        "From: Sender <sender@client.example>\r\nTo: <somebody@trial.invalid>\r\nSubject: a sample\r\n\
         Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@client.example>\r\n\r\nHello.\r\n.",
        "QUIT",
    ],
    &[
        "EHLO relay.example",
        "MAIL FROM:<> BODY=8BITMIME",
        "RCPT TO:<one@trial.invalid>",
        "RCPT TO:<two@trial.invalid>",
        "DATA",
        "From: <postmaster@relay.example>\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
         caf\u{e9}\r\n--b\r\nContent-Type: application/pdf; name=\"x.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n\
         JVBERi0xLjQK\r\n--b--\r\n.",
        "QUIT",
    ],
    &["HELO client.example", "MAIL FROM:<a@b.example>", "RCPT TO:<somebody@trial.invalid>", "RSET", "NOOP", "QUIT"],
];

/// Asks a plugin at every hook of the samples.
///
/// # Errors
/// Where it failed, and how.
pub(super) async fn trial(plugin: Arc<dyn Plugin>, grants: Grants) -> Result<(), String> {
    for sample in SAMPLES {
        // Its words don't matter, only that it has some; nothing is to be overturned by a fault rule.
        let binding = Binding { name: "trial".into(), plugin: Arc::clone(&plugin), grants, on_fault: FaultRule::Skip };
        let chain = Chain::new(vec![binding]).of_tenant("trial".into(), |_| true);
        let now = Now { monotonic: Instant::now(), wall: SystemTime::now() };
        let mut rehearsal = Rehearsal::new(session(), Arc::new(chain), client(), now);
        rehearsal.greeting().await;
        for line in sample {
            rehearsal.send(format!("{line}\r\n").as_bytes()).await;
        }
        let ended = rehearsal.ended().iter().flat_map(|ended| ended.transaction.trail.steps());
        let mut steps = rehearsal.context().trail.steps().iter().chain(ended);
        if let Some(Step { hook, verdict, .. }) = steps.find(|step| step.fault) {
            return Err(format!("it failed at `{hook}` of a sample connection: {verdict}"));
        }
    }
    Ok(())
}

fn session() -> SessionConfig {
    SessionConfig {
        hostname: "trial.invalid".to_owned(),
        software: crate::wiring::SOFTWARE.to_owned(),
        kind: Kind::Smtp,
        limits: Limits::default(),
        line_endings: LineEndings::Strict,
        chunking: Chunking::Off,
        starttls: false,
        auth: None,
        srs: None,
    }
}

/// One from a documentation net, which may send to anywhere, so that every hook is reached.
fn client() -> Connection {
    Connection {
        uuid: uuid::Uuid::now_v7().to_string(),
        remote: Remote::new([192, 0, 2, 1].into(), 40_000),
        local: Local { ip: [192, 0, 2, 25].into(), port: 25, host: "trial.invalid".into(), info: "wasmail".into() },
        proxy: Proxy::default(),
        hello: None,
        tls: None,
        auth: None,
        relaying: true,
        current_line: Vec::new(),
        last_response: String::new(),
        counters: Counters::default(),
        started: SystemTime::now(),
    }
}
