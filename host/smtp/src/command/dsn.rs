//! What a sender wants to hear of a message's fate: the parameters of DSN (RFC 3461 §4).

/// Octets of an envelope identifier, encoded (RFC 3461 §4.4).
const ENVID_MAX: usize = 100;
/// Octets of an original recipient, encoded (§4.2).
const ORCPT_MAX: usize = 500;

/// Whether the value is one of `RET=`.
pub(super) fn is_ret(value: &str) -> bool {
    ["FULL", "HDRS"].iter().any(|known| value.eq_ignore_ascii_case(known))
}

/// Whether the value is one of `ENVID=`.
pub(super) fn is_envid(value: &str) -> bool {
    value.len() <= ENVID_MAX
        && xtext(value).is_some_and(|octets| octets.iter().all(|octet| (b' '..=b'~').contains(octet)))
}

/// Whether the value is one of `NOTIFY=`: never, or at some of three occasions.
pub(super) fn is_notify(value: &str) -> bool {
    if value.eq_ignore_ascii_case("NEVER") {
        return true;
    }
    let mut seen = [false; 3];
    value.split(',').all(|word| {
        let at = ["SUCCESS", "FAILURE", "DELAY"].iter().position(|known| word.eq_ignore_ascii_case(known));
        at.is_some_and(|at| !std::mem::replace(&mut seen[at], true))
    })
}

/// Whether the value is one of `ORCPT=`: a type of address, and an address as xtext; one of type `utf-8` may be as RFC 6533 §3 has it.
pub(super) fn is_orcpt(value: &str) -> bool {
    let Some((kind, address)) = value.split_once(';') else { return false };
    let is_atom = !kind.is_empty() && kind.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let international = kind.eq_ignore_ascii_case("utf-8");
    let good = |octets: Vec<u8>| {
        let plain = octets.iter().all(|octet| (b' '..=b'~').contains(octet));
        plain || (international && String::from_utf8(octets).is_ok_and(|text| !text.chars().any(char::is_control)))
    };
    is_atom && !address.is_empty() && value.len() <= ORCPT_MAX && xtext(address).is_some_and(good)
}

/// The octets that xtext stands for (§4); none when it is malformed.
fn xtext(text: &str) -> Option<Vec<u8>> {
    let hex = |octet: Option<u8>| match octet? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        letter @ b'A'..=b'F' => Some(letter - b'A' + 10),
        _ => None,
    };
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => hex(rest.next())? << 4 | hex(rest.next())?,
            _ => octet,
        });
    }
    (!octets.is_empty()).then_some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn good_values() {
        assert!(is_ret("full") && is_ret("HDRS"));
        assert!(is_envid("QQ314159") && is_envid("a+2Bb+3D") && is_envid(&"x".repeat(100)));
        for notify in ["NEVER", "never", "SUCCESS", "FAILURE,DELAY", "delay,Success,FAILURE"] {
            assert!(is_notify(notify), "{notify}");
        }
        for orcpt in ["rfc822;Bob@Example.COM", "rfc822;a+2Bb@example.org", "x400;/C=x", "utf-8;gr\u{fc}n@example.org"]
        {
            assert!(is_orcpt(orcpt), "{orcpt}");
        }
    }

    #[test]
    fn bad_values() {
        assert!(!is_ret("") && !is_ret("BODY"));
        for envid in ["", "a+0Ab", "a+2", "a+2b", "+00", &"x".repeat(101)] {
            assert!(!is_envid(envid), "{envid}");
        }
        for notify in ["", "NEVER,DELAY", "SUCCESS,SUCCESS", "SUCCESS,", "ALWAYS", "SUCCESS FAILURE"] {
            assert!(!is_notify(notify), "{notify}");
        }
        let long = format!("rfc822;{}", "x".repeat(494));
        for orcpt in
            ["", "rfc822", "rfc822;", ";a@b", "rfc822;a+0D+0Ab", "rfc822;gr\u{fc}n@b", "rf c;x", "utf-8;+FF", &long]
        {
            assert!(!is_orcpt(orcpt), "{orcpt}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_good_has_a_line_end(value in "[ -~\r\n]{0,40}") {
            let good = is_envid(&value) || is_notify(&value) || is_orcpt(&value) || is_ret(&value);
            prop_assert!(!good || !value.contains(['\r', '\n']));
        }
    }
}
