use super::*;
use wasmail_guest::{Counters, ObjectingVerdict, rt};

fn plugin(json: &str) -> Greylist {
    rt::make(json).unwrap()
}

/// Asks about a recipient, so many seconds later.
fn ask(plugin: &Greylist, ip: &str, recipient: &str, later: u64) -> ObjectingOutcome {
    let c = Connection::example().from_ip(ip);
    let c = Connection { counters: Counters { started: 1_000_000 + later, ..c.counters }, ..c };
    plugin.rcpt_ok(&c, &Transaction::example("a@example.org"), &Recipient::example(recipient))
}

fn passed(what: &str) -> ObjectingOutcome {
    ObjectingOutcome::next().pass(Scope::Transaction, what)
}

#[test]
fn a_stranger_comes_back_and_is_known_from_then_on() {
    let plugin = plugin("{}");
    let ask = |ip, later| ask(&plugin, ip, "b@example.test", later);
    let ObjectingVerdict::DenySoft(Some(reply)) = ask("9.8.7.6", 0).verdict else { panic!("it has to come back") };
    assert_eq!((reply.code, reply.lines), (Some(451), vec!["Greylisted; come back later".to_owned()]));
    assert!(!ask("9.8.7.6", 299).is_next());
    // From a neighbour, as large senders do.
    assert_eq!(ask("9.8.7.99", 300), passed("back"));
    assert_eq!(ask("9.8.7.6", 301), passed("known"));
    assert!(!ask("9.8.8.6", 302).is_next());
}

#[test]
fn case_means_nothing_and_another_recipient_is_another_triplet() {
    let plugin = plugin("{}");
    assert!(!ask(&plugin, "9.8.7.6", "b@example.test", 0).is_next());
    assert!(ask(&plugin, "9.8.7.6", "B@EXAMPLE.test", 400).is_next());
    assert!(!ask(&plugin, "9.8.7.6", "c@example.test", 400).is_next());
}

#[test]
fn a_network_whose_mail_comes_back_is_believed() {
    let plugin = plugin(r#"{"known_after": 2}"#);
    for recipient in ["a@example.test", "b@example.test"] {
        assert!(!ask(&plugin, "2001:db8::1", recipient, 0).is_next());
        assert_eq!(ask(&plugin, "2001:db8::2", recipient, 400), passed("back"));
    }
    assert_eq!(ask(&plugin, "2001:db8::3", "c@example.test", 400), passed("network"));
    assert!(!ask(&plugin, "2001:db8:1::3", "c@example.test", 400).is_next());
}

#[test]
fn mail_goes_on_when_the_store_fails() {
    kv::pretend(Some(Failure::TimedOut));
    let outcome = ask(&plugin("{}"), "9.8.7.6", "b@example.test", 0);
    assert_eq!(outcome, ObjectingOutcome::next().err(Scope::Transaction, "the store fails: Failure::TimedOut"));
}

#[test]
fn our_own_clients_need_not_come_back() {
    assert!(ask(&plugin("{}"), "127.0.0.1", "b@example.test", 0).is_next());
}

#[test]
fn long_addresses_have_short_keys_that_differ() {
    let long = |last: char| key("203.0.113.0/24", &format!("{}{last}@a", "x".repeat(300)), &"y".repeat(300));
    assert!(long('1').len() <= KEY_MAX);
    assert_ne!(long('1'), long('2'));
}

#[test]
fn mistakes_are_named_by_their_key() {
    let error = |json| rt::make::<Greylist>(json).err().unwrap();
    assert!(error(r#"{"ipv4_prefix": 33}"#).starts_with("ipv4_prefix and ipv6_prefix"));
    assert!(error(r#"{"delay_s": 60, "wait_s": 60}"#).starts_with("wait_s: must be longer"));
}

#[test]
fn the_schema_is_that_of_the_type() {
    wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
}
