use data_encoding::BASE64;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::*;
use crate::dns::Kind;
use crate::fixture::{Memory, Zone, block_on};

/// The time in these stories, seconds since 1970.
const NOW: u64 = 1_000_000;
const HEADER: &str = "From: Joe <joe@a.example>\r\nTo: b@b.example\r\nSubject: one\r\nSubject:  two \r\n";
const BODY: &str = "Hello  there \r\n\r\nJoe\r\n\r\n";

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 octets are a seed")
}

fn record() -> String {
    format!("v=DKIM1; k=ed25519; p={}", BASE64.encode(pair().public_key().as_ref()))
}

fn section(text: &str) -> HeaderSection {
    let mut header = HeaderSection::default();
    assert!(text.split_inclusive('\n').all(|line| header.push_line(line.as_bytes())), "{text}");
    header
}

/// A header section with a signature on top, made by the same rules that are tested, which the vectors of the RFCs keep honest.
fn signed(tags: &str, header: &str, body: &str) -> String {
    let tags = format!("v=1; a=ed25519-sha256; d=a.example; s=x; {tags}");
    let draft = format!("DKIM-Signature: {tags}; bh=AA==; b=AA==\r\n");
    let section_of_draft = section(&(draft + header));
    let parsed = Tags::parse(section_of_draft.fields()[0].raw_value()).unwrap();
    let signature = Signature::of_dkim(&parsed).unwrap();
    let mut hash = BodyHash::new(signature.of_body, signature.body_length);
    hash.push(body.as_bytes());
    let body_hash = BASE64.encode(hash.finish().digest.as_ref());
    let field = |b: &str| format!("DKIM-Signature: {tags}; bh={body_hash};\r\n b={b}\r\n");
    let whole = section(&(field("") + header));
    let octets = signed_fields(&signature, &whole, &whole.fields()[0]);
    let digest = ring::digest::digest(&ring::digest::SHA256, &octets);
    field(&BASE64.encode(pair().sign(digest.as_ref()).as_ref())) + header
}

fn judge(zone: &Zone, header: &str, body: &str) -> Vec<Dkim> {
    let (header, body) = (section(header), Memory(body.as_bytes().to_vec()));
    block_on(dkim(zone, Message { header: &header, body: &body }, NOW)).expect("memory can be read")
}

fn zone() -> Zone {
    Zone::default().with_text("x._domainkey.a.example", &record())
}

fn verdict(header: &str, body: &str) -> (Verdict, Option<&'static str>) {
    let told = judge(&zone(), header, body);
    (told[0].verdict, told[0].problem)
}

const PASS: (Verdict, Option<&str>) = (Verdict::Pass, None);
const OTHER_HEADER: (Verdict, Option<&str>) = (Verdict::Fail, Some("the signature is not of this header"));
const OTHER_BODY: (Verdict, Option<&str>) = (Verdict::Fail, Some("the body is not the one that was signed"));

#[test]
fn a_message_that_nobody_touched_passes_and_is_told_in_full() {
    for form in ["simple/simple", "simple", "relaxed", "relaxed/relaxed"] {
        let header = signed(&format!("c={form}; h=from:subject:subject:subject; i=joe@sub.a.example"), HEADER, BODY);
        let told = &judge(&zone(), &header, BODY)[0];
        assert_eq!((told.verdict, told.problem), PASS, "{form}");
        assert_eq!((told.domain.as_deref(), told.selector.as_deref()), (Some("a.example"), Some("x")));
        assert_eq!((told.identity.as_deref(), told.algorithm), (Some("joe@sub.a.example"), Some("ed25519-sha256")));
        assert_eq!((told.key_bits, told.testing), (Some(256), false));
        assert_eq!(told.signature.as_ref().map(String::len), Some(8));
    }
}

#[test]
fn what_was_signed_may_not_change_and_white_space_only_where_it_is_relaxed() {
    let simple = signed("c=simple/simple; h=from:subject:subject", HEADER, BODY);
    let relaxed = signed("c=relaxed/relaxed; h=from:subject:subject", HEADER, BODY);
    for header in [&simple, &relaxed] {
        assert_eq!(verdict(&header.replace("Joe", "Eve"), BODY), OTHER_HEADER);
        assert_eq!(verdict(&header.replace("Subject: one\r\n", ""), BODY), OTHER_HEADER);
        assert_eq!(verdict(&header.replace("s=x", "s= x"), BODY), OTHER_HEADER, "its own field is signed, too");
        assert_eq!(verdict(header, "Hello  there \r\n\r\nEve\r\n"), OTHER_BODY);
        assert_eq!(verdict(&header.replace("To: b", "To: c"), BODY), PASS, "To is not signed");
        assert_eq!(verdict(header, "Hello  there \r\n\r\nJoe\r\n\r\n\r\n"), PASS, "empty lines at the end are free");
    }
    let respaced = "Hello there\r\n\r\nJoe \r\n";
    assert_eq!(verdict(&relaxed.replace("Subject:  two ", "SUBJECT: \r\n two"), respaced), PASS);
    assert_eq!(verdict(&simple.replace("Subject:  two ", "Subject: two"), BODY), OTHER_HEADER);
    assert_eq!(verdict(&simple, respaced), OTHER_BODY);
}

#[test]
fn a_field_that_is_signed_as_absent_may_not_be_added() {
    let header = signed("c=relaxed; h=from:from:reply-to", HEADER, BODY);
    assert_eq!(verdict(&header, BODY), PASS);
    assert_eq!(verdict(&(header.clone() + "Reply-To: eve@e.example\r\n"), BODY), OTHER_HEADER);
    assert_eq!(verdict(&header.replace("To: b", "From: eve@e.example\r\nTo: b"), BODY), OTHER_HEADER);
}

#[test]
fn what_stands_behind_the_signed_length_is_not_signed() {
    let header = signed("c=relaxed/simple; h=from; l=16", HEADER, "Hello  there \r\n");
    assert_eq!(verdict(&header, "Hello  there \r\n"), (Verdict::Neutral, Some("l is longer than the body")));
    let header = signed("c=relaxed/simple; h=from; l=15", HEADER, "Hello  there \r\n");
    assert_eq!(verdict(&header, "Hello  there \r\n"), PASS);
    assert_eq!(verdict(&header, "Hello  there \r\nbuy"), (Verdict::Policy, Some("not all of the body is signed")));
}

#[test]
fn keys_and_times_decide_too() {
    let header = signed("h=from; i=joe@sub.a.example", HEADER, BODY);
    let with = |record: &str| {
        let zone = Zone::default().with_text("x._domainkey.a.example", record);
        let told = judge(&zone, &header, BODY).remove(0);
        (told.verdict, told.problem)
    };
    assert_eq!(with(&(record() + "; t=y")), PASS);
    assert_eq!(with(&(record() + "; t=s")), (Verdict::PermError, Some("the key is for its own domain only")));
    assert_eq!(with("v=DKIM1; p="), (Verdict::PermError, Some("the key is revoked")));
    assert_eq!(with("hello"), (Verdict::PermError, Some("it is no list of tags")));
    let mut silent = Zone::default();
    let nothing = judge(&silent, &header, BODY).remove(0);
    assert_eq!((nothing.verdict, nothing.problem), (Verdict::PermError, Some("there is no key")));
    silent.silent("x._domainkey.a.example", Kind::Txt);
    assert_eq!(judge(&silent, &header, BODY)[0].verdict, Verdict::TempError);
    let expired = signed("h=from; t=1; x=1000000", HEADER, BODY);
    assert_eq!(verdict(&expired, BODY), (Verdict::Policy, Some("it has expired")));
    assert_eq!(verdict(&signed("h=from; t=1; x=1000001", HEADER, BODY), BODY), PASS);
}

#[test]
fn several_signatures_are_judged_each_and_at_most_ten() {
    assert_eq!(judge(&zone(), HEADER, BODY), []);
    let one = signed("h=from", HEADER, BODY);
    let own = one.split_once("From:").unwrap().0;
    let old = "DKIM-Signature: v=1; a=rsa-sha1; d=a.example; s=x; h=from; bh=AA==; b=AA==\r\n";
    let told = judge(&zone(), &format!("{own}{old}DKIM-Signature: hello\r\n{HEADER}"), BODY);
    let verdicts: Vec<_> = told.iter().map(|told| told.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Policy, Verdict::Neutral]);
    assert_eq!(judge(&zone(), &(own.repeat(50) + HEADER), BODY).len(), SIGNATURES_MAX);
}
