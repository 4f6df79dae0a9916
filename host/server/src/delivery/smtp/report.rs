//! What became of TLS with other servers, counted by day as reports want it (RFC 8460).
//!
//! Each start of the server writes a file a day, which is rewritten while it counts. The reports are kept and not sent.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Between two times that a file is written. A crash loses what was counted since.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);
/// Lines of one day; what else happens is not counted. Each takes some 200 octets.
const LINES_MAX: usize = 20_000;
/// Days for which files are kept: a report that is wanted is fetched sooner.
const KEPT_DAYS: i64 = 30;

/// What bound us to TLS (§4.4, `policy-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::delivery) enum PolicyType {
    Tlsa,
    Sts,
    NoPolicyFound,
}

/// What became of a session (§4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::delivery) enum SessionResult {
    Success,
    StartTlsNotSupported,
    CertificateHostMismatch,
    CertificateExpired,
    CertificateNotTrusted,
    ValidationFailure,
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    domain: String,
    policy: PolicyType,
    result: SessionResult,
    mx: String,
    ip: Option<IpAddr>,
}

/// The counts of one day.
#[derive(Debug)]
struct Day {
    date: Date,
    counts: BTreeMap<Line, u64>,
    /// Whether somebody is about to write them.
    due: bool,
}

/// Where sessions are counted.
#[derive(Debug)]
pub(in crate::delivery) struct Reports {
    dir: PathBuf,
    organization: String,
    /// Tells this start's files from another's.
    started: u64,
    today: Mutex<Day>,
}

/// Whose mail a session is for.
#[derive(Clone, Copy)]
pub(in crate::delivery) struct Report<'a> {
    pub(in crate::delivery) reports: &'a Arc<Reports>,
    pub(in crate::delivery) domain: &'a str,
    /// What binds us, unless TLSA records do.
    pub(in crate::delivery) policy: PolicyType,
}

impl Report<'_> {
    pub(super) fn count(&self, policy: PolicyType, result: SessionResult, mx: &str, ip: Option<IpAddr>) {
        let (domain, mx) = (self.domain.to_owned(), mx.to_owned());
        self.reports.count(Line { domain, policy, result, mx, ip }, today());
    }
}

fn today() -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}

impl Reports {
    /// Reports of this name for ourselves, in this directory.
    pub(in crate::delivery) fn new(dir: PathBuf, organization: String) -> Arc<Self> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let today = Mutex::new(Day { date: today(), counts: BTreeMap::new(), due: false });
        let reports = Arc::new(Self { dir, organization, started, today });
        reports.forget_old();
        reports
    }

    fn count(self: &Arc<Self>, line: Line, date: Date) {
        let mut today = self.today.lock();
        if today.date != date {
            let yesterday = std::mem::replace(&mut *today, Day { date, counts: BTreeMap::new(), due: false });
            let own = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                own.write(yesterday.date, &yesterday.counts);
                own.forget_old();
            });
        }
        if today.counts.len() < LINES_MAX || today.counts.contains_key(&line) {
            *today.counts.entry(line).or_default() += 1;
        }
        if !std::mem::replace(&mut today.due, true) {
            let own = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(WRITTEN_EVERY).await;
                tokio::task::spawn_blocking(move || own.write_today());
            });
        }
    }

    /// Writes what was counted since the last time.
    pub(in crate::delivery) fn write_today(&self) {
        let (date, counts) = {
            let mut today = self.today.lock();
            if !std::mem::replace(&mut today.due, false) {
                return;
            }
            (today.date, today.counts.clone())
        };
        self.write(date, &counts);
    }

    fn write(&self, date: Date, counts: &BTreeMap<Line, u64>) {
        let path = self.dir.join(format!("{date}.{}.json", self.started));
        let text = report(&self.organization, date, counts).to_string();
        let new = path.with_extension("new");
        let written = std::fs::create_dir_all(&self.dir)
            .and_then(|()| std::fs::write(&new, text))
            .and_then(|()| std::fs::rename(&new, &path));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "failed to write a report about TLS");
        }
    }

    /// Removes files of days that are long gone.
    fn forget_old(&self) {
        let oldest = today().saturating_sub(KEPT_DAYS.days());
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let date = name.to_str().and_then(|name| name.get(..10)).and_then(|date| date.parse::<Date>().ok());
            if date.is_some_and(|date| date < oldest) {
                // Another time, then.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// A report in the format of §4.4, of all domains together.
fn report(organization: &str, date: Date, counts: &BTreeMap<Line, u64>) -> Value {
    let mut policies: BTreeMap<(&str, PolicyType), Vec<(&Line, u64)>> = BTreeMap::new();
    for (line, count) in counts {
        policies.entry((&line.domain, line.policy)).or_default().push((line, *count));
    }
    let policies: Vec<_> =
        policies.into_iter().map(|((domain, policy), lines)| of_policy(domain, policy, &lines)).collect();
    json!({
        "organization-name": organization,
        "date-range": {
            "start-datetime": format!("{date}T00:00:00Z"),
            "end-datetime": format!("{date}T23:59:59Z"),
        },
        "policies": policies,
    })
}

fn of_policy(domain: &str, policy: PolicyType, lines: &[(&Line, u64)]) -> Value {
    let (good, bad): (Vec<_>, Vec<_>) = lines.iter().partition(|(line, _)| line.result == SessionResult::Success);
    let sum = |lines: &[&(&Line, u64)]| lines.iter().map(|(_, count)| count).sum::<u64>();
    let detail = |(line, count): &&(&Line, u64)| {
        json!({
            "result-type": line.result.name(),
            "receiving-mx-hostname": line.mx,
            "receiving-ip": line.ip,
            "failed-session-count": count,
        })
    };
    json!({
        "policy": { "policy-type": policy.name(), "policy-domain": domain },
        "summary": { "total-successful-session-count": sum(&good), "total-failure-session-count": sum(&bad) },
        "failure-details": bad.iter().map(detail).collect::<Vec<_>>(),
    })
}

impl PolicyType {
    fn name(self) -> &'static str {
        match self {
            Self::Tlsa => "tlsa",
            Self::Sts => "sts",
            Self::NoPolicyFound => "no-policy-found",
        }
    }
}

impl SessionResult {
    fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::StartTlsNotSupported => "starttls-not-supported",
            Self::CertificateHostMismatch => "certificate-host-mismatch",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateNotTrusted => "certificate-not-trusted",
            Self::ValidationFailure => "validation-failure",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(result: SessionResult, mx: &str) -> Line {
        Line { domain: "example.test".into(), policy: PolicyType::Sts, result, mx: mx.into(), ip: None }
    }

    #[tokio::test]
    async fn a_day_is_one_file_and_old_days_go() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("2001-01-01.1.json"), "{}").unwrap();
        let reports = Reports::new(dir.path().to_owned(), "mx.example".into());
        let (good, bad) = (line(SessionResult::Success, "one"), line(SessionResult::CertificateExpired, "two"));
        for line in [&good, &bad, &good] {
            reports.count(line.clone(), today());
        }
        reports.write_today();
        let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let report: Value = serde_json::from_slice(&std::fs::read(&files[0]).unwrap()).unwrap();
        let policy = &report["policies"][0];
        assert_eq!(policy["policy"], json!({ "policy-type": "sts", "policy-domain": "example.test" }));
        assert_eq!(policy["summary"]["total-successful-session-count"], 2);
        assert_eq!(policy["failure-details"][0]["result-type"], "certificate-expired");
        assert_eq!(policy["failure-details"][0]["receiving-mx-hostname"], "two");
    }

    #[tokio::test]
    async fn a_flood_of_names_takes_no_more_room_than_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let reports = Reports::new(dir.path().to_owned(), "mx.example".into());
        for number in 0..LINES_MAX + 10 {
            reports.count(line(SessionResult::Success, &number.to_string()), today());
        }
        assert_eq!(reports.today.lock().counts.len(), LINES_MAX);
    }
}
