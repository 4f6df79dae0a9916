//! A server that runs out of open files. A program of its own: the limit is the whole process's.

mod support;

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Client, Home, Running, Wanted};
use tokio::net::TcpStream;

fn allow_files(number: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(number), maximum }).unwrap();
}

/// Connects, and leaves no file for the server's end. The limit is raised by one where it is too low for our own.
async fn connect(server: &Running, limit: &mut u64) -> Client {
    loop {
        if let Ok(stream) = TcpStream::connect(server.address).await {
            return Client::from(stream);
        }
        *limit += 1;
        allow_files(*limit);
    }
}

#[tokio::test]
async fn who_finds_no_file_left_waits_until_another_client_goes() {
    let home = Home::new();
    let server = home.start(Wanted::default());
    let mut limit = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 + 20;
    allow_files(limit);
    let mut clients = Vec::new();
    let mut late = loop {
        assert!(clients.len() < 100, "the files run out");
        let mut client = connect(&server, &mut limit).await;
        match tokio::time::timeout(Duration::from_millis(300), client.reply()).await {
            Ok(greeting) => assert!(greeting.starts_with("220")),
            // The kernel has taken this one; the server cannot, and goes on with those it has.
            Err(_) => break client,
        }
        clients.push(client);
    };
    clients[0].ask("EHLO client.example", "250").await;
    clients.clear();
    late.expect("220").await;
    drop(late);
    server.stop().await;
}
