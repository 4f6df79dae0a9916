//! What the client hears for each verdict at each hook: played, and compared with the table in `wit/README.md`.
//!
//! `WASMAIL_BLESS=1 cargo test -p wasmail-smtp --test table` writes the table anew.

mod common;

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use common::{Broken, Native, bind, block_on, config, connection, local_domains, now};
use wasmail_policy::{Binding, Chain, FaultRule, Hook, Outcome, Question, Verdict};
use wasmail_smtp::{AuthConfig, Rehearsal, SessionConfig};

const BEGIN: &str = "<!-- played by host/smtp/tests/table.rs -->\n";
const END: &str = "<!-- end -->\n";

/// The hooks whose verdicts are answered, with what the client says up to them.
const SCENES: [(Hook, &[&str]); 17] = [
    (Hook::LookupRdns, &[]),
    (Hook::Connect, &[]),
    (Hook::Helo, &["HELO c.example"]),
    (Hook::Ehlo, &["EHLO c.example"]),
    (Hook::Auth, &["EHLO c.example", "AUTH PLAIN AHRpbQBzZWNyZXQ="]),
    (Hook::UnrecognizedCommand, &["XGREET you"]),
    (Hook::Noop, &["NOOP"]),
    (Hook::Vrfy, &["VRFY a"]),
    (Hook::Mail, &["HELO c.example", MAIL]),
    (Hook::Rcpt, &["HELO c.example", MAIL, RCPT]),
    (Hook::RcptOk, &["HELO c.example", MAIL, RCPT]),
    (Hook::Data, &["HELO c.example", MAIL, RCPT, "DATA"]),
    (Hook::MaxDataExceeded, &["HELO c.example", MAIL, RCPT, "DATA", LARGE]),
    (Hook::Part, &["HELO c.example", MAIL, RCPT, "DATA", SMALL]),
    (Hook::DataPost, &["HELO c.example", MAIL, RCPT, "DATA", SMALL]),
    (Hook::Queue, &["HELO c.example", MAIL, RCPT, "DATA", SMALL]),
    (Hook::QueueOutbound, &["HELO c.example", MAIL, RCPT, "DATA", SMALL]),
];
const MAIL: &str = "MAIL FROM:<a@c.example>";
const RCPT: &str = "RCPT TO:<b@example.test>";
const SMALL: &str = "Subject: x\r\n\r\nhello\r\n.";
const LARGE: &str =
    "Subject: x\r\n\r\n1234567890\r\n1234567890\r\n1234567890\r\n1234567890\r\n1234567890\r\n1234567890\r\n.";

/// How a plugin answers.
enum Answer {
    Verdict(Verdict),
    Fault(FaultRule),
}

/// Whether the type of the hook in `wit/hooks.wit` has the verdict.
fn exists(hook: Hook, answer: &Answer) -> bool {
    let accepts = !matches!(hook, Hook::RcptOk | Hook::MaxDataExceeded);
    accepts || !matches!(answer, Answer::Verdict(Verdict::Accept(_)))
}

fn binding(hook: Hook, answer: &Answer) -> Binding {
    let at = &Hook::ALL[hook as usize..=hook as usize];
    match answer {
        Answer::Fault(rule) => Binding { on_fault: *rule, ..bind("p", Broken(hook)) },
        Answer::Verdict(verdict) => {
            let outcome = Outcome { verdict: verdict.clone(), mutations: Vec::new() };
            bind("p", Native(at, move |_: &Question<'_>| outcome.clone()))
        }
    }
}

/// The last reply of a session in which a plugin answers so at the hook, and whether the server closed.
fn play(hook: Hook, lines: &[&str], answer: &Answer) -> String {
    let chain = Chain::new(vec![binding(hook, answer), local_domains()]);
    let mut limits = config().limits;
    limits.message_size = 64;
    let mut connection = connection();
    connection.relaying = hook == Hook::QueueOutbound;
    let auth = AuthConfig { without_tls: true, ..AuthConfig::default() };
    let config = SessionConfig { limits, auth: Some(auth), ..config() };
    let mut rehearsal = Rehearsal::new(config, Arc::new(chain), connection, now());
    let mut reply = block_on(rehearsal.greeting());
    for line in lines {
        reply = block_on(rehearsal.send(format!("{line}\r\n").as_bytes()));
    }
    let reply = String::from_utf8(reply).expect("replies are UTF-8");
    let last = reply.lines().next_back().unwrap_or("nothing");
    format!("{last}{}", if rehearsal.is_closed() { ", and close" } else { "" })
}

fn row(hook: Hook, lines: &[&str]) -> String {
    let answers = [
        Answer::Verdict(Verdict::Next),
        Answer::Verdict(Verdict::Accept(None)),
        Answer::Verdict(Verdict::Deny(None)),
        Answer::Verdict(Verdict::DenySoft(None)),
        Answer::Fault(FaultRule::Defer),
        Answer::Fault(FaultRule::Reject),
    ];
    let cells = answers.map(|answer| if exists(hook, &answer) { play(hook, lines, &answer) } else { String::new() });
    let closing = [Verdict::DenyDisconnect(None), Verdict::DenySoftDisconnect(None), Verdict::Disconnect];
    for (at, verdict) in closing.into_iter().enumerate() {
        let name = verdict.name();
        let heard = play(hook, lines, &Answer::Verdict(verdict));
        let open = cells.get(at + 2).filter(|_| at < 2).map_or("nothing", |cell| cell.trim_end_matches(", and close"));
        assert_eq!(heard, format!("{open}, and close"), "{name} at {hook}");
    }
    format!("| `{hook}` | {} |\n", cells.join(" | "))
}

fn table() -> String {
    let mut table = String::from(BEGIN);
    table.push_str("| hook | next | accept | deny | deny-soft | fault, `defer` | fault, `reject` |\n");
    table.push_str("|---|---|---|---|---|---|---|\n");
    for (hook, lines) in SCENES {
        let _ = write!(table, "{}", row(hook, lines));
    }
    table.push_str(END);
    table
}

#[test]
fn the_table_of_replies_is_what_a_client_hears() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/README.md");
    let page = std::fs::read_to_string(&path).expect("wit/README.md is there");
    let begin = page.find(BEGIN).expect("the table begins");
    let end = page.find(END).expect("the table ends") + END.len();
    let table = table();
    if std::env::var_os("WASMAIL_BLESS").is_some() {
        std::fs::write(&path, [&page[..begin], &table, &page[end..]].concat()).expect("wit/README.md can be written");
    } else {
        assert_eq!(&page[begin..end], table, "bless it, then read the difference");
    }
}

#[test]
fn hooks_without_a_row_decide_nothing() {
    let rows: Vec<Hook> = SCENES.iter().map(|(hook, _)| *hook).collect();
    for hook in Hook::ALL {
        assert_eq!(rows.contains(&hook) || hook == Hook::Deny, !hook.reaches_all(), "{hook}");
    }
}
