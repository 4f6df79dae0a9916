//! Memory is flat in the size of a message.

mod support;

use support::{Client, Home, Wanted};
use tokio::io::AsyncWriteExt;
use wasmail_server::{ConnectionLimits, Destination};

const SESSIONS: usize = 20;
const MESSAGE: usize = 4_000_000;
/// What all sessions together may need: half of what they send, and a small part of it with larger messages.
const ALLOWED: u64 = 40_000_000;

/// The most memory that this process has had in RAM, in octets.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_sessions_with_large_messages_stay_small() {
    let home = Home::new();
    let connections = ConnectionLimits { total: 2 * SESSIONS, per_address: 2 * SESSIONS };
    let server = home.start(Wanted { connections, destination: Some(Destination::Discard), ..Wanted::default() });
    send(server.connect().await, MESSAGE / 10).await;
    let before = peak();
    let address = server.address;
    let sessions: Vec<_> = (0..SESSIONS)
        .map(|_| tokio::spawn(async move { send(Client::connect(address).await, MESSAGE).await }))
        .collect();
    for session in sessions {
        session.await.unwrap();
    }
    let grown = peak() - before;
    assert!(grown < ALLOWED, "{grown} octets for {SESSIONS} messages of {MESSAGE}");
    server.stop().await;
}

async fn send(mut client: Client, size: usize) {
    client.hello().await;
    client.ask("MAIL FROM:<a@example.org>", "250").await;
    client.ask("RCPT TO:<b@example.org>", "250").await;
    client.ask("DATA", "354").await;
    client.say("Subject: large\r\n\r\n").await;
    let lines = b"and so on and on, line after line, until there is no more to say about it all.\r\n".repeat(100);
    let mut sent = 0;
    while sent < size {
        client.stream.write_all(&lines).await.unwrap();
        sent += lines.len();
    }
    client.ask(".", "250").await;
    client.ask("QUIT", "221").await;
}
