//! What a token's bearer shows, and what it opens.

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use crate::{Change, Scope, TenantName, Token, TokenId};

/// What every token begins with, so that programs that look for leaked ones know it.
const PREFIX: &str = "wml_";
/// Octets of a token's public part: 64 bits, in 16 hexadecimal digits.
const ID_OCTETS: usize = 8;
/// Octets that only the bearer knows.
const SECRET_OCTETS: usize = 32;

/// A token that was just made, with what its bearer shows; that is never seen again.
#[derive(Debug, Clone, PartialEq)]
pub struct NewToken {
    /// What makes it good, to be put into the registry.
    pub change: Change,
    /// Its public part.
    pub id: TokenId,
    /// `wml_`, its id, `_` and 43 characters of base64url: 256 random bits.
    pub secret: String,
}

impl NewToken {
    /// Makes a token; none when the operating system gives no random octets.
    #[must_use]
    pub fn make(label: &str, scope: Scope, expires: Option<u64>) -> Option<Self> {
        let (mut id, mut secret) = ([0; ID_OCTETS], [0; SECRET_OCTETS]);
        let random = SystemRandom::new();
        random.fill(&mut id).ok()?;
        random.fill(&mut secret).ok()?;
        let id: TokenId = data_encoding::HEXLOWER.encode(&id).parse().ok()?;
        let secret = format!("{PREFIX}{id}_{}", BASE64URL_NOPAD.encode(&secret));
        let (label, hash) = (label.to_owned(), hash(&secret));
        Some(Self { change: Change::AddToken { token: id.clone(), label, scope, expires, hash }, id, secret })
    }
}

/// The public part of what a bearer shows; none if it is no token.
#[must_use]
pub fn token_id(shown: &str) -> Option<TokenId> {
    let (id, secret) = shown.strip_prefix(PREFIX)?.split_once('_')?;
    let is_secret = BASE64URL_NOPAD.decode(secret.as_bytes()).is_ok_and(|octets| octets.len() == SECRET_OCTETS);
    if is_secret { id.parse().ok() } else { None }
}

fn hash(shown: &str) -> [u8; 32] {
    digest(&SHA256, shown.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 octets")
}

impl Token {
    /// Whether this is what its bearer shows, and it is good at this time (milliseconds since 1970).
    #[must_use]
    pub fn is_shown(&self, kept: &[u8; 32], shown: &str, at: u64) -> bool {
        let same: bool = subtle::ConstantTimeEq::ct_eq(&kept[..], &hash(shown)[..]).into();
        same && self.expires.is_none_or(|expires| at < expires)
    }
}

impl Scope {
    /// The tenant that it is limited to.
    #[must_use]
    pub const fn tenant(&self) -> Option<&TenantName> {
        match self {
            Self::Operator { .. } => None,
            Self::Tenant { tenant, .. } => Some(tenant),
        }
    }

    /// Whether it sees what is this tenant's.
    #[must_use]
    pub fn sees(&self, name: &TenantName) -> bool {
        self.tenant().is_none_or(|tenant| tenant == name)
    }

    /// Whether it may change what it sees.
    #[must_use]
    pub const fn writes(&self) -> bool {
        match self {
            Self::Operator { read_only } | Self::Tenant { read_only, .. } => !*read_only,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(new: &NewToken) -> (Token, [u8; 32]) {
        let Change::AddToken { token, label, scope, expires, hash } = new.change.clone() else { panic!("no token") };
        (Token { id: token, label, scope, created: 0, expires }, hash)
    }

    #[test]
    fn only_what_was_given_out_opens_and_only_in_its_time() {
        let new = |expires| NewToken::make("ci", Scope::Operator { read_only: false }, expires).unwrap();
        let (one, other) = (new(None), new(Some(100)));
        assert_eq!(token_id(&one.secret), Some(one.id.clone()));
        let (token, hash) = kept(&one);
        assert!(token.is_shown(&hash, &one.secret, u64::MAX));
        assert!(!token.is_shown(&hash, &other.secret, 0));
        assert!(!token.is_shown(&hash, &one.secret[..one.secret.len() - 1], 0));
        let (token, hash) = kept(&other);
        assert!(token.is_shown(&hash, &other.secret, 99) && !token.is_shown(&hash, &other.secret, 100));
    }

    #[test]
    fn what_is_no_token_has_no_id() {
        for shown in ["", "wml_", "wml_a_b", "wml__x", "Bearer x", "wml_0123456789abcdef_short"] {
            assert_eq!(token_id(shown), None, "{shown}");
        }
    }

    #[test]
    fn a_scope_sees_its_own() {
        let (acme, bravo): (TenantName, TenantName) = ("acme".parse().unwrap(), "bravo".parse().unwrap());
        let own = Scope::Tenant { tenant: acme.clone(), read_only: true };
        assert!(own.sees(&acme) && !own.sees(&bravo) && !own.writes());
        let all = Scope::Operator { read_only: false };
        assert!(all.sees(&acme) && all.writes());
    }
}
