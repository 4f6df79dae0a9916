//! Postfix before us and behind us: the server that most mail meets.

mod peers;
mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use peers::authority::Authority;
use peers::client::Client;
use peers::maildir::{self, assert_same, messages, wait_for};
use peers::nsd::Nsd;
use peers::postfix::{Postfix, Role};
use peers::programs::{command, here, run};
use serde_json::Value;
use support::Server;

const PATIENCE: Duration = Duration::from_secs(60);

const MAILBOXES: &[&str] = &["alice@example.test", "bob@example.test", "box@example.test"];

fn message(subject: &str) -> String {
    format!(
        "From: a@example.org\nTo: alice@example.test\nDate: Mon, 23 Nov 2026 10:00:00 +0000\n\
         Message-Id: <{subject}@example.org>\nSubject: {subject}\n\n.dot\nbody of {subject}\n"
    )
}

/// What became of the recipients of the only message, once all are decided.
fn decided(server: &Server) -> Vec<Value> {
    peers::eventually("all are decided", PATIENCE, || {
        let listed = server.run(&["queue", "list", "--json"]).stdout;
        let message: Value = serde_json::from_slice(&listed).ok()?;
        let states = message["recipients"].as_array()?.clone();
        states.iter().all(|recipient| recipient["state"] != "pending").then_some(states)
    })
}

fn by_subject<'a>(found: &'a [maildir::Delivered], subject: &str) -> Vec<&'a maildir::Delivered> {
    found.iter().filter(|mail| mail.field("Subject").as_deref() == Some(subject)).collect()
}

/// Delivery by SMTP, with a patience made for tests.
fn next_hop(postfix: &Postfix) -> String {
    format!(
        "[delivery]\nkind = \"smtp\"\nnext_hop = \"{}\"\n[delivery.retry]\nfirst = \"200ms\"\nlongest = \"500ms\"\n",
        postfix.address()
    )
}

#[test]
fn postfix_relays_its_mail_through_us() {
    if !(Postfix::here() && here(&["smtp-source"])) {
        return;
    }
    let server = Server::start("");
    let postfix = Postfix::start(&Role::RelayTo(server.address()));
    let content = message("one");
    postfix.submit("a@example.org", &["alice@example.test", "bob@example.test"], content.as_bytes());
    for name in ["alice@example.test", "bob@example.test"] {
        let found = wait_for(&maildir::of(&server.maildirs(), name), 1, PATIENCE);
        assert_same(&found[0], content.as_bytes());
        assert!(found[0].trace().contains("by postfix.example (Postfix"), "{}", found[0].trace());
    }
    let mut source = command("smtp-source");
    source.args(["-s", "10", "-m", "100", "-f", "a@example.org", "-t", "box@example.test"]);
    run(source.arg(format!("inet:{}", postfix.address())), b"", PATIENCE).well();
    wait_for(&maildir::of(&server.maildirs(), "box@example.test"), 100, PATIENCE);
    peers::eventually("Postfix's queue empties", PATIENCE, || (postfix.pending() == 0).then_some(()));
    assert!(!postfix.log().contains("status=deferred"), "{}", postfix.log());
}

#[test]
fn postfix_returns_to_its_sender_what_we_refuse() {
    if !Postfix::here() {
        return;
    }
    let server = Server::start("");
    let postfix = Postfix::start(&Role::RelayTo(server.address()));
    let content = message("mixed");
    postfix.submit("bob@example.test", &["alice@example.test", "x@elsewhere.test"], content.as_bytes());
    let taken = wait_for(&maildir::of(&server.maildirs(), "alice@example.test"), 1, PATIENCE);
    assert_same(&taken[0], content.as_bytes());
    // Its notice of failure has the null reverse-path and comes through us as well.
    let notice = wait_for(&maildir::of(&server.maildirs(), "bob@example.test"), 1, PATIENCE);
    assert!(notice[0].trace().contains("Return-Path: <>"), "{}", notice[0].trace());
    let text = String::from_utf8_lossy(&notice[0].raw).into_owned();
    assert!(text.contains("Status: 5.7.1"), "{text}");
    wait_for(&server.maildirs(), 2, PATIENCE);
}

#[test]
fn postfix_takes_our_mail_as_the_next_hop() {
    if !(Postfix::here() && here(&["smtp-source"])) {
        return;
    }
    let postfix = Postfix::start(&Role::Deliver(MAILBOXES));
    let server = Server::start(&next_hop(&postfix));
    let content = message("onward");
    let content = maildir::crlf(content.as_bytes());
    let mut client = Client::greeted(server.address()).expect("the server greets");
    let reply = client.send("a@example.org", &["alice@example.test", "bob@example.test"], &content);
    assert_eq!(reply.expect("the server replies").code, 250);
    for name in ["alice@example.test", "bob@example.test"] {
        let found = wait_for(&maildir::of(&postfix.maildirs(), name), 1, PATIENCE);
        assert_same(&found[0], &content);
        assert!(found[0].trace().contains("Return-Path: <a@example.org>"), "{}", found[0].trace());
    }
    let mut source = command("smtp-source");
    source.args(["-s", "10", "-m", "200", "-l", "3000", "-f", "a@example.org", "-t", "box@example.test"]);
    run(source.arg(format!("inet:{}", server.address())), b"", PATIENCE).well();
    wait_for(&maildir::of(&postfix.maildirs(), "box@example.test"), 200, PATIENCE);
}

#[test]
fn a_next_hop_that_is_away_gets_its_mail_once_it_is_back() {
    if !Postfix::here() {
        return;
    }
    let mut postfix = Postfix::start(&Role::Deliver(MAILBOXES));
    let server = Server::start(&next_hop(&postfix));
    postfix.stop();
    let subjects: Vec<_> = (0..5).map(|n| format!("waiting-{n}")).collect();
    let mut client = Client::greeted(server.address()).expect("the server greets");
    for subject in &subjects {
        let content = maildir::crlf(message(subject).as_bytes());
        let reply = client.send("a@example.org", &["alice@example.test"], &content).expect("the server replies");
        assert_eq!(reply.code, 250, "{reply:?}");
    }
    server.wait_for_log("defer", PATIENCE);
    assert!(messages(&postfix.maildirs()).is_empty());
    postfix.resume();
    let found = wait_for(&postfix.maildirs(), subjects.len(), PATIENCE);
    for subject in &subjects {
        let copies = by_subject(&found, subject);
        assert_eq!(copies.len(), 1, "{subject}");
        assert_same(copies[0], message(subject).as_bytes());
    }
    // Nothing is left that could come a second time.
    peers::eventually("the queue empties", PATIENCE, || server.queue_is_empty().then_some(()));
    assert_eq!(messages(&postfix.maildirs()).len(), subjects.len());
}

#[test]
fn a_recipient_that_the_next_hop_refuses_is_kept_for_the_operator_to_see() {
    if !Postfix::here() {
        return;
    }
    let postfix = Postfix::start(&Role::Deliver(MAILBOXES));
    let server = Server::start(&(next_hop(&postfix) + "\n[delivery.reports]\nfailures = false\n"));
    let content = maildir::crlf(message("half").as_bytes());
    let mut client = Client::greeted(server.address()).expect("the server greets");
    let reply = client.send("a@example.org", &["alice@example.test", "nobody@example.test"], &content);
    assert_eq!(reply.expect("the server replies").code, 250);
    let found = wait_for(&postfix.maildirs(), 1, PATIENCE);
    assert_same(&found[0], &content);
    let states = decided(&server);
    assert_eq!((&states[0]["state"], &states[1]["state"]), (&"delivered".into(), &"failed".into()), "{states:?}");
    assert!(states[1]["reply"].as_str().is_some_and(|reply| reply.contains("550 5.1.1")), "{states:?}");
}

/// Only the third server of the domain is there, and the other domain takes no mail.
const ZONE: &str = "@ MX 10 away\n@ MX 10 gone\n@ MX 20 mx\naway A 127.0.0.2\nmx A 127.0.0.1\nnomail MX 0 .\n";

/// A certificate for this name, by an authority of the story's own: the authority's file, and a line of `main.cf`.
fn certified(dir: &Path, name: &str) -> (String, String) {
    let authority = Authority::new();
    let certificate = authority.certify(&[name]);
    let chain = certificate.key + &certificate.chain;
    let (ca, file) = (dir.join("ca.pem"), dir.join("chain.pem"));
    fs::write(&ca, authority.pem()).expect("the directory is ours");
    fs::write(&file, chain).expect("the directory is ours");
    (ca.display().to_string(), format!("smtpd_tls_chain_files = {}\n", file.display()))
}

#[test]
fn postfix_takes_our_mail_as_the_server_that_the_dns_names_under_tls_with_a_good_certificate() {
    if !(Postfix::here() && Nsd::here()) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory can be made");
    let (ca, chain) = certified(dir.path(), "mx.example.test");
    let tls = format!("{chain}smtpd_tls_security_level = encrypt\nsmtpd_tls_received_header = yes\n");
    let postfix = Postfix::start_with(&Role::Deliver(MAILBOXES), &tls);
    let nsd = Nsd::start(ZONE);
    let server = Server::start(&format!(
        "[dns]\nreverse = \"off\"\nservers = [\"{}\"]\n[delivery]\nkind = \"mx\"\ntls = \"required\"\n\
         tls_ca = {ca:?}\n[delivery.mx]\nlocal_domains = [\"here.test\"]\nport = {}\naddresses = [\"127.0.0.0/8\"]\n\
         [[plugin]]\nname = \"local-domains\"\nmodule = \"builtin:local-domains\"\ngrants = [\"accept-recipients\"]\n\
         config = {{ domains = [\"example.test\", \"nomail.example.test\", \"here.test\"] }}\n",
        nsd.address(),
        postfix.address().port()
    ));
    let content = maildir::crlf(message("by-mx").as_bytes());
    let mut client = Client::greeted(server.address()).expect("the server greets");
    let recipients = ["alice@example.test", "carol@nomail.example.test", "dave@here.test", "bob@example.test"];
    assert_eq!(client.send("dave@here.test", &recipients, &content).expect("the server replies").code, 250);
    for name in ["alice@example.test", "bob@example.test"] {
        let found = wait_for(&maildir::of(&postfix.maildirs(), name), 1, PATIENCE);
        assert_same(&found[0], &content);
        assert!(found[0].trace().contains("(using TLSv1.3 with cipher "), "{}", found[0].trace());
    }
    // A copy of his own, and what became of the one that went nowhere.
    let found = wait_for(&maildir::of(&server.maildirs(), "dave@here.test"), 2, PATIENCE);
    let notices: Vec<_> = found.iter().map(|mail| String::from_utf8_lossy(&mail.raw).into_owned()).collect();
    let is_notice = |text: &&String| text.contains("carol@nomail.example.test") && text.contains("Status: 5.1.10");
    assert_eq!(notices.iter().filter(is_notice).count(), 1, "{notices:?}");
}
