//! What we offer under TLS, looked at from outside as testssl.sh does: with openssl's client, and with first messages that it no longer
//! writes.

mod peers;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use peers::authority::Authority;
use peers::programs::{command, finish, here, run, start};
use support::{Home, Server};

const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "mx.example.test";
/// What TLS 1.2 may be spoken with: an ephemeral key and an authenticated cipher, all of them.
const SUITES_1_2: [&str; 6] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
];
/// Their numbers, in the registry of TLS.
const NUMBERS_1_2: [u16; 6] = [0xC02B, 0xC02C, 0xCCA9, 0xC02F, 0xC030, 0xCCA8];
const SUITES_1_3: [&str; 3] = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/// A way to TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    StartTls(SocketAddr),
    Implicit(SocketAddr),
}

impl Door {
    /// Both ways to a server.
    fn both(server: &Server) -> [Self; 2] {
        [Self::StartTls(server.addresses()[0]), Self::Implicit(server.addresses()[1])]
    }

    /// What openssl's client says of it, standard output and error.
    fn s_client(self, args: &[&str], input: &str) -> String {
        let said = run(&mut self.command(args), input.as_bytes(), PATIENCE);
        said.text() + &said.stderr
    }

    fn command(self, args: &[&str]) -> Command {
        let mut openssl = command("openssl");
        let (address, starttls): (_, &[&str]) = match self {
            Self::StartTls(address) => (address, &["-starttls", "smtp"]),
            Self::Implicit(address) => (address, &[]),
        };
        openssl.args(["s_client", "-connect", &address.to_string(), "-servername", NAME]).args(starttls).args(args);
        openssl
    }

    /// Version and cipher suite of a handshake with these restrictions; none when the server refuses it.
    fn handshake(self, args: &[&str]) -> Option<(String, String)> {
        let said = self.s_client(&[&["-brief"], args].concat(), "");
        if !said.contains("CONNECTION ESTABLISHED") {
            // Otherwise the client itself would know none.
            assert!(said.contains(" alert "), "{self:?} {args:?}: not refused by the server:\n{said}");
            return None;
        }
        let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)).map(|text| text.trim().to_owned());
        Some((value("Protocol version:")?, value("Ciphersuite:")?))
    }

    /// A connection on which a handshake may begin.
    fn open(self) -> TcpStream {
        let (Self::StartTls(address) | Self::Implicit(address)) = self;
        let mut stream = TcpStream::connect(address).expect("the server takes connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
        if let Self::StartTls(_) = self {
            for (line, end) in [("", "220"), ("EHLO client.example\r\n", "250 "), ("STARTTLS\r\n", "220")] {
                stream.write_all(line.as_bytes()).expect("the server reads");
                while !read_line(&mut stream).starts_with(end) {}
            }
        }
        stream
    }

    /// What the server answers to a first message: all that comes until it closes or has said its part.
    fn answer(self, hello: &[u8]) -> Vec<u8> {
        let mut stream = self.open();
        stream.write_all(hello).expect("the server reads");
        // A ServerHello fits, and who says less closes.
        stream.shutdown(std::net::Shutdown::Write).expect("it is open");
        let mut said = Vec::new();
        // A server that resets has said what it wanted to say.
        let _ = stream.read_to_end(&mut said);
        said
    }
}

/// All that comes until the end of a line that begins so.
fn read_line_with(stream: &mut impl Read, start: &str) -> String {
    let mut text = String::new();
    loop {
        let line = read_line(stream);
        text.push_str(&line);
        if line.starts_with(start) {
            return text;
        }
    }
}

fn read_line(stream: &mut impl Read) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut octet = [0];
        stream.read_exact(&mut octet).expect("the server answers");
        line.push(octet[0]);
    }
    String::from_utf8(line).expect("it is ASCII")
}

/// A ClientHello (RFC 5246 §7.4.1.2) of this version in a record of that.
fn client_hello(record: u16, version: u16, suites: &[u16], compressions: &[u8]) -> Vec<u8> {
    let sized = |octets: &[u8]| [&u16::try_from(octets.len()).expect("it is short").to_be_bytes(), octets].concat();
    let suites: Vec<_> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    // X25519, P-256; ECDSA and RSA-PSS with SHA-256; uncompressed points.
    let groups = [&[0, 10][..], &sized(&sized(&[0, 29, 0, 23]))].concat();
    let signatures = [&[0, 13][..], &sized(&sized(&[4, 3, 8, 4]))].concat();
    let points = [0, 11, 0, 2, 1, 0].to_vec();
    let extensions = sized(&[groups, signatures, points].concat());
    let count = u8::try_from(compressions.len()).expect("there are few");
    let body =
        [&version.to_be_bytes()[..], &[7; 32], &[0], &sized(&suites), &[count], compressions, &extensions].concat();
    let length = u32::try_from(body.len()).expect("it is short").to_be_bytes();
    let message = [&[1], &length[1..], &body].concat();
    [&[22][..], &record.to_be_bytes(), &sized(&message)].concat()
}

/// Whether an answer begins with a ServerHello.
fn is_hello(answer: &[u8]) -> bool {
    answer.first() == Some(&22) && answer.get(5) == Some(&2)
}

/// Whether an answer is a fatal alert, or nothing.
fn is_refusal(answer: &[u8]) -> bool {
    answer.is_empty() || (answer.first() == Some(&21) && answer.get(5) == Some(&2))
}

/// A certificate of each kind of key for the same name, and the whole chain of the first.
fn server(dir: &Path, minimum: &str, root: &Authority) -> Server {
    let between = root.below();
    let leaf = between.certify(&[NAME]);
    let path = |name: &str| dir.join(name).display().to_string();
    fs::write(path("ecdsa.pem"), leaf.chain + &between.pem()).expect("the directory is ours");
    fs::write(path("ecdsa.key"), leaf.key).expect("the directory is ours");
    fs::write(path("root.pem"), root.pem()).expect("the directory is ours");
    let mut rsa = command("openssl");
    rsa.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mx", "-days", "2"]);
    rsa.args(["-addext", &format!("subjectAltName=DNS:{NAME}"), "-keyout", &path("rsa.key"), "-out", &path("rsa.pem")]);
    run(&mut rsa, b"", PATIENCE).well();
    Home::new(&format!(
        "[dns]\nreverse = \"off\"\n[[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\n\
         [[listener]]\nname = \"implicit\"\naddress = \"127.0.0.1:0\"\ntls = \"implicit\"\n\
         [tls]\nminimum = {minimum:?}\ncertificates = [{{ chain = {:?}, key = {:?} }}, {{ chain = {:?}, key = {:?} }}]\n",
        path("ecdsa.pem"),
        path("ecdsa.key"),
        path("rsa.pem"),
        path("rsa.key")
    ))
    .with_shared_cache()
    .start()
}

fn story(minimum: &str) -> Option<(tempfile::TempDir, Server)> {
    here(&["openssl"]).then(|| {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let server = server(dir.path(), minimum, &Authority::new());
        (dir, server)
    })
}

/// Restrictions of openssl's client, and the version that comes of them; none: no handshake.
#[rustfmt::skip]
const TABLE: &[(&[&str], Option<&str>)] = &[
    // Versions. Old ones need a client that lets itself in for them.
    (&[], Some("TLSv1.3")),
    (&["-tls1_3"], Some("TLSv1.3")),
    (&["-tls1_2"], Some("TLSv1.2")),
    (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], None),
    (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], None),
    // Ciphers of TLS 1.3: those of RFC 8446 that everybody has.
    (&["-tls1_3", "-ciphersuites", SUITES_1_3[0]], Some("TLSv1.3")),
    (&["-tls1_3", "-ciphersuites", SUITES_1_3[1]], Some("TLSv1.3")),
    (&["-tls1_3", "-ciphersuites", SUITES_1_3[2]], Some("TLSv1.3")),
    (&["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"], None),
    (&["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"], None),
    // Kinds of ciphers of TLS 1.2 that must not be: without a server's proof, without encryption, with keys that a stolen private key
    // lays open, with Diffie-Hellman over whatever group, with block ciphers that padding has betrayed.
    (&["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"], None),
    (&["-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"], None),
    (&["-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"], None),
    (&["-tls1_2", "-cipher", "kDHE:@SECLEVEL=0"], None),
    (&["-tls1_2", "-cipher", "kECDHE:!AESGCM:!CHACHA20:@SECLEVEL=0"], None),
    (&["-tls1_2", "-psk", "01020304", "-cipher", "PSK:@SECLEVEL=0"], None),
    // Groups for the ephemeral key.
    (&["-groups", "X25519"], Some("TLSv1.3")),
    (&["-groups", "P-256"], Some("TLSv1.3")),
    (&["-groups", "P-384"], Some("TLSv1.3")),
    (&["-tls1_2", "-groups", "P-256"], Some("TLSv1.2")),
    (&["-groups", "ffdhe2048"], None),
    (&["-tls1_2", "-groups", "secp224r1"], None),
    // Signatures, of either key; nothing with SHA-1.
    (&["-sigalgs", "ECDSA+SHA256"], Some("TLSv1.3")),
    (&["-sigalgs", "RSA-PSS+SHA256"], Some("TLSv1.3")),
    (&["-tls1_2", "-sigalgs", "RSA+SHA256"], Some("TLSv1.2")),
    (&["-tls1_2", "-sigalgs", "ECDSA+SHA1", "-cipher", "ALL:@SECLEVEL=0"], None),
    (&["-tls1_2", "-sigalgs", "RSA+SHA1", "-cipher", "ALL:@SECLEVEL=0"], None),
];

#[test]
fn what_is_sound_is_offered_and_nothing_else() {
    let Some((_dir, server)) = story("1.2") else { return };
    for door in Door::both(&server) {
        for (args, version) in TABLE {
            let found = door.handshake(args);
            assert_eq!(found.as_ref().map(|(version, _)| version.as_str()), *version, "{door:?} {args:?}: {found:?}");
        }
    }
}

#[test]
fn where_the_newest_version_is_the_least_nothing_older_is_spoken() {
    let Some((_dir, server)) = story("1.3") else { return };
    for door in Door::both(&server) {
        for (args, version) in TABLE {
            let expected = version.filter(|version| *version == "TLSv1.3");
            let found = door.handshake(args);
            assert_eq!(found.as_ref().map(|(version, _)| version.as_str()), expected, "{door:?} {args:?}: {found:?}");
        }
        assert!(is_refusal(&door.answer(&client_hello(0x0301, 0x0303, &NUMBERS_1_2, &[0]))), "{door:?}");
    }
}

#[test]
fn of_all_ciphers_that_the_client_knows_six_are_taken() {
    let Some((_dir, server)) = story("1.2") else { return };
    let [_, door] = Door::both(&server);
    let mut openssl = command("openssl");
    openssl.args(["ciphers", "-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]);
    let known = run(&mut openssl, b"", PATIENCE).well().text();
    let known: Vec<_> = known.trim().split(':').filter(|name| !name.starts_with("TLS_")).collect();
    assert!(known.len() > 50, "{known:?}");
    let taken = known.iter().filter(|name| {
        let cipher = format!("{name}:@SECLEVEL=0");
        door.handshake(&["-tls1_2", "-cipher", &cipher]).is_some()
    });
    assert_eq!(taken.copied().collect::<BTreeSet<_>>(), BTreeSet::from(SUITES_1_2));
}

#[test]
fn first_messages_of_the_past_are_refused() {
    let Some((_dir, server)) = story("1.2") else { return };
    // SSL 2: a record of its own kind, with three kinds of cipher.
    let ssl_2 =
        [&[0x80, 0x2E, 1, 0, 2, 0, 9, 0, 0, 0, 0x1C][..], &[1, 0, 0x80, 7, 0, 0xC0, 3, 0, 0x80], &[7; 28]].concat();
    // Every number but ours, from NULL and export ciphers to RC4, 3DES, CBC and anonymous keys.
    let others: Vec<_> = (0..0x0100).chain(0xC001..0xC100).chain([0xCCAA, 0xCCAB, 0x5600]).collect();
    let others: Vec<_> = others.into_iter().filter(|suite| !NUMBERS_1_2.contains(suite)).collect();
    for door in Door::both(&server) {
        let good = door.answer(&client_hello(0x0301, 0x0303, &NUMBERS_1_2, &[0]));
        assert!(is_hello(&good), "{door:?}: our own message is no good: {good:x?}");
        for (what, hello) in [
            ("SSL 2", ssl_2.clone()),
            ("SSL 3", client_hello(0x0300, 0x0300, &NUMBERS_1_2, &[0])),
            ("TLS 1.0", client_hello(0x0301, 0x0301, &NUMBERS_1_2, &[0])),
            ("TLS 1.1", client_hello(0x0301, 0x0302, &NUMBERS_1_2, &[0])),
            ("other ciphers", client_hello(0x0301, 0x0303, &others, &[0])),
            ("compression alone", client_hello(0x0301, 0x0303, &NUMBERS_1_2, &[1])),
        ] {
            let answer = door.answer(&hello);
            assert!(is_refusal(&answer), "{door:?}: {what}: {answer:x?}");
        }
    }
}

#[test]
fn nothing_is_compressed_and_who_is_talked_down_can_tell() {
    let Some((_dir, server)) = story("1.2") else { return };
    for door in Door::both(&server) {
        let answer = door.answer(&client_hello(0x0301, 0x0303, &NUMBERS_1_2, &[1, 0]));
        assert!(is_hello(&answer), "{door:?}: {answer:x?}");
        // Record, handshake, version, then the random octets with their mark for TLS 1.2 where 1.3 could be had (RFC 8446 §4.1.3).
        assert_eq!(&answer[35..43], b"DOWNGRD\x01", "{door:?}: {answer:x?}");
        let session = usize::from(answer[43]);
        assert_eq!(answer[44 + session + 2], 0, "{door:?}: compression in {answer:x?}");
    }
}

#[test]
fn sessions_are_made_as_they_should_be_and_nothing_is_taken_before_the_handshake() {
    let Some((_dir, server)) = story("1.2") else { return };
    for door in Door::both(&server) {
        let said = door.s_client(&["-tls1_2"], "");
        for part in ["Secure Renegotiation IS supported", "Compression: NONE", "Extended master secret: yes"] {
            assert!(said.contains(part), "{door:?}: no {part:?} in\n{said}");
        }
        let newest = door.s_client(&["-tls1_3"], "");
        assert!(newest.contains("Early data was not sent"), "{door:?}:\n{newest}");
        assert!(!newest.contains("Max Early Data:") || newest.contains("Max Early Data: 0"), "{door:?}:\n{newest}");
    }
}

/// Who wants new keys hears at once that there are none.
#[test]
fn keys_are_not_negotiated_anew() {
    let Some((_dir, server)) = story("1.2") else { return };
    let mut openssl = Door::Implicit(server.addresses()[1]).command(&["-tls1_2"]);
    let mut client = start(&mut openssl);
    // The greeting would be data in the midst of the client's handshake, if that began before it.
    let mut shown = client.stdout.take().expect("it is a pipe");
    let greeting = read_line_with(&mut shown, "220 ");
    // `R` tells openssl's client to ask. The server's own patience is minutes.
    let mut typed = client.stdin.take().expect("it is a pipe");
    typed.write_all(b"R\n").expect("the client reads");
    client.stdout = Some(shown);
    let finished = finish(client, "a client that wanted new keys", PATIENCE);
    let said = greeting + &finished.text() + &finished.stderr;
    assert!(said.contains("RENEGOTIATING") && said.contains("no renegotiation"), "{said}");
    assert_eq!(said.matches("BEGIN CERTIFICATE").count(), 1, "{said}");
}

#[test]
fn the_chain_is_whole_and_the_key_is_one_that_the_client_knows() {
    let Some((dir, server)) = story("1.2") else { return };
    let root = dir.path().join("root.pem").display().to_string();
    for door in Door::both(&server) {
        let verified = ["-CAfile", &root, "-verify_return_error", "-verify_hostname", NAME, "-showcerts"];
        let said = door.s_client(&verified, "");
        assert!(said.contains("Verify return code: 0 (ok)"), "{door:?}:\n{said}");
        // The certificate and the one between; the root is the client's own.
        assert_eq!(said.matches("BEGIN CERTIFICATE").count(), 2, "{door:?}:\n{said}");
        let other = door.s_client(&["-CAfile", &root, "-verify_return_error", "-verify_hostname", "mx.other.test"], "");
        assert!(other.contains("hostname mismatch"), "{door:?}:\n{other}");
        for (signatures, kind) in [("ECDSA+SHA256", "ECDSA"), ("RSA-PSS+SHA256", "RSA-PSS")] {
            let said = door.s_client(&["-sigalgs", signatures], "");
            assert!(said.contains(&format!("Peer signature type: {kind}")), "{door:?} {signatures}:\n{said}");
        }
    }
}
