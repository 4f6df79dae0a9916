//! Compiles the plugin to a component and holds the dialogues in `dialogs/` with it, in the sandbox it will run in.

#[test]
fn dialogues() {
    wasmail_testkit::kit!().run_dialogs("dialogs");
}

#[test]
fn a_sender_that_is_no_address_is_refused_with_its_place() {
    let kit = wasmail_testkit::kit!().config(serde_json::json!({ "senders": ["pest@example.org", "pest"] }));
    let error = kit.check_config().unwrap_err();
    assert!(error.contains("senders[1]: `pest` is no address"), "{error}");
}
