//! What may be applied, what may not, and that it is all or nothing.

use super::*;
use crate::{ReplyText, ResultList};
use serde_json::json;
use wasmail_mail::{ForwardPath, Parameter, ReversePath, Transaction};

fn context() -> Context {
    let mut facts = Transaction::new("u.1".into(), ReversePath::Null, false);
    facts.recipients = vec![recipient("<a@example.test>"), recipient("<b@example.test>")];
    let mut context = Context::new(crate::fixture::connection());
    context.transaction = Some(TransactionContext::new(facts));
    context
}

fn recipient(path: &str) -> Recipient {
    Recipient { path: ForwardPath::parse(path).unwrap(), parameters: Vec::new() }
}

fn powers(grants: Grants) -> Powers<'static> {
    static ROUTES: std::sync::LazyLock<Vec<String>> =
        std::sync::LazyLock::new(|| vec!["archive".into(), "gateway".into()]);
    Powers { grants, routes: &ROUTES, own: None }
}

fn all_grants() -> Grants {
    Grant::ALL.into_iter().collect()
}

fn mutate(context: &mut Context, hook: Hook, mutations: Vec<Mutation>) -> Result<(), Rejected> {
    apply(context, "p", powers(all_grants()), hook, &Outcome { verdict: Verdict::Next, mutations })
}

fn note(pointer: &str) -> Mutation {
    Mutation::SetNote { scope: Scope::Transaction, pointer: pointer.into(), value: json!(1) }
}

#[test]
fn one_bad_mutation_undoes_all_the_others() {
    let mut context = context();
    let before = format!("{context:?}");
    let mutations = vec![
        note("/a"),
        Mutation::SetRelaying(true),
        Mutation::SetRemoteHost(Some("a.example".into())),
        Mutation::AddResult { scope: Scope::Connection, list: ResultList::Fail, text: "x".into() },
        Mutation::AddHeader { name: "X".into(), value: "1".into() },
        Mutation::AddRecipient(recipient("<c@example.test>")),
        Mutation::Delay(Duration::from_secs(1)),
        Mutation::SkipPlugin("q".into()),
        Mutation::AddHeader { name: "X".into(), value: "1\r\nBcc: a".into() },
    ];
    let rejected = mutate(&mut context, Hook::Mail, mutations).unwrap_err();
    assert_eq!(rejected.to_string(), "mutation 8 (add-header): header field value holds a control character");
    assert_eq!(format!("{context:?}"), before);
}

#[test]
fn mutations_are_applied_in_order() {
    let mut context = context();
    let rewrite =
        |position, address: &str| Mutation::RewriteRecipient { position, address: address.into(), parameters: None };
    let add = |name: &str| Mutation::AddHeader { name: name.into(), value: "1".into() };
    let mutations = vec![
        Mutation::RemoveRecipient { position: 0 },
        rewrite(0, "z@example.test"),
        add("A"),
        add("B"),
        Mutation::RemoveHeader { position: 0 },
    ];
    mutate(&mut context, Hook::DataPost, mutations).unwrap();
    let facts = &context.transaction.unwrap().facts;
    assert_eq!(facts.recipients, [recipient("<z@example.test>")]);
    assert_eq!(facts.header.to_octets(), b"B: 1\r\n\r\n");
}

#[test]
fn the_candidate_stands_behind_the_last_recipient() {
    let mut context = context();
    context.transaction.as_mut().unwrap().candidate = Some(recipient("<old@example.test>"));
    let rewrite =
        |position| Mutation::RewriteRecipient { position, address: "new@example.test".into(), parameters: None };
    mutate(&mut context, Hook::Rcpt, vec![rewrite(2)]).unwrap();
    assert_eq!(context.transaction.as_ref().unwrap().candidate, Some(recipient("<new@example.test>")));
    assert!(mutate(&mut context, Hook::Rcpt, vec![rewrite(3)]).is_err());
}

#[test]
fn privileges_are_needed() {
    let none = Grants::default();
    let accept = Outcome { verdict: Verdict::Accept(None), mutations: Vec::new() };
    let mut context = context();
    assert_eq!(
        apply(&mut context, "p", powers(none), Hook::Rcpt, &accept),
        Err(Rejected::NotGranted(Grant::AcceptRecipients))
    );
    assert_eq!(
        apply(&mut context, "p", powers(none), Hook::Queue, &accept),
        Err(Rejected::NotGranted(Grant::TakeMessages))
    );
    assert_eq!(apply(&mut context, "p", powers(none), Hook::Mail, &accept), Ok(()));
    for mutation in [
        Mutation::SetRelaying(true),
        Mutation::AddRecipient(recipient("<c@example.test>")),
        Mutation::RemoveRecipient { position: 0 },
        Mutation::SetReversePath(String::new()),
        Mutation::SetRoute(None),
        Mutation::Quarantine("odd".into()),
        Mutation::RewriteRecipient { position: 0, address: "c@example.test".into(), parameters: None },
    ] {
        let outcome = Outcome { verdict: Verdict::Next, mutations: vec![mutation] };
        assert!(apply(&mut context, "p", powers(none), Hook::Rcpt, &outcome).is_err());
    }
}

#[test]
fn relaying_belongs_to_the_transaction_when_there_is_one() {
    let mut context = context();
    mutate(&mut context, Hook::Mail, vec![Mutation::SetRelaying(true)]).unwrap();
    assert!(context.relaying() && !context.connection.relaying);
    context.transaction = None;
    assert!(!context.relaying());
    mutate(&mut context, Hook::Connect, vec![Mutation::SetRelaying(true)]).unwrap();
    assert!(context.connection.relaying);
}

#[test]
fn what_is_not_there_cannot_be_changed() {
    let mut context = context();
    let header = Mutation::RemoveHeader { position: 0 };
    assert!(mutate(&mut context, Hook::Mail, vec![header.clone()]).is_err());
    assert!(mutate(&mut context, Hook::DataPost, vec![header]).is_err());
    context.transaction = None;
    assert!(mutate(&mut context, Hook::Ehlo, vec![note("/a")]).is_err());
}

#[test]
fn everything_has_an_end() {
    let mut context = context();
    assert_eq!(mutate(&mut context, Hook::Mail, vec![note("/a"); 257]), Err(Rejected::TooMany));
    let delays = vec![Mutation::Delay(Duration::from_secs(20)); 2];
    assert!(mutate(&mut context, Hook::Mail, delays).is_err());
    let umlaut = Mutation::AddHeader { name: "X".into(), value: "\u{e4}".into() };
    assert!(mutate(&mut context, Hook::Mail, vec![umlaut]).is_err());
}

#[test]
fn a_reply_that_breaks_the_wire_is_rejected() {
    let text = ReplyText { code: None, enhanced: None, lines: vec!["a\r\nb".into()] };
    let outcome = Outcome { verdict: Verdict::Deny(Some(text)), mutations: vec![note("/a")] };
    let mut context = context();
    assert!(matches!(apply(&mut context, "p", powers(all_grants()), Hook::Mail, &outcome), Err(Rejected::Verdict(_))));
    assert!(context.transaction.unwrap().notes.is_empty());
}

#[test]
fn the_envelope_is_edited_with_its_parameters() {
    let mut context = context();
    let parameters = |texts: &[&str]| texts.iter().map(|text| Parameter::parse(text).unwrap()).collect::<Vec<_>>();
    let rewrite = |position, parameters| Mutation::RewriteRecipient {
        position,
        address: "z@example.test".into(),
        parameters: Some(parameters),
    };
    let added = Recipient { parameters: parameters(&["NOTIFY=NEVER"]), ..recipient("<c@example.test>") };
    let mutations = vec![
        Mutation::SetReversePath("bounces+a@example.test".into()),
        Mutation::AddRecipient(added.clone()),
        rewrite(0, parameters(&["NOTIFY=FAILURE", "ORCPT=rfc822;a@example.test"])),
        Mutation::RewriteRecipient { position: 2, address: "d@example.test".into(), parameters: None },
    ];
    mutate(&mut context, Hook::Data, mutations).unwrap();
    let facts = &context.transaction.as_ref().unwrap().facts;
    assert_eq!(facts.reverse_path.to_string(), "<bounces+a@example.test>");
    assert_eq!(facts.recipients[0].parameters.len(), 2);
    assert_eq!(facts.recipients[2], Recipient { parameters: added.parameters, ..recipient("<d@example.test>") });
    mutate(&mut context, Hook::Data, vec![Mutation::SetReversePath(String::new())]).unwrap();
    assert_eq!(context.transaction.as_ref().unwrap().facts.reverse_path, ReversePath::Null);
    let refused = |mutation| mutate(&mut context.clone(), Hook::Data, vec![mutation]).unwrap_err().to_string();
    assert!(refused(rewrite(0, parameters(&["A=1", "a=2"]))).ends_with("a parameter is there twice"));
    assert!(refused(rewrite(0, vec![Parameter::parse("A").unwrap(); 17])).ends_with("more than 16 parameters"));
    assert!(refused(Mutation::SetReversePath("a@b\r\n".into())).contains("(set-reverse-path): malformed"));
    assert!(refused(Mutation::SetReversePath("\u{e4}@b".into())).ends_with("SMTPUTF8"));
}

#[test]
fn a_message_goes_by_a_route_that_there_is_and_is_held_for_a_reason() {
    let mut context = context();
    let route = |name: &str| Mutation::SetRoute(Some(name.into()));
    let held = |reason: &str| Mutation::Quarantine(reason.into());
    mutate(&mut context, Hook::DataPost, vec![route("archive"), held("looks odd"), held("very odd")]).unwrap();
    let handling = |context: &Context| context.transaction.as_ref().unwrap().facts.handling.clone();
    let expected =
        Handling { route: Some("archive".into()), quarantine: Some("looks odd".into()), ..Handling::default() };
    assert_eq!(handling(&context), expected);
    let refused = |mutation| mutate(&mut context.clone(), Hook::DataPost, vec![mutation]).unwrap_err().to_string();
    let unknown = refused(route("elsewhere"));
    assert_eq!(unknown, "mutation 0 (set-route): there is no such route; there are: archive, gateway");
    assert!(refused(held("")).contains("octets") && refused(held("a\nb")).contains("control character"));
    mutate(&mut context, Hook::Queue, vec![Mutation::SetRoute(None)]).unwrap();
    assert_eq!(handling(&context).route, None);
    assert!(mutate(&mut context, Hook::QueueOk, vec![held("late")]).is_err());
    context.transaction = None;
    assert!(mutate(&mut context, Hook::Ehlo, vec![held("nothing")]).is_err());
}
