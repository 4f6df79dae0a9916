//! Keys that a binding uses and never sees.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ring::hmac;
use ring::signature::Ed25519KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use subtle::ConstantTimeEq;

use crate::Failure;

/// Octets of a secret: fewer can be guessed, and of more nothing is gained.
const OCTETS_MIN: usize = 16;
const OCTETS_MAX: usize = 4_096;
/// Octets to which a code may be cut: RFC 2104 section 5 wants half of them at least.
const CODE_MIN: usize = 16;

/// What one binding was given, by name. Clones share it.
#[derive(Clone, Default)]
pub struct Secrets(Arc<BTreeMap<String, Secret>>);

/// One secret.
pub enum Secret {
    /// For codes.
    Hmac(Box<hmac::Key>),
    /// For signatures.
    Ed25519(Box<Ed25519KeyPair>),
}

/// What is wrong with a secret. It never tells what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Its length.
    #[error("has {0} octets; a secret has 16 to 4096")]
    Length(usize),
    /// It is in PEM, and no Ed25519 key.
    #[error("is in PEM and no private key for Ed25519 in PKCS #8, as `openssl genpkey -algorithm ed25519` makes it")]
    Pem,
}

impl Secret {
    /// Makes a secret of octets: a private key in PEM, or any others.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn new(octets: &[u8]) -> Result<Self, SecretError> {
        if octets.starts_with(b"-----BEGIN ") {
            let der = PrivatePkcs8KeyDer::from_pem_slice(octets).map_err(|_| SecretError::Pem)?;
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
            return pair.map(|pair| Self::Ed25519(Box::new(pair))).map_err(|_| SecretError::Pem);
        }
        if !(OCTETS_MIN..=OCTETS_MAX).contains(&octets.len()) {
            return Err(SecretError::Length(octets.len()));
        }
        Ok(Self::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, octets))))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hmac(_) => "Hmac(..)",
            Self::Ed25519(_) => "Ed25519(..)",
        })
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl FromIterator<(String, Secret)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (String, Secret)>>(secrets: I) -> Self {
        Self(Arc::new(secrets.into_iter().collect()))
    }
}

impl Secrets {
    /// HMAC with SHA-256 (RFC 2104) of the data.
    ///
    /// # Errors
    /// When there is no such secret, or it is for something else; so it is below.
    pub fn hmac_sha256(&self, name: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
        Ok(hmac::sign(self.hmac(name)?, data).as_ref().to_vec())
    }

    /// Whether a code, cut to 16 octets at least, is that of the data; in constant time.
    ///
    /// # Errors
    /// As [`Secrets::hmac_sha256`].
    pub fn verify_hmac_sha256(&self, name: &str, data: &[u8], code: &[u8]) -> Result<bool, Failure> {
        let expected = hmac::sign(self.hmac(name)?, data);
        let expected = expected.as_ref().get(..code.len()).filter(|expected| expected.len() >= CODE_MIN);
        Ok(expected.is_some_and(|expected| bool::from(expected.ct_eq(code))))
    }

    /// An Ed25519 signature (RFC 8032) of the data.
    ///
    /// # Errors
    /// As [`Secrets::hmac_sha256`].
    pub fn sign_ed25519(&self, name: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
        match self.get(name)? {
            Secret::Ed25519(pair) => Ok(pair.sign(data).as_ref().to_vec()),
            Secret::Hmac(_) => Err(Failure::Invalid(format!("the secret `{name}` is no private key for Ed25519"))),
        }
    }

    fn hmac(&self, name: &str) -> Result<&hmac::Key, Failure> {
        match self.get(name)? {
            Secret::Hmac(key) => Ok(key),
            Secret::Ed25519(_) => Err(Failure::Invalid(format!("the secret `{name}` is for signatures"))),
        }
    }

    fn get(&self, name: &str) -> Result<&Secret, Failure> {
        let secret = self.0.get(name);
        secret.ok_or_else(|| Failure::Invalid("the binding has no secret of this name in plugin.secrets".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, KeyPair, UnparsedPublicKey};

    fn secrets() -> Secrets {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
        [("code", Secret::new(&[0x0b; 20]).unwrap()), ("key", Secret::new(key.as_bytes()).unwrap())]
            .map(|(name, secret)| (name.to_owned(), secret))
            .into_iter()
            .collect()
    }

    #[test]
    fn a_code_is_that_of_rfc_4231_and_is_verified() {
        let secrets = secrets();
        let code = secrets.hmac_sha256("code", b"Hi There").unwrap();
        // RFC 4231 section 4.2.
        assert_eq!(code[..8], [0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53]);
        let verify = |data: &[u8], code: &[u8]| secrets.verify_hmac_sha256("code", data, code).unwrap();
        assert!(verify(b"Hi There", &code) && verify(b"Hi There", &code[..16]));
        let longer = [&code[..], &[0]].concat();
        assert!(!verify(b"Hi there", &code) && !verify(b"Hi There", &code[..15]) && !verify(b"Hi There", &longer));
        assert!(!verify(b"Hi There", &[]));
    }

    #[test]
    fn a_signature_is_verified_by_the_public_key() {
        let secrets = secrets();
        let signature = secrets.sign_ed25519("key", b"data").unwrap();
        let Some(Secret::Ed25519(pair)) = secrets.0.get("key") else { panic!("it is a key") };
        let public = UnparsedPublicKey::new(&ED25519, pair.public_key());
        assert!(public.verify(b"data", &signature).is_ok() && public.verify(b"Data", &signature).is_err());
    }

    #[test]
    fn what_is_wrong_is_said_and_no_secret_is_told() {
        assert_eq!(Secret::new(b"short").unwrap_err(), SecretError::Length(5));
        assert_eq!(Secret::new(b"-----BEGIN CERTIFICATE-----\n").unwrap_err(), SecretError::Pem);
        let secrets = secrets();
        for failure in [
            secrets.hmac_sha256("no", b"").unwrap_err(),
            secrets.hmac_sha256("key", b"").unwrap_err(),
            secrets.sign_ed25519("code", b"").unwrap_err(),
        ] {
            assert!(matches!(failure, Failure::Invalid(_)), "{failure:?}");
        }
        assert_eq!(format!("{secrets:?}"), "{\"code\", \"key\"}");
    }
}
