//! Certificates that the server gets by itself, from Pebble, a real ACME server, as openssl sees them.

mod peers;
mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use peers::eventually;
use peers::nsd::Nsd;
use peers::pebble::Pebble;
use peers::programs::{command, here, run};
use support::{Home, Server};

/// For a certificate to come, and for a program to finish.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the name leads.
const PLACE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 81);
/// Seconds: longer than a story takes.
const LONG: u64 = 3600;

fn street(validity: u64) -> (Nsd, Pebble) {
    let nsd = Nsd::start(&format!("mail IN A {PLACE}\n"));
    let pebble = Pebble::start(&nsd, PLACE, validity);
    (nsd, pebble)
}

fn config(pebble: &Pebble) -> String {
    format!(
        "[dns]\nreverse = \"off\"\n\
         [[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\n\
         [[listener]]\nname = \"submissions\"\naddress = \"127.0.0.1:0\"\ntls = \"implicit\"\n\
         [acme]\nagreed = true\ncontact = [\"mailto:postmaster@example.test\"]\ndirectory = {:?}\nroots = {:?}\n\
         listen = \"{}\"\n",
        pebble.directory(),
        pebble.roots(),
        pebble.challenges()
    )
}

/// Who has issued the certificate that a server shows, its names, and its serial number.
fn shown(address: SocketAddr, extra: &str) -> String {
    let script = format!(
        "openssl s_client -connect {address} -servername mail.example.test {extra} </dev/null 2>/dev/null \
         | openssl x509 -noout -issuer -serial -ext subjectAltName"
    );
    let mut sh = command("sh");
    sh.args(["-c", &script]);
    run(&mut sh, b"", PATIENCE).well().text()
}

fn is_issued(certificate: &str) -> bool {
    certificate.contains("Pebble Intermediate CA") && certificate.contains("DNS:mail.example.test")
}

/// What the server shows once it is one of Pebble's.
fn issued(server: &Server) -> String {
    eventually("a certificate comes", PATIENCE, || {
        Some(shown(server.addresses()[0], "-starttls smtp")).filter(|certificate| is_issued(certificate))
    })
}

#[test]
fn an_acme_server_that_is_down_is_waited_for_and_then_starttls_shows_its_certificate() {
    if !here(&["openssl", "curl"]) || !Pebble::here() {
        return;
    }
    let (_nsd, mut pebble) = street(LONG);
    pebble.end();
    let server = Home::new(&config(&pebble)).with_shared_cache().start();
    let log = server.wait_for_log("failed to get a certificate; the server goes on without it", PATIENCE);
    assert!(log.contains("failed to connect") && log.contains("failures=1 next="), "{log}");
    // It has one of its own making until then.
    let own = shown(server.addresses()[0], "-starttls smtp");
    assert!(!is_issued(&own) && own.contains("DNS:mail.example.test"), "{own}");
    // Nothing but outstanding challenges is answered.
    let mut curl = command("curl");
    let place = format!("http://{}/.well-known/acme-challenge/none", pebble.challenges());
    curl.args(["--silent", "--max-time", "60", "--output", "/dev/null", "--write-out", "%{http_code}", &place]);
    assert_eq!(run(&mut curl, b"", PATIENCE).well().text(), "404");
    pebble.begin_again();
    // By itself it would wait for a quarter of an hour.
    server.signal("USR1");
    let certificate = issued(&server);
    assert_eq!(shown(server.addresses()[1], ""), certificate);
    // Nobody is asked again.
    pebble.end();
    let server = server.stop().start();
    assert_eq!(shown(server.addresses()[1], ""), certificate);
    server.stop();
}

#[test]
fn a_renewal_is_shown_by_the_same_server_to_which_a_client_stays_connected() {
    if !here(&["openssl"]) || !Pebble::here() {
        return;
    }
    // To be renewed after ten seconds: an ACME server is not asked more often.
    let (_nsd, pebble) = street(15);
    let server = Home::new(&config(&pebble)).with_shared_cache().start();
    let (first, pid) = (issued(&server), server.pid());
    let mut stays = Stays::connect(server.addresses()[0]);
    let renewed = eventually("it is renewed", PATIENCE, || {
        Some(shown(server.addresses()[0], "-starttls smtp")).filter(|certificate| *certificate != first)
    });
    assert!(is_issued(&renewed), "{renewed}");
    assert_eq!(server.pid(), pid);
    stays.noop();
    server.stop();
}

/// A client that stays.
struct Stays(BufReader<TcpStream>);

impl Stays {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is a duration");
        let mut own = Self(BufReader::new(stream));
        own.hear("220");
        own
    }

    fn noop(&mut self) {
        self.0.get_mut().write_all(b"NOOP\r\n").expect("it is connected");
        self.hear("250");
    }

    fn hear(&mut self, reply: &str) {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("it is connected");
        assert!(line.starts_with(reply), "{line}");
    }
}
