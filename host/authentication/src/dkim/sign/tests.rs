use super::*;
use crate::Verdict;
use crate::dkim::{Dkim, dkim};
use crate::fixture::{Memory, Zone, block_on};

/// The time in these stories, seconds since 1970.
const NOW: u64 = 1_795_000_000;
/// A key that signs nothing but these tests, made by `openssl genpkey`.
const RSA: &[u8] = include_bytes!("rsa2048.pkcs8");
/// What `openssl pkey -pubout` says its public half is.
const RSA_PUBLIC: &str = include_str!("rsa2048.public");
const HEADER: &str =
    "Received: by us\r\nFrom: Joe\r\n <joe@a.example>\r\nTo: b@b.example\r\nSubject: one\r\nX-Other: 1\r\n";
const BODY: &str = "Hello  there \r\n\r\nJoe\r\n\r\n";

fn rsa(domain: &str, selector: &str) -> Arc<SigningKey> {
    Arc::new(SigningKey::new(domain, selector, PrivateKey::Pkcs8(RSA)).expect("it is a key"))
}

fn ed25519(domain: &str, selector: &str) -> Arc<SigningKey> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("there is randomness");
    Arc::new(SigningKey::new(domain, selector, PrivateKey::Pkcs8(pkcs8.as_ref())).expect("it is a key"))
}

fn section(text: &str) -> HeaderSection {
    let mut header = HeaderSection::default();
    assert!(text.split_inclusive("\r\n").all(|line| header.push_line(line.as_bytes())), "{text}");
    header
}

fn signed(signer: &Signer, header: &str, body: &str) -> String {
    let (section, body) = (section(header), Memory(body.as_bytes().to_vec()));
    let fields = block_on(signer.sign(Message { header: &section, body: &body }, NOW)).expect("memory can be read");
    String::from_utf8(fields).expect("signatures are ASCII")
}

fn judged(signer: &Signer, message: &str, body: &str) -> Vec<Dkim> {
    let records: Vec<(String, String)> = signer.0.iter().map(|key| (key.name(), key.record())).collect();
    let zone = records.iter().fold(Zone::default(), |zone, (name, record)| zone.with_text(name, record));
    let (section, body) = (section(message), Memory(body.as_bytes().to_vec()));
    block_on(dkim(&zone, Message { header: &section, body: &body }, NOW)).expect("memory can be read")
}

fn verdicts(signer: &Signer, message: &str, body: &str) -> Vec<Verdict> {
    judged(signer, message, body).into_iter().map(|told| told.verdict).collect()
}

#[test]
fn every_key_of_the_domain_signs_and_each_signature_passes() {
    let signer = Signer::new(vec![rsa("A.Example.", "s1"), ed25519("a.example", "s2.x"), rsa("b.example", "s1")]);
    let fields = signed(&signer, HEADER, BODY);
    let told = judged(&signer, &format!("{fields}{HEADER}"), BODY);
    let brief: Vec<_> = told.iter().map(|told| (told.verdict, told.algorithm, told.selector.as_deref())).collect();
    let expected =
        [(Verdict::Pass, Some("rsa-sha256"), Some("s1")), (Verdict::Pass, Some("ed25519-sha256"), Some("s2.x"))];
    assert_eq!(brief, expected, "{fields}");
    assert!(fields.lines().all(|line| line.len() <= FOLD_AT), "{fields}");
}

#[test]
fn nothing_that_is_shown_can_be_changed_or_added() {
    let signer = Signer::new(vec![rsa("a.example", "s")]);
    let message = signed(&signer, HEADER, BODY) + HEADER;
    for added in ["Subject: two\r\n", "From: eve@a.example\r\n", "Cc: c@c.example\r\n", "Content-Type: text/html\r\n"] {
        assert_eq!(verdicts(&signer, &format!("{added}{message}"), BODY), [Verdict::Fail], "{added}");
        assert_eq!(verdicts(&signer, &format!("{message}{added}"), BODY), [Verdict::Fail], "{added}");
    }
    assert_eq!(verdicts(&signer, &message.replace("one", "two"), BODY), [Verdict::Fail]);
    assert_eq!(verdicts(&signer, &message, &BODY.replace("there", "here")), [Verdict::Fail]);
    // What relays do is forgiven.
    let relayed = format!("Received: by others\r\n{}", message.replace("Subject: one", "SUBJECT:  one "));
    assert_eq!(
        verdicts(&signer, &relayed.replace("X-Other: 1", "X-Other: 2"), "Hello there\r\n\r\nJoe\r\n"),
        [Verdict::Pass]
    );
}

#[test]
fn a_message_without_a_body_or_with_many_fields_is_signed() {
    let signer = Signer::new(vec![ed25519("a.example", "s")]);
    let many = "Subject: x\r\n".repeat(300) + HEADER;
    for (header, body) in [(HEADER, ""), (HEADER, "\r\n\r\n"), (many.as_str(), "x")] {
        let fields = signed(&signer, header, body);
        assert_eq!(verdicts(&signer, &(fields + header), body), [Verdict::Pass], "{body:?}");
    }
}

#[test]
fn the_nearest_domain_with_keys_signs_and_nobody_else() {
    let names = ["example", "a.example", "b.a.example"];
    let signer = Signer::new(names.iter().map(|name| ed25519(name, "s")).collect());
    for (author, domain) in [
        ("x@a.example", Some("a.example")),
        ("x@c.a.example", Some("a.example")),
        ("x@c.b.a.example", Some("b.a.example")),
        ("x@xa.example", Some("example")),
        ("x@example.org", None),
        ("nobody", None),
        ("x@a.example, y@b.example", None),
    ] {
        let header = format!("From: {author}\r\n");
        let told = judged(&signer, &(signed(&signer, &header, BODY) + &header), BODY);
        let domains: Vec<_> = told.iter().filter_map(|told| told.domain.as_deref()).collect();
        assert_eq!(domains, domain.into_iter().collect::<Vec<_>>(), "{author}");
    }
}

#[test]
fn the_record_is_what_openssl_says() {
    let key = rsa("b\u{fc}cher.example", "s");
    assert_eq!(key.name(), "s._domainkey.xn--bcher-kva.example");
    assert_eq!(key.record(), format!("v=DKIM1; k=rsa; p={}", RSA_PUBLIC.trim()));
}

#[test]
fn what_cannot_sign_is_named() {
    let with = |domain: &str, selector: &str| SigningKey::new(domain, selector, PrivateKey::Pkcs8(RSA)).err();
    assert_eq!(with("a..example", "s"), Some(CannotSign::Domain));
    assert_eq!(with("a.example", "s s"), Some(CannotSign::Selector));
    assert_eq!(with("a.example", &"s.".repeat(125)), Some(CannotSign::Selector));
    assert_eq!(SigningKey::new("a.example", "s", PrivateKey::Pkcs1(RSA)).err(), Some(CannotSign::Key));
    assert_eq!(SigningKey::new("a.example", "s", PrivateKey::Pkcs8(b"x")).err(), Some(CannotSign::Key));
}
