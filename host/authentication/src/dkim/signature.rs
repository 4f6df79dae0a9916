//! Signature fields (RFC 6376 section 3.5), of DKIM and of ARC.

use super::canonical::Canonical;
use crate::domain;
use crate::tags::Tags;

/// Names in `h`: each is looked for among all fields. Signers name some thirty.
const FIELDS_MAX: usize = 200;

/// How it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    RsaSha1,
    RsaSha256,
    Ed25519Sha256,
}

impl Algorithm {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "rsa-sha1" => Some(Self::RsaSha1),
            "rsa-sha256" => Some(Self::RsaSha256),
            "ed25519-sha256" => Some(Self::Ed25519Sha256),
            _ => None,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RsaSha1 => "rsa-sha1",
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
        }
    }
}

/// A signature whose syntax is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) algorithm: Algorithm,
    pub(crate) signature: Vec<u8>,
    pub(crate) body_hash: Vec<u8>,
    pub(crate) of_header: Canonical,
    pub(crate) of_body: Canonical,
    /// Octets of the canonical body that are signed.
    pub(crate) body_length: Option<u64>,
    /// In the usual form.
    pub(crate) domain: String,
    pub(crate) selector: String,
    /// Names of the fields that are signed.
    pub(crate) fields: Vec<String>,
    /// As it was written.
    pub(crate) identity: Option<String>,
    /// Seconds since 1970.
    pub(crate) expires: Option<u64>,
}

impl Signature {
    /// What the tags of a DKIM-Signature say.
    ///
    /// # Errors
    /// When one is missing or malformed.
    pub(crate) fn of_dkim(tags: &Tags) -> Result<Self, &'static str> {
        if tags.get("v") != Some("1") {
            return Err("the signature is of another version");
        }
        let signature = Self::parse(tags)?;
        if let Some(identity) = &signature.identity {
            let of_identity = identity.rsplit_once('@').map(|(_, domain)| domain).and_then(domain::usual);
            if !of_identity.is_some_and(|of_identity| domain::is_within(&of_identity, &signature.domain)) {
                return Err("the identity is not of the signing domain");
            }
        }
        if !signature.signs("From") {
            return Err("From is not signed");
        }
        Ok(signature)
    }

    /// What the tags of an ARC-Message-Signature say: the same, without version and identity (RFC 8617 section 4.1.2).
    ///
    /// # Errors
    /// When one is missing or malformed.
    pub(crate) fn of_arc(tags: &Tags) -> Result<Self, &'static str> {
        let signature = Self::parse(tags)?;
        if signature.signs("ARC-Seal") {
            return Err("it signs seals");
        }
        Ok(Self { identity: None, ..signature })
    }

    fn parse(tags: &Tags) -> Result<Self, &'static str> {
        let form = tags.get("c").unwrap_or("simple");
        let (of_header, of_body) = form.split_once('/').unwrap_or((form, "simple"));
        let canonical = |name| Canonical::parse(name).ok_or("the canonical form is unknown");
        let fields = tags.get("h").ok_or("h is missing")?;
        // A name left empty names nothing, as a field that is not there.
        let fields = fields.split(':').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        let fields: Vec<String> = fields.take(FIELDS_MAX + 1).collect();
        if fields.len() > FIELDS_MAX {
            return Err("it signs more than 200 fields");
        }
        if tags.get("q").is_some_and(|ways| !ways.split(':').any(|way| way.trim() == "dns/txt")) {
            return Err("the key is not in the DNS");
        }
        let number = |tag| tags.number(tag).map_err(|()| "a number is none");
        let (signed_at, expires) = (number("t")?, number("x")?);
        if signed_at.zip(expires).is_some_and(|(signed_at, expires)| expires <= signed_at) {
            return Err("it expires before it is signed");
        }
        Ok(Self {
            algorithm: algorithm(tags)?,
            signature: filled(tags, "b").ok_or("b is missing or malformed")?,
            body_hash: filled(tags, "bh").ok_or("bh is missing or malformed")?,
            of_header: canonical(of_header)?,
            of_body: canonical(of_body)?,
            body_length: number("l")?,
            domain: signing_domain(tags)?,
            selector: selector(tags)?,
            fields,
            identity: tags.get("i").map(str::to_owned),
            expires,
        })
    }

    fn signs(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.eq_ignore_ascii_case(name))
    }
}

pub(crate) fn algorithm(tags: &Tags) -> Result<Algorithm, &'static str> {
    Algorithm::parse(tags.get("a").ok_or("a is missing")?).ok_or("the algorithm is unknown")
}

pub(crate) fn signing_domain(tags: &Tags) -> Result<String, &'static str> {
    tags.get("d").and_then(domain::usual).ok_or("d is missing or no domain")
}

pub(crate) fn selector(tags: &Tags) -> Result<String, &'static str> {
    tags.get("s").and_then(domain::usual).ok_or("s is missing or no name")
}

/// The octets of a tag, if there are any.
pub(crate) fn filled(tags: &Tags, name: &str) -> Option<Vec<u8>> {
    tags.octets(name).filter(|octets| !octets.is_empty())
}

/// Where the key of a signature is.
pub(crate) fn key_name(selector: &str, domain: &str) -> String {
    format!("{selector}._domainkey.{domain}")
}

/// A signature field without the value of its `b`, and without its final CRLF: so it is signed (RFC 6376 section 3.7).
pub(crate) fn unsigned(raw: &[u8]) -> Vec<u8> {
    let raw = raw.strip_suffix(b"\r\n").unwrap_or(raw);
    let colon = raw.iter().position(|octet| *octet == b':').map_or(raw.len(), |at| at + 1);
    let mut kept = raw[..colon].to_vec();
    for (at, spec) in raw[colon..].split(|octet| *octet == b';').enumerate() {
        if at > 0 {
            kept.push(b';');
        }
        match spec.iter().position(|octet| *octet == b'=') {
            Some(equals) if spec[..equals].trim_ascii() == b"b" => kept.extend_from_slice(&spec[..=equals]),
            _ => kept.extend_from_slice(spec),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_signed_without_itself() {
        assert_eq!(unsigned(b"X: a=1;\r\n b = ab\r\n c=; bh=b=; d\r\n"), b"X: a=1;\r\n b =; bh=b=; d");
        assert_eq!(unsigned(b"X: b=abc\r\n"), b"X: b=");
    }

    #[test]
    fn what_is_malformed_is_named() {
        let good = "v=1; a=rsa-sha256; b=YQ==; bh=YQ==; d=a.example; s=x; h=from:to";
        let parsed = |text: &str| Signature::of_dkim(&Tags::parse(text.as_bytes()).unwrap());
        assert!(parsed(good).is_ok());
        for (from, to, why) in [
            ("v=1", "v=2", "the signature is of another version"),
            ("rsa-sha256", "rsa-md5", "the algorithm is unknown"),
            ("bh=YQ==", "bh=?", "bh is missing or malformed"),
            ("from:to", "to", "From is not signed"),
            ("h=from", "i=@b.example; h=from", "the identity is not of the signing domain"),
            ("h=from", "c=simple/x; h=from", "the canonical form is unknown"),
            ("h=from", "t=2; x=1; h=from", "it expires before it is signed"),
            ("h=from", "l=-1; h=from", "a number is none"),
            ("h=from", "q=http; h=from", "the key is not in the DNS"),
            ("d=a.example", "d=a..example", "d is missing or no domain"),
        ] {
            assert_eq!(parsed(&good.replace(from, to)), Err(why), "{from} {to}");
        }
    }
}
