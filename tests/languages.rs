//! The contract is neutral between languages: the same plugin, written in each, holds the same dialogues.
//!
//! Rust, C and JavaScript are built in every run; one whose compiler is missing is passed over on a desk, and fails where
//! `WASMAIL_REQUIRE_PEERS` is set.

mod support;

use std::path::Path;

use wasmail_plugin_build::BuildError;
use wasmail_testkit::Kit;

/// Holds the example of a language to the dialogues.
#[allow(clippy::print_stderr, reason = "who is passed over wants to know why")]
fn hold(language: &str) {
    let examples = support::root().join("guest-sdk");
    let built = match wasmail_plugin_build::build(&examples.join(language).join("example")) {
        Err(BuildError::NoTool { what, help }) if std::env::var_os("WASMAIL_REQUIRE_PEERS").is_none() => {
            eprintln!("passed over: {what} is not here; {help}");
            return;
        }
        built => built.unwrap_or_else(|error| panic!("{error}")),
    };
    let kit = Kit::of_component(&built.octets, examples.join("example"));
    let info = kit.info();
    assert_eq!(info.manifest.name, "example");
    let hooks: Vec<_> = info.hooks.iter().map(|hook| hook.name()).collect();
    assert_eq!(hooks, ["connect", "mail", "rcpt", "data-post"]);
    assert_eq!(info.manifest.reads_notes, ["/example/seen", "/example/recipients"]);
    kit.run_dialogs(Path::new("."));
    let unknown = kit.config(serde_json::json!({ "domain": [] })).check_config().expect_err("the key is unknown");
    assert!(unknown.contains("domain"), "{unknown}");
}

#[test]
fn rust() {
    hold("rust");
}

#[test]
fn c() {
    hold("c");
}

#[test]
fn javascript() {
    hold("js");
}
