//! Signatures on what goes out (RFC 6376): keys in files, and messages as the spool has them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{self, PemObject};
use wasmail_authentication::{CannotSign, Message, PrivateKey, Signer, SigningKey};
use wasmail_mail::HeaderSection;

use crate::body::SpooledBody;

/// Where a domain's key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimKey {
    /// The domain that takes responsibility.
    pub domain: String,
    /// Where the DNS has the public key: below `_domainkey` of the domain.
    pub selector: String,
    /// The file with the private key, PEM: RSA (PKCS #1 or PKCS #8) or Ed25519 (PKCS #8).
    pub path: PathBuf,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DkimKeyError {
    /// The file cannot be read, or has no key in it.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The domain, the selector or the key is not what it should be.
    #[error("domain {domain:?}, selector {selector:?}, key {path}: {why}")]
    Unusable {
        /// The domain.
        domain: String,
        /// The selector.
        selector: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: CannotSign,
    },
}

impl DkimKey {
    /// Reads the key.
    ///
    /// # Errors
    /// Says what is wrong with which file.
    pub fn load(&self) -> Result<SigningKey, DkimKeyError> {
        let der = PrivateKeyDer::from_pem_file(&self.path).map_err(|error| unreadable(&self.path, error))?;
        let key = match &der {
            PrivateKeyDer::Pkcs1(der) => PrivateKey::Pkcs1(der.secret_pkcs1_der()),
            // What is neither is no key for signing, which the next step says.
            other => PrivateKey::Pkcs8(other.secret_der()),
        };
        SigningKey::new(&self.domain, &self.selector, key).map_err(|why| DkimKeyError::Unusable {
            domain: self.domain.clone(),
            selector: self.selector.clone(),
            path: self.path.clone(),
            why,
        })
    }
}

fn unreadable(path: &Path, error: pem::Error) -> DkimKeyError {
    let why = match error {
        pem::Error::Io(why) => why.to_string(),
        pem::Error::NoItemsFound => "there is no private key in it".to_owned(),
        why => format!("it is no PEM file: {why}"),
    };
    DkimKeyError::File { path: path.to_owned(), why }
}

/// Puts the signatures of a message on top of its header section, which ends with the empty line.
///
/// # Errors
/// When the body cannot be read back.
pub(crate) async fn sign(signer: &Signer, header: &mut Vec<u8>, body: &SpooledBody, now: SystemTime) -> io::Result<()> {
    let mut section = HeaderSection::default();
    for line in header.split_inclusive(|octet| *octet == b'\n') {
        section.push_line(line);
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let fields = signer.sign(Message { header: &section, body }, now).await?;
    header.splice(..0, fields);
    Ok(())
}
