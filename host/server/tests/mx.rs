//! Stories of mail that goes to where the DNS says, with a real name server on loopback.

#[path = "support/authority.rs"]
mod authority;
#[path = "support/nsd.rs"]
mod nsd;
#[path = "support/peer.rs"]
mod peer;
mod support;

use std::sync::Arc;
use std::time::Duration;

use authority::Authority;
use nsd::{Nsd, mx};
use peer::{Peer, Script};
use support::{Home, Wanted, delivered, until};
use wasmail_mail::Domain;
use wasmail_server::{
    ClientConfig, Credentials, Destination, DestinationConfig, MxConfig, NextHopConfig, Order, Pace, Security, order,
};
use wasmail_smtp::Srs;
use wasmail_spool::{Inspection, RecipientState};

/// Peers are told apart by their addresses: all of them have the same port.
const ZONE: &str = "
one A 127.0.0.2
two A 127.0.0.3
away A 127.0.0.4
a MX 10 one
b MX 20 two
b MX 10 away
implicit A 127.0.0.2
alias CNAME a
nomail MX 0 .
empty TXT \"no address\"
nowhere MX 10 gone
loops MX 10 MX.example.
loops MX 20 one
half MX 10 one
half MX 20 mx.example.
half MX 30 two
ourselves MX 10 us
us A 127.0.0.9
inside MX 10 lan
lan A 10.0.0.1
";

fn to(mx: MxConfig) -> Wanted {
    Wanted { destination: Some(Destination::Mx(Box::new(mx))), ..Wanted::default() }
}

async fn send(home: &Home, wanted: Wanted, to: &[&str]) -> support::Running {
    send_lines(home, wanted, to, 1).await
}

async fn send_lines(home: &Home, wanted: Wanted, to: &[&str], lines: usize) -> support::Running {
    let server = home.start(wanted);
    let mut client = server.connect().await;
    client.hello().await;
    let content = format!("A: b\r\n\r\n{}", format!("{}\r\n", "x".repeat(76)).repeat(lines));
    client.send(to, &content, "250").await;
    client.ask("QUIT", "221").await;
    server
}

/// The recipients of the only message, if it is there still.
fn states(home: &Home) -> Vec<RecipientState> {
    let mut messages = Inspection::open(&home.spool()).unwrap().messages();
    assert!(messages.len() <= 1, "{messages:?}");
    messages.pop().map(|message| message.recipients).unwrap_or_default()
}

/// What is written of each recipient once everybody was tried.
async fn replies(home: &Home) -> Vec<String> {
    until(|| !states(home).is_empty() && !states(home).contains(&RecipientState::Pending)).await;
    let reply = |state: RecipientState| match state {
        RecipientState::Failed { reply } => format!("failed: {reply}"),
        RecipientState::Deferred(deferral) => format!("deferred: {}", deferral.reply),
        other => format!("{other:?}"),
    };
    states(home).into_iter().map(reply).collect()
}

fn rcpts(peer: &Peer) -> Vec<String> {
    let heard = peer.heard.lock();
    let mut rcpts: Vec<_> = heard.commands.iter().filter(|line| line.starts_with("RCPT")).cloned().collect();
    rcpts.sort();
    rcpts
}

#[tokio::test]
async fn each_domain_has_its_servers_and_ours_stay_here() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd) = (Home::new(), Nsd::start(ZONE).await);
    let one = Peer::start_on("127.0.0.2", 0, [Script::default()]).await;
    let two = Peer::start_on("127.0.0.3", one.address.port(), [Script::default()]).await;
    let recipients = [
        "a@a.example.test",
        "b@b.example.test",
        "c@implicit.example.test",
        "d@LOCAL.test",
        "e@A.Example.TEST",
        "f@alias.example.test",
        "g@half.example.test",
    ];
    let server = send(&home, to(mx(&home, &nsd, one.address.port())), &recipients).await;
    until(|| states(&home).is_empty()).await;
    delivered(&home.maildir().join("local.test/d"), 1).await;
    let wanted = [
        "a@a.example.test",
        "c@implicit.example.test",
        "e@A.Example.TEST",
        "f@alias.example.test",
        "g@half.example.test",
    ];
    assert_eq!(rcpts(&one), wanted.map(|to| format!("RCPT TO:<{to}>")));
    // Nobody listens at the better one's address.
    assert_eq!(rcpts(&two), ["RCPT TO:<b@b.example.test>"]);
    // Recipients of one domain share a message.
    assert_eq!((one.messages(), two.messages()), (4, 1));
    server.stop().await;
}

#[tokio::test]
async fn what_can_go_nowhere_is_returned_with_the_reason() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd) = (Home::new(), Nsd::start(ZONE).await);
    let domains = ["gone", "nomail", "empty", "nowhere", "loops", "ourselves", "inside"];
    let mut recipients: Vec<_> = domains.iter().map(|domain| format!("b@{domain}.example.test")).collect();
    recipients.push("b@[127.0.0.2]".to_owned());
    let recipients: Vec<_> = recipients.iter().map(String::as_str).collect();
    let server = send(&home, to(mx(&home, &nsd, 1)), &recipients).await;
    let replies = replies(&home).await;
    let wanted = ["5.1.2", "5.1.10", "5.1.2", "5.4.4", "5.4.6", "5.4.6", "5.4.4", "5.1.2"];
    for ((to, reply), status) in recipients.iter().zip(&replies).zip(wanted) {
        let domain = to.trim_start_matches("b@");
        assert!(reply.starts_with(&format!("failed: {domain}: {status} ")), "{reply}");
    }
    server.stop().await;
}

#[tokio::test]
async fn without_an_answer_mail_waits() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd) = (Home::new(), Nsd::start(ZONE).await);
    // This name server refuses to speak for other zones; b's better server does not listen, and the other neither.
    let server = send(&home, to(mx(&home, &nsd, 1)), &["a@elsewhere.test", "b@b.example.test"]).await;
    let replies = replies(&home).await;
    assert!(replies[0].starts_with("deferred: elsewhere.test: 4.4.3 the DNS does not say"), "{replies:?}");
    assert!(
        replies[1].starts_with("deferred: 4.4.1 failed to connect to two.example.test[127.0.0.3]:1: "),
        "{replies:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn an_address_literal_is_a_server_where_the_operator_wants_it() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd) = (Home::new(), Nsd::start(ZONE).await);
    let one = Peer::start_on("127.0.0.2", 0, [Script::default()]).await;
    let mut config = mx(&home, &nsd, one.address.port());
    config.exchangers.literals = true;
    let server = send(&home, to(config), &["b@[127.0.0.2]", "b@[127.0.0.9]"]).await;
    until(|| one.messages() == 1).await;
    until(|| matches!(&states(&home)[..], [RecipientState::Delivered, RecipientState::Failed { .. }])).await;
    let replies = replies(&home).await;
    assert!(replies[1].starts_with("failed: [127.0.0.9]: 5.4.6 "), "{replies:?}");
    server.stop().await;
}

#[tokio::test]
async fn who_refuses_to_talk_gives_way_and_who_refuses_the_mail_does_not() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd) =
        (Home::new(), Nsd::start("both MX 10 one\nboth MX 20 two\none A 127.0.0.2\ntwo A 127.0.0.3\n").await);
    for (script, first, second) in [
        (Script { greeting: "421 4.3.2 too busy", ..Script::default() }, 0, 1),
        (Script { greeting: "554 5.7.1 go away", ..Script::default() }, 0, 1),
        (Script { ehlo: "421 4.3.2 too busy\r\n", ..Script::default() }, 0, 1),
        (Script { ehlo: "250-peer\r\n250 PIPELINING\r\n", reset_after: Some(3), ..Script::default() }, 0, 1),
        (Script { mail: "421 4.3.2 closing", ..Script::default() }, 0, 1),
        (Script { mail: "550 5.7.1 not from you", data: "503 5.5.1 no", ..Script::default() }, 0, 0),
        (Script { final_dot: "554 5.7.1 spam", ..Script::default() }, 1, 0),
    ] {
        let home_again = Home::new();
        let one = Peer::start_on("127.0.0.2", 0, [script.clone()]).await;
        let two = Peer::start_on(
            "127.0.0.3",
            one.address.port(),
            [Script { ehlo: "250 peer.example\r\n", ..Script::default() }],
        )
        .await;
        // More than lies in the buffers of sockets: it is seen that nobody listens before the final dot is sent.
        let lines = if script.reset_after.is_some() { 200_000 } else { 1 };
        let wanted = to(mx(&home, &nsd, one.address.port()));
        let server = send_lines(&home_again, wanted, &["b@both.example.test"], lines).await;
        let done = || states(&home_again).iter().all(RecipientState::is_final);
        until(done).await;
        assert_eq!((one.messages(), two.messages()), (first, second), "{:?} {:?}", script.greeting, script.mail);
        server.stop().await;
    }
}

#[tokio::test]
async fn who_takes_fewer_recipients_gets_more_messages() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd) = (Home::new(), Nsd::start(ZONE).await);
    let two_at_once = Script { rcpt_max: 2, ..Script::default() };
    let one = Peer::start_on("127.0.0.2", 0, [two_at_once]).await;
    let recipients: Vec<_> = (0..5).map(|n| format!("r{n}@a.example.test")).collect();
    let recipients: Vec<_> = recipients.iter().map(String::as_str).collect();
    let patient = wasmail_queue::Policy::default();
    let wanted = Wanted { retry: patient, ..to(mx(&home, &nsd, one.address.port())) };
    let server = send(&home, wanted, &recipients).await;
    until(|| states(&home).is_empty()).await;
    assert_eq!(one.count(), (1, 0, 3));
    server.stop().await;
}

const OFFERS_TLS: &str = "250-peer.example\r\n250-STARTTLS\r\n250 SIZE\r\n";

#[tokio::test]
async fn tls_is_begun_where_it_is_offered_and_needs_no_good_certificate() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd, authority) = (Home::new(), Nsd::start(ZONE).await, Authority::new());
    let tls = Script { ehlo: OFFERS_TLS, tls: Some(authority.server("somebody.else.test")), ..Script::default() };
    // One that offers it and cannot do it is spoken with in the clear.
    let broken = Script { ehlo: OFFERS_TLS, tls: None, ..Script::default() };
    for (scripts, wanted) in [(vec![tls], (1, 1, 1)), (vec![broken.clone(), broken], (2, 0, 1))] {
        let one = Peer::start_on("127.0.0.2", 0, scripts).await;
        let home_again = Home::new();
        let server = send(&home_again, to(mx(&home, &nsd, one.address.port())), &["b@a.example.test"]).await;
        until(|| states(&home_again).is_empty()).await;
        assert_eq!(one.count(), wanted);
        server.stop().await;
    }
}

#[tokio::test]
async fn where_tls_is_required_mail_waits_for_a_good_certificate() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd, authority) = (Home::new(), Nsd::start(ZONE).await, Authority::new());
    let script = |tls| Script { ehlo: OFFERS_TLS, tls, ..Script::default() };
    let good = authority.server("one.example.test");
    let scripts =
        [Script::default(), script(Some(authority.server("two.example.test"))), script(None), script(Some(good))];
    let one = Peer::start_on("127.0.0.2", 0, scripts).await;
    let mut config = mx(&home, &nsd, one.address.port());
    config.client.ca = Some(authority.pem().join("ca.pem"));
    let verified = DestinationConfig { security: Security::Verified, ..DestinationConfig::default() };
    config.destinations.insert(".example.test".into(), verified);
    let wanted = to(config);
    let server = send(&home, wanted, &["b@a.example.test"]).await;
    until(|| states(&home).is_empty()).await;
    assert_eq!(one.count(), (4, 2, 1));
    let commands = one.heard.lock().commands.clone();
    let under_tls: Vec<_> = commands.iter().skip_while(|line| !line.starts_with("MAIL")).collect();
    assert_eq!(under_tls.len(), 3, "nothing of the message was said before: {commands:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_relay_is_told_who_we_are_under_tls_from_the_first_octet() {
    let (home, authority) = (Home::new(), Authority::new());
    let tls = Some(authority.server("127.0.0.1"));
    let script = Script { ehlo: "250-peer.example\r\n250 AUTH PLAIN\r\n", tls, implicit: true, ..Script::default() };
    let relay = Peer::start([script]).await;
    let mut client = ClientConfig::new("mx.example");
    client.implicit_tls = true;
    client.ca = Some(authority.pem().join("ca.pem"));
    client.credentials = Some(Credentials { user: "us".into(), password: "secret".into(), in_the_clear: false });
    let (host, port) = (relay.address.ip().to_string(), relay.address.port());
    let destination =
        Destination::NextHop(Box::new(NextHopConfig { host, port, security: Security::Verified, client }));
    let wanted = Wanted { destination: Some(destination), ..Wanted::default() };
    let server = send(&home, wanted, &["b@a.example.test"]).await;
    until(|| states(&home).is_empty()).await;
    assert_eq!(relay.messages(), 1);
    assert_eq!(relay.heard.lock().commands[..2], ["EHLO mx.example", "AUTH PLAIN AHVzAHNlY3JldA=="]);
    server.stop().await;
}

#[tokio::test]
async fn a_destination_gets_no_more_at_once_than_it_may() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd) = (Home::new(), Nsd::start(ZONE).await);
    let one = Peer::start_on("127.0.0.2", 0, [Script::default()]).await;
    let mut config = mx(&home, &nsd, one.address.port());
    let narrow = Pace { concurrency: 1, per_minute: None };
    config.destinations.insert("a.example.test".into(), DestinationConfig { pace: narrow, ..config.default });
    // One a day: the second one waits, and nobody else for it.
    let slow = Pace { concurrency: 1, per_minute: Some(1) };
    config.destinations.insert("implicit.example.test".into(), DestinationConfig { pace: slow, ..config.default });
    let server = home.start(to(config));
    let mut client = server.connect().await;
    client.hello().await;
    for _ in 0..2 {
        client.send(&["b@implicit.example.test"], "A: b\r\n\r\nslowly\r\n", "250").await;
    }
    for _ in 0..30 {
        client.send(&["b@a.example.test"], "A: b\r\n\r\nhi\r\n", "250").await;
    }
    until(|| one.messages() == 31 && Inspection::open(&home.spool()).unwrap().messages().len() == 1).await;
    // One connection, besides that to the same server of the other domain.
    assert!(one.heard.lock().connections <= 2);
    drop(client);
    assert_eq!(server.stop().await.waiting, 1);
}

#[tokio::test]
async fn a_domain_where_nobody_is_reached_is_left_alone_until_the_operator_says() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd) = (Home::new(), Nsd::start(ZONE).await);
    // A port at which nobody listens yet.
    let port = std::net::TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap().port();
    let mut config = mx(&home, &nsd, port);
    config.suspend_longest = Duration::from_secs(3_600);
    let server = send(&home, to(config), &["b@a.example.test"]).await;
    let deferred = || match states(&home).pop() {
        Some(RecipientState::Deferred(deferral)) => deferral.reply,
        _ => String::new(),
    };
    // Its second attempt, a moment later, is none.
    until(|| deferred().starts_with("4.4.1 not tried, for nobody was reached there; last: 4.4.1 failed to connect"))
        .await;
    let peer = Peer::start_on("127.0.0.2", port, [Script::default()]).await;
    let id = Inspection::open(&home.spool()).unwrap().messages()[0].id;
    order(&home.orders(), &Order::Retry, id).unwrap();
    until(|| states(&home).is_empty()).await;
    assert_eq!(peer.messages(), 1);
    server.stop().await;
}

#[tokio::test]
async fn mail_of_others_goes_on_from_an_address_of_ours_and_notifications_go_back() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd) = (Home::new(), Nsd::start(ZONE).await);
    let theirs = Peer::start_on("127.0.0.2", 0, [Script::default()]).await;
    let senders = Peer::start_on("127.0.0.3", theirs.address.port(), [Script::default()]).await;
    let srs = Some(Arc::new(Srs::new(Domain::parse("us.test").unwrap(), &["a secret of some length"], Srs::MAX_AGE)));
    let mut config = mx(&home, &nsd, theirs.address.port());
    config.srs = srs.clone();
    let server = home.start(Wanted { srs, ..to(config) });
    let mut client = server.connect().await;
    client.hello().await;
    client.ask("MAIL FROM:<Them@b.example.test>", "250").await;
    client.ask("RCPT TO:<c@a.example.test>", "250").await;
    client.ask("DATA", "354").await;
    client.ask("A: b\r\n\r\nhello\r\n.", "250").await;
    until(|| theirs.messages() == 1).await;
    let mail = theirs.heard.lock().commands.iter().find(|line| line.starts_with("MAIL")).cloned().unwrap();
    let address = mail.split_once('<').unwrap().1.split_once('>').unwrap().0.to_owned();
    assert!(address.starts_with("SRS0=") && address.ends_with("=b.example.test=Them@us.test"), "{mail}");
    // A notification goes back; nothing else does, and nobody makes up such an address.
    client.ask("MAIL FROM:<x@there.test>", "250").await;
    client.ask(&format!("RCPT TO:<{address}>"), "550 5.7.1").await;
    client.ask("RSET", "250").await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask(&format!("RCPT TO:<{}>", address.replace("Them", "Others")), "550 5.1.1").await;
    client.ask(&format!("RCPT TO:<{address}>"), "250").await;
    client.ask("DATA", "354").await;
    client.ask("A: b\r\n\r\nit bounces\r\n.", "250").await;
    until(|| senders.messages() == 1).await;
    assert_eq!(rcpts(&senders), ["RCPT TO:<Them@b.example.test>"]);
    assert!(senders.heard.lock().commands.iter().any(|line| line.starts_with("MAIL FROM:<>")));
    server.stop().await;
}
