//! Clients that come by a proxy: HAProxy tells who they are, and nobody else is believed.

mod peers;
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use peers::haproxy::Haproxy;
use peers::maildir::{self, wait_for};
use peers::programs::{command, here, run};
use support::Server;

const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = "[dns]\nreverse = \"off\"\n\
    [[listener]]\nname = \"proxied\"\naddress = \"127.0.0.1:0\"\nproxies = [\"127.0.0.1\"]\n\
    [[listener]]\nname = \"proxied-tls\"\naddress = \"127.0.0.1:0\"\nproxies = [\"127.0.0.0/8\"]\ntls = \"implicit\"\n\
    [[listener]]\nname = \"open\"\naddress = \"127.0.0.1:0\"\n";

/// A client whose address is not the proxy's.
fn swaks(address: SocketAddr, more: &[&str]) -> Command {
    let mut swaks = command("swaks");
    swaks.args(["--server", &address.ip().to_string(), "--port", &address.port().to_string()]);
    swaks.args(["--ehlo", "client.example", "--from", "a@client.example", "--to", "b@example.test", "--timeout", "60"]);
    swaks.args(["--local-interface", "127.0.0.2"]).args(more);
    swaks
}

/// What a server says to these octets until it closes.
fn answer(address: SocketAddr, octets: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is a time");
    stream.write_all(octets).expect("it is taken");
    let mut said = Vec::new();
    // The server may close before it has read all: what it said counts.
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn the_clients_address_is_the_one_that_haproxy_tells() {
    if !here(&["swaks", "haproxy"]) {
        return;
    }
    let server = Server::start(CONFIG);
    let [plain, tls, _] = server.addresses() else { panic!("three listeners") };
    let haproxy = Haproxy::start(&[(*plain, "send-proxy"), (*plain, "send-proxy-v2"), (*tls, "send-proxy-v2")]);
    let inbox = maildir::of(&server.maildirs(), "b@example.test");
    for (number, (door, more)) in
        haproxy.addresses().iter().zip([&[][..], &["--tls"], &["--tls-on-connect"]]).enumerate()
    {
        run(&mut swaks(*door, more), b"", PATIENCE).well();
        let found = wait_for(&inbox, number + 1, PATIENCE);
        assert!(found.iter().all(|mail| mail.trace().contains("([127.0.0.2])")), "{}", found[number].trace());
    }
    server.wait_for_log("listener=\"proxied-tls\" remote=[127.0.0.2]:", PATIENCE);
}

#[test]
fn a_proxy_that_says_nothing_of_its_client_is_not_served_and_a_stranger_is_no_proxy() {
    let server = Server::start(CONFIG);
    let [plain, _, open] = server.addresses() else { panic!("three listeners") };
    assert_eq!(answer(*plain, b"EHLO client.example\r\nQUIT\r\n"), "");
    assert!(server.wait_for_log("no proxy", PATIENCE).contains("does not begin with a header"));
    let said = answer(*open, b"PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\r\nQUIT\r\n");
    assert!(said.contains("\r\n500 5.5.1 Unknown command\r\n"), "{said}");
    assert!(!server.log().contains("192.0.2.7"));
    // A health check speaks for itself.
    assert!(answer(*plain, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0QUIT\r\n").starts_with("220 "));
}
