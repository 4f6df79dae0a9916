//! What a sender is told of a message's fate (RFC 3464), as a message of its own (RFC 6522).

use std::fmt::Write as _;
use std::time::SystemTime;

use wasmail_mail::{
    BodyType, EnhancedStatus, Envelope, Field, ForwardPath, Handling, HeaderSection, Parameter, Recipient, ReversePath,
};

use crate::own::OwnMessage;
use crate::trace;

/// Octets of a text in one line of a report; a reply is kept with 1,024.
const LINE_MAX: usize = 900;

/// What has happened to a recipient (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The message was given up.
    Failed,
    /// It is tried again.
    Delayed,
    /// It is in the recipient's mailbox.
    Delivered,
    /// It went to a server that does not tell of its fate.
    Relayed,
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
        }
    }

    /// The occasion of `NOTIFY=`.
    const fn occasion(self) -> &'static str {
        match self {
            Self::Failed => "FAILURE",
            Self::Delayed => "DELAY",
            Self::Delivered | Self::Relayed => "SUCCESS",
        }
    }

    /// What the status is when nobody has said a better one (RFC 3463).
    const fn usual_status(self) -> &'static str {
        match self {
            Self::Failed => "5.0.0",
            Self::Delayed => "4.0.0",
            Self::Delivered | Self::Relayed => "2.0.0",
        }
    }
}

/// What has happened to one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate<'a> {
    /// Whom it has happened to.
    pub recipient: &'a Recipient,
    /// What.
    pub action: Action,
    /// The last reply, or why nobody could be asked: `host[address]:port: reply`, or a text with an enhanced status code.
    pub reply: &'a str,
    /// When it is given up, if it is tried again.
    pub until: Option<SystemTime>,
}

/// What there is to be told of a message.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// Our name.
    pub hostname: &'a str,
    /// Name of the report.
    pub uuid: String,
    /// The time.
    pub now: SystemTime,
    /// The message's envelope.
    pub envelope: &'a Envelope,
    /// When it came.
    pub arrival: SystemTime,
    /// Those of whom something is to be told; at least one.
    pub fates: Vec<Fate<'a>>,
    /// The message's header section.
    pub header: &'a [u8],
    /// Its body, if it is not too long to be sent back.
    pub body: Option<&'a [u8]>,
}

/// Whether the sender of a message wants to be told (RFC 3461 §4.1); without a word of it failures and delays are. Nobody is told of the
/// fate of reports (RFC 5321 §6.1).
#[must_use]
pub fn is_wanted(reverse_path: &ReversePath, recipient: &Recipient, action: Action) -> bool {
    let notify = recipient.parameters.iter().find(|parameter| parameter.keyword() == "NOTIFY");
    reverse_path.mailbox().is_some()
        && match notify.and_then(Parameter::value) {
            Some(wanted) => wanted.split(',').any(|word| word.eq_ignore_ascii_case(action.occasion())),
            None => matches!(action, Action::Failed | Action::Delayed),
        }
}

impl Report<'_> {
    /// The message that tells it, to the reverse-path; none when that is the null one.
    #[must_use]
    pub fn write(&self) -> Option<OwnMessage> {
        let to = self.envelope.reverse_path.mailbox()?;
        let path = ForwardPath::parse(&self.envelope.reverse_path.to_string()).ok()?;
        let action = self.fates.first().map_or(Action::Failed, |fate| fate.action);
        let boundary = format!("=_{}", self.uuid);
        let international = !self.header.is_ascii() || !to.is_ascii() || self.has_international_recipients();
        let body = self.body(&boundary, international);
        let subject = match action {
            Action::Failed => "Undelivered mail returned to sender",
            Action::Delayed => "Delayed mail (still being tried)",
            Action::Delivered | Action::Relayed => "Delivery report",
        };
        let media_type = format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\"");
        let mut section = HeaderSection::default();
        for (name, value) in [
            ("Date", trace::date(self.now)),
            ("From", format!("Mail Delivery System <MAILER-DAEMON@{}>", self.hostname)),
            ("To", format!("<{to}>")),
            ("Subject", subject.to_owned()),
            ("Message-ID", format!("<{}@{}>", self.uuid, self.hostname)),
            ("Auto-Submitted", "auto-replied".to_owned()),
            ("MIME-Version", "1.0".to_owned()),
            ("Content-Type", media_type),
            ("Content-Transfer-Encoding", if body.is_ascii() { "7bit" } else { "8bit" }.to_owned()),
        ] {
            if let Ok(field) = Field::new(name, &value) {
                section.append(field);
            }
        }
        let header = section.to_octets();
        let envelope = Envelope {
            uuid: self.uuid.clone(),
            reverse_path: ReversePath::Null,
            parameters: Vec::new(),
            body: if body.is_ascii() { BodyType::SevenBit } else { BodyType::EightBitMime },
            smtputf8: !to.is_ascii(),
            recipients: vec![Recipient { path, parameters: Vec::new() }],
            handling: Handling::default(),
        };
        Some(OwnMessage { envelope, header, body })
    }

    fn has_international_recipients(&self) -> bool {
        self.fates.iter().any(|fate| !fate.recipient.path.to_string().is_ascii())
    }

    fn body(&self, boundary: &str, international: bool) -> Vec<u8> {
        let part = |kind: &str, octets: &[u8]| {
            let encoding = if octets.is_ascii() { "7bit" } else { "8bit" };
            let head = format!("--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
            [head.as_bytes(), octets, b"\r\n"].concat()
        };
        let (status, returned) = self.returned(international);
        let mut body = b"This is a delivery status notification in MIME format (RFC 3464).\r\n\r\n".to_vec();
        body.extend(part("text/plain; charset=utf-8", self.text().as_bytes()));
        body.extend(part(status, self.status().as_bytes()));
        body.extend(part(returned, &self.original()));
        body.extend(format!("--{boundary}--\r\n").into_bytes());
        body
    }

    /// The types of what machines read and of what comes back (RFC 6533 §6 for what is not ASCII).
    fn returned(&self, international: bool) -> (&'static str, &'static str) {
        match (international, self.whole().is_some()) {
            (false, true) => ("message/delivery-status", "message/rfc822"),
            (false, false) => ("message/delivery-status", "text/rfc822-headers"),
            (true, true) => ("message/global-delivery-status", "message/global"),
            (true, false) => ("message/global-delivery-status", "message/global-headers"),
        }
    }

    /// The body, where all of the message may be sent back: when it was given up, and its sender does not want headers alone.
    fn whole(&self) -> Option<&[u8]> {
        let ret = self.envelope.parameters.iter().find(|parameter| parameter.keyword() == "RET");
        let headers = ret.and_then(Parameter::value).is_some_and(|ret| ret.eq_ignore_ascii_case("HDRS"));
        let failed = self.fates.iter().any(|fate| fate.action == Action::Failed);
        let text = self.envelope.body != BodyType::BinaryMime;
        self.body.filter(|_| failed && text && !headers)
    }

    fn original(&self) -> Vec<u8> {
        let header =
            self.header.strip_suffix(b"\r\n\r\n").map_or(self.header, |_| &self.header[..self.header.len() - 2]);
        match self.whole() {
            Some(body) => [header, b"\r\n", body].concat(),
            None => header.to_vec(),
        }
    }

    /// For people.
    fn text(&self) -> String {
        let mut text = format!("This is the mail system at {}.\r\n\r\n", self.hostname);
        let action = self.fates.first().map_or(Action::Failed, |fate| fate.action);
        text.push_str(match action {
            Action::Failed => "Your message could not be delivered to these recipients:\r\n\r\n",
            Action::Delayed => {
                "Your message has not been delivered yet to these recipients. You need not send it\r\n\
                 again: it is still being tried.\r\n\r\n"
            }
            Action::Delivered => "Your message was delivered to these recipients:\r\n\r\n",
            Action::Relayed => {
                "Your message was passed on for these recipients to servers that may not tell\r\n\
                 of its further fate:\r\n\r\n"
            }
        });
        for fate in &self.fates {
            let _ = write!(text, "  {}\r\n", line(&fate.recipient.path.to_string()));
            if matches!(fate.action, Action::Failed | Action::Delayed) {
                let _ = write!(text, "      {}\r\n", line(fate.reply));
            }
            if let Some(until) = fate.until {
                let _ = write!(text, "      It is tried until {}.\r\n", trace::date(until));
            }
        }
        text
    }

    /// For programs (RFC 3464 §2).
    fn status(&self) -> String {
        let mut status = format!("Reporting-MTA: dns; {}\r\n", self.hostname);
        if let Some(id) = value(&self.envelope.parameters, "ENVID") {
            let _ = write!(status, "Original-Envelope-Id: {}\r\n", line(&readable(id)));
        }
        let _ = write!(status, "Arrival-Date: {}\r\n", trace::date(self.arrival));
        for fate in &self.fates {
            status.push_str("\r\n");
            fate.write(&mut status);
        }
        status
    }
}

impl Fate<'_> {
    fn write(&self, status: &mut String) {
        if let Some((kind, original)) =
            value(&self.recipient.parameters, "ORCPT").and_then(|original| original.split_once(';'))
        {
            let _ = write!(status, "Original-Recipient: {}; {}\r\n", line(kind), line(&readable(original)));
        }
        let path = self.recipient.path.to_string();
        let address = path.trim_start_matches('<').trim_end_matches('>');
        let kind = if address.is_ascii() { "rfc822" } else { "utf-8" };
        let _ = write!(status, "Final-Recipient: {kind}; {}\r\n", line(address));
        let _ = write!(status, "Action: {}\r\nStatus: {}\r\n", self.action.as_str(), self.code());
        let (server, said) = self.said();
        if let Some(server) = server {
            let _ = write!(status, "Remote-MTA: dns; {}\r\n", line(server));
        }
        if !said.is_empty() {
            let kind = if server.is_some() { "smtp" } else { "x-wasmail" };
            let _ = write!(status, "Diagnostic-Code: {kind}; {}\r\n", line(said));
        }
        if let Some(until) = self.until {
            let _ = write!(status, "Will-Retry-Until: {}\r\n", trace::date(until));
        }
    }

    /// The enhanced status code in the reply, if it is of the action's class.
    fn code(&self) -> String {
        let usual = self.action.usual_status();
        let words = self.reply.split(|letter: char| !letter.is_ascii_digit() && letter != '.');
        let mut codes = words.filter_map(EnhancedStatus::parse).map(|code| code.to_string());
        codes.find(|code| code.as_bytes()[0] == usual.as_bytes()[0]).unwrap_or_else(|| usual.to_owned())
    }

    /// Which server has spoken, and what it said: `host[address]:port: reply`, or with the address alone.
    fn said(&self) -> (Option<&str>, &str) {
        let Some((place, said)) = self.reply.split_once(": ") else { return (None, self.reply) };
        match place.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() && !place.contains(' ') => {
                let name = host.split('[').next().filter(|name| !name.is_empty());
                (Some(name.unwrap_or(host)), said)
            }
            _ => (None, self.reply),
        }
    }
}

fn value<'p>(parameters: &'p [Parameter], keyword: &str) -> Option<&'p str> {
    parameters.iter().find(|parameter| parameter.keyword() == keyword).and_then(Parameter::value)
}

/// What xtext stands for (RFC 3461 §4); what is malformed stays as it is.
fn readable(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((octet, behind)) = rest.split_first() {
        let hex = behind.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) if *octet == b'+' => {
                octets.push(decoded);
                rest = &behind[2..];
            }
            _ => {
                octets.push(*octet);
                rest = behind;
            }
        }
    }
    String::from_utf8(octets).unwrap_or_else(|_| text.to_owned())
}

/// One line: what came from others cannot begin a new one.
fn line(text: &str) -> String {
    let plain: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    plain[..plain.floor_char_boundary(LINE_MAX)].trim().to_owned()
}

#[cfg(test)]
mod tests;
