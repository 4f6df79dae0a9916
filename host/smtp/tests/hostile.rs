//! Properties of a session under hostile octets.

mod common;

use common::{block_on, chain, config, connection, now};
use proptest::prelude::*;
use wasmail_smtp::{Chunking, LineEndings, Message, Rehearsal};

/// Pieces of which hostile sessions are made.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let line = |text: &'static str| Just(text.as_bytes().to_vec());
    prop_oneof![
        3 => line("EHLO client.example\r\n"),
        3 => line("MAIL FROM:<a@client.example>\r\n"),
        3 => line("RCPT TO:<b@example.test>\r\n"),
        4 => line("DATA\r\n"),
        4 => line(".\r\n"),
        2 => line("Subject: x\r\n"),
        1 => line("Received: x\r\n"),
        2 => line("\r\n"),
        1 => line("..\r\n"),
        1 => line("RSET\r\n"),
        1 => line("NOOP\r\n"),
        1 => line("HELO x\r\n"),
        1 => line("RCPT TO:<x@elsewhere.example>\r\n"),
        2 => line("BDAT 12\r\n"),
        2 => line("BDAT 9 LAST\r\n"),
        1 => line("\n"),
        1 => line("\r"),
        1 => line("\0"),
        1 => line("."),
        1 => line("\u{fc}"),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => (1usize..3000).prop_map(|len| vec![b'x'; len]),
    ]
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
}

fn rehearsal(normalise: bool) -> Rehearsal {
    let mut config = config();
    config.limits.message_size = 4_000;
    config.limits.drain = 4_000;
    config.limits.header_size = 500;
    config.limits.header_fields = 5;
    config.limits.received_hops = 2;
    config.limits.text_line = 2_000;
    config.line_endings = if normalise { LineEndings::Normalise } else { LineEndings::Strict };
    config.chunking = Chunking::Text;
    Rehearsal::new(config, chain(), connection(), now())
}

/// Sends octets, `size` at a time, and always waits after a DATA line: what follows it in one write would be content
/// before 354, and that is meant to make a difference.
fn talk(octets: &[u8], size: usize, normalise: bool) -> (Vec<u8>, Vec<Message>, bool) {
    let mut rehearsal = rehearsal(normalise);
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

/// The places after lines that say DATA.
fn stops(octets: &[u8]) -> impl Iterator<Item = usize> {
    let ends = octets.iter().enumerate().filter(|(_, octet)| **octet == b'\n').map(|(at, _)| at + 1);
    ends.filter(|end| octets[..*end].trim_ascii_end().to_ascii_uppercase().ends_with(b"DATA"))
}

/// How many times CRLF.CRLF stands in the octets, the DATA line's CRLF included.
fn ends(octets: &[u8]) -> usize {
    octets.windows(5).filter(|window| window == b"\r\n.\r\n").count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_octets_are_answered_and_cutting_them_makes_no_difference(
        octets in octets(), size in 1usize..200, normalise: bool,
    ) {
        let whole = talk(&octets, usize::MAX, normalise);
        prop_assert_eq!(&whole, &talk(&octets, size, normalise));
        prop_assert_eq!(whole, talk(&octets, 1, normalise));
    }

    #[test]
    fn without_crlf_dot_crlf_or_a_last_chunk_no_message_is_accepted(octets in octets(), normalise: bool) {
        let opening = b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n";
        let all = [opening, octets.as_slice()].concat();
        let (_, messages, _) = talk(&all, usize::MAX, normalise);
        let most = ends(&all) + all.windows(4).filter(|window| window == b"LAST").count();
        prop_assert!(messages.len() <= most, "{} messages, {} ends", messages.len(), most);
    }

    #[test]
    fn replies_are_lines_of_smtp(octets in octets(), normalise: bool) {
        let (replies, _, _) = talk(&octets, usize::MAX, normalise);
        let text = String::from_utf8(replies).unwrap();
        prop_assert!(text.ends_with("\r\n"));
        for line in text.split_terminator("\r\n") {
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            prop_assert!(code.is_some_and(|code| (200..600).contains(&code)), "{line}");
            prop_assert!(matches!(line.as_bytes().get(3), Some(b' ' | b'-')), "{line}");
            prop_assert!(line.len() <= 510 && !line.chars().any(char::is_control), "{line}");
        }
    }

    #[test]
    fn an_accepted_message_has_no_bare_line_end(octets in octets(), normalise: bool) {
        let opening = b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n";
        let all = [opening, octets.as_slice(), b"\r\n.\r\n"].concat();
        for message in talk(&all, 77, normalise).1 {
            let content = [message.header, message.body].concat();
            let crlf = content.windows(2).filter(|pair| pair == b"\r\n").count();
            let cr = content.iter().filter(|octet| **octet == b'\r').count();
            let lf = content.iter().filter(|octet| **octet == b'\n').count();
            prop_assert_eq!((cr, lf), (crlf, crlf));
            prop_assert!(!content.contains(&0));
        }
    }
}
