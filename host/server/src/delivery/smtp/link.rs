//! One connection to a server: carries octets between the socket and the client machine.

use std::fmt;
use std::io;
use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use wasmail_services::dns::Tlsa;
use wasmail_smtp::client::{Client, ClientStep, Extensions, Fate, Outgoing, Phase, Reason, Wishes};
use wasmail_spool::Message;

use super::stream::Stream;
use super::tls::{ClientTls, NotGood, Session};

/// Octets read at once: replies are short.
const READ_LEN: usize = 4096;
/// Content that is handed to the socket at once, in octets: the server has three minutes for each piece.
const PIECE_LEN: usize = 64 * 1024;

pub(super) struct Link {
    stream: Stream,
    client: Client,
    input: Box<[u8; READ_LEN]>,
    /// What of the input the client has not consumed.
    unread: Range<usize>,
    ready: bool,
    tls: Option<Session>,
}

/// Why a message could not be sent, though the server is not to blame.
pub(super) enum Broken {
    /// The spool could not be read.
    Message(io::Error),
}

/// Why a server cannot be spoken with.
pub(super) enum Trouble {
    /// What it said, or did not.
    Server(Reason),
    /// There is no TLS; what went wrong.
    Handshake(io::Error),
    /// Its certificate is not good enough; why.
    Certificate(NotGood),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(reason) => reason.fmt(f),
            Self::Handshake(error) => write!(f, "4.7.5 the TLS handshake failed: {error}"),
            Self::Certificate(bad) => write!(f, "4.7.5 the server's certificate is not good enough: {}", bad.why),
        }
    }
}

/// How TLS is held with a server.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) tls: &'a ClientTls,
    /// The name that it asks for.
    pub(super) host: &'a str,
    /// Whether the certificate must be good.
    pub(super) verified: bool,
    /// What the DNS says of it, if anything: then nothing else counts.
    pub(super) dane: Option<&'a [Tlsa]>,
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl Link {
    /// Takes the greeting, says EHLO, and does whatever comes before the first message. With `implicit` TLS begins at the
    /// first octet.
    pub(super) async fn open(
        stream: Stream,
        wishes: Wishes,
        implicit: bool,
        terms: Terms<'_>,
    ) -> Result<Self, Trouble> {
        let client = if implicit { Client::over_tls(wishes, now()) } else { Client::new(wishes, now()) };
        let mut link = Self { stream, client, input: Box::new([0; READ_LEN]), unread: 0..0, ready: false, tls: None };
        if implicit {
            link.shake_hands(terms).await?;
        }
        loop {
            match link.next().await {
                ClientStep::Ready => return Ok(link),
                ClientStep::StartTls => {
                    link.shake_hands(terms).await?;
                    link.client.secured(now());
                }
                ClientStep::Refused(reason) => {
                    link.part().await;
                    return Err(Trouble::Server(reason));
                }
                _ => return Err(Trouble::Server(Reason::Lost(Phase::Connect))),
            }
        }
    }

    async fn shake_hands(&mut self, terms: Terms<'_>) -> Result<(), Trouble> {
        let stream = self.stream.take_clear().ok_or(Trouble::Handshake(io::ErrorKind::NotConnected.into()))?;
        let (stream, session) = terms.tls.connect(stream, terms.host, terms.dane).await.map_err(Trouble::Handshake)?;
        if let (true, Err(why)) = (terms.verified, &session.verified) {
            return Err(Trouble::Certificate(why.clone()));
        }
        (self.stream, self.tls) = (Stream::Tls(stream), Some(session));
        Ok(())
    }

    /// What the TLS handshake brought, if there was one.
    pub(super) fn tls(&self) -> Option<&Session> {
        self.tls.as_ref()
    }

    pub(super) fn extensions(&self) -> &Extensions {
        self.client.extensions()
    }

    /// Whether another message can be sent.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether the server has said nothing since, not even goodbye.
    pub(super) fn is_quiet(&self) -> bool {
        self.stream.is_quiet()
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
                // None comes before the message is through.
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
        let stream = &mut self.stream;
        // Under TLS what was written may still lie on our side.
        let writing = async { stream.write_all(output).await.and(stream.flush().await) };
        let written = timeout_at(deadline.into(), writing).await;
        output.clear();
        match written {
            Ok(Ok(())) => return true,
            Ok(Err(_)) => self.client.peer_closed(),
            Err(_) => self.client.timed_out(),
        }
        false
    }

    /// Says goodbye to a server that was not spoken with; it need not answer.
    async fn part(&mut self) {
        self.client.output().extend_from_slice(b"QUIT\r\n");
        self.write().await;
    }

    /// Says goodbye.
    pub(super) async fn quit(mut self) {
        self.client.quit(now());
        self.next().await;
    }
}
