//! The configuration.

use std::fmt;
use std::ops::Deref;

use wasmail_guest::prelude::*;

/// Names in one list. Each is looked for in every message.
const NAMES_MAX: usize = 64;

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Fields that every message has.
    pub required: Vec<String>,
    /// Fields that no message has twice (RFC 5322 section 3.6).
    pub singular: Vec<String>,
    /// How old a date may be, in days. Mail may wait in queues for a week.
    pub date_past_days: u16,
    /// How far ahead a date may be, in days. Clocks go wrong by time zones.
    pub date_future_days: u16,
    /// What becomes of each check that fails.
    pub checks: Checks,
    /// How messages are refused.
    pub refusal: Refusal,
    /// Whether clients that may send to anywhere get a missing Date and Message-ID added, and a senseless Date replaced,
    /// as mail programs expect of their server (RFC 6409 section 8).
    pub mend: bool,
}

/// The checks.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Checks {
    /// A required field is missing.
    pub missing: Check,
    /// A singular field stands there twice.
    pub duplicate: Check,
    /// Date is no date, or out of bounds.
    pub date: Check,
    /// From holds no address, or several without a Sender.
    pub from: Check,
}

impl Default for Checks {
    fn default() -> Self {
        Self { missing: Check::Reject, duplicate: Check::Reject, date: Check::Reject, from: Check::Reject }
    }
}

impl Default for Config {
    fn default() -> Self {
        let singular = [
            "Date",
            "From",
            "Sender",
            "Reply-To",
            "To",
            "Cc",
            "Bcc",
            "Message-ID",
            "In-Reply-To",
            "References",
            "Subject",
        ];
        Self {
            required: vec!["Date".into(), "From".into()],
            singular: singular.map(str::to_owned).into(),
            date_past_days: 15,
            date_future_days: 2,
            checks: Checks::default(),
            refusal: Refusal::Deny,
            mend: true,
        }
    }
}

/// The name of a header field.
#[derive(Debug)]
pub(crate) struct Name(String);

impl Name {
    /// Whether it is this one; case means nothing.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a list of names.
pub(crate) fn names(key: &str, list: &[String]) -> Result<Vec<Name>, String> {
    if list.len() > NAMES_MAX {
        return Err(format!("{key}: more than {NAMES_MAX} names"));
    }
    let name = |(at, name): (usize, &String)| {
        let good =
            !name.is_empty() && name.len() <= 76 && name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':');
        if good { Ok(Name(name.clone())) } else { Err(format!("{key}[{at}]: `{name}` is no header field name")) }
    };
    list.iter().enumerate().map(name).collect()
}
