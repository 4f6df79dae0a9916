use std::time::Duration;

use super::*;
use proptest::prelude::*;
use wasmail_mail::ForwardPath;

const OFFERS: &str = "250-mx.example hello\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n";

fn recipient(to: &str) -> Recipient {
    Recipient { path: ForwardPath::parse(&format!("<{to}>")).unwrap(), parameters: Vec::new() }
}

fn message(recipients: &[&str]) -> Outgoing {
    Outgoing {
        reverse_path: ReversePath::parse("<a@example.org>").unwrap(),
        recipients: recipients.iter().map(|to| recipient(to)).collect(),
        parameters: Vec::new(),
        size: 5,
        body: BodyType::SevenBit,
        smtputf8: false,
        require_tls: false,
    }
}

/// A client with its server's lines said by the test.
struct Dialogue {
    client: Client,
    now: Instant,
}

impl Dialogue {
    fn new() -> Self {
        Self::wishing(Wishes::new("us.example"))
    }

    fn wishing(wishes: Wishes) -> Self {
        let now = Instant::now();
        Self { client: Client::new(wishes, now), now }
    }

    /// One that has greeted a server which offers this.
    fn greeted(offers: &str) -> Self {
        let mut dialogue = Self::new();
        assert_eq!(dialogue.server("220 mx.example\r\n"), ClientStep::Read);
        assert_eq!(dialogue.sent(), "EHLO us.example\r\n");
        assert_eq!(dialogue.server(offers), ClientStep::Ready);
        dialogue
    }

    fn server(&mut self, said: &str) -> ClientStep {
        self.client.step(&mut said.as_bytes(), self.now)
    }

    fn step(&mut self) -> ClientStep {
        self.server("")
    }

    fn send(&mut self, recipients: &[&str]) {
        self.client.send(message(recipients), self.now);
    }

    fn sent(&mut self) -> String {
        String::from_utf8(std::mem::take(self.client.output())).unwrap()
    }

    fn content(&mut self, text: &str) -> String {
        self.client.content(text.as_bytes(), self.now).unwrap();
        self.client.end_content(self.now).unwrap();
        self.sent()
    }
}

/// Fates in short: `+`, `~`, `-` with what the server said.
fn short(step: &ClientStep) -> Vec<String> {
    let ClientStep::Done(fates) = step else { panic!("not through: {step:?}") };
    let sign = |fate: &Fate| match fate {
        Fate::Delivered(_) => '+',
        Fate::Deferred(_) => '~',
        Fate::Failed(_) => '-',
    };
    fates.iter().map(|fate| format!("{}{}", sign(fate), fate.reason())).collect()
}

#[test]
fn the_envelope_goes_out_in_one_group() {
    let mut dialogue = Dialogue::greeted(OFFERS);
    dialogue.send(&["b@example.org", "c@example.org"]);
    assert_eq!(
        dialogue.sent(),
        "MAIL FROM:<a@example.org> SIZE=5\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n"
    );
    assert_eq!(dialogue.server("250 ok\r\n250 ok\r\n251 forwards\r\n"), ClientStep::Read);
    assert_eq!(dialogue.server("354 go\r\n"), ClientStep::Content);
    assert_eq!(dialogue.content(".hi\r\n"), "..hi\r\n.\r\n");
    let done = dialogue.server("250 2.0.0 queued as 7\r\n");
    assert_eq!(short(&done), ["+250 2.0.0 queued as 7 (to the final dot)"; 2]);
    assert_eq!(dialogue.step(), ClientStep::Ready);
}

#[test]
fn without_pipelining_each_command_waits_for_its_reply() {
    let mut dialogue = Dialogue::greeted("250 mx.example\r\n");
    dialogue.send(&["b@example.org"]);
    for (sent, reply) in [
        ("MAIL FROM:<a@example.org>\r\n", "250 ok\r\n"),
        ("RCPT TO:<b@example.org>\r\n", "252 perhaps\r\n"),
        ("DATA\r\n", "354 go\r\n"),
    ] {
        assert_eq!(dialogue.step(), ClientStep::Read);
        assert_eq!(dialogue.sent(), sent);
        dialogue.server(reply);
    }
    assert_eq!(dialogue.step(), ClientStep::Content);
}

#[test]
fn each_recipient_has_its_own_fate() {
    let mut dialogue = Dialogue::greeted(OFFERS);
    dialogue.send(&["b@x.example", "c@x.example", "d@x.example", "e@x.example"]);
    dialogue.server("250 ok\r\n550 5.1.1 no\r\n250 ok\r\n450 later\r\n552 too many\r\n354 go\r\n");
    dialogue.content("hi");
    assert_eq!(
        short(&dialogue.server("250 ok\r\n")),
        ["-550 5.1.1 no (to RCPT)", "+250 ok (to the final dot)", "~450 later (to RCPT)", "~552 too many (to RCPT)"]
    );
}

#[test]
fn data_that_nobody_gets_is_ended_at_once() {
    let mut dialogue = Dialogue::greeted(OFFERS);
    dialogue.send(&["b@x.example"]);
    dialogue.sent();
    assert_eq!(dialogue.server("250 ok\r\n550 no\r\n354 go\r\n"), ClientStep::Read);
    assert_eq!(dialogue.sent(), ".\r\n");
    assert_eq!(short(&dialogue.server("554 no recipients\r\n")), ["-550 no (to RCPT)"]);
    assert_eq!(dialogue.step(), ClientStep::Ready);
}

#[test]
fn nobody_gets_an_empty_message_where_mail_was_refused_and_data_was_not() {
    let mut dialogue = Dialogue::greeted(OFFERS);
    dialogue.send(&["b@example.org"]);
    dialogue.sent();
    let step = dialogue.server("451 4.3.0 not now\r\n250 2.1.5 ok\r\n354 go\r\n");
    assert_eq!(short(&step), ["~451 4.3.0 not now (to MAIL)"]);
    assert_eq!((dialogue.sent().as_str(), dialogue.step()), ("", ClientStep::Close));
}

#[test]
fn a_refused_mail_is_everybodys_fate() {
    let mut dialogue = Dialogue::greeted(OFFERS);
    dialogue.send(&["b@x.example", "c@x.example"]);
    let done = dialogue.server("451 4.3.0 busy\r\n503 no mail\r\n503 no mail\r\n503 no mail\r\n");
    assert_eq!(short(&done), ["~451 4.3.0 busy (to MAIL)"; 2]);
}

#[test]
fn an_unfinished_transaction_is_reset_before_the_next() {
    let mut dialogue = Dialogue::greeted(OFFERS);
    dialogue.send(&["b@x.example"]);
    dialogue.sent();
    assert_eq!(short(&dialogue.server("250 ok\r\n550 no\r\n503 nobody\r\n")), ["-550 no (to RCPT)"]);
    assert_eq!(dialogue.step(), ClientStep::Ready);
    dialogue.send(&["b@x.example"]);
    assert!(dialogue.sent().starts_with("RSET\r\nMAIL FROM:"));
    dialogue.server("250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    dialogue.content("hi");
    assert_eq!(short(&dialogue.server("250 ok\r\n")).len(), 1);
    dialogue.step();
    dialogue.send(&["b@x.example"]);
    assert!(dialogue.sent().starts_with("MAIL FROM:"));
}

#[test]
fn a_server_of_old_is_greeted_with_helo() {
    let mut dialogue = Dialogue::new();
    dialogue.server("220 mx\r\n");
    dialogue.sent();
    dialogue.server("502 what?\r\n");
    assert_eq!(dialogue.sent(), "HELO us.example\r\n");
    assert_eq!(dialogue.server("250 mx\r\n"), ClientStep::Ready);
    assert_eq!(*dialogue.client.extensions(), Extensions::default());
}

#[test]
fn a_server_that_does_not_let_us_in_says_so() {
    for greeting in ["554 go away\r\n", "421 busy\r\n"] {
        let mut dialogue = Dialogue::new();
        let ClientStep::Refused(reason) = dialogue.server(greeting) else { panic!("refused") };
        // It is the connection that is refused, not the message.
        assert!(matches!(Fate::refused(reason), Fate::Deferred(_)));
        assert_eq!(dialogue.step(), ClientStep::Close);
    }
}

#[test]
fn a_connection_lost_at_the_final_dot_is_tried_again() {
    let mut dialogue = Dialogue::greeted(OFFERS);
    dialogue.send(&["b@x.example", "c@x.example"]);
    dialogue.server("250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n");
    dialogue.content("hi");
    dialogue.client.peer_closed();
    assert_eq!(short(&dialogue.step()), ["~connection lost at the final dot", "-550 no (to RCPT)"]);
    assert_eq!(dialogue.step(), ClientStep::Close);
}

#[test]
fn a_421_closes_at_any_point() {
    let mut dialogue = Dialogue::greeted(OFFERS);
    dialogue.send(&["b@x.example", "c@x.example"]);
    assert_eq!(short(&dialogue.server("250 ok\r\n550 no\r\n421 bye\r\n"))[1], "~421 bye (to RCPT)");
    assert_eq!(dialogue.step(), ClientStep::Close);
}

#[test]
fn time_limits_are_those_of_the_standard() {
    let mut dialogue = Dialogue::greeted(OFFERS);
    let within = |dialogue: &mut Dialogue, said: &str, seconds| {
        dialogue.server(said);
        assert_eq!(dialogue.client.deadline() - dialogue.now, Duration::from_secs(seconds), "{said:?}");
        dialogue.now += Duration::from_secs(7);
    };
    dialogue.send(&["b@x.example"]);
    within(&mut dialogue, "", 300);
    within(&mut dialogue, "250 mail\r\n", 300);
    within(&mut dialogue, "250 rcpt\r\n", 120);
    within(&mut dialogue, "354 go\r\n", 180);
    dialogue.content("hi");
    within(&mut dialogue, "", 600);
    // Half a reply buys no time.
    dialogue.server("25");
    dialogue.client.timed_out();
    assert_eq!(short(&dialogue.step()), ["~no answer in time at the final dot"]);
}

#[test]
fn what_the_server_cannot_take_is_not_offered() {
    let refused = |offers, change: fn(&mut Outgoing)| {
        let mut dialogue = Dialogue::greeted(offers);
        let mut message = message(&["b@x.example"]);
        change(&mut message);
        dialogue.client.send(message, dialogue.now);
        let fates = short(&dialogue.step());
        assert_eq!((dialogue.sent(), dialogue.step()), (String::new(), ClientStep::Ready));
        fates.concat()
    };
    assert!(refused(OFFERS, |m| m.size = 1001).starts_with("-5.3.4"));
    assert!(refused("250 mx\r\n", |m| m.body = BodyType::EightBitMime).starts_with("-5.6.3"));
    assert!(refused("250 mx\r\n", |m| m.smtputf8 = true).starts_with("-5.6.7"));
}

#[test]
fn parameters_are_given_when_they_are_offered() {
    let mut dialogue = Dialogue::greeted(OFFERS);
    let message = Outgoing { body: BodyType::EightBitMime, smtputf8: true, ..message(&["b@x.example"]) };
    dialogue.client.send(message, dialogue.now);
    assert!(dialogue.sent().starts_with("MAIL FROM:<a@example.org> SIZE=5 BODY=8BITMIME SMTPUTF8\r\n"));
}

#[test]
fn a_bare_line_end_never_leaves_us() {
    let mut dialogue = Dialogue::greeted(OFFERS);
    dialogue.send(&["b@x.example"]);
    dialogue.server("250 ok\r\n250 ok\r\n354 go\r\n");
    dialogue.sent();
    assert!(dialogue.client.content(b"a\r\nb\n.\r\nMAIL", dialogue.now).is_err());
    assert_eq!(dialogue.sent(), "");
    assert_eq!(short(&dialogue.step()), ["-5.6.0 content holds a bare CR or LF"]);
    assert_eq!(dialogue.step(), ClientStep::Close);
}

#[test]
fn a_server_that_talks_out_of_turn_gets_no_second_message() {
    let mut dialogue = Dialogue::greeted(OFFERS);
    dialogue.send(&["b@x.example"]);
    dialogue.server("250 ok\r\n250 ok\r\n354 go\r\n");
    dialogue.content("hi");
    assert_eq!(short(&dialogue.server("250 ok\r\n250 and more\r\n")), ["+250 ok (to the final dot)"]);
    assert_eq!(dialogue.step(), ClientStep::Close);
}

#[test]
fn a_thousand_recipients_are_not_all_out_at_once() {
    let mut dialogue = Dialogue::greeted(OFFERS);
    let recipients: Vec<String> = (0..1000).map(|n| format!("b{n}@x.example")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    dialogue.send(&recipients);
    let mut out = dialogue.sent().lines().count();
    assert_eq!(out, 64);
    let mut answered = 0;
    while answered < 1001 {
        assert_eq!(dialogue.server("250 ok\r\n"), ClientStep::Read);
        answered += 1;
        out += dialogue.sent().lines().count();
        assert!(out - answered <= 64);
    }
    assert_eq!(dialogue.server("354 go\r\n"), ClientStep::Content);
}

proptest! {
    #[test]
    fn any_server_leads_to_an_end(said in prop::collection::vec(
        prop_oneof!["(250|354|421|550)[ -][ -~]{0,9}\r\n", "\\PC{0,20}", Just("250 ok\r\n".to_owned()),
            Just("250-mx\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n".to_owned())], 0..30)) {
        let wishes = Wishes { tls: StartTls::IfOffered, credentials: credentials(true), ..Wishes::new("us.example") };
        let mut client = Client::new(wishes, Instant::now());
        let now = Instant::now();
        let mut done = 0;
        let mut wire = Vec::new();
        let said = said.concat();
        let mut input = said.as_bytes();
        for _ in 0..200 {
            let empty = input.is_empty();
            match client.step(&mut input, now) {
                ClientStep::Read if empty => client.peer_closed(),
                ClientStep::Read => {}
                ClientStep::Ready => client.send(message(&["b@x.example", "c@x.example"]), now),
                ClientStep::Content => {
                    client.content(b".a\r\n", now).unwrap();
                    client.end_content(now).unwrap();
                }
                ClientStep::Done(fates) => {
                    prop_assert_eq!(fates.len(), 2);
                    done += 1;
                }
                ClientStep::StartTls => client.secured(now),
                ClientStep::Refused(_) => {}
                ClientStep::Close => {
                    wire.append(client.output());
                    break;
                }
            }
            wire.append(client.output());
        }
        prop_assert_eq!(client.step(&mut &b""[..], now), ClientStep::Close, "after {} messages", done);
        let wire = String::from_utf8(wire).unwrap();
        prop_assert!(!wire.replace("\r\n", "").contains(['\r', '\n']));
    }
}

/// One that has heard the greeting and said EHLO.
fn wishing(tls: StartTls, credentials: Option<Credentials>) -> Dialogue {
    let mut dialogue = Dialogue::wishing(Wishes { tls, credentials, ..Wishes::new("us.example") });
    assert_eq!(dialogue.server("220 mx.example\r\n"), ClientStep::Read);
    assert_eq!(dialogue.sent(), "EHLO us.example\r\n");
    dialogue
}

fn credentials(in_the_clear: bool) -> Option<Credentials> {
    Some(Credentials { user: "us".into(), password: "secret".into(), in_the_clear })
}

fn refused(step: &ClientStep) -> String {
    let ClientStep::Refused(reason) = step else { panic!("not refused: {step:?}") };
    assert!(matches!(Fate::refused(reason.clone()), Fate::Deferred(_)), "said of the connection");
    reason.to_string()
}

#[test]
fn what_was_said_before_tls_is_forgotten() {
    let mut dialogue = wishing(StartTls::IfOffered, None);
    assert_eq!(dialogue.server("250-mx.example\r\n250-STARTTLS\r\n250 SIZE 7\r\n"), ClientStep::Read);
    assert_eq!(dialogue.sent(), "STARTTLS\r\n");
    assert_eq!(dialogue.server("220 go\r\n"), ClientStep::StartTls);
    assert_eq!(dialogue.step(), ClientStep::StartTls, "nothing else happens before the handshake");
    dialogue.client.secured(dialogue.now);
    assert_eq!(dialogue.step(), ClientStep::Read);
    assert_eq!(dialogue.sent(), "EHLO us.example\r\n");
    assert_eq!(dialogue.server("250-mx.example\r\n250 8BITMIME\r\n"), ClientStep::Ready);
    let offered = *dialogue.client.extensions();
    assert_eq!(offered, Extensions { eight_bit_mime: true, ..Extensions::default() });
}

#[test]
fn without_starttls_only_those_who_do_not_need_it_go_on() {
    for (tls, offers, ready) in [
        (StartTls::Never, "250-mx\r\n250 STARTTLS\r\n", true),
        (StartTls::IfOffered, "250 mx\r\n", true),
        (StartTls::Required, "250 mx\r\n", false),
    ] {
        let mut dialogue = wishing(tls, None);
        let step = dialogue.server(offers);
        assert_eq!(step == ClientStep::Ready, ready, "{tls:?}: {step:?}");
    }
    let mut unwilling = wishing(StartTls::IfOffered, None);
    unwilling.server("250-mx\r\n250 STARTTLS\r\n");
    assert_eq!(unwilling.server("454 4.7.0 not now\r\n"), ClientStep::Ready);
    let mut unwilling = wishing(StartTls::Required, None);
    unwilling.server("250-mx\r\n250 STARTTLS\r\n");
    assert_eq!(refused(&unwilling.server("454 4.7.0 not now\r\n")), "454 4.7.0 not now (to STARTTLS)");
    let mut of_old = wishing(StartTls::Required, None);
    of_old.server("502 what?\r\n");
    assert!(refused(&of_old.server("250 mx\r\n")).starts_with("4.7.4 "), "HELO has no extensions");
}

#[test]
fn what_is_injected_behind_starttls_ends_it() {
    let mut dialogue = wishing(StartTls::IfOffered, None);
    dialogue.server("250-mx\r\n250 STARTTLS\r\n");
    let step = dialogue.server("220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n");
    assert!(refused(&step).starts_with("4.7.5 "));
    assert_eq!(dialogue.step(), ClientStep::Close);
}

#[test]
fn a_password_is_shown_under_tls_or_where_it_may_be() {
    let mut dialogue = wishing(StartTls::IfOffered, credentials(false));
    assert!(refused(&dialogue.server("250-mx\r\n250 AUTH PLAIN\r\n")).starts_with("4.7.11 "));
    let mut dialogue = wishing(StartTls::Never, credentials(true));
    dialogue.server("250-mx\r\n250 AUTH LOGIN PLAIN\r\n");
    assert_eq!(dialogue.sent(), "AUTH PLAIN AHVzAHNlY3JldA==\r\n");
    assert_eq!(dialogue.server("235 2.7.0 welcome\r\n"), ClientStep::Ready);
    let now = Instant::now();
    let over_tls = Wishes { credentials: credentials(false), ..Wishes::new("us.example") };
    let mut dialogue = Dialogue { client: Client::over_tls(over_tls, now), now };
    dialogue.server("220 mx\r\n");
    dialogue.sent();
    dialogue.server("250-mx\r\n250 AUTH login\r\n");
    for (sent, challenge) in [("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n"), ("dXM=\r\n", "334 UGFzc3dvcmQ6\r\n")] {
        assert_eq!(dialogue.sent(), sent);
        assert_eq!(dialogue.server(challenge), ClientStep::Read);
    }
    assert_eq!(dialogue.sent(), "c2VjcmV0\r\n");
    assert_eq!(refused(&dialogue.server("535 5.7.8 no\r\n")), "535 5.7.8 no (to AUTH)");
}

#[test]
fn a_server_that_goes_on_asking_is_given_up() {
    let mut dialogue = wishing(StartTls::Never, credentials(true));
    dialogue.server("250-mx\r\n250 AUTH PLAIN\r\n");
    dialogue.sent();
    dialogue.server("334 \r\n");
    assert_eq!(dialogue.sent(), "AHVzAHNlY3JldA==\r\n", "it takes no initial response");
    dialogue.server("334 more\r\n");
    assert_eq!(dialogue.sent(), "*\r\n");
    assert_eq!(refused(&dialogue.server("501 cancelled\r\n")), "501 cancelled (to AUTH)");
    let mut dialogue = wishing(StartTls::Never, credentials(true));
    assert!(refused(&dialogue.server("250-mx\r\n250 AUTH GSSAPI\r\n")).starts_with("4.7.4 "));
}

#[test]
fn in_lmtp_each_recipient_has_a_reply_of_their_own() {
    let mut dialogue = Dialogue::wishing(Wishes { lmtp: true, ..Wishes::new("us.example") });
    dialogue.server("220 box.example\r\n");
    assert_eq!(dialogue.sent(), "LHLO us.example\r\n");
    assert_eq!(dialogue.server(OFFERS), ClientStep::Ready);
    dialogue.send(&["b@x.example", "c@x.example", "d@x.example", "e@x.example"]);
    dialogue.sent();
    let replies = "250 ok\r\n250 ok\r\n550 who\r\n250 ok\r\n250 ok\r\n354 go\r\n";
    assert_eq!(dialogue.server(replies), ClientStep::Content);
    dialogue.content("hi");
    assert_eq!(dialogue.server("250 b has it\r\n452 d is full\r\n"), ClientStep::Read);
    // The connection breaks before e is decided: what was said of the others stands.
    dialogue.client.peer_closed();
    assert_eq!(
        short(&dialogue.step()),
        [
            "+250 b has it (to the final dot)",
            "-550 who (to RCPT)",
            "~452 d is full (to the final dot)",
            "~connection lost at the final dot"
        ]
    );
}

#[test]
fn a_server_that_knows_no_lmtp_is_not_spoken_with() {
    let mut dialogue = Dialogue::wishing(Wishes { lmtp: true, ..Wishes::new("us.example") });
    dialogue.server("220 mx.example\r\n");
    let step = dialogue.server("500 5.5.1 what?\r\n");
    assert!(matches!(step, ClientStep::Refused(_)), "{step:?}");
}

const OFFERS_CHUNKS: &str =
    "250-mx.example hello\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-BINARYMIME\r\n250 CHUNKING\r\n";

/// A client with one message for one recipient, that a server with CHUNKING is about to take.
fn chunking() -> Dialogue {
    let mut dialogue = Dialogue::greeted(OFFERS_CHUNKS);
    dialogue.send(&["b@x.example"]);
    assert!(dialogue.sent().ends_with("RCPT TO:<b@x.example>\r\n"), "no DATA");
    assert_eq!(dialogue.server("250 ok\r\n250 ok\r\n"), ClientStep::Content);
    dialogue
}

#[test]
fn where_chunking_is_offered_the_content_goes_in_one_chunk_as_it_is() {
    let mut dialogue = chunking();
    assert_eq!(dialogue.content(".\r\n.."), "BDAT 5 LAST\r\n.\r\n..");
    assert_eq!(short(&dialogue.server("250 has it\r\n")), ["+250 has it (to the final dot)"]);
    assert_eq!(dialogue.step(), ClientStep::Ready);
}

#[test]
fn a_chunk_that_nobody_gets_is_not_sent() {
    let mut dialogue = Dialogue::greeted(OFFERS_CHUNKS);
    dialogue.send(&["b@x.example"]);
    dialogue.sent();
    assert_eq!(short(&dialogue.server("250 ok\r\n550 who\r\n")), ["-550 who (to RCPT)"]);
    assert_eq!(dialogue.sent(), "");
}

#[test]
fn a_chunk_that_is_refused_leaves_a_transaction_to_be_reset() {
    let mut dialogue = chunking();
    dialogue.content("12345");
    assert_eq!(short(&dialogue.server("452 full\r\n")), ["~452 full (to the final dot)"]);
    dialogue.step();
    dialogue.send(&["b@x.example"]);
    assert!(dialogue.sent().starts_with("RSET\r\nMAIL FROM:"));
}

#[test]
fn a_chunk_of_another_size_than_announced_is_not_ended() {
    for text in ["1234", "123456"] {
        let mut dialogue = chunking();
        dialogue.content(text);
        assert_eq!(short(&dialogue.step()), ["~4.3.0 the message has not the size that was announced"]);
        assert_eq!(dialogue.step(), ClientStep::Close);
    }
}

#[test]
fn binary_content_goes_where_both_extensions_are_offered() {
    for (offers, wanted) in [
        (OFFERS_CHUNKS, None),
        ("250-mx.example\r\n250-BINARYMIME\r\n250 8BITMIME\r\n", Some("-5.6.3")),
        ("250-mx.example\r\n250-CHUNKING\r\n250 8BITMIME\r\n", Some("-5.6.3")),
    ] {
        let mut dialogue = Dialogue::greeted(offers);
        let binary = Outgoing { body: BodyType::BinaryMime, ..message(&["b@x.example"]) };
        dialogue.client.send(binary, dialogue.now);
        let sent = dialogue.sent();
        match wanted {
            Some(status) => assert!(short(&dialogue.step())[0].starts_with(status)),
            None => {
                assert!(sent.contains(" BODY=BINARYMIME\r\n"), "{sent}");
                dialogue.server("250 ok\r\n250 ok\r\n");
                assert_eq!(dialogue.content("\n\0\r.\n"), "BDAT 5 LAST\r\n\n\0\r.\n");
            }
        }
    }
}

#[test]
fn who_does_not_want_chunks_sends_none() {
    let mut dialogue = Dialogue::wishing(Wishes { chunking: false, ..Wishes::new("us.example") });
    dialogue.server("220 mx.example\r\n");
    dialogue.sent();
    dialogue.server(OFFERS_CHUNKS);
    dialogue.send(&["b@x.example"]);
    assert!(dialogue.sent().ends_with("DATA\r\n"));
}

#[test]
fn what_is_for_tls_alone_goes_where_that_is_promised_and_under_tls_only() {
    let offers = "250-mx.example\r\n250-PIPELINING\r\n250 REQUIRETLS\r\n";
    let require = Outgoing { require_tls: true, ..message(&["b@example.org"]) };
    let begun = |over_tls: bool, offers: &str| {
        let now = Instant::now();
        let wishes = Wishes::new("us.example");
        let client = if over_tls { Client::over_tls(wishes, now) } else { Client::new(wishes, now) };
        let mut dialogue = Dialogue { client, now };
        dialogue.server("220 mx.example\r\n");
        assert_eq!(dialogue.server(offers), ClientStep::Ready);
        dialogue.sent();
        dialogue.client.send(require.clone(), now);
        dialogue
    };
    assert!(begun(true, offers).sent().starts_with("MAIL FROM:<a@example.org> REQUIRETLS\r\n"));
    for (over_tls, offers) in [(false, offers), (true, OFFERS)] {
        let step = begun(over_tls, offers).step();
        assert!(short(&step)[0].starts_with("-5.7.30 "), "{step:?}");
    }
}

#[test]
fn what_the_sender_wants_to_hear_is_passed_on_to_servers_that_know_about_it() {
    let parameter = |text: &str| Parameter::parse(text).unwrap();
    let mut message = message(&["b@example.org"]);
    message.parameters = ["RET=HDRS", "ENVID=QQ1", "SIZE=9", "MT-PRIORITY=3", "HOLDFOR=60"].map(parameter).into();
    message.recipients[0].parameters = ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;x@y.example"].map(parameter).into();
    let sent = |offers: &str| {
        let mut dialogue = Dialogue::greeted(offers);
        dialogue.client.send(message.clone(), dialogue.now);
        dialogue.sent()
    };
    let offers = "250-mx.example\r\n250-PIPELINING\r\n250-DSN\r\n250 MT-PRIORITY MIXER\r\n";
    let expected = "MAIL FROM:<a@example.org> RET=HDRS ENVID=QQ1 MT-PRIORITY=3\r\n\
                    RCPT TO:<b@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y.example\r\nDATA\r\n";
    assert_eq!(sent(offers), expected);
    assert_eq!(sent(OFFERS), "MAIL FROM:<a@example.org> SIZE=5\r\nRCPT TO:<b@example.org>\r\nDATA\r\n");
}
