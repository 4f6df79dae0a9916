use super::*;
use wasmail_guest::{Failure, Verdict, rt, tcp};

const MAIL: &str = "From: a@example.org\nSubject: hello\n\nhello\n";

fn plugin(json: &str) -> Clamd {
    rt::make(json).unwrap()
}

fn judged(json: &str, mail: &str) -> Outcome {
    plugin(json).data_post(&Connection::example(), &Transaction::example("a@example.org"), &Message::example(mail))
}

fn text(outcome: &Outcome) -> String {
    match &outcome.verdict {
        Verdict::Deny(Some(reply)) | Verdict::DenySoft(Some(reply)) => reply.lines.join("\n"),
        other => panic!("{other:?}"),
    }
}

/// A clamd that says this once it has heard the end of the stream.
fn clamd(says: &'static str) {
    tcp::pretend(move |_, sent| Ok(if sent.ends_with(b"\0\0\0\0") { says.as_bytes().to_vec() } else { Vec::new() }));
}

#[test]
fn clamd_hears_the_message_in_chunks_as_mail() {
    tcp::pretend(|endpoint, sent| {
        assert_eq!(endpoint, "127.0.0.1:3310");
        let whole = b"zINSTREAM\0\0\0\0\x25Received: by wasmail's plugin clamd\r\n\0\0\0\x2eFrom: a@example.org\r\nSubject: hello\r\n\r\nhello\r\n\0\0\0\0";
        assert!(whole.starts_with(sent), "{}", String::from_utf8_lossy(sent));
        Ok(if sent.len() == whole.len() { b"stream: OK\0".to_vec() } else { Vec::new() })
    });
    assert_eq!(judged("{}", MAIL), Outcome::next().pass(Scope::Transaction, "clean"));
}

#[test]
fn an_infected_message_is_refused_with_the_name_or_without() {
    clamd("stream: Eicar-Signature FOUND\0");
    let outcome = judged("{}", MAIL);
    let expected = Outcome::deny("Message is infected with Eicar-Signature")
        .with_detail(7, 1)
        .fail(Scope::Transaction, "Eicar-Signature")
        .set_note(Scope::Transaction, "/clamd/virus", "Eicar-Signature");
    assert_eq!(outcome, expected);
    assert_eq!(text(&judged(r#"{"text": "We do not want this"}"#, MAIL)), "We do not want this");
}

#[test]
fn some_names_are_recorded_only() {
    clamd("stream: Heuristics.Phishing.Email.SpoofedDomain FOUND\0");
    let outcome = judged("{}", MAIL);
    assert!(outcome.is_next());
    assert_ne!(outcome, Outcome::next());
    assert!(!judged(r#"{"record": []}"#, MAIL).is_next());
    clamd("stream: Junk.UNOFFICIAL FOUND\0");
    assert!(judged(r#"{"record": ["*.unofficial"]}"#, MAIL).is_next());
}

#[test]
fn the_next_clamd_is_asked_when_one_does_not_know() {
    tcp::pretend(|endpoint, sent| match endpoint {
        "dead:1" => Err(Failure::Unavailable("connection refused".to_owned())),
        "slow:1" if sent.is_empty() => Ok(Vec::new()),
        "slow:1" => Err(Failure::TimedOut),
        "odd:1" => Ok(b"UNKNOWN COMMAND\0".to_vec()),
        "mute:1" => Ok(Vec::new()),
        _ => Ok(b"stream: OK\0".to_vec()),
    });
    let expected = Outcome::next()
        .pass(Scope::Transaction, "clean")
        .err(Scope::Transaction, "dead:1: connection refused")
        .err(Scope::Transaction, "slow:1: no answer in time")
        .err(Scope::Transaction, "odd:1: it says UNKNOWN COMMAND")
        .err(Scope::Transaction, "mute:1: it hung up without an answer");
    assert_eq!(judged(r#"{"endpoints": ["dead:1", "slow:1", "odd:1", "mute:1", "good:1"]}"#, MAIL), expected);
}

#[test]
fn what_nobody_can_scan_waits_or_passes() {
    tcp::pretend(|_, _| Err(Failure::NotGranted));
    let outcome = judged("{}", MAIL);
    assert!(text(&outcome).contains("try again later"));
    let why = "127.0.0.1:3310: the grant tcp is missing";
    assert_eq!(judged(r#"{"on_error": "accept"}"#, MAIL), Outcome::next().err(Scope::Transaction, why));
}

#[test]
fn a_large_message_is_not_sent_or_not_taken() {
    tcp::pretend(|_, _| panic!("it is not asked"));
    let outcome = judged(r#"{"max_size": 45}"#, MAIL);
    assert_eq!(outcome, Outcome::next().skip(Scope::Transaction, "larger than max_size"));
    let refused = judged(r#"{"max_size": 45, "on_too_large": "deny"}"#, MAIL);
    assert!(text(&refused).contains("too large"));
    clamd("stream: OK\0");
    assert_eq!(judged(r#"{"max_size": 46}"#, MAIL), Outcome::next().pass(Scope::Transaction, "clean"));
    // Clamd hangs up when it has enough, and has said why.
    tcp::pretend(|_, sent| if sent.len() > 60 { Err(Failure::TimedOut) } else { Ok(Vec::new()) });
    assert!(!judged("{}", MAIL).is_next());
    clamd("INSTREAM size limit exceeded. ERROR\0");
    let outcome = judged("{}", MAIL);
    assert_eq!(outcome, Outcome::next().skip(Scope::Transaction, "larger than StreamMaxLength of clamd.conf"));
}

#[test]
fn plain_text_need_not_be_scanned() {
    clamd("stream: Eicar FOUND\0");
    let json = r#"{"only_with_attachments": true}"#;
    assert_eq!(judged(json, MAIL), Outcome::next().skip(Scope::Transaction, "no attachments"));
    for part in ["image/png", "text/plain; name=a.bat", "application/zip"] {
        let mail = format!("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: {part}\n\nx\n--b--\n");
        assert!(!judged(json, &mail).is_next(), "{part}");
    }
}

#[test]
fn what_clamd_says_is_made_plain() {
    clamd("stream: a\r\n250 ok\u{1b} FOUND\0");
    assert_eq!(text(&judged("{}", MAIL)), "Message is infected with a??250 ok?");
}

#[test]
fn our_own_clients_may_be_left_alone() {
    tcp::pretend(|_, _| panic!("it is not asked"));
    let local = Connection::example().from_ip("127.0.0.1");
    let (t, m) = (Transaction::example("a@example.org"), Message::example(MAIL));
    let outcome = plugin(r#"{"exempt": "local"}"#).data_post(&local, &t, &m);
    assert_eq!(outcome, Outcome::next().skip(Scope::Transaction, "local"));
}

#[test]
fn mistakes_are_named_by_their_key() {
    let error = |json| rt::make::<Clamd>(json).err().unwrap();
    assert_eq!(error(r#"{"endpoints": []}"#), "endpoints: expected 1 to 5");
    assert_eq!(error(r#"{"max_size": 0}"#), "max_size: must be 1 at least");
    assert!(error(r#"{"text": "a\nb"}"#).starts_with("text: expected one line"));
    assert!(error(r#"{"refuse": true}"#).contains("refuse"));
}

#[test]
fn the_schema_is_that_of_the_type() {
    wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
}
