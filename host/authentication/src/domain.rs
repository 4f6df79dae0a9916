//! Domain names as they are compared and asked for.

use std::net::IpAddr;

/// Octets of a name in text form, without a final dot (RFC 1035 section 2.3.4).
pub(crate) const NAME_MAX: usize = 253;
/// Octets of a label.
const LABEL_MAX: usize = 63;

/// A name in lower case and ASCII (RFC 5890: A-labels), without its final dot. None for what cannot be a domain.
pub(crate) fn usual(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let name = if name.is_ascii() { name.to_ascii_lowercase() } else { idna::domain_to_ascii(name).ok()? };
    let graphic = name.bytes().all(|octet| octet.is_ascii_graphic());
    (graphic && fits(&name) && name.parse::<IpAddr>().is_err()).then_some(name)
}

/// Whether every label has 1 to 63 octets and all together no more than a name may have.
pub(crate) fn fits(name: &str) -> bool {
    name.len() <= NAME_MAX && name.split('.').all(|label| !label.is_empty() && label.len() <= LABEL_MAX)
}

/// Whether a name is another, or below it. Both are in the usual form.
pub(crate) fn is_within(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The organisational domain (RFC 7489 section 3.2): what somebody has registered, by the public suffix list. A name that nobody
/// could register is its own.
pub(crate) fn organisational(name: &str) -> &str {
    psl::domain_str(name).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        assert_eq!(usual("Example.COM.").as_deref(), Some("example.com"));
        assert_eq!(usual("bücher.example").as_deref(), Some("xn--bcher-kva.example"));
        for none in ["", ".", "a..b", "192.0.2.1", "[192.0.2.1]x y", "a b.example"] {
            assert_eq!(usual(none), None, "{none}");
        }
        assert_eq!(usual(&format!("{}.example", "a".repeat(64))), None);
    }

    #[test]
    fn organisational_domains_are_what_people_register() {
        assert_eq!(organisational("a.b.example.co.uk"), "example.co.uk");
        assert_eq!(organisational("co.uk"), "co.uk");
        assert!(is_within("a.example", "example") && is_within("a.example", "a.example"));
        assert!(!is_within("bad-example", "example"));
    }
}
