//! The public suffix list, as it came with the server; see `wit/public-suffix.wit`. Nobody has to grant it.
//!
//! Natively the suffix is the last label, for unit tests.

/// The name that somebody has registered, such as `example.co.uk` for `mx.example.co.uk`.
#[must_use]
pub fn registrable_domain(name: &str) -> Option<String> {
    host::registrable_domain(name)
}

/// The suffix, such as `co.uk`.
#[must_use]
pub fn suffix(name: &str) -> Option<String> {
    host::suffix(name)
}

#[cfg(target_family = "wasm")]
use crate::bindings::wasmail::policy::public_suffix as host;

#[cfg(not(target_family = "wasm"))]
mod host {
    pub(super) fn registrable_domain(name: &str) -> Option<String> {
        let name = name.trim_end_matches('.').to_lowercase();
        let (rest, suffix) = name.rsplit_once('.')?;
        let label = rest.rsplit('.').next()?;
        Some(format!("{label}.{suffix}"))
    }

    pub(super) fn suffix(name: &str) -> Option<String> {
        name.trim_end_matches('.').to_lowercase().rsplit('.').next().map(str::to_owned)
    }
}
