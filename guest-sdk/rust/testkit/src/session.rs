//! A session in memory, and the client's end of it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::{Builder, Runtime};
use wasmail_dialog::Peer;
use wasmail_mail::{Connection, Counters, Local, Proxy, Remote};
use wasmail_policy::{Chain, Context};
use wasmail_smtp::{Message, Now, Rehearsal, SessionConfig};

/// The time at which all sessions of the kit begin: 2026-01-01 00:00:00 UTC, in seconds since 1970.
const BEGIN: Duration = Duration::from_secs(1_767_225_600);

/// One connection to a session in memory. Time stands still in it, but for the delays that plugins ask for.
pub struct Session {
    runtime: Runtime,
    rehearsal: Rehearsal,
    /// Whether anything was said, by either side.
    begun: bool,
    /// What the server has said and nobody has taken yet.
    answer: Vec<u8>,
    transcript: String,
}

/// A runtime for one session. Futures of plugins run on it, in the thread of the test.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap_or_else(|error| panic!("failed to start tokio: {error}"))
}

impl Session {
    pub(crate) fn new(runtime: Runtime, config: SessionConfig, remote: Remote, relaying: bool, chain: Chain) -> Self {
        let wall = SystemTime::UNIX_EPOCH + BEGIN;
        let connection = connection(&config, remote, relaying, wall);
        let now = Now { monotonic: Instant::now(), wall };
        let rehearsal = Rehearsal::new(config, Arc::new(chain), connection, now);
        Self { runtime, rehearsal, begun: false, answer: Vec::new(), transcript: String::new() }
    }

    /// Waits for the greeting and returns it. [`Session::send`] does it, too.
    pub fn greeting(&mut self) -> String {
        self.greet();
        self.take()
    }

    /// Sends a command, whose CRLF is added, and returns all that the server answers: one reply, or none within data.
    pub fn send(&mut self, line: &str) -> String {
        self.greet();
        self.answer.clear();
        self.say(&[line.as_bytes(), b"\r\n"].concat());
        self.take()
    }

    /// Sends a command and looks how the answer begins, such as `250` or `550 5.7.1`.
    ///
    /// # Panics
    /// When the answer begins otherwise, with all that was said.
    pub fn expect(&mut self, line: &str, begin: &str) -> String {
        let answer = self.send(line);
        assert!(answer.starts_with(begin), "`{line}` is not answered {begin}:\n{}", self.transcript);
        answer
    }

    /// Sends a whole message to one recipient, from EHLO to the final dot, and returns the last answer.
    ///
    /// The text is a header section, an empty line and a body, with line feeds alone; dots are doubled where they must be.
    ///
    /// # Panics
    /// When a command before the data is refused.
    pub fn deliver(&mut self, sender: &str, recipient: &str, text: &str) -> String {
        self.expect("EHLO client.example", "250");
        self.expect(&format!("MAIL FROM:<{sender}>"), "250");
        self.expect(&format!("RCPT TO:<{recipient}>"), "250");
        self.expect("DATA", "354");
        let lines =
            text.lines().map(|line| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") });
        let data: String = lines.chain([".\r\n".to_owned()]).collect();
        self.say(data.as_bytes());
        self.take()
    }

    /// The messages that were accepted so far.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        self.rehearsal.messages()
    }

    /// The session as policy sees it: connection and transaction with their notes and results, and who said what.
    #[must_use]
    pub fn context(&self) -> &Context {
        self.rehearsal.context()
    }

    /// Whether the server has closed the connection.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.rehearsal.is_closed()
    }

    /// How long plugins have made the client wait in all.
    #[must_use]
    pub fn delayed(&self) -> Duration {
        self.rehearsal.delayed()
    }

    /// All that was said so far, for a test's message.
    #[must_use]
    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    fn greet(&mut self) {
        if !self.begun {
            self.begun = true;
            let greeting = self.runtime.block_on(self.rehearsal.greeting());
            self.hear(&greeting);
        }
    }

    fn say(&mut self, octets: &[u8]) {
        self.begun = true;
        self.note("C: ", octets);
        if !self.rehearsal.is_closed() {
            let answer = self.runtime.block_on(self.rehearsal.send(octets));
            self.hear(&answer);
        }
    }

    fn hear(&mut self, octets: &[u8]) {
        self.note("S: ", octets);
        self.answer.extend_from_slice(octets);
    }

    fn note(&mut self, who: &str, octets: &[u8]) {
        for line in String::from_utf8_lossy(octets).lines() {
            self.transcript.extend([who, line, "\n"]);
        }
    }

    fn take(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.answer)).into_owned()
    }
}

/// For dialogues: a client that speaks before it has listened is an early talker.
impl Peer for Session {
    fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.rehearsal.is_closed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.say(octets);
        Ok(())
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        self.greet();
        if self.answer.is_empty() && !self.rehearsal.is_closed() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server waits for more"));
        }
        Ok(std::mem::take(&mut self.answer))
    }
}

fn connection(config: &SessionConfig, remote: Remote, relaying: bool, started: SystemTime) -> Connection {
    let (host, info) = (config.hostname.clone(), config.software.clone());
    Connection {
        uuid: "019b7700-0000-7000-8000-000000000001".to_owned(),
        local: Local { ip: [192, 0, 2, 25].into(), port: 25, host, info },
        remote,
        proxy: Proxy::default(),
        hello: None,
        tls: None,
        auth: None,
        relaying,
        current_line: Vec::new(),
        last_response: String::new(),
        counters: Counters::default(),
        started,
    }
}
