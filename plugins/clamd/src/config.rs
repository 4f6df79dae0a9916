//! The configuration.

use wasmail_guest::prelude::*;

/// Endpoints that may be listed: as many as `plugin.tcp.connections` has by default.
const ENDPOINTS_MAX: usize = 5;
/// Patterns of names that are only recorded.
const PATTERNS_MAX: usize = 100;
/// Octets of a text.
const TEXT_MAX: usize = 300;

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where clamd listens, each as it stands in `plugin.tcp.endpoints`, 5 at most. They are tried in this order.
    pub endpoints: Vec<String>,
    /// Octets of the largest message that is scanned: no more than StreamMaxLength of clamd.conf.
    pub max_size: u64,
    /// Whether messages without attachments and other parts than text are let pass unscanned.
    pub only_with_attachments: bool,
    /// How an infected message is refused.
    pub refusal: Refusal,
    /// What the client is told; `{virus}` stands for the name of what was found.
    pub text: String,
    /// Names of which a message is not refused but recorded, whatever their case; `*` stands for any letters.
    pub record: Vec<String>,
    /// What becomes of a message that nobody can scan.
    pub on_error: Unscanned,
    /// What becomes of a message that is larger than clamd takes, or than `max_size`.
    pub on_too_large: Unscanned,
    /// Who is not scanned.
    pub exempt: Exempt,
}

/// What becomes of a message that was not scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Unscanned {
    /// It passes, and the results say that it was not scanned.
    Accept,
    /// 4yz: the client tries again later.
    DenySoft,
    /// 5yz.
    Deny,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoints: vec!["127.0.0.1:3310".to_owned()],
            // What clamd itself takes if its configuration says nothing, in the older of its versions.
            max_size: 25 * 1024 * 1024,
            only_with_attachments: false,
            refusal: Refusal::Deny,
            text: "Message is infected with {virus}".to_owned(),
            // Its authors say that these are for scoring.
            record: vec!["Heuristics.Phishing.*".to_owned()],
            on_error: Unscanned::DenySoft,
            on_too_large: Unscanned::Accept,
            exempt: Exempt::Nobody,
        }
    }
}

impl Config {
    /// Finds what the types do not rule out.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.endpoints.is_empty() || self.endpoints.len() > ENDPOINTS_MAX {
            return Err(format!("endpoints: expected 1 to {ENDPOINTS_MAX}"));
        }
        if self.max_size == 0 {
            return Err("max_size: must be 1 at least".to_owned());
        }
        if self.record.len() > PATTERNS_MAX {
            return Err(format!("record: {} are more than {PATTERNS_MAX}", self.record.len()));
        }
        if self.text.chars().any(char::is_control) || self.text.len() > TEXT_MAX {
            return Err(format!("text: expected one line of at most {TEXT_MAX} octets"));
        }
        Ok(())
    }

    /// Whether messages with a virus of this name are recorded and not refused.
    pub(crate) fn only_records(&self, virus: &str) -> bool {
        self.record.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &virus.to_ascii_lowercase()))
    }
}

/// Whether a name is of a pattern.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let inner = name.strip_prefix(begin).and_then(|name| name.strip_suffix(end));
    let Some(mut inner) = inner else { return false };
    // What comes first is taken first: that leaves the most for the others.
    middle.split('*').all(|part| match inner.find(part) {
        Some(at) => {
            inner = &inner[at + part.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, name) in
            [("a", "a"), ("*", ""), ("*", "a.b"), ("a.*", "a.b"), ("*.b", "a.b"), ("a*b*c", "a1b2c"), ("*x*", "axb")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a", "ab"), ("a.*", "ab"), ("*.b", "a.b.c"), ("ab*ba", "aba"), ("a*b*c", "acb"), ("*x*x*", "ax")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
