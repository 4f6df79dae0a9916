//! SIGTERM drains: nobody new comes in, who is in the middle of a message ends it, nothing is lost.

mod peers;
mod support;

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use peers::client::Client;
use peers::eventually;
use peers::maildir::{assert_same, wait_for};
use support::Server;

const PATIENCE: Duration = Duration::from_secs(60);

const MESSAGE: &[u8] = b"From: a@example.org\r\nTo: alice@example.test\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\nhalf\r\nand half\r\n";

/// A client in the middle of its message.
fn in_the_middle(server: &Server) -> Client {
    let mut client = Client::greeted(server.address()).expect("the server greets");
    client.begin("a@example.org", &["alice@example.test"]).expect("the transaction begins");
    client.write(&MESSAGE[..70]).expect("the server reads");
    client
}

/// Waits until nobody new is taken.
fn closed(server: &Server) {
    let refused = || TcpStream::connect(server.address()).is_err_and(|error| is_refusal(&error)).then_some(());
    eventually("new connections are refused", PATIENCE, refused);
}

fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

#[test]
fn a_running_transaction_ends_well_and_nobody_new_comes_in() {
    let mut server = Server::start("");
    let mut busy = in_the_middle(&server);
    let mut idle = Client::greeted(server.address()).expect("the server greets");
    server.signal("TERM");
    closed(&server);
    // Whoever has nothing going on is told, now or at its next word.
    let told = idle.command("NOOP").or_else(|_| idle.reply());
    assert_eq!(told.expect("it is told").code, 421);
    busy.write(&MESSAGE[70..]).expect("the server still reads");
    busy.write(b".\r\n").expect("the server still reads");
    let reply = busy.reply().expect("the server replies");
    assert_eq!(reply.code, 250, "{reply:?}");
    let told = busy.command("NOOP").or_else(|_| busy.reply());
    assert_eq!(told.expect("it is told").code, 421);
    let status = server.wait_for_end();
    assert!(status.success(), "{status}");
    // What was acknowledged at the last moment is delivered before the end, or by the next server.
    let server = server.kill().start();
    let found = wait_for(&server.maildirs(), 1, PATIENCE);
    assert_same(&found[0], MESSAGE);
}

#[test]
fn a_client_that_does_not_come_to_an_end_is_told_to_come_again() {
    let mut server = Server::start("[server]\ndrain_timeout = \"500ms\"\n");
    let mut busy = in_the_middle(&server);
    server.signal("TERM");
    let told = busy.reply().expect("it is told");
    assert_eq!(told.code, 421, "{told:?}");
    let status = server.wait_for_end();
    assert!(status.success(), "{status}");
    assert_eq!(peers::maildir::count(&server.maildirs()), 0);
}
