//! What a domain says of the TLS of its servers (RFC 8461 §3).

use std::time::Duration;

/// Longest that a policy may count: a year (§3.2).
const AGE_MAX: u64 = 31_557_600;
/// Patterns of servers that are kept; more are for show.
const PATTERNS_MAX: usize = 100;

/// What a policy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Mail goes to servers that it names, under TLS with a good certificate, or not at all.
    Enforce,
    /// Nothing; the domain wants to hear what would fail.
    Testing,
    /// Nothing: there was a policy once.
    None,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) mode: Mode,
    pub(super) max_age: Duration,
    /// Names of servers in lower case; `*.` in front stands for one label.
    patterns: Vec<String>,
}

impl Policy {
    /// Reads a policy; says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (mut version, mut mode, mut age, mut patterns) = (false, None, None, Vec::new());
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (key, value) = line.split_once(':').ok_or("a line has no colon")?;
            let value = value.trim();
            match key.trim() {
                "version" => version = value == "STSv1",
                "mode" if mode.is_none() => mode = Some(parse_mode(value).ok_or("the mode is none")?),
                "max_age" if age.is_none() => age = Some(value.parse::<u64>().map_err(|_| "max_age is no number")?),
                "mx" if patterns.len() < PATTERNS_MAX => patterns.push(value.to_ascii_lowercase()),
                // Of fields that stand twice the first counts; others are for later versions.
                _ => {}
            }
        }
        let mode = mode.filter(|_| version).ok_or("there is no version STSv1, or no mode")?;
        let age = age.ok_or("there is no max_age")?.min(AGE_MAX);
        if patterns.is_empty() && mode != Mode::None {
            return Err("it names no server");
        }
        Ok(Self { mode, max_age: Duration::from_secs(age), patterns })
    }

    /// Whether a server may have the domain's mail.
    pub(super) fn permits(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let above = host.split_once('.').map(|(_, above)| above);
        self.patterns.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(suffix) => above == Some(suffix),
            None => *pattern == host,
        })
    }
}

fn parse_mode(text: &str) -> Option<Mode> {
    match text {
        "enforce" => Some(Mode::Enforce),
        "testing" => Some(Mode::Testing),
        "none" => Some(Mode::None),
        _ => None,
    }
}

/// The id in a domain's TXT records (§3.1): it changes with the policy. None when there is no policy, or more than one record
/// that says so.
pub(super) fn id(records: &[Vec<u8>]) -> Option<String> {
    let mut of_sts = records.iter().filter(|record| record.starts_with(b"v=STSv1;"));
    let record = of_sts.next()?;
    if of_sts.next().is_some() {
        return None;
    }
    let fields = std::str::from_utf8(record).ok()?.split(';').filter_map(|field| field.split_once('='));
    let mut ids = fields.filter(|(key, _)| key.trim() == "id").map(|(_, value)| value.trim());
    let is_good = |id: &&str| (1..=32).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric());
    ids.next().filter(is_good).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str =
        "version: STSv1\r\nmode: enforce\r\nmx: Mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n";

    #[test]
    fn a_policy_names_servers() {
        let policy = Policy::parse(POLICY).unwrap();
        assert_eq!((policy.mode, policy.max_age), (Mode::Enforce, Duration::from_secs(604_800)));
        assert!(policy.permits("mail.EXAMPLE.com") && policy.permits("a.example.net."));
        for host in ["example.net", "a.b.example.net", "mail.example.com.evil.test", "xmail.example.com"] {
            assert!(!policy.permits(host), "{host}");
        }
    }

    #[test]
    fn a_policy_that_is_none_is_refused() {
        for (from, to) in [
            ("STSv1", "STSv2"),
            ("enforce", "maybe"),
            ("604800", "a week"),
            ("max_age: 604800", ""),
            ("mode: enforce", "mode"),
            ("mx: Mail.example.com\r\nmx: *.example.net\r\n", ""),
        ] {
            assert!(Policy::parse(&POLICY.replace(from, to)).is_err(), "{to}");
        }
        assert_eq!(Policy::parse("version: STSv1\nmode: none\nmax_age: 0\n").unwrap().mode, Mode::None);
        assert_eq!(Policy::parse(&POLICY.replace("604800", "99999999999")).unwrap().max_age.as_secs(), AGE_MAX);
    }

    #[test]
    fn a_record_has_an_id() {
        let of = |records: &[&str]| id(&records.iter().map(|record| record.as_bytes().to_vec()).collect::<Vec<_>>());
        assert_eq!(of(&["v=spf1 -all", "v=STSv1; id=20261123T10;"]).as_deref(), Some("20261123T10"));
        for none in
            [&["v=STSv1;"][..], &["v=STSv1; id=a b;"], &["v=STSv1; id=1;", "v=STSv1; id=2;"], &[], &["v=STSv2; id=1;"]]
        {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
