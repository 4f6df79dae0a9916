//! A message as a server may have it: what it does not offer is done without, where nothing has to be changed for it.

use std::io;

use wasmail_mail::{BodyType, ForwardPath, Mailbox, ReversePath};
use wasmail_smtp::client::{Extensions, Outgoing};
use wasmail_spool::Message;

use crate::delivery::mx::in_ascii;

/// Longest line of text, CRLF not counted (RFC 2045 §2.7, §2.8).
const LINE_MAX: usize = 998;

/// The message as the client machine wants to know it.
/// `reverse_path` stands in place of the message's own.
pub(super) async fn outgoing(
    message: &Message,
    reverse_path: Option<&ReversePath>,
    recipients: &[usize],
    offered: &Extensions,
) -> io::Result<Outgoing> {
    let envelope = message.envelope();
    let to = recipients.iter().filter_map(|at| envelope.recipients.get(*at)).cloned();
    let mut outgoing = Outgoing {
        reverse_path: reverse_path.unwrap_or(&envelope.reverse_path).clone(),
        recipients: to.collect(),
        parameters: envelope.parameters.clone(),
        size: message.header().len() as u64 + message.body().len(),
        body: body_type(message, offered).await?,
        smtputf8: false,
        require_tls: requires_tls(message),
    };
    if envelope.smtputf8 && !offered.smtputf8 {
        write_in_ascii(&mut outgoing);
    }
    outgoing.smtputf8 = envelope.smtputf8 && (!is_ascii(&outgoing) || !message.header().is_ascii());
    Ok(outgoing)
}

/// Whether its sender wants it under TLS all the way.
pub(super) fn requires_tls(message: &Message) -> bool {
    message.envelope().parameters.iter().any(|parameter| parameter.keyword() == "REQUIRETLS")
}

/// What the client called it, or what it is in fact where the server does not offer that.
async fn body_type(message: &Message, offered: &Extensions) -> io::Result<BodyType> {
    let declared = message.envelope().body;
    let is_offered = match declared {
        // Many call 7-bit what is not.
        BodyType::SevenBit | BodyType::EightBitMime => offered.eight_bit_mime,
        BodyType::BinaryMime => offered.binary_mime,
    };
    if is_offered {
        return Ok(declared);
    }
    let mut nature = Nature::default();
    nature.take(message.header());
    let mut chunks = message.body().chunks();
    while let Some(chunk) = chunks.next().await? {
        nature.take(&chunk);
    }
    // Text was looked at when it came: long lines do not make it binary.
    nature.binary &= declared == BodyType::BinaryMime;
    Ok(nature.body_type())
}

/// What content is made of.
#[derive(Debug, Default)]
struct Nature {
    eight_bit: bool,
    binary: bool,
    after_cr: bool,
    /// Octets since the last line end.
    line: usize,
}

impl Nature {
    fn take(&mut self, octets: &[u8]) {
        self.eight_bit |= !octets.is_ascii();
        for octet in octets {
            self.line += 1;
            // A CR and an LF stand side by side or not at all; what is longer than a line is none.
            self.binary |= *octet == 0 || (*octet == b'\n') != self.after_cr || self.line > LINE_MAX + 2;
            self.after_cr = *octet == b'\r';
            if *octet == b'\n' {
                self.line = 0;
            }
        }
    }

    fn body_type(&self) -> BodyType {
        match self {
            _ if self.binary => BodyType::BinaryMime,
            _ if self.eight_bit => BodyType::EightBitMime,
            _ => BodyType::SevenBit,
        }
    }
}

/// Domains in other scripts have a name in ASCII that means the same (RFC 5890 §2.3.2.1); local parts have not.
fn write_in_ascii(outgoing: &mut Outgoing) {
    let text = |mailbox: &Mailbox| format!("<{}@{}>", mailbox.local_part(), in_ascii(mailbox.domain().as_str()));
    if let Some(Ok(path)) = outgoing.reverse_path.mailbox().map(|mailbox| ReversePath::parse(&text(mailbox))) {
        outgoing.reverse_path = path;
    }
    for recipient in &mut outgoing.recipients {
        if let Some(Ok(path)) = recipient.path.mailbox().map(|mailbox| ForwardPath::parse(&text(mailbox))) {
            recipient.path = path;
        }
    }
}

fn is_ascii(outgoing: &Outgoing) -> bool {
    let mailboxes = outgoing.recipients.iter().map(|to| to.path.mailbox()).chain([outgoing.reverse_path.mailbox()]);
    mailboxes.flatten().all(Mailbox::is_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmail_mail::Recipient;

    fn of(pieces: &[&[u8]]) -> BodyType {
        let mut nature = Nature::default();
        pieces.iter().for_each(|piece| nature.take(piece));
        nature.body_type()
    }

    #[test]
    fn content_is_what_it_is_made_of() {
        assert_eq!(of(&[b"a\r\n", b"b\r", b"\n"]), BodyType::SevenBit);
        assert_eq!(of(&["\u{fc}\r\n".as_bytes()]), BodyType::EightBitMime);
        for binary in [&[&b"a\0"[..]][..], &[b"a\n"], &[b"a\r", b"b"], &[b"a\r\r\n"]] {
            assert_eq!(of(binary), BodyType::BinaryMime, "{binary:?}");
        }
        let line = |len| [vec![b'a'; len], b"\r\n".to_vec()].concat();
        assert_eq!(of(&[&line(LINE_MAX), &line(LINE_MAX)]), BodyType::SevenBit);
        assert_eq!(of(&[&line(LINE_MAX + 1)]), BodyType::BinaryMime);
    }

    #[test]
    fn a_domain_in_another_script_is_written_in_ascii_and_a_local_part_stays() {
        let path = |text: &str| Recipient { path: ForwardPath::parse(text).unwrap(), parameters: Vec::new() };
        let mut outgoing = Outgoing {
            reverse_path: ReversePath::Null,
            recipients: vec![path("<\"a b\"@b\u{fc}cher.example>"), path("<\u{fc}@b.example>"), path("<Postmaster>")],
            parameters: Vec::new(),
            size: 0,
            body: BodyType::SevenBit,
            smtputf8: true,
            require_tls: false,
        };
        write_in_ascii(&mut outgoing);
        let written: Vec<_> = outgoing.recipients.iter().map(|to| to.path.to_string()).collect();
        assert_eq!(written, ["<\"a b\"@xn--bcher-kva.example>", "<\u{fc}@b.example>", "<Postmaster>"]);
        assert!(!is_ascii(&outgoing));
    }
}
