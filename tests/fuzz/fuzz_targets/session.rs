//! A whole connection: the first octet chooses the listener and the cut, the rest is what the client sends.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmail_fuzz::{block_on, rehearsal};
use wasmail_mail::BodyType;
use wasmail_smtp::{LineEndings, Message};

fuzz_target!(|input: &[u8]| {
    let Some((choice, octets)) = input.split_first() else { return };
    let endings = if choice & 1 == 0 { LineEndings::Strict } else { LineEndings::Normalise };
    let whole = talk(octets, usize::MAX, endings);
    let parts = talk(octets, usize::from(choice >> 1) + 1, endings);
    assert_eq!(whole, parts, "the cut made a difference");
    check_replies(&whole.0);
    assert!(whole.1.len() <= ends(octets, endings), "a message ended without CRLF.CRLF");
    whole.1.iter().for_each(check_message);
});

/// How often data can end: with the last chunk (RFC 3030), and at CRLF.CRLF, where the first CRLF may be the end of the DATA line, and so may be a lone LF
/// where that ends a command.
fn ends(octets: &[u8], endings: LineEndings) -> usize {
    let strict = octets.windows(5).filter(|window| window == b"\r\n.\r\n").count();
    let at_once =
        stops(octets).filter(|stop| octets[*stop..].starts_with(b".\r\n") && !octets[..*stop].ends_with(b"\r\n"));
    let chunks = octets.windows(4).filter(|window| window.eq_ignore_ascii_case(b"LAST")).count();
    chunks + if endings == LineEndings::Normalise { strict + at_once.count() } else { strict }
}

/// Sends octets in chunks, and always waits after a line that may be DATA: content in the same write is refused.
fn talk(octets: &[u8], size: usize, endings: LineEndings) -> (Vec<u8>, Vec<Message>, bool) {
    let mut rehearsal = rehearsal(endings);
    let mut replies = block_on(rehearsal.greeting());
    let mut at = 0;
    for stop in stops(octets).chain([octets.len()]) {
        for chunk in octets[at..stop].chunks(size) {
            if !rehearsal.is_closed() {
                replies.extend(block_on(rehearsal.send(chunk)));
            }
        }
        at = stop;
    }
    (replies, rehearsal.messages().to_vec(), rehearsal.is_closed())
}

/// The places after lines that end in DATA.
fn stops(octets: &[u8]) -> impl Iterator<Item = usize> {
    let ends = octets.iter().enumerate().filter(|(_, octet)| **octet == b'\n').map(|(at, _)| at + 1);
    ends.filter(|end| octets[..*end].trim_ascii_end().to_ascii_uppercase().ends_with(b"DATA"))
}

fn check_replies(replies: &[u8]) {
    let text = std::str::from_utf8(replies).expect("replies are text");
    assert!(text.ends_with("\r\n"));
    for line in text.split_terminator("\r\n") {
        assert!(line.len() <= 510 && !line.chars().any(char::is_control), "{line:?}");
        assert!(line.as_bytes()[..3].iter().all(u8::is_ascii_digit), "{line:?}");
    }
}

fn check_message(message: &Message) {
    let mut content = message.header.clone();
    // Of what is binary the header section alone is text (RFC 3030 §3).
    if message.envelope.body != BodyType::BinaryMime {
        content.extend_from_slice(&message.body);
    }
    let count = |octet| content.iter().filter(|other| **other == octet).count();
    let crlf = content.windows(2).filter(|pair| pair == b"\r\n").count();
    assert_eq!((count(b'\r'), count(b'\n'), count(0)), (crlf, crlf, 0));
}
