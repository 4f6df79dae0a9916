//! Stories with real servers on loopback, most of which mean harm.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::Failure;
use crate::dns::{Answer, Data, Outcome, Query, RecordType, Resolver, ResourceRecord};

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that reads a request and then says what it is told to, and counts who came.
struct Server {
    address: SocketAddr,
    came: Arc<AtomicUsize>,
    /// What was last read.
    heard: tokio::sync::watch::Receiver<Vec<u8>>,
}

enum Says {
    This(Vec<u8>),
    /// This, and then these octets again and again, after a pause each.
    Endless(&'static str, Vec<u8>, Duration),
    Nothing,
}

impl Server {
    async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let came = Arc::new(AtomicUsize::new(0));
        let (tell, heard) = tokio::sync::watch::channel(Vec::new());
        let (count, says) = (Arc::clone(&came), Arc::new(says));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&says), tell.clone()));
            }
        });
        Self { address, came, heard }
    }

    async fn says(text: &str) -> Self {
        Self::start(Says::This(text.replace('\n', "\r\n").into_bytes())).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }

    fn heard(&self) -> String {
        String::from_utf8(self.heard.borrow().clone()).unwrap()
    }
}

async fn serve(mut stream: TcpStream, says: Arc<Says>, tell: tokio::sync::watch::Sender<Vec<u8>>) {
    let mut octets = vec![0; 1 << 16];
    let mut heard = Vec::new();
    // The requests here are small, and end with their head or with `end`.
    while !heard.ends_with(b"\r\n\r\n") && !heard.ends_with(b"end") {
        match stream.read(&mut octets).await {
            Ok(len) if len > 0 => heard.extend_from_slice(&octets[..len]),
            _ => return,
        }
    }
    tell.send_replace(heard);
    match &*says {
        Says::This(text) => drop(stream.write_all(text).await),
        Says::Nothing => drop(stream.read(&mut octets).await),
        Says::Endless(head, again, pause) => {
            let mut said = stream.write_all(head.as_bytes()).await;
            while said.is_ok() {
                tokio::time::sleep(*pause).await;
                said = stream.write_all(again).await;
            }
        }
    }
}

fn network(names: &[(&str, &str)]) -> Arc<Network> {
    let list = names.iter().map(|(name, ip)| {
        let records = vec![ResourceRecord { data: Data::A(ip.parse().unwrap()), ttl: 60 }];
        let query = Query { name: (*name).to_owned(), record_type: RecordType::A };
        (query, Ok(Answer { outcome: Outcome::Found, records, validated: false }))
    });
    Network::new(Resolver::of_list(list), &NetworkConfig { roots: None, more_roots: None, concurrency: 10 }).unwrap()
}

fn client_to(url: &str, reach: Reach, quota: Quota) -> Client {
    let names = [("rebinds.example", "127.0.0.1"), ("metadata.example", "169.254.169.254")];
    let origin = Origin::of(&url::Url::parse(url).unwrap()).unwrap();
    Client::new(network(&names), vec![origin], reach, quota)
}

fn local() -> Reach {
    Reach { private: true, ..Reach::default() }
}

fn request(method: &str, url: &str) -> Request {
    Request { method: method.to_owned(), url: url.to_owned(), headers: Vec::new(), body: Vec::new() }
}

async fn get(url: &str, reach: Reach, quota: Quota) -> Result<Response, Failure> {
    fetch(&client_to(url, reach, quota), request("GET", url)).await
}

async fn fetch(client: &Client, request: Request) -> Result<Response, Failure> {
    tokio::time::timeout(PATIENCE, client.fetch(&mut 0, request)).await.expect("there is a deadline")
}

#[tokio::test]
async fn a_request_goes_out_as_it_was_written_and_the_response_comes_back() {
    let server = Server::says("HTTP/1.1 201 Created\nX-Score: 4.5\nContent-Length: 5\n\nhello").await;
    let mut request = request("POST", &server.url("/check?a=b#no"));
    request.headers.push(Header { name: "X-Key".into(), value: "k".into() });
    request.body = b"the end".to_vec();
    let response = fetch(&client_to(&request.url, local(), Quota::default()), request).await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (201, &b"hello"[..]));
    assert!(response.headers.contains(&Header { name: "x-score".into(), value: "4.5".into() }));
    let heard = server.heard().to_ascii_lowercase();
    assert!(heard.starts_with("post /check?a=b http/1.1\r\n") && heard.ends_with("\r\n\r\nthe end"), "{heard}");
    for field in [&format!("host: {}", server.address), "x-key: k", "content-length: 7", "connection: close"] {
        assert_eq!(heard.matches(&format!("\r\n{field}\r\n")).count(), 1, "{field} in {heard}");
    }
}

#[tokio::test]
async fn bodies_end_where_their_framing_says() {
    for (said, body) in [
        ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n2\nde\n0\n\n", "abcde"),
        ("HTTP/1.0 200 OK\n\nuntil the end", "until the end"),
        ("HTTP/1.1 103 Early Hints\nLink: x\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nokmore", "ok"),
        ("HTTP/1.1 204 No Content\n\n", ""),
    ] {
        let server = Server::says(said).await;
        let response = get(&server.url("/"), local(), Quota::default()).await;
        assert_eq!(String::from_utf8(response.unwrap().body).unwrap(), body, "{said}");
    }
}

#[tokio::test]
async fn a_response_that_is_none_is_a_failure() {
    for said in [
        "",
        "SSH-2.0-OpenSSH\n",
        "HTTP/1.1 200 OK\nContent-Length: 10\n\nshort",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nzz\nabc\n",
        "HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2\n\nab",
    ] {
        let server = Server::says(said).await;
        let response = get(&server.url("/"), local(), Quota::default()).await;
        assert!(matches!(response, Err(Failure::Unavailable(_))), "{said}: {response:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let inner = Server::says("HTTP/1.1 200 OK\nContent-Length: 0\n\n").await;
    let location = inner.url("/secret");
    let server = Server::says(&format!("HTTP/1.1 302 Found\nLocation: {location}\nContent-Length: 0\n\n")).await;
    let response = get(&server.url("/"), local(), Quota::default()).await.unwrap();
    assert_eq!((response.status, inner.came()), (302, 0));
    assert!(response.headers.contains(&Header { name: "location".into(), value: location }));
}

#[tokio::test]
async fn what_is_not_public_is_not_connected_to_whatever_its_name() {
    let server = Server::says("HTTP/1.1 200 OK\nContent-Length: 0\n\n").await;
    let port = server.address.port();
    // The operator has listed them all, and not said that they may be private.
    for host in
        ["127.0.0.1", "rebinds.example", "metadata.example", "169.254.169.254", "[::ffff:7f00:1]", "0x7f.1", "0.0.0.0"]
    {
        let answer = get(&format!("http://{host}:{port}/"), Reach::default(), Quota::default()).await;
        assert!(matches!(&answer, Err(Failure::Invalid(why)) if why.contains("http.private")), "{host}: {answer:?}");
    }
    assert_eq!(server.came(), 0);
    let url = format!("http://rebinds.example:{port}/");
    assert_eq!(get(&url, local(), Quota::default()).await.unwrap().status, 200);
    let loopback = Reach { addresses: vec!["127.0.0.0/8".parse().unwrap()], ..Reach::default() };
    assert_eq!(get(&url, loopback, Quota::default()).await.unwrap().status, 200);
    assert_eq!(server.came(), 2);
}

#[tokio::test]
async fn only_listed_origins_are_asked() {
    let server = Server::says("HTTP/1.1 200 OK\nContent-Length: 0\n\n").await;
    let client = client_to(&server.url("/"), local(), Quota::default());
    let port = server.address.port();
    for url in [
        format!("https://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        "http://127.0.0.1/".to_owned(),
        format!("http://127.0.0.1:{port}@elsewhere.example/"),
        format!("http://user@127.0.0.1:{port}/"),
        format!("ftp://127.0.0.1:{port}/"),
        "/relative".to_owned(),
    ] {
        let answer = fetch(&client, request("GET", &url)).await;
        assert!(matches!(answer, Err(Failure::Invalid(_))), "{url}: {answer:?}");
    }
    assert_eq!(server.came(), 0);
}

#[tokio::test]
async fn a_request_cannot_be_made_two() {
    let server = Server::says("HTTP/1.1 200 OK\nContent-Length: 0\n\n").await;
    let client = client_to(&server.url("/"), local(), Quota::default());
    let with = |name: &str, value: &str| {
        let headers = vec![Header { name: name.into(), value: value.into() }];
        Request { headers, ..request("GET", &server.url("/")) }
    };
    let many = vec![Header { name: "a".into(), value: "b".into() }; 65];
    for bad in [
        with("Host", "internal"),
        with("content-length", "3"),
        with("Transfer-Encoding", "chunked"),
        with("Connection", "x"),
        with("a", "b\r\nHost: internal"),
        with("a", "b\0"),
        with("a\r\nb", "c"),
        with("a b", "c"),
        with("", "c"),
        with("a", &"b".repeat(20_000)),
        Request { headers: many, ..request("GET", &server.url("/")) },
        Request { body: b"x".to_vec(), ..request("GET", &server.url("/")) },
        request("CONNECT", &server.url("/")),
        request("GET / HTTP/1.1\r\n\r\nGET", &server.url("/")),
        request("", &server.url("/")),
        request("GET", &server.url("/ HTTP/1.1\r\nx: y\r\n\r\n")),
        request("GET", &server.url(&format!("/{}", "x".repeat(9_000)))),
    ] {
        let told = format!("{bad:?}");
        let answer = fetch(&client, bad).await;
        assert!(matches!(answer, Err(Failure::Invalid(_))), "{told}: {answer:?}");
    }
    assert_eq!(server.came(), 0);
}

#[tokio::test]
async fn a_slow_server_takes_the_binding_s_time_and_no_more() {
    let drip = |head| Says::Endless(head, b"x".to_vec(), Duration::from_millis(5));
    for says in [Says::Nothing, drip("HTTP/1.1 200 OK\r\nX: "), drip("HTTP/1.1 200 OK\r\n\r\n")] {
        let server = Server::start(says).await;
        let quota = Quota { timeout: Duration::from_millis(200), ..Quota::default() };
        let began = Instant::now();
        assert_eq!(get(&server.url("/"), local(), quota).await, Err(Failure::TimedOut));
        assert!(began.elapsed() < PATIENCE / 2);
    }
}

#[tokio::test]
async fn a_response_without_end_is_cut_at_the_quota() {
    let flood = |head, again: &[u8]| Says::Endless(head, again.repeat(1000), Duration::ZERO);
    let quota = || Quota { response: 100_000, timeout: PATIENCE, ..Quota::default() };
    for says in [
        flood("HTTP/1.1 200 OK\r\n\r\n", b"x"),
        flood("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nabcd\r\n"),
        flood("HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", b"x"),
    ] {
        let server = Server::start(says).await;
        let answer = get(&server.url("/"), local(), quota()).await;
        assert_eq!(answer, Err(Failure::QuotaExceeded("http.response")));
    }
    for says in [
        flood("HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        flood("HTTP/1.1 200 OK\r\nx: ", b"y"),
        flood("", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        flood("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;", b"y"),
    ] {
        let server = Server::start(says).await;
        let answer = get(&server.url("/"), local(), quota()).await;
        assert!(matches!(answer, Err(Failure::Unavailable(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn quotas_are_counted() {
    let server = Server::says("HTTP/1.1 200 OK\nContent-Length: 0\n\n").await;
    let url = server.url("/");
    let quota = Quota { requests: 2, rate: 3, request: 10, ..Quota::default() };
    let client = client_to(&url, local(), quota);
    let large = Request { body: vec![0; 11], ..request("PUT", &url) };
    assert_eq!(fetch(&client, large).await, Err(Failure::QuotaExceeded("http.request")));
    let mut used = 0;
    for _ in 0..2 {
        assert!(client.fetch(&mut used, request("GET", &url)).await.is_ok());
    }
    let third = client.fetch(&mut used, request("GET", &url)).await;
    assert_eq!(third, Err(Failure::QuotaExceeded("http.requests")));
    let of_another_call = client.fetch(&mut 0, request("GET", &url)).await;
    assert_eq!(of_another_call, Err(Failure::QuotaExceeded("http.rate")));
    assert_eq!(server.came(), 2);
}

#[tokio::test]
async fn a_certificate_has_to_be_of_the_host_and_of_a_root() {
    let server = secure_server().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("roots.pem");
    std::fs::write(&path, &server.root).unwrap();
    let ask = async |host: &str, roots: Option<std::path::PathBuf>| {
        let url = format!("https://{host}:{}/", server.port);
        let list = ["good.example", "other.example"].map(|name| {
            let records = vec![ResourceRecord { data: Data::A([127, 0, 0, 1].into()), ttl: 60 }];
            let query = Query { name: name.to_owned(), record_type: RecordType::A };
            (query, Ok(Answer { outcome: Outcome::Found, records, validated: false }))
        });
        let config = NetworkConfig { roots, more_roots: None, concurrency: 10 };
        let network = Network::new(Resolver::of_list(list), &config).unwrap();
        let origin = Origin::of(&url::Url::parse(&url).unwrap()).unwrap();
        fetch(&Client::new(network, vec![origin], local(), Quota::default()), request("GET", &url)).await
    };
    assert_eq!(ask("good.example", Some(path.clone())).await.unwrap().body, b"sealed");
    for (host, roots) in [("other.example", Some(path)), ("good.example", None)] {
        let answer = ask(host, roots).await;
        assert!(matches!(&answer, Err(Failure::Unavailable(why)) if why.contains("certificate")), "{answer:?}");
    }
}

#[test]
fn a_file_of_roots_has_to_have_some() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("roots.pem");
    for content in [None, Some("no certificate")] {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let config = NetworkConfig { roots: Some(path.clone()), more_roots: None, concurrency: 1 };
        let error = Network::new(Resolver::of_list([]), &config).unwrap_err().to_string();
        assert!(error.contains("roots.pem"), "{error}");
    }
}

struct Secure {
    port: u16,
    root: String,
}

/// A server for `good.example` with a certificate of its own authority.
async fn secure_server() -> Secure {
    let root_key = rcgen::KeyPair::generate().unwrap();
    let mut root = rcgen::CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = root.self_signed(&root_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(root, root_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["good.example".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsealed").await;
            let _ = stream.shutdown().await;
        }
    });
    Secure { port, root: pem }
}
