//! One conversation with clamd: the command INSTREAM of clamd(8).

use wasmail_guest::tcp::{self, Content, Framing, Service};
use wasmail_guest::{Failure, prelude::*};

/// What stands in front of the message, in a chunk of its own: by this field clamd knows that it is mail, whatever field
/// it begins with.
const IN_FRONT: &[u8] = b"Received: by wasmail's plugin clamd\r\n";
/// The empty chunk, which ends the stream.
const END: [u8; 4] = [0; 4];
/// Octets of an answer; names have some fifty.
const ANSWER_MAX: u32 = 1_024;
/// Octets of a name that are told.
const NAME_MAX: usize = 100;

/// What clamd says of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// Nothing was found.
    Clean,
    /// This was found.
    Infected(String),
    /// It is larger than clamd takes.
    TooLarge,
}

/// Has the clamd at an endpoint scan the message.
///
/// # Errors
/// With the reason when it does not.
pub(crate) fn scan(endpoint: &str, m: &Message) -> Result<Scan, String> {
    let clamd = tcp::connect(endpoint).map_err(reason)?;
    let sent = send(&clamd, m);
    // It may have said why it did not take everything.
    let answer = match (clamd.receive_until(b"\0", ANSWER_MAX), sent) {
        (Ok(answer), Ok(())) => answer,
        (Ok(answer), Err(_)) if !answer.is_empty() => answer,
        (_, Err(failure)) | (Err(failure), Ok(())) => return Err(reason(failure)),
    };
    understand(&answer)
}

fn send(clamd: &Service, m: &Message) -> Result<(), Failure> {
    // The command ends with NUL, and so does its answer.
    let len = (IN_FRONT.len() as u32).to_be_bytes();
    clamd.send([&b"zINSTREAM\0"[..], &len, IN_FRONT].concat())?;
    clamd.send_message(m, Content::Message, Framing::LengthPrefixedChunks)?;
    clamd.send(END)
}

fn understand(answer: &[u8]) -> Result<Scan, String> {
    let text = String::from_utf8_lossy(answer);
    let text = text.trim_end_matches(['\0', '\n']);
    if text.is_empty() {
        return Err("it hung up without an answer".to_owned());
    }
    if text.contains("size limit exceeded") {
        return Ok(Scan::TooLarge);
    }
    match text.strip_prefix("stream: ") {
        Some("OK") => Ok(Scan::Clean),
        Some(found) => match found.strip_suffix(" FOUND") {
            Some(name) => Ok(Scan::Infected(plain(name))),
            None => Err(format!("it says {}", plain(text))),
        },
        None => Err(format!("it says {}", plain(text))),
    }
}

/// A text of clamd's as it may stand in results and replies.
fn plain(text: &str) -> String {
    let plain = |letter: char| if letter == ' ' || letter.is_ascii_graphic() { letter } else { '?' };
    text.chars().map(plain).take(NAME_MAX).collect()
}

fn reason(failure: Failure) -> String {
    match failure {
        Failure::NotGranted => "the grant tcp is missing".to_owned(),
        Failure::QuotaExceeded(setting) => format!("{setting} is used up"),
        Failure::TimedOut => "no answer in time".to_owned(),
        Failure::Unavailable(why) | Failure::Invalid(why) => why,
    }
}
