//! A next hop that says what the test has written down.
#![allow(unreachable_pub, reason = "a module of each test program")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How one connection goes: what is answered to the n-th command of a kind, and where it breaks.
#[derive(Clone)]
pub struct Script {
    pub ehlo: &'static str,
    pub rcpt: &'static [&'static str],
    pub data: &'static str,
    pub final_dot: &'static str,
    /// How long the final dot waits.
    pub pause: Duration,
    /// The connection is reset when this many lines of content have come.
    pub reset_after: Option<usize>,
    /// Messages after which the connection is closed.
    pub messages: usize,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            ehlo: "250-peer.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
            rcpt: &["250 2.1.5 ok"],
            data: "354 go",
            final_dot: "250 2.0.0 taken",
            pause: Duration::ZERO,
            reset_after: None,
            messages: usize::MAX,
        }
    }
}

/// What a peer heard.
#[derive(Default)]
pub struct Heard {
    pub connections: usize,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Arc::<Mutex<Heard>>::default());
        tokio::spawn(accept(listener, scripts.into(), Arc::clone(&heard)));
        Self { address, heard }
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

/// Plays until the other side closes, or the script ends; an error is an end, too.
async fn play(stream: TcpStream, script: Script, heard: Arc<Mutex<Heard>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 peer.example\r\n").await?;
    let (mut line, mut recipient, mut messages) = (String::new(), 0, 0);
    while messages < script.messages {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or_default().to_owned();
        heard.lock().commands.push(line.trim_end().to_owned());
        match verb.as_str() {
            "EHLO" => stream.write_all(script.ehlo.as_bytes()).await?,
            "RCPT" => {
                say(&mut stream, script.rcpt[recipient % script.rcpt.len()]).await?;
                recipient += 1;
            }
            "DATA" => {
                say(&mut stream, script.data).await?;
                if script.data.starts_with("354") {
                    take_content(&mut stream, &script, &heard).await?;
                    messages += 1;
                }
            }
            _ => say(&mut stream, "250 2.0.0 ok").await?,
        }
    }
    Ok(())
}

async fn say(stream: &mut BufReader<TcpStream>, reply: &str) -> std::io::Result<()> {
    stream.write_all(format!("{reply}\r\n").as_bytes()).await
}

async fn take_content(stream: &mut BufReader<TcpStream>, script: &Script, heard: &Mutex<Heard>) -> std::io::Result<()> {
    let (mut content, mut lines) = (Vec::new(), 0);
    loop {
        let begin = content.len();
        if stream.read_until(b'\n', &mut content).await? == 0 {
            return Ok(());
        }
        lines += 1;
        if script.reset_after == Some(lines) {
            stream.get_ref().set_zero_linger()?;
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
