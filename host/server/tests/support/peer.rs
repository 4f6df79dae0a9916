//! A next hop that says what the test has written down.
#![allow(unreachable_pub, reason = "a module of each test program")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

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
        }
    }
}

/// What a peer heard.
#[derive(Default)]
pub struct Heard {
    pub connections: usize,
    pub handshakes: usize,
    /// Envelope commands.
    pub commands: Vec<String>,
    /// Contents that were ended, dots undoubled.
    pub messages: Vec<String>,
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
    #[allow(dead_code, reason = "each test program uses its part")]
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

async fn secure(stream: Stream, script: &Script, heard: &Mutex<Heard>) -> std::io::Result<Stream> {
    let tls = script.tls.clone().ok_or(std::io::ErrorKind::InvalidData)?;
    let stream = TlsAcceptor::from(tls).accept(stream.into_inner()).await?;
    heard.lock().handshakes += 1;
    Ok(BufReader::new(Box::new(stream)))
}

/// Plays until the other side closes, or the script ends; an error is an end, too.
async fn play(stream: TcpStream, script: Script, heard: Arc<Mutex<Heard>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let socket = stream.try_clone()?;
    let mut stream: Stream = BufReader::new(Box::new(TcpStream::from_std(stream)?));
    if script.implicit {
        stream = secure(stream, &script, &heard).await?;
    }
    say(&mut stream, script.greeting).await?;
    let (mut line, mut recipient, mut of_message, mut messages) = (String::new(), 0, 0, 0);
    while messages < script.messages {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or_default().to_owned();
        heard.lock().commands.push(line.trim_end().to_owned());
        match verb.as_str() {
            "EHLO" => say(&mut stream, script.ehlo.trim_end()).await?,
            "STAR" => {
                say(&mut stream, "220 go").await?;
                stream = secure(stream, &script, &heard).await?;
            }
            "AUTH" => say(&mut stream, "235 2.7.0 welcome").await?,
            "MAIL" => {
                of_message = 0;
                say(&mut stream, script.mail).await?;
            }
            "RCPT" if of_message >= script.rcpt_max => say(&mut stream, "452 4.5.3 too many").await?,
            "RCPT" => {
                say(&mut stream, script.rcpt[recipient % script.rcpt.len()]).await?;
                recipient += 1;
                of_message += 1;
            }
            "DATA" => {
                say(&mut stream, script.data).await?;
                if script.data.starts_with("354") {
                    take_content(&mut stream, &socket, &script, &heard).await?;
                    messages += 1;
                }
            }
            _ => say(&mut stream, "250 2.0.0 ok").await?,
        }
    }
    Ok(())
}

async fn say(stream: &mut Stream, reply: &str) -> std::io::Result<()> {
    stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    stream.flush().await
}

async fn take_content(
    stream: &mut Stream,
    socket: &std::net::TcpStream,
    script: &Script,
    heard: &Mutex<Heard>,
) -> std::io::Result<()> {
    let (mut content, mut lines) = (Vec::new(), 0);
    loop {
        let begin = content.len();
        if stream.read_until(b'\n', &mut content).await? == 0 {
            return Ok(());
        }
        lines += 1;
        if script.reset_after == Some(lines) {
            socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        if &content[begin..] == b".\r\n" {
            content.truncate(begin);
            break;
        }
        if content[begin] == b'.' {
            content.remove(begin);
        }
    }
    tokio::time::sleep(script.pause).await;
    heard.lock().messages.push(String::from_utf8_lossy(&content).into_owned());
    say(stream, script.final_dot).await
}
