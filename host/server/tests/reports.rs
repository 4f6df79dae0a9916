//! What senders are told.

#[path = "support/peer.rs"]
mod peer;
mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use peer::{Peer, Script};
use support::{Home, Running, Wanted, delivered, silent, to_next_hop, until};
use wasmail_server::{MaildirLayout, Order, ReportsConfig, Stopped};
use wasmail_spool::{Inspection, RecipientState};

const DONE: Stopped = Stopped { cut_off: 0, waiting: 0 };

/// Mail for `example.org` goes to the peer, all other into Maildirs.
fn wanted(home: &Home, peer: &Peer) -> Wanted {
    Wanted {
        destination: Some(home.to_maildir(MaildirLayout::PerRecipient)),
        routes: vec![("there".to_owned(), to_next_hop(peer.address))],
        route_domains: vec![("there".to_owned(), vec!["example.org".to_owned()])],
        reports: ReportsConfig { failures: true, ..silent() },
        ..Wanted::default()
    }
}

/// Sends a message with these parameters of MAIL and RCPT.
async fn send(server: &Running, mail: &str, to: &[(&str, &str)], content: &str) {
    let mut client = server.connect().await;
    client.hello().await;
    client.ask(&format!("MAIL FROM:<{mail}"), "250").await;
    for (to, parameters) in to {
        client.ask(format!("RCPT TO:<{to}> {parameters}").trim_end(), "250").await;
    }
    client.ask("DATA", "354").await;
    client.ask(&format!("{content}."), "250").await;
    client.ask("QUIT", "221").await;
}

fn inbox(home: &Home, name: &str) -> std::path::PathBuf {
    home.maildir().join("example.test").join(name)
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn is_empty(spool: &Path) -> bool {
    Inspection::open(spool).unwrap().messages().is_empty()
}

#[tokio::test]
async fn the_sender_is_told_of_a_failure_and_the_message_is_over() {
    let home = Home::new();
    let peer = Peer::start([Script { rcpt: &["550 5.1.1 no such user", "250 ok"], ..Script::default() }]).await;
    let server = home.start(wanted(&home, &peer));
    let to = [("nobody@example.org", "ORCPT=rfc822;No+2Bbody@example.net"), ("b@example.org", "")];
    send(&server, "a@example.test> ENVID=QQ1", &to, "Subject: hi\r\n\r\nhello\r\n").await;
    let report = text(&delivered(&inbox(&home, "a"), 1).await[0]);
    for part in [
        "Return-Path: <>",
        "From: Mail Delivery System <MAILER-DAEMON@mx.example>",
        "Content-Type: multipart/report; report-type=delivery-status;",
        "Original-Envelope-Id: QQ1",
        "Original-Recipient: rfc822; No+body@example.net",
        "Final-Recipient: rfc822; nobody@example.org",
        "Action: failed",
        "Status: 5.1.1",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user",
        "Subject: hi",
        "hello",
    ] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
    assert!(!report.contains("<b@example.org>"), "{report}");
    until(|| is_empty(&home.spool())).await;
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn who_does_not_want_to_hear_of_it_does_not_and_nobody_hears_of_a_reports_fate() {
    let home = Home::new();
    let refusing = || Script { rcpt: &["550 5.1.1 no"], ..Script::default() };
    let peer = Peer::start([refusing(), refusing(), refusing(), refusing()]).await;
    let server = home.start(wanted(&home, &peer));
    send(&server, "a@example.test>", &[("x@example.org", "NOTIFY=NEVER")], "A: b\r\n\r\n").await;
    until(|| is_empty(&home.spool())).await;
    send(&server, ">", &[("x@example.org", "")], "A: b\r\n\r\n").await;
    until(|| is_empty(&home.spool())).await;
    // The report goes to a domain whose server refuses it, too.
    send(&server, "b@example.org>", &[("x@example.org", "")], "A: b\r\n\r\n").await;
    until(|| is_empty(&home.spool())).await;
    assert!(!inbox(&home, "a").exists());
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn a_delay_is_told_once() {
    let home = Home::new();
    const BUSY: &str = "450 4.2.1 busy";
    let peer = Peer::start([Script { rcpt: &[BUSY, BUSY, BUSY, "250 ok"], ..Script::default() }]).await;
    let mut wanted = wanted(&home, &peer);
    wanted.reports.warn_after = Some(Duration::from_millis(1));
    let server = home.start(wanted);
    send(&server, "a@example.test>", &[("b@example.org", "")], "Subject: hi\r\n\r\nhello\r\n").await;
    let warning = text(&delivered(&inbox(&home, "a"), 1).await[0]);
    assert!(warning.contains("Action: delayed") && warning.contains("Status: 4.2.1"), "{warning}");
    assert!(warning.contains("Will-Retry-Until: ") && !warning.contains("hello"), "{warning}");
    until(|| is_empty(&home.spool())).await;
    assert_eq!(server.stop().await, DONE);
    assert_eq!(fs::read_dir(inbox(&home, "a").join("new")).unwrap().count(), 1);
}

#[tokio::test]
async fn who_wants_to_hear_of_a_success_does() {
    let home = Home::new();
    let peer = Peer::start([Script::default()]).await;
    let server = home.start(wanted(&home, &peer));
    let to =
        [("b@example.org", "NOTIFY=SUCCESS"), ("c@example.test", "NOTIFY=SUCCESS,FAILURE"), ("d@example.test", "")];
    send(&server, "a@example.test>", &to, "Subject: hi\r\n\r\nhello\r\n").await;
    let reports: Vec<_> = delivered(&inbox(&home, "a"), 2).await.iter().map(|octets| text(octets)).collect();
    let about = |to: &str| reports.iter().find(|report| report.contains(&format!("Final-Recipient: rfc822; {to}")));
    assert!(about("b@example.org").expect("it is told").contains("Action: relayed"));
    assert!(about("c@example.test").expect("it is told").contains("Action: delivered"));
    assert!(about("d@example.test").is_none());
    until(|| is_empty(&home.spool())).await;
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn what_failed_stays_for_the_operator_where_nobody_is_told() {
    let home = Home::new();
    let peer = Peer::start([Script { rcpt: &["550 5.1.1 no", "250 ok"], ..Script::default() }]).await;
    let server = home.start(Wanted { reports: silent(), ..wanted(&home, &peer) });
    send(&server, "a@example.test>", &[("b@example.org", "")], "A: b\r\n\r\n").await;
    let states = || Inspection::open(&home.spool()).unwrap().messages();
    until(|| states().first().is_some_and(|one| matches!(one.recipients[..], [RecipientState::Failed { .. }]))).await;
    let id = states()[0].id;
    wasmail_server::order(&home.orders(), &Order::Retry, id).unwrap();
    until(|| is_empty(&home.spool())).await;
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn the_operator_holds_a_message_lets_it_go_and_gives_it_up() {
    let home = Home::new();
    let busy = "450 4.2.1 busy";
    let peer = Peer::start([Script { rcpt: Box::leak(Box::new([busy; 1_000])), ..Script::default() }]).await;
    let server = home.start(wanted(&home, &peer));
    send(&server, "a@example.test>", &[("b@example.org", "")], "Subject: hi\r\n\r\nhello\r\n").await;
    let state = || Inspection::open(&home.spool()).unwrap().messages().first().map(|one| one.recipients[0].clone());
    until(|| matches!(state(), Some(RecipientState::Deferred(_)))).await;
    let id = Inspection::open(&home.spool()).unwrap().messages()[0].id;
    wasmail_server::order(&home.orders(), &Order::Hold, id).unwrap();
    until(|| matches!(state(), Some(RecipientState::Held { .. }))).await;
    wasmail_server::order(&home.orders(), &Order::Release, id).unwrap();
    until(|| matches!(state(), Some(RecipientState::Deferred(_)))).await;
    wasmail_server::order(&home.orders(), &Order::Expire, id).unwrap();
    let report = text(&delivered(&inbox(&home, "a"), 1).await[0]);
    assert!(report.contains("Status: 5.4.7") && report.contains("given up by the operator"), "{report}");
    until(|| is_empty(&home.spool())).await;
    assert_eq!(server.stop().await, DONE);
}
