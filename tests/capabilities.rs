//! What plugins are granted, in the built binary: a blocklist is asked, a greylist outlasts the server.

mod peers;
mod support;

use std::net::{SocketAddr, UdpSocket};

use peers::client::Client;
use support::{Home, Server};

const DOMAINS: &str = "[[plugin]]\nname = \"local-domains\"\nmodule = \"builtin:local-domains\"\n\
                       grants = [\"accept-recipients\"]\nconfig = { domains = [\"example.test\"] }\n";

/// The code that the client hears for its recipient.
fn rcpt(server: &Server) -> u16 {
    let mut client = Client::greeted(server.address()).expect("the server greets");
    for line in ["MAIL FROM:<a@example.org>", "NOOP"] {
        assert_eq!(client.command(line).expect("the server replies").code, 250, "{line}");
    }
    client.command("RCPT TO:<b@example.test>").expect("the server replies").code
}

#[test]
fn who_was_greylisted_is_known_after_a_restart() {
    let greylist = "[[plugin]]\nname = \"greylist\"\nmodule = \"builtin:greylist\"\ngrants = [\"kv\"]\n\
                    config = { delay_s = 0, exempt = \"nobody\" }\n";
    let server = Home::new(&format!("[dns]\nreverse = \"off\"\n{DOMAINS}{greylist}")).start();
    assert_eq!(rcpt(&server), 451);
    let server = server.stop().start();
    assert!(server.data().join("kv.redb").exists());
    assert_eq!(rcpt(&server), 250);
}

#[test]
fn a_client_on_a_blocklist_is_refused() {
    let config = |name_server: SocketAddr| {
        format!(
            "[dns]\nreverse = \"off\"\nservers = [\"{name_server}\"]\n{DOMAINS}\
             [[plugin]]\nname = \"dnsbl\"\nmodule = \"builtin:dnsbl\"\ngrants = [\"dns\"]\n\
             config = {{ exempt = \"nobody\", zones = [{{ zone = \"bl.example\" }}] }}\n"
        )
    };
    let server = Home::new(&config(blocklist())).start();
    let (_, greeting) = Client::connect(server.address()).expect("the server says something");
    assert_eq!((greeting.code, greeting.text.trim()), (554, "5.7.1 127.0.0.1 is listed by bl.example"));
    // Nobody answers there: mail goes on.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let server = Home::new(&config(silent.local_addr().expect("it has an address"))).start();
    assert_eq!(rcpt(&server), 250);
}

/// A name server that gives every question one answer: A 127.0.0.2.
fn blocklist() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let address = socket.local_addr().expect("it has an address");
    std::thread::spawn(move || {
        let mut octets = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut octets) {
            // RFC 1035 section 4.1: the header has 12 octets; the question ends with a name's empty label, type and class.
            let name_end = 12 + octets[12..len].iter().position(|octet| *octet == 0).expect("a name ends");
            let mut reply = octets[..name_end + 5].to_vec();
            reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            // The name by reference, A, IN, a minute, four octets.
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 2]);
            socket.send_to(&reply, from).expect("the server listens");
        }
    });
    address
}
