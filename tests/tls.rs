//! TLS with clients that nobody here wrote: openssl, swaks, Python and curl; and what must not get through.

mod peers;
mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use peers::maildir::{self, wait_for};
use peers::programs::{Finished, command, here, run};
use support::{Home, Server};

/// For a client to finish, and for a message to be delivered after it.
const PATIENCE: Duration = Duration::from_secs(60);

const LISTENERS: &str = "[dns]\nreverse = \"off\"\n\
    [[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\n\
    [[listener]]\nname = \"submissions\"\naddress = \"127.0.0.1:0\"\ntls = \"implicit\"\n\
    [[plugin]]\nname = \"local-domains\"\nmodule = \"builtin:local-domains\"\ngrants = [\"accept-recipients\"]\n\
    config = { domains = [\"example.test\"] }\n";

/// What openssl says of a server, and what the server says to these lines.
fn s_client(address: SocketAddr, extra: &[&str], lines: &str) -> Finished {
    let mut openssl = command("openssl");
    openssl.args(["s_client", "-connect", &address.to_string(), "-crlf", "-quiet"]).args(extra);
    run(&mut openssl, lines.as_bytes(), PATIENCE)
}

fn swaks(address: SocketAddr, extra: &[&str]) -> Command {
    let mut swaks = command("swaks");
    swaks.args(["--server", &address.ip().to_string(), "--port", &address.port().to_string(), "--timeout", "60"]);
    swaks.args(["--ehlo", "client.example", "--from", "a@client.example", "--to", "b@example.test"]).args(extra);
    swaks
}

/// Makes a certificate for these names in a directory: its file, and that of its key.
fn certificate(dir: &Path, name: &str, names: &[&str]) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        .expect("a certificate can be made");
    let (chain, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    fs::write(&chain, made.cert.pem()).expect("it can be written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("it can be written");
    (chain.display().to_string(), key.display().to_string())
}

/// The subject alternative names that a server shows.
fn shown(address: SocketAddr, extra: &[&str]) -> String {
    let script = format!(
        "openssl s_client -connect {address} {} </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName",
        extra.join(" ")
    );
    let mut sh = command("sh");
    sh.args(["-c", &script]);
    run(&mut sh, b"", PATIENCE).well().text()
}

#[test]
fn the_first_start_makes_a_certificate_and_the_next_one_shows_it_again() {
    if !here(&["openssl"]) {
        return;
    }
    let server = Home::new(LISTENERS).start();
    let made = server.data().join("tls/self-signed.pem");
    let first = fs::read(&made).expect("it was made");
    let names = shown(server.addresses()[0], &["-starttls", "smtp"]);
    assert!(names.contains("DNS:mail.example.test"), "{names}");
    let server = server.stop().start();
    assert_eq!(fs::read(&made).expect("it is there"), first);
    assert!(shown(server.addresses()[1], &[]).contains("DNS:mail.example.test"));
}

#[test]
fn mail_comes_under_tls_and_the_trace_says_so() {
    if !here(&["swaks", "openssl"]) {
        return;
    }
    let server = Home::new(LISTENERS).start();
    let inbox = maildir::of(&server.maildirs(), "b@example.test");
    for (sent, (listener, how)) in [(0, "--tls"), (1, "--tls-on-connect")].into_iter().enumerate() {
        run(&mut swaks(server.addresses()[listener], &[how]), b"", PATIENCE).well();
        let trace = wait_for(&inbox, sent + 1, PATIENCE)[sent].trace().replace("\r\n ", " ");
        assert!(trace.contains(" with ESMTPS tls TLS_AES_") && trace.contains(" id "), "{trace}");
    }
    let log = server.wait_for_log("listener=\"submissions\"", PATIENCE);
    assert!(log.contains("tls=TLSv1.3 TLS_AES_"), "{log}");
}

#[test]
fn versions_that_are_too_old_are_not_spoken() {
    if !here(&["openssl"]) {
        return;
    }
    let server = Home::new(&format!("{LISTENERS}[tls]\nminimum = \"1.3\"\n")).start();
    let address = server.addresses()[1];
    assert!(s_client(address, &["-tls1_3"], "QUIT\n").text().contains("221 2.0.0"));
    let old = s_client(address, &["-tls1_2"], "QUIT\n");
    assert!(!old.status.success() && !old.text().contains("220 "), "{}", old.text());
    // Others do not notice.
    assert!(s_client(address, &["-tls1_3"], "QUIT\n").text().contains("221 2.0.0"));
}

#[test]
fn each_name_has_its_certificate_and_new_files_are_shown_without_a_restart() {
    if !here(&["openssl"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory can be made");
    let (one, one_key) = certificate(dir.path(), "one", &["mx.one.test"]);
    let (two, two_key) = certificate(dir.path(), "two", &["mx.two.test", "*.sub.two.test"]);
    let tls = format!(
        "[tls]\ncertificates = [{{ chain = {one:?}, key = {one_key:?} }}, {{ chain = {two:?}, key = {two_key:?} }}]\n"
    );
    let server = Home::new(&format!("{LISTENERS}{tls}")).start();
    let address = server.addresses()[1];
    for (asked, names) in [
        ("mx.one.test", "DNS:mx.one.test"),
        ("mx.two.test", "DNS:mx.two.test"),
        ("a.sub.two.test", "DNS:mx.two.test"),
        ("unknown.test", "DNS:mx.one.test"),
    ] {
        let found = shown(address, &["-servername", asked]);
        assert!(found.contains(names), "{asked}: {found}");
    }
    assert!(shown(address, &["-noservername"]).contains("DNS:mx.one.test"));
    certificate(dir.path(), "one", &["new.one.test"]);
    server.signal("USR1");
    server.wait_for_log("certificates were read anew", PATIENCE);
    assert!(shown(address, &["-noservername"]).contains("DNS:new.one.test"));
    // A broken file changes nothing but the log.
    fs::write(&two_key, "no key").expect("it can be written");
    server.signal("USR1");
    let log = server.wait_for_log("failed to read certificates; the old ones stay in force", PATIENCE);
    assert!(log.contains("two.key: there is no private key in it"), "{log}");
    assert!(shown(address, &["-servername", "mx.two.test"]).contains("DNS:mx.two.test"));
}

#[test]
fn a_broken_certificate_is_named_before_the_start() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let (chain, _) = certificate(dir.path(), "one", &["mx.one.test"]);
    let (_, other_key) = certificate(dir.path(), "two", &["mx.two.test"]);
    for (chain, key, why) in [
        (chain.as_str(), other_key.as_str(), "tls: "),
        ("no/such.pem", other_key.as_str(), "no/such.pem: No such file"),
        (other_key.as_str(), other_key.as_str(), "two.key: there is no certificate in it"),
        (chain.as_str(), chain.as_str(), "one.pem: there is no private key in it"),
    ] {
        let tls = format!("[tls]\ncertificates = [{{ chain = {chain:?}, key = {key:?} }}]\n");
        let output = Home::new(&format!("{LISTENERS}{tls}")).command(&["check"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && said.contains(why), "{why} is not in {said}");
    }
}

#[test]
fn who_speaks_no_tls_where_it_is_wanted_is_closed_on() {
    if !here(&["python3"]) {
        return;
    }
    let server = Home::new(LISTENERS).start();
    let script = "import socket, sys\n\
                  for opening in [b'EHLO a\\r\\n', b'\\x16\\x03\\x01\\xff\\xff' + b'x' * 70000, b'']:\n\
                  \x20   s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 60)\n\
                  \x20   try:\n\
                  \x20       s.sendall(opening); s.shutdown(socket.SHUT_WR)\n\
                  \x20       while s.recv(65536): pass\n\
                  \x20   except OSError: pass\n\
                  \x20   print('closed')\n";
    let mut python = command("python3");
    let address = server.addresses()[1];
    python.args(["-c", script, &address.ip().to_string(), &address.port().to_string()]);
    let said = run(&mut python, b"", PATIENCE).well();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "closed\n".repeat(3));
    server.wait_for_log("no TLS", PATIENCE);
}

#[test]
fn a_client_certificate_is_shown_to_policy_and_one_without_is_turned_away() {
    if !here(&["openssl"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory can be made");
    let (client, client_key) = certificate(dir.path(), "client", &["client.example"]);
    let tls = format!("[tls]\nclient_ca = {client:?}\nclient_certificate_required = true\n");
    let server = Home::new(&format!("{LISTENERS}{tls}")).start();
    let address = server.addresses()[1];
    let with = s_client(address, &["-cert", &client, "-key", &client_key], "QUIT\n").text();
    assert!(with.contains("221 2.0.0"), "{with}");
    let without = s_client(address, &[], "QUIT\n").text();
    assert!(!without.contains("220 "), "{without}");
}

/// The server that most people have: nothing is configured, and what a newcomer tries works.
#[test]
fn the_embedded_configuration_offers_starttls() {
    if !here(&["curl"]) {
        return;
    }
    let server = Server::start("");
    let mut curl = command("curl");
    curl.args(["--silent", "--show-error", "--insecure", "--ssl-reqd", "--max-time", "60", "--url"]);
    curl.arg(format!("smtp://{}/client.example", server.address()));
    curl.args(["--mail-from", "a@client.example", "--mail-rcpt", "b@example.test", "--upload-file", "-"]);
    run(&mut curl, b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nFrom: a@client.example\r\n\r\nhello\r\n", PATIENCE)
        .well();
    wait_for(&maildir::of(&server.maildirs(), "b@example.test"), 1, PATIENCE);
}
