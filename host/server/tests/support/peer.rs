//! A next hop that says what the test has written down.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(unreachable_pub, reason = "a module of each test program")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Where in a connection something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Greeting,
    Ehlo,
    StartTls,
    Handshake,
    Mail,
    /// The first recipient.
    Rcpt,
    Data,
    /// At the third line of content.
    Body,
    /// Before the message is taken.
    FinalDot,
    /// When the message is taken and nobody knows it yet.
    LastReply,
    Quit,
}

/// What goes wrong there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// The connection is reset.
    Reset,
    /// The connection is closed in good order.
    Close,
    /// Nothing is said or read any more.
    Stall,
    /// It takes a while.
    Late,
    /// This is said in place of the reply.
    Says(&'static str),
}

/// How one connection goes: what is answered to the n-th command of a kind, and where it breaks.
#[derive(Clone)]
pub struct Script {
    pub greeting: &'static str,
    pub ehlo: &'static str,
    pub mail: &'static str,
    pub rcpt: &'static [&'static str],
    /// Recipients of one message; one more is answered 452.
    pub rcpt_max: usize,
    pub data: &'static str,
    pub final_dot: &'static str,
    /// How long the final dot waits.
    pub pause: Duration,
    /// The connection is reset when this many lines of content have come.
    pub reset_after: Option<usize>,
    /// Messages after which the connection is closed.
    pub messages: usize,
    /// What STARTTLS begins; without it TLS fails.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// TLS begins at the first octet.
    pub implicit: bool,
    /// What goes wrong, once.
    pub fault: Option<(At, Does)>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            greeting: "220 peer.example",
            ehlo: "250-peer.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
            mail: "250 2.1.0 ok",
            rcpt: &["250 2.1.5 ok"],
            rcpt_max: usize::MAX,
            data: "354 go",
            final_dot: "250 2.0.0 taken",
            pause: Duration::ZERO,
            reset_after: None,
            messages: usize::MAX,
            tls: None,
            implicit: false,
            fault: None,
        }
    }
}

/// How long it takes when it takes a while.
const LATE: Duration = Duration::from_millis(100);

/// What a peer heard.
#[derive(Default)]
pub struct Heard {
    pub connections: usize,
    pub handshakes: usize,
    /// Envelope commands.
    pub commands: Vec<String>,
    /// Contents that were ended, dots undoubled.
    pub messages: Vec<String>,
    /// Recipients of messages that were taken.
    pub taken: Vec<String>,
}

/// A peer that plays one script a connection, the last one again and again.
pub struct Peer {
    pub address: SocketAddr,
    pub heard: Arc<Mutex<Heard>>,
}

impl Peer {
    pub async fn start(scripts: impl Into<VecDeque<Script>>) -> Self {
        Self::start_on("127.0.0.1", 0, scripts).await
    }

    /// At another of the addresses of loopback.
    pub async fn start_on(ip: &str, port: u16, scripts: impl Into<VecDeque<Script>>) -> Self {
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Arc::<Mutex<Heard>>::default());
        tokio::spawn(accept(listener, scripts.into(), Arc::clone(&heard)));
        Self { address, heard }
    }

    /// Connections, TLS handshakes, messages.
    pub fn count(&self) -> (usize, usize, usize) {
        let heard = self.heard.lock();
        (heard.connections, heard.handshakes, heard.messages.len())
    }

    pub fn messages(&self) -> usize {
        self.heard.lock().messages.len()
    }
}

async fn accept(listener: TcpListener, mut scripts: VecDeque<Script>, heard: Arc<Mutex<Heard>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let script = if scripts.len() > 1 { scripts.pop_front() } else { scripts.front().cloned() };
        heard.lock().connections += 1;
        tokio::spawn(play(stream, script.unwrap_or_default(), Arc::clone(&heard)));
    }
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}
type Stream = BufReader<Box<dyn Wire>>;

/// One connection.
struct Play {
    stream: Stream,
    socket: std::net::TcpStream,
    script: Script,
    heard: Arc<Mutex<Heard>>,
    /// Recipients of this transaction.
    accepted: Vec<String>,
}

/// Plays until the other side closes, or the script ends; an error is an end, too.
async fn play(stream: TcpStream, script: Script, heard: Arc<Mutex<Heard>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let socket = stream.try_clone()?;
    let stream: Stream = BufReader::new(Box::new(TcpStream::from_std(stream)?));
    Play { stream, socket, script, heard, accepted: Vec::new() }.run().await
}

impl Play {
    async fn run(mut self) -> std::io::Result<()> {
        if self.script.implicit {
            self = self.secure().await?;
        }
        self.answer(At::Greeting, self.script.greeting).await?;
        let (mut line, mut recipient, mut messages) = (String::new(), 0, 0);
        while messages < self.script.messages {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let verb = line.get(..4).unwrap_or_default().to_owned();
            self.heard.lock().commands.push(line.trim_end().to_owned());
            match verb.as_str() {
                "EHLO" => self.answer(At::Ehlo, self.script.ehlo.trim_end()).await?,
                "STAR" => {
                    if self.answer(At::StartTls, "220 go").await?.starts_with("220") {
                        self.go_wrong(At::Handshake).await?;
                        self = self.secure().await?;
                    }
                    continue;
                }
                "AUTH" => self.say("235 2.7.0 welcome").await?,
                "MAIL" => {
                    self.accepted.clear();
                    self.answer(At::Mail, self.script.mail).await?
                }
                "RCPT" if self.accepted.len() >= self.script.rcpt_max => self.say("452 4.5.3 too many").await?,
                "RCPT" => {
                    let reply = self.script.rcpt[recipient % self.script.rcpt.len()];
                    let reply = self.answer(At::Rcpt, reply).await?;
                    if reply.starts_with('2') {
                        self.accepted.push(line.trim_end().to_owned());
                    }
                    recipient += 1;
                    continue;
                }
                "DATA" => {
                    if self.answer(At::Data, self.script.data).await?.starts_with("354") {
                        self.take_content().await?;
                        messages += 1;
                    }
                    continue;
                }
                "BDAT" => {
                    let size = line.split(' ').nth(1).unwrap().parse().unwrap();
                    self.take_chunk(size).await?;
                    messages += 1;
                    continue;
                }
                "QUIT" => {
                    self.answer(At::Quit, "221 2.0.0 bye").await?;
                    return Ok(());
                }
                _ => self.say("250 2.0.0 ok").await?,
            };
        }
        Ok(())
    }

    async fn secure(mut self) -> std::io::Result<Self> {
        let tls = self.script.tls.clone().ok_or(std::io::ErrorKind::InvalidData)?;
        let stream = TlsAcceptor::from(tls).accept(self.stream.into_inner()).await?;
        self.heard.lock().handshakes += 1;
        self.stream = BufReader::new(Box::new(stream));
        Ok(self)
    }

    /// Says this, or what goes wrong here; returns what was said.
    async fn answer(&mut self, at: At, reply: &'static str) -> std::io::Result<&'static str> {
        let reply = self.go_wrong(at).await?.unwrap_or(reply);
        self.say(reply).await
    }

    async fn say(&mut self, reply: &'static str) -> std::io::Result<&'static str> {
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        self.stream.flush().await?;
        Ok(reply)
    }

    /// Does what goes wrong here, if anything; returns what is to be said in place of the reply.
    async fn go_wrong(&mut self, at: At) -> std::io::Result<Option<&'static str>> {
        let Some((_, does)) = self.script.fault.take_if(|(here, _)| *here == at) else { return Ok(None) };
        match does {
            Does::Reset => {
                socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO))?;
                Err(std::io::ErrorKind::ConnectionReset.into())
            }
            Does::Close => Err(std::io::ErrorKind::UnexpectedEof.into()),
            Does::Stall => std::future::pending().await,
            Does::Late => {
                tokio::time::sleep(LATE).await;
                Ok(None)
            }
            Does::Says(reply) => Ok(Some(reply)),
        }
    }

    async fn take_content(&mut self) -> std::io::Result<()> {
        let (mut content, mut lines) = (Vec::new(), 0);
        loop {
            let begin = content.len();
            if self.stream.read_until(b'\n', &mut content).await? == 0 {
                return Ok(());
            }
            lines += 1;
            if self.script.reset_after == Some(lines) {
                self.script.fault = Some((At::Body, Does::Reset));
            }
            if lines >= 3
                && let Some(reply) = self.go_wrong(At::Body).await?
            {
                self.script.final_dot = reply;
            }
            if &content[begin..] == b".\r\n" {
                content.truncate(begin);
                break;
            }
            if content[begin] == b'.' {
                content.remove(begin);
            }
        }
        tokio::time::sleep(self.script.pause).await;
        let reply = self.go_wrong(At::FinalDot).await?.unwrap_or(self.script.final_dot);
        self.take_in(content, reply.starts_with('2'));
        self.answer(At::LastReply, reply).await.map(drop)
    }

    /// A chunk, which is the last one.
    async fn take_chunk(&mut self, size: usize) -> std::io::Result<()> {
        let mut content = vec![0; size];
        let (first, rest) = content.split_at_mut(size / 2);
        self.stream.read_exact(first).await?;
        if let Some(reply) = self.go_wrong(At::Body).await? {
            self.script.final_dot = reply;
        }
        self.stream.read_exact(rest).await?;
        let reply = self.go_wrong(At::FinalDot).await?.unwrap_or(self.script.final_dot);
        self.take_in(content, reply.starts_with('2'));
        self.answer(At::LastReply, reply).await.map(drop)
    }

    fn take_in(&mut self, content: Vec<u8>, taken: bool) {
        let mut heard = self.heard.lock();
        heard.messages.push(String::from_utf8_lossy(&content).into_owned());
        if taken {
            heard.taken.append(&mut self.accepted);
        }
    }
}
