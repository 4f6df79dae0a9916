//! The test suite for the validation of ARC chains, whole (`arc/`, with its licence).

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use saphyr::{LoadableYamlNode, YamlOwned};
use wasmail_authentication::{Answer, Body, BoxFuture, Dns, Kind, Message, Record, arc};
use wasmail_mail::HeaderSection;

const SUITE: &str = include_str!("arc/arc-draft-validation-tests.yml");
/// Tests that the suite has: a file that was cut or misread would pass otherwise.
const TESTS: usize = 175;
/// Tests that the RFC has overtaken: without `c` the form is simple, as in DKIM, and the suite's message was signed relaxed.
const OVERTAKEN: [&str; 1] = ["ams_fields_c_na"];

struct Zone(HashMap<String, String>);

impl Dns for Zone {
    fn ask<'a>(&'a self, name: &'a str, kind: Kind) -> BoxFuture<'a, Answer> {
        let known = self.0.get(name).filter(|_| kind == Kind::Txt);
        let found = known.map(|text| Record::Txt(text.as_bytes().to_vec())).into_iter().collect();
        Box::pin(async { Ok(found) })
    }
}

struct Memory(Vec<u8>);

impl Body for Memory {
    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let octets = rest[..rest.len().min(len)].to_vec();
        Box::pin(async { Ok(octets) })
    }
}

fn text(value: &YamlOwned) -> &str {
    value.as_str().expect("it is text")
}

#[test]
fn the_suite_for_chains_passes() {
    let scenarios = YamlOwned::load_from_str(&with_unique_names(SUITE)).expect("the suite is YAML");
    let mut tests = 0;
    let mut wrong = Vec::new();
    for scenario in scenarios.iter().filter(|scenario| scenario.as_mapping().is_some()) {
        let get = |name: &str| scenario.as_mapping_get(name).expect("a scenario has tests and records");
        let records = get("txt-records").as_mapping().into_iter().flatten();
        let zone = Zone(records.map(|(name, value)| (text(name).to_owned(), text(value).to_owned())).collect());
        for (name, test) in get("tests").as_mapping().expect("tests are a mapping") {
            tests += 1;
            let field = |name: &str| test.as_mapping_get(name).and_then(|value| value.as_str());
            let (told, problem) = judge(&zone, field("message").unwrap_or_default());
            // An empty one stands where the chain had failed before, and nobody need say so again.
            let expected = field("cv").filter(|cv| !cv.is_empty()).unwrap_or("fail").to_lowercase();
            let overtaken = OVERTAKEN.iter().any(|name_of| text(name).starts_with(name_of));
            if (told != expected) != overtaken {
                wrong.push(format!("{}: {told} ({problem:?}), not {expected}", text(name)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tests} go wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(tests, TESTS);
}

/// Two tests of the suite have one name, which is no YAML: each gets its line for a surname.
fn with_unique_names(suite: &str) -> String {
    let name = |line: &str| line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':');
    let lines = suite.lines().enumerate().map(|(at, line)| match line.strip_suffix(':') {
        Some(test) if name(line) => format!("{test}-{at}:\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

fn judge(zone: &Zone, message: &str) -> (&'static str, Option<&'static str>) {
    let message = message.replace('\n', "\r\n");
    let mut header = HeaderSection::default();
    let mut rest = message.as_str();
    while let Some(end) = rest.find('\n') {
        let (line, below) = rest.split_at(end + 1);
        if !header.push_line(line.as_bytes()) {
            rest = if line == "\r\n" { below } else { rest };
            break;
        }
        rest = below;
    }
    let body = Memory(rest.as_bytes().to_vec());
    let mut judging = pin!(arc(zone, Message { header: &header, body: &body }));
    for _ in 0..1_000 {
        if let Poll::Ready(told) = judging.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            let told = told.expect("memory can be read");
            return (told.verdict.as_str(), told.problem);
        }
    }
    panic!("it waits for ever");
}
