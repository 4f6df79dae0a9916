//! Stories of a session and its policy.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Broken, Native, bind, block_on, config, connection, local_domains, now};
use wasmail_mail::{Connection, Dispositions, EnhancedStatus, ForwardPath, Recipient};
use wasmail_policy::{
    Binding, Chain, FaultRule, Grants, Hook, Mutation, Outcome, Question, ReplyText, Scope, Subject, Verdict,
};
use wasmail_smtp::{CommitFailure, Fate, Iprev, Kind, Rehearsal, SessionConfig};

const HELLO: &[u8] = b"EHLO client.example\r\n";
const ENVELOPE: &[u8] = b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n";
const MESSAGE: &[u8] = b"Subject: x\r\n\r\nhello\r\n.\r\n";

fn rehearsal(bindings: Vec<Binding>) -> Rehearsal {
    let mut chain = bindings;
    chain.push(local_domains());
    Rehearsal::new(config(), Arc::new(Chain::new(chain)), connection(), now())
}

fn send(rehearsal: &mut Rehearsal, octets: &[u8]) -> String {
    String::from_utf8(block_on(rehearsal.send(octets))).unwrap()
}

/// The codes of the replies' last lines.
fn codes(replies: &str) -> Vec<&str> {
    replies.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).map(|line| &line[..3]).collect()
}

fn greeted(bindings: Vec<Binding>) -> Rehearsal {
    let mut rehearsal = rehearsal(bindings);
    block_on(rehearsal.greeting());
    send(&mut rehearsal, HELLO);
    rehearsal
}

fn deliver(rehearsal: &mut Rehearsal) -> String {
    send(rehearsal, ENVELOPE);
    send(rehearsal, MESSAGE)
}

/// A plugin that says one thing at one hook.
fn says(hook: &'static [Hook], verdict: Verdict, mutations: Vec<Mutation>) -> Binding {
    let outcome = Outcome { verdict, mutations };
    bind("says", Native(hook, move |_: &Question<'_>| outcome.clone()))
}

fn at(hook: Hook) -> &'static [Hook] {
    let at = Hook::ALL.iter().position(|other| *other == hook).unwrap();
    &Hook::ALL[at..=at]
}

/// Plays a whole session against a verdict; returns the codes after the greeting's, and whether it was closed.
fn play(hook: Hook, verdict: Verdict) -> (Vec<String>, bool) {
    let mut rehearsal = rehearsal(vec![says(at(hook), verdict, vec![])]);
    let mut replies = String::from_utf8(block_on(rehearsal.greeting())).unwrap();
    let hello = if hook == Hook::Helo { b"HELO client.example\r\n" } else { HELLO };
    let turns = [hello, &ENVELOPE[..30], &ENVELOPE[30..56], &ENVELOPE[56..], MESSAGE];
    let commands = [Hook::Ehlo, Hook::Mail, Hook::Rcpt, Hook::Data, Hook::Queue];
    let stop = if hook == Hook::Helo { Hook::Ehlo } else { hook };
    for (octets, of) in turns.into_iter().zip(commands) {
        if of > stop && !(matches!(stop, Hook::Part | Hook::DataPost) && of == Hook::Queue) || rehearsal.is_closed() {
            break;
        }
        replies = send(&mut rehearsal, octets);
    }
    (codes(&replies).into_iter().map(str::to_owned).collect(), rehearsal.is_closed())
}

#[test]
fn every_verdict_at_every_hook_has_its_reply() {
    let rows = [
        (Hook::Connect, "220", "554", "421"),
        (Hook::Helo, "250", "550", "450"),
        (Hook::Ehlo, "250", "550", "450"),
        (Hook::Mail, "250", "550", "450"),
        (Hook::Rcpt, "250", "550", "450"),
        (Hook::Data, "354", "554", "451"),
        (Hook::Part, "250", "550", "450"),
        (Hook::DataPost, "250", "550", "450"),
        (Hook::Queue, "250", "550", "450"),
    ];
    for (hook, good, deny, soft) in rows {
        let soft_closes = hook == Hook::Connect;
        for (verdict, code, closed) in [
            (Verdict::Next, good, false),
            (Verdict::Accept(None), good, false),
            (Verdict::Deny(None), deny, false),
            (Verdict::DenySoft(None), soft, soft_closes),
            (Verdict::DenyDisconnect(None), deny, true),
            (Verdict::DenySoftDisconnect(None), soft, true),
        ] {
            let name = verdict.name();
            assert_eq!(play(hook, verdict), (vec![code.to_owned()], closed), "{name} at {hook}");
        }
        assert_eq!(play(hook, Verdict::Disconnect), (vec![], true), "disconnect at {hook}");
    }
}

#[test]
fn after_a_denied_connect_only_quit_is_heard() {
    let mut rehearsal = rehearsal(vec![says(at(Hook::Connect), Verdict::Deny(None), vec![])]);
    assert_eq!(block_on(rehearsal.greeting()), b"554 5.7.1 Your mail is not welcome here\r\n");
    assert_eq!(codes(&send(&mut rehearsal, b"EHLO a\r\nMAIL FROM:<a@b>\r\nNOOP\r\n")), ["503", "503", "503"]);
    assert_eq!(codes(&send(&mut rehearsal, b"QUIT\r\n")), ["221"]);
    assert!(rehearsal.is_closed());
}

#[test]
fn a_plugin_chooses_the_words_of_its_acceptance() {
    let text =
        |line: &str| Verdict::Accept(Some(ReplyText { code: None, enhanced: None, lines: vec![line.to_owned()] }));
    let mut rehearsal = rehearsal(vec![
        says(at(Hook::Connect), text("at your service"), vec![]),
        says(at(Hook::Mail), text("what a sender"), vec![]),
        says(at(Hook::Queue), text("mine now"), vec![]),
    ]);
    assert_eq!(block_on(rehearsal.greeting()), b"220 mx.example.test at your service\r\n");
    send(&mut rehearsal, HELLO);
    assert_eq!(send(&mut rehearsal, b"MAIL FROM:<a@b>\r\n"), "250 2.1.0 what a sender\r\n");
    send(&mut rehearsal, b"RCPT TO:<b@example.test>\r\nDATA\r\n");
    assert_eq!(send(&mut rehearsal, MESSAGE), "250 2.0.0 mine now\r\n");
    assert!(rehearsal.messages().is_empty(), "a message that a plugin took was queued all the same");
    assert!(matches!(rehearsal.ended()[0].fate, Fate::Taken));
}

#[test]
fn a_fault_is_answered_as_the_binding_says_and_the_session_goes_on() {
    for (rule, code) in [(FaultRule::Defer, "451 4.3.0 "), (FaultRule::Reject, "550 5.3.0 "), (FaultRule::Skip, "250 ")]
    {
        let broken = Binding { on_fault: rule, ..bind("broken", Broken(Hook::DataPost)) };
        let mut rehearsal = greeted(vec![broken]);
        let reply = deliver(&mut rehearsal);
        assert!(reply.starts_with(code), "{reply}");
        assert_eq!(codes(&send(&mut rehearsal, b"NOOP\r\n")), ["250"]);
    }
    let mut rehearsal = rehearsal(vec![bind("broken", Broken(Hook::Connect))]);
    assert!(block_on(rehearsal.greeting()).starts_with(b"421 4.3.0 "));
    assert!(rehearsal.is_closed());
}

/// A plugin that writes down at which hooks it was asked, and whether there was a transaction.
fn witness() -> (Binding, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let look = move |question: &Question<'_>| {
        let transaction = question.context.transaction.as_ref().map_or("-", |t| &t.facts.uuid[36..]);
        notes.lock().unwrap().push(format!("{} {transaction}", question.hook));
        Outcome::next()
    };
    (bind("witness", Native(&Hook::ALL, look)), seen)
}

#[test]
fn hooks_are_asked_in_order_and_disconnect_once_and_last() {
    let (witness, seen) = witness();
    let mut rehearsal = greeted(vec![witness]);
    deliver(&mut rehearsal);
    send(&mut rehearsal, b"MAIL FROM:<a@b>\r\nRSET\r\nQUIT\r\n");
    block_on(rehearsal.hang_up());
    let expected = [
        "connect-init -",
        "lookup-rdns -",
        "connect -",
        "ehlo -",
        "capabilities -",
        "mail .1",
        "rcpt .1",
        "rcpt-ok .1",
        "data .1",
        "part .1",
        "data-post .1",
        "queue .1",
        "queue-ok .1",
        "reset-transaction .1",
        "mail .2",
        "rset .2",
        "reset-transaction .2",
        "quit -",
        "disconnect -",
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn disconnect_is_asked_however_the_session_ends() {
    type End = fn(&mut Rehearsal);
    let ends: [End; 6] = [
        |rehearsal| block_on(rehearsal.hang_up()),
        |rehearsal| drop(block_on(rehearsal.wait(Duration::from_secs(301)))),
        |rehearsal| drop(block_on(rehearsal.drain())),
        |rehearsal| drop(block_on(rehearsal.send(b"GET / HTTP/1.1\r\n"))),
        |rehearsal| drop(block_on(rehearsal.send(b"NOOP\n"))),
        |rehearsal| drop(block_on(rehearsal.send(b"QUIT\r\n"))),
    ];
    for (at, end) in ends.into_iter().enumerate() {
        let (witness, seen) = witness();
        let mut rehearsal = greeted(vec![witness]);
        end(&mut rehearsal);
        assert!(rehearsal.is_closed(), "end {at}");
        let seen = seen.lock().unwrap();
        assert_eq!(seen.iter().filter(|hook| hook.starts_with("disconnect")).count(), 1, "end {at}");
    }
}

#[test]
fn a_message_carries_trace_fields_and_what_policy_added() {
    let add = |name: &str| Mutation::AddHeader { name: name.into(), value: "added".into() };
    let prepend = |name: &str| Mutation::PrependHeader { name: name.into(), value: "added".into() };
    let mut rehearsal = greeted(vec![
        says(at(Hook::Mail), Verdict::Next, vec![add("X-Below"), prepend("X-Above")]),
        says(at(Hook::DataPost), Verdict::Next, vec![Mutation::RemoveHeader { position: 1 }, prepend("X-Top")]),
    ]);
    rehearsal.session_mut().reverse_dns(Iprev::Pass, Some("host.example".into()));
    send(&mut rehearsal, ENVELOPE);
    let reply = send(&mut rehearsal, b"X-Gone: 1\r\nSubject: x\r\n\r\n..body\r\n.\r\n");
    assert_eq!(reply, "250 2.0.0 Queued as 1\r\n");
    let message = &rehearsal.messages()[0];
    let header = String::from_utf8(message.header.clone()).unwrap();
    let names: Vec<&str> = header
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split(':').next().unwrap_or_default())
        .collect();
    assert_eq!(names, ["Authentication-Results", "Received", "X-Top", "X-Above", "Subject", "X-Below", ""]);
    assert!(header.contains("iprev=pass policy.iprev=192.0.2.1"), "{header}");
    assert!(header.contains("from client.example (host.example [192.0.2.1])"), "{header}");
    assert!(header.replace("\r\n", "").contains(" for <b@example.test>; Thu, 1 Jan 1970 "), "{header}");
    assert_eq!(message.body, b".body\r\n");
    assert_eq!(message.envelope.recipients.len(), 1);
}

#[test]
fn a_users_message_gets_the_fields_that_it_lacks_and_another_servers_does_not() {
    let accepted = |kind: Kind, greeting: &str, message: &[u8]| {
        let config = SessionConfig { kind, ..config() };
        let connection = Connection { relaying: true, ..connection() };
        let mut rehearsal = Rehearsal::new(config, Arc::new(Chain::new(vec![local_domains()])), connection, now());
        block_on(rehearsal.greeting());
        send(&mut rehearsal, greeting.as_bytes());
        send(&mut rehearsal, ENVELOPE);
        send(&mut rehearsal, message);
        String::from_utf8(rehearsal.messages()[0].header.clone()).unwrap()
    };
    let header = accepted(Kind::Submission, "EHLO a\r\n", b"Subject: x\r\n\r\n.\r\n");
    assert!(header.contains("\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n"), "{header}");
    assert!(header.contains(".1@mx.example.test>\r\n\r\n") && header.contains("\r\nMessage-ID: <"), "{header}");
    let own = accepted(Kind::Submission, "EHLO a\r\n", b"Date: now\r\nmessage-id: <a@b>\r\n\r\n.\r\n");
    assert!(!own.contains("Message-ID") && own.matches("Date:").count() == 1, "{own}");
    for (kind, greeting, with) in [
        (Kind::Smtp, "EHLO a\r\n", " with ESMTP id "),
        (Kind::Smtp, "HELO a\r\n", " with SMTP id "),
        (Kind::Lmtp, "LHLO a\r\n", " with LMTP id "),
    ] {
        let header = accepted(kind, greeting, b"Subject: x\r\n\r\n.\r\n");
        assert!(!header.contains("Date:") && header.replace("\r\n ", " ").contains(with), "{header}");
    }
}

#[test]
fn forged_results_are_gone_before_policy_looks() {
    let look = |question: &Question<'_>| {
        let header = &question.context.transaction.as_ref().unwrap().facts.header;
        let forged = header.named("Authentication-Results").any(|field| field.value().contains("mx.example.test"));
        let verdict = if forged { Verdict::Deny(None) } else { Verdict::Next };
        Outcome { verdict, mutations: Vec::new() }
    };
    let mut rehearsal = greeted(vec![bind("looks", Native(at(Hook::DataPost), look))]);
    send(&mut rehearsal, ENVELOPE);
    let forged = b"Authentication-Results: MX.example.test; dkim=pass\r\nSubject: x\r\n\r\nx\r\n.\r\n";
    assert_eq!(codes(&send(&mut rehearsal, forged)), ["250"]);
}

#[test]
fn the_body_can_be_read_when_it_is_whole() {
    let look = |question: &Question<'_>| {
        let body = question.body.unwrap();
        let octets = block_on(body.read_at(2, 3)).unwrap();
        let past = block_on(body.read_at(100, 3)).unwrap();
        assert_eq!((body.len(), octets.as_slice(), past.len()), (7, &b"llo"[..], 0));
        Outcome::next()
    };
    let mut rehearsal = greeted(vec![bind("reads", Native(&[Hook::DataPost, Hook::Queue], look))]);
    assert_eq!(codes(&deliver(&mut rehearsal)), ["250"]);
    assert_eq!(rehearsal.messages()[0].body, b"hello\r\n");
}

#[test]
fn a_message_whose_recipients_were_all_removed_is_not_lost_in_silence() {
    let remove = Mutation::RemoveRecipient { position: 0 };
    let mut rehearsal = greeted(vec![says(at(Hook::DataPost), Verdict::Next, vec![remove])]);
    assert!(deliver(&mut rehearsal).starts_with("550 5.1.1 "));
    assert!(rehearsal.messages().is_empty());
}

#[test]
fn a_rewritten_recipient_is_the_one_that_counts() {
    let rewrite = Mutation::RewriteRecipient { position: 0, address: "other@example.test".into(), parameters: None };
    let mut rehearsal = greeted(vec![says(at(Hook::Rcpt), Verdict::Accept(None), vec![rewrite])]);
    deliver(&mut rehearsal);
    let recipients: &[Recipient] = &rehearsal.messages()[0].envelope.recipients;
    assert_eq!(recipients[0].path, ForwardPath::parse("<other@example.test>").unwrap());
}

#[test]
fn relaying_that_is_set_in_a_transaction_ends_with_it() {
    let mut rehearsal = greeted(vec![bind(
        "relay-once",
        Native(at(Hook::Mail), |question: &Question<'_>| {
            let first = question.context.connection.counters.transactions == 1;
            let mutations = if first { vec![Mutation::SetRelaying(true)] } else { Vec::new() };
            Outcome { verdict: Verdict::Next, mutations }
        }),
    )]);
    let outside = b"MAIL FROM:<a@b>\r\nRCPT TO:<x@elsewhere.example>\r\nRSET\r\n";
    assert_eq!(codes(&send(&mut rehearsal, outside)), ["250", "250", "250"]);
    assert_eq!(codes(&send(&mut rehearsal, outside)), ["250", "550", "250"]);
}

#[test]
fn storage_that_fails_is_told_and_the_session_goes_on() {
    for (failure, reply) in [(CommitFailure::Full, "452 4.3.1 "), (CommitFailure::Io, "451 4.3.0 ")] {
        let mut rehearsal = greeted(vec![]);
        rehearsal.fail_storage(Some(failure));
        assert!(deliver(&mut rehearsal).starts_with(reply), "while the body came");
        send(&mut rehearsal, ENVELOPE);
        assert!(send(&mut rehearsal, b"Subject: no body\r\n.\r\n").starts_with(reply), "at the commit");
        assert_eq!(rehearsal.context().connection.counters.messages.deferred, 2);
        rehearsal.fail_storage(None);
        assert_eq!(codes(&deliver(&mut rehearsal)), ["250"]);
    }
}

#[test]
fn what_is_counted() {
    let mut rehearsal = greeted(vec![]);
    send(&mut rehearsal, b"FOO\r\n");
    send(&mut rehearsal, b"MAIL FROM:<a@b>\r\nRCPT TO:<b@example.test>\r\nRCPT TO:<x@elsewhere.example>\r\nDATA\r\n");
    send(&mut rehearsal, MESSAGE);
    send(&mut rehearsal, ENVELOPE);
    send(&mut rehearsal, b"a\0\r\n.\r\n");
    let counters = &rehearsal.context().connection.counters;
    assert!(counters.esmtp && counters.pipelining && !counters.early_talker);
    assert_eq!((counters.transactions, counters.errors), (2, 1));
    assert_eq!(counters.recipients, Dispositions { accepted: 2, deferred: 0, rejected: 1 });
    assert_eq!(counters.messages, Dispositions { accepted: 1, deferred: 0, rejected: 1 });
    assert_eq!(counters.octets, 21 + 4);
    assert_eq!(rehearsal.context().connection.last_response, "550 5.6.0 NUL in content\r\n");
    assert_eq!(rehearsal.context().connection.current_line, b"DATA");
    let fates: Vec<&Fate> = rehearsal.ended().iter().map(|ended| &ended.fate).collect();
    assert_eq!(fates, [&Fate::Queued("1".into()), &Fate::Rejected]);
}

#[test]
fn one_who_waits_for_each_reply_does_not_pipeline() {
    let mut rehearsal = greeted(vec![]);
    for command in ["MAIL FROM:<a@b>\r\n", "RCPT TO:<b@example.test>\r\n", "DATA\r\n"] {
        send(&mut rehearsal, command.as_bytes());
    }
    send(&mut rehearsal, MESSAGE);
    assert!(!rehearsal.context().connection.counters.pipelining);
}

#[test]
fn one_who_speaks_before_the_greeting_is_an_early_talker() {
    let mut rehearsal = rehearsal(vec![]);
    assert_eq!(codes(&send(&mut rehearsal, HELLO)), ["220", "250"]);
    assert!(rehearsal.context().connection.counters.early_talker);
}

#[test]
fn silence_ends_the_session_and_every_octet_begins_the_wait_anew() {
    let mut rehearsal = greeted(vec![]);
    for _ in 0..3 {
        assert!(block_on(rehearsal.wait(Duration::from_secs(299))).is_empty());
        send(&mut rehearsal, b"NOOP\r\n");
    }
    assert_eq!(block_on(rehearsal.wait(Duration::from_secs(300))), b"421 4.4.2 Timed out\r\n");
    assert!(rehearsal.is_closed());
}

#[test]
fn silence_within_the_data_ends_the_session_and_leaves_nothing() {
    let mut rehearsal = greeted(vec![]);
    send(&mut rehearsal, ENVELOPE);
    send(&mut rehearsal, b"Subject: x\r\n\r\nhalf a li");
    assert_eq!(block_on(rehearsal.wait(Duration::from_secs(300))), b"421 4.4.2 Timed out\r\n");
    assert!(rehearsal.is_closed() && rehearsal.messages().is_empty());
    assert!(matches!(rehearsal.ended()[0].fate, Fate::Abandoned));
}

#[test]
fn a_session_does_not_last_for_ever() {
    let mut rehearsal = greeted(vec![]);
    let mut replies = Vec::new();
    for _ in 0..60 {
        replies = block_on(rehearsal.wait(Duration::from_secs(60)));
        if rehearsal.is_closed() {
            break;
        }
        send(&mut rehearsal, b"NOOP\r\n");
    }
    assert_eq!(replies, b"421 4.4.2 Timed out\r\n");
}

#[test]
fn a_server_that_shuts_down_lets_the_running_transaction_end() {
    let mut rehearsal = greeted(vec![]);
    send(&mut rehearsal, ENVELOPE);
    assert!(block_on(rehearsal.drain()).is_empty());
    let replies = send(&mut rehearsal, &[MESSAGE, b"NOOP\r\n"].concat());
    assert_eq!(codes(&replies), ["250", "421"]);
    assert!(replies.ends_with("421 4.3.2 Shutting down; come back later\r\n"));
    assert_eq!((rehearsal.messages().len(), rehearsal.is_closed()), (1, true));
}

#[test]
fn a_server_that_shuts_down_says_so_to_those_who_wait() {
    let mut rehearsal = greeted(vec![]);
    assert_eq!(block_on(rehearsal.drain()), b"421 4.3.2 Shutting down; come back later\r\n");
    assert!(rehearsal.is_closed());
}

#[test]
fn a_client_that_goes_away_within_the_data_leaves_nothing() {
    let mut rehearsal = greeted(vec![]);
    send(&mut rehearsal, ENVELOPE);
    send(&mut rehearsal, b"Subject: x\r\n\r\nhalf");
    block_on(rehearsal.hang_up());
    assert!(rehearsal.is_closed() && rehearsal.messages().is_empty());
    assert!(rehearsal.context().connection.remote.closed && rehearsal.context().transaction.is_none());
}

#[test]
fn a_refused_greeting_is_forgotten() {
    let refuse = |question: &Question<'_>| {
        let bad = question.context.connection.hello.as_ref().is_some_and(|hello| hello.host == "bad.example");
        let text = ReplyText { code: None, enhanced: EnhancedStatus::new(5, 7, 0), lines: vec!["no".into()] };
        let verdict = if bad { Verdict::Deny(Some(text)) } else { Verdict::Next };
        Outcome { verdict, mutations: Vec::new() }
    };
    let mut rehearsal = greeted(vec![bind("names", Native(at(Hook::Ehlo), refuse))]);
    assert_eq!(send(&mut rehearsal, b"EHLO bad.example\r\n"), "550 5.7.0 no\r\n");
    assert_eq!(codes(&send(&mut rehearsal, b"MAIL FROM:<a@b>\r\n")), ["503"]);
    assert_eq!(codes(&send(&mut rehearsal, HELLO)), ["250"]);
}

#[test]
fn a_delay_is_handed_to_the_driver() {
    let slow = Mutation::Delay(Duration::from_secs(3));
    let mut rehearsal = greeted(vec![says(at(Hook::Mail), Verdict::Next, vec![slow])]);
    send(&mut rehearsal, b"MAIL FROM:<a@b>\r\n");
    assert_eq!(rehearsal.delayed(), Duration::from_secs(3));
}

/// Plugins' names and hooks, as they were asked.
fn asked(rehearsal: &Rehearsal) -> Vec<String> {
    let of_transactions = rehearsal.ended().iter().flat_map(|ended| ended.transaction.trail.steps());
    let steps = rehearsal.context().trail.steps().iter().chain(of_transactions);
    steps.map(|step| format!("{}@{}", step.plugin, step.hook)).collect()
}

#[test]
fn hooks_that_decide_nothing_reach_every_plugin() {
    let all: &[Hook] = &Hook::ALL;
    let informs: Vec<Hook> = all.iter().copied().filter(|hook| hook.reaches_all()).collect();
    let informs: &'static [Hook] = informs.leak();
    let deny = || Outcome { verdict: Verdict::Deny(None), mutations: vec![] };
    let mut rehearsal = rehearsal(vec![
        bind("one", Native(informs, move |_: &Question<'_>| deny())),
        bind("two", Native(informs, move |_: &Question<'_>| Outcome::next())),
    ]);
    block_on(rehearsal.greeting());
    send(&mut rehearsal, HELLO);
    deliver(&mut rehearsal);
    assert_eq!(codes(&send(&mut rehearsal, b"RSET\r\nQUIT\r\n")), ["250", "221"]);
    for hook in informs {
        for plugin in ["one", "two"] {
            let name = format!("{plugin}@{hook}");
            assert_eq!(asked(&rehearsal).iter().filter(|step| **step == name).count(), 1, "{name}");
        }
    }
}

#[test]
fn every_end_of_a_transaction_is_heard_of() {
    let deny = says(at(Hook::Data), Verdict::Deny(None), vec![]);
    let endings: [(&[u8], Option<Binding>, &str); 6] = [
        (b"RSET\r\n", None, "Abandoned"),
        (b"EHLO again.example\r\n", None, "Abandoned"),
        (b"QUIT\r\n", None, "Abandoned"),
        (b"RCPT TO:<b@example.test>\r\nDATA\r\n", Some(deny), "Rejected"),
        (b"", None, "Abandoned"),
        (b"RCPT TO:<b@example.test>\r\nDATA\r\n", None, "Queued"),
    ];
    for (octets, more, fate) in endings {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let listens = Native(at(Hook::ResetTransaction), move |question: &Question<'_>| {
            assert!(question.context.transaction.is_some(), "the transaction is still there");
            hears.lock().unwrap().push(format!("{:?}", question.context.subject));
            Outcome::next()
        });
        let mut rehearsal = greeted([bind("hears", listens)].into_iter().chain(more).collect());
        send(&mut rehearsal, b"MAIL FROM:<a@client.example>\r\n");
        if octets.is_empty() {
            block_on(rehearsal.hang_up());
        }
        if send(&mut rehearsal, octets).ends_with("354 Start mail input; end with <CRLF>.<CRLF>\r\n") {
            send(&mut rehearsal, MESSAGE);
        }
        let heard = heard.lock().unwrap();
        assert!(heard.len() == 1 && heard[0].starts_with(&format!("Fate({fate}")), "{fate}: {heard:?}");
        assert!(rehearsal.context().transaction.is_none() && rehearsal.ended().len() == 1);
    }
}

#[test]
fn a_refusal_may_be_overturned_once_and_only_by_one_who_may() {
    let refuses = |hook| says(at(hook), Verdict::Deny(None), vec![]);
    let overturns = || {
        bind(
            "mercy",
            Native(at(Hook::Deny), |_: &Question<'_>| Outcome { verdict: Verdict::Accept(None), mutations: vec![] }),
        )
    };
    let early = [Hook::Connect, Hook::Ehlo, Hook::Mail, Hook::Rcpt, Hook::RcptOk, Hook::Data];
    for hook in early.into_iter().chain([Hook::Part, Hook::DataPost, Hook::Queue]) {
        let mut rehearsal = rehearsal(vec![refuses(hook), overturns()]);
        assert!(block_on(rehearsal.greeting()).starts_with(b"220 "));
        send(&mut rehearsal, HELLO);
        assert!(deliver(&mut rehearsal).starts_with("250 2.0.0 Queued"), "{hook}");
        assert_eq!(asked(&rehearsal).iter().filter(|step| *step == "mercy@deny").count(), 1, "{hook}");
    }
    let powerless = Binding { grants: Grants::default(), ..overturns() };
    let mut rehearsal = greeted(vec![refuses(Hook::Mail), powerless]);
    assert_eq!(send(&mut rehearsal, b"MAIL FROM:<a@b>\r\n"), "550 5.7.1 Sender denied\r\n");
    let faulty = bind("broken", Broken(Hook::Mail));
    let mut rehearsal = greeted(vec![faulty, overturns()]);
    assert!(send(&mut rehearsal, b"MAIL FROM:<a@b>\r\n").starts_with("451 4.3.0"), "a fault is not overturned");
}

#[test]
fn a_plugin_may_know_a_command_that_the_host_does_not() {
    let judge = |question: &Question<'_>| {
        let verdict = match &question.context.connection.current_line[..] {
            b"XHELLO" => Verdict::Accept(Some(ReplyText { lines: vec!["hello".into()], ..ReplyText::default() })),
            b"XNOTHING" => Verdict::ReadAs("NOOP".into()),
            b"XLOOP" => Verdict::ReadAs("XLOOP".into()),
            b"XFROM" => Verdict::ReadAs("MAIL FROM:<a@b.example>".into()),
            b"XFORGED" => Verdict::ReadAs("NOOP\r\nQUIT".into()),
            _ => Verdict::Next,
        };
        Outcome { verdict, mutations: vec![] }
    };
    let mut rehearsal = greeted(vec![bind("knows", Native(at(Hook::UnrecognizedCommand), judge))]);
    for (line, reply) in [
        ("XHELLO", "250 2.0.0 hello\r\n"),
        ("XNOTHING", "250 2.0.0 OK\r\n"),
        ("XLOOP", "500 5.5.1 Unknown command\r\n"),
        ("XOTHER", "500 5.5.1 Unknown command\r\n"),
        ("XFROM", "250 2.1.0 Sender accepted\r\n"),
        ("XFORGED", "451 4.3.0 Policy is out of order; try again later\r\n"),
    ] {
        assert_eq!(send(&mut rehearsal, format!("{line}\r\n").as_bytes()), reply, "{line}");
    }
}

#[test]
fn plugins_offer_extensions_of_their_own_and_no_others() {
    let offers = |name: &str, lines: &[&str]| {
        let mutations = lines.iter().map(|line| Mutation::AddCapability((*line).into())).collect();
        let outcome = Outcome { verdict: Verdict::Next, mutations };
        bind(name, Native(at(Hook::Capabilities), move |_: &Question<'_>| outcome.clone()))
    };
    let mut rehearsal = rehearsal(vec![
        offers("good", &["X-ONE", "X-TWO a=1"]),
        offers("bad", &["X-THREE", "AUTH PLAIN"]),
        offers("forger", &["X-FOUR\r\n250 X-FIVE"]),
    ]);
    block_on(rehearsal.greeting());
    let reply = send(&mut rehearsal, HELLO);
    assert!(reply.contains("250-X-ONE\r\n250-X-TWO a=1\r\n250 "), "{reply}");
    assert!(!reply.contains("AUTH") && !reply.contains("X-THREE") && !reply.contains("X-FOUR"), "{reply}");
    assert!(!send(&mut rehearsal, HELLO).matches("X-ONE").count() > 1, "they are asked anew each time");
}

#[test]
fn a_message_that_is_durable_is_told_of_and_can_be_changed_no_more() {
    let remove = vec![Mutation::RemoveRecipient { position: 0 }];
    let note = |question: &Question<'_>| {
        let Subject::QueueId(id) = &question.context.subject else { panic!("the queue's name for it is missing") };
        let set = Mutation::SetNote { scope: Scope::Connection, pointer: "/id".into(), value: id.as_str().into() };
        Outcome { verdict: Verdict::Next, mutations: vec![set] }
    };
    let mut rehearsal =
        greeted(vec![says(at(Hook::QueueOk), Verdict::Next, remove), bind("notes", Native(at(Hook::QueueOk), note))]);
    assert!(deliver(&mut rehearsal).starts_with("250 2.0.0 Queued as 1"));
    assert_eq!(rehearsal.context().notes.get("/id"), Some(&"1".into()));
    let steps = rehearsal.ended()[0].transaction.trail.steps();
    let rejected: Vec<_> = steps.iter().filter(|step| step.fault).map(|step| (&*step.plugin, step.verdict)).collect();
    assert_eq!(rejected, [("says", "rejected")]);
}

#[test]
fn a_relaying_clients_message_goes_another_way() {
    for (relaying, hook) in [(false, "queue"), (true, "queue-outbound")] {
        let relay = says(at(Hook::Connect), Verdict::Next, vec![Mutation::SetRelaying(relaying)]);
        let queues: &'static [Hook] = &[Hook::Queue, Hook::QueueOutbound];
        let looks = bind("looks", Native(queues, |_: &Question<'_>| Outcome::next()));
        let mut rehearsal = rehearsal(vec![relay, looks]);
        block_on(rehearsal.greeting());
        send(&mut rehearsal, HELLO);
        deliver(&mut rehearsal);
        let of_queue: Vec<_> = asked(&rehearsal).into_iter().filter(|step| step.starts_with("looks")).collect();
        assert_eq!(of_queue, [format!("looks@{hook}")]);
    }
}
