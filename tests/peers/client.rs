//! A plain SMTP client that says exactly what it is told, for what no client of others does on demand.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for a reply. The server is on this machine: whoever takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// A reply, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// The text of all lines, joined by LF, with enhanced status codes.
    pub(crate) text: String,
}

/// A connection to a server.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects and reads the greeting.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<(Self, Reply)> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        Self::over(stream)
    }

    /// Takes a connection over and reads the greeting.
    pub(crate) fn over(stream: TcpStream) -> io::Result<(Self, Reply)> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream: BufReader::new(stream) };
        let greeting = client.reply()?;
        Ok((client, greeting))
    }

    /// Connects and says EHLO.
    ///
    /// # Errors
    /// Also when the server refuses either.
    pub(crate) fn greeted(address: SocketAddr) -> io::Result<Self> {
        let (mut client, greeting) = Self::connect(address)?;
        greeting.expect(220)?;
        client.command("EHLO client.example")?.expect(250)?;
        Ok(client)
    }

    /// Says one line and reads the reply.
    pub(crate) fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.write(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Sends octets as they are.
    pub(crate) fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(octets)
    }

    /// Begins a transaction in one write, and stands after the 354.
    ///
    /// # Errors
    /// Also when the server refuses a step.
    pub(crate) fn begin(&mut self, reverse_path: &str, recipients: &[&str]) -> io::Result<()> {
        let mut commands = format!("MAIL FROM:<{reverse_path}>\r\n");
        recipients.iter().for_each(|path| commands.push_str(&format!("RCPT TO:<{path}>\r\n")));
        commands.push_str("DATA\r\n");
        self.write(commands.as_bytes())?;
        for _ in 0..=recipients.len() {
            self.reply()?.expect(250)?;
        }
        self.reply()?.expect(354)
    }

    /// Sends a whole message and reads the reply to its end.
    ///
    /// # Errors
    /// Also when the server refuses a step before the content.
    pub(crate) fn send(&mut self, reverse_path: &str, recipients: &[&str], content: &[u8]) -> io::Result<Reply> {
        self.begin(reverse_path, recipients)?;
        self.write(&stuffed(content))?;
        self.reply()
    }

    /// Reads one reply.
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.strip_suffix("\r\n").ok_or_else(|| odd(&line))?;
            let code = line.get(..3).and_then(|code| code.parse().ok()).ok_or_else(|| odd(line))?;
            text.push_str(line.get(4..).unwrap_or_default());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, text });
            }
            text.push('\n');
        }
    }
}

impl Reply {
    /// Fine when the code is the one expected.
    ///
    /// # Errors
    /// The reply as text, otherwise.
    pub(crate) fn expect(self, code: u16) -> io::Result<()> {
        if self.code == code { Ok(()) } else { Err(odd(&format!("{} {}", self.code, self.text))) }
    }
}

/// Content as DATA wants it: dots doubled, and the end (RFC 5321 §4.5.2). `content` ends in CRLF.
pub(crate) fn stuffed(content: &[u8]) -> Vec<u8> {
    assert!(content.ends_with(b"\r\n"), "content is made of whole lines");
    let mut octets = Vec::with_capacity(content.len() + 16);
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            octets.push(b'.');
        }
        octets.extend_from_slice(line);
    }
    octets.extend_from_slice(b".\r\n");
    octets
}

fn odd(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("unexpected: {line:?}"))
}
