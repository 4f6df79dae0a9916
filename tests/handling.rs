//! What becomes of accepted messages when a plugin wants them held, sent another way, or their envelope changed.

mod peers;
mod support;

use std::time::Duration;

use peers::client::Client;
use peers::{eventually, maildir};
use support::Server;

const PATIENCE: Duration = Duration::from_secs(60);
const CONTENT: &[u8] = b"From: a@example.org\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nSubject: odd\r\n\r\nhello\r\n";

/// A server that accepts recipients at example.test and does this with their messages.
fn start(doing: &str) -> Server {
    let module = support::says();
    Server::start(&format!(
        "[dns]\nreverse = \"off\"\n\
         [[route]]\nname = \"archive\"\nkind = \"maildir\"\npath = \"archive\"\nlayout = \"single\"\n\
         [[plugin]]\nname = \"local-domains\"\nmodule = \"builtin:local-domains\"\ngrants = [\"accept-recipients\"]\n\
         config = {{ domains = [\"example.test\"] }}\n\
         [[plugin]]\nname = \"says\"\nmodule = {module:?}\nconfig = {{ data-post = {doing:?} }}\n\
         grants = [\"accept-recipients\", \"take-messages\", \"overturn-denials\", \"route\", \"quarantine\", \
                   \"edit-reverse-path\", \"edit-recipients\"]\n"
    ))
}

fn send(server: &Server) {
    let mut client = Client::greeted(server.address()).expect("it greets");
    let reply = client.send("a@example.org", &["b@example.test"], CONTENT).expect("it replies");
    assert_eq!(reply.code, 250, "{reply:?}");
}

fn says(server: &Server, args: &[&str], part: &str) {
    let output = server.run(args);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(part), "no {part:?} in:\n{text}");
}

#[test]
fn a_held_message_is_listed_released_and_delivered() {
    let server = start("quarantine looks odd");
    send(&server);
    let json = server.run(&["queue", "list", "--json"]).stdout;
    let listed: serde_json::Value = serde_json::from_slice(&json).expect("one message waits");
    assert_eq!(listed["recipients"][0]["state"], "held");
    assert_eq!(listed["recipients"][0]["reason"], "looks odd");
    says(&server, &["queue", "list"], "to <b@example.test>: held: looks odd");
    let id = listed["id"].as_str().expect("it has an id");
    let unknown = server.home().command(&["queue", "release", "0000000000000000"]).output().expect("the binary runs");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no message 0000000000000000"));
    assert!(maildir::messages(&server.maildirs()).is_empty());
    says(&server, &["queue", "release", id], "1 to release");
    eventually("it is delivered", PATIENCE, || server.queue_is_empty().then_some(()));
    assert_eq!(maildir::messages(&server.maildirs()).len(), 1);
}

#[test]
fn a_held_message_is_removed() {
    let server = start("quarantine spam");
    send(&server);
    says(&server, &["queue", "remove", "--all"], "1 to remove");
    eventually("it is gone", PATIENCE, || server.queue_is_empty().then_some(()));
    assert!(maildir::messages(&server.maildirs()).is_empty());
}

#[test]
fn a_message_goes_by_the_route_that_a_plugin_chose() {
    let server = start("route archive");
    send(&server);
    let archive = server.home().data().join("archive");
    eventually("it is in the archive", PATIENCE, || (!maildir::messages(&archive).is_empty()).then_some(()));
    assert!(maildir::messages(&server.maildirs()).is_empty());
}

#[test]
fn a_route_that_there_is_not_is_a_fault_of_the_plugin() {
    let server = start("route elsewhere");
    let mut client = Client::greeted(server.address()).expect("it greets");
    let reply = client.send("a@example.org", &["b@example.test"], CONTENT).expect("it replies");
    assert_eq!(reply.code, 451, "{reply:?}");
    assert!(server.log().contains("there is no such route; there are: archive"), "{}", server.log());
}

#[test]
fn the_envelope_is_what_a_plugin_made_of_it() {
    let server = start("sender bounces@example.test");
    send(&server);
    let message = eventually("it is delivered", PATIENCE, || maildir::messages(&server.maildirs()).pop());
    assert!(message.field("Return-Path").as_deref() == Some("<bounces@example.test>"), "{}", message.trace());
    let server = start("to c@example.test");
    send(&server);
    let message = eventually("it is delivered", PATIENCE, || maildir::messages(&server.maildirs()).pop());
    assert!(message.field("Delivered-To").as_deref() == Some("c@example.test"), "{}", message.trace());
}
