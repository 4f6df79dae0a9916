//! Public keys in the DNS (RFC 6376 section 3.6.1, RFC 8301, RFC 8463).

use ring::signature::{ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};

use super::signature::Algorithm;
use crate::tags::Tags;

/// Shortest RSA key that is believed, in bits (RFC 8301 section 3.2).
const RSA_MIN: u32 = 1_024;

/// A key, and what its owner wants it used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    rsa: bool,
    /// For RSA the RSAPublicKey of PKCS#1, for Ed25519 the octets of the key.
    octets: Vec<u8>,
    /// Size in bits.
    pub(crate) bits: u32,
    /// The owner is only trying (`t=y`).
    pub(crate) testing: bool,
    /// The identity must be of the domain itself (`t=s`).
    pub(crate) strict: bool,
}

/// Why a key is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// It cannot be used.
    Unusable(&'static str),
    /// It can, but should not be believed.
    Weak(&'static str),
}

impl Key {
    /// # Errors
    /// When the record is malformed, revoked, or not for mail.
    pub(crate) fn parse(record: &[u8]) -> Result<Self, KeyError> {
        let tags = Tags::parse(record).map_err(KeyError::Unusable)?;
        let lists = |tag: &str, word: &str| tags.get(tag).is_none_or(|list| list.split(':').any(|w| w.trim() == word));
        let version = tags.get("v").is_none_or(|version| version == "DKIM1" && tags.first() == Some("v"));
        if !version {
            return Err(KeyError::Unusable("the key is of another version"));
        }
        if !lists("h", "sha256") {
            return Err(KeyError::Unusable("the key is not for SHA-256"));
        }
        if !lists("s", "*") && !lists("s", "email") {
            return Err(KeyError::Unusable("the key is not for mail"));
        }
        let flag = |flag: &str| tags.get("t").is_some_and(|list| list.split(':').any(|word| word.trim() == flag));
        let (testing, strict) = (flag("y"), flag("s"));
        let public = tags.octets("p").ok_or(KeyError::Unusable("there is no key in the record"))?;
        if public.is_empty() {
            return Err(KeyError::Unusable("the key is revoked"));
        }
        match tags.get("k").unwrap_or("rsa") {
            "rsa" => {
                let octets = rsa_public_key(&public).ok_or(KeyError::Unusable("the key is no RSA key"))?;
                let bits = modulus_bits(octets).ok_or(KeyError::Unusable("the key is no RSA key"))?;
                Ok(Self { rsa: true, octets: octets.to_vec(), bits, testing, strict })
            }
            "ed25519" if public.len() == 32 => Ok(Self { rsa: false, octets: public, bits: 256, testing, strict }),
            "ed25519" => Err(KeyError::Unusable("the key is no Ed25519 key")),
            _ => Err(KeyError::Unusable("the key is of an unknown kind")),
        }
    }

    /// Whether a signature over these octets is of this key.
    ///
    /// # Errors
    /// When the key is not for this algorithm, or too short.
    pub(crate) fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> Result<bool, KeyError> {
        match (algorithm, self.rsa) {
            (Algorithm::RsaSha256, true) if self.bits < RSA_MIN => Err(KeyError::Weak("the key is too short")),
            (Algorithm::RsaSha256, true) => {
                let key = UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, &self.octets);
                Ok(key.verify(signed, signature).is_ok())
            }
            (Algorithm::Ed25519Sha256, false) => {
                // What is signed is the hash (RFC 8463 section 3).
                let hash = ring::digest::digest(&ring::digest::SHA256, signed);
                Ok(UnparsedPublicKey::new(&ED25519, &self.octets).verify(hash.as_ref(), signature).is_ok())
            }
            (Algorithm::RsaSha1, _) => Err(KeyError::Weak("SHA-1 is not believed")),
            _ => Err(KeyError::Unusable("the key is for another algorithm")),
        }
    }
}

/// The RSAPublicKey in a SubjectPublicKeyInfo, or what is one already: both are published.
fn rsa_public_key(der: &[u8]) -> Option<&[u8]> {
    let (outer, _) = element(der, 0x30)?;
    let Some((_, rest)) = element(outer, 0x30) else { return Some(der) };
    let (bits, _) = element(rest, 0x03)?;
    bits.strip_prefix(&[0])
}

fn modulus_bits(der: &[u8]) -> Option<u32> {
    let (sequence, _) = element(der, 0x30)?;
    let (modulus, _) = element(sequence, 0x02)?;
    let zeros = modulus.iter().take_while(|octet| **octet == 0).count();
    let modulus = &modulus[zeros..];
    let bits = u32::try_from(modulus.len()).ok()?.checked_mul(8)?;
    Some(bits - modulus.first()?.leading_zeros())
}

/// The content of a DER element with this tag, and what stands behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (len, rest) = rest.split_first()?;
    let (len, rest) = match *len {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (octets.iter().fold(0, |len, octet| len << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    (*first == tag).then(|| rest.split_at_checked(len)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_say_what_a_key_is_for() {
        let ed = "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        let key = Key::parse(format!("v=DKIM1; {ed}; t=y:s; s=tlsrpt : email").as_bytes()).unwrap();
        assert_eq!((key.bits, key.testing, key.strict), (256, true, true));
        for (record, why) in [
            (format!("{ed}; v=DKIM1"), "the key is of another version"),
            (format!("v=DKIM2; {ed}"), "the key is of another version"),
            (format!("{ed}; h=sha1"), "the key is not for SHA-256"),
            (format!("{ed}; s=tlsrpt"), "the key is not for mail"),
            ("v=DKIM1; p=".to_owned(), "the key is revoked"),
            ("v=DKIM1; p=AAAA".to_owned(), "the key is no RSA key"),
            ("v=DKIM1; k=ed25519; p=AAAA".to_owned(), "the key is no Ed25519 key"),
            ("v=DKIM1; k=x; p=AAAA".to_owned(), "the key is of an unknown kind"),
            ("v=DKIM1; k=rsa".to_owned(), "there is no key in the record"),
        ] {
            assert_eq!(Key::parse(record.as_bytes()), Err(KeyError::Unusable(why)), "{record}");
        }
    }
}
