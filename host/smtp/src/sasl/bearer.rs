//! Tokens: OAUTHBEARER (RFC 7628), and XOAUTH2, which was there before it and is in wide use.

use super::CREDENTIAL_MAX;

/// Longest token that is taken, in octets. Some have a whole signed document in them.
const TOKEN_MAX: usize = 8_192;
/// What stands between the parts of a message.
const SEPARATOR: char = '\u{1}';

/// What a client whose token is refused is told first; whatever it says to that, the reply follows (RFC 7628 section 3.2.3).
pub(super) const REFUSED_OAUTHBEARER: &str = r#"{"status":"invalid_token"}"#;
/// The same for XOAUTH2.
pub(super) const REFUSED_XOAUTH2: &str = r#"{"status":"401","schemes":"bearer"}"#;

/// User and token of OAUTHBEARER's message: `n,a=user@example.org,^Ahost=...^Aport=...^Aauth=Bearer token^A^A`.
pub(super) fn oauthbearer(message: &str) -> Option<(String, String)> {
    let (header, pairs) = message.split_once(SEPARATOR)?;
    let header = header.strip_suffix(',')?;
    let (flag, identity) = header.split_once(',')?;
    if !matches!(flag, "n" | "y") {
        return None;
    }
    // Who says only what the token says cannot be named before somebody has read it.
    let user = identity.strip_prefix("a=").map(|name| name.replace("=2C", ",").replace("=3D", "="))?;
    shown(user, pairs)
}

/// User and token of XOAUTH2's message: `user=user@example.org^Aauth=Bearer token^A^A`.
pub(super) fn xoauth2(message: &str) -> Option<(String, String)> {
    let (user, pairs) = message.strip_prefix("user=")?.split_once(SEPARATOR)?;
    shown(user.to_owned(), pairs)
}

fn shown(user: String, pairs: &str) -> Option<(String, String)> {
    let pairs = pairs.strip_suffix([SEPARATOR, SEPARATOR].iter().collect::<String>().as_str())?;
    let mut values = pairs.split(SEPARATOR).filter_map(|pair| pair.strip_prefix("auth="));
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.split_once(' ')?;
    // RFC 6750 section 2.1.
    let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~+/=".contains(&octet);
    let good_user = (1..=CREDENTIAL_MAX).contains(&user.len()) && !user.chars().any(char::is_control);
    let good_token = (1..=TOKEN_MAX).contains(&token.len()) && token.bytes().all(is_token);
    let good = scheme.eq_ignore_ascii_case("Bearer") && good_user && good_token;
    good.then(|| (user, token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_of_the_rfc_and_of_the_practice() {
        let message = "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=143\u{1}auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\u{1}\u{1}";
        let found = ("user@example.com".to_owned(), "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==".to_owned());
        assert_eq!(oauthbearer(message), Some(found));
        let message =
            "user=someuser@example.com\u{1}auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\u{1}\u{1}";
        let found = ("someuser@example.com".to_owned(), "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg".to_owned());
        assert_eq!(xoauth2(message), Some(found));
    }

    #[test]
    fn what_makes_no_sense_is_none() {
        for message in [
            "",
            "n,,\u{1}auth=Bearer x\u{1}\u{1}",
            "p=x,a=u,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,a=u,\u{1}auth=Basic x\u{1}\u{1}",
            "n,a=u,\u{1}auth=Bearer x y\u{1}\u{1}",
            "n,a=u,\u{1}auth=Bearer \u{1}\u{1}",
            "n,a=u,\u{1}auth=Bearer x\u{1}auth=Bearer y\u{1}\u{1}",
            "n,a=u,\u{1}auth=Bearer x\u{1}",
            "n,a=u\nv,\u{1}auth=Bearer x\u{1}\u{1}",
        ] {
            assert_eq!(oauthbearer(message), None, "{message:?}");
        }
        for message in ["", "user=u", "user=\u{1}auth=Bearer x\u{1}\u{1}", "user=u\u{1}auth=x\u{1}\u{1}"] {
            assert_eq!(xoauth2(message), None, "{message:?}");
        }
    }
}
