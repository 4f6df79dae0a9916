//! Stories with real services on loopback, most of which mean harm.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::*;
use crate::Failure;
use crate::dns::{Answer, Data, Outcome, Query, RecordType, Resolver, ResourceRecord};

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A service that does with each connection what it is told to, and counts who came.
struct Service {
    address: SocketAddr,
    came: Arc<AtomicUsize>,
}

impl Service {
    async fn start<F: Future<Output = ()> + Send + 'static>(serve: fn(TcpStream) -> F) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let came = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&came);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream));
            }
        });
        Self { address, came }
    }

    fn endpoint(&self) -> String {
        self.address.to_string()
    }

    fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }

    fn client(&self, quota: Quota) -> Client {
        client_to(&[&self.endpoint()], Reach::default(), quota)
    }
}

/// Answers with what it has heard, once it has heard the end.
async fn echo(mut stream: TcpStream) {
    let mut heard = Vec::new();
    if stream.read_to_end(&mut heard).await.is_ok() {
        let _ = stream.write_all(&heard).await;
    }
}

/// Says the same again and again, whether somebody listens or not.
async fn repeat(mut stream: TcpStream, text: Vec<u8>, pause: Duration) {
    while stream.write_all(&text).await.is_ok() {
        tokio::time::sleep(pause).await;
    }
}

fn client_to(endpoints: &[&str], reach: Reach, quota: Quota) -> Client {
    let resolver = Resolver::of_list(["service.example", "localhost"].map(|name| {
        let records = vec![ResourceRecord { data: Data::A([127, 0, 0, 1].into()), ttl: 60 }];
        let query = Query { name: name.to_owned(), record_type: RecordType::A };
        (query, Ok(Answer { outcome: Outcome::Found, records, validated: false }))
    }));
    let endpoints = endpoints.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    Client::new(Network::new(Some(resolver), 10), endpoints, reach, quota)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("there is a deadline")
}

/// One hook call of a binding.
struct Call(Client, Conversations);

impl Call {
    fn of(client: Client) -> Self {
        Self(client, Conversations::default())
    }

    async fn connect(&mut self, endpoint: &str) -> Result<u32, Failure> {
        soon(self.0.connect(&mut self.1, endpoint)).await
    }

    async fn send(&mut self, number: u32, text: &str) -> Result<(), Failure> {
        soon(self.0.send(&mut self.1, number, text.as_bytes())).await
    }

    async fn finish(&mut self, number: u32) -> Result<(), Failure> {
        soon(self.0.finish(&mut self.1, number)).await
    }

    async fn receive(&mut self, number: u32, max: usize) -> Result<String, Failure> {
        let octets = soon(self.0.receive(&mut self.1, number, max)).await;
        octets.map(|octets| String::from_utf8(octets).unwrap())
    }

    async fn until(&mut self, number: u32, delimiter: &str, max: usize) -> Result<String, Failure> {
        let octets = soon(self.0.receive_until(&mut self.1, number, delimiter.as_bytes(), max)).await;
        octets.map(|octets| String::from_utf8(octets).unwrap())
    }

    async fn all(&mut self, number: u32) -> Result<String, Failure> {
        let mut all = String::new();
        loop {
            match self.receive(number, usize::MAX).await?.as_str() {
                "" => return Ok(all),
                more => all += more,
            }
        }
    }
}

#[tokio::test]
async fn two_speak_in_turns_and_one_ends_first() {
    let service = Service::start(echo).await;
    let mut call = Call::of(service.client(Quota::default()));
    let number = call.connect(&service.endpoint()).await.unwrap();
    call.send(number, "one\ntwo\nthree").await.unwrap();
    call.finish(number).await.unwrap();
    assert_eq!(call.until(number, "\n", 100).await.as_deref(), Ok("one\n"));
    assert_eq!(call.receive(number, 2).await.as_deref(), Ok("tw"));
    assert_eq!(call.until(number, "\n", 100).await.as_deref(), Ok("o\n"));
    // At the end there is no delimiter.
    assert_eq!(call.until(number, "\n", 100).await.as_deref(), Ok("three"));
    assert_eq!(call.until(number, "\n", 100).await.as_deref(), Ok(""));
    assert_eq!(call.receive(number, 1).await.as_deref(), Ok(""));
    for sent in [call.send(number, "more").await, call.finish(number).await] {
        assert!(matches!(&sent, Err(Failure::Invalid(why)) if why.contains("finish")), "{sent:?}");
    }
}

#[tokio::test]
async fn a_delimiter_is_found_wherever_it_was_cut() {
    let service = Service::start(|mut stream| async move {
        for text in ["250-a\r", "\n250", "-b\r\n250 c\r\n", "left"] {
            stream.write_all(text.as_bytes()).await.unwrap();
            // So that they are likely to come one by one; nothing depends on it.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let _ = stream.read(&mut [0]).await;
    });
    let service = service.await;
    let mut call = Call::of(service.client(Quota::default()));
    let number = call.connect(&service.endpoint()).await.unwrap();
    for line in ["250-a\r\n", "250-b\r\n", "250 c\r\n"] {
        assert_eq!(call.until(number, "\r\n", 100).await.as_deref(), Ok(line));
    }
    let none = call.until(number, "\r\n", 4).await;
    assert!(matches!(&none, Err(Failure::Unavailable(why)) if why.contains("first 4 octets")), "{none:?}");
    assert_eq!(call.receive(number, 100).await.as_deref(), Ok("left"), "it is still there");
    let long = "x".repeat(200);
    for (delimiter, max) in [("", 100), (long.as_str(), 1_000), ("\r\n", 1), ("\n", 0)] {
        assert!(matches!(call.until(number, delimiter, max).await, Err(Failure::Invalid(_))), "{delimiter} {max}");
    }
    assert!(matches!(call.receive(number, 0).await, Err(Failure::Invalid(_))));
}

/// A source that gives a few octets at a time.
struct Few(Vec<u8>, u64);

impl Source for Few {
    fn len(&self) -> u64 {
        self.1
    }

    fn read(&mut self, offset: u64, max: usize) -> Octets<'_> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let octets = rest[..rest.len().min(max).min(1_000)].to_vec();
        Box::pin(async move { Ok(octets) })
    }
}

#[tokio::test]
async fn a_source_is_sent_as_it_is_or_in_chunks() {
    let service = Service::start(echo).await;
    let text: String = (0..150_000).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
    let mut chunked = String::new();
    for chunk in text.as_bytes().chunks(65_536) {
        let len = (chunk.len() as u32).to_be_bytes();
        chunked += &len.iter().map(|octet| char::from(*octet)).collect::<String>();
        chunked += std::str::from_utf8(chunk).unwrap();
    }
    for (framing, expected) in [(Framing::None, &text), (Framing::LengthPrefixedChunks, &chunked)] {
        let mut call = Call::of(service.client(Quota::default()));
        let number = call.connect(&service.endpoint()).await.unwrap();
        let mut source = Few(text.clone().into_bytes(), text.len() as u64);
        let sent = soon(call.0.send_source(&mut call.1, number, &mut source, framing)).await;
        assert_eq!(sent, Ok(150_000));
        call.finish(number).await.unwrap();
        let mut heard = Vec::new();
        while heard.last() != Some(&Vec::new()) {
            heard.push(soon(call.0.receive(&mut call.1, number, 60_000)).await.unwrap());
        }
        let heard: String = heard.concat().into_iter().map(char::from).collect();
        assert!(heard == *expected, "{framing:?}: {} octets", heard.len());
    }
}

#[tokio::test]
async fn a_source_that_breaks_off_ends_what_can_be_sent() {
    let service = Service::start(echo).await;
    let mut call = Call::of(service.client(Quota::default()));
    let number = call.connect(&service.endpoint()).await.unwrap();
    let mut source = Few(b"half".to_vec(), 100_000);
    let sent = soon(call.0.send_source(&mut call.1, number, &mut source, Framing::None)).await;
    assert_eq!(sent, Err(Failure::Unavailable("the message cannot be read back".to_owned())));
    assert_eq!(call.send(number, "more").await.err(), sent.err());
}

#[tokio::test]
async fn only_listed_endpoints_are_connected_to() {
    let service = Service::start(echo).await;
    let mut call = Call::of(service.client(Quota { connections: 100, ..Quota::default() }));
    let port = service.address.port();
    for endpoint in [
        format!("localhost:{port}"),
        format!("service.example:{port}"),
        format!("127.0.0.2:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("127.0.0.1:{}", port ^ 1),
        "unix:/run/clamav/clamd.ctl".to_owned(),
        "127.0.0.1".to_owned(),
        String::new(),
    ] {
        let connected = call.connect(&endpoint).await;
        assert!(matches!(connected, Err(Failure::Invalid(_))), "{endpoint}: {connected:?}");
    }
    assert_eq!(service.came(), 0);
}

#[tokio::test]
async fn a_name_leads_where_the_operator_lets_it() {
    let service = Service::start(echo).await;
    let endpoint = format!("service.example:{}", service.address.port());
    let connect = async |reach| {
        let connected = Call::of(client_to(&[&endpoint], reach, Quota::default())).connect(&endpoint).await;
        connected.map(drop)
    };
    let refused = connect(Reach::default()).await;
    assert!(matches!(&refused, Err(Failure::Invalid(why)) if why.contains("tcp.private")), "{refused:?}");
    assert_eq!(service.came(), 0);
    assert_eq!(connect(Reach { private: true, ..Reach::default() }).await, Ok(()));
    let loopback = Reach { addresses: vec!["127.0.0.0/8".parse().unwrap()], ..Reach::default() };
    assert_eq!(connect(loopback).await, Ok(()));
    let nobody = Call::of(client_to(&["nobody.example:1"], Reach::default(), Quota::default()));
    let nobody = { nobody }.connect("nobody.example:1").await;
    assert!(matches!(&nobody, Err(Failure::Unavailable(why)) if why.contains("no address")), "{nobody:?}");
}

#[tokio::test]
async fn a_service_may_have_a_socket_in_the_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let endpoint = format!("unix:{}", path.display());
    let mut call = Call::of(client_to(&[&endpoint], Reach::default(), Quota::default()));
    let nobody = call.connect(&endpoint).await;
    assert!(matches!(&nobody, Err(Failure::Unavailable(_))), "{nobody:?}");
    let listener = UnixListener::bind(&path).unwrap();
    let number = call.connect(&endpoint).await.unwrap();
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    call.send(number, "PING\n").await.unwrap();
    let mut heard = [0; 5];
    soon(stream.read_exact(&mut heard)).await.unwrap();
    stream.write_all(b"PONG\n").await.unwrap();
    assert_eq!((&heard, call.until(number, "\n", 10).await.as_deref()), (b"PING\n", Ok("PONG\n")));
}

#[tokio::test]
async fn a_number_is_good_in_its_own_call_only() {
    let service = Service::start(echo).await;
    let mut call = Call::of(service.client(Quota::default()));
    let first = call.connect(&service.endpoint()).await.unwrap();
    let second = call.connect(&service.endpoint()).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(call.1.close(first), Ok(()));
    call.1.end();
    let third = call.connect(&service.endpoint()).await.unwrap();
    assert!(![first, second].contains(&third));
    for number in [0, first, second, third + 1, u32::MAX] {
        let told = [
            call.send(number, "x").await,
            call.finish(number).await,
            call.receive(number, 1).await.map(drop),
            call.until(number, "\n", 9).await.map(drop),
            soon(call.0.send_source(&mut call.1, number, &mut Few(vec![1], 1), Framing::None)).await.map(drop),
            call.1.close(number),
        ];
        let why = Failure::Invalid(format!("this hook call has no connection {number}"));
        assert!(told.iter().all(|told| *told == Err(why.clone())), "{told:?}");
    }
    assert_eq!(call.send(third, "x").await, Ok(()));
}

#[tokio::test]
async fn the_end_of_the_call_closes_everything() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let mut call = Call::of(client_to(&[&endpoint], Reach::default(), Quota::default()));
    let mut streams = Vec::new();
    for _ in 0..2 {
        call.connect(&endpoint).await.unwrap();
        streams.push(soon(listener.accept()).await.unwrap().0);
    }
    call.1.end();
    for mut stream in streams {
        assert_eq!(soon(stream.read(&mut [0])).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_reset_is_no_end() {
    let service = Service::start(|stream| async move {
        // What is closed with something unread is reset.
        stream.peek(&mut [0]).await.unwrap();
    })
    .await;
    let mut call = Call::of(service.client(Quota::default()));
    let number = call.connect(&service.endpoint()).await.unwrap();
    call.send(number, "hello").await.unwrap();
    for _ in 0..2 {
        let told = call.receive(number, 10).await;
        assert!(matches!(&told, Err(Failure::Unavailable(why)) if why.contains("reset")), "{told:?}");
    }
}

#[tokio::test]
async fn who_hangs_up_while_we_speak_is_still_heard() {
    let service = Service::start(|mut stream| async move {
        stream.write_all(b"size limit exceeded\0").await.unwrap();
        stream.peek(&mut [0]).await.unwrap();
    })
    .await;
    let mut call = Call::of(service.client(Quota::default()));
    let number = call.connect(&service.endpoint()).await.unwrap();
    let mut source = Few(vec![b'x'; 50_000_000], 50_000_000);
    let sent = soon(call.0.send_source(&mut call.1, number, &mut source, Framing::LengthPrefixedChunks)).await;
    assert!(matches!(sent, Err(Failure::Unavailable(_))), "{sent:?}");
    assert!(call.send(number, "more").await.is_err());
    assert_eq!(call.until(number, "\0", 100).await.as_deref(), Ok("size limit exceeded\0"));
}

#[tokio::test]
async fn a_slow_service_takes_the_call_s_time_and_no_more() {
    let silent = |mut stream: TcpStream| async move { drop(stream.read(&mut [0; 9]).await) };
    let drips = Service::start(|stream| repeat(stream, b"x".to_vec(), Duration::from_millis(5))).await;
    let deaf = Service::start(silent).await;
    for service in [drips, deaf] {
        let quota = Quota { timeout: Duration::from_millis(300), ..Quota::default() };
        let mut call = Call::of(service.client(quota));
        let began = Instant::now();
        let number = call.connect(&service.endpoint()).await.unwrap();
        assert_eq!(call.until(number, "\n", 60_000).await, Err(Failure::TimedOut));
        // The time is that of the call: neither another connection nor another question gets any.
        assert_eq!(call.send(number, &"x".repeat(60_000)).await, Err(Failure::TimedOut));
        assert_eq!(call.connect(&service.endpoint()).await, Err(Failure::TimedOut));
        assert!(began.elapsed() < PATIENCE / 2);
        call.1.end();
        assert!(call.connect(&service.endpoint()).await.is_ok(), "the next call has its own");
    }
}

#[tokio::test]
async fn who_does_not_read_takes_the_call_s_time_and_no_more() {
    let service = Service::start(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let mut call = Call::of(service.client(Quota { timeout: Duration::from_millis(300), ..Quota::default() }));
    let number = call.connect(&service.endpoint()).await.unwrap();
    let mut source = Few(vec![b'x'; 50_000_000], 50_000_000);
    let sent = soon(call.0.send_source(&mut call.1, number, &mut source, Framing::None)).await;
    assert_eq!(sent, Err(Failure::TimedOut));
}

#[tokio::test]
async fn data_without_end_is_cut_at_the_quota() {
    let service = Service::start(|stream| repeat(stream, vec![b'x'; 10_000], Duration::ZERO)).await;
    let mut call = Call::of(service.client(Quota { received: 100_000, ..Quota::default() }));
    let number = call.connect(&service.endpoint()).await.unwrap();
    assert_eq!(call.all(number).await, Err(Failure::QuotaExceeded("tcp.received")));
    // A second connection does not begin anew.
    let number = call.connect(&service.endpoint()).await.unwrap();
    assert_eq!(call.receive(number, 1).await, Err(Failure::QuotaExceeded("tcp.received")));
    let exact = Service::start(|mut stream| async move { stream.write_all(&[b'x'; 100_000]).await.unwrap() }).await;
    let mut call = Call::of(exact.client(Quota { received: 100_000, ..Quota::default() }));
    let number = call.connect(&exact.endpoint()).await.unwrap();
    assert_eq!(call.all(number).await.map(|all| all.len()), Ok(100_000), "as much as the quota is not too much");
}

#[tokio::test]
async fn quotas_are_counted() {
    let service = Service::start(echo).await;
    let endpoint = service.endpoint();
    let quota = Quota { connections: 2, rate: 3, sent: 10, ..Quota::default() };
    let mut call = Call::of(service.client(quota));
    let number = call.connect(&endpoint).await.unwrap();
    // Too much is refused before any of it is sent.
    let mut source = Few(vec![b'x'; 7], 7);
    let chunks = soon(call.0.send_source(&mut call.1, number, &mut source, Framing::LengthPrefixedChunks)).await;
    assert_eq!(chunks, Err(Failure::QuotaExceeded("tcp.sent")));
    assert_eq!(call.send(number, "0123456789a").await, Err(Failure::QuotaExceeded("tcp.sent")));
    assert_eq!(call.send(number, "0123456789").await, Ok(()));
    call.finish(number).await.unwrap();
    assert_eq!(call.all(number).await.as_deref(), Ok("0123456789"));
    assert!(call.connect(&endpoint).await.is_ok());
    assert_eq!(call.connect(&endpoint).await, Err(Failure::QuotaExceeded("tcp.connections")));
    call.1.end();
    assert!(call.connect(&endpoint).await.is_ok());
    assert_eq!(call.connect(&endpoint).await, Err(Failure::QuotaExceeded("tcp.rate")));
}

#[tokio::test]
async fn places_are_waited_for_and_given_back() {
    let service = Service::start(echo).await;
    let endpoint = service.endpoint();
    let quota = Quota { concurrency: 1, connect_timeout: Duration::from_millis(100), ..Quota::default() };
    let client = service.client(quota);
    let (mut first, mut second) = (Call::of(client.clone()), Call::of(client));
    let number = first.connect(&endpoint).await.unwrap();
    assert_eq!(second.connect(&endpoint).await, Err(Failure::TimedOut));
    first.1.close(number).unwrap();
    assert!(second.connect(&endpoint).await.is_ok());
    assert_eq!(first.connect(&endpoint).await, Err(Failure::TimedOut));
    drop(second);
    assert!(first.connect(&endpoint).await.is_ok());
}

#[tokio::test]
async fn a_rehearsal_has_the_services_that_it_lists() {
    let endpoint: Endpoint = "127.0.0.1:3310".parse().unwrap();
    let gone: Endpoint = "unix:/gone".parse().unwrap();
    let fails = Failure::Unavailable("connection refused".to_owned());
    let list = [(endpoint, Ok(b"stream: OK\0".to_vec())), (gone, Err(fails.clone()))];
    let mut call = Call::of(Client::new(Network::of_list(list), Vec::new(), Reach::default(), Quota::default()));
    let number = call.connect("127.0.0.1:3310").await.unwrap();
    assert_eq!(call.send(number, "zINSTREAM\0").await, Ok(()));
    assert_eq!(call.until(number, "\0", 100).await.as_deref(), Ok("stream: OK\0"));
    assert_eq!(call.receive(number, 100).await.as_deref(), Ok(""));
    assert_eq!(call.connect("unix:/gone").await, Err(fails));
    assert!(matches!(call.connect("127.0.0.1:1").await, Err(Failure::Unavailable(_))));
}
