use wasmail_guest::{Recipient, rt};

use super::*;

const MESSAGE: &str = "From: Bea <bea@example.org>\nTo: Anna <Anna@example.test>\nSubject: lunch?\nMessage-ID: <1@example.org>\n\nToday?\n";

fn plugin() -> Vacation {
    let away = Away {
        addresses: vec!["anna@example.test".into()],
        text: "I am away.\nTry Bob.".into(),
        subject: None,
        from: Some("Anna <anna@example.test>".into()),
    };
    Vacation::configure(Config { away: vec![away], days: 7 }).unwrap()
}

/// Puts a message through both hooks; what was sent.
fn sent(plugin: &Vacation, sender: &str, message: &str) -> Vec<String> {
    let mut t = Transaction::example(sender);
    t.recipients = vec![Recipient { address: "anna@example.test".into(), parameters: Vec::new() }];
    let outcome = plugin.data_post(&Connection::example(), &t, &Message::example(message));
    t.notes.extend(outcome.mutations.into_iter().filter_map(|mutation| match mutation {
        wasmail_guest::Mutation::SetNote(note) => {
            Some(wasmail_guest::Note { pointer: note.pointer, value: note.value })
        }
        _ => None,
    }));
    plugin.queue_ok(&Connection::example(), &t, "1");
    inject::sent().into_iter().map(|message| String::from_utf8(message.content).unwrap()).collect()
}

#[test]
fn a_sender_is_answered_once() {
    let plugin = plugin();
    let answers = sent(&plugin, "bea@example.org", MESSAGE);
    assert_eq!(
        answers,
        [
            "From: Anna <anna@example.test>\nTo: <bea@example.org>\nSubject: Auto: lunch?\nIn-Reply-To: <1@example.org>\n\
          References: <1@example.org>\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n\
          Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nI am away.\nTry Bob.\n"
        ]
    );
    assert!(sent(&plugin, "BEA@example.org", MESSAGE).is_empty());
    assert_eq!(sent(&plugin, "carl@example.org", MESSAGE).len(), 1);
}

#[test]
fn machines_and_lists_are_not_answered() {
    let plugin = plugin();
    let with = |field: &str| format!("{field}\n{MESSAGE}");
    for (sender, message) in [
        ("", MESSAGE.to_owned()),
        ("owner-list@example.org", MESSAGE.to_owned()),
        ("MAILER-DAEMON@example.org", MESSAGE.to_owned()),
        ("anna@example.test", MESSAGE.to_owned()),
        ("a@example.org", with("Auto-Submitted: auto-replied")),
        ("a@example.org", with("List-Id: <l.example.org>")),
        ("a@example.org", with("Precedence: bulk")),
        ("a@example.org", MESSAGE.replace("Anna@example.test", "team@example.test")),
    ] {
        assert!(sent(&plugin, sender, &message).is_empty(), "{sender}: {message}");
    }
    assert_eq!(sent(&plugin, "a@example.org", &with("Auto-Submitted: no")).len(), 1);
}

#[test]
fn mistakes_are_named() {
    let check = |json: &str| rt::make::<Vacation>(json).map(drop);
    for (json, text) in [
        (r#"{"days": 0}"#, "days: "),
        (r#"{"away": [{"addresses": [], "text": "x"}]}"#, "away[0].addresses: "),
        (r#"{"away": [{"addresses": ["a"], "text": "x"}]}"#, "away[0].addresses: `a` is no address"),
        (r#"{"away": [{"addresses": ["a@b"], "text": ""}]}"#, "away[0].text: "),
        (r#"{"away": [{"addresses": ["a@b"], "text": "x", "subject": "a\nb"}]}"#, "away[0].subject and from: "),
        (r#"{"away": [{"addresses": ["a@b"], "text": "x", "from": "a"}]}"#, "away[0].from: "),
    ] {
        assert!(check(json).is_err_and(|why| why.starts_with(text)), "{json}: {:?}", check(json));
    }
}

#[test]
fn the_schema_is_that_of_the_type() {
    wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
}
