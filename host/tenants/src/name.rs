//! Names, each of which is a good one if it exists.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Characters of a name that people choose: those of a host name's label, which fits a path, a URL and a log line as it is.
const NAME_MAX: usize = 63;
/// Octets of a domain (RFC 1035 section 2.3.4).
const DOMAIN_MAX: usize = 253;

/// Why a text is no such name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {kind}: {why}")]
pub struct BadName {
    text: String,
    kind: &'static str,
    why: &'static str,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $check:path;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        #[schemars(with = "String")]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                match $check(text) {
                    Ok(text) => Ok(Self(text.into())),
                    Err(why) => Err(BadName { text: text.chars().take(NAME_MAX + 1).collect(), kind: $kind, why }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// A tenant's name, chosen by the operator: lower-case letters, digits and hyphens, up to 63.
    TenantName, "name of a tenant", label;
    /// A binding's name, unique within its tenant.
    BindingName, "name of a binding", label;
    /// A secret's name, unique within its tenant.
    SecretName, "name of a secret", label;
    /// A token's public part, by which it is found and named.
    TokenId, "token's id", label;
    /// A mail domain in the form that names have in the DNS: A-labels (RFC 5890), lower case, without a final dot.
    DomainName, "domain", domain;
    /// SHA-256 of a module, in 64 hexadecimal digits of lower case.
    ModuleHash, "SHA-256", hash;
}

/// `[a-z0-9]` and, between them, `-`.
fn label(text: &str) -> Result<&str, &'static str> {
    if text.is_empty() || text.len() > NAME_MAX {
        return Err("it must have 1 to 63 characters");
    }
    if !text.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-') {
        return Err("only a to z, 0 to 9 and - may be in it");
    }
    if text.starts_with('-') || text.ends_with('-') { Err("it begins or ends with -") } else { Ok(text) }
}

/// Labels with dots between them; some of the world's domains have underscores.
fn domain(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.len() > DOMAIN_MAX {
        return Err("it must have 1 to 253 characters");
    }
    let text = text.to_ascii_lowercase();
    let good = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-' || octet == b'_';
    for label in text.split('.') {
        if label.is_empty() || label.len() > NAME_MAX || !label.bytes().all(good) {
            return Err("it must be labels of 1 to 63 letters, digits and hyphens with dots between them; \
                        international ones in the form that begins with xn--");
        }
    }
    Ok(text)
}

fn hash(text: &str) -> Result<&str, &'static str> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet));
    if text.len() == 64 && digits { Ok(text) } else { Err("it must be 64 hexadecimal digits of lower case") }
}
