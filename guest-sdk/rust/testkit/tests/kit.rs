//! The kit as an author meets it: with a crate, compiled on the spot.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use wasmail_testkit::Kit;

fn local_domains() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../plugins/local-domains")
}

fn kit() -> Kit {
    Kit::of_crate(local_domains()).config(json!({"domains": ["example.test"]}))
}

#[test]
fn a_plugin_is_compiled_and_asked_step_by_step() {
    let mut session = kit().connect();
    assert!(session.greeting().starts_with("220 mx.example.test"));
    session.expect("EHLO client.example", "250");
    session.expect("MAIL FROM:<a@client.example>", "250");
    session.expect("RCPT TO:<b@elsewhere.example>", "550 5.7.1");
    session.expect("RCPT TO:<b@example.test>", "250");
    let steps = session.context().transaction.as_ref().unwrap().trail.steps();
    let said: Vec<_> = steps.iter().map(|step| (&*step.plugin, step.verdict)).collect();
    assert_eq!(said, [("local-domains", "next"), ("local-domains", "accept")]);
    session.expect("QUIT", "221");
    assert!(session.is_closed() && session.messages().is_empty());
}

#[test]
fn a_message_is_delivered_whole() {
    let mut session = kit().connect();
    let answer = session.deliver("a@client.example", "b@example.test", "Subject: hi\n\n.a line with a dot\n");
    assert!(answer.starts_with("250"), "{}", session.transcript());
    let message = &session.messages()[0];
    assert_eq!(message.body, b".a line with a dot\r\n");
    assert!(String::from_utf8_lossy(&message.header).contains("Subject: hi\r\n"));
}

#[test]
fn a_configuration_that_the_plugin_refuses_is_told_in_its_words() {
    let why = kit().config(json!({"domains": ["*.test"]})).check_config().unwrap_err();
    assert!(why.contains("local-domains: the plugin refuses its configuration: domains[0]: `*.test`"), "{why}");
    assert_eq!(kit().check_config(), Ok(()));
}

#[test]
fn other_plugins_stand_beside_it() {
    let stranger: IpAddr = "198.51.100.7".parse().unwrap();
    let kit = kit().beside("relay", json!({"networks": ["192.0.2.0/24"]}));
    let relayed = |mut session: wasmail_testkit::Session| {
        session.expect("EHLO client.example", "250");
        session.expect("MAIL FROM:<a@client.example>", "250");
        session.send("RCPT TO:<b@elsewhere.example>")
    };
    assert!(relayed(kit.connect()).starts_with("250"));
    assert!(relayed(kit.from(stranger).connect()).starts_with("550"));
}

#[test]
fn a_dialogue_that_goes_wrong_is_shown_whole() {
    let text = "# A stranger is refused.\n@ plugin local-domains\nS: 220 *\nC: EHLO a.example\nS: 250...\n\
                C: MAIL FROM:<a@a.example>\nS: 250 *\nC: RCPT TO:<b@example.test>\nS: 550 *\n";
    let failed = std::panic::catch_unwind(|| kit().run_text(text)).unwrap_err();
    let message = failed.downcast_ref::<String>().unwrap();
    assert!(message.contains("(text):9: A stranger is refused."), "{message}");
    assert!(message.contains("expected: 550 *") && message.contains("got:      250 2.1.5"), "{message}");
}

#[test]
fn a_plugin_that_nobody_knows_is_named() {
    let why = std::panic::catch_unwind(|| kit().run_text("# t\n@ plugin tea {}\nS: 220 *\n")).unwrap_err();
    assert!(why.downcast_ref::<String>().unwrap().contains("no plugin is called `tea`"));
}

#[test]
fn the_component_describes_itself() {
    let info = kit().info();
    assert_eq!((info.manifest.name.as_str(), info.configurable), ("local-domains", true));
}
