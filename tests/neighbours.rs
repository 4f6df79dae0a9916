//! Exim and OpenSMTPD before us and behind us, under TLS.

mod peers;
mod support;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peers::authority::{Authority, Certificate};
use peers::client::{Client, stuffed};
use peers::maildir::{self, assert_same, wait_for};
use peers::neighbour::{Make, Role};
use peers::programs::run;
use support::{Home, Server};

const PATIENCE: Duration = Duration::from_secs(60);
const MAILBOXES: &[&str] = &["alice@example.test", "bob@example.test"];

/// Eight-bit content with dots at the beginning of lines and a line of almost the length that RFC 5321 allows.
fn content(subject: &str) -> Vec<u8> {
    let long = "\u{20ac}".repeat(330);
    format!(
        "From: a@example.org\r\nTo: alice@example.test\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n\
         Message-Id: <{subject}@example.org>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         gr\u{fc}\u{df}e\r\n.dot\r\n..\r\n  \r\n{long}\r\n\r\n"
    )
    .into_bytes()
}

/// Hands a message over one step at a time: OpenSMTPD does not know PIPELINING.
fn submit(address: SocketAddr, reverse_path: &str, recipients: &[&str], content: &[u8]) -> io::Result<()> {
    let mut client = Client::greeted(address)?;
    client.command(&format!("MAIL FROM:<{reverse_path}> BODY=8BITMIME"))?.expect(250)?;
    for recipient in recipients {
        client.command(&format!("RCPT TO:<{recipient}>"))?.expect(250)?;
    }
    client.command("DATA")?.expect(354)?;
    client.write(&stuffed(content))?;
    client.reply()?.expect(250)
}

fn written(dir: &Path, name: &str, text: &str) -> PathBuf {
    fs::write(dir.join(name), text).expect("the directory is ours");
    dir.join(name)
}

/// A server of ours with a certificate that others believe.
fn ours(dir: &Path, certificate: &Certificate) -> Server {
    let (chain, key) = (written(dir, "chain.pem", &certificate.chain), written(dir, "key.pem", &certificate.key));
    Server::start(&format!("[tls]\ncertificates = [{{ chain = {chain:?}, key = {key:?} }}]\n"))
}

/// A trace field on one line.
fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn relays_through_us_under_tls(make: Make) {
    if !make.here() {
        return;
    }
    let (dir, authority) = (tempfile::tempdir().expect("a directory can be made"), Authority::new());
    let server = ours(dir.path(), &authority.certify(&["localhost"]));
    let role = Role::RelayTo { port: server.address().port(), authority: &authority.pem() };
    let neighbour = make.start(&role);
    let content = content("onward");
    submit(neighbour.address(), "a@example.org", MAILBOXES, &content).expect("the neighbour takes it");
    for name in MAILBOXES {
        let found = wait_for(&maildir::of(&server.maildirs(), name), 1, PATIENCE);
        assert_same(&found[0], &content);
        let trace = unfolded(&found[0].trace());
        let ours = format!("from {} ", make.host());
        assert!(trace.contains(&ours) && trace.contains(" with ESMTPS tls TLS_AES_"), "{trace}");
    }
}

fn returns_to_its_sender_what_we_refuse(make: Make) {
    if !make.here() {
        return;
    }
    let (dir, authority) = (tempfile::tempdir().expect("a directory can be made"), Authority::new());
    let server = ours(dir.path(), &authority.certify(&["localhost"]));
    let role = Role::RelayTo { port: server.address().port(), authority: &authority.pem() };
    let neighbour = make.start(&role);
    let content = content("mixed");
    let recipients = ["alice@example.test", "x@elsewhere.test"];
    submit(neighbour.address(), "bob@example.test", &recipients, &content).expect("the neighbour takes it");
    assert_same(&wait_for(&maildir::of(&server.maildirs(), "alice@example.test"), 1, PATIENCE)[0], &content);
    // Its notice of failure has the null reverse-path and comes through us as well.
    let notice = wait_for(&maildir::of(&server.maildirs(), "bob@example.test"), 1, PATIENCE).remove(0);
    assert!(notice.trace().contains("Return-Path: <>"), "{}", notice.trace());
    let text = unfolded(&String::from_utf8_lossy(&notice.raw));
    assert!(text.contains("x@elsewhere.test") && text.contains("550 5.7.1"), "{text}");
    wait_for(&server.maildirs(), 2, PATIENCE);
}

/// A server of ours whose mail for `example.test` goes to a neighbour, as these lines of the route say.
fn that_sends_on(to: SocketAddr, lines: &str) -> Server {
    Home::new(&format!(
        "[dns]\nreverse = \"off\"\n[[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\nrelaying = true\n{lines}\
         [[route]]\nname = \"neighbour\"\nkind = \"smtp\"\nnext_hop = \"{to}\"\ndomains = [\"example.test\"]\n"
    ))
    .with_shared_cache()
    .start()
}

fn takes_our_mail_under_tls_and_what_it_refuses_comes_back(make: Make) {
    if !make.here() {
        return;
    }
    // Nobody believes this certificate, which is all that most have.
    let certificate = Authority::new().certify(&["unknown.example"]);
    let neighbour = make.start(&Role::Deliver { mailboxes: MAILBOXES, certificate: &certificate });
    let server = that_sends_on(neighbour.address(), "");
    let content = content("for-some");
    let recipients = ["alice@example.test", "nobody@example.test", "bob@example.test"];
    submit(server.address(), "a@here.example", &recipients, &content).expect("we take it");
    for name in MAILBOXES {
        let found = wait_for(&maildir::of(&neighbour.maildirs(), name), 1, PATIENCE);
        assert_same(&found[0], &content);
        let trace = unfolded(&found[0].trace()).to_lowercase();
        assert!(trace.contains("return-path: <a@here.example>") && trace.contains(" with esmtps "), "{trace}");
    }
    let report = wait_for(&maildir::of(&server.maildirs(), "a@here.example"), 1, PATIENCE).remove(0);
    let text = unfolded(&String::from_utf8_lossy(&report.raw));
    for part in ["Final-Recipient: rfc822; nobody@example.test", "Action: failed", "Diagnostic-Code: smtp; 550"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    peers::eventually("the queue empties", PATIENCE, || server.queue_is_empty().then_some(()));
}

fn believes_its_users_where_its_certificate_is_good(make: Make) {
    if !make.here() {
        return;
    }
    let (dir, authority) = (tempfile::tempdir().expect("a directory can be made"), Authority::new());
    let certificate = authority.certify(&["127.0.0.1"]);
    let neighbour = make.start(&Role::DeliverFromUsers { mailboxes: MAILBOXES, certificate: &certificate });
    let ca = written(dir.path(), "ca.pem", &authority.pem());
    let credentials = written(dir.path(), "credentials", "tim\nsecret\n");
    run(std::process::Command::new("chmod").arg("600").arg(&credentials), b"", PATIENCE).well();
    let content = content("from-a-user");
    let verified = format!("[delivery]\ntls = \"required\"\ntls_ca = {ca:?}\n");
    let server = Home::new(&format!(
        "[dns]\nreverse = \"off\"\n[[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\nrelaying = true\n{verified}\
         [[route]]\nname = \"neighbour\"\nkind = \"smtp\"\nnext_hop = \"{}\"\ndomains = [\"example.test\"]\n\
         credentials = {credentials:?}\n",
        neighbour.address()
    ))
    .with_shared_cache()
    .start();
    submit(server.address(), "a@here.example", MAILBOXES, &content).expect("we take it");
    for name in MAILBOXES {
        let found = wait_for(&maildir::of(&neighbour.maildirs(), name), 1, PATIENCE);
        assert_same(&found[0], &content);
        let trace = unfolded(&found[0].trace()).to_lowercase();
        assert!(trace.contains(" with esmtpsa "), "{trace}");
    }
    // Nobody else gets in, and a certificate of another authority is not enough.
    assert!(submit(neighbour.address(), "a@here.example", MAILBOXES, &content).is_err());
    let stranger = that_sends_on(neighbour.address(), "[delivery]\ntls = \"required\"\n");
    submit(stranger.address(), "a@here.example", MAILBOXES, &content).expect("we take it");
    stranger.wait_for_log("defer", PATIENCE);
    assert_eq!(maildir::count(&neighbour.maildirs()), MAILBOXES.len());
}

/// Tells each story of both.
macro_rules! stories {
    ($($story:ident),* $(,)?) => {
        mod exim {
            $(#[test] fn $story() { super::$story(super::Make::Exim); })*
        }
        mod opensmtpd {
            $(#[test] fn $story() { super::$story(super::Make::OpenSmtpd); })*
        }
    };
}

stories!(
    relays_through_us_under_tls,
    returns_to_its_sender_what_we_refuse,
    takes_our_mail_under_tls_and_what_it_refuses_comes_back,
    believes_its_users_where_its_certificate_is_good,
);
