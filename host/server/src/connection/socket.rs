//! The client's socket, read and written with as few wake-ups as can be.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, Shutdown};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::server::TlsStream;
use wasmail_mail::Tls as Facts;

use super::buffer::Buffer;
use crate::tls::Tls;
use crate::wire::Wire;

/// How long a client that was sent away may go on sending, so that it gets to read why.
const LINGER: Duration = Duration::from_secs(1);
/// Octets that are read from it meanwhile.
const LINGER_OCTETS: u64 = 256 * 1024;

/// How to part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goodbye {
    /// The client expects the end.
    Quick,
    /// The client may be sending. Octets unread at the close would have it lose our last reply.
    Patient,
}

pub(super) struct Socket {
    stream: Stream,
}

enum Stream {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
    /// A handshake has failed.
    Gone,
}

impl Socket {
    pub(super) fn new(stream: Wire) -> Self {
        Self { stream: Stream::Plain(stream) }
    }

    /// Holds a handshake. After one that failed there is no connection any more.
    pub(super) async fn start_tls(&mut self, tls: &Tls) -> io::Result<Facts> {
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let (stream, facts) = tls.accept(stream).await?;
        self.stream = Stream::Tls(Box::new(stream));
        Ok(facts)
    }

    /// Writes without waiting and takes off what was written; says whether that was all. The socket of a client that
    /// listens has room.
    pub(super) fn send_now(&self, output: &mut Vec<u8>) -> bool {
        let Stream::Plain(stream) = &self.stream else { return false };
        // Past tokio, which would first have to hear from the kernel that a new socket is writable.
        match rustix::net::send(stream, output, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) if sent == output.len() => true,
            Ok(sent) => {
                output.drain(..sent);
                false
            }
            // Whatever is wrong shows again at the slow write.
            Err(_) => false,
        }
    }

    /// Writes the rest; false when the connection is broken.
    pub(super) fn poll_send(&mut self, task: &mut Context<'_>, rest: &mut &[u8]) -> Poll<bool> {
        while !rest.is_empty() {
            let sent = match &mut self.stream {
                Stream::Plain(stream) => Pin::new(stream).poll_write(task, rest),
                Stream::Tls(stream) => Pin::new(stream).poll_write(task, rest),
                Stream::Gone => return Poll::Ready(false),
            };
            match sent {
                Poll::Ready(Ok(sent)) if sent > 0 => *rest = &rest[sent..],
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
        match &mut self.stream {
            Stream::Tls(stream) => Pin::new(stream).poll_flush(task).map(|flushed| flushed.is_ok()),
            _ => Poll::Ready(true),
        }
    }

    /// Reads what is there into the buffer; false when the client has gone.
    pub(super) fn poll_fill(&mut self, task: &mut Context<'_>, buffer: &mut Buffer) -> Poll<bool> {
        let mut room = ReadBuf::new(buffer.room());
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(task, &mut room),
            Stream::Tls(stream) => {
                let read = Pin::new(&mut *stream).poll_read(task, &mut room);
                // What TLS itself answers, such as a refusal of new keys, must not wait until we have something to say.
                if read.is_pending() && stream.get_ref().1.wants_write() {
                    // A connection that can't be written to shows at the next reading.
                    let _ = Pin::new(stream).poll_flush(task);
                }
                read
            }
            Stream::Gone => Poll::Ready(Ok(())),
        };
        let filled = room.filled().len();
        buffer.filled(filled);
        polled.map(|read| read.is_ok() && filled > 0)
    }

    /// Whether octets are waiting to be read.
    pub(super) fn has_input(&mut self) -> bool {
        let stream = match &mut self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => {
                let (stream, session) = stream.get_mut();
                if session.process_new_packets().is_ok_and(|state| state.plaintext_bytes_to_read() > 0) {
                    return true;
                }
                stream
            }
            Stream::Gone => return false,
        };
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        rustix::net::recv(stream, &mut [0u8; 1][..], flags).is_ok_and(|(len, _)| len > 0)
    }

    pub(super) async fn close(self, goodbye: Goodbye) {
        let stream = match self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(mut stream) => {
                // The client is to know that nobody has cut us off. It is a few octets; if they don't go at once, so be it.
                let _ = tokio::time::timeout(LINGER, stream.shutdown()).await;
                stream.into_inner().0
            }
            Stream::Gone => return,
        };
        if goodbye == Goodbye::Patient && rustix::net::shutdown(&stream, Shutdown::Write).is_ok() {
            let (mut rest, mut nowhere) = (stream.take(LINGER_OCTETS), tokio::io::sink());
            // Whatever comes, or doesn't, is not ours to judge any more.
            let _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut rest, &mut nowhere)).await;
        }
    }
}
