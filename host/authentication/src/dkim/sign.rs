//! Signing: taking responsibility for a message (RFC 6376 sections 5 and 3.5; RFC 8463 for Ed25519).

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use data_encoding::BASE64;
use ring::rand::SystemRandom;
use ring::rsa::PublicKey;
use ring::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use wasmail_mail::HeaderSection;

use super::canonical::BodyHash;
use super::{Algorithm, CHUNK, Canonical, Message, key_name, own_field, turn};
use crate::dmarc;
use crate::domain::{is_within, usual};

/// Fields that are signed once more than they are there, so that none can be added: those that a reader is shown or believes
/// (RFC 6376 sections 5.4.1 and 8.15).
const SEALED: [&str; 10] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];
/// Fields that are signed as often as they are there. A mailing list may add its own.
const SIGNED: [&str; 14] = [
    "Sender",
    "In-Reply-To",
    "References",
    "Resent-From",
    "Resent-To",
    "Resent-Cc",
    "Resent-Date",
    "Resent-Message-ID",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Post",
    "Auto-Submitted",
    "Content-ID",
];
/// Names in `h`: as many as we ourselves believe of others.
const NAMES_MAX: usize = 200;
/// Columns of a line (RFC 5322 section 2.1.1).
const FOLD_AT: usize = 78;

/// A private key, as DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateKey<'a> {
    /// RSA: `BEGIN RSA PRIVATE KEY`.
    Pkcs1(&'a [u8]),
    /// RSA or Ed25519: `BEGIN PRIVATE KEY`.
    Pkcs8(&'a [u8]),
}

/// Why somebody cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CannotSign {
    /// The domain is none.
    Domain,
    /// The selector is none.
    Selector,
    /// The key is none, or of a kind or length that is not used.
    Key,
}

impl std::fmt::Display for CannotSign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Domain => "it is no domain",
            Self::Selector => "it is no selector: one or more labels, as in a domain",
            Self::Key => "it is neither an RSA key of 2048 to 4096 bits nor an Ed25519 key",
        })
    }
}

impl std::error::Error for CannotSign {}

/// A domain's key.
#[derive(Debug)]
pub struct SigningKey {
    domain: String,
    selector: String,
    pair: Pair,
}

#[derive(Debug)]
enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// A key of `domain` whose public half is found at `selector` (RFC 6376 section 3.1). Both may be international.
    ///
    /// # Errors
    /// When one of the three is not what it should be.
    pub fn new(domain: &str, selector: &str, key: PrivateKey<'_>) -> Result<Self, CannotSign> {
        let domain = usual(domain).ok_or(CannotSign::Domain)?;
        let selector = usual(selector).ok_or(CannotSign::Selector)?;
        usual(&key_name(&selector, &domain)).ok_or(CannotSign::Selector)?;
        let rsa = |pair: RsaKeyPair| Pair::Rsa(Box::new(pair));
        let pair = match key {
            PrivateKey::Pkcs1(der) => RsaKeyPair::from_der(der).map(rsa),
            PrivateKey::Pkcs8(der) => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                .map(|pair| Pair::Ed25519(Box::new(pair)))
                .or_else(|_| RsaKeyPair::from_pkcs8(der).map(rsa)),
        };
        Ok(Self { domain, selector, pair: pair.map_err(|_| CannotSign::Key)? })
    }

    /// Where the DNS must have its record: `selector._domainkey.domain`.
    #[must_use]
    pub fn name(&self) -> String {
        key_name(&self.selector, &self.domain)
    }

    /// What the DNS must have there, as one text (section 3.6.1).
    #[must_use]
    pub fn record(&self) -> String {
        match &self.pair {
            Pair::Rsa(pair) => format!("v=DKIM1; k=rsa; p={}", BASE64.encode(&subject_public_key_info(pair.public()))),
            Pair::Ed25519(pair) => {
                format!("v=DKIM1; k=ed25519; p={}", BASE64.encode(pair.public_key().as_ref()))
            }
        }
    }

    fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Rsa(_) => Algorithm::RsaSha256,
            Pair::Ed25519(_) => Algorithm::Ed25519Sha256,
        }
    }

    fn sign(&self, octets: &[u8]) -> io::Result<Vec<u8>> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), octets, &mut signature);
                signed.map_err(|_| io::Error::other("the RSA key cannot sign"))?;
                Ok(signature)
            }
            Pair::Ed25519(pair) => {
                // What is signed is the hash (RFC 8463 section 3).
                let hash = ring::digest::digest(&ring::digest::SHA256, octets);
                Ok(pair.sign(hash.as_ref()).as_ref().to_vec())
            }
        }
    }
}

/// The keys of all domains.
#[derive(Debug, Default)]
pub struct Signer(Vec<Arc<SigningKey>>);

impl Signer {
    /// Signs with these. A domain may have several, each of which signs.
    #[must_use]
    pub fn new(keys: Vec<Arc<SigningKey>>) -> Self {
        Self(keys)
    }

    /// The signatures of a message, fields with their CRLF to stand on top of its header section, in the order of the keys; none
    /// where there is no key for the author's domain. A subdomain without keys of its own is signed for by the nearest domain above
    /// it that has some, with which it is aligned as DMARC has it. Fields and body are signed in the relaxed form. `now` is in
    /// seconds since 1970.
    ///
    /// # Errors
    /// When the body cannot be read back.
    pub async fn sign(&self, message: Message<'_>, now: u64) -> io::Result<Vec<u8>> {
        let keys = self.keys(message.header);
        let mut fields = Vec::new();
        if keys.is_empty() {
            return Ok(fields);
        }
        let body_hash = body_hash(message).await?;
        let names = names(message.header);
        for key in keys {
            fields.extend(signature(key, message.header, &names, &body_hash, now)?);
            turn().await;
        }
        Ok(fields)
    }

    fn keys(&self, header: &HeaderSection) -> Vec<&SigningKey> {
        // Whose name it is is a reader's question, so what has no clear author is nobody's.
        let Ok(author) = dmarc::author(header) else { return Vec::new() };
        let of_author = self.0.iter().filter(|key| is_within(&author, &key.domain));
        let nearest = of_author.map(|key| key.domain.len()).max();
        let of_nearest = |key: &&SigningKey| is_within(&author, &key.domain) && Some(key.domain.len()) == nearest;
        self.0.iter().map(|key| &**key).filter(of_nearest).collect()
    }
}

async fn body_hash(message: Message<'_>) -> io::Result<String> {
    let (mut hash, mut offset) = (BodyHash::new(Canonical::Relaxed, None), 0);
    loop {
        let chunk = message.body.read_at(offset, CHUNK).await?;
        if chunk.is_empty() {
            return Ok(BASE64.encode(hash.finish().digest.as_ref()));
        }
        offset += chunk.len() as u64;
        hash.push(&chunk);
        turn().await;
    }
}

/// The names for `h`: each as often as its field is signed.
fn names(header: &HeaderSection) -> Vec<&'static str> {
    let times = |name: &'static str, more: usize| {
        let there = header.named(name).count() + more;
        std::iter::repeat_n(name, there)
    };
    let sealed = SEALED.into_iter().flat_map(|name| times(name, 1));
    // A message that has so many fields that they don't fit is sealed nevertheless where it is short.
    sealed.chain(SIGNED.into_iter().flat_map(|name| times(name, 0))).take(NAMES_MAX).collect()
}

fn signature(key: &SigningKey, header: &HeaderSection, names: &[&str], body: &str, now: u64) -> io::Result<Vec<u8>> {
    let algorithm = key.algorithm();
    let mut field = format!(
        "DKIM-Signature: v=1; a={}; c=relaxed/relaxed;\r\n\td={};\r\n\ts={}; t={now};\r\n\tbh={body};\r\n\th=",
        algorithm.as_str(),
        key.domain,
        key.selector,
    );
    let mut column = 10;
    for (at, name) in names.iter().enumerate() {
        let colon = if at == 0 { "" } else { ":" };
        if column + colon.len() + name.len() > FOLD_AT - 2 {
            // White space may stand on both sides of a colon (section 3.5).
            let _ = write!(field, "{colon}\r\n\t{name}");
            column = 8 + name.len();
        } else {
            let _ = write!(field, "{colon}{name}");
            column += colon.len() + name.len();
        }
    }
    field.push_str(";\r\n\tb=");
    let mut signed = super::fields_by_name(header, names.iter().copied(), Canonical::Relaxed, None);
    own_field(Canonical::Relaxed, field.as_bytes(), &mut signed);
    let value = BASE64.encode(&key.sign(&signed)?);
    for line in value.as_bytes().chunks(FOLD_AT - 10) {
        field.push_str("\r\n\t");
        field.extend(line.iter().map(|octet| char::from(*octet)));
    }
    field.push_str("\r\n");
    Ok(field.into_bytes())
}

/// The public key as X.509 has it (RFC 5280 section 4.1.2.7), which is what every verifier reads.
fn subject_public_key_info(key: &PublicKey) -> Vec<u8> {
    /// `rsaEncryption` with its NULL (RFC 3279 section 2.3.1).
    const ALGORITHM: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let bits = element(0x03, &[&[0], key.as_ref()].concat());
    element(0x30, &[&ALGORITHM, bits.as_slice()].concat())
}

/// A DER element. A key has fewer than 65,536 octets.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let head: &[u8] = match (high, low) {
        (0, 0..=0x7f) => &[tag, low],
        (0, _) => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [head, content].concat()
}

#[cfg(test)]
mod tests;
