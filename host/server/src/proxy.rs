//! Who the client is that a proxy speaks for, read from the socket.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
pub(crate) use wasmail_smtp::proxy::Proxied;
use wasmail_smtp::proxy::{HEADER_MAX, Header, parse};

/// How long a proxy may take. It knows what to say when it connects; Postfix waits as long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a listed peer is no client's proxy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// It says something else first, and is no mail client either: it may not be trusted with what it would say next.
    #[error("the peer does not begin with a header of the PROXY protocol")]
    NoHeader,
    /// It says nothing.
    #[error("no header of the PROXY protocol within {} s", PATIENCE.as_secs())]
    Silent,
    /// The connection is broken.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Reads the header and nothing behind it. None when the proxy speaks for itself, as health checks do, or does not know.
pub(crate) async fn read(stream: &mut TcpStream) -> Result<Option<Proxied>, ProxyError> {
    within(PATIENCE, stream).await
}

async fn within(patience: Duration, stream: &mut TcpStream) -> Result<Option<Proxied>, ProxyError> {
    tokio::time::timeout(patience, header(stream)).await.unwrap_or(Err(ProxyError::Silent))
}

async fn header(stream: &mut TcpStream) -> Result<Option<Proxied>, ProxyError> {
    let mut room = vec![0; HEADER_MAX];
    let mut held = 0;
    loop {
        // What is not the header's stays in the socket: TLS may begin with it.
        let seen = held + stream.peek(&mut room[held..]).await?;
        if seen == held {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let (proxied, end) = match parse(&room[..seen]) {
            Header::Whole(proxied, end) => (Some(proxied), end),
            Header::Begun => (None, seen),
            Header::None => return Err(ProxyError::NoHeader),
        };
        stream.read_exact(&mut room[held..end]).await?;
        match proxied {
            Some(proxied) => return Ok(proxied),
            None => held = end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\x02\x07\xc0\0\x02\x19\x9c\x40\0\x19\x04\0\x04abcd";

    /// What is read when a proxy sends these octets piece by piece, and what is left behind the header.
    async fn sent(pieces: &[&[u8]]) -> (Result<Option<Proxied>, ProxyError>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut proxy = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        proxy.set_nodelay(true).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let read = async {
            let read = read(&mut stream).await;
            let mut rest = Vec::new();
            if read.is_ok() {
                stream.read_to_end(&mut rest).await.unwrap();
            }
            (read, rest)
        };
        let send = async {
            for piece in pieces {
                proxy.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            proxy.shutdown().await.unwrap();
        };
        tokio::join!(read, send).0
    }

    #[tokio::test]
    async fn both_versions_are_read_and_nothing_behind_them() {
        let both = |source: &str, destination: &str| {
            Some(Proxied { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
        };
        let six = "PROXY TCP6 2001:db8::7 2001:db8::25 40000 25\r\nEHLO x\r\n";
        for (octets, proxied, rest) in [
            (
                &b"PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\r\nEHLO x\r\n"[..],
                both("192.0.2.7:40000", "192.0.2.25:25"),
                8,
            ),
            (six.as_bytes(), both("[2001:db8::7]:40000", "[2001:db8::25]:25"), 8),
            (b"PROXY UNKNOWN\r\n\x16\x03\x01", None, 3),
            (V2, both("192.0.2.7:40000", "192.0.2.25:25"), 0),
            (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0EHLO", None, 4),
        ] {
            for size in [octets.len(), 7, 1] {
                let pieces: Vec<_> = octets.chunks(size).collect();
                let (read, left) = sent(&pieces).await;
                assert_eq!(read.unwrap(), proxied);
                assert_eq!(left, octets[octets.len() - rest..]);
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_none() {
        for octets in [
            &b"EHLO client.example\r\n"[..],
            b"PROXY TCP4 192.0.2.7 192.0.2.25 40000 99999\r\n",
            b"PROXY TCP4 192.0.2.7 2001:db8::25 40000 25\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c",
            &[b'P'; 5_000],
        ] {
            assert!(matches!(sent(&[octets]).await.0, Err(ProxyError::NoHeader)), "{octets:?}");
        }
        assert!(matches!(sent(&[b"PROXY TCP4 192.0.2.7"]).await.0, Err(ProxyError::Io(_))));
        let long = [&V2[..14], &[0xff, 0xff], &[0; 5_000]].concat();
        assert!(matches!(sent(&[&long]).await.0, Err(ProxyError::NoHeader)));
    }

    #[tokio::test]
    async fn a_silent_proxy_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _proxy = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(matches!(within(Duration::ZERO, &mut stream).await, Err(ProxyError::Silent)));
    }
}
