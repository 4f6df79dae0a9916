//! The public suffix list.

use std::net::IpAddr;

/// Octets of a name (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 253;

/// The name that somebody has registered: the public suffix and one label more.
#[must_use]
pub fn registrable_domain(name: &str) -> Option<String> {
    let name = usual(name)?;
    psl::domain_str(&name).map(str::to_owned)
}

/// The public suffix of a name.
#[must_use]
pub fn suffix(name: &str) -> Option<String> {
    let name = usual(name)?;
    psl::suffix_str(&name).map(str::to_owned)
}

/// A name in lower case, without its final dot. Addresses and what cannot be a name are none.
fn usual(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let has_empty_label = name.split('.').any(str::is_empty);
    if name.len() > NAME_MAX || has_empty_label || name.parse::<IpAddr>().is_ok() {
        return None;
    }
    Some(name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_where_people_register_them() {
        for (name, domain, own_suffix) in [
            ("mx.example.co.uk", "example.co.uk", "co.uk"),
            ("Example.COM.", "example.com", "com"),
            ("a.b.github.io", "b.github.io", "github.io"),
            ("www.食狮.公司.cn", "食狮.公司.cn", "公司.cn"),
            ("www.xn--85x722f.xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn", "xn--55qx5d.cn"),
            ("a.b.no-such-suffix", "b.no-such-suffix", "no-such-suffix"),
        ] {
            assert_eq!(registrable_domain(name).as_deref(), Some(domain), "{name}");
            assert_eq!(suffix(name).as_deref(), Some(own_suffix), "{name}");
        }
    }

    #[test]
    fn what_nobody_registers_has_no_domain() {
        for name in ["com", "co.uk", "", ".", "a..b", ".com", "192.0.2.1", "2001:db8::1"] {
            assert_eq!(registrable_domain(name), None, "{name}");
        }
        assert_eq!(registrable_domain(&format!("{}.com", "a".repeat(300))), None);
        assert_eq!(suffix("192.0.2.1"), None);
    }
}
