//! Stories of clients' names. The resolver answers for loopback addresses itself (RFC 6761 §6.3), so all clients here
//! are localhost; what becomes of other addresses, with good, failing and dead name servers, is told in `dns::tests`.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use support::{Home, Wanted, binding, delivered};
use wasmail_policy::{Binding, Hook, Outcome};
use wasmail_server::{DnsConfig, ReverseDns};

/// Nobody listens there, so a query would fail.
fn dead() -> SocketAddr {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Notes which name it was shown at each hook.
fn looks() -> (Binding, Arc<Mutex<Vec<Option<String>>>>) {
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let list = Arc::clone(&seen);
    let binding = binding("look", &[Hook::Connect, Hook::Ehlo], move |question| {
        list.lock().push(question.context.connection.remote.host.clone());
        Outcome::next()
    });
    (binding, seen)
}

fn wanted(reverse_dns: ReverseDns, look: Binding) -> Wanted {
    let dns = DnsConfig { servers: vec![dead()], timeout: Duration::from_secs(5), ..DnsConfig::default() };
    Wanted { dns, reverse_dns, plugins: vec![look], ..Wanted::default() }
}

fn localhost() -> Option<String> {
    Some("localhost".to_owned())
}

#[tokio::test]
async fn who_waits_for_the_name_has_it_at_connect() {
    let home = Home::new();
    let (look, seen) = looks();
    let server = home.start(wanted(ReverseDns::Wait, look));
    let mut client = server.connect().await;
    client.hello().await;
    assert_eq!(*seen.lock(), [localhost(), localhost()]);
    client.send(&["b@example.org"], "A: b\r\n\r\n", "250").await;
    drop(client);
    let message = delivered(&home.maildir().join("example.org/b"), 1).await.remove(0);
    let message = String::from_utf8(message).unwrap();
    assert!(message.contains("(localhost [127.0.0.1])") && message.contains("iprev=pass"), "{message}");
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_comes_late_is_seen_from_then_on() {
    let home = Home::new();
    let (look, seen) = looks();
    let server = home.start(wanted(ReverseDns::Lazy, look));
    let mut client = server.connect().await;
    client.expect("220").await;
    let began = Instant::now();
    while *seen.lock().last().unwrap() != localhost() {
        assert!(began.elapsed() < support::PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
        client.ask("EHLO client.example", "250").await;
    }
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn nobody_is_looked_up_where_names_are_off() {
    let home = Home::new();
    let (look, seen) = looks();
    let server = home.start(wanted(ReverseDns::Off, look));
    let mut client = server.connect().await;
    client.hello().await;
    client.send(&["b@example.org"], "A: b\r\n\r\n", "250").await;
    drop(client);
    assert_eq!(*seen.lock(), [None, None]);
    let message = delivered(&home.maildir().join("example.org/b"), 1).await.remove(0);
    assert!(!String::from_utf8(message).unwrap().contains("iprev="));
    server.stop().await;
}
