//! Plugins say whether a message goes out, where to, and what follows from an attempt; in each language of the guest SDK.
//!
//! Rust, C and JavaScript are built in every run, Go and Python where `WASMAIL_REQUIRE_LANGUAGES` is set: see `languages.rs`.

mod peers;
mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use peers::client::Client;
use peers::eventually;
use peers::maildir::{self, wait_for};
use peers::postfix::{Postfix, Role};
use support::{Home, LANGUAGES, PEERS, Server};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const CONTENT: &[u8] = b"From: a@here.example\r\nSubject: hi\r\n\r\nhello\r\n";

/// A server that relays for everybody and has a plugin say these things about delivery.
fn start(module: &Path, delivery: &str, sayings: &[(&str, &str)]) -> Server {
    let sayings: Vec<_> = sayings.iter().map(|(when, what)| format!("{when:?} = {what:?}")).collect();
    Home::new(&format!(
        "{delivery}\n\
         [delivery.retry]\nfirst = \"1s\"\n\
         [[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\nrelaying = true\n\
         [[route]]\nname = \"archive\"\nkind = \"maildir\"\npath = \"archive\"\nlayout = \"single\"\n\
         [[plugin]]\nname = \"judges\"\nmodule = {module:?}\ngrants = [\"take-messages\", \"route\"]\n\
         config = {{ {} }}\n",
        sayings.join(", ")
    ))
    .start()
}

fn send(server: &Server, to: &[&str]) {
    let mut client = Client::greeted(server.address()).expect("it greets");
    let reply = client.send("a@here.example", to, CONTENT).expect("it replies");
    assert_eq!(reply.code, 250, "{reply:?}");
}

#[test]
fn a_plugin_decides_for_each_domain() {
    let server = start(
        &support::guest("judges"),
        "[dns]\nreverse = \"off\"",
        &[
            ("pre-send b.example", "bounce 5.7.9 not there"),
            ("pre-send c.example", "route archive"),
            ("send d.example", "done 250 taken by the plugin:"),
            ("pre-send e.example", "delay 1"),
            ("pre-send f.example", "trap"),
            ("pre-send g.example", "bounce never"),
            ("bounce g.example", "silence"),
        ],
    );
    let domains = ["a", "b", "c", "d", "e", "f", "g"];
    let to: Vec<_> = domains.iter().map(|domain| format!("x@{domain}.example")).collect();
    send(&server, &to.iter().map(String::as_str).collect::<Vec<_>>());
    for there in ["x@a.example", "x@e.example", "x@f.example"] {
        wait_for(&maildir::of(&server.maildirs(), there), 1, PATIENCE);
    }
    wait_for(&server.data().join("archive"), 1, PATIENCE);
    let report = wait_for(&maildir::of(&server.maildirs(), "a@here.example"), 1, PATIENCE).remove(0);
    let text = String::from_utf8_lossy(&fs::read(&report.path).expect("it is there")).into_owned();
    assert!(text.contains("Final-Recipient: rfc822; x@b.example") && text.contains("Status: 5.7.9"), "{text}");
    assert!(!text.contains("x@g.example"), "{text}");
    eventually("the queue empties", PATIENCE, || server.queue_is_empty().then_some(()));
    for nowhere in ["x@b.example", "x@c.example", "x@d.example", "x@g.example"] {
        assert!(!maildir::of(&server.maildirs(), nowhere).exists(), "{nowhere}");
    }
    let log = server.log();
    for line in [
        "pre-send a.example [x@a.example#0] from \"a@here.example\", noted Some(\"hi\")",
        "pre-send f.example [x@f.example#1] from \"a@here.example\", noted Some(\"hi\")",
        "delivered d.example [x@d.example#0] from \"a@here.example\"",
        "delivered: 250 taken by the plugin: hi",
        "bounces: 5.7.9 not there",
        "told to",
    ] {
        assert!(log.contains(line), "{line} is not in the log:\n{log}");
    }
}

#[test]
fn a_plugin_names_the_server_of_a_domain_and_puts_off_what_that_puts_off() {
    if !Postfix::here() {
        return;
    }
    let postfix = Postfix::start(&Role::Deliver(&["there@example.test"]));
    let exchange = format!("exchange {}", postfix.address());
    let server = start(
        &support::guest("judges"),
        "[dns]\nreverse = \"off\"\nservers = [\"127.0.0.1:1\"]\n\
         [delivery]\nkind = \"mx\"\n[delivery.mx]\nlocal_domains = [\"here.example\"]\naddresses = [\"127.0.0.0/8\"]",
        &[("get-mx example.test", &exchange), ("bounce example.test", "silence")],
    );
    send(&server, &["there@example.test", "nobody@example.test"]);
    wait_for(&maildir::of(&postfix.maildirs(), "there@example.test"), 1, PATIENCE);
    eventually("the queue empties", PATIENCE, || server.queue_is_empty().then_some(()));
    let log = server.log();
    assert!(log.contains("bounces: 550 5.1.1 "), "{log}");
    assert!(log.contains("delivered: 250 2.0.0 "), "{log}");
}

/// The guest in another language, built in a directory of its own.
fn guest_in(language: &str, required: &[&str]) -> Option<TempDir> {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let project = support::root().join("tests/judges").join(language);
    for entry in fs::read_dir(project).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if path.is_file() {
            fs::copy(&path, dir.path().join(path.file_name().expect("it has a name"))).expect("it can be written");
        }
    }
    // As `npm ci` would have it, without the network.
    let modules = support::root().join("guest-sdk/js/node_modules");
    symlink(modules, dir.path().join("node_modules")).expect("a link can be made");
    support::built(dir.path(), required).map(|_| dir)
}

/// Has every hook say each of its verdicts, and one that it does not know, one with a change, and one without what it must carry.
fn decides_in(language: &str, required: &[&str]) {
    let Some(project) = guest_in(language, required) else { return };
    let elsewhere = Server::start("[[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\nrelaying = true\n");
    let exchange = format!("exchange {}", elsewhere.address());
    let server = start(
        &project.path().join("build/judges.wasm"),
        "[dns]\nreverse = \"off\"\nservers = [\"127.0.0.1:1\"]\n\
         [delivery]\nkind = \"mx\"\n[delivery.mx]\naddresses = [\"127.0.0.0/8\"]\n\
         local_domains = [\"here.example\", \"a.example\", \"b.example\", \"c.example\", \"d.example\", \"e.example\", \
         \"f.example\", \"g.example\", \"h.example\", \"i.example\", \"j.example\", \"k.example\", \"l.example\"]",
        &[
            ("pre-send b.example", "bounce 5.7.9 not there"),
            ("pre-send c.example", "route archive"),
            ("send d.example", "done 250 taken by the plugin:"),
            ("pre-send e.example", "delay 1"),
            ("pre-send f.example", "trap"),
            ("pre-send g.example", "bounce never"),
            ("bounce g.example", "silence"),
            ("pre-send h.example", "wrong"),
            ("send i.example", "done 450 later:"),
            ("deferred i.example", "bounce"),
            ("send j.example", "done 450 later:"),
            ("deferred j.example", "delay 1"),
            ("pre-send k.example", "delay"),
            ("deferred k.example", "delay"),
            ("pre-send l.example", "change"),
            ("get-mx m.example", &exchange),
            ("get-mx n.example", "none"),
            ("get-mx o.example", "delay 60"),
            ("deferred o.example", "bounce"),
        ],
    );
    let to: Vec<_> = "abcdefghijklmno".chars().map(|domain| format!("x@{domain}.example")).collect();
    send(&server, &to.iter().map(String::as_str).collect::<Vec<_>>());
    for there in ["a", "e", "f", "h", "j", "k", "l"] {
        wait_for(&maildir::of(&server.maildirs(), &format!("x@{there}.example")), 1, PATIENCE);
    }
    wait_for(&server.data().join("archive"), 1, PATIENCE);
    wait_for(&maildir::of(&elsewhere.maildirs(), "x@m.example"), 1, PATIENCE);
    eventually("the queue empties", PATIENCE, || server.queue_is_empty().then_some(()));
    for nowhere in ["b", "c", "d", "g", "i", "m"] {
        assert!(!maildir::of(&server.maildirs(), &format!("x@{nowhere}.example")).exists(), "{nowhere}");
    }
    // Those who fail do not all fail at once.
    let reports = maildir::messages(&maildir::of(&server.maildirs(), "a@here.example"));
    let told: String = reports.iter().map(|report| String::from_utf8_lossy(&report.raw).into_owned()).collect();
    for failed in ["x@b.example", "x@i.example", "x@n.example", "x@o.example", "5.7.9 not there", "null MX"] {
        assert!(told.contains(failed), "{failed}: {told}");
    }
    assert!(!told.contains("rfc822; x@g.example"), "{told}");
    for line in [
        "about hi, 7 octets of body",
        "pre-send a.example [x@a.example#0] from a@here.example, noted hi",
        "pre-send f.example [x@f.example#1] from a@here.example, noted hi",
        "pre-send here.example [a@here.example#0] from , noted nothing",
        "told to",
        " knows no silence",
        "delivered: 250 taken by the plugin: hi",
        "delivered: 250 2.0.0 Queued as ",
        "deferred: 450 later: hi",
        "next cannot come with ",
        "eferred: delay needs to know how many seconds",
        "bounces: 5.7.9 not there",
    ] {
        server.wait_for_log(line, PATIENCE);
    }
}

#[test]
fn a_plugin_in_c_decides() {
    decides_in("c", &[PEERS, LANGUAGES]);
}

#[test]
fn a_plugin_in_javascript_decides() {
    decides_in("javascript", &[PEERS, LANGUAGES]);
}

#[test]
fn a_plugin_in_go_decides() {
    decides_in("go", &[LANGUAGES]);
}

#[test]
fn a_plugin_in_python_decides() {
    decides_in("python", &[LANGUAGES]);
}
