//! One connection to a next hop: carries octets between the socket and the client machine.

use std::io;
use std::ops::Range;

use rustix::net::RecvFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use wasmail_smtp::client::{Client, ClientStep, Fate, Outgoing, Reason, Wishes};
use wasmail_spool::Message;

/// Octets read at once: replies are short.
const READ_LEN: usize = 4096;
/// Content that is handed to the socket at once, in octets: the server has three minutes for each piece.
const PIECE_LEN: usize = 64 * 1024;

pub(super) struct Link {
    stream: TcpStream,
    client: Client,
    input: Box<[u8; READ_LEN]>,
    /// What of the input the client has not consumed.
    unread: Range<usize>,
    ready: bool,
}

/// Why a message could not be sent, though the server is not to blame.
pub(super) enum Broken {
    /// The spool could not be read.
    Message(io::Error),
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl Link {
    pub(super) fn new(stream: TcpStream, hostname: &str) -> Self {
        // Small groups of commands are to go at once; without it they only go later.
        let _ = stream.set_nodelay(true);
        let client = Client::new(Wishes::new(hostname), now());
        Self { stream, client, input: Box::new([0; READ_LEN]), unread: 0..0, ready: false }
    }

    /// Takes the greeting and says EHLO.
    pub(super) async fn greet(&mut self) -> Result<(), String> {
        match self.next().await {
            ClientStep::Ready => Ok(()),
            ClientStep::Refused(reason) => Err(reason.to_string()),
            _ => Err(Reason::Lost(wasmail_smtp::client::Phase::Connect).to_string()),
        }
    }

    pub(super) fn offers_eight_bit_mime(&self) -> bool {
        self.client.extensions().eight_bit_mime
    }

    /// Whether another message can be sent.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether the server has said nothing since, not even goodbye.
    pub(super) fn is_quiet(&self) -> bool {
        let peeked = rustix::net::recv(&self.stream, &mut [0u8; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Err(rustix::io::Errno::AGAIN))
    }

    /// Sends a message and says what became of each recipient. Afterwards [`Link::is_ready`] says whether another may
    /// follow.
    pub(super) async fn send(&mut self, outgoing: Outgoing, message: &Message) -> Result<Vec<Fate>, Broken> {
        self.ready = false;
        self.client.send(outgoing, now());
        loop {
            match self.next().await {
                ClientStep::Content => self.content(message).await.map_err(Broken::Message)?,
                ClientStep::Done(fates) => {
                    self.ready = matches!(self.next().await, ClientStep::Ready);
                    return Ok(fates);
                }
                // Neither comes before the message is through.
                ClientStep::Read
                | ClientStep::Ready
                | ClientStep::StartTls
                | ClientStep::Refused(_)
                | ClientStep::Close => self.client.peer_closed(),
            }
        }
    }

    async fn content(&mut self, message: &Message) -> io::Result<()> {
        let mut clean = self.piece(message.header()).await;
        let mut chunks = message.body().chunks();
        while clean && let Some(chunk) = chunks.next().await? {
            for piece in chunk.chunks(PIECE_LEN) {
                clean = clean && self.piece(piece).await;
            }
        }
        if clean {
            // A bare line end at the very end shows at the next step.
            let _ = self.client.end_content(now());
        }
        Ok(())
    }

    /// Writes a piece of content; false when there is no sense in going on, as the next step will say.
    async fn piece(&mut self, octets: &[u8]) -> bool {
        self.client.content(octets, now()).is_ok() && self.write().await
    }

    /// Steps until something is to be decided.
    async fn next(&mut self) -> ClientStep {
        loop {
            let mut rest = &self.input[self.unread.clone()];
            let step = self.client.step(&mut rest, now());
            self.unread.start = self.unread.end - rest.len();
            match step {
                ClientStep::Read => self.exchange().await,
                ClientStep::Close => {
                    self.write().await;
                    return ClientStep::Close;
                }
                step => return step,
            }
        }
    }

    /// Writes what is to be said and reads what is answered; tells the client when there is no answer.
    async fn exchange(&mut self) {
        if !self.write().await {
            return;
        }
        match timeout_at(self.client.deadline().into(), self.stream.read(&mut self.input[..])).await {
            Ok(Ok(len)) if len > 0 => self.unread = 0..len,
            Ok(_) => self.client.peer_closed(),
            Err(_) => self.client.timed_out(),
        }
    }

    async fn write(&mut self) -> bool {
        let deadline = self.client.deadline();
        let output = self.client.output();
        let written = timeout_at(deadline.into(), self.stream.write_all(output)).await;
        output.clear();
        match written {
            Ok(Ok(())) => return true,
            Ok(Err(_)) => self.client.peer_closed(),
            Err(_) => self.client.timed_out(),
        }
        false
    }

    /// Says goodbye.
    pub(super) async fn quit(mut self) {
        self.client.quit(now());
        self.next().await;
    }
}
