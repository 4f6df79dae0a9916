//! Reads SMTP dialogues from text files and holds them with a server.
//!
//! The format is described in `tests/dialogs/README.md`. A [`Dialog`] is the text of one connection; a [`Peer`] is the
//! server at the other end, in memory or behind a socket. The crate knows neither what a server is nor what the
//! settings at the head of a dialogue mean: that is for whoever makes the peer.

mod escape;
mod parse;
mod pattern;
mod run;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use escape::unescape;
pub use run::Failure;

use pattern::Pattern;

/// The server's end of a connection.
pub trait Peer {
    /// Sends octets in one write.
    ///
    /// # Errors
    /// When they cannot be sent. A dialogue goes on all the same: a server that has closed may have said why.
    fn send(&mut self, octets: &[u8]) -> io::Result<()>;

    /// Waits for octets and returns some; none when the server has closed.
    ///
    /// # Errors
    /// When nothing comes in time. A reset by the server counts as closing.
    fn receive(&mut self) -> io::Result<Vec<u8>>;

    /// Begins TLS, as a client that believes any certificate.
    ///
    /// # Errors
    /// When the peer has none, or the handshake fails.
    fn secure(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What one connection says and hears.
#[derive(Debug, Clone)]
pub struct Dialog {
    file: PathBuf,
    line: usize,
    title: String,
    settings: Vec<Setting>,
    turns: Vec<Turn>,
}

/// A line `@ key value` at the head of a dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Where it stands in its file, counted from 1.
    pub line: usize,
    /// The first word.
    pub key: String,
    /// The rest; empty when there is none.
    pub value: String,
}

/// One thing that is said or heard.
#[derive(Debug, Clone)]
struct Turn {
    line: usize,
    act: Act,
}

#[derive(Debug, Clone)]
enum Act {
    /// Sent in one write.
    Send(Vec<u8>),
    /// TLS begins.
    Secure,
    /// One line that is expected, CRLF left out.
    Line(Pattern),
    /// A reply of one or more lines that is expected, with this code.
    Reply(String),
    /// The server is expected to close and to say nothing before.
    Closed,
}

impl Dialog {
    /// Reads the dialogues of a text; `file` is for messages.
    ///
    /// # Errors
    /// Says which line is not of the format, and why.
    pub fn parse(file: &Path, text: &str) -> Result<Vec<Self>, ParseError> {
        parse::dialogs(file, text)
    }

    /// Reads the dialogues of a file.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is not of the format.
    pub fn read(file: &Path) -> Result<Vec<Self>, ParseError> {
        let text = std::fs::read_to_string(file).map_err(|error| ParseError {
            file: file.to_owned(),
            line: 0,
            why: error.to_string(),
        })?;
        Self::parse(file, &text)
    }

    /// Reads the dialogues of all `*.txt` files of a directory, in the order of their names.
    ///
    /// # Errors
    /// When the directory or a file cannot be read, or a line is not of the format.
    pub fn read_all(directory: &Path) -> Result<Vec<Self>, ParseError> {
        let fail = |error: io::Error| ParseError { file: directory.to_owned(), line: 0, why: error.to_string() };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(fail)? {
            files.push(entry.map_err(fail)?.path());
        }
        files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
        files.sort();
        let mut dialogs = Vec::new();
        for file in files {
            dialogs.extend(Self::read(&file)?);
        }
        Ok(dialogs)
    }

    /// The file it comes from.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What it tells: its first comment.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The settings, in order.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The value of the last setting with this key.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().rev().find(|setting| setting.key == key).map(|setting| setting.value.as_str())
    }

    /// Holds the dialogue with a server that has just been connected to.
    ///
    /// # Errors
    /// When the server says something else than is expected, with all that was said so far.
    pub fn hold(&self, peer: &mut dyn Peer) -> Result<(), Failure> {
        run::hold(self, peer)
    }
}

impl fmt::Display for Dialog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.title)
    }
}

/// A line that is not of the format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1; 0 when it is the file itself.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.why)
    }
}

impl std::error::Error for ParseError {}
