//! The client's end of AUTH (RFC 4954).

use std::collections::VecDeque;
use std::io::Write;

use data_encoding::BASE64;

use super::{Credentials, Extensions, RemoteReply};

/// Longest AUTH command with an initial response, in octets, CRLF included (RFC 4954 §3).
const COMMAND_MAX: usize = 12_288;

/// One exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    /// What the challenges to come are answered with, in base64.
    answers: VecDeque<String>,
    cancelled: bool,
}

/// What a reply brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// An answer was written; another reply will come.
    Waiting,
    Accepted,
    Refused,
}

impl Exchange {
    /// Begins with the best mechanism that the server offers and we know; none when it offers none of them.
    pub(super) fn begin(credentials: &Credentials, offered: Extensions, out: &mut Vec<u8>) -> Option<Self> {
        let Credentials { user, password, .. } = credentials;
        let answers = if offered.auth_plain {
            let response = BASE64.encode(format!("\0{user}\0{password}").as_bytes());
            let line = format!("AUTH PLAIN {response}\r\n");
            if line.len() <= COMMAND_MAX {
                out.extend_from_slice(line.as_bytes());
                // A server that takes no initial response asks for it by an empty challenge.
                return Some(Self { answers: VecDeque::from([response]), cancelled: false });
            }
            out.extend_from_slice(b"AUTH PLAIN\r\n");
            VecDeque::from([response])
        } else if offered.auth_login {
            out.extend_from_slice(b"AUTH LOGIN\r\n");
            VecDeque::from([user, password].map(|text| BASE64.encode(text.as_bytes())))
        } else {
            return None;
        };
        Some(Self { answers, cancelled: false })
    }

    /// Takes the server's reply, and writes the answer to a challenge.
    pub(super) fn take(&mut self, reply: &RemoteReply, out: &mut Vec<u8>) -> Progress {
        match reply.code() {
            334 if !self.cancelled => {
                // A challenge too many is refused, which ends the exchange (RFC 4954 §4).
                self.cancelled = self.answers.is_empty();
                let answer = self.answers.pop_front().unwrap_or_else(|| "*".to_owned());
                // Writing into memory does not fail.
                let _ = write!(out, "{answer}\r\n");
                Progress::Waiting
            }
            _ if reply.is_positive() => Progress::Accepted,
            _ => Progress::Refused,
        }
    }
}
