//! Messages whose parts plugins look at and edit, from the client's first octet to what is committed.

mod common;

use std::sync::Arc;

use common::{Native, bind, block_on, config, connection, local_domains, now};
use wasmail_mime::edit::{Banner, Replacement};
use wasmail_policy::{Binding, Chain, Hook, Mutation, Outcome, Question, Subject, Verdict};
use wasmail_smtp::Rehearsal;

const ENVELOPE: &str = "EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n";
const MESSAGE: &str = "\
Subject: x
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain

hello
--b
Content-Type: application/octet-stream; name=bad.exe

MZbad
--b
Content-Type: text/plain; name=notes.txt

notes
--b--
";

fn says(
    name: &str,
    hooks: &'static [Hook],
    answer: impl Fn(&Question<'_>) -> Vec<Mutation> + Send + Sync + 'static,
) -> Binding {
    let answer = move |question: &Question<'_>| Outcome { verdict: Verdict::Next, mutations: answer(question) };
    bind(name, Native(hooks, answer))
}

/// Sends the message through these plugins; returns the last reply, and the message as it was committed.
fn deliver(plugins: Vec<Binding>, message: &str) -> (String, Option<String>) {
    let chain = Chain::new(plugins.into_iter().chain([local_domains()]).collect());
    let mut rehearsal = Rehearsal::new(config(), Arc::new(chain), connection(), now());
    block_on(rehearsal.greeting());
    block_on(rehearsal.send(ENVELOPE.as_bytes()));
    let reply = block_on(rehearsal.send(format!("{}.\r\n", message.replace('\n', "\r\n")).as_bytes()));
    let committed = rehearsal.messages().first().map(|message| [&message.header[..], &message.body].concat());
    let text = committed.map(|octets| String::from_utf8(octets).unwrap().replace("\r\n", "\n"));
    (String::from_utf8(reply).unwrap(), text)
}

fn committed(plugins: Vec<Binding>, message: &str) -> String {
    let (reply, text) = deliver(plugins, message);
    text.unwrap_or_else(|| panic!("{reply}"))
}

fn banner(text: &str) -> Mutation {
    Mutation::AddBanner(Banner { text: Some(text.into()), html: Some(format!("<p>{text}</p>")) })
}

fn text(part: usize, content: &str) -> Mutation {
    let content = content.as_bytes().to_vec();
    Mutation::ReplacePart { part, replacement: Replacement { media_type: "text/plain".into(), name: None, content } }
}

/// The media types of the parts that a question shows.
fn seen(question: &Question<'_>) -> Vec<String> {
    let transaction = question.context.transaction.as_ref().unwrap();
    let body = question.body.unwrap();
    let tree = block_on(transaction.parts.tree(&transaction.facts.header, &**body)).unwrap();
    tree.parts.iter().map(|part| part.name.clone().unwrap_or_else(|| part.media_type.clone())).collect()
}

#[test]
fn a_plugin_at_part_takes_bad_files_out_and_the_others_see_it() {
    let removes = says("removes", &[Hook::Part], |question| {
        let Subject::Part { number, tree } = &question.context.subject else { panic!("no part") };
        let bad = tree.parts[*number].name.as_deref() == Some("bad.exe");
        if bad { vec![Mutation::RemovePart { part: *number }] } else { vec![] }
    });
    let looks = says("looks", &[Hook::DataPost], |question| {
        assert_eq!(seen(question), ["multipart/mixed", "text/plain", "notes.txt"]);
        vec![banner("seen")]
    });
    let last = says("last", &[Hook::Queue], |question| {
        let body = question.body.unwrap();
        let octets = block_on(body.read_at(0, 10_000)).unwrap();
        assert!(String::from_utf8(octets).unwrap().contains("hello\r\nseen\r\n--b\r\n"));
        vec![]
    });
    let text = committed(vec![removes, looks, last], MESSAGE);
    let expected = "\n\n--b\nContent-Type: text/plain\n\nhello\nseen\n--b\nContent-Type: text/plain; name=notes.txt\n\nnotes\n--b--\n";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn each_part_is_asked_about_once_whatever_becomes_of_the_others() {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let edits = says("edits", &[Hook::Part], move |question| {
        let Subject::Part { number, tree } = &question.context.subject else { panic!("no part") };
        let part = &tree.parts[*number];
        notes.lock().unwrap().push(part.name.clone().unwrap_or_default());
        match part.name.as_deref() {
            Some("bad.exe") => vec![Mutation::RemovePart { part: *number }],
            Some(_) => vec![text(*number, "replaced")],
            None => vec![banner("banner")],
        }
    });
    let text = committed(vec![edits], MESSAGE);
    assert_eq!(*asked.lock().unwrap(), ["", "bad.exe", "notes.txt"]);
    let expected = "hello\nbanner\n--b\nContent-Type: text/plain\nContent-Transfer-Encoding: 7bit\n\nreplaced\n--b--\n";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn all_edits_of_an_answer_speak_of_the_message_as_it_was_seen() {
    let edits = says("edits", &[Hook::DataPost], |_| {
        vec![Mutation::RemovePart { part: 1 }, text(3, "three"), text(2, "two"), banner("nowhere")]
    });
    let text = committed(vec![edits], MESSAGE);
    assert!(!text.contains("hello") && !text.contains("nowhere"), "{text}");
    assert!(text.find("two").unwrap() < text.find("three").unwrap());
}

#[test]
fn a_message_without_parts_is_replaced_with_what_its_header_says_of_it() {
    let edits = says("edits", &[Hook::DataPost], |_| {
        let name = "X-Seen".to_owned();
        vec![Mutation::PrependHeader { name, value: "yes".into() }, text(0, "gr\u{fc}n")]
    });
    let text = committed(vec![edits], "Subject: x\nContent-Type: text/html\n\n<p>bad\n");
    let expected = "Subject: x\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\nMIME-Version: 1.0\n\ngr=C3=BCn\n";
    assert!(text.contains("X-Seen: yes\n") && text.ends_with(expected), "{text}");
}

#[test]
fn one_bad_edit_undoes_the_whole_answer() {
    let header = || Mutation::AddHeader { name: "X-Trace".into(), value: "left".into() };
    let huge = || Replacement { media_type: "image/png".into(), name: None, content: vec![0; 13 * 1024 * 1024] };
    let bad: [fn() -> Vec<Mutation>; 6] = [
        || vec![Mutation::RemovePart { part: 9 }],
        || vec![Mutation::RemovePart { part: 0 }],
        || vec![Mutation::RemovePart { part: 2 }, text(2, "twice")],
        || vec![text(0, "around"), Mutation::RemovePart { part: 2 }],
        || vec![banner("a"), banner("b")],
        || vec![banner("")],
    ];
    let answers =
        bad.into_iter().map(|bad| bad()).chain([vec![Mutation::ReplacePart { part: 1, replacement: huge() }]]);
    for answer in answers {
        let all = [vec![header()], answer].concat();
        let shown = format!("{:?}", all.iter().map(Mutation::name).collect::<Vec<_>>());
        let edits = Binding {
            on_fault: wasmail_policy::FaultRule::Skip,
            ..says("edits", &[Hook::DataPost], move |_| all.clone())
        };
        let text = committed(vec![edits], MESSAGE);
        assert!(text.ends_with(MESSAGE), "{shown}: {text}");
    }
}

#[test]
fn before_the_message_is_there_no_part_can_be_edited() {
    let early = says("early", &[Hook::Data], |_| vec![banner("x")]);
    assert!(deliver(vec![early], MESSAGE).1.is_none());
    let other = says("other", &[Hook::Part], |_| vec![Mutation::RemovePart { part: 3 }]);
    assert!(deliver(vec![other], MESSAGE).0.starts_with("451 4.3.0"));
}
