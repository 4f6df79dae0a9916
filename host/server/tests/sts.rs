//! Stories of domains that want their mail under TLS with a good certificate, or not at all (RFC 8461), with a real name server
//! and an HTTPS server on loopback.

#[path = "support/authority.rs"]
mod authority;
#[path = "support/nsd.rs"]
mod nsd;
#[path = "support/peer.rs"]
mod peer;
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use authority::Authority;
use nsd::{Nsd, mx};
use peer::{Peer, Script};
use support::{Home, Wanted, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use wasmail_server::{Destination, StsConfig};
use wasmail_spool::{Inspection, RecipientState};

const ZONE: &str = "
one A 127.0.0.2
a MX 10 one
_mta-sts.a TXT \"v=STSv1; id=1;\"
mta-sts.a A 127.0.0.5
plain MX 10 one
";
const OFFERS_TLS: &str = "250-peer.example\r\n250-STARTTLS\r\n250 SIZE\r\n";
const ENFORCE: &str = "version: STSv1\nmode: enforce\nmx: one.example.test\nmax_age: 86400\n";

/// The server of a policy.
struct PolicyHost {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl PolicyHost {
    async fn start(authority: &Authority, policy: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.5:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let tls = TlsAcceptor::from(authority.server("mta-sts.a.example.test"));
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{policy}", policy.len());
        let count = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = tls.accept(stream).await else { continue };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                assert!(head.starts_with(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\n"));
                count.fetch_add(1, Ordering::Relaxed);
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        Self { address, asked, task }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Starts a server and gives it a message for this domain.
async fn send(
    home: &Home,
    nsd: &Nsd,
    policies: &PolicyHost,
    authority: &Authority,
    peer: &Peer,
    to: &str,
) -> support::Running {
    let mut config = mx(home, nsd, peer.address.port());
    let ca = Some(authority.pem().join("ca.pem"));
    config.client.ca = ca.clone();
    config.tls_reports = Some(home.path().join("tls-reports"));
    config.sts = Some(StsConfig { port: policies.address.port(), ca, dir: Some(home.path().join("mta-sts")) });
    let server = home.start(Wanted { destination: Some(Destination::Mx(Box::new(config))), ..Wanted::default() });
    let mut client = server.connect().await;
    client.hello().await;
    client.send(&[to], "A: b\r\n\r\nhi\r\n", "250").await;
    client.ask("QUIT", "221").await;
    server
}

/// Why the only recipient was deferred, once they are.
async fn deferral(home: &Home) -> String {
    let found = || {
        let messages = Inspection::open(&home.spool()).unwrap().messages();
        messages.first().and_then(|message| match &message.recipients[..] {
            [RecipientState::Deferred(deferral)] => Some(deferral.reply.clone()),
            _ => None,
        })
    };
    until(|| found().is_some()).await;
    found().unwrap()
}

#[tokio::test]
async fn mail_goes_under_tls_with_a_good_certificate_and_the_policy_is_fetched_once() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd, authority) = (Home::new(), Nsd::start(ZONE).await, Authority::new());
    let policies = PolicyHost::start(&authority, ENFORCE).await;
    let tls = Some(authority.server("one.example.test"));
    let peer = Peer::start_on("127.0.0.2", 0, [Script { ehlo: OFFERS_TLS, tls, ..Script::default() }]).await;
    for sent in 1..=2 {
        // The second time by a server that knows the policy from its file alone.
        let server = send(&home, &nsd, &policies, &authority, &peer, "b@a.example.test").await;
        until(|| peer.messages() == sent).await;
        assert_eq!((peer.count(), policies.asked()), ((sent, sent, sent), 1));
        server.stop().await;
    }
}

#[tokio::test]
async fn mail_waits_for_a_server_that_is_not_good_enough() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (nsd, authority) = (Nsd::start(ZONE).await, Authority::new());
    let policies = PolicyHost::start(&authority, ENFORCE).await;
    let other = PolicyHost::start(&authority, &ENFORCE.replace("one.example.test", "*.elsewhere.test")).await;
    let bad = Some(authority.server("somebody.else.test"));
    for (policies, script, why, (result, counted)) in [
        (&policies, Script::default(), ": 4.7.4 TLS is required", ("\"starttls-not-supported\"", 1)),
        (
            &policies,
            Script { ehlo: OFFERS_TLS, tls: bad, ..Script::default() },
            ": 4.7.5 the server's certificate",
            ("\"certificate-host-mismatch\"", 1),
        ),
        (
            &other,
            Script::default(),
            "a.example.test: 4.7.5 the domain's MTA-STS policy permits none of its servers",
            ("", 0),
        ),
    ] {
        let (home, peer) = (Home::new(), Peer::start_on("127.0.0.2", 0, [script]).await);
        let server = send(&home, &nsd, policies, &authority, &peer, "b@a.example.test").await;
        let deferral = deferral(&home).await;
        assert!(deferral.contains(why), "{deferral}");
        assert_eq!(peer.messages(), 0);
        server.stop().await;
        let reports = std::fs::read_dir(home.path().join("tls-reports")).into_iter().flatten();
        let reports: Vec<_> = reports.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        assert_eq!(
            reports.iter().map(|report| report.contains(result)).collect::<Vec<_>>(),
            vec![true; counted],
            "{reports:?}"
        );
    }
}

#[tokio::test]
async fn what_is_known_counts_when_the_policy_can_no_longer_be_asked_for() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd, authority) = (Home::new(), Nsd::start(ZONE).await, Authority::new());
    let policies = PolicyHost::start(&authority, ENFORCE).await;
    let tls = Some(authority.server("one.example.test"));
    let peer = Peer::start_on("127.0.0.2", 0, [Script { ehlo: OFFERS_TLS, tls, ..Script::default() }]).await;
    let server = send(&home, &nsd, &policies, &authority, &peer, "b@a.example.test").await;
    until(|| peer.messages() == 1).await;
    server.stop().await;
    // Somebody takes away the record, the policy and STARTTLS.
    policies.task.abort();
    drop(nsd);
    let nsd = Nsd::start(&ZONE.replace("_mta-sts.a", "_other.a")).await;
    let peer = Peer::start_on("127.0.0.2", 0, [Script::default()]).await;
    let server = send(&home, &nsd, &policies, &authority, &peer, "b@a.example.test").await;
    assert!(deferral(&home).await.contains("4.7.4 TLS is required"));
    server.stop().await;
}

#[tokio::test]
async fn without_a_policy_that_is_enforced_tls_is_opportunistic() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (nsd, authority) = (Nsd::start(ZONE).await, Authority::new());
    for (policy, to, asked) in [
        (ENFORCE.replace("enforce", "testing"), "b@a.example.test", 1),
        ("nonsense".to_owned(), "b@a.example.test", 1),
        (ENFORCE.to_owned(), "b@plain.example.test", 0),
    ] {
        let policies = PolicyHost::start(&authority, &policy).await;
        let (home, peer) = (Home::new(), Peer::start_on("127.0.0.2", 0, [Script::default()]).await);
        let server = send(&home, &nsd, &policies, &authority, &peer, to).await;
        until(|| peer.messages() == 1).await;
        assert_eq!(policies.asked(), asked, "{policy}");
        server.stop().await;
    }
}
