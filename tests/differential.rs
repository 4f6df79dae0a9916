//! The same octets to wasmail and to a real Postfix, and whether both make the same of them.
//!
//! `tests/differential/*.txt` are what clients say, `tests/differential/README.md` explains the format. What is compared are the
//! first digits of the replies, in their order, and how the session stands afterwards. Each difference has its reason in
//! `tests/differential/differences.toml`; one that has none is a failure, and so is a reason for what is no difference.

mod peers;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use peers::authority::Authority;
use peers::loopback::Loopback;
use peers::postfix::{Postfix, Role};
use support::{Home, Server};
use wasmail_dialog::{Peer, unescape};

/// For one reply.
const PATIENCE: Duration = Duration::from_secs(30);
/// What ends a case. Where commands are read, two of these lines are none; where content is read, it ends.
const PROBE: &[u8] = b"\r\n.\r\nQUIT\r\n";

/// What a client says on one connection.
#[derive(Debug)]
struct Case {
    name: String,
    /// Where it stands, for messages.
    place: String,
    /// What goes before, in the same words to both and answered alike by both.
    before: Vec<(&'static str, u8)>,
    acts: Vec<Act>,
}

#[derive(Debug)]
enum Act {
    /// Octets in one write, and how many replies are waited for.
    Say(Vec<u8>, usize),
    /// A TLS handshake.
    Secure,
    /// Nothing more will come, which the server hears.
    Finish,
}

/// What a server made of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    /// First digits of the replies.
    replies: String,
    end: End,
}

/// How a session stands after a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It waits for commands.
    Open,
    /// It was reading content, of which it said this in the end.
    Content(char),
    /// The server has closed.
    Closed,
    /// It says nothing.
    Silent,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<_> = self.replies.chars().map(String::from).collect();
        match self.end {
            End::Open => {}
            End::Content(digit) => words.push(format!("content {digit}")),
            End::Closed => words.push("closed".to_owned()),
            End::Silent => words.push("silent".to_owned()),
        }
        f.write_str(&words.join(" "))
    }
}

/// A connection on which a case is held.
struct Session {
    peer: Loopback,
    /// What has come and is not read yet.
    heard: Vec<u8>,
}

impl Session {
    /// The first digit of the next reply; none when the server closes, speaks no SMTP, or says nothing.
    fn reply(&mut self) -> Result<char, End> {
        loop {
            let line = self.line()?;
            let digits = line.iter().take(3).filter(|octet| octet.is_ascii_digit()).count();
            if digits < 3 {
                return Err(End::Closed);
            }
            if line.get(3) != Some(&b'-') {
                return Ok(char::from(line[0]));
            }
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, End> {
        loop {
            if let Some(at) = self.heard.iter().position(|octet| *octet == b'\n') {
                return Ok(self.heard.drain(..=at).collect());
            }
            match self.peer.receive() {
                Ok(octets) if octets.is_empty() => return Err(End::Closed),
                Ok(octets) => self.heard.extend(octets),
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                    return Err(End::Silent);
                }
                Err(_) => return Err(End::Closed),
            }
        }
    }

    fn say(&mut self, octets: &[u8]) {
        // A server that has closed may have said why: that is read next.
        let _ = self.peer.send(octets);
    }

    /// Says it all.
    fn hold(&mut self, case: &Case) -> Outcome {
        assert_eq!(self.reply(), Ok('2'), "{}: no greeting", case.place);
        for (line, digit) in &case.before {
            self.say(format!("{line}\r\n").as_bytes());
            assert_eq!(self.reply(), Ok(char::from(*digit)), "{}: {line}", case.place);
        }
        let mut replies = String::new();
        for act in &case.acts {
            match act {
                Act::Say(octets, expected) => {
                    self.say(octets);
                    for _ in 0..*expected {
                        match self.reply() {
                            Ok(digit) => replies.push(digit),
                            Err(end) => return Outcome { replies, end },
                        }
                    }
                }
                Act::Secure if self.peer.secure().is_err() => return Outcome { replies, end: End::Closed },
                Act::Secure => {}
                Act::Finish => return self.rest(replies),
            }
        }
        self.end(replies)
    }

    /// Says that nothing more will come, and hears the rest.
    fn rest(&mut self, mut replies: String) -> Outcome {
        // A server that has closed already has heard it.
        let _ = self.peer.finish();
        loop {
            match self.reply() {
                Ok(digit) => replies.push(digit),
                Err(end) => return Outcome { replies, end },
            }
        }
    }

    /// Asks how the session stands.
    fn end(&mut self, mut replies: String) -> Outcome {
        self.say(PROBE);
        let mut rest = Vec::new();
        let end = loop {
            match self.reply() {
                Ok(digit) => rest.push(digit),
                Err(End::Silent) => break End::Silent,
                // To the probe, after all that was still to be said of the case.
                Err(_) => break after(&mut rest),
            }
        };
        replies.extend(rest);
        Outcome { replies, end }
    }
}

/// How a session stood that has answered the probe so, last of all; those answers are taken away.
fn after(replies: &mut Vec<char>) -> End {
    let (answers, end) = match replies[..] {
        [.., '5', '5', '2'] => (3, End::Open),
        [.., digit, '2'] => (2, End::Content(digit)),
        _ => (0, End::Closed),
    };
    replies.truncate(replies.len() - answers);
    end
}

fn outcome(case: &Case, server: SocketAddr) -> Outcome {
    let peer = Loopback::connect(Ipv4Addr::LOCALHOST, server, PATIENCE).expect("the server takes connections");
    Session { peer, heard: Vec::new() }.hold(case)
}

/// What goes before a case.
fn before(state: &str) -> Option<Vec<(&'static str, u8)>> {
    const STEPS: [(&str, &str, u8); 4] = [
        ("ehlo", "EHLO client.example", b'2'),
        ("mail", "MAIL FROM:<a@client.example>", b'2'),
        ("rcpt", "RCPT TO:<b@example.test>", b'2'),
        ("data", "DATA", b'3'),
    ];
    if state == "connect" {
        return Some(Vec::new());
    }
    let last = STEPS.iter().position(|(name, ..)| *name == state)?;
    Some(STEPS[..=last].iter().map(|(_, line, digit)| (*line, *digit)).collect())
}

fn folder() -> PathBuf {
    support::root().join("tests/differential")
}

/// The cases of all files.
fn corpus() -> Vec<Case> {
    let files = fs::read_dir(folder()).expect("it is there").map(|entry| entry.expect("it can be read").path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|ending| ending == "txt")).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let name = file.file_name().expect("it has a name").to_string_lossy().into_owned();
        read(&name, &fs::read_to_string(&file).expect("it can be read"), &mut cases);
    }
    let mut names = BTreeSet::new();
    for case in &cases {
        assert!(names.insert(&case.name), "{}: there is another case `{}`", case.place, case.name);
    }
    cases
}

fn read(file: &str, text: &str, cases: &mut Vec<Case>) {
    let (mut state, mut each, mut name) = (before("connect").expect("it is a state"), false, None);
    let mut group: (Vec<u8>, usize) = Default::default();
    for (at, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", at + 1);
        let (mark, rest) = line.split_at(line.find([' ', ':', '|', '>', '!']).map_or(line.len(), |at| at + 1));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match mark.trim_end() {
            "" => {}
            "##" => assert!(group.0.is_empty(), "{place}: a group ends with C:"),
            "@" => {
                let (after, how) = rest.split_once(' ').unwrap_or((rest, ""));
                state = before(after).unwrap_or_else(|| panic!("{place}: no state `{after}`"));
                each = how == "each";
                name = None;
            }
            "#" => name = Some(rest.to_owned()),
            "C!" => cases.last_mut().expect("a case has a name").acts.push(Act::Finish),
            "C:" | "C|" | "C>" => {
                let octets = match rest.strip_suffix('\\') {
                    Some(text) => unescape(text),
                    None => [unescape(rest).as_slice(), b"\r\n"].concat(),
                };
                group.0.extend(octets);
                group.1 += usize::from(mark != "C>");
                let named = if each { Some(rest.to_owned()) } else { name.take() };
                if let Some(name) = named {
                    cases.push(Case { name, place: place.clone(), before: state.clone(), acts: Vec::new() });
                }
                let case = cases.last_mut().unwrap_or_else(|| panic!("{place}: a case has a name"));
                match mark {
                    "C|" => {}
                    _ if rest == "<tls>" => {
                        group = Default::default();
                        case.acts.push(Act::Secure);
                    }
                    _ => {
                        let (octets, replies) = std::mem::take(&mut group);
                        case.acts.push(Act::Say(octets, replies));
                    }
                }
            }
            _ => panic!("{place}: a line begins with #, @, C:, C|, C>, C! or ##"),
        }
    }
}

/// Why some cases have different outcomes.
struct Reason {
    why: String,
    wasmail: String,
    postfix: String,
}

/// The reasons by names of cases.
fn reasons() -> BTreeMap<String, Reason> {
    let text = fs::read_to_string(folder().join("differences.toml")).expect("it can be read");
    let table: toml::Table = text.parse().expect("it is TOML");
    let mut reasons = BTreeMap::new();
    for entry in table["difference"].as_array().expect("there are some") {
        let text = |key: &str| entry[key].as_str().unwrap_or_else(|| panic!("{entry}: no {key}")).to_owned();
        for case in entry["cases"].as_array().expect("it is a list") {
            let case = case.as_str().expect("it is a name").to_owned();
            let reason = Reason { why: text("why"), wasmail: text("wasmail"), postfix: text("Postfix") };
            assert!(reason.why.len() > 20, "{case}: that is no reason");
            assert!(reasons.insert(case.clone(), reason).is_none(), "{case}: two reasons");
        }
    }
    reasons
}

/// A server of ours that takes mail as the Postfix does.
fn ours() -> Server {
    Home::new(
        "[dns]\nreverse = \"off\"\n[[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\n\
         [[plugin]]\nname = \"local-domains\"\nmodule = \"builtin:local-domains\"\ngrants = [\"accept-recipients\"]\n\
         config = { domains = [\"example.test\"] }\n",
    )
    .with_shared_cache()
    .start()
}

/// A Postfix as it is set up for the world today: what newer versions have on by themselves is switched on, and nobody waits for
/// an error. Without its rule that a line which begins with no letter ends the session, for the probe has one.
fn theirs(dir: &std::path::Path) -> Postfix {
    let certificate = Authority::new().certify(&["postfix.example"]);
    let chain = dir.join("chain.pem");
    fs::write(&chain, certificate.key + &certificate.chain).expect("the directory is ours");
    let more = format!(
        "mynetworks = 127.0.0.2/32\nsmtpd_recipient_restrictions =\nsmtpd_relay_restrictions = reject_unauth_destination\n\
         virtual_mailbox_maps = static:box/\nvirtual_transport = discard:\nsmtpd_error_sleep_time = 0\n\
         smtpd_forbidden_commands = CONNECT GET POST\nsmtpd_forbid_bare_newline = reject\nsmtpd_forbid_bare_newline_exclusions =\n\
         smtpd_forbid_unauth_pipelining = yes\nsmtpd_tls_security_level = may\nsmtpd_tls_chain_files = {}\n\
         smtpd_timeout = 60s\nsmtpd_peername_lookup = no\n",
        chain.display()
    );
    Postfix::start_with(&Role::Deliver(&[]), &more)
}

#[test]
fn both_make_the_same_of_what_clients_say_or_there_is_a_reason() {
    if !Postfix::here() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory can be made");
    let (ours, theirs) = (ours(), theirs(dir.path()));
    let cases = corpus();
    assert!(cases.len() > 150, "only {} cases were found", cases.len());
    let mut reasons = reasons();
    let mut failures = Vec::new();
    for case in &cases {
        let (wasmail, postfix) = (outcome(case, ours.address()), outcome(case, theirs.address()));
        let found = format!("{}: {}\n    wasmail: {wasmail}\n    Postfix: {postfix}", case.place, case.name);
        match reasons.remove(&case.name) {
            None if wasmail == postfix => {}
            None => failures.push(format!("{found}\n    and no reason")),
            Some(_) if wasmail == postfix => failures.push(format!("{found}\n    is no difference, but has a reason")),
            Some(reason) if reason.wasmail == wasmail.to_string() && reason.postfix == postfix.to_string() => {}
            Some(reason) => failures.push(format!(
                "{found}\n    but differences.toml has {} and {}: {}",
                reason.wasmail, reason.postfix, reason.why
            )),
        }
    }
    failures.extend(reasons.into_keys().map(|name| format!("{name}: there is no such case, but a reason")));
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
