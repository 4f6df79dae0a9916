//! Postfix before us and behind us: the server that most mail meets.

mod peers;
mod support;

use std::time::Duration;

use peers::client::Client;
use peers::maildir::{self, assert_same, messages, wait_for};
use peers::postfix::{Postfix, Role};
use peers::programs::{command, here, run};
use support::Server;

const PATIENCE: Duration = Duration::from_secs(60);

const MAILBOXES: &[&str] = &["alice@example.test", "bob@example.test", "box@example.test"];

fn message(subject: &str) -> String {
    format!(
        "From: a@example.org\nTo: alice@example.test\nDate: Mon, 23 Nov 2026 10:00:00 +0000\n\
         Message-Id: <{subject}@example.org>\nSubject: {subject}\n\n.dot\nbody of {subject}\n"
    )
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
    let server = Server::start(&next_hop(&postfix));
    let content = maildir::crlf(message("half").as_bytes());
    let mut client = Client::greeted(server.address()).expect("the server greets");
    let reply = client.send("a@example.org", &["alice@example.test", "nobody@example.test"], &content);
    assert_eq!(reply.expect("the server replies").code, 250);
    let found = wait_for(&postfix.maildirs(), 1, PATIENCE);
    assert_same(&found[0], &content);
    let states = peers::eventually("both are decided", PATIENCE, || {
        let listed = server.run(&["queue", "list", "--json"]).stdout;
        let message: serde_json::Value = serde_json::from_slice(&listed).ok()?;
        let states = message["recipients"].as_array()?.clone();
        states.iter().all(|recipient| recipient["state"] != "pending").then_some(states)
    });
    assert_eq!((&states[0]["state"], &states[1]["state"]), (&"delivered".into(), &"failed".into()), "{states:?}");
    assert!(states[1]["reply"].as_str().is_some_and(|reply| reply.contains("550 5.1.1")), "{states:?}");
}
