//! The test suite of openspf.org for RFC 7208, whole (`spf/`, with its licence).

use std::collections::HashMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use saphyr::{LoadableYamlNode, YamlOwned};
use wasmail_authentication::{Answer, BoxFuture, Client, Dns, Kind, Record, Unanswered, spf};

const SUITE: &str = include_str!("spf/rfc7208-tests.yml");
/// Tests that the suite has: a file that was cut or misread would pass otherwise.
const TESTS: usize = 203;

/// The records of a scenario, by name in lower case.
struct Zone(HashMap<String, Records>);

#[derive(Default)]
struct Records {
    records: Vec<(String, YamlOwned)>,
    /// What is not listed is not answered.
    silent: bool,
}

impl Zone {
    fn of(data: &YamlOwned) -> Self {
        let names = data.as_mapping().expect("zone data are a mapping");
        Self(names.iter().map(|(name, list)| (text(name).to_lowercase(), Records::of(list))).collect())
    }

    fn answer(&self, name: &str, kind: Kind, followed: u32) -> Answer {
        let name = name.trim_end_matches('.').to_lowercase();
        let Some(known) = self.0.get(&name) else { return Ok(Vec::new()) };
        let wanted = match kind {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Mx => "MX",
            Kind::Txt => "TXT",
            Kind::Ptr => "PTR",
        };
        let of_kind = known.records.iter().filter(|(kind, _)| kind == wanted);
        let mut found: Vec<(i64, Record)> = of_kind.map(|(_, value)| record(kind, value)).collect();
        found.sort_by_key(|(preference, _)| *preference);
        let mut found: Vec<Record> = found.into_iter().map(|(_, record)| record).collect();
        let alias = known.records.iter().find(|(kind, _)| kind == "CNAME");
        if let Some((_, target)) = alias.filter(|_| followed < 8) {
            found.extend(self.answer(text(target), kind, followed + 1)?);
        }
        if found.is_empty() && known.silent { Err(Unanswered) } else { Ok(found) }
    }
}

impl Records {
    /// Records that the suite calls SPF are TXT, unless there are such of their own.
    fn of(list: &YamlOwned) -> Self {
        let mut of_name = Self::default();
        for entry in list.as_vec().expect("records are a list") {
            match entry.as_mapping() {
                Some(entry) => of_name.records.extend(entry.iter().map(|(k, v)| (text(k).to_owned(), v.clone()))),
                None => of_name.silent = true,
            }
        }
        let has_texts = of_name.records.iter().any(|(kind, _)| kind == "TXT");
        for (kind, _) in &mut of_name.records {
            if kind == "SPF" && !has_texts {
                *kind = "TXT".to_owned();
            }
        }
        of_name.records.retain(|(_, value)| value.as_str() != Some("NONE"));
        of_name
    }
}

fn text(value: &YamlOwned) -> &str {
    value.as_str().expect("it is text")
}

fn record(kind: Kind, value: &YamlOwned) -> (i64, Record) {
    let record = match kind {
        Kind::A | Kind::Aaaa => Record::Ip(text(value).parse().expect("it is an address")),
        Kind::Ptr => Record::Name(text(value).to_owned()),
        Kind::Txt => Record::Txt(match value.as_vec() {
            Some(strings) => strings.iter().map(text).collect::<String>().into_bytes(),
            None => text(value).as_bytes().to_vec(),
        }),
        Kind::Mx => {
            let list = value.as_vec().expect("an MX is a list");
            return (list[0].as_integer().expect("a preference"), Record::Exchange(text(&list[1]).to_owned()));
        }
    };
    (0, record)
}

impl Dns for Zone {
    fn ask<'a>(&'a self, name: &'a str, kind: Kind) -> BoxFuture<'a, Answer> {
        let reversed = match (kind, name.parse()) {
            (Kind::Ptr, Ok(std::net::IpAddr::V4(ip))) => {
                let [a, b, c, d] = ip.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            (Kind::Ptr, Ok(std::net::IpAddr::V6(ip))) => {
                let digits: Vec<String> = format!("{:032x}", u128::from(ip)).chars().rev().map(String::from).collect();
                format!("{}.ip6.arpa", digits.join("."))
            }
            _ => name.to_owned(),
        };
        let answer = self.answer(&reversed, kind, 0);
        Box::pin(async { answer })
    }
}

#[test]
fn the_suite_of_openspf_passes() {
    let scenarios = YamlOwned::load_from_str(SUITE).expect("the suite is YAML");
    let mut tests = 0;
    let mut wrong = Vec::new();
    for scenario in scenarios.iter().filter(|scenario| scenario.as_mapping().is_some()) {
        let get = |name: &str| scenario.as_mapping_get(name).expect("a scenario has tests and zone data");
        let zone = Zone::of(get("zonedata"));
        for (name, test) in get("tests").as_mapping().expect("tests are a mapping") {
            tests += 1;
            if let Err(why) = run(&zone, test) {
                wrong.push(format!("{}: {why}", text(name)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tests} go wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(tests, TESTS);
}

fn run(zone: &Zone, test: &YamlOwned) -> Result<(), String> {
    let field = |name: &str| test.as_mapping_get(name).and_then(|value| value.as_str());
    let ip: std::net::IpAddr = field("host").expect("a test has a host").parse().expect("it is an address");
    let client = Client {
        ip,
        helo: field("helo").unwrap_or_default(),
        receiver: field("receiver").unwrap_or("receiver"),
        now: 0,
    };
    let mail_from = field("mailfrom").filter(|path| !path.is_empty());
    let mailbox = mail_from.map(|path| path.rsplit_once('@').unwrap_or(("", path)));
    let mut checking = pin!(spf(zone, client, mailbox));
    let Poll::Ready(told) = checking.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        return Err("it waits".to_owned());
    };
    let expected = test.as_mapping_get("result").expect("a test has a result");
    let result = told.result.as_str();
    let right = match expected.as_vec() {
        Some(several) => several.iter().any(|one| text(one) == result),
        None => text(expected) == result,
    };
    if !right {
        return Err(format!("{result} ({:?}), not {expected:?}", told.problem));
    }
    // DEFAULT is the checker's own words, of which we have none.
    match field("explanation").filter(|_| result == "fail") {
        Some("DEFAULT") if told.explanation.is_some() => Err(format!("it explains {:?}", told.explanation)),
        Some(words) if words != "DEFAULT" && told.explanation.as_deref() != Some(words) => {
            Err(format!("it explains {:?}, not {words:?}", told.explanation))
        }
        _ => Ok(()),
    }
}
