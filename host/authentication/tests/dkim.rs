//! Messages that others have signed (`dkim/`): the example of RFC 8463 appendix A.3, with a signature of each algorithm, and one by the
//! key of RFC 6376 appendix C in the simple form. A file begins with the records of the DNS, then comes the message, whose lines
//! end in LF. They come from the crate mail-auth, under its licence.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmail_authentication::{Answer, Body, BoxFuture, Dkim, Dns, Kind, Message, Record, Verdict, dkim};
use wasmail_mail::HeaderSection;

/// Soon after the messages were signed.
const NOW: u64 = 1_667_843_700;

struct Zone(HashMap<String, String>);

impl Dns for Zone {
    fn ask<'a>(&'a self, name: &'a str, kind: Kind) -> BoxFuture<'a, Answer> {
        let known = self.0.get(name).filter(|_| kind == Kind::Txt);
        let found = known.map(|text| Record::Txt(text.as_bytes().to_vec())).into_iter().collect();
        Box::pin(async { Ok(found) })
    }
}

struct Memory(Vec<u8>);

impl Body for Memory {
    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let octets = rest[..rest.len().min(len)].to_vec();
        Box::pin(async { Ok(octets) })
    }
}

fn judge(vector: &str) -> Vec<Dkim> {
    let vector = vector.replace("\r\n", "\n");
    let (records, message) = vector.split_once("\n\n").expect("records, then the message");
    let zone =
        Zone(records.lines().filter_map(|line| line.split_once(' ')).map(|(n, t)| (n.into(), t.into())).collect());
    let message = message.replace('\n', "\r\n");
    let (fields, body) = message.split_once("\r\n\r\n").expect("a header section, then the body");
    let mut header = HeaderSection::default();
    assert!(fields.split("\r\n").all(|line| header.push_line(format!("{line}\r\n").as_bytes())));
    let body = Memory(body.as_bytes().to_vec());
    let mut judging = pin!(dkim(&zone, Message { header: &header, body: &body }, NOW));
    for _ in 0..1_000 {
        if let Poll::Ready(told) = judging.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return told.expect("memory can be read");
        }
    }
    panic!("it waits for ever");
}

#[test]
fn what_others_have_signed_passes_and_not_when_it_was_changed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dkim");
    let mut algorithms = Vec::new();
    for entry in folder.read_dir().expect("the vectors are there") {
        let path = entry.expect("it can be listed").path();
        if path.extension().is_none_or(|ending| ending != "txt") {
            continue;
        }
        let vector = std::fs::read_to_string(&path).expect("it can be read");
        let told = judge(&vector);
        assert!(!told.is_empty() && told.iter().all(|told| told.verdict == Verdict::Pass), "{path:?}: {told:#?}");
        algorithms.extend(told.iter().filter_map(|told| told.algorithm));
        let changed = judge(&vector.replace("\nFrom: ", "\nFrom: x"));
        assert!(changed.iter().all(|told| told.verdict == Verdict::Fail), "{path:?}: {changed:#?}");
        let changed = judge(&format!("{vector}x"));
        assert!(changed.iter().all(|told| told.verdict == Verdict::Fail), "{path:?}: {changed:#?}");
    }
    assert!(["rsa-sha256", "ed25519-sha256"].iter().all(|known| algorithms.contains(known)), "{algorithms:?}");
}
