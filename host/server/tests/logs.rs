//! What the log says: one line a connection, one a message, one a delivery.

mod support;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use support::{Home, Wanted, delivered, says, until};
use tracing_subscriber::fmt::MakeWriter;
use wasmail_policy::{Hook, Mutation, ResultList, Scope, Verdict};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self, with: &str) -> Vec<String> {
        let log = String::from_utf8(self.0.lock().clone()).unwrap();
        log.lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_line_tells_the_fate_of_each_connection_and_message() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let home = Home::new();
    let found = |scope| Mutation::AddResult { scope, list: ResultList::Fail, text: "bare-ip".to_owned() };
    let found = vec![found(Scope::Connection), found(Scope::Transaction)];
    let judge = says("judge", Hook::Mail, Verdict::Next, found);
    let server = home.start(Wanted { plugins: vec![judge], ..Wanted::default() });
    let mut client = server.connect().await;
    client.expect("220").await;
    client.ask("EHLO client.example", "250").await;
    client.send(&["b@example.org"], "A: b\r\n\r\nhi\r\n", "250").await;
    client.ask("MAIL FROM:<a@example.org>", "250").await;
    client.ask("RSET", "250").await;
    client.ask("QUIT", "221").await;
    delivered(&home.maildir().join("example.org/b"), 1).await;
    until(|| log.lines("wasmail::delivery").len() == 1).await;
    server.stop().await;

    let messages = log.lines("wasmail::message");
    assert_eq!(messages.len(), 2, "{messages:?}");
    for part in [
        "remote=[127.0.0.1]:",
        "helo=client.example",
        "from=<a@example.org>",
        "to=<b@example.org>",
        "recipients=1",
        "verdict=\"queued\"",
        "queue_id=\"",
        "reply=250 2.0.0",
        "judge@mail=next/0us accept@rcpt=accept/0us",
        "results=[judge: fail: bare-ip]",
        "duration_us=",
    ] {
        assert!(messages[0].contains(part), "{part} is not in {}", messages[0]);
    }
    assert!(messages[1].contains("verdict=\"abandoned\""), "{}", messages[1]);
    let connections = log.lines("wasmail::connection");
    assert_eq!(connections.len(), 1, "{connections:?}");
    assert!(connections[0].contains("results=[judge: fail: bare-ip, bare-ip]"), "{}", connections[0]);
    assert!(connections[0].contains("transactions=2") && connections[0].contains("accepted=1"), "{}", connections[0]);
    let uuid = |line: &str| line.split("uuid=").nth(1).unwrap().split([' ', '.']).next().unwrap().to_owned();
    assert_eq!(uuid(&messages[0]), uuid(&connections[0]));
    let delivery = log.lines("wasmail::delivery").remove(0);
    assert!(delivery.contains("delivered") && delivery.contains(&uuid(&messages[0])), "{delivery}");
}

#[tokio::test]
async fn a_client_cannot_forge_a_line() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let home = Home::new();
    let server = home.start(Wanted::default());
    let mut client = server.connect().await;
    client.expect("220").await;
    client.say("EHLO a\x1b[31m\rb\r\n").await;
    client.reply().await;
    client.ask("MAIL FROM:<\"a\x07\"@example.org>", "5").await;
    drop(client);
    until(|| log.lines("wasmail::connection").len() == 1).await;
    tokio::time::timeout(Duration::from_secs(20), server.stop()).await.unwrap();
    assert!(!log.0.lock().iter().any(|octet| *octet < b' ' && *octet != b'\n'));
}
