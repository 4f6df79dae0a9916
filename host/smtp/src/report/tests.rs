use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;

fn parameters(texts: &[&str]) -> Vec<Parameter> {
    texts.iter().map(|text| Parameter::parse(text).unwrap()).collect()
}

fn recipient(to: &str, texts: &[&str]) -> Recipient {
    Recipient { path: ForwardPath::parse(&format!("<{to}>")).unwrap(), parameters: parameters(texts) }
}

fn envelope(from: &str, texts: &[&str], recipients: Vec<Recipient>) -> Envelope {
    Envelope {
        uuid: "c.1".to_owned(),
        reverse_path: ReversePath::parse(&format!("<{from}>")).unwrap(),
        parameters: parameters(texts),
        body: BodyType::SevenBit,
        smtputf8: false,
        recipients,
        handling: Handling::default(),
    }
}

fn told(envelope: &Envelope, fates: Vec<Fate<'_>>, header: &str, body: Option<&str>) -> String {
    let report = Report {
        hostname: "mx.example.test",
        uuid: "u.1".to_owned(),
        now: UNIX_EPOCH + Duration::from_secs(1_795_000_000),
        envelope,
        arrival: UNIX_EPOCH + Duration::from_secs(1_794_990_000),
        fates,
        header: header.as_bytes(),
        body: body.map(str::as_bytes),
    };
    let message = report.write().expect("there is somebody to tell");
    assert_eq!(message.envelope.reverse_path, ReversePath::Null);
    assert_eq!(message.envelope.recipients[0].path.to_string(), envelope.reverse_path.to_string());
    String::from_utf8([message.header, message.body].concat()).unwrap()
}

#[test]
fn a_failure_is_told_with_what_the_server_said_and_the_message() {
    let to = recipient("b@example.org", &["ORCPT=rfc822;B+2Bx@example.net"]);
    let envelope = envelope("a@example.test", &["ENVID=QQ+3D1"], vec![to]);
    let reply = "mx.example.org[192.0.2.7]:25: 550 5.1.1 no such user (to RCPT)";
    let fate = Fate { recipient: &envelope.recipients[0], action: Action::Failed, reply, until: None };
    let report = told(&envelope, vec![fate], "Subject: hi\r\nFrom: a@example.test\r\n\r\n", Some("hello\r\n"));
    let expected = "Date: Wed, 18 Nov 2026 11:06:40 +0000\r\n\
        From: Mail Delivery System <MAILER-DAEMON@mx.example.test>\r\n\
        To: <a@example.test>\r\n\
        Subject: Undelivered mail returned to sender\r\n\
        Message-ID: <u.1@mx.example.test>\r\n\
        Auto-Submitted: auto-replied\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: multipart/report; report-type=delivery-status; boundary=\"=_u.1\"\r\n\
        Content-Transfer-Encoding: 7bit\r\n\
        \r\n\
        This is a delivery status notification in MIME format (RFC 3464).\r\n\
        \r\n\
        --=_u.1\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: 7bit\r\n\
        \r\n\
        This is the mail system at mx.example.test.\r\n\
        \r\n\
        Your message could not be delivered to these recipients:\r\n\
        \r\n\
        \x20 <b@example.org>\r\n\
        \x20     mx.example.org[192.0.2.7]:25: 550 5.1.1 no such user (to RCPT)\r\n\
        \r\n\
        --=_u.1\r\n\
        Content-Type: message/delivery-status\r\n\
        Content-Transfer-Encoding: 7bit\r\n\
        \r\n\
        Reporting-MTA: dns; mx.example.test\r\n\
        Original-Envelope-Id: QQ=1\r\n\
        Arrival-Date: Wed, 18 Nov 2026 08:20:00 +0000\r\n\
        \r\n\
        Original-Recipient: rfc822; B+x@example.net\r\n\
        Final-Recipient: rfc822; b@example.org\r\n\
        Action: failed\r\n\
        Status: 5.1.1\r\n\
        Remote-MTA: dns; mx.example.org\r\n\
        Diagnostic-Code: smtp; 550 5.1.1 no such user (to RCPT)\r\n\
        \r\n\
        --=_u.1\r\n\
        Content-Type: message/rfc822\r\n\
        Content-Transfer-Encoding: 7bit\r\n\
        \r\n\
        Subject: hi\r\n\
        From: a@example.test\r\n\
        \r\n\
        hello\r\n\
        \r\n\
        --=_u.1--\r\n";
    assert_eq!(report, expected);
}

#[test]
fn headers_alone_come_back_where_the_sender_wants_that_or_the_body_is_too_long() {
    for (parameters, body) in [(&["RET=HDRS"][..], Some("secret\r\n")), (&[], None)] {
        let envelope = envelope("a@example.test", parameters, vec![recipient("b@example.org", &[])]);
        let fate = Fate { recipient: &envelope.recipients[0], action: Action::Failed, reply: "5.1.10 x", until: None };
        let report = told(&envelope, vec![fate], "Subject: hi\r\n\r\n", body);
        assert!(report.contains("\r\nContent-Type: text/rfc822-headers\r\n"), "{report}");
        assert!(report.ends_with("\r\n\r\nSubject: hi\r\n\r\n--=_u.1--\r\n") && !report.contains("secret"), "{report}");
        assert!(report.contains("Status: 5.1.10\r\nDiagnostic-Code: x-wasmail; 5.1.10 x\r\n"), "{report}");
    }
}

#[test]
fn what_is_not_ascii_is_told_as_rfc_6533_has_it() {
    let envelope = envelope("gr\u{fc}n@example.test", &[], vec![recipient("b\u{f6}b@example.org", &[])]);
    let fate = Fate { recipient: &envelope.recipients[0], action: Action::Failed, reply: "", until: None };
    let report = told(&envelope, vec![fate], "Subject: gr\u{fc}n\r\n\r\n", Some("x\r\n"));
    for part in [
        "To: <gr\u{fc}n@example.test>\r\n",
        "message/global-delivery-status\r\n",
        "Content-Type: message/global\r\n",
        "Final-Recipient: utf-8; b\u{f6}b@example.org\r\n",
        "Status: 5.0.0\r\n",
    ] {
        assert!(report.contains(part), "{part} in {report}");
    }
}

#[test]
fn a_delay_says_until_when_it_is_tried() {
    let envelope = envelope("a@example.test", &[], vec![recipient("b@example.org", &[])]);
    let until = Some(UNIX_EPOCH + Duration::from_secs(1_795_400_000));
    let fate = Fate { recipient: &envelope.recipients[0], action: Action::Delayed, reply: "4.4.1 no route", until };
    let report = told(&envelope, vec![fate], "Subject: hi\r\n\r\n", Some("hello\r\n"));
    assert!(report.contains("Action: delayed\r\nStatus: 4.4.1\r\n"), "{report}");
    assert!(report.contains("Will-Retry-Until: Mon, 23 Nov 2026 02:13:20 +0000\r\n"), "{report}");
    assert!(!report.contains("hello"), "it is still on its way: {report}");
}

#[test]
fn senders_say_of_what_they_want_to_hear() {
    let path = ReversePath::parse("<a@example.test>").unwrap();
    let wants = |texts: &[&str]| {
        let to = recipient("b@example.org", texts);
        [Action::Failed, Action::Delayed, Action::Delivered].map(|action| is_wanted(&path, &to, action))
    };
    assert_eq!(wants(&[]), [true, true, false]);
    assert_eq!(wants(&["NOTIFY=NEVER"]), [false, false, false]);
    assert_eq!(wants(&["NOTIFY=success,Failure"]), [true, false, true]);
    assert!(!is_wanted(&ReversePath::Null, &recipient("b@example.org", &["NOTIFY=FAILURE"]), Action::Failed));
}

proptest! {
    /// Whatever another server says, it adds no line of its own.
    #[test]
    fn a_reply_adds_no_line(reply in "(?s).{0,200}") {
        let envelope = envelope("a@example.test", &[], vec![recipient("b@example.org", &[])]);
        let fate = |reply| Fate { recipient: &envelope.recipients[0], action: Action::Failed, reply, until: None };
        let count = |report: String| report.matches("\r\n").count();
        let with = told(&envelope, vec![fate(reply.as_str())], "A: b\r\n\r\n", None);
        prop_assert!(!with.replace("\r\n", "").contains(['\r', '\n']));
        let diagnostics = usize::from(!with.contains("Diagnostic-Code"));
        let servers = usize::from(with.contains("Remote-MTA"));
        prop_assert_eq!(count(with) + diagnostics - servers, count(told(&envelope, vec![fate("x")], "A: b\r\n\r\n", None)));
    }
}
