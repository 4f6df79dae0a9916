//! Names of directories and files, safe whatever the address is.

use std::fmt::Write;
use std::time::UNIX_EPOCH;

use wasmail_mail::ForwardPath;
use wasmail_spool::SpoolId;

/// Longest name that a file system takes, in octets.
const NAME_MAX: usize = 255;

/// The directories of a recipient: domain and local part, in lower case. None when one would be too long a name.
///
/// Here we are the owner of the addresses and say that case and quotes make no difference (RFC 5321 §2.4).
pub(super) fn of_recipient(path: &ForwardPath, hostname: &str) -> Option<(String, String)> {
    let (local_part, domain) = match path.mailbox() {
        Some(mailbox) => (unquoted(mailbox.local_part()), mailbox.domain().as_str()),
        None => ("postmaster".to_owned(), hostname),
    };
    Some((safe(domain)?, safe(&local_part)?))
}

fn unquoted(local_part: &str) -> String {
    let Some(inner) = local_part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return local_part.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

/// Lower case, and everything but letters, digits and `+-=_.` as `%XX`; a dot in front too, so that `..` is no name
/// and nothing is hidden.
fn safe(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() || "+-=_".contains(c) || (c == '.' && !name.is_empty()) {
            name.push(c);
        } else {
            escape(c, &mut name);
        }
    }
    (!name.is_empty() && name.len() <= NAME_MAX).then_some(name)
}

fn escape(c: char, name: &mut String) {
    for octet in c.encode_utf8(&mut [0; 4]).bytes() {
        // Writing into a string does not fail.
        let _ = write!(name, "%{octet:02X}");
    }
}

/// A Maildir's file name: seconds, what makes it unique, host. The same message and recipient always get the same one.
pub(super) fn of_file(id: SpoolId, position: usize, hostname: &str) -> String {
    let seconds = id.time().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // What https://cr.yp.to/proto/maildir.html asks for.
    let host = hostname.replace('/', "\\057").replace(':', "\\072");
    format!("{seconds}.Q{id}R{position}.{host}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dirs(path: &str) -> Option<(String, String)> {
        of_recipient(&ForwardPath::parse(path).unwrap(), "mx.example")
    }

    fn pair(domain: &str, local_part: &str) -> Option<(String, String)> {
        Some((domain.into(), local_part.into()))
    }

    #[test]
    fn ordinary_addresses_are_their_own_names() {
        assert_eq!(dirs("<Bob+tag@Example.ORG>"), pair("example.org", "bob+tag"));
        assert_eq!(dirs("<\"bob\"@example.org>"), pair("example.org", "bob"));
        assert_eq!(dirs("<J\u{dc}rgen@b\u{fc}cher.example>"), pair("b\u{fc}cher.example", "j\u{fc}rgen"));
        assert_eq!(dirs("<Postmaster>"), pair("mx.example", "postmaster"));
    }

    #[test]
    fn hostile_addresses_stay_in_their_place() {
        assert_eq!(dirs("<\"..\"@example.org>"), pair("example.org", "%2E."));
        assert_eq!(dirs("<\"../../a\"@example.org>"), pair("example.org", "%2E.%2F..%2Fa"));
        assert_eq!(dirs("<\".\"@[192.0.2.1]>"), pair("%5B192.0.2.1%5D", "%2E"));
        assert_eq!(dirs("<a/b@example.org>"), pair("example.org", "a%2Fb"));
        assert_eq!(dirs("<\"\"@example.org>"), None);
    }

    proptest! {
        #[test]
        fn any_text_makes_one_plain_name_or_none(text in ".{0,80}") {
            if let Some(name) = safe(&text) {
                prop_assert!(!name.contains(['/', '\0']) && name != "." && name != ".." && name.len() <= NAME_MAX);
            }
        }

        #[test]
        fn different_addresses_get_different_names(one in "[a-z%/.]{1,6}", other in "[a-z%/.]{1,6}") {
            prop_assert_eq!(safe(&one) == safe(&other), one == other);
        }
    }
}
