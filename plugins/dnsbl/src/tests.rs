use super::*;
use wasmail_guest::{ConnectVerdict, rt};

fn plugin(json: &str) -> Dnsbl {
    rt::make(json).unwrap()
}

const TWO: &str = r#"{"zones": [{"zone": "bad.example"}, {"zone": "good.example", "score": -1}]}"#;

/// The address that the lists give for the client 203.0.113.9, if they have it.
fn lists(bad: Option<&'static str>, good: Option<&'static str>) {
    dns::pretend(move |query| {
        let answer = match query.name.as_str() {
            "9.113.0.203.bad.example" => bad,
            "9.113.0.203.good.example" => good,
            other => panic!("asked for {other}"),
        };
        Ok(answer.map_or_else(Answer::no_such_name, |ip| Answer::found([Data::A(ip.into())])))
    });
}

fn text(outcome: &ConnectOutcome) -> String {
    match &outcome.verdict {
        ConnectVerdict::DenyDisconnect(Some(reply)) => reply.lines.join("|"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_listed_client_is_refused_and_told_by_whom() {
    lists(Some("127.0.0.2"), None);
    let outcome = plugin(TWO).connect(&Connection::example());
    assert_eq!(text(&outcome), "203.0.113.9 is listed by bad.example");
}

#[test]
fn a_good_list_weighs_against_a_bad_one() {
    lists(Some("127.0.0.2"), Some("127.0.0.5"));
    let outcome = plugin(TWO).connect(&Connection::example());
    let expected = ConnectOutcome::next()
        .set(Scope::Connection, "score", 0.0)
        .fail(Scope::Connection, "bad.example")
        .fail(Scope::Connection, "good.example")
        .set_note(Scope::Connection, "/dnsbl/listed", ["bad.example", "good.example"]);
    assert_eq!(outcome, expected);
}

#[test]
fn an_unlisted_client_passes() {
    lists(None, None);
    let outcome = plugin(TWO).connect(&Connection::example());
    assert_eq!(outcome, ConnectOutcome::next().pass(Scope::Connection, "unlisted"));
}

#[test]
fn an_answer_that_is_an_error_lists_nobody() {
    lists(Some("127.255.255.254"), None);
    let outcome = plugin(TWO).connect(&Connection::example());
    let why = "bad.example: answers 127.255.255.254, which is none of its `answers`";
    let expected = ConnectOutcome::next().err(Scope::Connection, why).pass(Scope::Connection, "unlisted");
    assert_eq!(outcome, expected);
}

#[test]
fn mail_goes_on_when_no_list_answers() {
    dns::pretend(|_| Err(Failure::TimedOut));
    let outcome = plugin(TWO).connect(&Connection::example());
    assert!(outcome.is_next());
}

#[test]
fn our_own_clients_are_not_looked_up() {
    dns::pretend(|query| panic!("asked for {}", query.name));
    let local = Connection::example().from_ip("127.0.0.1");
    assert_eq!(plugin(TWO).connect(&local), ConnectOutcome::next().skip(Scope::Connection, "private"));
}

#[test]
fn the_score_can_be_left_to_others() {
    lists(Some("127.0.0.2"), None);
    let json = TWO.replacen('{', r#"{"reject_at": null, "#, 1);
    assert!(plugin(&json).connect(&Connection::example()).is_next());
}

#[test]
fn mistakes_are_named_by_their_key() {
    let error = |json| rt::make::<Dnsbl>(json).err().unwrap();
    assert_eq!(error(r#"{"zones": [{"zone": "a..b"}]}"#), "zones[0].zone: `a..b` is no name such as bl.example.org");
    let without = r#"{"zones": [{"zone": "a.b", "answers": []}]}"#;
    assert_eq!(error(without), "zones[0].answers: without one nobody is ever listed");
    assert!(error(r#"{"zones": [{"zone": "a.b", "answers": ["x"]}]}"#).starts_with("zones[0].answers[0]: `x` is"));
    assert!(error(r#"{"text": "a\nb"}"#).starts_with("text: expected one line"));
}

#[test]
fn the_schema_is_that_of_the_type() {
    wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
}

#[test]
fn halves_of_a_score_add_up() {
    dns::pretend(|_| Ok(Answer::found([Data::A("127.0.0.4".into())])));
    let json = r#"{"zones": [{"zone": "one.example", "score": 0.5}, {"zone": "two.example", "score": 0.5, "answers": ["127.0.0.4"]}], "text": "Listed by {zones}"}"#;
    assert_eq!(text(&plugin(json).connect(&Connection::example())), "Listed by one.example, two.example");
}
