//! A connection, in the clear or under TLS.

use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// A connection.
pub(super) enum Stream {
    Clear(TcpStream),
    /// A socket of this machine.
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// It was taken for a handshake that failed.
    Gone,
}

impl Stream {
    /// Whether nothing has come that nobody has read, not even the end.
    pub(super) fn is_quiet(&self) -> bool {
        let socket = match self {
            Self::Clear(tcp) => tcp.as_fd(),
            Self::Unix(unix) => unix.as_fd(),
            Self::Tls(tls) => tls.get_ref().0.as_fd(),
            Self::Gone => return false,
        };
        let peeked = rustix::net::recv(socket, &mut [0u8; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Err(rustix::io::Errno::AGAIN))
    }

    /// Takes it for a handshake, if it is in the clear.
    pub(super) fn take_clear(&mut self) -> Option<TcpStream> {
        match mem::replace(self, Self::Gone) {
            Self::Clear(tcp) => Some(tcp),
            other => {
                *self = other;
                None
            }
        }
    }
}

fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            Self::Gone => gone(),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(tcp) => Pin::new(tcp).poll_write(cx, octets),
            Self::Unix(unix) => Pin::new(unix).poll_write(cx, octets),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, octets),
            Self::Gone => gone(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Unix(unix) => Pin::new(unix).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::Gone => gone(),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Gone => gone(),
        }
    }
}
