//! Reads what was delivered.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::eventually;

/// What servers put on top of a message (RFC 5321 §4.4, RFC 8601, RFC 9228), and the plugin `record-envelope`.
const TRACE: [&str; 7] = [
    "return-path",
    "delivered-to",
    "x-original-to",
    "received",
    "authentication-results",
    "x-envelope-from",
    "x-envelope-to",
];

/// A message in a Maildir.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    pub(crate) path: PathBuf,
    /// As it lies there.
    pub(crate) raw: Vec<u8>,
}

impl Delivered {
    /// What the client sent: without the trace fields on top, with CRLF.
    pub(crate) fn content(&self) -> Vec<u8> {
        without_trace(&crlf(&self.raw)).1.to_vec()
    }

    /// The trace fields on top, as text.
    pub(crate) fn trace(&self) -> String {
        String::from_utf8_lossy(without_trace(&crlf(&self.raw)).0).into_owned()
    }

    /// The value of the first field of this name, unless it is folded.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.raw).into_owned();
        text.lines().take_while(|line| !line.is_empty()).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// Everything in `new` and `cur` of the Maildirs at and below `root`, by path. What is in `tmp` isn't delivered.
pub(crate) fn messages(root: &Path) -> Vec<Delivered> {
    let mut paths = paths(root);
    paths.sort();
    // Nobody takes mail away here, but a server may put a file of its own in place again.
    paths.into_iter().filter_map(|path| Some(Delivered { raw: fs::read(&path).ok()?, path })).collect()
}

/// The Maildir of an address under a root with one for each recipient.
pub(crate) fn of(root: &Path, address: &str) -> PathBuf {
    let (local, domain) = address.rsplit_once('@').expect("an address has a domain");
    root.join(domain).join(local)
}

/// Waits until `count` messages are there, and returns them. More of them are a failure.
pub(crate) fn wait_for(root: &Path, count: usize, limit: Duration) -> Vec<Delivered> {
    let what = format!("{count} messages in {}", root.display());
    eventually(&what, limit, || (self::count(root) >= count).then_some(()));
    let found = messages(root);
    assert_eq!(found.len(), count, "{what}: {:?}", found.iter().map(|mail| &mail.path).collect::<Vec<_>>());
    found
}

/// How many messages there are, without reading them.
pub(crate) fn count(root: &Path) -> usize {
    paths(root).len()
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let deliveries = folder.ends_with("new") || folder.ends_with("cur");
    let below = |path: PathBuf| match (path.is_dir(), deliveries) {
        (true, _) if path.ends_with("tmp") => Vec::new(),
        (true, _) => paths(&path),
        (false, true) => vec![path],
        (false, false) => Vec::new(),
    };
    entries.flat_map(below).collect()
}

/// With CRLF at the end of every line, whichever the lines had.
pub(crate) fn crlf(raw: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(raw.len() + raw.len() / 32);
    for line in raw.split_inclusive(|octet| *octet == b'\n') {
        let end = line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        octets.extend_from_slice(end.unwrap_or(line));
        octets.extend_from_slice(if end.is_some() { b"\r\n" } else { b"" });
    }
    octets
}

/// Parts a message before the first field that is not a trace field.
pub(crate) fn without_trace(message: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        let folded = line.starts_with(b" ") || line.starts_with(b"\t");
        let name = line.split(|octet| *octet == b':').next().unwrap_or_default().to_ascii_lowercase();
        let continues = if folded { end > 0 } else { TRACE.iter().any(|trace| trace.as_bytes() == name) };
        if !continues {
            break;
        }
        end += line.len();
    }
    message.split_at(end)
}

/// Fails, and says where, unless the message is what was sent, octet by octet; line ends count as CRLF.
pub(crate) fn assert_same(delivered: &Delivered, sent: &[u8]) {
    let (found, sent) = (delivered.content(), crlf(sent));
    let at = found.iter().zip(&sent).take_while(|(left, right)| left == right).count();
    let near = |octets: &[u8]| {
        let from = at.saturating_sub(60).min(octets.len());
        String::from_utf8_lossy(&octets[from..octets.len().min(at + 60)]).into_owned()
    };
    let place = delivered.path.display();
    assert!(
        found == sent,
        "{place}: differs from octet {at} on ({} octets, sent {})\nfound: {:?}\nsent:  {:?}",
        found.len(),
        sent.len(),
        near(&found),
        near(&sent)
    );
}
