//! What our users send is signed by their domain's keys (DKIM, RFC 6376); the verifier is dkimpy, and the keys are openssl's.

mod peers;
mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use peers::maildir::{self, wait_for};
use peers::programs::{command, here, pass_over, run};
use support::{Home, Server};

const PATIENCE: Duration = Duration::from_secs(60);
/// Judges the message in the file by the zone in the other, one signature after the other, and prints what it finds.
const VERIFIER: &str = r#"
import sys, dkim
zone = {}
for line in open(sys.argv[1]):
    name, _, _, texts = line.strip().split(" ", 3)
    zone[name] = "".join(texts.split('"')[1::2]).encode()
verifier = dkim.DKIM(open(sys.argv[2], "rb").read())
count = sum(1 for name, _ in verifier.headers if name.lower() == b"dkim-signature")
for index in range(count):
    good = verifier.verify(idx=index, dnsfunc=lambda name, timeout=5: zone.get(name.decode()))
    fields = verifier.signature_fields
    print(fields[b"d"].decode(), fields[b"s"].decode(), fields[b"a"].decode(), good)
"#;

const CONFIG: &str = "[dns]\nreverse = \"off\"\n\
    [[listener]]\nname = \"mx\"\naddress = \"127.0.0.1:0\"\n\
    [[listener]]\nname = \"ours\"\naddress = \"127.0.0.1:0\"\nrelaying = true\nchunking = \"text\"\n\
    [[dkim]]\ndomain = \"example.test\"\nselector = \"rsa\"\nkey = \"rsa.pem\"\n\
    [[dkim]]\ndomain = \"example.test\"\nselector = \"ed\"\nkey = \"ed25519.pem\"\n\
    [[dkim]]\ndomain = \"other.example\"\nselector = \"rsa\"\nkey = \"old.pem\"\n";

/// A home with these keys beside its configuration.
fn home(config: &str) -> Home {
    let home = Home::new(config);
    let dir = home.config().parent().expect("a file is in a directory").to_owned();
    let openssl = |args: &[&str], file: &str| {
        run(command("openssl").args(args).arg("-out").arg(dir.join(file)), b"", PATIENCE).well();
    };
    openssl(&["genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"], "rsa.pem");
    openssl(&["genpkey", "-algorithm", "ed25519"], "ed25519.pem");
    openssl(&["genpkey", "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "ec.pem");
    // The older form: PKCS #1.
    openssl(&["rsa", "-traditional", "-in", &dir.join("rsa.pem").display().to_string()], "old.pem");
    home
}

/// The interpreter that Debian's modules are for; another may stand before it in `PATH`.
const PYTHON: &str = "/usr/bin/python3";

fn dkimpy() -> bool {
    let found = Path::new(PYTHON).exists()
        && run(Command::new(PYTHON).args(["-c", "import dkim, nacl"]), b"", PATIENCE).status.success();
    found || pass_over("python3-dkim and python3-nacl not installed")
}

fn swaks(address: SocketAddr, from: &str, body: &Path) -> Command {
    let mut swaks = command("swaks");
    swaks.args(["--server", &address.ip().to_string(), "--port", &address.port().to_string(), "--from", from]);
    swaks.args(["--ehlo", "client.example", "--to", "b@example.test", "--timeout", "60", "--body"]).arg(body);
    swaks
}

/// What dkimpy says of a message that was delivered.
fn judged(server: &Server, message: &Path) -> String {
    let zone = server.home().config().with_file_name("zone");
    fs::write(&zone, run(&mut server.home().command(&["dkim"]), b"", PATIENCE).well().stdout)
        .expect("it can be written");
    run(Command::new(PYTHON).args(["-c", VERIFIER]).arg(zone).arg(message), b"", PATIENCE).well().text()
}

#[test]
fn what_users_send_is_signed_by_every_key_of_their_domain() {
    if !here(&["swaks", "openssl"]) || !dkimpy() {
        return;
    }
    let server = home(CONFIG).start();
    let [mx, ours] = server.addresses() else { panic!("two listeners") };
    let bodies = server.home().config().with_file_name("body");
    let inbox = maildir::of(&server.maildirs(), "b@example.test");
    let large = "All  work and no play \t\n\n".repeat(40_000) + "\n\n";
    for (number, (door, from, body, expected)) in [
        (*ours, "a@example.test", "hello\n", "example.test rsa rsa-sha256 True\nexample.test ed ed25519-sha256 True\n"),
        // In a file of its own, that the spool reads back.
        (
            *ours,
            "a@lists.example.test",
            large.as_str(),
            "example.test rsa rsa-sha256 True\nexample.test ed ed25519-sha256 True\n",
        ),
        (*ours, "a@other.example", ".\n..\nhello", "other.example rsa rsa-sha256 True\n"),
        (*ours, "a@example.org", "hello\n", ""),
        // A stranger who calls himself ours gets no signature of ours.
        (*mx, "a@example.test", "hello\n", ""),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(&bodies, body).expect("it can be written");
        run(&mut swaks(door, from, &bodies), b"", PATIENCE).well();
        let found = wait_for(&inbox, number + 1, PATIENCE);
        let newest = found.iter().max_by_key(|mail| fs::metadata(&mail.path).and_then(|meta| meta.modified()).ok());
        assert_eq!(judged(&server, &newest.expect("it was delivered").path), expected, "{from} by {door}");
    }
}

#[test]
fn keys_that_cannot_sign_are_named() {
    if !here(&["openssl"]) {
        return;
    }
    let config = "[[dkim]]\ndomain = \"example.test\"\nselector = \"a\"\nkey = \"none.pem\"\n\
        [[dkim]]\ndomain = \"example.test\"\nselector = \"b\"\nkey = \"ec.pem\"\n\
        [[dkim]]\ndomain = \"example..test\"\nselector = \"c\"\nkey = \"rsa.pem\"\n\
        [[dkim]]\ndomain = \"example.test\"\nselector = \"d\"\nkey = \"rsa.pem\"\n\
        [[dkim]]\ndomain = \"Example.Test\"\nselector = \"d\"\nkey = \"ed25519.pem\"\n\
        [[dkim]]\ndomain = \"example.test\"\nselector = \"e\"\nkey = \"wasmail.toml\"\n";
    let home = home(config);
    let checked = run(&mut home.command(&["check"]), b"", PATIENCE);
    assert!(!checked.status.success());
    for said in [
        "wasmail.toml:1: dkim[0]: ",
        "none.pem: No such file or directory",
        "neither an RSA key of 2048 to 4096 bits nor an Ed25519 key",
        "domain \"example..test\", selector \"c\"",
        "it is no domain",
        "d._domainkey.example.test has another key already",
        "there is no private key in it",
        "5 mistakes in the configuration",
    ] {
        assert!(checked.stderr.contains(said), "{said}:\n{}", checked.stderr);
    }
}
