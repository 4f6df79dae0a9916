//! What is answered, and what is not.

use serde::{Deserialize, Serialize};
use wasmail_guest::{Message, inject::NewMessage};

use crate::Away;

/// Octets of a key (see `wit/capabilities.wit`); what is longer is not remembered by its whole length.
const KEY_MAX: usize = 512;
/// Addresses of To and Cc that are looked at, and characters of a subject.
const ADDRESSES_MAX: usize = 100;
const SUBJECT_MAX: usize = 200;
/// Octets of an encoded word (RFC 2047 section 2) that hold text.
const WORD_MAX: usize = 60;

/// What the answer needs of the message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Received {
    subject: String,
    message_id: Option<String>,
    addresses: Vec<String>,
}

impl Received {
    pub(crate) fn of(m: &Message) -> Self {
        let named = ["To", "Cc"].into_iter().flat_map(|field| m.addresses_of(field));
        let addresses = named.filter_map(|address| address.address).take(ADDRESSES_MAX).collect();
        let subject = m.decoded("Subject").unwrap_or_default().chars().take(SUBJECT_MAX).collect();
        Self { subject, message_id: m.message_ids_of("Message-ID").into_iter().next(), addresses }
    }

    /// Whether To or Cc name such an address.
    pub(crate) fn names(&self, is_own: impl Fn(&str) -> bool) -> bool {
        self.addresses.iter().any(|address| is_own(address))
    }
}

/// Why a message must not be answered by a machine, if so (RFC 3834 section 2, RFC 5230 section 4.6).
pub(crate) fn reason_not_to(sender: &str, m: &Message) -> Option<&'static str> {
    if sender.is_empty() {
        return Some("null sender");
    }
    let local = sender.rsplit_once('@').map_or(sender, |(local, _)| local).to_ascii_lowercase();
    let is_machine = ["mailer-daemon", "listserv", "majordomo", "noreply", "no-reply"].contains(&local.as_str());
    if is_machine || local.starts_with("owner-") || local.ends_with("-request") {
        return Some("sender is a machine");
    }
    let submitted = m.value("Auto-Submitted").unwrap_or_default().to_ascii_lowercase();
    if !submitted.is_empty() && submitted != "no" {
        return Some("automatic");
    }
    let list =
        ["List-Id", "List-Help", "List-Subscribe", "List-Unsubscribe", "List-Post", "List-Owner", "List-Archive"];
    let precedence = m.value("Precedence").unwrap_or_default().to_ascii_lowercase();
    if list.iter().any(|field| m.value(field).is_some()) || ["bulk", "list", "junk"].contains(&precedence.as_str()) {
        return Some("from a list");
    }
    None
}

/// What is remembered of an answer. Case means nothing; a space is in no address.
pub(crate) fn key(own: &str, sender: &str) -> String {
    let mut key = format!("answered/{} {}", own.to_lowercase(), sender.to_lowercase());
    let end = (0..=KEY_MAX.min(key.len())).rev().find(|end| key.is_char_boundary(*end)).unwrap_or(0);
    key.truncate(end);
    key
}

/// The answer.
pub(crate) fn message(away: &Away, own: &str, sender: &str, received: &Received) -> NewMessage {
    let subject = away.subject.clone().unwrap_or_else(|| format!("Auto: {}", received.subject));
    let threads = received.message_id.as_ref().map(|id| format!("In-Reply-To: <{id}>\nReferences: <{id}>\n"));
    let own = away.from.clone().unwrap_or_else(|| format!("<{own}>"));
    let content = format!(
        "From: {own}\nTo: <{sender}>\nSubject: {}\n{}Auto-Submitted: auto-replied\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{}\n",
        encoded(&subject),
        threads.unwrap_or_default(),
        away.text.trim_end().replace("\r\n", "\n")
    );
    NewMessage { reverse_path: String::new(), recipients: vec![sender.to_owned()], content: content.into_bytes() }
}

/// A text as it may stand in a header field: as it is, or in encoded words (RFC 2047), on a line each.
fn encoded(text: &str) -> String {
    if text.bytes().all(|octet| (b' '..=b'~').contains(&octet)) && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for character in text.chars() {
        let mut octets = [0; 4];
        let octets = character.encode_utf8(&mut octets).bytes();
        let shown: String =
            octets
                .map(|octet| {
                    if octet.is_ascii_alphanumeric() { char::from(octet).to_string() } else { format!("={octet:02X}") }
                })
                .collect();
        match words.last_mut() {
            Some(word) if word.len() + shown.len() <= WORD_MAX => word.push_str(&shown),
            _ => words.push(shown),
        }
    }
    words.iter().map(|word| format!("=?utf-8?q?{word}?=")).collect::<Vec<_>>().join("\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_encoded_where_it_must_be() {
        assert_eq!(encoded("Auto: hello"), "Auto: hello");
        assert_eq!(encoded("Grüße"), "=?utf-8?q?Gr=C3=BC=C3=9Fe?=");
        assert_eq!(encoded("a\r\nBcc: all"), "=?utf-8?q?a=0D=0ABcc=3A=20all?=");
        let long = encoded(&"ü".repeat(100));
        assert!(long.lines().all(|line| line.len() <= 76) && long.lines().count() == 10, "{long}");
    }
}
