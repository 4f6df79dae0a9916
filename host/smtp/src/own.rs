//! Messages that come in by no session: made by plugins. What they must be, and what is added.

use std::time::SystemTime;

use wasmail_mail::{BodyType, Envelope, Field, ForwardPath, Handling, HeaderSection, Recipient, ReversePath};

use crate::{SessionConfig, trace};

/// Octets of a line without its CRLF (RFC 5322 §2.1.1).
const LINE_MAX: usize = 998;

/// A message that is ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnMessage {
    /// From where to where.
    pub envelope: Envelope,
    /// The header section, and the empty line below it.
    pub header: Vec<u8>,
    /// Each line with its CRLF.
    pub body: Vec<u8>,
}

/// What a plugin wants sent.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The binding.
    pub by: &'a str,
    /// Without angle brackets; empty for the null path.
    pub reverse_path: &'a str,
    /// Without angle brackets.
    pub recipients: &'a [String],
    /// Header section, empty line, body; lines end with CRLF or LF.
    pub content: &'a [u8],
}

impl OwnMessage {
    /// Checks a message, and adds `Received`, and `Date` and `Message-ID` where they are missing (RFC 6409 §8).
    ///
    /// # Errors
    /// Says what is wrong, for the plugin's author.
    pub fn new(config: &SessionConfig, wish: Wish<'_>, uuid: String, wall: SystemTime) -> Result<Self, String> {
        let reverse_path = ReversePath::parse(&format!("<{}>", wish.reverse_path));
        let reverse_path = reverse_path.map_err(|why| format!("reverse-path {:?}: {why}", wish.reverse_path))?;
        let recipients = wish.recipients.iter().map(|text| recipient(text)).collect::<Result<Vec<_>, _>>()?;
        let (mut section, body) = parts(wish.content)?;
        if section.named("From").next().is_none() {
            return Err("the message has no field From (RFC 5322 section 3.6)".to_owned());
        }
        let hops = section.named("Received").count();
        if hops > config.limits.received_hops {
            return Err(format!("the message has {hops} fields Received: a loop"));
        }
        if section.len() > config.limits.header_size {
            return Err(format!("the header section has more than {} octets", config.limits.header_size));
        }
        for (name, value) in [("Date", trace::date(wall)), ("Message-ID", format!("<{uuid}@{}>", config.hostname))] {
            if section.named(name).next().is_none() {
                add(&mut section, name, &value);
            }
        }
        let received = format!(
            "by {} ({}; plugin {}) id {uuid}; {}",
            config.hostname,
            config.software,
            wish.by,
            trace::date(wall)
        );
        if let Ok(field) = Field::new("Received", &received) {
            section.prepend(field);
        }
        let header = section.to_octets();
        let smtputf8 =
            !header.is_ascii() || !wish.reverse_path.is_ascii() || wish.recipients.iter().any(|to| !to.is_ascii());
        let body_type = if body.is_ascii() { BodyType::SevenBit } else { BodyType::EightBitMime };
        let envelope = Envelope {
            uuid,
            reverse_path,
            parameters: Vec::new(),
            body: body_type,
            smtputf8,
            recipients,
            handling: Handling::default(),
        };
        Ok(Self { envelope, header, body })
    }
}

fn recipient(text: &str) -> Result<Recipient, String> {
    let path = ForwardPath::parse(&format!("<{text}>")).map_err(|why| format!("recipient {text:?}: {why}"))?;
    Ok(Recipient { path, parameters: Vec::new() })
}

/// Adds a field below the others; one that cannot stand there is left out.
fn add(section: &mut HeaderSection, name: &str, value: &str) {
    if let Ok(field) = Field::new(name, value) {
        section.append(field);
    }
}

/// The header section, and the body with CRLF at the end of every line.
fn parts(content: &[u8]) -> Result<(HeaderSection, Vec<u8>), String> {
    let (mut section, mut body, mut in_body) = (HeaderSection::default(), Vec::with_capacity(content.len()), false);
    for (at, line) in content.split_inclusive(|octet| *octet == b'\n').enumerate() {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let number = at + 1;
        if let Some(octet) = line.iter().find(|octet| matches!(octet, 0 | b'\r')) {
            let name = if *octet == 0 { "NUL" } else { "CR" };
            return Err(format!("line {number} has a {name} in it"));
        }
        if line.len() > LINE_MAX {
            return Err(format!("line {number} has {} octets; {LINE_MAX} are the most", line.len()));
        }
        let line = [line, b"\r\n"].concat();
        if in_body {
            body.extend_from_slice(&line);
        } else if line == b"\r\n" {
            in_body = true;
        } else if std::str::from_utf8(&line).is_err() || !section.push_line(&line) {
            return Err(format!("line {number} is no header field, and no empty line stands before it"));
        }
    }
    Ok((section, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    fn config() -> SessionConfig {
        SessionConfig {
            srs: None,
            starttls: false,
            auth: None,
            hostname: "mx.example.test".into(),
            software: "wasmail 0.1.0".into(),
            limits: crate::Limits::default(),
            line_endings: crate::LineEndings::Strict,
            kind: crate::Kind::Smtp,
            chunking: crate::Chunking::Off,
        }
    }

    fn made(to: &[&str], content: &[u8]) -> Result<OwnMessage, String> {
        let recipients: Vec<String> = to.iter().map(|&to| to.to_owned()).collect();
        let wish = Wish { by: "vacation", reverse_path: "", recipients: &recipients, content };
        OwnMessage::new(&Arc::new(config()), wish, "u.1".into(), SystemTime::UNIX_EPOCH + Duration::from_secs(5))
    }

    #[test]
    fn what_is_missing_is_added_and_lines_end_as_they_must() {
        let message = made(&["a@example.org"], b"From: b@example.test\nSubject: away\n\nhello\nthere").unwrap();
        let header = String::from_utf8(message.header).unwrap();
        assert_eq!(
            header,
            "Received: by mx.example.test (wasmail 0.1.0; plugin vacation) id u.1; Thu, 1\r\n Jan 1970 00:00:05 +0000\r\n\
             From: b@example.test\r\nSubject: away\r\nDate: Thu, 1 Jan 1970 00:00:05 +0000\r\n\
             Message-ID: <u.1@mx.example.test>\r\n\r\n"
        );
        assert_eq!(message.body, b"hello\r\nthere\r\n");
        assert_eq!((message.envelope.body, message.envelope.smtputf8), (BodyType::SevenBit, false));
        assert_eq!(message.envelope.reverse_path, ReversePath::Null);
    }

    #[test]
    fn what_is_there_stays() {
        let message = made(&["a@example.org"], b"Date: x\r\nMessage-ID: <y>\r\nFrom: b\r\n\r\n\xfc\r\n").unwrap();
        let header = String::from_utf8(message.header).unwrap();
        assert!(header.ends_with("Date: x\r\nMessage-ID: <y>\r\nFrom: b\r\n\r\n"), "{header}");
        assert_eq!(message.envelope.body, BodyType::EightBitMime);
        assert!(made(&["a@b\u{fc}.example"], b"From: b\n\n").unwrap().envelope.smtputf8);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |to: &[&str], content: &[u8]| made(to, content).unwrap_err();
        assert!(wrong(&["a b@example.org"], b"From: b\n\n").starts_with("recipient \"a b@example.org\": "));
        assert_eq!(
            wrong(&["a@example.org"], b"Subject: x\n\n"),
            "the message has no field From (RFC 5322 section 3.6)"
        );
        assert_eq!(
            wrong(&["a@example.org"], b"From: b\nhello\n"),
            "line 2 is no header field, and no empty line stands before it"
        );
        assert_eq!(wrong(&["a@example.org"], b"From: b\n\na\rb\n"), "line 3 has a CR in it");
        assert_eq!(wrong(&["a@example.org"], b"From: b\n\na\0b\n"), "line 3 has a NUL in it");
        let long = [b"From: b\n\n".as_slice(), &[b'x'; 999]].concat();
        assert_eq!(wrong(&["a@example.org"], &long), "line 3 has 999 octets; 998 are the most");
        let loops = ["Received: x\n".repeat(101), "From: b\n\n".to_owned()].concat();
        assert_eq!(wrong(&["a@example.org"], loops.as_bytes()), "the message has 101 fields Received: a loop");
    }
}
