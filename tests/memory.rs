//! Memory is flat in the size of a message.
//!
//! `WASMAIL_MEMORY_OCTETS` makes the messages larger or smaller.

mod peers;
mod support;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peers::client::Client;
use peers::maildir;
use support::Server;

/// Sessions at once.
const SESSIONS: usize = 20;

/// Octets of each message.
const OCTETS: usize = 100_000_000;

/// What a session may add to the server's peak, in octets: its buffers and its part of the delivery's, not its message.
const ROOM: u64 = 4_000_000;

/// For two gigabytes to be written to disk twice, on a slow one.
const PATIENCE: Duration = Duration::from_secs(600);

/// Largest resident set so far, in octets.
fn peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024
}

/// Sends one message of so many octets, a block at a time.
fn send(server: SocketAddr, number: usize, octets: usize) -> io::Result<()> {
    let mut client = Client::greeted(server)?;
    client.begin("a@example.org", &["alice@example.test"])?;
    client.write(
        format!("From: a@example.org\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nX-Story: large-{number}\r\n\r\n")
            .as_bytes(),
    )?;
    let line = format!("{:076}\r\n", number);
    let block = line.repeat(1000);
    for _ in 0..octets / block.len() {
        client.write(block.as_bytes())?;
    }
    client.write(b".\r\n")?;
    client.reply()?.expect(250)
}

fn send_at_once(server: SocketAddr, octets: usize) {
    std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..SESSIONS).map(|number| scope.spawn(move || send(server, number, octets))).collect();
        for session in sessions {
            session.join().expect("a session does not panic").expect("the message is accepted");
        }
    });
}

#[test]
#[allow(clippy::print_stderr, reason = "the figure is what one wants to know")]
fn twenty_messages_of_100_mb_at_once_take_a_few_megabytes_each() {
    let given = std::env::var("WASMAIL_MEMORY_OCTETS").ok();
    let octets = given.map_or(OCTETS, |text| text.parse().expect("WASMAIL_MEMORY_OCTETS is a number"));
    let server = Server::start("[limits]\nmessage_size = \"2GB\"\n[dns]\nreverse = \"off\"\n");
    // The pools and threads that any load needs are not this load's.
    send_at_once(server.address(), 100_000);
    maildir::wait_for(&server.maildirs(), SESSIONS, PATIENCE);
    let (before, began) = (peak(&server), Instant::now());
    send_at_once(server.address(), octets);
    let (accepted, after) = (began.elapsed(), peak(&server));
    peers::eventually("they are delivered", PATIENCE, || server.queue_is_empty().then_some(()));
    let delivered = peak(&server);
    eprintln!(
        "{SESSIONS} × {octets} octets: accepted in {accepted:?}, delivered in {:?}; peak {before} before, {after} when \
         accepted, {delivered} when delivered",
        began.elapsed()
    );
    assert_eq!(maildir::count(&server.maildirs()), 2 * SESSIONS);
    assert!(delivered - before < SESSIONS as u64 * ROOM, "grew by {}", delivered - before);
}
