//! Stories with a real name server on loopback, and with none.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use data_encoding::BASE64;
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::*;
use crate::dns::tests::{Nsd, config as resolver_config};
use crate::dns::{Answer as DnsAnswer, Outcome, Query, RecordType, Resolver, ResourceRecord};

const BODY: &str = "hello\r\n";
const FROM: &str = "From: joe@example.test\r\n";

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn key() -> String {
    format!("v=DKIM1; k=ed25519; p={}", BASE64.encode(pair().public_key().as_ref()))
}

/// The header section of a message with this body, signed in the simple form.
fn signed(body: &[u8]) -> Arc<HeaderSection> {
    let hash = BASE64.encode(digest(&SHA256, body).as_ref());
    let field = format!("DKIM-Signature: v=1; a=ed25519-sha256; d=example.test; s=x; h=from; bh={hash}; b=");
    let signature = pair().sign(digest(&SHA256, format!("{FROM}{field}").as_bytes()).as_ref());
    let mut header = HeaderSection::default();
    assert!(header.push_line(format!("{field}{}\r\n", BASE64.encode(signature.as_ref())).as_bytes()));
    assert!(header.push_line(FROM.as_bytes()));
    Arc::new(header)
}

/// A body of lines that are all the same, which tells how it was read.
#[derive(Default)]
struct Lines {
    len: u64,
    reads: AtomicUsize,
    longest: AtomicU64,
}

impl Body for Lines {
    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.longest.fetch_max(len as u64, Ordering::Relaxed);
        let end = self.len.min(offset + len as u64);
        let octets = (offset..end).map(|at| BODY.as_bytes()[(at % BODY.len() as u64) as usize]).collect();
        Box::pin(async { Ok(octets) })
    }
}

fn case(header: Arc<HeaderSection>, body: Arc<dyn Body>) -> Case {
    Case {
        transaction: "u.1".into(),
        ip: [192, 0, 2, 1].into(),
        helo: "mail.example.test".into(),
        mailbox: Some(("bounce".into(), "example.test".into())),
        message: Some((header, body)),
        findings: Findings::default(),
    }
}

fn short() -> Arc<Lines> {
    Arc::new(Lines { len: BODY.len() as u64, ..Lines::default() })
}

fn judge(resolver: Arc<Resolver>) -> Judge {
    Judge::new(
        resolver,
        Config { hostname: "mx.example.test".into(), timeout: Duration::from_secs(10), concurrency: 2 },
    )
}

fn list(texts: &[(&str, &str)]) -> Arc<Resolver> {
    Resolver::of_list(texts.iter().map(|(name, text)| {
        let records = vec![ResourceRecord { data: dns::Data::Txt(text.as_bytes().to_vec()), ttl: 60 }];
        let query = Query { name: (*name).to_owned(), record_type: RecordType::Txt };
        (query, Ok(DnsAnswer { outcome: Outcome::Found, records, validated: false }))
    }))
}

#[tokio::test]
async fn a_zone_says_who_may_send_and_by_which_key() {
    let zone = format!(
        "$ORIGIN example.test.\n@ 300 IN SOA ns root 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n\
         @ IN TXT \"v=spf1 mx \" \"-all\"\n@ IN MX 10 out\nout IN A 192.0.2.1\nmail IN TXT \"v=spf1 exp=why.example.test -all\"\n\
         why IN TXT \"%{{i}} may not\"\nx._domainkey IN TXT \"{}\"\n_dmarc IN TXT \"v=DMARC1\\; p=reject\"\n",
        key().replace(';', "\\;")
    );
    let nsd = Nsd::with(&zone).await;
    let judge = judge(Resolver::new(&resolver_config(nsd.address)).unwrap());
    let case = case(signed(BODY.as_bytes()), short());
    let spf = judge.spf(&case).await;
    assert_eq!((spf.mail_from.result, spf.mail_from.sender.as_str()), (SpfResult::Pass, "bounce@example.test"));
    assert_eq!((spf.helo.result, spf.helo.explanation.as_deref()), (SpfResult::Fail, Some("192.0.2.1 may not")));
    let dkim = judge.dkim(&case).await.unwrap();
    assert_eq!((dkim[0].verdict, dkim[0].domain.as_deref()), (Verdict::Pass, Some("example.test")), "{dkim:?}");
    let dmarc = judge.dmarc(&case).await.unwrap();
    assert_eq!((dmarc.verdict, dmarc.spf_aligned, dmarc.dkim_aligned), (Verdict::Pass, true, true));
    assert_eq!(judge.arc(&case).await.unwrap().verdict, Verdict::None);
    let told = case.findings.told(case.ip);
    let told: Vec<_> = told.iter().map(|told| (told.method, told.result)).collect();
    assert_eq!(told, [("spf", "pass"), ("spf", "fail"), ("dkim", "pass"), ("dmarc", "pass"), ("arc", "none")]);
}

#[tokio::test]
async fn however_many_ask_a_message_is_judged_once() {
    let judge = judge(list(&[("x._domainkey.example.test", &key())]));
    let body = short();
    let case = case(signed(BODY.as_bytes()), Arc::clone(&body) as Arc<dyn Body>);
    assert_eq!(case.findings.told(case.ip), [], "nobody has asked");
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (judge, case) = (judge.clone(), case.clone());
        asking.spawn(async move { (judge.dmarc(&case).await.cloned(), judge.dkim(&case).await.map(<[_]>::to_vec)) });
    }
    while let Some(asked) = asking.join_next().await {
        let (dmarc, dkim) = asked.unwrap();
        assert_eq!((dmarc.unwrap().verdict, dkim.unwrap()[0].verdict), (Verdict::None, Verdict::Pass));
    }
    // The body, and its end.
    assert_eq!(body.reads.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_large_body_is_hashed_a_piece_at_a_time_and_others_have_their_turn() {
    let lines = 2_000_000;
    let body = Arc::new(Lines { len: lines * BODY.len() as u64, ..Lines::default() });
    let judge = judge(list(&[("x._domainkey.example.test", &key())]));
    let case = case(signed(BODY.repeat(lines as usize).as_bytes()), Arc::clone(&body) as Arc<dyn Body>);
    let turns = AtomicUsize::new(0);
    let others = async {
        loop {
            turns.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    };
    let dkim = tokio::select! {
        dkim = judge.dkim(&case) => dkim.unwrap(),
        () = others => unreachable!("it never ends"),
    };
    assert_eq!(dkim[0].verdict, Verdict::Pass);
    let reads = body.reads.load(Ordering::Relaxed);
    assert!(body.longest.load(Ordering::Relaxed) <= 128 * 1024 && reads > 100, "{reads}");
    assert!(turns.load(Ordering::Relaxed) >= reads / 2, "{turns:?} turns for {reads} pieces");
}

#[tokio::test]
async fn a_dead_dns_is_waited_for_once_for_all_methods() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let resolver = Resolver::new(&resolver_config(silent.local_addr().unwrap())).unwrap();
    let timeout = Duration::from_millis(300);
    let judge = Judge::new(resolver, Config { hostname: "mx.example.test".into(), timeout, concurrency: 1 });
    let case = case(signed(BODY.as_bytes()), short());
    let began = Instant::now();
    let dmarc = judge.dmarc(&case).await.unwrap();
    assert_eq!((dmarc.verdict, dmarc.problem), (Verdict::TempError, Some("the DNS does not answer")));
    assert_eq!(judge.spf(&case).await.mail_from.result, SpfResult::TempError);
    assert_eq!(judge.dkim(&case).await.unwrap()[0].verdict, Verdict::TempError);
    // Ten questions one after the other would take ten times as long.
    let took = began.elapsed();
    assert!(took >= timeout && took < 5 * timeout, "{took:?}");
}

#[tokio::test]
async fn without_a_message_there_is_spf_alone() {
    let judge = judge(list(&[("mail.example.test", "v=spf1 ip4:192.0.2.0/24 -all")]));
    let case = Case { mailbox: None, message: None, ..case(Arc::default(), short()) };
    let spf = judge.spf(&case).await;
    assert_eq!(
        (spf.mail_from.result, spf.mail_from.sender.as_str()),
        (SpfResult::Pass, "postmaster@mail.example.test")
    );
    let invalid = Failure::Invalid("there is no message here".into());
    assert_eq!(judge.dkim(&case).await, Err(invalid.clone()));
    assert_eq!(judge.dmarc(&case).await, Err(invalid.clone()));
    assert_eq!(judge.arc(&case).await, Err(invalid));
}
