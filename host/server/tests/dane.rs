//! Stories of certificates that the DNS names, with a real name server whose zone is signed (RFC 7672).

#[path = "support/authority.rs"]
mod authority;
#[path = "support/nsd.rs"]
mod nsd;
#[path = "support/peer.rs"]
mod peer;
mod support;

use authority::Authority;
use nsd::{Nsd, mx};
use peer::{Peer, Script};
use ring::digest::{SHA256, digest};
use support::{Home, Wanted, until};
use wasmail_server::Destination;
use wasmail_services::dns::ResolverConfig;
use wasmail_spool::{Inspection, RecipientState};

const OFFERS_TLS: &str = "250-peer.example\r\n250-STARTTLS\r\n250 SIZE\r\n";

/// A zone that names the certificate with this key, at this port.
fn zone(port: u16, key: &[u8]) -> String {
    let hash: String = digest(&SHA256, key).as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    format!("a MX 10 one\none A 127.0.0.2\n_{port}._tcp.one TLSA 3 1 1 {hash}\nplain MX 10 two\ntwo A 127.0.0.2\n")
}

fn same(zone: String) -> String {
    zone
}

/// Sends a message to this domain by what the resolver finds.
async fn send(home: &Home, nsd: &Nsd, resolver: ResolverConfig, peer: &Peer, to: &str) -> support::Running {
    let mut config = mx(home, nsd, peer.address.port());
    config.exchangers.resolver = resolver;
    let server = home.start(Wanted { destination: Some(Destination::Mx(Box::new(config))), ..Wanted::default() });
    let mut client = server.connect().await;
    client.hello().await;
    client.send(&[to], "A: b\r\n\r\nhi\r\n", "250").await;
    client.ask("QUIT", "221").await;
    server
}

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
async fn a_certificate_that_the_signed_zone_names_is_good_whoever_made_it() {
    if !nsd::here(&["nsd", "ldns-signzone"]) {
        return;
    }
    let (home, authority) = (Home::new(), Authority::new());
    let (tls, key) = authority.server_and_key("somebody.else.test");
    let peer = Peer::start_on("127.0.0.2", 0, [Script { ehlo: OFFERS_TLS, tls: Some(tls), ..Script::default() }]).await;
    let nsd = Nsd::start_signed(&zone(peer.address.port(), &key), same).await;
    let server = send(&home, &nsd, nsd.validating_resolver(), &peer, "b@a.example.test").await;
    until(|| peer.messages() == 1).await;
    assert_eq!(peer.count(), (1, 1, 1));
    server.stop().await;
}

#[tokio::test]
async fn mail_waits_for_the_certificate_that_the_signed_zone_names() {
    if !nsd::here(&["nsd", "ldns-signzone"]) {
        return;
    }
    let authority = Authority::new();
    let (other, _) = authority.server_and_key("one.example.test");
    for (script, why) in [
        (Script { ehlo: OFFERS_TLS, tls: Some(other), ..Script::default() }, ": 4.7.5 the server's certificate"),
        (Script { ehlo: OFFERS_TLS, tls: None, ..Script::default() }, ": 4.7.5 the TLS handshake failed"),
        (Script::default(), ": 4.7.4 TLS is required"),
    ] {
        let (home, peer) = (Home::new(), Peer::start_on("127.0.0.2", 0, [script]).await);
        let nsd = Nsd::start_signed(&zone(peer.address.port(), b"another key"), same).await;
        let server = send(&home, &nsd, nsd.validating_resolver(), &peer, "b@a.example.test").await;
        let deferral = deferral(&home).await;
        assert!(deferral.contains(why), "{deferral}");
        assert_eq!(peer.messages(), 0);
        server.stop().await;
    }
}

#[tokio::test]
async fn what_nobody_proves_binds_nobody() {
    if !nsd::here(&["nsd", "ldns-signzone"]) {
        return;
    }
    let peer = || Peer::start_on("127.0.0.2", 0, [Script::default()]);
    // Without validation a record may be anybody's.
    let (home, one) = (Home::new(), peer().await);
    let nsd = Nsd::start_signed(&zone(one.address.port(), b"another key"), same).await;
    let server = send(&home, &nsd, nsd.resolver(), &one, "b@a.example.test").await;
    until(|| one.messages() == 1).await;
    server.stop().await;
    // The zone proves that this server has no record.
    let home = Home::new();
    let server = send(&home, &nsd, nsd.validating_resolver(), &one, "b@plain.example.test").await;
    until(|| one.messages() == 2).await;
    server.stop().await;
}

#[tokio::test]
async fn mail_does_not_follow_forged_answers() {
    if !nsd::here(&["nsd", "ldns-signzone"]) {
        return;
    }
    for (from, to) in [("\tMX\t10 one.", "\tMX\t10 two."), ("TLSA\t3 1 1 ", "TLSA\t3 1 0 ")] {
        let (home, peer) = (Home::new(), Peer::start_on("127.0.0.2", 0, [Script::default()]).await);
        let forged = |zone: String| zone.replace(from, to);
        let nsd = Nsd::start_signed(&zone(peer.address.port(), b"a key"), forged).await;
        let server = send(&home, &nsd, nsd.validating_resolver(), &peer, "b@a.example.test").await;
        let deferral = deferral(&home).await;
        assert!(deferral.contains("does not stand up to DNSSEC"), "{deferral}");
        assert_eq!(peer.messages(), 0);
        server.stop().await;
    }
}
