//! The configuration.

use wasmail_guest::prelude::*;

/// Domains whose chains are believed.
const SEALERS_MAX: usize = 1_000;
/// Octets of a text.
const TEXT_MAX: usize = 400;
/// Octets of a field's name.
const FIELD_MAX: usize = 64;

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What becomes of a client that the domain of the reverse-path does not let send in its name (SPF `fail`), at MAIL.
    pub spf: Check,
    /// What becomes of a message whose author's domain wants it refused (DMARC `p=reject`).
    pub reject: Action,
    /// What becomes of a message whose author's domain finds it suspicious (DMARC `p=quarantine`).
    pub quarantine: Action,
    /// What becomes of a message that DMARC cannot judge since there are no, or several, authors' domains.
    pub no_author: Action,
    /// Whether messages are deferred that DMARC cannot judge since the DNS does not answer.
    pub defer_temperror: bool,
    /// Domains whose ARC chains are believed: what they have passed on is tagged and no worse, as lists change messages.
    pub sealers: Vec<String>,
    /// How messages are refused.
    pub refusal: Refusal,
    /// What is said then; `{domain}` stands for the author's.
    pub text: String,
    /// The field that tags a message.
    pub field: String,
    /// Who is not judged.
    pub exempt: Exempt,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is recorded in the plugin's results, for the log and for plugins such as `karma`.
    Record,
    /// It is recorded, and a field says so.
    Tag,
    /// It is recorded, and held until the operator releases it. Needs the grant `quarantine`.
    Quarantine,
    /// It is recorded, and refused.
    Reject,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            spf: Check::Record,
            reject: Action::Reject,
            quarantine: Action::Tag,
            no_author: Action::Record,
            defer_temperror: false,
            sealers: Vec::new(),
            refusal: Refusal::Deny,
            text: "{domain} does not let this message be sent in its name (DMARC)".to_owned(),
            field: "X-Mail-Auth".to_owned(),
            exempt: Exempt::Private,
        }
    }
}

impl Config {
    /// Finds what the types do not rule out.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        if self.sealers.len() > SEALERS_MAX {
            return Err(format!("sealers: {} are more than {SEALERS_MAX}", self.sealers.len()));
        }
        for (at, sealer) in self.sealers.iter_mut().enumerate() {
            let good = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'.';
            if sealer.is_empty() || !sealer.bytes().all(good) {
                return Err(format!("sealers[{at}]: `{sealer}` is no domain such as lists.example.org"));
            }
            sealer.make_ascii_lowercase();
        }
        if self.text.chars().any(char::is_control) || self.text.len() > TEXT_MAX {
            return Err(format!("text: expected one line of at most {TEXT_MAX} octets"));
        }
        let of_a_name = |octet: u8| octet.is_ascii_graphic() && octet != b':';
        if self.field.is_empty() || self.field.len() > FIELD_MAX || !self.field.bytes().all(of_a_name) {
            return Err(format!("field: `{}` is no name of a field", self.field));
        }
        Ok(())
    }
}
