//! Stories of clients, over loopback.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use support::{Client, Home, PATIENCE, Wanted, binding, delivered, says, until};
use tokio::io::AsyncWriteExt;
use wasmail_mime::edit::Banner;
use wasmail_policy::{Binding, Hook, Mutation, Outcome, Verdict};
use wasmail_server::{ConnectionLimits, StartError};
use wasmail_smtp::Limits;
use wasmail_spool::Options;

/// Counts how often `disconnect` is asked.
fn counts_disconnects() -> (Binding, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let binding = binding("count", &[Hook::Disconnect], move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Outcome::next()
    });
    (binding, count)
}

#[tokio::test]
async fn a_pipelined_group_is_answered_in_one_write() {
    let home = Home::new();
    let server = home.start(Wanted::default());
    let mut client = server.connect().await;
    client.hello().await;
    client.say("MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n").await;
    let replies = client.one_read().await;
    let codes: Vec<_> = replies.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["250", "250", "250", "354"]);
    client.say("Subject: hi\r\n\r\nhello\r\n.\r\nMAIL FROM:<d@example.org>\r\nQUIT\r\n").await;
    let mut codes = client.expect("250 2.0.0").await;
    codes += &client.expect("250 2.1.0").await;
    codes += &client.expect("221").await;
    assert_eq!(codes.lines().count(), 3);
    assert!(client.closed().await);
    server.stop().await;
}

#[tokio::test]
async fn a_message_comes_through_octet_for_octet() {
    let home = Home::new();
    let server = home.start(Wanted::default());
    let mut client = server.connect().await;
    client.hello().await;
    client.send(&["Bob@Example.org"], "Subject: hi\r\n\r\n..dot\r\n\u{fc}\r\n", "250").await;
    let message = delivered(&home.maildir().join("example.org/bob"), 1).await.remove(0);
    let message = String::from_utf8(message).unwrap();
    assert!(message.starts_with("Return-Path: <a@example.org>\r\nDelivered-To: Bob@Example.org\r\n"), "{message}");
    assert!(message.ends_with("\r\nSubject: hi\r\n\r\n.dot\r\n\u{fc}\r\n"), "{message}");
    assert_eq!(message.matches("Received: from client.example").count(), 1);
    assert_eq!(server.stop().await.waiting, 0);
}

#[tokio::test]
async fn who_comes_on_top_of_the_limits_is_turned_away() {
    let home = Home::new();
    let connections = ConnectionLimits { total: 9, per_address: 2 };
    let server = home.start(Wanted { connections, ..Wanted::default() });
    let mut first = server.connect().await;
    first.hello().await;
    let mut second = server.connect().await;
    second.hello().await;
    let mut third = server.connect().await;
    third.expect("421 4.7.0").await;
    assert!(third.closed().await);
    first.ask("QUIT", "221").await;
    assert!(first.closed().await);
    let address = server.address;
    let began = Instant::now();
    let mut again = Client::connect(address).await;
    while again.reply().await.starts_with("421") {
        assert!(began.elapsed() < PATIENCE, "the place becomes free");
        again = Client::connect(address).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_full_house_says_so() {
    let home = Home::new();
    let connections = ConnectionLimits { total: 1, per_address: 9 };
    let server = home.start(Wanted { connections, ..Wanted::default() });
    let mut first = server.connect().await;
    first.hello().await;
    server.connect().await.expect("421 4.3.2").await;
    server.stop().await;
}

#[tokio::test]
async fn an_idle_client_is_sent_away() {
    let home = Home::new();
    let limits = Limits { idle: Duration::from_millis(150), ..Limits::default() };
    let (count, disconnects) = counts_disconnects();
    let server = home.start(Wanted { limits, plugins: vec![count], ..Wanted::default() });
    let mut client = server.connect().await;
    let began = Instant::now();
    client.hello().await;
    client.expect("421 4.4.2").await;
    assert!(began.elapsed() >= Duration::from_millis(150), "{:?}", began.elapsed());
    assert!(client.closed().await);
    until(|| disconnects.load(Ordering::SeqCst) == 1).await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_stays_busy_is_not_idle() {
    let home = Home::new();
    let limits = Limits { idle: Duration::from_millis(300), ..Limits::default() };
    let server = home.start(Wanted { limits, ..Wanted::default() });
    let mut client = server.connect().await;
    client.hello().await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(700) {
        client.ask("NOOP", "250").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn disconnect_is_asked_once_however_it_ends() {
    let home = Home::new();
    let (count, disconnects) = counts_disconnects();
    let server = home.start(Wanted { plugins: vec![count], ..Wanted::default() });
    let mut quits = server.connect().await;
    quits.hello().await;
    quits.ask("QUIT", "221").await;
    assert!(quits.closed().await);
    let mut leaves = server.connect().await;
    leaves.hello().await;
    leaves.ask("MAIL FROM:<a@example.org>", "250").await;
    drop(leaves);
    let mut resets = server.connect().await;
    resets.hello().await;
    resets.stream.set_zero_linger().unwrap();
    drop(resets);
    until(|| disconnects.load(Ordering::SeqCst) == 3).await;
    server.stop().await;
    assert_eq!(disconnects.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn who_speaks_before_the_greeting_is_noticed() {
    let home = Home::new();
    let early = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&early);
    let delay = Duration::from_millis(200);
    let waits = says("wait", Hook::Connect, Verdict::Next, vec![Mutation::Delay(delay)]);
    let looks = binding("look", &[Hook::Ehlo], move |question| {
        seen.lock().push(question.context.connection.counters.early_talker);
        Outcome::next()
    });
    let server = home.start(Wanted { plugins: vec![waits, looks], ..Wanted::default() });
    let began = Instant::now();
    let mut hasty = server.connect().await;
    hasty.say("EHLO client.example\r\n").await;
    hasty.expect("220").await;
    assert!(began.elapsed() >= delay);
    hasty.expect("250").await;
    server.connect().await.hello().await;
    assert_eq!(*early.lock(), [true, false]);
    server.stop().await;
}

#[tokio::test]
async fn a_delay_holds_up_its_own_reply_only() {
    let home = Home::new();
    let waits = says("wait", Hook::Data, Verdict::Next, vec![Mutation::Delay(Duration::from_millis(300))]);
    let server = home.start(Wanted { plugins: vec![waits], ..Wanted::default() });
    let mut client = server.connect().await;
    client.hello().await;
    let began = Instant::now();
    client.say("MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n").await;
    client.expect("250").await;
    client.expect("250").await;
    assert!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
    client.expect("354").await;
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn plugins_read_the_body_that_is_kept() {
    let home = Home::new();
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    let looks = binding("look", &[Hook::DataPost, Hook::Queue], move |question| {
        seen.lock().push(question.body.map(|body| body.len()));
        Outcome::next()
    });
    let options = Options { inline_max: 1000, ..Wanted::default().options };
    let server = home.start(Wanted { plugins: vec![looks], options, ..Wanted::default() });
    let mut client = server.connect().await;
    client.hello().await;
    client.send(&["b@example.org"], "A: b\r\n\r\nhello\r\n", "250").await;
    client.send(&["b@example.org"], &format!("A: b\r\n\r\n{}", "hello\r\n".repeat(1000)), "250").await;
    client.send(&["b@example.org"], "A: b\r\n", "250").await;
    assert_eq!(*sizes.lock(), [7, 7, 7000, 7000, 0, 0].map(Some));
    server.stop().await;
}

#[tokio::test]
async fn an_edited_body_is_what_is_delivered_whether_it_lay_in_memory_or_in_a_file() {
    let home = Home::new();
    let banner = Mutation::AddBanner(Banner { text: Some("seen".into()), html: None });
    let plugins = vec![says("banner", Hook::DataPost, Verdict::Next, vec![banner])];
    let options = Options { inline_max: 1000, ..Wanted::default().options };
    let server = home.start(Wanted { plugins, options, ..Wanted::default() });
    let mut client = server.connect().await;
    client.hello().await;
    let content = |file: &str| {
        format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\nX: y\r\n\r\n{file}--b--\r\n"
        )
    };
    let large = "0123456789\r\n".repeat(100_000);
    client.send(&["small@example.org"], &content("file\r\n"), "250").await;
    client.send(&["large@example.org"], &content(&large), "250").await;
    for (name, file) in [("small", "file\r\n"), ("large", large.as_str())] {
        let message = delivered(&home.maildir().join("example.org").join(name), 1).await.remove(0);
        let message = String::from_utf8(message).unwrap();
        let body = message.split_once("\r\n\r\n").unwrap().1;
        assert!(
            body == format!("--b\r\n\r\nhello\r\nseen\r\n--b\r\nX: y\r\n\r\n{file}--b--\r\n"),
            "{name}: {}",
            body.len()
        );
    }
    // Neither the body that came nor the edited one is left behind.
    until(|| std::fs::read_dir(home.spool().join("bodies")).unwrap().count() == 0).await;
    assert_eq!(server.stop().await.waiting, 0);
}

#[tokio::test]
async fn a_running_transaction_ends_before_the_server_does() {
    let home = Home::new();
    let mut server = home.start(Wanted::default());
    let (mut busy, mut idle) = (server.connect().await, server.connect().await);
    busy.hello().await;
    idle.hello().await;
    busy.ask("MAIL FROM:<a@example.org>", "250").await;
    busy.ask("RCPT TO:<b@example.org>", "250").await;
    busy.ask("DATA", "354").await;
    server.tell_to_stop();
    idle.expect("421 4.3.2").await;
    assert!(idle.closed().await);
    busy.ask("Subject: last\r\n\r\n.", "250").await;
    busy.expect("421 4.3.2").await;
    let stopped = server.stopped().await;
    assert_eq!((stopped.cut_off, stopped.waiting), (0, 0));
    delivered(&home.maildir().join("example.org/b"), 1).await;
}

#[tokio::test]
async fn nobody_is_let_in_while_the_server_drains() {
    let home = Home::new();
    let mut server = home.start(Wanted::default());
    let mut busy = server.connect().await;
    busy.hello().await;
    busy.ask("MAIL FROM:<a@example.org>", "250").await;
    server.tell_to_stop();
    let address = server.address;
    let refused = async { while tokio::net::TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.expect("the listener closes");
    busy.ask("RSET", "250").await;
    busy.expect("421 4.3.2").await;
    server.stopped().await;
}

#[tokio::test]
async fn a_transaction_that_does_not_end_is_cut_off() {
    let home = Home::new();
    let mut server = home.start(Wanted { drain_timeout: Duration::from_millis(200), ..Wanted::default() });
    let mut client = server.connect().await;
    client.hello().await;
    client.ask("MAIL FROM:<a@example.org>", "250").await;
    client.ask("RCPT TO:<b@example.org>", "250").await;
    client.ask("DATA", "354").await;
    client.say("half a mess").await;
    server.tell_to_stop();
    client.expect("421 4.3.2").await;
    assert!(client.closed().await);
    let stopped = server.stopped().await;
    assert_eq!((stopped.cut_off, stopped.waiting), (1, 0));
}

#[tokio::test]
async fn a_full_spool_is_452_and_a_broken_one_451() {
    let home = Home::new();
    let options = Options { min_free: u64::MAX / 2, ..Wanted::default().options };
    let server = home.start(Wanted { options, ..Wanted::default() });
    let mut client = server.connect().await;
    client.hello().await;
    client.send(&["b@example.org"], "A: b\r\n\r\nhi\r\n", "452 4.3.1").await;
    client.ask("NOOP", "250").await;
    server.stop().await;

    let home = Home::new();
    let options = Options { inline_max: 10, ..Wanted::default().options };
    let server = home.start(Wanted { options, ..Wanted::default() });
    for folder in std::fs::read_dir(home.spool()).unwrap().map(|entry| entry.unwrap().path()) {
        if folder.is_dir() {
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
    let mut client = server.connect().await;
    client.hello().await;
    client.send(&["b@example.org"], &format!("A: b\r\n\r\n{}", "too long\r\n".repeat(9)), "451 4.3.0").await;
    client.ask("NOOP", "250").await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_stay() {
    let home = Home::new();
    let limits = Limits { idle: Duration::from_millis(300), bad_commands: u32::MAX, ..Limits::default() };
    let limits = Limits { commands_without_progress: u32::MAX, ..limits };
    let (count, disconnects) = counts_disconnects();
    let server = home.start(Wanted { limits, plugins: vec![count], ..Wanted::default() });
    let mut client = server.connect().await;
    client.hello().await;
    let flood = "HELP\r\n".repeat(20_000);
    // The server stops reading when its replies are not read, so not all of it may go.
    while tokio::time::timeout(Duration::from_millis(50), client.stream.write_all(flood.as_bytes())).await.is_ok() {}
    until(|| disconnects.load(Ordering::SeqCst) == 1).await;
    server.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home = Home::new();
    let Err(error) = home.bind_at(address) else { panic!("the address is taken") };
    assert!(matches!(error, StartError::Listen { .. }));
    assert!(error.to_string().starts_with(&format!("listener `test`: failed to listen on {address}: ")), "{error}");
}
