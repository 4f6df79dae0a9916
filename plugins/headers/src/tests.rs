use super::*;
use wasmail_guest::{Verdict, rt};

const DATE: &str = "Date: Thu, 1 Jan 2026 00:00:00 +0000\n";
const NOW: &str = "Thu, 1 Jan 2026 00:00:00 +0000";

fn ask(json: &str, c: &Connection, header: &str) -> Outcome {
    let plugin: Headers = rt::make(json).unwrap();
    plugin.data_post(c, &Transaction::example("a@example.org"), &Message::example(&format!("{header}\nbody\n")))
}

fn refused(header: &str) -> Option<String> {
    match ask("{}", &Connection::example(), header).verdict {
        Verdict::Deny(Some(reply)) => Some(reply.lines.join("\n")),
        _ => None,
    }
}

fn relaying() -> Connection {
    Connection { relaying: true, ..Connection::example() }
}

#[test]
fn an_ordinary_header_passes_untouched() {
    let header = format!("{DATE}From: Joe <joe@example.org>\nTo: b@example.test\nReceived: a\nReceived: b\n");
    assert_eq!(ask("{}", &Connection::example(), &header), Outcome::next());
}

#[test]
fn what_is_missing_or_stands_there_twice_is_refused() {
    assert_eq!(refused(DATE).as_deref(), Some("Field From is missing"));
    assert_eq!(refused("From: a@example.org\n").as_deref(), Some("Field Date is missing"));
    let twice = format!("{DATE}from: a@example.org\nFrom: b@example.org\n");
    assert_eq!(refused(&twice).as_deref(), Some("Field From stands there more than once"));
}

#[test]
fn a_senseless_date_or_author_is_refused() {
    let date = |date: &str| refused(&format!("Date: {date}\nFrom: a@example.org\n"));
    assert_eq!(date("today").as_deref(), Some("Field Date is no date"));
    assert_eq!(date("Thu, 1 Jan 2032 00:00:00 +0000").as_deref(), Some("Field Date lies in the future"));
    let from = |from: &str| refused(&format!("{DATE}From: {from}\n"));
    assert_eq!(from("Joe").as_deref(), Some("Field From holds no address such as user@example.org"));
    let several = "a@example.org, b@example.org";
    assert_eq!(from(several).as_deref(), Some("Field From names several authors, and no field Sender"));
    assert_eq!(from(&format!("{several}\nSender: a@example.org")), None);
}

#[test]
fn what_is_refused_is_recorded_where_it_lasts() {
    let outcome = ask("{}", &Connection::example(), "Date: today\n");
    let expected = Outcome::next().fail(Scope::Connection, "missing").fail(Scope::Connection, "date");
    assert_eq!(outcome.mutations, expected.mutations);
}

#[test]
fn what_is_only_recorded_passes() {
    let json = r#"{"checks": {"missing": "record", "date": "off"}, "required": ["From", "Date", "Subject"]}"#;
    let outcome = ask(json, &Connection::example(), "Date: today\nFrom: a@example.org\n");
    assert_eq!(outcome, Outcome::next().fail(Scope::Transaction, "missing"));
}

#[test]
fn our_own_clients_get_what_they_left_out() {
    let added = |outcome: Outcome, name: &str, value: &str| {
        outcome.add_header(name, value).msg(Scope::Transaction, format!("added {name}"))
    };
    let id = "<0192d4c5-0000-7000-8000-000000000000.1@mx.example.test>";
    let expected = added(added(Outcome::next(), "Date", NOW), "Message-ID", id);
    assert_eq!(ask("{}", &relaying(), "From: a@example.org\n"), expected);
    let strict = ask(r#"{"mend": false}"#, &relaying(), "From: a@example.org\n");
    assert!(matches!(strict.verdict, Verdict::Deny(Some(_))));
}

#[test]
fn a_senseless_date_of_our_own_client_is_replaced() {
    let header = "From: a@example.org\nDate: today\nMessage-ID: <a@b>\n";
    let expected = Outcome::next().replace_header(1, "Date", NOW).msg(Scope::Transaction, "replaced Date");
    assert_eq!(ask("{}", &relaying(), header), expected);
}

#[test]
fn mistakes_are_named_by_their_key() {
    let error = |json| rt::make::<Headers>(json).err().unwrap();
    assert_eq!(error(r#"{"required": ["From", "X Y"]}"#), "required[1]: `X Y` is no header field name");
    assert!(error(r#"{"date_past_days": -1}"#).starts_with("date_past_days: "));
    assert!(error(r#"{"checks": {"form": "off"}}"#).starts_with("checks.form: unknown field"));
}

#[test]
fn the_schema_is_that_of_the_type() {
    wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
}
