use super::*;
use wasmail_guest::mail_auth::{SpfResults, Told, pretend};
use wasmail_guest::{Verdict as Said, rt};

fn plugin(json: &str) -> MailAuth {
    rt::make(json).unwrap()
}

fn spf(verdict: SpfVerdict, explanation: Option<&str>) -> SpfResults {
    let told = SpfResult {
        verdict,
        domain: "a.example".into(),
        sender: "x@a.example".into(),
        explanation: explanation.map(str::to_owned),
        problem: None,
    };
    SpfResults { helo: SpfResult { verdict: SpfVerdict::None, ..told.clone() }, mail_from: told }
}

fn dmarc(verdict: Verdict, disposition: Disposition) -> DmarcResult {
    DmarcResult {
        verdict,
        domain: Some("a.example".into()),
        organisational_domain: Some("a.example".into()),
        policy: Some(Disposition::Reject),
        disposition,
        spf_aligned: false,
        dkim_aligned: false,
        problem: (verdict == Verdict::Permerror).then(|| "From has several domains".into()),
    }
}

fn arc(verdict: Verdict) -> ArcResult {
    ArcResult { verdict, instance: 1, sealer: Some("lists.example".into()), problem: None }
}

fn told(dmarc: DmarcResult, chain: Verdict) {
    pretend(Told { dkim: Ok(Vec::new()), dmarc: Ok(dmarc), arc: Ok(arc(chain)), ..Told::default() });
}

fn after(plugin: &MailAuth) -> Outcome {
    let m = Message::example("X-Mail-Auth: forged\nFrom: x@a.example\n\n");
    plugin.data_post(&Connection::example(), &Transaction::example("x@a.example"), &m)
}

/// What becomes of a message, without what is recorded of it.
fn fate(plugin: &MailAuth) -> (Said, Vec<wasmail_guest::Mutation>) {
    let outcome = after(plugin);
    let results = |change: &wasmail_guest::Mutation| format!("{change:?}").contains("Result");
    (outcome.verdict, outcome.mutations.into_iter().filter(|change| !results(change)).collect())
}

#[test]
fn what_the_domain_wants_is_done_as_far_as_the_operator_lets_it() {
    told(dmarc(Verdict::Fail, Disposition::Reject), Verdict::None);
    let (verdict, _) = fate(&plugin("{}"));
    assert!(
        matches!(&verdict, Said::Deny(Some(reply)) if reply.lines[0].starts_with("a.example does not let")),
        "{verdict:?}"
    );
    let clean = Outcome::next().remove_header(0);
    let value = "dmarc=fail reject for a.example";
    assert_eq!(fate(&plugin(r#"{"reject": "tag"}"#)).1, clean.clone().add_header("X-Mail-Auth", value).mutations);
    assert_eq!(fate(&plugin(r#"{"reject": "quarantine"}"#)).1, clean.clone().quarantine(value).mutations);
    assert_eq!(fate(&plugin(r#"{"reject": "record"}"#)).1, clean.clone().mutations);
    told(dmarc(Verdict::Fail, Disposition::Quarantine), Verdict::None);
    let value = "dmarc=fail quarantine for a.example";
    assert_eq!(fate(&plugin("{}")).1, clean.clone().add_header("X-Mail-Auth", value).mutations);
    told(dmarc(Verdict::Pass, Disposition::None), Verdict::None);
    assert_eq!(fate(&plugin("{}")), (Said::Next, clean.mutations));
}

#[test]
fn a_believed_list_may_have_changed_a_message() {
    told(dmarc(Verdict::Fail, Disposition::Reject), Verdict::Pass);
    let lists = plugin(r#"{"sealers": ["Lists.example"]}"#);
    assert_eq!(fate(&lists).0, Said::Next);
    assert!(matches!(fate(&plugin("{}")).0, Said::Deny(_)), "only who is believed");
    told(dmarc(Verdict::Fail, Disposition::Reject), Verdict::Fail);
    assert!(matches!(fate(&lists).0, Said::Deny(_)), "only a whole chain");
}

#[test]
fn what_cannot_be_judged_goes_on_unless_the_operator_says_otherwise() {
    told(dmarc(Verdict::Temperror, Disposition::None), Verdict::None);
    assert_eq!(fate(&plugin("{}")).0, Said::Next);
    assert!(matches!(fate(&plugin(r#"{"defer_temperror": true}"#)).0, Said::DenySoft(_)));
    told(dmarc(Verdict::Permerror, Disposition::None), Verdict::None);
    assert_eq!(fate(&plugin("{}")).0, Said::Next);
    assert!(matches!(fate(&plugin(r#"{"no_author": "reject"}"#)).0, Said::Deny(_)));
    pretend(Told::default());
    let missing = Outcome::next().remove_header(0).err(Scope::Transaction, "the grant mail-auth is missing");
    assert_eq!(after(&plugin("{}")), missing);
}

#[test]
fn spf_refuses_at_mail_only_when_told_to_and_says_whose_words_it_repeats() {
    pretend(Told { spf: Ok(spf(SpfVerdict::Fail, Some("ask us"))), ..Told::default() });
    let mail = |json: &str, c: &Connection| plugin(json).mail(c, &Transaction::example("x@a.example"));
    let stranger = Connection::example();
    assert!(mail("{}", &stranger).is_next());
    let refused = mail(r#"{"spf": "reject"}"#, &stranger);
    assert!(format!("{refused:?}").contains("a.example explains: ask us"), "{refused:?}");
    let ours = Connection { relaying: true, ..Connection::example() };
    assert_eq!(mail(r#"{"spf": "reject"}"#, &ours), ReplyingOutcome::next().skip(Scope::Transaction, "relaying"));
}

#[test]
fn mistakes_are_named_by_their_key() {
    let error = |json| rt::make::<MailAuth>(json).err().unwrap();
    assert!(error(r#"{"sealers": ["a b"]}"#).starts_with("sealers[0]: "));
    assert!(error(r#"{"text": "a\nb"}"#).starts_with("text: "));
    assert!(error(r#"{"field": "X Y"}"#).starts_with("field: "));
}

#[test]
fn the_schema_is_that_of_the_type() {
    wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
}
