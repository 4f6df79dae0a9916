//! The contract is neutral between languages: the same plugin, written in each, holds the same dialogues.
//!
//! Rust, C and JavaScript are built in every run; one whose compiler is missing is passed over on a desk, and fails where
//! `WASMAIL_REQUIRE_PEERS` is set. Python's and Go's compilers are large, so they are passed over everywhere but where
//! `WASMAIL_REQUIRE_LANGUAGES` is set; guest-sdk/README.md says how to have them all.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use support::{LANGUAGES, PEERS};
use wasmail_testkit::{Grant, Kit};

/// Holds the example of a language to the dialogues.
fn hold(example: &str, required: &[&str]) {
    let examples = support::root().join("guest-sdk");
    let Some(built) = support::built(&examples.join(example), required) else { return };
    let kit = Kit::of_component(&built.octets, examples.join("example"));
    let info = kit.info();
    assert_eq!(info.manifest.name, "example");
    let hooks: Vec<_> = info.hooks.iter().map(|hook| hook.name()).collect();
    assert_eq!(hooks, ["connect", "mail", "rcpt", "data-post"]);
    assert_eq!(info.manifest.reads_notes, ["/example/seen", "/example/recipients"]);
    kit.run_dialogs(Path::new("."));
    kit.clone().config(serde_json::json!({ "domains": ["example.test"] })).run_text(&many_recipients());
    let greeting = kit.clone().config(serde_json::json!({ "greeting": "hello" }));
    greeting.run_text(&senders(["stranger"; 3]));
    greeting.grant(Grant::Kv).run_text(&senders(["1", "2", "1"]));
    let unknown = kit.config(serde_json::json!({ "domain": [] })).check_config().expect_err("the key is unknown");
    assert!(unknown.contains("domain"), "{unknown}");
}

/// What somebody is told who comes twice, and somebody else: a value, or a refusal, crosses the border of a capability.
fn senders(told: [&str; 3]) -> String {
    let mut dialog = "# Who comes is counted.\nS: 220 *\nC: EHLO client.example\nS: 250...\n".to_owned();
    for (sender, told) in ["a@client.example", "a@client.example", "b@client.example"].into_iter().zip(told) {
        let _ = write!(dialog, "C: MAIL FROM:<{sender}>\nS: 250 2.1.0 hello, {told}\nC: RSET\nS: 250 *\n");
    }
    dialog
}

/// A plugin answers as often as it is asked, though its garbage is collected meanwhile: each question brings all recipients
/// that there are, so that it is some 50 MB in the end.
fn many_recipients() -> String {
    let mut dialog = "# Many recipients.\nS: 220 *\nC: EHLO client.example\nS: 250...\n\
                      C: MAIL FROM:<a@client.example>\nS: 250 2.1.0 *\n"
        .to_owned();
    for number in 0..900 {
        let _ = write!(dialog, "C: RCPT TO:<b{number}@example.test>\nS: 250 2.1.5 *\n");
    }
    dialog
}

/// Writes a project, as an author would, and tests it twice: as it is, and with a dialogue that cannot hold.
#[allow(clippy::print_stderr, reason = "who is passed over wants to know why")]
fn new_project(language: &str, required: &[&str]) {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let project = dir.path().join("not-from");
    let wasmail = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmail"));
        command.args(["plugin"]).args(arguments).current_dir(dir.path()).output().expect("it runs")
    };
    let said = |output: &Output| format!("{}{}", lossy(&output.stdout), lossy(&output.stderr));
    let written = wasmail(&["new", "not-from", "--lang", language]);
    assert!(written.status.success(), "{}", said(&written));
    // As `npm ci` would have it, without the network.
    let modules = support::root().join("guest-sdk/js/node_modules");
    symlink(modules, project.join("node_modules")).expect("a link can be made");
    let tested = wasmail(&["test", "not-from"]);
    if said(&tested).contains("is needed and was not found") && !support::is_required(required) {
        eprintln!("passed over: {}", said(&tested));
        return;
    }
    assert!(tested.status.success() && said(&tested).contains("1 of 1 dialogues hold"), "{}", said(&tested));
    let dialog = project.join("dialogs/refused.txt");
    let text = fs::read_to_string(&dialog).expect("it was written");
    fs::write(&dialog, text.replace("550 5.7.1 We", "550 5.7.1 You")).expect("it can be written");
    let tested = wasmail(&["test", "not-from"]);
    assert_eq!(tested.status.code(), Some(1), "{}", said(&tested));
    assert!(
        said(&tested).contains("0 of 1 dialogues hold") && said(&tested).contains("We take no"),
        "{}",
        said(&tested)
    );
    // A mistake is the compiler's to tell.
    let built = wasmail(&["build", "nowhere"]);
    assert!(said(&built).contains("there is no wasmail-plugin.toml in nowhere"), "{}", said(&built));
}

fn lossy(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[test]
fn a_new_project_in_c_passes_its_test() {
    new_project("c", &[PEERS, LANGUAGES]);
}

#[test]
fn a_new_project_in_javascript_passes_its_test() {
    new_project("javascript", &[PEERS, LANGUAGES]);
}

#[test]
fn a_new_project_in_go_passes_its_test() {
    new_project("go", &[LANGUAGES]);
}

#[test]
fn a_new_project_in_python_passes_its_test() {
    new_project("python", &[LANGUAGES]);
}

#[test]
fn rust() {
    hold("rust/example", &[PEERS, LANGUAGES]);
}

#[test]
fn c() {
    hold("c/example", &[PEERS, LANGUAGES]);
}

#[test]
fn javascript() {
    hold("js/example", &[PEERS, LANGUAGES]);
}

#[test]
fn python() {
    hold("python/example", &[LANGUAGES]);
}

#[test]
fn go() {
    hold("go/example", &[LANGUAGES]);
}

#[test]
fn typescript() {
    hold("js/typescript", &[LANGUAGES]);
}
