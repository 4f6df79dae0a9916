//! The client's socket, read and written with as few wake-ups as can be.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, Shutdown};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::buffer::Buffer;

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
    stream: TcpStream,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream }
    }

    /// Writes without waiting and takes off what was written; says whether that was all. The socket of a client that
    /// listens has room.
    pub(super) fn send_now(&self, output: &mut Vec<u8>) -> bool {
        // Past tokio, which would first have to hear from the kernel that a new socket is writable.
        match rustix::net::send(&self.stream, output, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
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
            match Pin::new(&mut self.stream).poll_write(task, rest) {
                Poll::Ready(Ok(sent)) if sent > 0 => *rest = &rest[sent..],
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(true)
    }

    /// Reads what is there into the buffer; false when the client has gone.
    pub(super) fn poll_fill(&mut self, task: &mut Context<'_>, buffer: &mut Buffer) -> Poll<bool> {
        let mut room = ReadBuf::new(buffer.room());
        let polled = Pin::new(&mut self.stream).poll_read(task, &mut room);
        let filled = room.filled().len();
        buffer.filled(filled);
        polled.map(|read| read.is_ok() && filled > 0)
    }

    /// Whether octets are waiting to be read.
    pub(super) fn has_input(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        rustix::net::recv(&self.stream, &mut [0u8; 1][..], flags).is_ok_and(|(len, _)| len > 0)
    }

    pub(super) async fn close(self, goodbye: Goodbye) {
        if goodbye == Goodbye::Patient && rustix::net::shutdown(&self.stream, Shutdown::Write).is_ok() {
            let (mut rest, mut nowhere) = (self.stream.take(LINGER_OCTETS), tokio::io::sink());
            // Whatever comes, or doesn't, is not ours to judge any more.
            let _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut rest, &mut nowhere)).await;
        }
    }
}
