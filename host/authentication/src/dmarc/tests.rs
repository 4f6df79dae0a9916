use super::*;
use crate::dns::Kind;
use crate::fixture::{Zone, block_on};

fn spf(result: SpfResult, domain: &str) -> Spf {
    Spf { result, domain: domain.into(), sender: format!("x@{domain}"), explanation: None, problem: None }
}

fn signature(verdict: Verdict, domain: &str) -> Dkim {
    Dkim { verdict, domain: Some(domain.into()), ..Dkim::default() }
}

fn judge(zone: &Zone, from: &str, spf: &Spf, dkim: &[Dkim]) -> Dmarc {
    let mut header = HeaderSection::default();
    for line in from.split_inclusive('\n') {
        assert!(header.push_line(line.as_bytes()));
    }
    block_on(dmarc(zone, &header, spf, dkim, 50))
}

const FROM: &str = "From: Joe <joe@mail.example.co.uk>\r\n";

fn zone(record: &str) -> Zone {
    Zone::default().with_text("_dmarc.example.co.uk", record)
}

#[test]
fn who_is_aligned_passes_by_spf_or_by_dkim() {
    let zone = zone("v=DMARC1; p=reject");
    let none = spf(SpfResult::None, "elsewhere.example");
    for (spf, dkim, verdict, aligned) in [
        (spf(SpfResult::Pass, "bounce.Example.co.uk"), vec![], Verdict::Pass, (true, false)),
        (none.clone(), vec![signature(Verdict::Pass, "example.co.uk")], Verdict::Pass, (false, true)),
        (spf(SpfResult::Pass, "other.co.uk"), vec![], Verdict::Fail, (false, false)),
        (
            spf(SpfResult::Fail, "example.co.uk"),
            vec![signature(Verdict::Fail, "example.co.uk")],
            Verdict::Fail,
            (false, false),
        ),
        (spf(SpfResult::TempError, "example.co.uk"), vec![], Verdict::TempError, (false, false)),
        (spf(SpfResult::TempError, "other.example"), vec![], Verdict::Fail, (false, false)),
        (none.clone(), vec![signature(Verdict::TempError, "example.co.uk")], Verdict::TempError, (false, false)),
        (none, vec![signature(Verdict::Policy, "example.co.uk")], Verdict::Fail, (false, false)),
    ] {
        let told = judge(&zone, FROM, &spf, &dkim);
        assert_eq!((told.verdict, (told.spf_aligned, told.dkim_aligned)), (verdict, aligned), "{spf:?} {dkim:?}");
        let expected = if verdict == Verdict::Fail { Disposition::Reject } else { Disposition::None };
        assert_eq!((told.disposition, told.policy), (expected, Some(Disposition::Reject)));
        assert_eq!(told.domain.as_deref(), Some("mail.example.co.uk"));
        assert_eq!(told.organisational_domain.as_deref(), Some("example.co.uk"));
    }
}

#[test]
fn records_say_how_strict_they_are_and_for_whom() {
    let nobody = spf(SpfResult::None, "x.example");
    for (record, policy, disposition) in [
        ("v=DMARC1; p=none", Some(Disposition::None), Disposition::None),
        ("v=DMARC1;p=reject;sp=quarantine;", Some(Disposition::Quarantine), Disposition::Quarantine),
        ("v=DMARC1; p=reject; pct=50", Some(Disposition::Reject), Disposition::Quarantine),
        ("v=DMARC1; p=quarantine; pct=50", Some(Disposition::Quarantine), Disposition::None),
        ("v=DMARC1; p=reject; pct=51", Some(Disposition::Reject), Disposition::Reject),
        ("v=DMARC1; p=reject; pct=999", Some(Disposition::Reject), Disposition::Reject),
        ("v=DMARC1; p=shout; rua=mailto:a@b.example", Some(Disposition::None), Disposition::None),
        ("v=DMARC1; p=shout", None, Disposition::None),
        ("v=DMARC1", None, Disposition::None),
        ("p=reject; v=DMARC1", None, Disposition::None),
        ("v=DMARC12; p=reject", None, Disposition::None),
    ] {
        let told = judge(&zone(record), FROM, &nobody, &[]);
        assert_eq!((told.policy, told.disposition), (policy, disposition), "{record}");
        assert_eq!(told.verdict, if policy.is_some() { Verdict::Fail } else { Verdict::None }, "{record}");
    }
    let strict = zone("v=DMARC1; p=reject; aspf=s; adkim=s");
    let told =
        judge(&strict, FROM, &spf(SpfResult::Pass, "example.co.uk"), &[signature(Verdict::Pass, "example.co.uk")]);
    assert_eq!(told.verdict, Verdict::Fail);
    let told = judge(&strict, FROM, &spf(SpfResult::Pass, "mail.example.co.uk"), &[]);
    assert_eq!(told.verdict, Verdict::Pass);
}

#[test]
fn a_domains_own_record_goes_before_its_parents_and_two_are_none() {
    let nobody = spf(SpfResult::None, "x.example");
    let own = zone("v=DMARC1; p=reject").with_text("_dmarc.mail.example.co.uk", "v=DMARC1; p=none; sp=reject");
    assert_eq!(judge(&own, FROM, &nobody, &[]).policy, Some(Disposition::None));
    let two = own.with_text("_dmarc.mail.example.co.uk", "v=DMARC1; p=reject");
    assert_eq!(judge(&two, FROM, &nobody, &[]).verdict, Verdict::None);
    let mut silent = Zone::default();
    silent.silent("_dmarc.example.co.uk", Kind::Txt);
    assert_eq!(judge(&silent, FROM, &nobody, &[]).verdict, Verdict::TempError);
}

#[test]
fn authors_of_several_domains_are_nobodys() {
    let zone = zone("v=DMARC1; p=reject");
    let nobody = spf(SpfResult::None, "x.example");
    for (from, problem) in [
        ("To: a@b.example\r\n".to_owned(), "there is not exactly one From"),
        (FROM.repeat(2), "there is not exactly one From"),
        ("From: a@b.example, c@d.example\r\n".to_owned(), "From has several domains"),
        ("From: hello\r\n".to_owned(), "From has no address"),
        ("From:\r\n".to_owned(), "From has no address"),
    ] {
        let told = judge(&zone, &from, &nobody, &[]);
        assert_eq!((told.verdict, told.problem), (Verdict::PermError, Some(problem)), "{from}");
    }
    let told = judge(&zone, "From: a@example.co.uk, b@Example.CO.UK\r\n", &nobody, &[]);
    assert_eq!(told.verdict, Verdict::Fail);
}
