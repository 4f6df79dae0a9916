//! Mail from clients that nobody here wrote: swaks, Python's smtplib, curl, smtp-source.
//!
//! What each of them sends and is told it was accepted lies in the Maildir octet by octet; what was refused doesn't.

mod peers;
mod support;

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use peers::maildir::{self, assert_same, messages, wait_for};
use peers::programs::{Finished, command, here, run};
use support::Server;

/// For a client to finish, and for a message to be delivered after it.
const PATIENCE: Duration = Duration::from_secs(60);

const DATE: &str = "Mon, 23 Nov 2026 10:00:00 +0000";

/// A small limit, so that it is cheap to go beyond.
const CONFIG: &str = "[limits]\nmessage_size = 300000\n";

fn swaks(address: SocketAddr, to: &str) -> Command {
    let mut swaks = command("swaks");
    swaks.args(["--server", &address.ip().to_string(), "--port", &address.port().to_string()]);
    swaks.args(["--ehlo", "client.example", "--from", "sender@example.org", "--to", to]);
    swaks.args(["--h-Date", DATE, "--timeout", "60"]);
    swaks
}

/// The content as swaks says that it was sent: from the 354 to the final dot, dots undoubled.
fn as_sent(transcript: &[u8]) -> Vec<u8> {
    let lines = transcript.split_inclusive(|octet| *octet == b'\n');
    let data = lines.skip_while(|line| !line.starts_with(b"<-  354")).skip(1);
    let sent = data.map_while(|line| line.strip_prefix(b" -> ")).take_while(|line| *line != b".\n");
    sent.flat_map(|line| if line.starts_with(b".") { &line[1..] } else { line }).copied().collect()
}

/// Sends with swaks, and finds in the recipients' Maildirs what it says it sent.
fn swaks_delivers(server: &Server, to: &[&str], extra: &[&str]) -> Finished {
    let before: Vec<_> = to.iter().map(|to| messages(&maildir::of(&server.maildirs(), to)).len()).collect();
    let sent = run(swaks(server.address(), &to.join(",")).args(extra), b"", PATIENCE).well();
    let content = as_sent(&sent.stdout);
    assert!(!content.is_empty(), "the transcript shows no content:\n{}", sent.text());
    for (to, before) in to.iter().zip(before) {
        let found = wait_for(&maildir::of(&server.maildirs(), to), before + 1, PATIENCE);
        let same = found.iter().filter(|mail| mail.content() == maildir::crlf(&content)).count();
        if same != 1 {
            assert_same(found.last().expect("one is there"), &content);
        }
    }
    sent
}

#[test]
fn what_swaks_sends_is_delivered_as_it_was_sent() {
    if !here(&["swaks"]) {
        return;
    }
    let server = Server::start(CONFIG);
    swaks_delivers(&server, &["alice@example.test"], &["--h-Subject", "plain"]);
    swaks_delivers(&server, &["alice@example.test"], &["--pipeline", "--h-Subject", "pipelined"]);
    swaks_delivers(&server, &["alice@example.test", "bob@example.test"], &["--body", "for two\\n.\\n.. dots\\nend"]);
    swaks_delivers(&server, &["alice@example.test"], &["--body", "grüße, 世界"]);
    let attachment = concat!("@", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let body = ["--attach-body", "see the attachment", "--attach-type", "text/plain", "--attach", attachment];
    swaks_delivers(&server, &["carol@example.test"], &body);
    let trace =
        wait_for(&maildir::of(&server.maildirs(), "carol@example.test"), 1, PATIENCE)[0].trace().replace("\r\n ", " ");
    for part in ["Return-Path: <sender@example.org>", "from client.example", "with ESMTP", "for <carol@example.test>"] {
        assert!(trace.contains(part), "no {part:?} in:\n{trace}");
    }
}

#[test]
fn what_is_refused_to_swaks_is_not_delivered() {
    if !here(&["swaks"]) {
        return;
    }
    let server = Server::start(CONFIG);
    let stranger = run(&mut swaks(server.address(), "someone@elsewhere.test"), b"", PATIENCE);
    assert_eq!(stranger.status.code(), Some(24), "swaks says: no recipient was accepted\n{}", stranger.text());
    assert!(stranger.text().contains("<** 550 5.7.1 "), "{}", stranger.text());
    let mixed = swaks_delivers(&server, &["alice@example.test"], &["--to", "alice@example.test,x@elsewhere.test"]);
    assert!(mixed.text().contains("<** 550 5.7.1 "), "{}", mixed.text());
    wait_for(&server.maildirs(), 1, PATIENCE);
}

#[test]
fn smtplib_and_the_server_agree_on_what_was_accepted() {
    if !here(&["python3"]) {
        return;
    }
    let server = Server::start(CONFIG);
    let mut python = command("python3");
    python.args(["-", &server.address().ip().to_string(), &server.address().port().to_string()]);
    let talk = run(&mut python, include_bytes!("peers/talk.py"), PATIENCE).well();
    let talk: serde_json::Value = serde_json::from_slice(&talk.stdout).expect("the script prints JSON");
    let talk: Vec<_> = talk.as_array().expect("a list").iter().map(Told::read).collect();
    let copies = talk.iter().map(|told| told.accepted.len()).sum();
    let found = wait_for(&server.maildirs(), copies, PATIENCE);
    for told in &talk {
        for to in &told.accepted {
            let folder = maildir::of(&server.maildirs(), to);
            let copy = |mail: &&maildir::Delivered| {
                mail.path.starts_with(&folder) && mail.field("X-Story").as_deref() == Some(&told.id)
            };
            let copies: Vec<_> = found.iter().filter(copy).collect();
            assert_eq!(copies.len(), 1, "{} for {to}", told.id);
            assert_same(copies[0], &told.content);
        }
    }
    refusals_are_as_they_should(&talk);
}

/// What smtplib was told about one message.
#[derive(Debug)]
struct Told {
    id: String,
    content: Vec<u8>,
    /// Recipients that were taken, when the message was.
    accepted: Vec<String>,
    /// The reply for each recipient that was not, or for all of them under no name.
    refused: Vec<(String, u64, String)>,
}

impl Told {
    fn read(entry: &serde_json::Value) -> Self {
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        let refused = entry["refused"].as_object().expect("an object").iter();
        let refused: Vec<_> =
            refused.map(|(to, reply)| (to.clone(), reply[0].as_u64().expect("a code"), text(&reply[1]))).collect();
        let recipients = entry["recipients"].as_array().expect("a list").iter().map(text);
        let accepted = entry["accepted"] == true;
        let accepted = recipients.filter(|to| accepted && refused.iter().all(|(other, ..)| other != to)).collect();
        // The script writes octets as the code points of the same numbers.
        let content = text(&entry["content"]);
        let content = content.chars().map(|octet| u8::try_from(u32::from(octet)).expect("an octet"));
        Self { id: text(&entry["id"]), content: content.collect(), accepted, refused }
    }
}

fn refusals_are_as_they_should(talk: &[Told]) {
    let seen: Vec<_> = talk
        .iter()
        .flat_map(|told| told.refused.iter().map(|(to, code, text)| (&*told.id, &**to, *code, &text[..5])))
        .collect();
    let expected = [
        ("mixed", "x@elsewhere.test", 550, "5.7.1"),
        ("nobody", "x@elsewhere.test", 550, "5.7.1"),
        ("nobody", "y@elsewhere.test", 550, "5.7.1"),
        ("huge", "", 552, "5.3.4"),
        ("undeclared", "", 552, "5.3.4"),
    ];
    assert_eq!(seen, expected);
    let accepted: Vec<_> = talk.iter().filter(|told| !told.accepted.is_empty()).map(|told| &*told.id).collect();
    let expected = ["plain", "dots", "eight-bit", "two", "mixed", "folded", "long", "large", "utf8", "last"];
    assert_eq!(accepted, expected);
}

#[test]
fn curl_uploads_a_message() {
    if !here(&["curl"]) {
        return;
    }
    let server = Server::start(CONFIG);
    let content =
        format!("From: a@example.org\nTo: alice@example.test\nDate: {DATE}\nMessage-Id: <curl@x>\n\n.\n.two\nend\n");
    let mut curl = command("curl");
    curl.args(["--silent", "--show-error", "--crlf", "--max-time", "60", "--upload-file", "-"]);
    curl.args(["--mail-from", "a@example.org", "--mail-rcpt", "alice@example.test", "--mail-rcpt", "bob@example.test"]);
    // Neither a proxy nor a .netrc of the machine takes part.
    curl.args(["--noproxy", "*", &format!("smtp://{}/client.example", server.address())]);
    run(&mut curl, content.as_bytes(), PATIENCE).well();
    for mail in wait_for(&server.maildirs(), 2, PATIENCE) {
        assert_same(&mail, content.as_bytes());
    }
}

#[test]
fn many_sessions_of_smtp_source_lose_and_mix_up_nothing() {
    if !here(&["smtp-source"]) {
        return;
    }
    let server = Server::start(CONFIG);
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let line = ".a line that begins with a dot, some eighty octets long, so that it looks like mail\n";
    let content =
        format!("From: a@example.org\nTo: b@example.test\nDate: {DATE}\nMessage-Id: <1@x>\n\n{}", line.repeat(40));
    std::fs::write(file.path(), &content).expect("the file is ours");
    let mut source = command("smtp-source");
    source.args(["-s", "20", "-m", "300", "-r", "2", "-f", "a@example.org", "-t", "box@example.test", "-F"]);
    source.arg(file.path()).arg(format!("inet:{}", server.address()));
    run(&mut source, b"", PATIENCE).well();
    // It puts an empty line between the file and the final dot.
    let sent = format!("{content}\n");
    for name in ["2box@example.test", "box@example.test"] {
        for mail in wait_for(&maildir::of(&server.maildirs(), name), 300, PATIENCE) {
            assert_same(&mail, sent.as_bytes());
        }
    }
}
