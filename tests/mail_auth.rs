//! Where a message comes from, in the built binary, with a DNS on loopback: plugins ask, and the host tells it.

mod peers;
mod support;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use peers::client::Client;
use peers::maildir;
use ring::digest;
use ring::signature::{Ed25519KeyPair, KeyPair};
use support::{Home, Server};

/// The records and the message of RFC 8463 appendix A.3, signed by a key of each kind.
const SIGNED: &str = include_str!("../host/authentication/tests/dkim/rfc8463.txt");
const SENDER: &str = "joe@football.example.com";
/// Longest that anything here may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A name server with these texts; `asked` counts its questions.
struct Names {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Names {
    fn start(more: &[(&str, &str)]) -> Self {
        let keys = SIGNED.split_once("\n\n").expect("the records come first").0.lines();
        let mut texts: Vec<(String, String)> =
            keys.filter_map(|line| line.split_once(' ')).map(|(name, text)| (name.into(), text.into())).collect();
        texts.extend(more.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let address = socket.local_addr().expect("it has an address");
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            loop {
                let mut octets = [0; 512];
                let (len, from) = socket.recv_from(&mut octets).expect("the server asks");
                count.fetch_add(1, Ordering::SeqCst);
                socket.send_to(&answer(&octets[..len], &texts), from).expect("the server listens");
            }
        });
        Self { address, asked }
    }
}

/// The answer to a question on the wire (RFC 1035 section 4.1): texts, or that there is no such name.
fn answer(question: &[u8], texts: &[(String, String)]) -> Vec<u8> {
    let mut name = String::new();
    let mut at = 12;
    while question[at] > 0 {
        let len = usize::from(question[at]);
        name += &format!("{}.", String::from_utf8_lossy(&question[at + 1..at + 1 + len]).to_lowercase());
        at += 1 + len;
    }
    let is_text = question[at + 1..at + 3] == [0, 16];
    let found: Vec<_> = texts.iter().filter(|(known, _)| is_text && name == format!("{known}.")).collect();
    let mut reply = question[..at + 5].to_vec();
    let code = if found.is_empty() { 0x83 } else { 0x80 };
    reply[2..12].copy_from_slice(&[0x81, code, 0, 1, 0, found.len() as u8, 0, 0, 0, 0]);
    for (_, text) in found {
        let strings: Vec<u8> =
            text.as_bytes().chunks(255).flat_map(|part| [&[part.len() as u8], part].concat()).collect();
        // The name by reference, TXT, IN, a minute.
        reply.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60]);
        reply.extend((strings.len() as u16).to_be_bytes());
        reply.extend(strings);
    }
    reply
}

/// A server whose guests say these things, one after the other.
fn server(names: SocketAddr, more: &str, says: &[&str]) -> Server {
    let module = support::says();
    let plugins: String = says
        .iter()
        .enumerate()
        .map(|(number, says)| {
            format!(
                "[[plugin]]\nname = \"says-{number}\"\nmodule = {module:?}\ngrants = [\"accept-recipients\", \
                 \"take-messages\", \"overturn-denials\", \"edit-reverse-path\"{}]\nconfig = {{ rcpt = \"accept\", {says} }}\n",
                if says.contains("ask") && !says.contains("ungranted") { ", \"mail-auth\"" } else { "" }
            )
        })
        .collect();
    Home::new(&format!("[dns]\nreverse = \"off\"\nservers = [\"{names}\"]\n{more}{plugins}")).start()
}

fn message() -> String {
    SIGNED.split_once("\n\n").expect("the message comes last").1.replace('\n', "\r\n")
}

/// What the client hears after the data.
fn deliver(server: &Server, message: &str) -> (u16, String) {
    let mut client = Client::greeted(server.address()).expect("the server greets");
    let reply = client.send(SENDER, &["b@example.test"], message.as_bytes()).expect("the server replies");
    (reply.code, reply.text)
}

const RECORDS: [(&str, &str); 2] =
    [("football.example.com", "v=spf1 ip4:127.0.0.0/8 -all"), ("_dmarc.example.com", "v=DMARC1; p=none; sp=reject")];

#[test]
fn a_guest_hears_where_a_message_comes_from() {
    let names = Names::start(&RECORDS);
    let genuine =
        "pass \"ed25519-sha256\" Some(256), pass \"rsa-sha256\" Some(1024); pass none Some(\"example.com\"); none 0";
    // Two that edit stand before: the message is judged as it came.
    let says = ["data-post = \"edit\"", "data-post = \"sender eve@else.example\"", "data-post = \"ask origin\""];
    let asks = server(names.address, "", &says);
    let (code, text) = deliver(&asks, &message());
    assert!(code == 550 && text.contains(genuine), "{code} {text}");
    // Signatures fail when the message was changed on the way; that the client is the domain's own is enough for DMARC.
    let (_, text) = deliver(&asks, &message().replace("hungry", "angry"));
    assert!(text.contains("fail \"ed25519-sha256\" Some(256), fail"), "{text}");
    assert!(text.contains("; pass none Some(\"example.com\")"), "{text}");
    // Somebody else's client and a changed message is what the policy is for.
    let strangers = Names::start(&[("football.example.com", "v=spf1 ip4:192.0.2.0/24 -all"), RECORDS[1]]);
    let asks = server(strangers.address, "", &["data-post = \"ask origin\""]);
    let (_, text) = deliver(&asks, &message().replace("hungry", "angry"));
    assert!(text.contains("; fail reject Some(\"example.com\")"), "{text}");
    let (_, text) = deliver(&asks, "From: a@b.example\r\n\r\nunsigned\r\n");
    assert!(text.contains(" ; none none Some(\"b.example\"); none 0"), "{text}");
}

#[test]
fn spf_is_known_from_mail_on_and_nothing_without_the_grant() {
    let names =
        Names::start(&[("football.example.com", "v=spf1 exp=why.example.com -all"), ("why.example.com", "Not %{i}")]);
    let heard = |says: &str| {
        let server = server(names.address, "", &[says]);
        let mut client = Client::greeted(server.address()).expect("the server greets");
        let noop = client.command("NOOP").expect("the server replies").text;
        let mail = client.command(&format!("MAIL FROM:<{SENDER}>")).expect("the server replies").text;
        (noop, mail)
    };
    let (noop, mail) = heard("noop = \"ask spf\", mail = \"ask spf\"");
    assert!(noop.contains("Invalid(\"there is no transaction here\")"), "{noop}");
    assert!(mail.contains("none fail Some(\"Not 127.0.0.1\")"), "{mail}");
    let (noop, mail) = heard("noop = \"ask spf\", mail = \"ask spf\", quit = \"ungranted\"");
    assert!(noop.contains("NotGranted") && mail.contains("NotGranted"), "{noop} {mail}");
}

#[test]
fn what_was_found_out_is_in_the_header_and_forgeries_are_not() {
    let names = Names::start(&RECORDS);
    let asks = server(names.address, "", &["mail = \"next\", noop = \"ask spf\", data-post = \"ask and go on\""; 3]);
    let forged = "Authentication-Results: MAIL.example.test; spf=pass smtp.mailfrom=eve\r\n";
    let (code, text) = deliver(&asks, &format!("{forged}{}", message()));
    assert_eq!(code, 250, "{text}");
    let delivered = maildir::wait_for(&asks.maildirs(), 1, LIMIT).remove(0);
    let raw = String::from_utf8_lossy(&delivered.raw).replace("\r\n ", " ");
    let results = raw.lines().find(|line| line.starts_with("Authentication-Results:")).expect("there are results");
    for part in [
        "Authentication-Results: mail.example.test; spf=pass smtp.mailfrom=joe@football.example.com; spf=none \
         smtp.helo=client.example; dkim=pass header.d=football.example.com header.i=@football.example.com \
         header.s=brisbane header.a=ed25519-sha256 header.b=\"/gCrinpc\"; dkim=pass",
        "; dmarc=pass header.from=football.example.com policy.dmarc=reject; arc=none smtp.remote-ip=127.0.0.1",
    ] {
        assert!(results.contains(part), "{part} is not in {raw}");
    }
    assert_eq!(raw.matches("Authentication-Results:").count(), 1, "{raw}");
    assert!(!raw.contains("smtp.mailfrom=eve"), "{raw}");
    // However many asked: two policies, two identities of SPF, and two keys.
    let asked = names.asked.load(Ordering::SeqCst);
    assert!(asked <= 6, "{asked} questions");
}

#[test]
fn a_dead_dns_makes_nobody_wait_for_long() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let address = silent.local_addr().expect("it has an address");
    let asks = server(address, "[mail_auth]\ntimeout = \"300ms\"\n", &["data-post = \"ask origin\""]);
    let (code, text) = deliver(&asks, &message());
    assert!(code == 550 && text.contains("temperror \"ed25519-sha256\" None"), "{code} {text}");
    assert!(text.contains("; temperror none Some(\"example.com\"); none 0"), "{text}");
}

#[test]
fn a_time_that_nobody_could_wait_for_is_a_mistake() {
    let home = Home::new("[mail_auth]\ntimeout = \"10s\"\nconcurrency = 0\n");
    let output = home.command(&["check"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("mail_auth.timeout: must be shorter than engine.wall_clock"), "{said}");
    assert!(said.contains("mail_auth.concurrency: must be 1 at least"), "{said}");
}

/// Lines of the large message, of 78 octets.
const LINES: usize = 1_000_000;
/// What judging a message may add to the server's peak, in octets: a session's buffers and pieces, not the message.
const ROOM: u64 = 8_000_000;

#[test]
#[allow(clippy::print_stderr, reason = "the figure is what one wants to know")]
fn a_large_message_is_judged_in_little_memory() {
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 octets are a seed");
    let record = format!("v=DKIM1; k=ed25519; p={}", BASE64.encode(key.public_key().as_ref()));
    let names = Names::start(&[("x._domainkey.a.example", record.as_str())]);
    let asks = server(names.address, "[limits]\nmessage_size = \"200MB\"\n", &["data-post = \"ask origin\""]);
    let line = format!("{:076}\r\n", 7);
    let send = |lines: usize| {
        let mut hash = digest::Context::new(&digest::SHA256);
        (0..lines).for_each(|_| hash.update(line.as_bytes()));
        let hash = BASE64.encode(hash.finish().as_ref());
        let fields = format!(
            "From: a@a.example\r\nDKIM-Signature: v=1; a=ed25519-sha256; d=a.example; s=x; h=from; bh={hash}; b="
        );
        let signature = key.sign(digest::digest(&digest::SHA256, fields.as_bytes()).as_ref());
        let mut client = Client::greeted(asks.address()).expect("the server greets");
        client.begin("a@a.example", &["b@example.test"]).expect("the server replies");
        let header = format!("{fields}{}\r\n\r\n", BASE64.encode(signature.as_ref()));
        client.write(header.as_bytes()).expect("the server reads");
        let block = line.repeat(1_000);
        (0..lines / 1_000).for_each(|_| client.write(block.as_bytes()).expect("the server reads"));
        let began = Instant::now();
        client.write(b".\r\n").expect("the server reads");
        let reply = client.reply().expect("the server replies");
        assert!(reply.text.contains("pass \"ed25519-sha256\""), "{}", reply.text);
        began.elapsed()
    };
    send(1_000);
    let before = peak(&asks);
    let took = send(LINES);
    let grown = peak(&asks) - before;
    eprintln!("{} octets: judged in {took:?}, {grown} octets more", LINES * line.len());
    assert!(grown <= ROOM, "{grown} octets more");
}

/// Largest resident set so far, in octets.
fn peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024
}

#[test]
fn the_bundled_plugin_refuses_what_the_authors_domain_wants_refused() {
    let names = Names::start(&[("football.example.com", "v=spf1 ip4:192.0.2.0/24 -all"), RECORDS[1]]);
    let config = format!(
        "[dns]\nreverse = \"off\"\nservers = [\"{}\"]\n\
         [[plugin]]\nname = \"mail-auth\"\nmodule = \"builtin:mail-auth\"\ngrants = [\"mail-auth\"]\nconfig = {{ exempt = \"nobody\" }}\n\
         [[plugin]]\nname = \"local-domains\"\nmodule = \"builtin:local-domains\"\ngrants = [\"accept-recipients\"]\n\
         config = {{ domains = [\"example.test\"] }}\n",
        names.address
    );
    let server = Home::new(&config).start();
    let (code, text) = deliver(&server, &message().replace("hungry", "angry"));
    assert_eq!(code, 550, "{text}");
    assert!(text.contains("5.7.1 football.example.com does not let this message be sent in its name"), "{text}");
    assert_eq!(deliver(&server, &message()).0, 250);
    let log = server.wait_for_log("verdict=\"queued\"", LIMIT);
    assert!(log.contains("dkim football.example.com") && log.contains("dmarc"), "{log}");
}
