//! Answers to challenges of type http-01 (RFC 8555 §8.3), and to nothing else.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::ConnectionLimits;
use crate::limits::Census;

/// Where challenges are asked for.
const PLACE: &str = "/.well-known/acme-challenge/";
/// Octets of a request's line and fields. Validators send some hundred.
const HEAD_MAX: usize = 4096;
/// Fields of a request.
const FIELDS_MAX: usize = 64;
/// For a request to come and the answer to go: it is one round trip.
const PATIENCE: Duration = Duration::from_secs(10);
/// An ACME server asks from some places, each by one connection; an attacker needs 32 addresses to keep it out.
const LIMITS: ConnectionLimits = ConnectionLimits { total: 256, per_address: 8 };
/// When there is no file left for one more connection: until one ends.
const EXHAUSTED: Duration = Duration::from_millis(50);

const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The challenges that are outstanding: key authorizations by token.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(Arc<Mutex<HashMap<String, String>>>);

/// A challenge is answered for as long as this lives.
#[derive(Debug)]
pub(super) struct Answer {
    answers: Answers,
    token: String,
}

impl Answers {
    pub(super) fn give(&self, token: &str, key_authorization: &str) -> Answer {
        self.0.lock().insert(token.to_owned(), key_authorization.to_owned());
        Answer { answers: self.clone(), token: token.to_owned() }
    }

    /// Takes requests for ever.
    pub(super) async fn serve(self, socket: TcpListener) {
        let census = Census::new(LIMITS);
        loop {
            let (stream, peer) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(_) => {
                    tokio::time::sleep(EXHAUSTED).await;
                    continue;
                }
            };
            // Who comes on top is closed on.
            let Ok(place) = census.admit(peer.ip()) else { continue };
            let answers = self.clone();
            tokio::spawn(async move {
                let _place = place;
                // A client that goes, or takes too long, has no answer.
                let _ = timeout(PATIENCE, answers.converse(stream, peer)).await;
            });
        }
    }

    async fn converse(&self, mut stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        let mut head = Vec::with_capacity(1024);
        let answer = loop {
            if let Some(answer) = self.answer(&head, peer.ip()) {
                break answer;
            }
            // The last octet may be missing for ever.
            if head.len() >= HEAD_MAX
                || (&mut stream).take((HEAD_MAX - head.len()) as u64).read_buf(&mut head).await? == 0
            {
                break BAD_REQUEST.to_owned();
            }
        };
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // What still comes must be read, or the answer may be lost with it.
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        Ok(())
    }

    /// What is answered; none if the request is not at its end.
    fn answer(&self, head: &[u8], peer: IpAddr) -> Option<String> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(head) {
            Ok(status) if status.is_partial() => return None,
            Ok(_) => {}
            Err(_) => return Some(BAD_REQUEST.to_owned()),
        }
        let asks = matches!(request.method, Some("GET" | "HEAD"));
        let token = request.path.and_then(|path| path.strip_prefix(PLACE)).filter(|_| asks);
        let found = token.and_then(|token| self.0.lock().get(token).cloned());
        let Some(key_authorization) = found else { return Some(NOT_FOUND.to_owned()) };
        tracing::info!(target: "wasmail::acme", %peer, "a challenge was asked for");
        let length = key_authorization.len();
        let body = if request.method == Some("HEAD") { "" } else { &key_authorization };
        Some(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        ))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.answers.0.lock().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(answers: &Answers, request: &str) -> Option<String> {
        answers.answer(request.as_bytes(), IpAddr::from([192, 0, 2, 1]))
    }

    #[test]
    fn only_outstanding_tokens_are_answered() {
        let answers = Answers::default();
        let get = "GET /.well-known/acme-challenge/tok_en-1 HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(asked(&answers, get).as_deref(), Some(NOT_FOUND));
        let answer = answers.give("tok_en-1", "tok_en-1.thumb");
        let said = asked(&answers, get).unwrap();
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("\r\n\r\ntok_en-1.thumb"), "{said}");
        assert!(said.contains("Content-Length: 14\r\n") && said.contains("application/octet-stream"), "{said}");
        let head = asked(&answers, &get.replace("GET", "HEAD")).unwrap();
        assert!(head.contains("Content-Length: 14\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        drop(answer);
        assert_eq!(asked(&answers, get).as_deref(), Some(NOT_FOUND));
    }

    #[test]
    fn whatever_else_is_asked_for_is_not_there() {
        let answers = Answers::default();
        let _answer = answers.give("token", "token.thumb");
        for line in [
            "GET / HTTP/1.1",
            "GET /.well-known/acme-challenge/ HTTP/1.1",
            "GET /.well-known/acme-challenge/token/ HTTP/1.1",
            "GET /.well-known/acme-challenge/../acme-challenge/token HTTP/1.1",
            "GET /.well-known/acme-challenge/tok%65n HTTP/1.1",
            "GET /.well-known/acme-challenge/Token HTTP/1.0",
            "POST /.well-known/acme-challenge/token HTTP/1.1",
            "OPTIONS * HTTP/1.1",
        ] {
            assert_eq!(asked(&answers, &format!("{line}\r\n\r\n")).as_deref(), Some(NOT_FOUND), "{line}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused_and_half_a_one_is_waited_for() {
        let answers = Answers::default();
        for none in
            ["EHLO mx.example\r\n", "\u{16}\u{3}\u{1}", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\n: x\r\n\r\n"]
        {
            assert_eq!(asked(&answers, none).as_deref(), Some(BAD_REQUEST), "{none:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX + 1));
        assert_eq!(asked(&answers, &many).as_deref(), Some(BAD_REQUEST));
        for half in ["", "GET /", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"] {
            assert_eq!(asked(&answers, half), None, "{half:?}");
        }
    }

    /// A server of challenges, and where it is.
    async fn serving() -> (Answers, SocketAddr) {
        let (answers, socket) = (Answers::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        tokio::spawn(answers.clone().serve(socket));
        (answers, address)
    }

    async fn said(stream: &mut TcpStream) -> String {
        let mut octets = [0; 1024];
        let len = stream.read(&mut octets).await.unwrap_or(0);
        String::from_utf8_lossy(&octets[..len]).into_owned()
    }

    #[tokio::test]
    async fn a_client_that_never_ends_its_request_is_not_read_for_ever() {
        let (_, address) = serving().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let endless = "GET / HTTP/1.1\r\nA: ".to_owned() + &"a".repeat(HEAD_MAX);
        stream.write_all(endless.as_bytes()).await.unwrap();
        assert_eq!(said(&mut stream).await, BAD_REQUEST);
    }

    #[tokio::test]
    async fn one_address_has_so_many_connections_and_no_more() {
        let (_, address) = serving().await;
        let mut idle = Vec::new();
        for _ in 0..LIMITS.per_address {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let mut next = TcpStream::connect(address).await.unwrap();
        assert_eq!(said(&mut next).await, "", "it is closed on");
        // Those who were let in are answered, and leave their place to others.
        for stream in &mut idle {
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
            assert_eq!(said(stream).await, NOT_FOUND);
        }
        drop(idle);
        loop {
            let mut next = TcpStream::connect(address).await.unwrap();
            let _ = next.write_all(b"GET / HTTP/1.0\r\n\r\n").await;
            if said(&mut next).await == NOT_FOUND {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}
