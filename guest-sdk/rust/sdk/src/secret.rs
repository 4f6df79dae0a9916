//! Keys that the operator gave the binding: the plugin uses them, and never sees them. It needs the grant `secret`; what is
//! promised is said in `wit/secret.wit`.
//!
//! ```no_run
//! use wasmail_guest::secret;
//!
//! let code = secret::hmac_sha256("srs", b"example.org=alice")?;
//! # Ok::<_, wasmail_guest::Failure>(())
//! ```
//!
//! Natively no secret is there.

use crate::Failure;

/// HMAC with SHA-256 of the data: 32 octets.
///
/// # Errors
/// When it is not granted, there is no such secret, or it is for something else; so it is below, too.
pub fn hmac_sha256(name: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
    host::hmac_sha256(name, data)
}

/// Whether a code, cut to 16 octets at least, is that of the data.
///
/// # Errors
/// As [`hmac_sha256`].
pub fn verify_hmac_sha256(name: &str, data: &[u8], code: &[u8]) -> Result<bool, Failure> {
    host::verify_hmac_sha256(name, data, code)
}

/// An Ed25519 signature of the data: 64 octets.
///
/// # Errors
/// As [`hmac_sha256`].
pub fn sign_ed25519(name: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
    host::sign_ed25519(name, data)
}

#[cfg(target_family = "wasm")]
use crate::bindings::wasmail::policy::secret as host;

#[cfg(not(target_family = "wasm"))]
mod host {
    use crate::Failure;

    pub(super) fn hmac_sha256(_: &str, _: &[u8]) -> Result<Vec<u8>, Failure> {
        Err(Failure::NotGranted)
    }

    pub(super) fn verify_hmac_sha256(_: &str, _: &[u8], _: &[u8]) -> Result<bool, Failure> {
        Err(Failure::NotGranted)
    }

    pub(super) fn sign_ed25519(_: &str, _: &[u8]) -> Result<Vec<u8>, Failure> {
        Err(Failure::NotGranted)
    }
}
