//! What a server offers in its reply to EHLO (RFC 5321 §4.1.1.1).

use wasmail_mail::Parameter;

use super::RemoteReply;

/// The extensions of a server that we make use of. None after HELO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions {
    /// `SIZE` (RFC 1870).
    pub size: bool,
    /// The largest message it takes, in octets; none when it doesn't say, or says 0.
    pub size_max: Option<u64>,
    /// `PIPELINING` (RFC 2920).
    pub pipelining: bool,
    /// `8BITMIME` (RFC 6152).
    pub eight_bit_mime: bool,
    /// `CHUNKING` (RFC 3030).
    pub chunking: bool,
    /// `BINARYMIME` (RFC 3030).
    pub binary_mime: bool,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `STARTTLS` (RFC 3207).
    pub starttls: bool,
    /// `DSN` (RFC 3461).
    pub dsn: bool,
    /// `MT-PRIORITY` (RFC 6710).
    pub mt_priority: bool,
    /// `REQUIRETLS` (RFC 8689).
    pub require_tls: bool,
    /// `AUTH` with the mechanism PLAIN (RFC 4616).
    pub auth_plain: bool,
    /// `AUTH` with the mechanism LOGIN, which no standard knows.
    pub auth_login: bool,
}

impl Extensions {
    /// Reads the reply to EHLO, whose first line is a greeting.
    pub(super) fn read(reply: &RemoteReply) -> Self {
        let mut extensions = Self::default();
        for line in reply.lines().iter().skip(1) {
            let (keyword, argument) = line.split_once(' ').unwrap_or((line, ""));
            match keyword.to_ascii_uppercase().as_str() {
                "SIZE" => {
                    extensions.size = true;
                    extensions.size_max = argument.trim().parse().ok().filter(|max| *max > 0);
                }
                "PIPELINING" => extensions.pipelining = true,
                "8BITMIME" => extensions.eight_bit_mime = true,
                "CHUNKING" => extensions.chunking = true,
                "BINARYMIME" => extensions.binary_mime = true,
                "SMTPUTF8" => extensions.smtputf8 = true,
                "DSN" => extensions.dsn = true,
                "MT-PRIORITY" => extensions.mt_priority = true,
                "REQUIRETLS" => extensions.require_tls = true,
                "STARTTLS" => extensions.starttls = true,
                "AUTH" => extensions.read_mechanisms(argument),
                _ => {}
            }
        }
        // Binary content has no other way.
        extensions.binary_mime &= extensions.chunking;
        extensions
    }

    /// Whether a parameter of MAIL or RCPT that a sender gave us is for the next server, too.
    pub(super) fn pass_on(&self, parameter: &Parameter) -> bool {
        match parameter.keyword() {
            "RET" | "ENVID" | "NOTIFY" | "ORCPT" => self.dsn,
            "MT-PRIORITY" => self.mt_priority,
            // The others say how we are to take the message, or are made anew.
            _ => false,
        }
    }

    fn read_mechanisms(&mut self, list: &str) {
        for mechanism in list.split_ascii_whitespace() {
            match mechanism.to_ascii_uppercase().as_str() {
                "PLAIN" => self.auth_plain = true,
                "LOGIN" => self.auth_login = true,
                _ => {}
            }
        }
    }
}
