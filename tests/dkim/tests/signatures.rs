//! What plugins do to a message, judged by a DKIM verifier (RFC 6376): signatures over octets that nobody edited still
//! verify, and those over a text with a banner don't.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::common::crypto::Ed25519Key;
use mail_auth::common::headers::HeaderWriter;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::dkim::{Canonicalization, DkimSigner};
use mail_auth::{
    AuthenticatedMessage, DkimResult, MX, MessageAuthenticator, Parameters, RecordSet, ResolverCache, Txt,
};
use wasmail_mail::{Connection, Counters, Local, Proxy, Remote};
use wasmail_mime::edit::{Banner, Replacement};
use wasmail_policy::{
    Answer, Binding, BoxFuture, Chain, FaultRule, Grant, Hook, HookSet, Mutation, Outcome, Plugin, Question, Verdict,
};
use wasmail_smtp::{Chunking, Kind, Limits, LineEndings, Now, Rehearsal, SessionConfig};

/// The pair of keys of RFC 8463 section A.2.
const SEED: &[u8] = b"\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
const PUBLIC: &[u8] = b"\xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a\x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68\xf7\x07\x51\x1a";
const RECORD: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// Odd on purpose: folds, case, white space at the ends of lines, 8-bit octets.
const MESSAGE: &str = "From:  Joe\t<joe@signer.example>\r\nTO: b@example.test\r\nSubject: folded\r\n\there  \r\nX-Odd:   kept \r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"b\"\r\n\r\npreamble \r\n--b\r\n\r\nhello  \t\r\n\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\n\u{fc}\r\n--b--\r\n\r\nepilogue\r\n";

struct Does(Vec<Mutation>);

impl Plugin for Does {
    fn hooks(&self) -> HookSet {
        [Hook::Rcpt, Hook::DataPost].into_iter().collect()
    }

    fn ask<'a>(&'a self, question: &'a Question<'a>) -> BoxFuture<'a, Answer> {
        let outcome = match question.hook {
            Hook::Rcpt => Outcome { verdict: Verdict::Accept(None), mutations: Vec::new() },
            _ => Outcome { verdict: Verdict::Next, mutations: self.0.clone() },
        };
        Box::pin(async { Answer { outcome: Ok(outcome), elapsed: Duration::ZERO } })
    }
}

fn signed(canonical: Canonicalization) -> String {
    let key = Ed25519Key::from_seed_and_public_key(SEED, PUBLIC).expect("the keys of the RFC are keys");
    let signer = DkimSigner::from_key(key).domain("signer.example").selector("s").headers([
        "From",
        "To",
        "Subject",
        "Content-Type",
    ]);
    let signer = signer.header_canonicalization(canonical).body_canonicalization(canonical);
    let signature = signer.sign(MESSAGE.as_bytes()).expect("it can be signed");
    format!("{}{MESSAGE}", signature.to_header())
}

/// Sends the message through a server with this plugin; returns what it would pass on.
fn through(message: &str, mutations: Vec<Mutation>) -> Vec<u8> {
    let binding = Binding {
        name: "does".into(),
        plugin: Arc::new(Does(mutations)),
        grants: Grant::ALL.into_iter().collect(),
        on_fault: FaultRule::Defer,
    };
    let config = SessionConfig {
        srs: None,
        starttls: false,
        auth: None,
        limits: Limits::default(),
        line_endings: LineEndings::Strict,
        kind: Kind::Smtp,
        chunking: Chunking::Off,
        hostname: "mx.example.test".into(),
        software: "wasmail".into(),
    };
    let now = Now { monotonic: Instant::now(), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) };
    let mut rehearsal = Rehearsal::new(config, Arc::new(Chain::new(vec![binding])), connection(), now);
    block_on(rehearsal.greeting());
    let envelope = "EHLO c.example\r\nMAIL FROM:<a@c.example> BODY=8BITMIME\r\nRCPT TO:<b@example.test>\r\nDATA\r\n";
    block_on(rehearsal.send(envelope.as_bytes()));
    let reply = block_on(rehearsal.send(format!("{message}.\r\n").as_bytes()));
    let message = rehearsal.messages().first();
    let message = message.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&reply)));
    [&message.header[..], &message.body].concat()
}

fn connection() -> Connection {
    let ip = [192, 0, 2, 1].into();
    Connection {
        uuid: "u".into(),
        remote: Remote::new(ip, 1),
        local: Local { ip, port: 25, host: "mx.example.test".into(), info: "wasmail".into() },
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

fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing waits here"),
    }
}

/// The DNS of this test: one record.
struct Zone(HashMap<Box<str>, Txt>);

macro_rules! cache {
    ($key:ty, $value:ty, |$zone:ident, $name:ident| $get:expr) => {
        impl ResolverCache<$key, $value> for Zone {
            fn get<Q>(&self, $name: &Q) -> Option<$value>
            where
                $key: Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                let $zone = self;
                $get
            }

            fn remove<Q>(&self, _: &Q) -> Option<$value>
            where
                $key: Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                None
            }

            fn insert(&self, _: $key, _: $value, _: Instant) {}
        }
    };
}

cache!(Box<str>, Txt, |zone, name| zone.0.get(name).cloned());
cache!(Box<str>, RecordSet<MX>, |_zone, _name| None);
cache!(Box<str>, RecordSet<Ipv4Addr>, |_zone, _name| None);
cache!(Box<str>, RecordSet<Ipv6Addr>, |_zone, _name| None);
cache!(IpAddr, RecordSet<Box<str>>, |_zone, _name| None);

/// What the verifier says of the message's one signature.
async fn verdict(message: &[u8]) -> DkimResult {
    let key = DomainKey::parse(RECORD.as_bytes()).expect("the record is one");
    let zone = Zone([("s._domainkey.signer.example.".into(), Txt::DomainKey(Arc::new(key)))].into());
    let resolver =
        MessageAuthenticator::new(ResolverConfig::default(), ResolverOpts::default()).expect("it needs no network");
    let message = AuthenticatedMessage::parse(message).expect("it is a message");
    let parameters = Parameters {
        params: &message,
        cache_txt: Some(&zone),
        cache_mx: Some(&zone),
        cache_ptr: Some(&zone),
        cache_ipv4: Some(&zone),
        cache_ipv6: Some(&zone),
    };
    let outputs = resolver.verify_dkim(parameters).await;
    assert_eq!(outputs.len(), 1);
    outputs[0].result().clone()
}

fn field(name: &str) -> Mutation {
    Mutation::AddHeader { name: name.into(), value: "new".into() }
}

#[tokio::test]
async fn octets_that_nobody_edits_keep_their_signature() {
    for canonical in [Canonicalization::Simple, Canonicalization::Relaxed] {
        let message = signed(canonical);
        assert_eq!(verdict(message.as_bytes()).await, DkimResult::Pass, "before it is sent");
        let edits: [Vec<Mutation>; 5] = [
            vec![],
            vec![field("X-New"), Mutation::PrependHeader { name: "X-Top".into(), value: "new".into() }],
            // X-Odd, which is not signed; the signature itself stands on top.
            vec![Mutation::ReplaceHeader { position: 4, name: "X-Odd".into(), value: "other".into() }],
            vec![Mutation::RemoveHeader { position: 4 }],
            // There is no HTML to put it into, so nothing happens.
            vec![Mutation::AddBanner(Banner { text: None, html: Some("<p>x</p>".into()) })],
        ];
        for edit in edits {
            let shown = format!("{canonical:?} {edit:?}");
            assert_eq!(verdict(&through(&message, edit)).await, DkimResult::Pass, "{shown}");
        }
    }
}

#[tokio::test]
async fn edited_octets_lose_it() {
    let message = signed(Canonicalization::Relaxed);
    let text = Replacement { media_type: "text/plain".into(), name: None, content: b"gone".to_vec() };
    let edits: [Vec<Mutation>; 5] = [
        vec![Mutation::AddBanner(Banner { text: Some("external".into()), html: None })],
        vec![Mutation::ReplacePart { part: 2, replacement: text }],
        vec![Mutation::RemovePart { part: 2 }],
        vec![Mutation::ReplaceHeader { position: 3, name: "Subject".into(), value: "other".into() }],
        vec![Mutation::RemoveHeader { position: 2 }],
    ];
    for edit in edits {
        let shown = format!("{edit:?}");
        let result = verdict(&through(&message, edit)).await;
        assert!(matches!(result, DkimResult::Fail(_) | DkimResult::Neutral(_)), "{shown}: {result:?}");
    }
}
