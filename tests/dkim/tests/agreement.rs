//! Our verifier and another's agree: what mail-auth signs passes in `host/authentication`, and no longer once it was changed.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use mail_auth::common::crypto::Ed25519Key;
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{Canonicalization, DkimSigner};
use wasmail_authentication::{Answer, Body, BoxFuture, Dns, Kind, Message, Record, Verdict, dkim};
use wasmail_mail::HeaderSection;

/// The pair of keys of RFC 8463 section A.2.
const SEED: &[u8] = b"\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
const PUBLIC: &[u8] = b"\xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a\x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68\xf7\x07\x51\x1a";
const RECORD: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

const HEADERS: [&str; 3] = [
    "From: joe@signer.example\r\n",
    "From:  Joe\t<joe@signer.example>\r\nTO: b@example.test\r\nSubject: folded\r\n\there  \r\nX: y\r\n",
    "Subject: one\r\nsubject:\r\n two\r\nFrom: a@signer.example\r\nTo: c@d.example,\r\n e@f.example\r\nSubject: \r\n",
];
// Not with lines of white space at the end, which this version of mail-auth hashes otherwise than the RFC.
const BODIES: [&str; 6] =
    ["", "\r\n", "\r\n\r\n\r\n", "hello", "hello  \tworld \t\r\n\r\n\r\n", "\r\n \tindented\r\n\r\n.\r\n\u{fc} \u{fc}\r\n\r\n"];

struct Key;

impl Dns for Key {
    fn ask<'a>(&'a self, name: &'a str, kind: Kind) -> BoxFuture<'a, Answer> {
        let known = name == "s._domainkey.signer.example" && kind == Kind::Txt;
        let found = known.then(|| Record::Txt(RECORD.as_bytes().to_vec())).into_iter().collect();
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

fn judged(header: &str, body: &str) -> Verdict {
    let mut section = HeaderSection::default();
    assert!(header.split_inclusive('\n').all(|line| section.push_line(line.as_bytes())), "{header}");
    let body = Memory(body.as_bytes().to_vec());
    let mut judging = pin!(dkim(&Key, Message { header: &section, body: &body }, 4_000_000_000));
    for _ in 0..1_000 {
        if let Poll::Ready(told) = judging.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return told.expect("memory can be read")[0].verdict;
        }
    }
    panic!("it waits for ever");
}

#[test]
fn what_another_signs_passes_here_and_not_once_it_was_changed() {
    for header in HEADERS {
        for body in BODIES {
            for of_header in [Canonicalization::Simple, Canonicalization::Relaxed] {
                for of_body in [Canonicalization::Simple, Canonicalization::Relaxed] {
                    let key = Ed25519Key::from_seed_and_public_key(SEED, PUBLIC).expect("the RFC's keys are keys");
                    let signer = DkimSigner::from_key(key).domain("signer.example").selector("s");
                    let signer = signer.headers(["From", "To", "Subject"]).header_canonicalization(of_header);
                    let signer = signer.body_canonicalization(of_body);
                    let signature = signer.sign(format!("{header}\r\n{body}").as_bytes()).expect("it can be signed");
                    let signed = format!("{}{header}", signature.to_header());
                    let what = format!("{of_header:?}/{of_body:?} {header:?} {body:?}");
                    assert_eq!(judged(&signed, body), Verdict::Pass, "{what}");
                    assert_eq!(judged(&signed, &format!("{body}x")), Verdict::Fail, "{what}");
                    assert_eq!(judged(&signed.replace("From:", "From: x"), body), Verdict::Fail, "{what}");
                }
            }
        }
    }
}
